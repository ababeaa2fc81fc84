//! How good scores are: one number after each round, of rows to validate on.

use tributary_boost::{Objective, Targets};
use tributary_component::output::Metric;
use tributary_system::clock;

/// The loss of the rows that are trained on, as FATE names it.
pub(super) fn loss(round: u64, loss: f64) -> Metric {
    let metric = Metric::step("sbt_loss", "iterations", round, loss, clock::now_ms());
    Metric { kind: Some("loss".into()), ..metric }
}

/// What is measured of rows to validate on: AUC, accuracy, or root of the mean squared error.
pub(super) fn validated(round: u64, objective: Objective, scores: &[Vec<f64>], targets: &Targets) -> Metric {
    let name = name(objective);
    let value = value(objective, scores, targets);
    let metric = Metric::step(&format!("validate_{name}"), "iterations", round, value, clock::now_ms());
    let kind = if objective == Objective::Squares { "scalar" } else { name };
    Metric { kind: Some(kind.into()), ..metric }
}

/// The name of what is measured.
pub(super) fn name(objective: Objective) -> &'static str {
    match objective {
        Objective::Binary => "auc",
        Objective::Multi { .. } => "accuracy",
        Objective::Squares => "rmse",
    }
}

/// How good scores are.
pub(super) fn value(objective: Objective, scores: &[Vec<f64>], targets: &Targets) -> f64 {
    match objective {
        Objective::Binary => scores.first().map_or(0.5, |scores| auc(scores, &targets.labels)),
        Objective::Multi { .. } => accuracy(scores, &targets.labels),
        Objective::Squares => objective.loss(scores, &unweighted(targets)).sqrt(),
    }
}

fn unweighted(targets: &Targets) -> Targets {
    Targets { labels: targets.labels.clone(), weights: None }
}

/// The part of pairs of both classes that scores order rightly, ties counted half; a half where there is one class.
pub(super) fn auc(scores: &[f64], labels: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len().min(labels.len())).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let (mut below, mut pairs, mut events) = (0.0, 0.0, 0.0);
    for tied in order.chunk_by(|a, b| scores[*a] == scores[*b]) {
        let of_tied = tied.iter().filter(|row| labels[**row] > 0.0).count() as f64;
        let others = tied.len() as f64 - of_tied;
        pairs += of_tied * (below + others / 2.0);
        below += others;
        events += of_tied;
    }
    if events * below > 0.0 { pairs / (events * below) } else { 0.5 }
}

fn accuracy(scores: &[Vec<f64>], labels: &[f64]) -> f64 {
    let is_right = |row: usize| {
        let of = |class: usize| scores[class][row];
        let likeliest = (0..scores.len()).rev().max_by(|a, b| of(*a).total_cmp(&of(*b)));
        likeliest.is_some_and(|class| class as f64 == labels[row])
    };
    let right = (0..labels.len()).filter(|row| is_right(*row)).count();
    right as f64 / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_that_are_tied_count_half() {
        assert_eq!(auc(&[0.1, 0.4, 0.35, 0.8], &[0.0, 0.0, 1.0, 1.0]), 0.75);
        assert_eq!(auc(&[0.5; 4], &[0.0, 1.0, 0.0, 1.0]), 0.5);
        assert_eq!(auc(&[0.1, 0.2], &[1.0, 1.0]), 0.5);
        assert_eq!(accuracy(&[vec![1.0, 0.0], vec![0.0, 0.0]], &[0.0, 0.0]), 1.0);
    }
}
