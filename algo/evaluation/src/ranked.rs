//! Scores of two classes in order.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use serde::{Deserialize, Serialize};
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, Result, Table};

use crate::ranges::{LookUp, LookUpParams, MergeRange, Probe, RANGE_SUMMARY, RangeCounts};
use crate::runs::{CutParams, CutRuns, RUN_SUMMARY, RunParams, SortRuns, range_of};

/// Ranges of scores for each partition: several, because ranges fall into partitions by hash.
const RANGES_A_PARTITION: usize = 4;

/// Most ranges of scores.
const MAX_RANGES: usize = 256;

/// Rows by class.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Rows with label 1.
    pub positives: u64,
    /// The others.
    pub negatives: u64,
}

impl Class {
    /// Rows of both classes.
    pub fn rows(self) -> u64 {
        self.positives + self.negatives
    }

    /// Rows of both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self { positives: self.positives + other.positives, negatives: self.negatives + other.negatives }
    }

    /// The rows that are not these.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self { positives: self.positives - other.positives, negatives: self.negatives - other.negatives }
    }

    /// (share of all positives − share of all negatives) · positives · negatives: an integer, so that the greatest is known
    /// exactly.
    pub(crate) fn gap(self, all: Self) -> i128 {
        i128::from(self.positives) * i128::from(all.negatives)
            - i128::from(self.negatives) * i128::from(all.positives)
    }
}

/// Kolmogorov and Smirnov's statistic: the greatest difference between the share of positive and of negative rows at or above
/// a score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ks {
    /// The difference.
    pub value: f64,
    /// The score.
    pub score: f64,
}

/// What to find in the order of scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// The row of this rank, from 0 at the highest score.
    Row(u64),
    /// The distinct score of this rank, from 0 at the highest.
    Distinct(u64),
    /// A score, whether it occurs or not.
    Score(f64),
}

/// A score, and how many rows are above it and at it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Found {
    /// The score.
    pub score: f64,
    /// Rows of higher scores: those that are predicted positive where it is the threshold.
    pub above: Class,
    /// Rows of this score.
    pub at: Class,
}

/// The scores of a table, sorted and held by its session in ranges.
#[derive(Debug)]
pub struct Ranked {
    ranges: Table,
    starts: Vec<f64>,
    counts: Vec<RangeCounts>,
    all: Class,
}

impl Ranked {
    /// Sorts the scores of a table. Cost: two passes over scores, which move once, as lists.
    ///
    /// Errors: `InvalidInput` for a table without rows, a score that is missing or infinite, a label that is not 1, 0 or -1.
    pub async fn of(table: &Table, score: &str, label: &str) -> Result<Self> {
        let params = RunParams { score: score.into(), label: label.into() };
        let runs = table.map(KernelCall::fold::<SortRuns>(&params)?)?.keep().await?;
        let (all, sample) = summary(&runs.select(RUN_SUMMARY)?.collect().await?);
        if all.rows() == 0 {
            return Err(Error::invalid("no rows to evaluate"));
        }
        let starts = starts(sample, RANGES_A_PARTITION * table.partitions() as usize);
        let cut = KernelCall::fold::<CutRuns>(&CutParams { starts: starts.clone() })?;
        let merge = KernelCall::fold::<MergeRange>(&all)?;
        let ranges = runs.map(cut)?.gather_by_key(table.partitions())?.map(merge)?.keep().await?;
        let counts = ranges.select(RANGE_SUMMARY)?.collect().await?;
        let counts = RangeCounts::read(&counts, starts.len() + 1)?;
        Ok(Self { ranges, starts, counts, all })
    }

    /// Rows by class.
    pub fn all(&self) -> Class {
        self.all
    }

    /// Number of distinct scores.
    pub fn distinct(&self) -> u64 {
        self.counts.iter().map(|range| range.distinct).sum()
    }

    /// The lowest score.
    pub fn lowest(&self) -> f64 {
        self.counts.iter().find(|range| range.distinct > 0).map_or(f64::NAN, |range| range.lowest)
    }

    /// Whether there are rows of both classes, without which shares of one say nothing.
    pub fn has_both_classes(&self) -> bool {
        self.all.positives > 0 && self.all.negatives > 0
    }

    /// The area under the ROC curve: the chance that a positive row has a higher score than a negative one, ties half. Not a
    /// number for one class.
    pub fn auc(&self) -> f64 {
        let (mut pairs, mut above) = (0u128, 0u64);
        for range in self.counts.iter().rev() {
            pairs += range.pairs + 2 * u128::from(above) * u128::from(range.all.negatives);
            above += range.all.positives;
        }
        let most = 2 * u128::from(self.all.positives) * u128::from(self.all.negatives);
        if most == 0 { f64::NAN } else { pairs as f64 / most as f64 }
    }

    /// See [`Ks`]; `None` for one class.
    pub fn ks(&self) -> Option<Ks> {
        let (mut best, mut above) = (None::<(i128, f64)>, Class::default());
        for range in self.counts.iter().rev().filter(|range| range.distinct > 0) {
            let gap = above.and(range.best).gap(self.all);
            if best.is_none_or(|(most, _)| gap > most) {
                best = Some((gap, range.best_score));
            }
            above = above.and(range.all);
        }
        let most = u128::from(self.all.positives) * u128::from(self.all.negatives);
        let (gap, score) = best.filter(|_| most > 0)?;
        // Above all scores nothing is predicted, and the difference is zero.
        Some(Ks { value: gap.max(0) as f64 / most as f64, score })
    }

    /// Finds scores, in the order of `wanted`. `InvalidInput` for a rank that is beyond the last.
    pub async fn look_up(&self, wanted: &[Wanted]) -> Result<Vec<Found>> {
        let mut params = LookUpParams { probes: vec![Vec::new(); self.counts.len()] };
        let mut found = Vec::new();
        for (number, wanted) in (0u64..).zip(wanted) {
            let (range, probe) = self.place(*wanted)?;
            params.probes[range].push((number, probe));
            // Of a range without rows no answer comes; what is in higher ones is above.
            let score = if let Wanted::Score(score) = wanted { *score } else { f64::NAN };
            found.push(Found { score, above: self.above(range), at: Class::default() });
        }
        let rows = self.ranges.map(KernelCall::fold::<LookUp>(&params)?)?.collect().await?;
        for (number, local) in LookUp::read(&rows) {
            let place = usize::try_from(number).ok().and_then(|number| found.get_mut(number));
            let place = place.ok_or_else(|| Error::new(ErrorKind::Corrupt, "an answer to no question"))?;
            *place = Found { score: local.score, above: place.above.and(local.above), at: local.at };
        }
        Ok(found)
    }

    /// Rows of higher ranges.
    fn above(&self, range: usize) -> Class {
        self.counts[range + 1..].iter().fold(Class::default(), |sum, range| sum.and(range.all))
    }

    fn place(&self, wanted: Wanted) -> Result<(usize, Probe)> {
        let (rank, count): (u64, fn(&RangeCounts) -> u64) = match wanted {
            Wanted::Score(score) => return Ok((range_of(score, &self.starts), Probe::Score(score))),
            Wanted::Row(rank) => (rank, |range| range.all.rows()),
            Wanted::Distinct(rank) => (rank, |range| range.distinct),
        };
        let mut left = rank;
        for (place, range) in self.counts.iter().enumerate().rev() {
            if left < count(range) {
                let probe =
                    if matches!(wanted, Wanted::Row(_)) { Probe::Row(left) } else { Probe::Distinct(left) };
                return Ok((place, probe));
            }
            left -= count(range);
        }
        Err(Error::invalid(format!("rank {rank} is beyond the last score")))
    }
}

/// Rows by class, and scores of all runs.
fn summary(rows: &[RecordBatch]) -> (Class, Vec<f64>) {
    let (mut all, mut sample) = (Class::default(), Vec::new());
    for rows in rows {
        let [positives, negatives] =
            [1, 2].map(|i| rows.column(i).as_primitive::<UInt64Type>().values().iter().sum::<u64>());
        all = all.and(Class { positives, negatives });
        let values = rows.column(0).as_list::<i32>().values().clone();
        sample.extend(values.as_primitive::<Float64Type>().values());
    }
    (all, sample)
}

/// Where ranges begin, so that each has about as many of the sampled scores.
fn starts(mut sample: Vec<f64>, ranges: usize) -> Vec<f64> {
    sample.sort_unstable_by(f64::total_cmp);
    let ranges = ranges.clamp(1, MAX_RANGES);
    let mut starts: Vec<f64> =
        (1..ranges).filter_map(|range| sample.get(sample.len() * range / ranges).copied()).collect();
    starts.dedup();
    starts
}
