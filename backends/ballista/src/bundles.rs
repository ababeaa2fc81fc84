//! Rows that an exchange moves: dealt out by partition, in bundles in the session's store. What goes through the
//! cluster's shuffle is where they are.
//!
//! The shuffle itself would copy every row, with two more columns, take a hash of it, encrypt it and decrypt it: moved that
//! way, a join of 5 million rows with 5 million took twice as long.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, BinaryArray, RecordBatch, UInt32Array};
use arrow_schema::DataType;
use arrow_select::take::take;
use bytes::Bytes;
use tributary_core::error::{Error, Result};
use tributary_core::layout::{Keys, Layout, partition_of};
use tributary_core::plan::Node;
use tributary_core::schema::{Field, TableSchema};
use tributary_partition::batches::{fit, wide_batch};
use tributary_partition::memory::batch_bytes;
use tributary_partition::view::{Places, place};

use crate::fragment::{Bundle, encode, moved_columns};
use crate::rows::{Chunk, Decoder, Encoder};

/// Bytes of rows that are dealt out at once: a bundle for each partition is made of them.
const DEAL_BYTES: u64 = 32 << 20;
/// What an encoding takes beside its rows, at most about.
const ENVELOPE_BYTES: usize = 16 << 10;
/// Rows of one batch that are put next to each other: values of 8 bytes fill two lines of a processor's cache.
const RANGE_ROWS: u32 = 64;
/// Most ranges of one partition.
const MAX_RANGES: u32 = 256;
/// Last column in a bundle: a row's number, counted from the bundle's first.
/// Two colons keep it apart from the columns of components, which have one.
const ROW: &str = "::row";

/// Deals the rows of one partition out.
pub(crate) struct Dealer {
    partition: u32,
    to: Layout,
    schema: TableSchema,
    /// Rows that wait to be packed, by partition.
    shares: Vec<Vec<RecordBatch>>,
    waiting_bytes: u64,
    /// Number of the first row that waits, and how many do.
    first_row: u64,
    waiting_rows: u64,
    bundles: Vec<Vec<Bundle>>,
    /// Packed, and not yet taken away.
    ready: Chunk,
    /// Bytes taken away.
    taken: u64,
    /// Where bundles are written.
    pub(crate) file: String,
}

impl Dealer {
    pub(crate) fn new(partition: u32, exchange: &Node) -> Result<Self> {
        let to = exchange.layout().clone();
        Ok(Self {
            partition,
            schema: packed(exchange.schema())?,
            shares: vec![Vec::new(); to.partitions() as usize],
            waiting_bytes: 0,
            first_row: 0,
            waiting_rows: 0,
            bundles: vec![Vec::new(); to.partitions() as usize],
            to,
            ready: Chunk::default(),
            taken: 0,
            file: String::new(),
        })
    }

    /// Takes rows; gives bytes to be written, once there are enough.
    pub(crate) fn deal(&mut self, batch: RecordBatch) -> Result<Option<Bytes>> {
        self.waiting_bytes += batch_bytes(&batch);
        self.share_out(batch)?;
        if self.waiting_bytes >= DEAL_BYTES {
            self.pack_all()?;
        }
        Ok(self.ready.take_enough().inspect(|bytes| self.taken += bytes.len() as u64))
    }

    /// The last bytes.
    pub(crate) fn finish(&mut self) -> Result<Bytes> {
        self.pack_all()?;
        Ok(self.ready.take())
    }

    /// Whether there were no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.bundles.iter().all(Vec::is_empty)
    }

    /// One batch at a time, while it is in the processor's cache; the rows for one partition are put beside those of
    /// nearly the same hash, which is how the receiver will ask for them.
    fn share_out(&mut self, batch: RecordBatch) -> Result<()> {
        let each = self.ranges_each(batch.num_rows());
        let ranges = self.ranges(&batch, each)?;
        let mut starts = vec![0usize; self.shares.len() * each as usize + 1];
        ranges.iter().for_each(|range| starts[*range as usize + 1] += 1);
        (1..starts.len()).for_each(|i| starts[i] += starts[i - 1]);
        let order = UInt32Array::from(in_order(&ranges, &starts));
        let columns = batch.columns().iter().map(|column| take(column, &order, None));
        let mut columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
        let first = u32::try_from(self.waiting_rows)
            .map_err(|_| Error::bug("more rows wait than are packed at once"))?;
        columns.push(Arc::new(order.unary::<_, UInt32Type>(|row| first + row)) as ArrayRef);
        let dealt = wide_batch(&self.schema, columns, ranges.len())?;
        for (partition, share) in self.shares.iter_mut().enumerate() {
            let first = partition * each as usize;
            let (start, end) = (starts[first], starts[first + each as usize]);
            if start < end {
                share.push(dealt.slice(start, end - start));
            }
        }
        self.waiting_rows += ranges.len() as u64;
        Ok(())
    }

    fn pack_all(&mut self) -> Result<()> {
        let numbers = self.waiting_rows * size_of::<u32>() as u64;
        let envelopes = self.shares.len() * ENVELOPE_BYTES;
        self.ready.reserve((self.waiting_bytes + numbers) as usize + envelopes);
        for to in 0..self.shares.len() {
            let share = std::mem::take(&mut self.shares[to]);
            if !share.is_empty() {
                self.pack(to, share)?;
            }
        }
        self.first_row += std::mem::take(&mut self.waiting_rows);
        self.waiting_bytes = 0;
        Ok(())
    }

    fn pack(&mut self, to: usize, share: Vec<RecordBatch>) -> Result<()> {
        let start = self.taken + self.ready.len() as u64;
        let mut encoder = Encoder::behind(&self.schema, self.ready.clone())?;
        share.into_iter().try_for_each(|batch| encoder.push(batch))?;
        let rows = encoder.end()?;
        self.bundles[to].push(Bundle {
            partition: self.partition,
            first_row: self.first_row,
            file: String::new(),
            bytes: start..self.taken + self.ready.len() as u64,
            rows,
        });
        Ok(())
    }

    /// Ranges of the hash in each partition, so that a few rows of this many are in each.
    fn ranges_each(&self, rows: usize) -> u32 {
        match self.to {
            Layout::Keyed(n) => (rows as u32 / RANGE_ROWS / n).clamp(1, MAX_RANGES),
            _ => 1,
        }
    }

    /// The range that each row goes to: so many of them are a partition.
    fn ranges(&self, batch: &RecordBatch, each: u32) -> Result<Vec<u32>> {
        let keys = Keys::of(batch.column(0))?;
        match (&self.to, &keys) {
            (Layout::Keyed(n), _) => {
                Ok(keys.hashes().into_iter().map(|hash| partition_of(hash, n * each)).collect())
            }
            (Layout::Rows(ranges), Keys::UInt64(numbers)) => {
                let first = self.first_row + self.waiting_rows;
                let find = |(row, number): (u64, &u64)| {
                    ranges.partition_of(*number).ok_or_else(|| {
                        let (partition, all) = (self.partition, ranges.all());
                        let text = format!(
                            "the row number in partition {partition}, row {row} is not within {all:?}"
                        );
                        Error::invalid(text).at("exchange")
                    })
                };
                (first..).zip(*numbers).map(find).collect()
            }
            _ => Err(Error::bug("rows of a loose exchange, which are cut and not moved")),
        }
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

/// Rows by range, in source order within each.
fn in_order(ranges: &[u32], starts: &[usize]) -> Vec<u32> {
    let mut next = starts.to_vec();
    let mut order = vec![0u32; ranges.len()];
    for (row, range) in (0..).zip(ranges) {
        let slot = &mut next[*range as usize];
        order[*slot] = row;
        *slot += 1;
    }
    order
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
) -> Result<impl Iterator<Item = Result<(RecordBatch, Places)>> + use<>> {
    let rows = Decoder::new(&packed(schema)?, bytes, 0..bundle.rows)?;
    let (schema, first) = (schema.clone(), place(bundle.partition, bundle.first_row));
    Ok(rows.map(move |batch| {
        let batch = batch?;
        let width = batch.num_columns() - 1;
        let places = Places::Behind(first, batch.column(width).as_primitive::<UInt32Type>().clone());
        let own: Vec<usize> = (0..width).collect();
        Ok((fit(&schema, batch.project(&own)?)?, places))
    }))
}
