//! The kernels that pick the common rows: `psi.common` at the party that asked, `psi.pick` at the one that answered.
//!
//! Common rows are in the order of buckets, and within one in the order of the answers of the first party that answered. That
//! order is random to everybody else.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use arrow_select::interleave::interleave_record_batch;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::{Error, ErrorKind, Field, Result, TableSchema};

use super::bucket::{self, NO_ROW, Order};
use super::digests::{DIGEST, Keys};
use super::messages::{BucketsParams, order};
use super::plan::Plan;

/// Most rows of a batch that comes out.
const BATCH_ROWS: usize = 8_192;

/// Rows of a bucket, of which some are given back in another order.
#[derive(Default)]
struct Held {
    batches: Vec<RecordBatch>,
}

impl Held {
    /// The chosen rows, by batch and row.
    fn emit(
        &self,
        chosen: &[(usize, usize)],
        out: &mut dyn Emit,
        more: impl Fn(RecordBatch, usize) -> Result<RecordBatch>,
    ) -> Result<()> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        for (at, chosen) in chosen.chunks(BATCH_ROWS).enumerate() {
            out.emit(more(interleave_record_batch(&batches, chosen)?, at * BATCH_ROWS)?)?;
        }
        Ok(())
    }
}

/// All columns but the digest, and more at the end.
fn without_digest(input: &TableSchema, more: Vec<Field>) -> Result<TableSchema> {
    input.column_index(DIGEST)?;
    let fields = input.fields().iter().filter(|field| field.name != DIGEST).cloned().chain(more);
    input.with_fields(fields.collect())
}

/// Parameters of [`Common`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommonParams {
    /// What was agreed with each party that answers, in the order of the blobs.
    pub plans: Vec<Plan>,
    /// The buckets.
    pub buckets: std::ops::Range<u32>,
    /// Names of the columns of the rows' places in each party's answers.
    pub places: Vec<String>,
    /// Name of the column of the rows' numbers.
    pub row: String,
}

/// Kernel `psi.common`: the rows that all others have. Its blobs are, for each bucket and each party that answered, the own tags
/// and the answer.
///
/// Shape: all columns but [`DIGEST`], one of `UInt64` with each row's number within its bucket, which is in the upper half; and
/// one for each party: place plus bucket times capacity. Rows of one id are adjacent. Errors: `Corrupt` for an answer of another length.
pub struct Common {
    params: CommonParams,
    column: usize,
    output: TableSchema,
    blobs: Vec<Blob>,
}

/// Rows that are common, so far.
pub struct Matching {
    bucket: u32,
    keys: Keys,
    places: Vec<Vec<u32>>,
    held: Held,
    /// Rows that have come.
    seen: u32,
    chosen: Vec<ChosenRow>,
}

/// A common row: its key, its number in the bucket, and where it is held.
struct ChosenRow {
    key: u32,
    number: u32,
    at: (usize, usize),
}

/// A row's number with its bucket.
fn numbered(bucket: u32, number: u32) -> u64 {
    u64::from(bucket) << 32 | u64::from(number)
}

/// The columns that are added to common rows.
fn added(row: &str, places: &[String]) -> Vec<Field> {
    std::iter::once(row)
        .chain(places.iter().map(String::as_str))
        .map(|name| Field::new(name, DataType::UInt64))
        .collect()
}

impl Common {
    fn places(&self, bucket: u32) -> Result<Vec<Vec<u32>>> {
        let parties = self.params.plans.len();
        let at = (bucket - self.params.buckets.start) as usize * 2 * parties;
        let blobs = self.blobs.get(at..at + 2 * parties);
        let (pairs, _) = blobs.ok_or_else(|| Error::invalid("too few blobs"))?.as_chunks::<2>();
        let common = |((plan, [own, answer]), name): ((&Plan, &[Blob; 2]), &String)| {
            bucket::common(plan, bucket, own.bytes(), answer.bytes()).map_err(|e| e.at(name.clone()))
        };
        self.params.plans.iter().zip(pairs).zip(&self.params.places).map(common).collect()
    }
}

impl FoldKernel for Common {
    type Params = CommonParams;
    type State = Option<Box<Matching>>;
    const NAME: &'static str = "psi.common";

    fn output(params: &CommonParams, input: &TableSchema) -> Result<TableSchema> {
        without_digest(input, added(&params.row, &params.places))
    }

    fn open(params: CommonParams, input: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        if params.plans.is_empty() || params.plans.len() != params.places.len() {
            return Err(Error::invalid("an intersection with nobody"));
        }
        params.plans.iter().try_for_each(Plan::check)?;
        let (column, output) = (input.column_index(DIGEST)?, Self::output(&params, input)?);
        Ok(Self { params, column, output, blobs: blobs.to_vec() })
    }

    fn start(&self, part: PartContext) -> Result<Self::State> {
        if !self.params.buckets.contains(&part.partition) {
            return Ok(None);
        }
        Ok(Some(Box::new(Matching {
            bucket: part.partition,
            keys: Keys::default(),
            places: self.places(part.partition)?,
            held: Held::default(),
            seen: 0,
            chosen: Vec::new(),
        })))
    }

    fn fold(&self, state: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let Some(state) = state else { return Ok(()) };
        let keys = state.keys.add(&self.params.plans[0], state.bucket, rows, self.column)?;
        let batch = state.held.batches.len();
        let is_common = |key: u32| {
            state.places.iter().all(|places| places.get(key as usize).is_some_and(|place| *place != NO_ROW))
        };
        let before = state.chosen.len();
        let first = state.seen;
        state.seen += keys.len() as u32;
        let common = (0u32..).zip(keys).filter(|(_, key)| is_common(*key));
        let row = |(row, key)| ChosenRow { key, number: first + row, at: (batch, row as usize) };
        state.chosen.extend(common.map(row));
        if state.chosen.len() > before {
            let mut rows = rows.clone();
            rows.remove_column(self.column);
            state.held.batches.push(rows);
        }
        Ok(())
    }

    fn finish(&self, state: Self::State, out: &mut dyn Emit) -> Result<()> {
        let Some(mut state) = state else { return Ok(()) };
        let place = |places: &Vec<u32>, key: u32| places[key as usize];
        state.chosen.sort_by_key(|row| place(&state.places[0], row.key));
        let rows: Vec<(usize, usize)> = state.chosen.iter().map(|row| row.at).collect();
        state.held.emit(&rows, out, |rows, from| {
            let chosen = &state.chosen[from..from + rows.num_rows()];
            let numbers = chosen.iter().map(|row| numbered(state.bucket, row.number));
            let places_of = |(plan, places): (&Plan, &Vec<u32>)| {
                let first = u64::from(state.bucket) * plan.held_capacity() as u64;
                let numbers = chosen.iter().map(|row| first + u64::from(place(places, row.key)));
                Arc::new(UInt64Array::from_iter_values(numbers)) as ArrayRef
            };
            let mut columns = rows.columns().to_vec();
            columns.push(Arc::new(UInt64Array::from_iter_values(numbers)));
            columns.extend(self.params.plans.iter().zip(&state.places).map(places_of));
            self.output.batch(columns)
        })
    }
}

/// Parameters of [`Restore`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestoreParams {
    /// The buckets.
    pub buckets: std::ops::Range<u32>,
    /// As in [`CommonParams`].
    pub row: String,
    /// As in [`CommonParams`].
    pub places: Vec<String>,
}

/// Kernel `psi.restore`: gives what [`Common`] gave before. Its blobs are, for each bucket, the columns that it added, row by row,
/// as numbers of eight bytes.
///
/// Shape: as of [`Common`]. Errors: `InvalidInput` for numbers of rows that do not exist.
pub struct Restore {
    params: RestoreParams,
    column: usize,
    output: TableSchema,
    blobs: Vec<Blob>,
}

/// All rows of a bucket, by batch and row.
#[derive(Default)]
pub struct Restoring {
    bucket: u32,
    held: Held,
    rows: Vec<(usize, usize)>,
}

impl FoldKernel for Restore {
    type Params = RestoreParams;
    type State = Option<Restoring>;
    const NAME: &'static str = "psi.restore";

    fn output(params: &RestoreParams, input: &TableSchema) -> Result<TableSchema> {
        without_digest(input, added(&params.row, &params.places))
    }

    fn open(params: RestoreParams, input: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        let (column, output) = (input.column_index(DIGEST)?, Self::output(&params, input)?);
        Ok(Self { params, column, output, blobs: blobs.to_vec() })
    }

    fn start(&self, part: PartContext) -> Result<Self::State> {
        let wanted = self.params.buckets.contains(&part.partition);
        Ok(wanted.then(|| Restoring { bucket: part.partition, ..Restoring::default() }))
    }

    fn fold(&self, state: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let Some(state) = state else { return Ok(()) };
        let batch = state.held.batches.len();
        state.rows.extend((0..rows.num_rows()).map(|row| (batch, row)));
        let mut rows = rows.clone();
        rows.remove_column(self.column);
        state.held.batches.push(rows);
        Ok(())
    }

    fn finish(&self, state: Self::State, out: &mut dyn Emit) -> Result<()> {
        let Some(state) = state else { return Ok(()) };
        let wrong = || Error::invalid("what was kept does not fit these rows");
        let blob = self.blobs.get((state.bucket - self.params.buckets.start) as usize).ok_or_else(wrong)?;
        let (words, _) = blob.bytes().as_chunks::<8>();
        let width = self.params.places.len() + 1;
        let numbers: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let row = |columns: &[u64]| state.rows.get(columns[0] as u32 as usize).copied().ok_or_else(wrong);
        let chosen = numbers.chunks_exact(width).map(row).collect::<Result<Vec<_>>>()?;
        state.held.emit(&chosen, out, |rows, from| {
            let kept = &numbers[from * width..(from + rows.num_rows()) * width];
            let column =
                |at| UInt64Array::from_iter_values(kept.chunks_exact(width).map(|columns| columns[at]));
            let mut columns = rows.columns().to_vec();
            columns.extend((0..width).map(|at| Arc::new(column(at)) as ArrayRef));
            self.output.batch(columns)
        })
    }
}

/// Kernel `psi.pick`: the rows that were found to be common, in their order. Its blobs are the secret key of the order, and for
/// each bucket the places within it, as numbers of four bytes.
///
/// Shape: all columns but [`DIGEST`]. A row occurs as often as its place. Errors: `Corrupt` for a place that is no row's.
pub struct Pick {
    params: BucketsParams,
    column: usize,
    output: TableSchema,
    order: Order,
    blobs: Vec<Blob>,
}

/// All rows of a bucket.
pub struct Picking {
    bucket: u32,
    keys: Keys,
    held: Held,
    /// Batch and row of each key.
    rows: Vec<(usize, usize)>,
}

impl FoldKernel for Pick {
    type Params = BucketsParams;
    type State = Option<Box<Picking>>;
    const NAME: &'static str = "psi.pick";
    const VERSION: u32 = 2;

    fn output(_: &BucketsParams, input: &TableSchema) -> Result<TableSchema> {
        without_digest(input, Vec::new())
    }

    fn open(params: BucketsParams, input: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        params.plan.check()?;
        let (order, blobs) = order(blobs)?;
        let (column, output) = (input.column_index(DIGEST)?, Self::output(&params, input)?);
        Ok(Self { params, column, output, order, blobs: blobs.to_vec() })
    }

    fn start(&self, part: PartContext) -> Result<Self::State> {
        let wanted = self.params.buckets.contains(&part.partition);
        let (keys, held) = (Keys::default(), Held::default());
        Ok(wanted.then(|| Box::new(Picking { bucket: part.partition, keys, held, rows: Vec::new() })))
    }

    fn fold(&self, state: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let Some(state) = state else { return Ok(()) };
        let keys = state.keys.add(&self.params.plan, state.bucket, rows, self.column)?;
        let batch = state.held.batches.len();
        state.rows.extend((0..keys.len()).map(|row| (batch, row)));
        let mut rows = rows.clone();
        rows.remove_column(self.column);
        state.held.batches.push(rows);
        Ok(())
    }

    fn finish(&self, state: Self::State, out: &mut dyn Emit) -> Result<()> {
        let Some(state) = state else { return Ok(()) };
        let wrong = || Error::new(ErrorKind::Corrupt, "a row was asked for that does not exist");
        let blob = self.blobs.get((state.bucket - self.params.buckets.start) as usize).ok_or_else(wrong)?;
        let (places, _) = blob.bytes().as_chunks::<4>();
        let order = self.order.rows(&self.params.plan, state.bucket, &state.keys.keys);
        let row = |place: &[u8; 4]| {
            let row = order.get(u32::from_le_bytes(*place) as usize).ok_or_else(wrong)?;
            state.rows.get(*row as usize).copied().ok_or_else(wrong)
        };
        let chosen = places.iter().map(row).collect::<Result<Vec<_>>>()?;
        state.held.emit(&chosen, out, |rows, _| self.output.batch(rows.columns().to_vec()))
    }
}
