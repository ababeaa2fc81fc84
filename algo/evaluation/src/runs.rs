//! Sorted runs: the scores of a stretch of one partition in ascending order, each distinct one with how many rows of either
//! class have it; and their cut into ranges of scores.
//!
//! A run is one row with two lists, and not a row for each score: rows of an exchange are hashed and sorted one by one, and
//! lists are moved whole. A run has at most [`RUN_ROWS`] rows, so that what a partition holds unsorted is bounded, and a sort
//! stays within a processor's cache.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::numbers::{list_field, list_of_one, number_column, numbers, optional};
use tributary_core::{Error, Field, KeyType, Result, TableSchema};

/// Most rows of a run.
const RUN_ROWS: usize = 1 << 20;

/// Scores of a run that say where it could be cut.
const SAMPLE: usize = 64;

/// A distinct score, and how many rows of either class have it. Several entries of a list may have one score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Entry {
    pub score: f64,
    pub positives: u64,
    pub negatives: u64,
}

/// Entries as two lists of one row: scores, and both counts in one number.
pub(crate) fn lists(entries: impl Iterator<Item = Entry>) -> Result<[arrow_array::ArrayRef; 2]> {
    let (mut scores, mut counts) = (Vec::new(), Vec::new());
    for mut entry in entries {
        // Counts of more than 32 bits become several entries of one score.
        loop {
            let part = [entry.positives, entry.negatives].map(|n| n.min(u64::from(u32::MAX)));
            scores.push(entry.score);
            counts.push(part[0] << 32 | part[1]);
            entry.positives -= part[0];
            entry.negatives -= part[1];
            if entry.positives == 0 && entry.negatives == 0 {
                break;
            }
        }
    }
    Ok([Arc::new(list_of_one::<Float64Type>(scores)?), Arc::new(list_of_one::<UInt64Type>(counts)?)])
}

/// The entries of one row of [`lists`].
pub(crate) fn entries(rows: &RecordBatch, scores: usize, row: usize) -> Vec<Entry> {
    let [scores, counts] = [scores, scores + 1].map(|i| rows.column(i).as_list::<i32>().value(row));
    let counts = counts.as_primitive::<UInt64Type>().values().iter();
    let entry = |(score, counts): (&f64, &u64)| Entry {
        score: *score,
        positives: counts >> 32,
        negatives: counts & u64::from(u32::MAX),
    };
    scores.as_primitive::<Float64Type>().values().iter().zip(counts).map(entry).collect()
}

pub(crate) fn list_fields() -> [Field; 2] {
    [list_field("scores", DataType::Float64), list_field("counts", DataType::UInt64)]
}

/// Parameters of [`SortRuns`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct RunParams {
    /// Column of scores.
    pub score: String,
    /// Column of labels: 1, or 0 or -1.
    pub label: String,
}

/// Kernel `evaluation.runs`: a partition becomes one row for each run.
///
/// Shape: (`scores`, `counts`, `sample`, `positives`, `negatives`), without a key.
/// Errors: `InvalidInput` for a score that is missing or infinite, and for a label that is not of two classes.
#[derive(Debug)]
pub(crate) struct SortRuns {
    params: RunParams,
    score: usize,
    label: usize,
}

/// Columns that say how a run looks.
pub(crate) const RUN_SUMMARY: [&str; 3] = ["sample", "positives", "negatives"];

fn run_schema() -> Result<TableSchema> {
    let [sample, positives, negatives] = RUN_SUMMARY;
    let summary = [
        list_field(sample, DataType::Float64),
        Field::new(positives, DataType::UInt64),
        Field::new(negatives, DataType::UInt64),
    ];
    TableSchema::new(None, list_fields().into_iter().chain(summary).collect())
}

/// The scores of a run, by class, as integers of the same order.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    positives: Vec<u64>,
    negatives: Vec<u64>,
}

/// A number's bits as an integer that is ordered as the number. Zero has one sign here.
fn ordered(number: f64) -> u64 {
    let bits = number.to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn number(ordered: u64) -> f64 {
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

impl Waiting {
    fn len(&self) -> usize {
        self.positives.len() + self.negatives.len()
    }

    fn emit(&mut self, out: &mut dyn Emit) -> Result<()> {
        if self.len() == 0 {
            return Ok(());
        }
        self.positives.sort_unstable();
        self.negatives.sort_unstable();
        let totals = [self.positives.len() as u64, self.negatives.len() as u64];
        let sample = [&self.positives, &self.negatives].into_iter().flat_map(|sorted| {
            let every = sorted.len().div_ceil(SAMPLE).max(1);
            sorted.iter().skip(every / 2).step_by(every).map(|score| number(*score))
        });
        let sample = Arc::new(list_of_one::<Float64Type>(sample.collect())?);
        let [scores, counts] = lists(distinct(&self.positives, &self.negatives))?;
        let count = |n: u64| Arc::new(UInt64Array::from(vec![n]));
        out.emit(run_schema()?.batch(vec![scores, counts, sample, count(totals[0]), count(totals[1])])?)?;
        self.positives.clear();
        self.negatives.clear();
        Ok(())
    }
}

/// Two sorted lists as entries, ascending.
fn distinct<'a>(mut positives: &'a [u64], mut negatives: &'a [u64]) -> impl Iterator<Item = Entry> + 'a {
    std::iter::from_fn(move || {
        let next = match (positives.first(), negatives.first()) {
            (Some(a), Some(b)) => *a.min(b),
            (Some(one), None) | (None, Some(one)) => *one,
            (None, None) => return None,
        };
        let take = |sorted: &mut &'a [u64]| {
            let count = sorted.iter().take_while(|score| **score == next).count();
            *sorted = &sorted[count..];
            count as u64
        };
        let (positives, negatives) = (take(&mut positives), take(&mut negatives));
        Some(Entry { score: number(next), positives, negatives })
    })
}

impl SortRuns {
    fn wrong(&self, score: Option<f64>, label: Option<f64>) -> Error {
        let RunParams { score: score_column, label: label_column } = &self.params;
        Error::invalid(match (score, label) {
            (None, _) => format!("column {score_column:?} has a row without a score"),
            (Some(score), _) if score.is_infinite() => {
                format!("column {score_column:?} has an infinite score")
            }
            (_, None) => format!("column {label_column:?} has a row without a label"),
            _ => format!("the label {label_column:?} must be 0 or 1, or -1 or 1, for metrics of two classes"),
        })
    }
}

impl FoldKernel for SortRuns {
    type Params = RunParams;
    type State = Waiting;
    const NAME: &'static str = "evaluation.runs";

    fn output(params: &RunParams, input: &TableSchema) -> Result<TableSchema> {
        number_column(&params.score, input)?;
        number_column(&params.label, input)?;
        run_schema()
    }

    fn open(params: RunParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let (score, label) = (number_column(&params.score, input)?, number_column(&params.label, input)?);
        Ok(Self { params, score, label })
    }

    fn start(&self, _: PartContext) -> Result<Waiting> {
        Ok(Waiting::default())
    }

    fn fold(&self, waiting: &mut Waiting, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let (scores, labels) = (numbers(rows, self.score)?, numbers(rows, self.label)?);
        for (score, label) in optional(&scores).zip(optional(&labels)) {
            let finite = score.filter(|score| score.is_finite());
            let class = match (finite, label) {
                (Some(_), Some(1.0)) => &mut waiting.positives,
                (Some(_), Some(0.0 | -1.0)) => &mut waiting.negatives,
                _ => return Err(self.wrong(score, label)),
            };
            class.extend(finite.map(ordered));
        }
        if waiting.len() >= RUN_ROWS { waiting.emit(out) } else { Ok(()) }
    }

    fn finish(&self, mut waiting: Waiting, out: &mut dyn Emit) -> Result<()> {
        waiting.emit(out)
    }
}

/// Parameters of [`CutRuns`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CutParams {
    /// Where ranges begin but for the first, ascending: a score equal to a number is in the range above it.
    pub starts: Vec<f64>,
}

/// The range of a score.
pub(crate) fn range_of(score: f64, starts: &[f64]) -> usize {
    starts.partition_point(|start| *start <= score)
}

/// Kernel `evaluation.cut`: a run becomes one row for each range that it has scores of.
///
/// Shape: (range; `scores`, `counts`).
#[derive(Debug)]
pub(crate) struct CutRuns(CutParams);

/// Rows of a range.
pub(crate) fn range_schema() -> Result<TableSchema> {
    TableSchema::keyed("range", KeyType::UInt64, list_fields().to_vec())
}

impl FoldKernel for CutRuns {
    type Params = CutParams;
    type State = ();
    const NAME: &'static str = "evaluation.cut";

    fn output(_: &CutParams, input: &TableSchema) -> Result<TableSchema> {
        match *input == run_schema()? {
            true => range_schema(),
            false => Err(Error::invalid(format!("a cut of {input:?}, expected rows of evaluation.runs"))),
        }
    }

    fn open(params: CutParams, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        match params.starts.is_sorted_by(|a, b| a < b) {
            true => Ok(Self(params)),
            false => Err(Error::invalid("ranges of scores that do not ascend")),
        }
    }

    fn start(&self, _: PartContext) -> Result<()> {
        Ok(())
    }

    fn fold(&self, (): &mut (), rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let schema = range_schema()?;
        for row in 0..rows.num_rows() {
            let [scores, counts] = [0, 1].map(|i| rows.column(i).as_list::<i32>().value(row));
            let (scores, counts) =
                (scores.as_primitive::<Float64Type>(), counts.as_primitive::<UInt64Type>());
            let ends = self.0.starts.iter().map(|start| scores.values().partition_point(|s| s < start));
            let mut from = 0;
            for (range, to) in (0u64..).zip(ends.chain([scores.len()])) {
                if to > from {
                    let scores = scores.values()[from..to].to_vec();
                    let counts = counts.values()[from..to].to_vec();
                    out.emit(schema.batch(vec![
                        Arc::new(UInt64Array::from(vec![range])),
                        Arc::new(list_of_one::<Float64Type>(scores)?),
                        Arc::new(list_of_one::<UInt64Type>(counts)?),
                    ])?)?;
                }
                from = to;
            }
        }
        Ok(())
    }

    fn finish(&self, (): (), _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_ordered_as_their_numbers() {
        let numbers = [-1e300, -2.0, -1e-300, 0.0, 1e-300, 0.5, 1.0, 1e300];
        assert!(numbers.map(ordered).is_sorted());
        assert_eq!(numbers.map(ordered).map(number), numbers);
    }

    #[test]
    fn counts_of_more_than_32_bits_are_kept() {
        let big = Entry { score: 0.5, positives: (1 << 33) + 7, negatives: 3 };
        let lists = lists([big].into_iter()).unwrap();
        let rows = TableSchema::new(None, list_fields().to_vec()).unwrap().batch(lists.to_vec()).unwrap();
        let found = entries(&rows, 0, 0);
        assert!(found.iter().all(|entry| entry.score == 0.5));
        let sum = |of: fn(&Entry) -> u64| found.iter().map(of).sum::<u64>();
        assert_eq!((sum(|e| e.positives), sum(|e| e.negatives)), (big.positives, big.negatives));
    }
}
