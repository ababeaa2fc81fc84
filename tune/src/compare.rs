//! Two runs against each other: which settings became faster or slower by more than the noise.
//!
//! A difference counts if the middle halves of both samples do not overlap and the medians differ by more than [`SAME`]. That is
//! no test of significance, for which five repetitions are too few; it is what a person would look at.

use std::collections::BTreeMap;

use crate::advice::SAME;
use crate::grid::Cell;
use crate::measurement::Measurement;
use crate::operation::Operation;
use crate::statistics::geometric_mean;

/// What became of one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// By more than the noise.
    Faster,
    /// By more than the noise.
    Slower,
    /// Or the difference is within the noise.
    Same,
}

/// One operation at one setting, in both runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Which operation.
    pub operation: Operation,
    /// Of how many rows.
    pub rows: u64,
    /// Which setting.
    pub cell: Cell,
    /// Median of the second run over that of the first.
    pub ratio: f64,
    /// What that means.
    pub verdict: Verdict,
}

/// Two runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What both have, in the order of operations, rows and settings.
    pub pairs: Vec<Pair>,
    /// How many measurements only the first has.
    pub only_before: usize,
    /// How many only the second has.
    pub only_after: usize,
    /// In what the circumstances differ.
    pub notes: Vec<String>,
}

type Key = (Operation, u64, Cell);

impl Comparison {
    /// Of two files; where one has a measurement twice, the later counts.
    pub fn of(before: &[Measurement], after: &[Measurement]) -> Self {
        let (first, second) = (by_key(before), by_key(after));
        let pair = |(key, old): (&Key, &&Measurement)| second.get(key).map(|new| Pair::of(*key, old, new));
        let pairs: Vec<Pair> = first.iter().filter_map(pair).collect();
        Self {
            only_before: first.len() - pairs.len(),
            only_after: second.len() - pairs.len(),
            notes: notes(before, after),
            pairs,
        }
    }

    /// How many pairs have a verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.pairs.iter().filter(|pair| pair.verdict == verdict).count()
    }

    /// Of all pairs: below 1 if the second run is faster.
    pub fn mean_ratio(&self) -> f64 {
        geometric_mean(self.pairs.iter().map(|pair| pair.ratio))
    }
}

fn by_key(all: &[Measurement]) -> BTreeMap<Key, &Measurement> {
    all.iter().map(|m| ((m.operation, m.rows, m.cell()), m)).collect()
}

impl Pair {
    fn of((operation, rows, cell): Key, before: &Measurement, after: &Measurement) -> Self {
        let ratio = after.seconds_median / before.seconds_median;
        let verdict = if ratio < 1.0 / SAME && after.seconds_q3 < before.seconds_q1 {
            Verdict::Faster
        } else if ratio > SAME && after.seconds_q1 > before.seconds_q3 {
            Verdict::Slower
        } else {
            Verdict::Same
        };
        Self { operation, rows, cell, ratio, verdict }
    }
}

/// What a reader should know before believing a ratio.
fn notes(before: &[Measurement], after: &[Measurement]) -> Vec<String> {
    let all = |run: &[Measurement], of: &dyn Fn(&Measurement) -> String| {
        let mut values: Vec<String> = run.iter().map(of).collect();
        values.sort();
        values.dedup();
        values.join(" and ")
    };
    let differing = |what: &str, of: &dyn Fn(&Measurement) -> String| {
        let (old, new) = (all(before, of), all(after, of));
        (old != new).then(|| format!("{what}: {old} before, {new} after"))
    };
    let once = before.iter().chain(after).any(|m| m.repeat == 1);
    let once = once.then(|| "some were measured once, so their noise is unknown; use --repeat".to_string());
    [
        differing("engine", &|m| m.engine.clone()),
        differing("version", &|m| m.version.clone()),
        differing("cores of the machine", &|m| m.machine_cores.to_string()),
        once,
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::tests::measured;
    use Operation::{Join, Map};

    fn verdict(before: Measurement, after: Measurement) -> Verdict {
        Comparison::of(&[before], &[after]).pairs[0].verdict
    }

    #[test]
    fn a_difference_must_exceed_the_noise() {
        let at = |seconds| measured(Map, 1, 1, seconds);
        assert_eq!(verdict(at(1.0), at(0.5)), Verdict::Faster);
        assert_eq!(verdict(at(1.0), at(2.0)), Verdict::Slower);
        assert_eq!(
            verdict(at(1.0), at(1.025)),
            Verdict::Same,
            "the halves are apart, but by next to nothing"
        );
        let noisy = Measurement { seconds_q1: 0.4, seconds_q3: 1.5, ..at(1.0) };
        assert_eq!(verdict(noisy.clone(), at(0.5)), Verdict::Same);
        assert_eq!(verdict(at(2.0), noisy), Verdict::Faster);
    }

    #[test]
    fn only_what_both_have_is_compared() {
        let before = [measured(Map, 1, 1, 1.0), measured(Map, 2, 1, 1.0), measured(Join, 1, 1, 1.0)];
        let other_rows = Measurement { rows: 5, ..measured(Join, 1, 1, 1.0) };
        let after = [measured(Map, 2, 1, 2.0), measured(Map, 1, 1, 0.5), other_rows];
        let comparison = Comparison::of(&before, &after);
        let ratios: Vec<f64> = comparison.pairs.iter().map(|p| p.ratio).collect();
        assert_eq!(ratios, [0.5, 2.0]);
        assert_eq!((comparison.only_before, comparison.only_after), (1, 1));
        assert_eq!(comparison.count(Verdict::Faster), 1);
        assert!((comparison.mean_ratio() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_later_of_two_equal_measurements_counts() {
        let comparison = Comparison::of(
            &[measured(Map, 1, 1, 9.0), measured(Map, 1, 1, 1.0)],
            &[measured(Map, 1, 1, 1.0)],
        );
        assert_eq!(comparison.pairs[0].ratio, 1.0);
        assert_eq!((comparison.only_before, comparison.only_after), (0, 0));
    }

    #[test]
    fn other_circumstances_are_reported() {
        let plain = measured(Map, 1, 1, 1.0);
        assert_eq!(Comparison::of(std::slice::from_ref(&plain), std::slice::from_ref(&plain)).notes, [""; 0]);
        let other = Measurement { engine: "cluster".into(), machine_cores: 2, repeat: 1, ..plain.clone() };
        let notes = Comparison::of(&[plain], &[other]).notes;
        assert_eq!(
            notes[..2],
            ["engine: model before, cluster after", "cores of the machine: 8 before, 2 after"]
        );
        assert!(notes[2].contains("measured once"));
    }
}
