//! Rows addressed by (batch, row): what sorting and numbering move around instead of the rows themselves.

use arrow_array::{Array, RecordBatch};
use arrow_select::interleave::interleave;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::layout::{Keys, RowRanges};
use tributary_core::schema::TableSchema;

use crate::batches::{Gather, Held, wide_batch};
use crate::memory::Hold;

/// Rows that will be addressed by (batch, row), and where they were.
pub(crate) struct Sources {
    batches: Vec<RecordBatch>,
    firsts: Vec<u64>,
    partitions: RowRanges,
}

impl Sources {
    /// The rows of all partitions, one after another, and the share of the budget to hold on to meanwhile.
    pub(crate) fn of(schema: &TableSchema, held: Held) -> Result<(Self, Hold)> {
        let partitions = RowRanges::from_counts(held.counts());
        let (parts, hold) = held.into_parts();
        let mut batches: Vec<RecordBatch> = parts.into_iter().flatten().collect();
        // Every range of a sort looks at every batch: thousands of small ones would cost more than joining them.
        if batches.len() as u64 > 64 + partitions.all().end / 4096 {
            let mut gather = Gather::new(schema);
            batches.into_iter().try_for_each(|batch| gather.push(batch))?;
            batches = gather.finish()?;
        }
        let mut first = 0;
        let mut firsts = Vec::with_capacity(batches.len());
        for batch in &batches {
            firsts.push(first);
            first += batch.num_rows() as u64;
        }
        // Batches and rows are numbered in 32 bits each, so that an entry of a sort is 16 bytes.
        if u32::try_from(first).is_err() {
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!(
                    "an exchange moves {first} rows, at most {} are possible; filter or split them",
                    u32::MAX
                ),
            ));
        }
        Ok((Self { batches, firsts, partitions }, hold))
    }

    pub(crate) fn borrow(&self) -> View<'_> {
        let width = self.batches.first().map_or(0, RecordBatch::num_columns);
        let column = |i: usize| self.batches.iter().map(|batch| batch.column(i).as_ref()).collect();
        View { sources: self, columns: (0..width).map(column).collect() }
    }
}

/// The same, column by column.
pub(crate) struct View<'a> {
    sources: &'a Sources,
    columns: Vec<Vec<&'a dyn Array>>,
}

impl<'a> View<'a> {
    pub(crate) fn rows(&self) -> u64 {
        self.sources.partitions.all().end
    }

    pub(crate) fn batches(&self) -> &'a [RecordBatch] {
        &self.sources.batches
    }

    pub(crate) fn keys(&self) -> Result<Vec<Keys<'a>>> {
        self.sources.batches.iter().map(|batch| Keys::of(batch.column(0))).collect()
    }

    /// For messages: where a row was before the exchange.
    pub(crate) fn describe(&self, (batch, row): (usize, usize)) -> String {
        let ranges = &self.sources.partitions;
        let number = self.sources.firsts[batch] + row as u64;
        let partition = ranges.partition_of(number).unwrap_or(0);
        format!("partition {partition}, row {}", number - ranges.range(partition).start)
    }

    pub(crate) fn interleave(&self, schema: &TableSchema, places: &[(usize, usize)]) -> Result<RecordBatch> {
        let columns = self.columns.iter().map(|arrays| interleave(arrays, places));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|e| {
            Error::new(ErrorKind::Exhausted, format!("gather {} rows in one batch", places.len())).because(e)
        })?;
        wide_batch(schema, columns, places.len())
    }
}
