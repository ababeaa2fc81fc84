//! What is to be predicted: gradients of a loss, and what scores mean.
//!
//! Plain numbers of the guest, which alone has the label. Sums over rows run in the order of the rows, so that a result does not
//! depend on how rows are cut into partitions.

use serde::{Deserialize, Serialize};
use tributary_core::{Error, Result};

/// The greatest label or weight.
const MOST: f64 = 1e100;

/// A loss to be lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Objective {
    /// Labels 0 and 1; cross entropy of one score.
    Binary,
    /// Labels 0 to one less than `classes`; cross entropy of a score for each class.
    Multi {
        /// How many classes there are.
        classes: u32,
    },
    /// Any finite labels; squared error.
    Squares,
}

/// First and second derivatives of the loss in the scores of one output, a number for each row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gradients {
    /// First derivatives.
    pub g: Vec<f64>,
    /// Second derivatives, never negative.
    pub h: Vec<f64>,
}

/// What the guest knows of its rows.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// The label of each row, see [`Objective`].
    pub labels: Vec<f64>,
    /// The weight of each row, if rows have one.
    pub weights: Option<Vec<f64>>,
}

impl Targets {
    fn weight(&self, row: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[row])
    }

    fn mean(&self, of: impl Fn(usize) -> f64) -> f64 {
        let add =
            |(sum, all): (f64, f64), row: usize| (sum + self.weight(row) * of(row), all + self.weight(row));
        let (sum, all) = (0..self.labels.len()).fold((0.0, 0.0), add);
        if all > 0.0 { sum / all } else { 0.0 }
    }

    /// `InvalidInput` unless labels are what the objective takes, and weights are numbers that are not negative.
    pub fn check(&self, objective: Objective) -> Result<()> {
        let is_one_of = |classes: f64| {
            let stray = self.labels.iter().find(|y| !(y.fract() == 0.0 && **y >= 0.0 && **y < classes));
            stray.map(|y| (*y, format!("integers from 0 to {}", classes - 1.0)))
        };
        let stray = match objective {
            Objective::Binary => is_one_of(2.0).map(|(y, _)| (y, "0 and 1, or -1 and 1".into())),
            Objective::Multi { classes } => is_one_of(f64::from(classes)),
            Objective::Squares => {
                // Squares and sums of these, and their quantised forms, are normal numbers.
                let stray = self.labels.iter().find(|y| !(-MOST..=MOST).contains(*y));
                stray.map(|y| (*y, format!("finite numbers up to {MOST:e}")))
            }
        };
        if let Some((value, expected)) = stray {
            let mend = match objective {
                Objective::Binary => "multi:ce and regression:l2 are for others",
                Objective::Multi { .. } => "num_class is how many classes there are",
                Objective::Squares => "leave such rows out",
            };
            let text = format!("the label has other values than {expected}; {mend}");
            return Err(Error::invalid(text).with_private(value.to_string()));
        }
        match self.weights.iter().flatten().any(|weight| !(0.0..=MOST).contains(weight)) {
            true => Err(Error::invalid(format!(
                "the column of weights has values that are missing, negative, or above {MOST:e}"
            ))),
            false => Ok(()),
        }
    }
}

impl Objective {
    /// Scores of one row, and trees of one round.
    pub fn outputs(self) -> usize {
        match self {
            Self::Multi { classes } => classes as usize,
            Self::Binary | Self::Squares => 1,
        }
    }

    /// The score that every row begins with.
    pub fn first_score(self, targets: &Targets) -> f64 {
        match self {
            Self::Squares => targets.mean(|row| targets.labels[row]),
            Self::Binary | Self::Multi { .. } => 0.0,
        }
    }

    /// Gradients of each output, in order. `scores`: of each output, by row.
    pub fn gradients(self, scores: &[Vec<f64>], targets: &Targets) -> Vec<Gradients> {
        let rows = targets.labels.len();
        let empty = || Gradients { g: Vec::with_capacity(rows), h: Vec::with_capacity(rows) };
        let mut all: Vec<Gradients> = (0..self.outputs()).map(|_| empty()).collect();
        for row in 0..rows {
            let (y, weight) = (targets.labels[row], targets.weight(row));
            let at: Vec<f64> = scores.iter().map(|of| of[row]).collect();
            let predicted = self.predicted(&at);
            for (class, (gradients, p)) in all.iter_mut().zip(predicted).enumerate() {
                let (g, h) = match self {
                    Self::Binary => (p - y, p * (1.0 - p)),
                    // As XGBoost has it: twice the diagonal, which bounds the whole matrix.
                    Self::Multi { .. } => (p - f64::from(u8::from(y == class as f64)), 2.0 * p * (1.0 - p)),
                    Self::Squares => (p - y, 1.0),
                };
                gradients.g.push(g * weight);
                gradients.h.push(h * weight);
            }
        }
        all
    }

    /// What scores of one row say: the chance of label 1, that of each class, or the number itself.
    pub fn predicted(self, scores: &[f64]) -> Vec<f64> {
        match self {
            Self::Binary => scores.iter().map(|score| sigmoid(*score)).collect(),
            Self::Squares => scores.to_vec(),
            Self::Multi { .. } => {
                let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let powers: Vec<f64> = scores.iter().map(|score| (score - most).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.iter().map(|power| power / sum).collect()
            }
        }
    }

    /// The mean loss.
    pub fn loss(self, scores: &[Vec<f64>], targets: &Targets) -> f64 {
        const LEAST: f64 = 1e-15;
        targets.mean(|row| {
            let at: Vec<f64> = scores.iter().map(|of| of[row]).collect();
            let (p, y) = (self.predicted(&at), targets.labels[row]);
            match self {
                Self::Binary => -(if y > 0.0 { p[0] } else { 1.0 - p[0] }).max(LEAST).ln(),
                Self::Multi { .. } => -p.get(y as usize).copied().unwrap_or(0.0).max(LEAST).ln(),
                Self::Squares => (p[0] - y) * (p[0] - y),
            }
        })
    }
}

fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + (-score).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(labels: &[f64]) -> Targets {
        Targets { labels: labels.to_vec(), weights: None }
    }

    /// Derivatives are those of the loss, seen by differences.
    #[test]
    fn gradients_are_slopes_of_the_loss() {
        let cases = [
            (Objective::Binary, vec![vec![0.3]], 1.0),
            (Objective::Binary, vec![vec![-1.2]], 0.0),
            (Objective::Multi { classes: 3 }, vec![vec![0.1], vec![0.7], vec![-0.4]], 2.0),
        ];
        for (objective, scores, label) in cases {
            let targets = targets(&[label]);
            let gradients = objective.gradients(&scores, &targets);
            for output in 0..scores.len() {
                let loss = |step: f64| {
                    let mut moved = scores.clone();
                    moved[output][0] += step;
                    objective.loss(&moved, &targets)
                };
                let slope = (loss(1e-6) - loss(-1e-6)) / 2e-6;
                assert!((slope - gradients[output].g[0]).abs() < 1e-8, "{objective:?}");
            }
        }
    }

    #[test]
    fn a_weight_counts_as_so_many_rows() {
        let twice = Targets { labels: vec![1.0, 4.0], weights: Some(vec![1.0, 2.0]) };
        let repeated = targets(&[1.0, 4.0, 4.0]);
        assert_eq!(Objective::Squares.first_score(&twice), Objective::Squares.first_score(&repeated));
        let scores = |rows| vec![vec![0.5; rows]];
        assert_eq!(
            Objective::Squares.loss(&scores(2), &twice),
            Objective::Squares.loss(&scores(3), &repeated)
        );
        assert_eq!(Objective::Squares.gradients(&scores(2), &twice)[0].g, [-0.5, -7.0]);
    }

    #[test]
    fn labels_and_weights_that_do_not_fit_are_refused() {
        assert!(targets(&[0.0, 2.0]).check(Objective::Binary).is_err());
        assert!(targets(&[0.0, 2.0]).check(Objective::Multi { classes: 3 }).is_ok());
        assert!(targets(&[0.5]).check(Objective::Multi { classes: 3 }).is_err());
        assert!(targets(&[f64::NAN]).check(Objective::Squares).is_err());
        let negative = Targets { labels: vec![1.0], weights: Some(vec![-1.0]) };
        assert!(negative.check(Objective::Squares).is_err());
    }
}
