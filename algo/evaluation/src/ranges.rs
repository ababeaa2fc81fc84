//! A range of scores, merged: what it says by itself, and what is looked up in it.
//!
//! Everything counts from the highest score down, as thresholds do: a row is predicted positive if its score is above. Counts
//! are of the range alone; [`Ranked`](crate::Ranked) adds what is in higher ranges.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, PartContext};
use tributary_core::{Error, ErrorKind, Field, KeyType, Result, TableSchema};

use crate::ranked::Class;
use crate::runs::{Entry, entries, list_fields, lists, range_schema};

/// What is known of a range.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct RangeCounts {
    /// Rows by class.
    pub all: Class,
    /// Distinct scores.
    pub distinct: u64,
    /// Pairs of a negative row and a positive one of a higher score, twice, and of an equal score, once.
    pub pairs: u128,
    /// Where the share of positives exceeds that of negatives most, the score included.
    pub best: Class,
    /// The score there.
    pub best_score: f64,
    /// The lowest score.
    pub lowest: f64,
}

/// Columns of a range but for its lists.
pub(crate) const RANGE_SUMMARY: [&str; 9] = [
    "positives",
    "negatives",
    "distinct",
    "pairs_high",
    "pairs_low",
    "best_positives",
    "best_negatives",
    "best_score",
    "lowest",
];

fn merged_schema() -> Result<TableSchema> {
    let summary = RANGE_SUMMARY
        .iter()
        .enumerate()
        .map(|(i, name)| Field::new(*name, if i < 7 { DataType::UInt64 } else { DataType::Float64 }));
    range_schema()?.with_fields(list_fields().into_iter().chain(summary).collect())
}

impl RangeCounts {
    /// Of entries in ascending order, each score once, in a table with `all` rows.
    fn of(entries: &[Entry], table: Class) -> Self {
        let mut counts = Self { distinct: entries.len() as u64, ..Self::default() };
        let mut best_gap = None;
        for entry in entries.iter().rev() {
            counts.pairs += u128::from(entry.negatives)
                * (2 * u128::from(counts.all.positives) + u128::from(entry.positives));
            counts.all = counts.all.and(entry.class());
            let gap = counts.all.gap(table);
            if best_gap.is_none_or(|best| gap > best) {
                (best_gap, counts.best, counts.best_score) = (Some(gap), counts.all, entry.score);
            }
        }
        counts.lowest = entries.first().map_or(0.0, |entry| entry.score);
        counts
    }

    fn columns(&self) -> Vec<ArrayRef> {
        let pairs = [(self.pairs >> 64) as u64, self.pairs as u64];
        let integers = [
            self.all.positives,
            self.all.negatives,
            self.distinct,
            pairs[0],
            pairs[1],
            self.best.positives,
            self.best.negatives,
        ];
        let floats = [self.best_score, self.lowest];
        let integers = integers.map(|n| Arc::new(UInt64Array::from(vec![n])) as ArrayRef);
        let floats = floats.map(|n| Arc::new(Float64Array::from(vec![n])) as ArrayRef);
        integers.into_iter().chain(floats).collect()
    }

    /// The rows (range; [`RANGE_SUMMARY`]), by range.
    pub(crate) fn read(rows: &[RecordBatch], ranges: usize) -> Result<Vec<Self>> {
        let mut all = vec![Self::default(); ranges];
        for rows in rows {
            let integer = |i: usize| rows.column(i).as_primitive::<UInt64Type>();
            let float = |i: usize| rows.column(i).as_primitive::<Float64Type>();
            for row in 0..rows.num_rows() {
                let place = all.get_mut(integer(0).value(row) as usize);
                let class = |i: usize| Class {
                    positives: integer(i).value(row),
                    negatives: integer(i + 1).value(row),
                };
                *place.ok_or_else(|| Error::bug("an unexpected range of scores"))? = Self {
                    all: class(1),
                    distinct: integer(3).value(row),
                    pairs: u128::from(integer(4).value(row)) << 64 | u128::from(integer(5).value(row)),
                    best: class(6),
                    best_score: float(8).value(row),
                    lowest: float(9).value(row),
                };
            }
        }
        Ok(all)
    }
}

impl Entry {
    fn class(&self) -> Class {
        Class { positives: self.positives, negatives: self.negatives }
    }
}

/// Kernel `evaluation.merge`: the rows of a range, which are adjacent, become one.
///
/// Shape: (range; `scores`, `counts`, and what is known of the range). Parameters: rows of the whole table by class.
#[derive(Debug)]
pub(crate) struct MergeRange(Class);

/// A range being merged.
#[derive(Debug, Default)]
pub(crate) struct Merging {
    range: Option<u64>,
    entries: Vec<Entry>,
}

impl FoldKernel for MergeRange {
    type Params = Class;
    type State = Merging;
    const NAME: &'static str = "evaluation.merge";
    const KEEPS: Keeps = Keeps::Groups;

    fn output(_: &Class, input: &TableSchema) -> Result<TableSchema> {
        match *input == range_schema()? {
            true => merged_schema(),
            false => Err(Error::invalid(format!("a merge of {input:?}, expected rows of evaluation.cut"))),
        }
    }

    fn open(table: Class, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(table))
    }

    fn start(&self, _: PartContext) -> Result<Merging> {
        Ok(Merging::default())
    }

    fn fold(&self, merging: &mut Merging, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let ranges = rows.column(0).as_primitive::<UInt64Type>();
        for (row, range) in ranges.values().iter().enumerate() {
            if merging.range.is_some_and(|current| current != *range) {
                self.finish(std::mem::take(merging), out)?;
            }
            merging.range = Some(*range);
            merging.entries.extend(entries(rows, 1, row));
        }
        Ok(())
    }

    fn finish(&self, merging: Merging, out: &mut dyn Emit) -> Result<()> {
        let Merging { range: Some(range), mut entries } = merging else { return Ok(()) };
        // Stable, because it finds the runs that are sorted already and only merges them.
        entries.sort_by(|a, b| a.score.total_cmp(&b.score));
        entries.dedup_by(|next, kept| {
            let equal = next.score == kept.score;
            if equal {
                kept.positives += next.positives;
                kept.negatives += next.negatives;
            }
            equal
        });
        let counts = RangeCounts::of(&entries, self.0);
        let [scores, numbers] = lists(entries.into_iter())?;
        let range: ArrayRef = Arc::new(UInt64Array::from(vec![range]));
        let columns = [range, scores, numbers].into_iter().chain(counts.columns()).collect();
        out.emit(merged_schema()?.batch(columns)?)
    }
}

/// What is looked up in a range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Probe {
    /// The score of the row of this rank, from 0 at the highest score.
    Row(u64),
    /// The distinct score of this rank.
    Distinct(u64),
    /// A score that may not occur.
    Score(f64),
}

/// Parameters of [`LookUp`]: by range, what is looked up there, with the number that the answer carries.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct LookUpParams {
    pub probes: Vec<Vec<(u64, Probe)>>,
}

/// What was found: rows above a score, and rows at it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Local {
    pub score: f64,
    pub above: Class,
    pub at: Class,
}

/// Kernel `evaluation.look_up`: one row for each probe.
///
/// Shape: (probe; `score`, `above_positives`, `above_negatives`, `at_positives`, `at_negatives`).
#[derive(Debug)]
pub(crate) struct LookUp(LookUpParams);

fn found_schema() -> Result<TableSchema> {
    let counts = ["above_positives", "above_negatives", "at_positives", "at_negatives"];
    let counts = counts.map(|name| Field::new(name, DataType::UInt64));
    let fields = [Field::new("score", DataType::Float64)].into_iter().chain(counts);
    TableSchema::keyed("probe", KeyType::UInt64, fields.collect())
}

impl LookUp {
    /// The answers to the probes of one range, whose entries ascend.
    fn answer(entries: &[Entry], probes: &[(u64, Probe)]) -> Vec<(u64, Local)> {
        let of = |wanted: fn(&Probe) -> bool| {
            let mut probes: Vec<(u64, Probe)> = probes.iter().filter(|(_, p)| wanted(p)).copied().collect();
            probes.sort_by(|(_, a), (_, b)| a.order().total_cmp(&b.order()));
            probes.into_iter().peekable()
        };
        let mut kinds = [
            of(|probe| matches!(probe, Probe::Row(_))),
            of(|probe| matches!(probe, Probe::Distinct(_))),
            of(|probe| matches!(probe, Probe::Score(_))),
        ];
        let (mut found, mut above) = (Vec::new(), Class::default());
        for (position, entry) in (0u64..).zip(entries.iter().rev()) {
            let through = above.and(entry.class());
            let is_reached = |(_, probe): &(u64, Probe)| match probe {
                Probe::Row(rank) => *rank < through.rows(),
                Probe::Distinct(rank) => *rank <= position,
                Probe::Score(score) => *score >= entry.score,
            };
            for probes in &mut kinds {
                while let Some((number, probe)) = probes.next_if(is_reached) {
                    let (score, at) = match probe {
                        Probe::Score(score) if score != entry.score => (score, Class::default()),
                        _ => (entry.score, entry.class()),
                    };
                    found.push((number, Local { score, above, at }));
                }
            }
            above = through;
        }
        // Scores below the lowest of the range: all its rows are above.
        let below = kinds.into_iter().flatten().filter_map(|(number, probe)| match probe {
            Probe::Score(score) => Some((number, Local { score, above, at: Class::default() })),
            _ => None,
        });
        found.extend(below);
        found
    }

    pub(crate) fn read(rows: &[RecordBatch]) -> Vec<(u64, Local)> {
        let read = |rows: &RecordBatch| {
            let [number, a, b, c, d] = [0, 2, 3, 4, 5].map(|i| rows.column(i).as_primitive::<UInt64Type>());
            let score = rows.column(1).as_primitive::<Float64Type>();
            let class = |p: u64, n: u64| Class { positives: p, negatives: n };
            let local = |i: usize| Local {
                score: score.value(i),
                above: class(a.value(i), b.value(i)),
                at: class(c.value(i), d.value(i)),
            };
            (0..rows.num_rows()).map(|i| (number.value(i), local(i))).collect::<Vec<_>>()
        };
        rows.iter().flat_map(read).collect()
    }
}

impl Probe {
    /// Ascending in the order in which probes of one kind are reached, from the highest score down.
    fn order(&self) -> f64 {
        match self {
            Self::Row(rank) | Self::Distinct(rank) => *rank as f64,
            Self::Score(score) => -score,
        }
    }
}

impl FoldKernel for LookUp {
    type Params = LookUpParams;
    type State = ();
    const NAME: &'static str = "evaluation.look_up";

    fn output(_: &LookUpParams, input: &TableSchema) -> Result<TableSchema> {
        match *input == merged_schema()? {
            true => found_schema(),
            false => {
                Err(Error::invalid(format!("a look-up in {input:?}, expected rows of evaluation.merge")))
            }
        }
    }

    fn open(params: LookUpParams, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(params))
    }

    fn start(&self, _: PartContext) -> Result<()> {
        Ok(())
    }

    fn fold(&self, (): &mut (), rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let ranges = rows.column(0).as_primitive::<UInt64Type>();
        for (row, range) in ranges.values().iter().enumerate() {
            let probes = usize::try_from(*range).ok().and_then(|range| self.0.probes.get(range));
            let probes = probes.ok_or_else(|| Error::new(ErrorKind::Corrupt, "a range without probes"))?;
            if probes.is_empty() {
                continue;
            }
            let found = Self::answer(&entries(rows, 1, row), probes);
            let count = |of: fn(&Local) -> u64| {
                Arc::new(UInt64Array::from_iter_values(found.iter().map(|(_, local)| of(local)))) as ArrayRef
            };
            out.emit(found_schema()?.batch(vec![
                Arc::new(UInt64Array::from_iter_values(found.iter().map(|(number, _)| *number))),
                Arc::new(Float64Array::from_iter_values(found.iter().map(|(_, local)| local.score))),
                count(|local| local.above.positives),
                count(|local| local.above.negatives),
                count(|local| local.at.positives),
                count(|local| local.at.negatives),
            ])?)?;
        }
        Ok(())
    }

    fn finish(&self, (): (), _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}
