//! The common form of all files before they are written: checked rows that can be read again.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use tributary_core::bound::{BoundPart, MadeIds};
use tributary_core::computing::RowStream;
use tributary_core::{Error, Result, TableSchema};
use tributary_text::preview;

use crate::columns::KeySource;
use crate::csv::Place;
use crate::progress::Meter;
use crate::rowset::RowSet;

/// First rows as text, key first.
pub(crate) type Preview = Vec<Vec<Option<String>>>;

/// The content of a future table, without the rows that are left out.
pub(crate) trait Content: fmt::Debug + Send + Sync {
    fn schema(&self) -> &TableSchema;
    /// The number of rows.
    fn rows(&self) -> u64;
    /// Bytes that are read for the rows.
    fn bytes(&self) -> u64;
    /// Its files, for display.
    fn describe(&self) -> String;
    /// A range of its rows. May be called again.
    fn batches(self: Arc<Self>, rows: Range<u64>, meter: &Arc<Meter>) -> RowStream;
    /// The first rows for display.
    fn preview(self: Arc<Self>, limit: usize, meter: &Meter) -> Result<Preview>;
    /// Its rows in place, in at most this many parts; only if no rows were left out.
    fn bound(&self, _partitions: u32, _meter: &Meter) -> Result<Bound> {
        Err(Error::bug("only rows of files are bound"))
    }
}

/// Rows in place.
pub(crate) struct Bound {
    pub parts: Vec<BoundPart>,
    /// Where the files are.
    pub files: Vec<String>,
}

impl Bound {
    /// With the ids of the rows, if they are generated.
    pub fn with_ids(mut self, key: &KeySource) -> Self {
        let KeySource::Made(ids) = key else { return self };
        let mut ids: MadeIds = ids.clone();
        for part in &mut self.parts {
            part.ids = Some(ids.clone());
            ids.first += part.size.rows;
        }
        self
    }
}

/// Characters of a value kept for display.
const PREVIEW_LETTERS: usize = 200;

/// A value as a preview shows it.
pub(crate) fn shortened(value: &str) -> String {
    match value.char_indices().nth(PREVIEW_LETTERS) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// The option that gives a column a type, to be pasted into a command.
pub(crate) fn types_option(column: &str, value_type: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let name = if column.chars().all(is_plain) && column.len() <= 60 { column } else { "COLUMN" };
    format!("--types {name}={value_type}")
}

/// The rows of a batch as a preview shows them.
pub(crate) fn shown(batch: RecordBatch) -> Result<Preview> {
    let mut rows = preview(&[batch])?;
    rows.iter_mut().flatten().flatten().for_each(|cell| *cell = shortened(cell));
    Ok(rows)
}

/// The rows of a batch that are wanted and not left out; `None` if there are none. The batch's first row has the number
/// `begin`.
pub(crate) fn staying(
    batch: &RecordBatch,
    begin: u64,
    wanted: &Range<u64>,
    dropped: &RowSet,
) -> Result<Option<RecordBatch>> {
    let from = wanted.start.max(begin);
    let to = wanted.end.min(begin + batch.num_rows() as u64);
    if from >= to {
        return Ok(None);
    }
    let batch = batch.slice((from - begin) as usize, (to - from) as usize);
    if dropped.next(from).is_none_or(|row| row >= to) {
        return Ok(Some(batch));
    }
    let stays: BooleanArray = (from..to).map(|row| Some(!dropped.contains(row))).collect();
    let batch = filter_record_batch(&batch, &stays)?;
    Ok((batch.num_rows() > 0).then_some(batch))
}

/// The files of the rows, as messages and lists of bad rows name them.
pub(crate) trait Origin {
    /// Name of each file, in order.
    fn files(&self) -> Vec<&str>;
    /// Name of a column of the files.
    fn column(&self, position: usize) -> &str;
    /// An error with its place; no value is ever part of it.
    fn fault(&self, place: Place, column: Option<usize>, reason: &str) -> Error;
    /// A place, for display.
    fn locate(&self, place: Place) -> String;
    /// A row as its file has it; `None` if rows are not text.
    fn text(&self, place: Place, bytes: Range<u64>) -> Result<Vec<u8>>;
}

/// A row that is read again.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// Its number, from 0 over all files.
    pub number: u64,
    pub id: &'a str,
    pub place: Place,
    /// Bytes that it takes in its file, if rows are text.
    pub bytes: Range<u64>,
}

/// Rows that can be read again, some of them.
pub(crate) trait Again {
    /// The files.
    fn origin(&self) -> &dyn Origin;
    /// Position of the id's column in them.
    fn id_column(&self) -> usize;
    /// The number of a row, from the first pass's note about it: less than 2⁶³.
    fn row_of(&self, noted: u64) -> u64;
    /// Calls `each` for every row of a set, in order.
    fn visit(&self, set: &RowSet, each: &mut dyn FnMut(Row<'_>) -> Result<()>) -> Result<()>;
}
