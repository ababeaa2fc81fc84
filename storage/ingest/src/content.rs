//! What both kinds of files become before they are written: rows that were looked at, and can be read again.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use tributary_core::layout::RowRanges;
use tributary_core::{Error, Result, TableSchema};

use crate::csv::Place;
use crate::progress::Meter;
use crate::rejects::Rejects;
use crate::rowset::RowSet;
use crate::stats::ColumnStats;

/// The batches of a partition.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// A table to be, without the rows that do not get into it.
pub(crate) trait Content: fmt::Debug + Send + Sync {
    fn schema(&self) -> &TableSchema;
    /// Its rows, by partition.
    fn ranges(&self) -> &RowRanges;
    /// Bytes of its files.
    fn bytes(&self) -> u64;
    /// Its files, for people.
    fn describe(&self) -> String;
    /// The rows of a partition. May be asked for again.
    fn batches(self: Arc<Self>, partition: u32, meter: &Arc<Meter>) -> Batches;
    /// The first rows as text, key first, for display.
    fn preview(self: Arc<Self>, limit: usize, meter: &Meter) -> Result<Vec<Vec<Option<String>>>>;
    /// Of each column after the key, of what was written.
    fn stats(&self) -> &Stats;
}

/// Letters of a value kept for display.
const PREVIEW_LETTERS: usize = 200;

/// A value as a preview shows it.
pub(crate) fn shortened(value: &str) -> String {
    match value.char_indices().nth(PREVIEW_LETTERS) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// What was written of each column, by partition: a partition that is written again counts once.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<BTreeMap<u32, Vec<ColumnStats>>>);

impl Stats {
    /// Notes what a partition holds.
    pub fn put(&self, partition: u32, columns: Vec<ColumnStats>) {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).insert(partition, columns);
    }

    /// Of all partitions.
    pub fn sum(&self, columns: usize) -> Vec<ColumnStats> {
        let stats = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let mut all = vec![ColumnStats::default(); columns];
        for part in stats.values() {
            all.iter_mut().zip(part).for_each(|(all, part)| all.merge(part.clone()));
        }
        all
    }
}

/// A row that is read again.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// From 0 over all files.
    pub number: u64,
    pub id: &'a str,
    pub place: Place,
    /// That it takes in its file, where rows are bytes.
    pub bytes: Range<u64>,
}

/// Rows that can be read again, some of them.
pub(crate) trait Again {
    /// The number of a row, of which the first pass noted this.
    fn row_of(&self, noted: u64) -> u64;
    /// Calls `each` for every row of a set, in order.
    fn visit(&self, set: &RowSet, each: &mut dyn FnMut(Row<'_>) -> Result<()>) -> Result<()>;
    /// A place, for people.
    fn locate(&self, place: Place) -> String;
    /// The error that something is wrong with the id at a place.
    fn fault(&self, place: Place, reason: &str) -> Error;
    /// Rejects a row because of its id.
    fn reject(&self, row: &Row<'_>, rejects: &mut Rejects) -> Result<()>;
}
