//! Rows that an exchange moves: dealt out by partition, in bundles that lie in the session's store. What goes through the
//! cluster's shuffle is where they are.
//!
//! The shuffle itself would copy every row, with two more columns, take a hash of it, encrypt it and decrypt it: moved that
//! way, a join of 5 million rows with 5 million took 1.0 s instead of what is in the benches. And what a lost executor had moved
//! is not lost.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, UInt32Array, UInt64Array};
use arrow_schema::DataType;
use arrow_select::interleave::interleave;
use bytes::Bytes;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::layout::{Keys, Layout, partition_of};
use tributary_core::plan::Node;
use tributary_core::schema::{Field, TableSchema};
use tributary_partition::batches::{fit, wide_batch};
use tributary_partition::memory::batch_bytes;
use tributary_partition::view::place;

use crate::fragment::{Bundle, encode};
use crate::node::moved_columns;
use crate::rows::{Decoder, Encoder};

/// Bytes of rows that are dealt out at once: a bundle for each partition is made of them.
const DEAL_BYTES: u64 = 32 << 20;
/// Bytes handed to a store at once.
const CHUNK_BYTES: usize = 8 << 20;
/// Last column in a bundle: a row's number, counted from the bundle's first.
const ROW: &str = ":row";

/// Deals the rows of one partition out.
pub(crate) struct Dealer {
    partition: u32,
    to: Layout,
    schema: TableSchema,
    waiting: Vec<RecordBatch>,
    waiting_bytes: u64,
    /// Number of the first row that waits.
    first_row: u64,
    bundles: Vec<Vec<Bundle>>,
    ready: Vec<u8>,
    written: u64,
    /// Where bundles are written.
    pub(crate) file: String,
}

impl Dealer {
    pub(crate) fn new(partition: u32, exchange: &Node) -> Result<Self> {
        let to = exchange.layout().clone();
        Ok(Self {
            partition,
            schema: packed(exchange.schema())?,
            waiting: Vec::new(),
            waiting_bytes: 0,
            first_row: 0,
            bundles: vec![Vec::new(); to.partitions() as usize],
            to,
            ready: Vec::new(),
            written: 0,
            file: String::new(),
        })
    }

    /// Takes rows; gives bytes to be written, once there are enough.
    pub(crate) fn deal(&mut self, batch: RecordBatch) -> Result<Option<Bytes>> {
        self.waiting_bytes += batch_bytes(&batch);
        self.waiting.push(batch);
        if self.waiting_bytes >= DEAL_BYTES {
            self.deal_out()?;
        }
        let enough = self.ready.len() >= CHUNK_BYTES;
        Ok(enough.then(|| Bytes::from(std::mem::take(&mut self.ready))))
    }

    /// The last bytes.
    pub(crate) fn finish(&mut self) -> Result<Bytes> {
        self.deal_out()?;
        Ok(Bytes::from(std::mem::take(&mut self.ready)))
    }

    /// Whether there were no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.bundles.iter().all(Vec::is_empty)
    }

    fn deal_out(&mut self) -> Result<()> {
        let batches = std::mem::take(&mut self.waiting);
        self.waiting_bytes = 0;
        let partitions = self.partitions(&batches)?;
        let rows = partitions.len();
        if u32::try_from(rows).is_err() {
            return Err(Error::new(ErrorKind::Exhausted, format!("an exchange of {rows} rows at once")));
        }
        let mut starts = vec![0usize; self.bundles.len() + 1];
        partitions.iter().for_each(|partition| starts[*partition as usize + 1] += 1);
        (1..starts.len()).for_each(|i| starts[i] += starts[i - 1]);
        let (order, numbers) = in_order(&batches, &partitions, &starts);
        for partition in 0..self.bundles.len() {
            let own = starts[partition]..starts[partition + 1];
            if !own.is_empty() {
                self.pack(partition, &batches, &order[own.clone()], &numbers[own])?;
            }
        }
        self.first_row += rows as u64;
        Ok(())
    }

    fn pack(
        &mut self,
        to: usize,
        batches: &[RecordBatch],
        order: &[(usize, usize)],
        numbers: &[u32],
    ) -> Result<()> {
        let column = |i: usize| {
            let arrays: Vec<&dyn Array> = batches.iter().map(|batch| batch.column(i).as_ref()).collect();
            interleave(&arrays, order)
        };
        let width = batches[0].num_columns();
        let mut columns = (0..width).map(column).collect::<std::result::Result<Vec<_>, _>>()?;
        columns.push(Arc::new(UInt32Array::from(numbers.to_vec())) as ArrayRef);
        let mut encoder = Encoder::new(&self.schema)?;
        encoder.push(wide_batch(&self.schema, columns, order.len())?)?;
        let (bytes, rows) = encoder.whole()?;
        let start = self.written;
        self.written += bytes.len() as u64;
        self.ready.extend_from_slice(&bytes);
        self.bundles[to].push(Bundle {
            partition: self.partition,
            first_row: self.first_row,
            file: String::new(),
            bytes: start..self.written,
            rows,
        });
        Ok(())
    }

    /// The partition that each row goes to.
    fn partitions(&self, batches: &[RecordBatch]) -> Result<Vec<u32>> {
        let mut partitions = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
        for batch in batches {
            let keys = Keys::of(batch.column(0))?;
            match (&self.to, &keys) {
                (Layout::Keyed(n), _) => {
                    partitions.extend(keys.hashes().into_iter().map(|hash| partition_of(hash, *n)));
                }
                (Layout::Rows(ranges), Keys::UInt64(numbers)) => {
                    for number in *numbers {
                        let row = self.first_row + partitions.len() as u64;
                        partitions.push(ranges.partition_of(*number).ok_or_else(|| {
                            let (partition, all) = (self.partition, ranges.all());
                            Error::invalid(format!(
                                "the row number in partition {partition}, row {row} is not within {all:?}"
                            ))
                            .at("exchange")
                        })?);
                    }
                }
                _ => return Err(Error::bug("rows of a loose exchange, which are cut and not moved")),
            }
        }
        Ok(partitions)
    }

    /// What goes through the shuffle: for each partition its bundles, and the value that leads there.
    pub(crate) fn bundles(mut self, routes: &[u32]) -> Result<RecordBatch> {
        self.bundles.iter_mut().flatten().for_each(|bundle| bundle.file.clone_from(&self.file));
        let filled = self.bundles.iter().zip(routes).filter(|(bundles, _)| !bundles.is_empty());
        let (bundles, routes): (Vec<_>, Vec<u32>) =
            filled.map(|(bundles, route)| (encode(bundles), *route)).unzip();
        let bundles = bundles.into_iter().collect::<Result<Vec<Vec<u8>>>>()?;
        let bundles: ArrayRef = Arc::new(BinaryArray::from_iter_values(bundles));
        Ok(RecordBatch::try_new(moved_columns(), vec![bundles, Arc::new(UInt32Array::from(routes))])?)
    }
}

/// Places of rows by partition, in source order within each, and their numbers.
fn in_order(
    batches: &[RecordBatch],
    partitions: &[u32],
    starts: &[usize],
) -> (Vec<(usize, usize)>, Vec<u32>) {
    let mut next = starts.to_vec();
    let (mut order, mut numbers) = (vec![(0, 0); partitions.len()], vec![0u32; partitions.len()]);
    let mut number = 0;
    for (batch, rows) in batches.iter().map(RecordBatch::num_rows).enumerate() {
        for row in 0..rows {
            let slot = &mut next[partitions[number] as usize];
            order[*slot] = (batch, row);
            numbers[*slot] = number as u32;
            *slot += 1;
            number += 1;
        }
    }
    (order, numbers)
}

fn packed(schema: &TableSchema) -> Result<TableSchema> {
    let row = Field::new(ROW, DataType::UInt32);
    schema.with_fields(schema.fields().iter().cloned().chain([row]).collect())
}

/// The rows of a bundle, and where each was.
pub(crate) fn unpack(
    schema: &TableSchema,
    bundle: &Bundle,
    bytes: Bytes,
) -> Result<impl Iterator<Item = Result<(RecordBatch, UInt64Array)>> + use<>> {
    let rows = Decoder::new(&packed(schema)?, bytes, 0..bundle.rows)?;
    let (schema, partition, first_row) = (schema.clone(), bundle.partition, bundle.first_row);
    Ok(rows.map(move |batch| {
        let batch = batch?;
        let width = batch.num_columns() - 1;
        let numbers = batch.column(width).as_primitive::<UInt32Type>();
        let places = numbers.values().iter().map(|number| place(partition, first_row + u64::from(*number)));
        let places = UInt64Array::from_iter_values(places);
        let own: Vec<usize> = (0..width).collect();
        Ok((fit(&schema, batch.project(&own)?)?, places))
    }))
}
