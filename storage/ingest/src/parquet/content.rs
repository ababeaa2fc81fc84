//! Checked rows of Parquet files: as batches, and read again by their numbers.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch, RecordBatchOptions};
use arrow_schema::{Schema, SchemaRef};
use futures::{StreamExt, stream};
use tributary_core::computing::RowStream;
use tributary_core::{Error, Result, TableSchema};
use tributary_document::quoted;
use tributary_parquet::{Checked, Files, Rows};

use crate::columns::KeySource;
use crate::content::{Again, Bound, Content, Origin, Preview, Row, shown, staying};
use crate::csv::Place;
use crate::progress::Meter;
use crate::rowset::RowSet;
use crate::summary::Role;

/// Parquet files, and the columns that a table takes from them.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub files: Files,
    pub groups: Vec<Group>,
    /// The schema of the table.
    pub schema: TableSchema,
    /// The columns that are read from the files: the table's columns without a generated key.
    pub read: TableSchema,
    /// The same columns, nullable, because bad rows are still among the good ones.
    loose: SchemaRef,
    pub key: KeySource,
    pub roles: Vec<Role>,
    pub notes: Vec<String>,
    pub dropped: RowSet,
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
    /// About the bytes of this many rows.
    pub fn bytes_of(&self, rows: usize) -> u64 {
        (u128::from(self.bytes) * rows as u128 / u128::from(self.rows.max(1))) as u64
    }
}

impl Foreign {
    pub fn new(files: Files, schema: TableSchema, read: TableSchema, key: KeySource) -> Self {
        let (mut groups, mut row, mut row_in_file) = (Vec::<Group>::new(), 0, 0);
        for (file, _, group) in files.all_groups() {
            if groups.last().is_some_and(|last| last.file != file) {
                row_in_file = 0;
            }
            groups.push(Group { file, row, row_in_file, rows: group.rows, bytes: group.bytes });
            row += group.rows;
            row_in_file += group.rows;
        }
        let nullable = |field: &Arc<arrow_schema::Field>| field.as_ref().clone().with_nullable(true);
        let loose = Arc::new(Schema::new(read.arrow().fields().iter().map(nullable).collect::<Vec<_>>()));
        Self {
            files,
            groups,
            schema,
            read,
            loose,
            key,
            roles: Vec::new(),
            notes: Vec::new(),
            dropped: RowSet::default(),
        }
    }

    /// The row group that holds a row.
    pub fn group_of(&self, row: u64) -> usize {
        self.groups.partition_point(|group| group.row <= row).saturating_sub(1)
    }

    /// The place of a row.
    pub fn place(&self, row: u64) -> Place {
        let group = &self.groups[self.group_of(row)];
        Place { file: group.file, line: group.row_in_file + (row - group.row) + 1 }
    }

    fn stream(self: &Arc<Self>, rows: Range<u64>, meter: Option<Arc<Meter>>) -> Stream {
        let wanted = match rows.is_empty() {
            true => 0..0,
            false => self.dropped.row_of(rows.start)..self.dropped.row_of(rows.end - 1) + 1,
        };
        let group = self.group_of(wanted.start);
        let next = self.groups.get(group).map_or(0, |group| group.row);
        Stream { foreign: self.clone(), meter, wanted, group, next, rows: Vec::new() }
    }
}

impl Origin for Foreign {
    fn files(&self) -> Vec<&str> {
        self.files.files().iter().map(|file| file.path.to_str().unwrap_or_default()).collect()
    }

    fn column(&self, position: usize) -> &str {
        self.files.columns().get(position).map_or("", |column| &column.name)
    }

    fn fault(&self, place: Place, column: Option<usize>, reason: &str) -> Error {
        let column =
            column.map_or(String::new(), |i| format!(", column {}", quoted(Origin::column(self, i))));
        Error::invalid(format!("{}{column}: {reason}", self.locate(place)))
    }

    fn locate(&self, place: Place) -> String {
        format!("{}: row {}", self.files.files()[place.file].path.display(), place.line)
    }

    fn text(&self, _: Place, _: Range<u64>) -> Result<Vec<u8>> {
        Ok(Vec::new())
    }
}

impl Content for Foreign {
    fn schema(&self) -> &TableSchema {
        &self.schema
    }

    fn rows(&self) -> u64 {
        self.files.rows() - self.dropped.len()
    }

    fn bytes(&self) -> u64 {
        self.groups.iter().map(|group| group.bytes).sum()
    }

    fn describe(&self) -> String {
        let first = self.files.files()[0].path.file_name();
        let first = first.map_or(String::new(), |name| name.to_string_lossy().into_owned());
        match self.files.files().len() {
            1 => first,
            n => format!("{first} and {} more", n - 1),
        }
    }

    fn batches(self: Arc<Self>, rows: Range<u64>, meter: &Arc<Meter>) -> RowStream {
        stream::iter(self.stream(rows, Some(meter.clone()))).boxed()
    }

    fn preview(self: Arc<Self>, limit: usize, _: &Meter) -> Result<Preview> {
        let mut rows = Preview::new();
        for batch in self.stream(0..self.rows().min(limit as u64), None) {
            rows.append(&mut shown(batch?)?);
        }
        Ok(rows)
    }

    fn bound(&self, partitions: u32, _: &Meter) -> Result<Bound> {
        let files = self.files.files().iter().map(|file| file.path.display().to_string()).collect();
        Ok(Bound { parts: self.files.parts(partitions)?, files }.with_ids(&self.key))
    }
}

/// A range of the rows that stay.
struct Stream {
    foreign: Arc<Foreign>,
    meter: Option<Arc<Meter>>,
    /// The remaining row numbers in the files; rows that are left out may be among them.
    wanted: Range<u64>,
    /// The row group to open next.
    group: usize,
    /// The next row from the files.
    next: u64,
    /// The open row groups, the last one first.
    rows: Vec<Rows>,
}

impl Stream {
    /// The next batch of the files, and the number of its first row.
    fn read(&mut self) -> Result<(u64, Checked)> {
        loop {
            if let Some(batch) = self.rows.last_mut().and_then(Rows::next_checked) {
                let (batch, begin) = (batch?, self.next);
                self.next += batch.rows as u64;
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
            let (begin, checked) = self.read()?;
            self.check(begin, &checked)?;
            let rows = RecordBatchOptions::new().with_row_count(Some(checked.rows));
            let loose = self.foreign.loose.clone();
            let batch = RecordBatch::try_new_with_options(loose, checked.columns, &rows)?;
            let (from, to) = (begin.max(self.wanted.start), self.next.min(self.wanted.end));
            let stays = staying(&batch, begin, &self.wanted, &self.foreign.dropped)?;
            self.wanted.start = self.wanted.start.max(self.next);
            let Some(batch) = stays else { continue };
            if let Some(meter) = &self.meter {
                let group = &self.foreign.groups[self.foreign.group_of(begin)];
                meter.add(batch.num_rows() as u64, group.bytes_of(batch.num_rows()))?;
            }
            return self.finish(batch, from..to);
        }
    }

    /// A value that does not fit was found by the first pass, and its row is left out.
    fn check(&self, begin: u64, checked: &Checked) -> Result<()> {
        let row = |row: usize| begin + row as u64;
        let stays = |i: usize| self.wanted.contains(&row(i)) && !self.foreign.dropped.contains(row(i));
        let Some(misfit) = checked.misfits.iter().find(|misfit| stays(misfit.row)) else { return Ok(()) };
        let column = self.foreign.read.arrow().field(misfit.column).name();
        let place = self.foreign.locate(self.foreign.place(row(misfit.row)));
        Err(Error::invalid(format!("{place}, column {}: {}", quoted(column), misfit.reason)))
    }

    /// `numbers`: of its rows, including those that are left out.
    fn finish(&self, batch: RecordBatch, numbers: Range<u64>) -> Result<RecordBatch> {
        let (_, mut columns, _) = batch.into_parts();
        if let KeySource::Made(ids) = &self.foreign.key {
            let mut keys = StringBuilder::new();
            let stay = numbers.filter(|number| !self.foreign.dropped.contains(*number));
            stay.for_each(|number| keys.append_value(ids.id(number)));
            columns.insert(0, Arc::new(keys.finish()));
        }
        self.foreign.schema.batch(columns)
    }
}

impl Iterator for Stream {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.wanted.is_empty() {
            return None;
        }
        let batch = self.batch();
        if batch.is_err() {
            self.wanted.end = self.wanted.start; // the stream ends after an error
        }
        Some(batch)
    }
}

/// Rows to read again; only their ids are read.
pub(crate) struct ForeignRows<'a> {
    pub foreign: &'a Foreign,
    /// The column of the id.
    pub position: usize,
    pub meter: &'a Meter,
}

impl Again for ForeignRows<'_> {
    fn origin(&self) -> &dyn Origin {
        self.foreign
    }

    fn id_column(&self) -> usize {
        self.position
    }

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
                let mut rows = span.rows(&ids)?;
                while let Some(batch) = rows.next_checked() {
                    self.meter.check()?;
                    let batch = batch?;
                    let ids = batch.columns[0].as_string::<i32>();
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
}
