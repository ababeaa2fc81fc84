//! Rows addressed by (batch, row): what sorting and numbering move around instead of the rows themselves.

use arrow_array::{Array, RecordBatch, UInt32Array, UInt64Array};
use arrow_select::interleave::interleave;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::layout::{Keys, RowRanges};
use tributary_core::schema::TableSchema;

use crate::batches::{Gather, Held, wide_batch};
use crate::memory::Hold;
use crate::piece::Piece;

/// Rows that will be addressed by (batch, row), and where they were.
pub struct Addressed {
    batches: Vec<RecordBatch>,
    rows: u64,
    origin: Origin,
}

/// Where rows were before they moved: for messages only.
enum Origin {
    /// Number of each batch's first row, among the rows of all partitions.
    Counted(Vec<u64>, RowRanges),
    /// As the sender of each batch says.
    Received(Vec<Places>),
}

/// Where the rows of a batch were.
pub enum Places {
    /// The [`place`] of each.
    Each(UInt64Array),
    /// So many rows behind a place: what it takes to write 64 bits a row is spared until a message asks.
    Behind(u64, UInt32Array),
}

impl Places {
    fn of(&self, row: usize) -> u64 {
        match self {
            Self::Each(places) => places.value(row),
            Self::Behind(first, numbers) => first + u64::from(numbers.value(row)),
        }
    }
}

/// A row's place in one number: 24 bits for its partition, 40 for the row.
pub fn place(partition: u32, row: u64) -> u64 {
    (u64::from(partition) << 40) | row
}

/// A place in words.
pub(crate) fn describe_place(place: u64) -> String {
    format!("partition {}, row {}", place >> 40, place & ((1 << 40) - 1))
}

impl Addressed {
    /// The rows of all partitions, one after another, and the share of the budget to hold on to meanwhile.
    pub fn of(schema: &TableSchema, held: Held) -> Result<(Self, Hold)> {
        let partitions = RowRanges::from_counts(held.counts());
        let (parts, hold) = held.into_parts();
        let mut batches = parts.iter().flatten().map(Piece::load).collect::<Result<Vec<_>>>()?;
        drop(parts);
        // Every range of a sort looks at every batch: thousands of small ones would cost more than joining them.
        if batches.len() as u64 > 64 + partitions.all().end / 4096 {
            let mut gather = Gather::new(schema);
            batches.into_iter().try_for_each(|batch| gather.push(batch))?;
            batches = gather.finish()?;
        }
        let mut rows = 0;
        let mut firsts = Vec::with_capacity(batches.len());
        for batch in &batches {
            firsts.push(rows);
            rows += batch.num_rows() as u64;
        }
        Ok((Self { batches, rows: addressable(rows)?, origin: Origin::Counted(firsts, partitions) }, hold))
    }

    /// Rows that came from elsewhere, in source order.
    pub fn received(batches_and_places: Vec<(RecordBatch, Places)>) -> Result<Self> {
        let rows = batches_and_places.iter().map(|(batch, _)| batch.num_rows() as u64).sum();
        let (batches, places) = batches_and_places.into_iter().unzip();
        Ok(Self { batches, rows: addressable(rows)?, origin: Origin::Received(places) })
    }

    pub fn borrow(&self) -> View<'_> {
        let width = self.batches.first().map_or(0, RecordBatch::num_columns);
        let column = |i: usize| self.batches.iter().map(|batch| batch.column(i).as_ref()).collect();
        View { rows: self, columns: (0..width).map(column).collect() }
    }
}

/// Batches and rows are numbered in 32 bits each, so that an entry of a sort is 16 bytes.
fn addressable(rows: u64) -> Result<u64> {
    if u32::try_from(rows).is_err() {
        let most = u32::MAX;
        let text =
            format!("an exchange moves {rows} rows, at most {most} are possible; filter or split them");
        return Err(Error::new(ErrorKind::Exhausted, text));
    }
    Ok(rows)
}

/// The same, column by column.
pub struct View<'a> {
    rows: &'a Addressed,
    columns: Vec<Vec<&'a dyn Array>>,
}

impl<'a> View<'a> {
    pub fn rows(&self) -> u64 {
        self.rows.rows
    }

    pub fn batches(&self) -> &'a [RecordBatch] {
        &self.rows.batches
    }

    pub fn keys(&self) -> Result<Vec<Keys<'a>>> {
        self.rows.batches.iter().map(|batch| Keys::of(batch.column(0))).collect()
    }

    /// For messages: where a row was before the exchange.
    pub fn describe(&self, (batch, row): (usize, usize)) -> String {
        let place = match &self.rows.origin {
            Origin::Counted(firsts, ranges) => {
                let number = firsts[batch] + row as u64;
                let partition = ranges.partition_of(number).unwrap_or(0);
                place(partition, number - ranges.range(partition).start)
            }
            Origin::Received(places) => places[batch].of(row),
        };
        describe_place(place)
    }

    pub fn interleave(&self, schema: &TableSchema, places: &[(usize, usize)]) -> Result<RecordBatch> {
        let columns = self.columns.iter().map(|arrays| interleave(arrays, places));
        let columns = columns.collect::<Result<Vec<_>, _>>().map_err(|e| {
            Error::new(ErrorKind::Exhausted, format!("gather {} rows in one batch", places.len())).because(e)
        })?;
        wide_batch(schema, columns, places.len())
    }
}
