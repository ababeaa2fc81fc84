//! Batches: fitting them to a schema, gathering small ones, and rows that are held.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_data::ArrayData;
use arrow_select::concat::concat_batches;
use tributary_core::computing::PartSize;
use tributary_core::error::{Error, Result};
use tributary_core::schema::TableSchema;

use crate::memory::{Hold, Memory, batch_bytes};
use crate::piece::Piece;

/// One partition's rows on their way: pulled, in order, without empty batches.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// The same, in pieces of the reader's choice.
pub struct Feed {
    input: Batches,
    rest: Option<RecordBatch>,
}

impl Feed {
    pub fn new(input: Batches) -> Self {
        Self { input, rest: None }
    }

    /// How many rows the next pull can give; 0 at the end.
    pub fn ready(&mut self) -> Result<usize> {
        if self.rest.is_none() {
            self.rest = self.input.next().transpose()?;
        }
        Ok(self.rest.as_ref().map_or(0, RecordBatch::num_rows))
    }

    /// The next rows, at most so many.
    pub fn pull(&mut self, most: usize) -> Result<Option<RecordBatch>> {
        let ready = self.ready()?;
        let Some(batch) = self.rest.take() else { return Ok(None) };
        if ready <= most {
            return Ok(Some(batch));
        }
        self.rest = Some(batch.slice(most, ready - most));
        Ok(Some(batch.slice(0, most)))
    }
}

/// Rows of a batch that is worked on at once: two columns of 8 bytes fill half of a usual second-level cache.
pub const BATCH_ROWS: usize = 32_768;
/// Fewer rows than this are copied together; more are passed on as they are.
const SMALL_ROWS: usize = 1024;
/// More than this is passed on, however few the rows.
const SMALL_BYTES: u64 = 1 << 20;

/// The batch under the schema's own names, if its columns are what the schema says.
pub fn fit(schema: &TableSchema, batch: RecordBatch) -> Result<RecordBatch> {
    schema.check(&batch)?;
    if Arc::ptr_eq(batch.schema_ref(), schema.arrow()) {
        return Ok(batch);
    }
    let rows = batch.num_rows();
    wide_batch(schema, batch.columns().to_vec(), rows)
}

/// A batch of this schema, which may have no columns at all.
pub fn wide_batch(
    schema: &TableSchema,
    columns: Vec<arrow_array::ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema.arrow().clone(), columns, &options)
        .map_err(|e| Error::invalid(format!("columns do not make a batch of {schema:?}")).because(e))
}

/// Puts batches away and copies small ones together: what is kept will be read many times.
pub struct Gather {
    schema: TableSchema,
    small: Vec<RecordBatch>,
    small_rows: usize,
    small_bytes: u64,
    done: Vec<RecordBatch>,
}

impl Gather {
    pub fn new(schema: &TableSchema) -> Self {
        Self { schema: schema.clone(), small: Vec::new(), small_rows: 0, small_bytes: 0, done: Vec::new() }
    }

    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let rows = batch.num_rows();
        if rows >= SMALL_ROWS {
            self.flush()?;
            self.done.push(batch);
        } else if rows > 0 {
            self.small_bytes += batch_bytes(&batch);
            self.small_rows += rows;
            self.small.push(batch);
            if self.small_rows >= BATCH_ROWS || self.small_bytes >= SMALL_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// What is put away so far.
    pub fn take(&mut self) -> Vec<RecordBatch> {
        std::mem::take(&mut self.done)
    }

    fn flush(&mut self) -> Result<()> {
        (self.small_rows, self.small_bytes) = (0, 0);
        let small = std::mem::take(&mut self.small);
        match small.len() {
            0 => {}
            1 => self.done.extend(small),
            _ => self.done.push(concat_batches(self.schema.arrow(), &small)?),
        }
        Ok(())
    }

    pub fn finish(mut self) -> Result<Vec<RecordBatch>> {
        self.flush()?;
        Ok(self.done)
    }
}

/// Partitions that a session holds, and their share of the budget.
pub struct Held {
    parts: Vec<Vec<Piece>>,
    hold: Hold,
}

impl Held {
    /// `hold` covers the pieces that are in memory, unless somebody else's does.
    pub fn new(parts: Vec<Vec<Piece>>, hold: Hold) -> Self {
        Self { parts, hold }
    }

    /// The same rows once more: buffers and files are shared, and not counted again.
    pub fn share(&self, memory: &Arc<Memory>) -> Self {
        Self { parts: self.parts.clone(), hold: memory.hold() }
    }

    pub fn part(&self, partition: u32) -> &[Piece] {
        &self.parts[partition as usize]
    }

    pub fn into_parts(self) -> (Vec<Vec<Piece>>, Hold) {
        (self.parts, self.hold)
    }

    pub fn partitions(&self) -> u32 {
        self.parts.len() as u32
    }

    /// Whether all rows are in memory.
    pub fn is_here(&self) -> bool {
        self.parts.iter().flatten().all(|piece| matches!(piece, Piece::Here(_)))
    }

    pub fn rows(&self) -> u64 {
        self.counts().sum()
    }

    /// What a row takes in memory, on average.
    pub fn row_bytes(&self) -> u64 {
        let bytes: u64 = self.parts.iter().flatten().map(Piece::bytes).sum();
        bytes.div_ceil(self.rows().max(1))
    }

    /// Rows of each partition.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        self.parts.iter().map(|part| part.iter().map(|piece| piece.rows() as u64).sum())
    }

    pub fn sizes(&self) -> Vec<PartSize> {
        let bytes = self.parts.iter().map(|part| part.iter().map(Piece::bytes).sum());
        self.counts().zip(bytes).map(|(rows, bytes)| PartSize { rows, bytes }).collect()
    }

    /// Copies the rows in memory if the buffers behind them are much larger: a slice would keep all of another table in
    /// memory, and uncounted.
    pub fn compact(self, schema: &TableSchema) -> Result<Self> {
        const SLACK_BYTES: u64 = 1 << 20;
        let shown: u64 = self.parts.iter().flatten().map(Piece::bytes_here).sum();
        let mut buffers = HashMap::new();
        for piece in self.parts.iter().flatten() {
            if let Piece::Here(batch) = piece {
                batch.columns().iter().for_each(|column| add_buffers(&column.to_data(), &mut buffers));
            }
        }
        if buffers.values().sum::<u64>() <= 2 * shown + SLACK_BYTES {
            return Ok(self);
        }
        // Arrow copies nothing where only one batch has to be joined.
        let copy = |piece: Piece| match piece {
            Piece::Here(batch) => {
                let copied = concat_batches(schema.arrow(), [&batch, &schema.empty_batch()]);
                copied.map(Piece::Here).map_err(Error::from)
            }
            away => Ok(away),
        };
        let copy_part = |part: Vec<Piece>| part.into_iter().map(copy).collect::<Result<_>>();
        let parts = self.parts.into_iter().map(copy_part).collect::<Result<_>>()?;
        Ok(Self { parts, hold: self.hold })
    }
}

fn add_buffers(data: &ArrayData, buffers: &mut HashMap<usize, u64>) {
    let nulls = data.nulls().map(|nulls| nulls.buffer());
    for buffer in data.buffers().iter().chain(nulls) {
        buffers.insert(buffer.data_ptr().as_ptr() as usize, buffer.capacity() as u64);
    }
    data.child_data().iter().for_each(|child| add_buffers(child, buffers));
}

#[cfg(test)]
mod tests {
    use arrow_array::{ArrayRef, UInt64Array};
    use tributary_core::ids::SessionId;
    use tributary_core::schema::KeyType;

    use super::*;

    fn numbers(rows: std::ops::Range<u64>) -> (TableSchema, RecordBatch) {
        let schema = TableSchema::keyed("k", KeyType::UInt64, vec![]).unwrap();
        let keys: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows));
        let batch = schema.batch(vec![keys]).unwrap();
        (schema, batch)
    }

    #[test]
    fn a_small_slice_does_not_keep_a_large_table() {
        let (schema, large) = numbers(0..1_000_000);
        let memory = Memory::new("s.t.0".parse::<SessionId>().unwrap(), u64::MAX);
        let held = Held::new(vec![vec![Piece::Here(large.slice(10, 100))]], memory.hold());
        let held = held.compact(&schema).unwrap();
        let batch = held.part(0)[0].load().unwrap();
        assert_eq!(batch, large.slice(10, 100));
        assert!(batch.get_array_memory_size() < 1_000_000);
    }

    #[test]
    fn small_batches_are_gathered_and_large_ones_passed_on() {
        let (schema, large) = numbers(0..100_000);
        let mut gather = Gather::new(&schema);
        for rows in [1, 8, 64, 512, 50_000] {
            gather.push(large.slice(0, rows)).unwrap();
        }
        let rows: Vec<usize> = gather.finish().unwrap().iter().map(|b| b.num_rows()).collect();
        assert_eq!(rows.iter().sum::<usize>(), 50_585);
        assert!(rows.len() <= 3, "{rows:?}");
    }
}
