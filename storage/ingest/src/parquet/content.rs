//! Rows of Parquet files that were looked at: to batches, and again by their numbers.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_select::filter::filter_record_batch;
use tributary_core::layout::RowRanges;
use tributary_core::{Error, Result, TableSchema};
use tributary_document::quoted;
use tributary_parquet::{Files, Rows};

use crate::columns::KeySource;
use crate::content::{Again, Batches, Content, Row, Stats, shortened};
use crate::csv::Place;
use crate::progress::Meter;
use crate::rejects::Rejects;
use crate::rowset::RowSet;
use crate::stats::ColumnStats;

/// Parquet files, and what a table takes of them.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub files: Files,
    pub groups: Vec<Group>,
    /// Of the table.
    pub schema: TableSchema,
    /// What is read of the files: the table's columns without a key that is made.
    pub read: TableSchema,
    pub key: KeySource,
    pub dropped: RowSet,
    pub ranges: RowRanges,
    stats: Stats,
}

/// A row group.
#[derive(Debug)]
pub(crate) struct Group {
    file: usize,
    /// Number of its first row, from 0 over all files.
    pub row: u64,
    /// The same in its file.
    row_in_file: u64,
    rows: u64,
    bytes: u64,
}

impl Group {
    /// About the bytes of so many rows.
    pub fn bytes_of(&self, rows: usize) -> u64 {
        (u128::from(self.bytes) * rows as u128 / u128::from(self.rows.max(1))) as u64
    }
}

impl Foreign {
    pub fn new(
        files: Files,
        schema: TableSchema,
        read: TableSchema,
        key: KeySource,
        partitions: u32,
    ) -> Self {
        let (mut groups, mut row, mut row_in_file) = (Vec::<Group>::new(), 0, 0);
        for (file, _, group) in files.all_groups() {
            if groups.last().is_some_and(|last| last.file != file) {
                row_in_file = 0;
            }
            groups.push(Group { file, row, row_in_file, rows: group.rows, bytes: group.bytes });
            row += group.rows;
            row_in_file += group.rows;
        }
        let ranges = RowRanges::even(row, partitions);
        Self { files, groups, schema, read, key, dropped: RowSet::default(), ranges, stats: Stats::default() }
    }

    /// Bytes of all row groups.
    pub fn bytes(&self) -> u64 {
        self.groups.iter().map(|group| group.bytes).sum()
    }

    /// Name of the id's column.
    pub fn key_name(&self) -> String {
        self.schema.key().map_or(String::new(), |key| key.name.clone())
    }

    /// The row group with a row.
    fn group_of(&self, row: u64) -> usize {
        self.groups.partition_point(|group| group.row <= row).saturating_sub(1)
    }

    fn place(&self, row: u64) -> Place {
        let group = &self.groups[self.group_of(row)];
        Place { file: group.file, line: group.row_in_file + (row - group.row) + 1 }
    }

    fn locate(&self, place: Place) -> String {
        format!("{}: row {}", self.files.files()[place.file].path.display(), place.line)
    }

    /// An error about a value, without the value.
    pub fn fault(&self, row: u64, column: &str, reason: &str) -> Error {
        let place = self.locate(self.place(row));
        Error::invalid(format!("{place}, column {}: {reason}", quoted(column)))
    }

    /// As rows to be read again.
    pub fn with_meter<'a>(&'a self, meter: &'a Meter) -> ForeignRows<'a> {
        ForeignRows { foreign: self, meter }
    }

    fn stream(self: &Arc<Self>, left: Range<u64>, meter: Option<Arc<Meter>>) -> Stream {
        let first = self.dropped.row_of(left.start);
        Stream {
            group: self.group_of(first),
            next: self.groups.get(self.group_of(first)).map_or(0, |group| group.row),
            first,
            rows: Vec::new(),
            stats: vec![ColumnStats::default(); self.schema.fields().len()],
            foreign: self.clone(),
            left,
            partition: None,
            meter,
        }
    }
}

impl Content for Foreign {
    fn schema(&self) -> &TableSchema {
        &self.schema
    }

    fn ranges(&self) -> &RowRanges {
        &self.ranges
    }

    fn bytes(&self) -> u64 {
        self.bytes()
    }

    fn describe(&self) -> String {
        let first = self.files.files()[0].path.file_name();
        let first = first.map_or(String::new(), |name| name.to_string_lossy().into_owned());
        match self.files.files().len() {
            1 => first,
            n => format!("{first} and {} more", n - 1),
        }
    }

    fn batches(self: Arc<Self>, partition: u32, meter: &Arc<Meter>) -> Batches {
        let range = self.ranges.range(partition);
        let stream = self.stream(range, Some(meter.clone()));
        Box::new(Stream { partition: Some(partition), ..stream })
    }

    fn preview(self: Arc<Self>, limit: usize, _: &Meter) -> Result<Vec<Vec<Option<String>>>> {
        let range = 0..self.ranges.all().end.min(limit as u64);
        let mut shown = Vec::new();
        for batch in self.stream(range, None) {
            let batch = batch?;
            let options = FormatOptions::default();
            let columns = batch.columns().iter().map(|values| ArrayFormatter::try_new(values, &options));
            let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let cell = |(column, text): (&ArrayRef, &ArrayFormatter<'_>)| {
                    column.is_valid(row).then(|| shortened(&text.value(row).to_string()))
                };
                shown.push(batch.columns().iter().zip(&columns).map(cell).collect());
            }
        }
        Ok(shown)
    }

    fn stats(&self) -> &Stats {
        &self.stats
    }
}

/// Rows of a stretch of those that stay.
struct Stream {
    foreign: Arc<Foreign>,
    meter: Option<Arc<Meter>>,
    /// Numbers, among the rows that stay, of those yet to come.
    left: Range<u64>,
    /// The first of them, as a row of the files.
    first: u64,
    /// The row group to open next.
    group: usize,
    /// The row that comes next from the files.
    next: u64,
    /// What is being read; the last one first.
    rows: Vec<Rows>,
    stats: Vec<ColumnStats>,
    partition: Option<u32>,
}

impl Stream {
    /// The next batch of the files, and the number of its first row.
    fn read(&mut self) -> Result<(u64, RecordBatch)> {
        loop {
            if let Some(batch) = self.rows.last_mut().and_then(Iterator::next) {
                let (batch, begin) = (batch?, self.next);
                self.next += batch.num_rows() as u64;
                return Ok((begin, batch));
            }
            self.rows.pop();
            if self.rows.is_empty() {
                if self.group >= self.foreign.groups.len() {
                    return Err(Error::bug("the files have fewer rows than their footers say"));
                }
                let spans = self.foreign.files.spans(self.group..self.group + 1);
                self.group += 1;
                let rows = spans.iter().rev().map(|span| span.rows(&self.foreign.read));
                self.rows = rows.collect::<Result<_>>()?;
            }
        }
    }

    fn batch(&mut self) -> Result<RecordBatch> {
        loop {
            let (begin, batch) = self.read()?;
            let rows = batch.num_rows();
            let (mut kept, mut numbers) = (BooleanBuilder::with_capacity(rows), Vec::new());
            for number in begin..begin + rows as u64 {
                let stays = number >= self.first
                    && (numbers.len() as u64) < self.left.end - self.left.start
                    && !self.foreign.dropped.contains(number);
                kept.append_value(stays);
                if stays {
                    numbers.push(number);
                }
            }
            if numbers.is_empty() {
                continue;
            }
            self.left.start += numbers.len() as u64;
            if let Some(meter) = &self.meter {
                let group = &self.foreign.groups[self.foreign.group_of(begin)];
                meter.add(numbers.len() as u64, group.bytes_of(numbers.len()))?;
            }
            let batch =
                if numbers.len() == rows { batch } else { filter_record_batch(&batch, &kept.finish())? };
            return self.finish(batch, &numbers);
        }
    }

    fn finish(&mut self, batch: RecordBatch, numbers: &[u64]) -> Result<RecordBatch> {
        let (_, mut columns, _) = batch.into_parts();
        if let KeySource::Made(prefix) = &self.foreign.key {
            let mut keys = StringBuilder::new();
            numbers.iter().for_each(|number| keys.append_value(format!("{prefix}{number}")));
            columns.insert(0, Arc::new(keys.finish()));
        }
        self.stats.iter_mut().zip(&columns[1..]).for_each(|(stats, values)| stats.add(values));
        if let (true, Some(partition)) = (self.left.is_empty(), self.partition) {
            self.foreign.stats.put(partition, std::mem::take(&mut self.stats));
        }
        self.foreign.schema.batch(columns)
    }
}

impl Iterator for Stream {
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

/// Rows to be read again: only their ids are.
pub(crate) struct ForeignRows<'a> {
    foreign: &'a Foreign,
    meter: &'a Meter,
}

impl Again for ForeignRows<'_> {
    fn row_of(&self, noted: u64) -> u64 {
        noted
    }

    fn visit(&self, set: &RowSet, each: &mut dyn FnMut(Row<'_>) -> Result<()>) -> Result<()> {
        let ids = self.foreign.read.with_fields(Vec::new())?;
        let mut wanted = set.next(0);
        while let Some(first) = wanted {
            let group = self.foreign.group_of(first);
            let mut begin = self.foreign.groups[group].row;
            for span in self.foreign.files.spans(group..group + 1) {
                for batch in span.rows(&ids)? {
                    self.meter.check()?;
                    let batch = batch?;
                    let ids = batch.column(0).as_string::<i32>();
                    let end = begin + ids.len() as u64;
                    while let Some(number) = wanted.filter(|number| *number < end) {
                        let (id, place) = (ids.value((number - begin) as usize), self.foreign.place(number));
                        each(Row { number, id, place, bytes: 0..0 })?;
                        wanted = set.next(number + 1);
                    }
                    begin = end;
                }
            }
            if wanted == Some(first) {
                return Err(Error::bug("a row of the first pass is not there again"));
            }
        }
        Ok(())
    }

    fn locate(&self, place: Place) -> String {
        self.foreign.locate(place)
    }

    fn fault(&self, place: Place, reason: &str) -> Error {
        let place = self.foreign.locate(place);
        Error::invalid(format!("{place}, column {}: {reason}", quoted(&self.foreign.key_name())))
    }

    fn reject(&self, _: &Row<'_>, _: &mut Rejects) -> Result<()> {
        Err(Error::bug("no row of a Parquet file is rejected"))
    }
}
