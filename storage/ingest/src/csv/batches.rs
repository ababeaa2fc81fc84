//! The second pass: rows of known types to batches, for one stretch of them. Each stretch is read for itself from the nearest mark
//! on, so that several are written at once and each can be written again.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, RecordBatch};
use futures::{StreamExt, stream};
use tributary_core::computing::RowStream;
use tributary_core::{Result, TableSchema};
use tributary_csv::{ColumnBuilder, builder, is_null};

use crate::columns::{KeySource, TypedColumn};
use crate::content::{Content, Preview, shortened};
use crate::csv::source::{Mark, Rows, Source};
use crate::progress::Meter;
use crate::rowset::RowSet;

/// A batch ends after so many rows, or so many bytes of CSV; the second bounds memory for wide tables.
const BATCH_ROWS: u64 = 65_536;
const BATCH_BYTES: u64 = 4 << 20;

/// Everything the second pass knows. Shared by all stretches.
#[derive(Debug)]
pub(crate) struct Cells {
    pub source: Arc<Source>,
    pub marks: Arc<[Mark]>,
    pub dropped: RowSet,
    /// How many rows stay.
    pub rows: u64,
    pub schema: TableSchema,
    pub key: KeySource,
    pub columns: Vec<TypedColumn>,
}

impl Cells {
    /// Goes to the first row that stays of those numbered `kept` and on. The caller advances from there.
    fn rows_at(&self, kept: u64, meter: &Meter) -> Result<Rows> {
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

    /// The key of the current row, where it is made.
    fn made_key(prefix: &str, rows: &Rows) -> String {
        format!("{prefix}{}", rows.number())
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
        let limit = self.rows.min(limit as u64);
        let mut rows = self.rows_at(0, meter)?;
        let mut shown = Vec::new();
        for _ in 0..limit {
            self.advance(&mut rows)?;
            let key = match &self.key {
                KeySource::Column(position) => shortened(rows.get(*position)),
                KeySource::Made(prefix) => Cells::made_key(prefix, &rows),
            };
            let values = self.columns.iter().map(|typed| {
                let cell = rows.get(typed.column.position);
                (!is_null(cell, &typed.column.nulls)).then(|| shortened(cell))
            });
            shown.push(std::iter::once(Some(key)).chain(values).collect());
        }
        Ok(shown)
    }
}

/// The batches of a stretch of rows.
#[derive(Debug)]
struct Batches {
    cells: Arc<Cells>,
    meter: Arc<Meter>,
    /// Numbers, among the rows that stay, of those yet to come.
    left: Range<u64>,
    /// Opened with the first batch, for a stream that is never read costs nothing.
    rows: Option<Rows>,
    key: StringBuilder,
    builders: Vec<Box<dyn ColumnBuilder>>,
}

impl Batches {
    fn new(cells: &Arc<Cells>, rows: Range<u64>, meter: &Arc<Meter>) -> Self {
        Self {
            left: rows,
            rows: None,
            key: StringBuilder::new(),
            builders: cells.columns.iter().map(|typed| builder(typed.value_type)).collect(),
            cells: cells.clone(),
            meter: meter.clone(),
        }
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        let mut rows = match self.rows.take() {
            Some(rows) => rows,
            None => self.cells.rows_at(self.left.start, &self.meter)?,
        };
        let begin = self.left.start;
        let begin_bytes = rows.bytes();
        let mut bytes = 0;
        while !self.left.is_empty() && self.left.start - begin < BATCH_ROWS && bytes < BATCH_BYTES {
            self.cells.advance(&mut rows)?;
            self.push(&rows)?;
            self.left.start += 1;
            bytes = rows.bytes() - begin_bytes;
        }
        self.meter.add(self.left.start - begin, bytes)?;
        self.rows = Some(rows);
        self.finish()
    }

    #[inline]
    fn push(&mut self, rows: &Rows) -> Result<()> {
        match &self.cells.key {
            KeySource::Column(position) => self.key.append_value(rows.get(*position)),
            KeySource::Made(prefix) => self.key.append_value(Cells::made_key(prefix, rows)),
        }
        for (typed, builder) in self.cells.columns.iter().zip(&mut self.builders) {
            let cell = rows.get(typed.column.position);
            if is_null(cell, &typed.column.nulls) {
                builder.push_null();
            } else if !builder.push(cell) {
                return Err(rows.changed()); // the first pass found that it fits
            }
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<RecordBatch> {
        let key = Arc::new(self.key.finish()) as ArrayRef;
        let values = self.builders.iter_mut().map(|builder| builder.finish());
        self.cells.schema.batch(std::iter::once(key).chain(values).collect())
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
            self.left.end = self.left.start; // nothing comes after an error
        }
        Some(batch)
    }
}
