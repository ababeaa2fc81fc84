//! The second pass: rows of known types to batches, one range of rows at a time. Each range is read independently from the
//! nearest mark on, so that several are written at once and each can be written again.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::builder::StringBuilder;
use futures::{StreamExt, stream};
use tributary_core::computing::RowStream;
use tributary_core::{Result, TableSchema};
use tributary_csv::{BATCH_BYTES, BATCH_ROWS, BatchBuilder, Column};

use crate::columns::KeySource;
use crate::content::{self, Bound, Content, Preview};
use crate::csv::bound;
use crate::csv::source::{CsvFiles, Mark, Rows};
use crate::progress::Meter;
use crate::rowset::RowSet;

/// The state of the second pass, shared by all ranges.
#[derive(Debug)]
pub(crate) struct Cells {
    pub source: Arc<CsvFiles>,
    pub marks: Arc<[Mark]>,
    pub dropped: RowSet,
    /// The number of rows that stay.
    pub rows: u64,
    pub schema: TableSchema,
    pub key: KeySource,
    /// The columns that are read from the files, and their schema: all but a generated key.
    pub columns: Vec<Column>,
    pub read: TableSchema,
}

impl Cells {
    /// Goes to row `kept` of the rows that stay. The caller advances from there.
    pub fn rows_at(&self, kept: u64, meter: &Meter) -> Result<Rows> {
        let first = self.dropped.row_of(kept);
        let mark = self.marks.partition_point(|mark| mark.row <= first).saturating_sub(1);
        let mut rows = Rows::from_mark(&self.source, &self.marks, mark);
        while rows.next_number() < first {
            if rows.next_number().is_multiple_of(4096) {
                meter.check()?;
            }
            rows.advance()?;
        }
        Ok(rows)
    }

    /// Goes to the next row that stays.
    #[inline]
    fn advance(&self, rows: &mut Rows) -> Result<()> {
        loop {
            rows.advance()?;
            if self.dropped.is_empty() || !self.dropped.contains(rows.number()) {
                return Ok(());
            }
        }
    }
}

impl Content for Cells {
    fn schema(&self) -> &TableSchema {
        &self.schema
    }

    fn rows(&self) -> u64 {
        self.rows
    }

    fn bytes(&self) -> u64 {
        self.source.bytes()
    }

    fn describe(&self) -> String {
        self.source.describe()
    }

    fn batches(self: Arc<Self>, rows: Range<u64>, meter: &Arc<Meter>) -> RowStream {
        stream::iter(Batches::new(&self, rows, meter)).boxed()
    }

    fn preview(self: Arc<Self>, limit: usize, meter: &Meter) -> Result<Preview> {
        meter.check()?;
        let rows = 0..self.rows.min(limit as u64);
        let mut shown = Preview::new();
        for batch in Batches::new(&self, rows, &Arc::new(Meter::new(|_| {}))) {
            shown.append(&mut content::shown(batch?)?);
        }
        Ok(shown)
    }

    fn bound(&self, partitions: u32, meter: &Meter) -> Result<Bound> {
        let files = self.source.inputs().iter().map(|input| input.place()).collect();
        Ok(Bound { parts: bound::parts(self, partitions, meter)?, files }.with_ids(&self.key))
    }
}

/// The batches of a range of rows.
#[derive(Debug)]
struct Batches {
    cells: Arc<Cells>,
    meter: Arc<Meter>,
    /// The remaining rows, by their numbers among the rows that stay.
    left: Range<u64>,
    /// Opened with the first batch, so that a stream that is never read costs nothing.
    opened: Option<(Rows, BatchBuilder)>,
    made_ids: StringBuilder,
}

impl Batches {
    fn new(cells: &Arc<Cells>, rows: Range<u64>, meter: &Arc<Meter>) -> Self {
        Self {
            left: rows,
            opened: None,
            made_ids: StringBuilder::new(),
            cells: cells.clone(),
            meter: meter.clone(),
        }
    }

    fn open(&self) -> Result<(Rows, BatchBuilder)> {
        let rows = self.cells.rows_at(self.left.start, &self.meter)?;
        Ok((rows, BatchBuilder::new(&self.cells.columns, &self.cells.read)?))
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        let (mut rows, mut builder) = self.opened.take().map_or_else(|| self.open(), Ok)?;
        let begin = self.left.start;
        let begin_bytes = rows.bytes();
        let mut bytes = 0;
        while !self.left.is_empty() && self.left.start - begin < BATCH_ROWS && bytes < BATCH_BYTES {
            self.cells.advance(&mut rows)?;
            // the first pass checked that it fits
            builder.push(rows.records()).map_err(|_| rows.changed())?;
            if let KeySource::Made(ids) = &self.cells.key {
                self.made_ids.append_value(ids.id(rows.number()));
            }
            self.left.start += 1;
            bytes = rows.bytes() - begin_bytes;
        }
        self.meter.add(self.left.start - begin, bytes)?;
        let batch = builder.finish()?;
        self.opened = Some((rows, builder));
        self.finish(batch)
    }

    fn finish(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let (_, mut columns, _) = batch.into_parts();
        if let KeySource::Made(_) = &self.cells.key {
            columns.insert(0, Arc::new(self.made_ids.finish()));
        }
        self.cells.schema.batch(columns)
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let batch = self.batch();
        if batch.is_err() {
            self.left.end = self.left.start; // the stream ends after an error
        }
        Some(batch)
    }
}
