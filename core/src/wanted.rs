//! Which part of a partition a reader wants, so that a store that can read less does.

use std::ops::Range;

use arrow_array::RecordBatch;
use futures::{StreamExt, TryStreamExt, future, stream};

use crate::error::{Error, Result};
use crate::rows::RowStream;
use crate::storage::StoredTable;

/// Some columns and rows of a partition; all of them, unless it says less.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// Places of columns among those of the table's batches (the key is the first), in ascending order.
    pub columns: Option<Vec<usize>>,
    /// Numbers of rows within the partition.
    pub rows: Option<Range<u64>>,
}

impl Wanted {
    /// These columns alone.
    #[must_use]
    pub fn with_columns(mut self, places: impl IntoIterator<Item = usize>) -> Self {
        self.columns = Some(places.into_iter().collect());
        self
    }

    /// These rows alone.
    #[must_use]
    pub fn with_rows(mut self, rows: Range<u64>) -> Self {
        self.rows = Some(rows);
        self
    }

    /// `InvalidInput` unless the partition has all of it.
    pub fn check(&self, table: &StoredTable, partition: u32) -> Result<()> {
        let wrong = |what: String| Err(Error::invalid(format!("a scan of {what}")));
        let (columns, places) =
            (table.schema.arrow().fields().len(), self.columns.as_deref().unwrap_or_default());
        if places.iter().any(|place| *place >= columns) || !places.is_sorted_by(|a, b| a < b) {
            return wrong(format!("columns {places:?}, expected places below {columns} in ascending order"));
        }
        let part = table.parts.get(partition as usize);
        let has = part.map_or(0, |part| part.size.rows);
        match &self.rows {
            Some(rows) if rows.start > rows.end || rows.end > has => {
                wrong(format!("rows {rows:?}, the partition has {has}"))
            }
            _ => Ok(()),
        }
    }

    /// The wanted part of all rows of a partition.
    pub fn of(&self, all: RowStream) -> RowStream {
        let columns = self.columns.clone();
        let rows = self.rows.clone().unwrap_or(0..u64::MAX);
        if rows.is_empty() {
            return stream::empty().boxed();
        }
        let (mut next, end) = (0, rows.end);
        let numbered = all.map_ok(move |batch| {
            let begin = next;
            next += batch.num_rows() as u64;
            (begin, batch)
        });
        numbered
            .try_take_while(move |(begin, _)| future::ready(Ok(*begin < end)))
            .try_filter_map(move |(begin, batch)| {
                future::ready(cut(begin, &batch, &rows, columns.as_deref()))
            })
            .boxed()
    }
}

/// The wanted part of a batch whose first row has a number, if any.
fn cut(
    begin: u64,
    batch: &RecordBatch,
    rows: &Range<u64>,
    columns: Option<&[usize]>,
) -> Result<Option<RecordBatch>> {
    let end = begin + batch.num_rows() as u64;
    let (first, last) = (rows.start.clamp(begin, end), rows.end.clamp(begin, end));
    if first >= last {
        return Ok(None);
    }
    let batch = batch.slice((first - begin) as usize, (last - first) as usize);
    Ok(Some(match columns {
        Some(columns) => batch.project(columns)?,
        None => batch,
    }))
}
