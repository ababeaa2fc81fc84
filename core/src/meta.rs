//! The storage-meta contract: what the site knows of each table by the name users give it.
//!
//! Every change is compare-and-set on the record's version, so two writers never overwrite each other unseen. Records
//! survive a crash: once a call returned, the change is durable.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::ids::TableName;
use crate::layout::Layout;
use crate::schema::TableSchema;
use crate::storage::TableUri;

/// What the site knows of one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableRecord {
    /// As users name it.
    pub table: TableName,
    /// Name of the storage engine that has it.
    pub engine: String,
    /// Where it is.
    pub uri: TableUri,
    /// Its columns.
    pub schema: TableSchema,
    /// Where its rows are.
    pub layout: Layout,
    /// Number of rows.
    pub rows: u64,
    /// Bytes on the medium.
    pub bytes: u64,
    /// The first rows, at most [`TableRecord::MAX_PREVIEW_ROWS`], as text; for display.
    pub preview: Vec<Vec<Option<String>>>,
    /// Who made it, for people: `upload`, `task psi_0 of job …`.
    pub origin: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// Milliseconds since 1970, of the last change of this record.
    pub updated_ms: u64,
}

impl TableRecord {
    /// Rows kept for display.
    pub const MAX_PREVIEW_ROWS: usize = 100;

    /// The first rows of some batches as text; a missing value is `None`, bytes are hex.
    pub fn preview_of(rows: &[RecordBatch]) -> Result<Vec<Vec<Option<String>>>> {
        let options = FormatOptions::default().with_null("");
        let mut preview = Vec::new();
        for batch in rows {
            let columns: Vec<(ArrayRef, &str)> = batch.columns().iter().map(in_utc).collect();
            let cells: Vec<ArrayFormatter> = columns
                .iter()
                .map(|(c, _)| ArrayFormatter::try_new(c, &options))
                .collect::<Result<_, _>>()?;
            for row in 0..batch.num_rows().min(Self::MAX_PREVIEW_ROWS - preview.len()) {
                let text = |(cell, (column, zone)): (&ArrayFormatter, &(ArrayRef, &str))| {
                    column.is_valid(row).then(|| format!("{}{zone}", cell.value(row)))
                };
                preview.push(cells.iter().zip(&columns).map(text).collect());
            }
        }
        Ok(preview)
    }
}

/// Times with a zone as UTC, and what to write behind them: names of zones need a database of them.
fn in_utc(column: &ArrayRef) -> (ArrayRef, &'static str) {
    match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) if times.timezone().is_some() => {
            let utc = times.clone().with_timezone_opt(None::<&str>);
            (Arc::new(utc), "Z")
        }
        _ => (column.clone(), ""),
    }
}

/// Raised with every change of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u64);

/// What must be so for a change to happen; `Conflict` otherwise (`AlreadyExists` for [`Expect::Absent`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// There is no such record.
    Absent,
    /// The record is at this version.
    At(Version),
}

/// The site's table records; see the module for the rules.
#[async_trait]
pub trait StorageMeta: fmt::Debug + Send + Sync + 'static {
    /// The record of a table, if there is one.
    async fn get(&self, table: &TableName) -> Result<Option<(Version, TableRecord)>>;
    /// All records of a namespace, or of all, sorted by (namespace, name).
    async fn list(&self, namespace: Option<&str>) -> Result<Vec<(Version, TableRecord)>>;
    /// Writes a record and returns its new version.
    async fn set(&self, record: &TableRecord, expect: Expect) -> Result<Version>;
    /// Removes a record. `NotFound` if there is none, `Conflict` if it is at another version.
    async fn remove(&self, table: &TableName, expect: Version) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use arrow_array::TimestampMicrosecondArray;

    use super::*;

    #[test]
    fn times_of_any_zone_are_shown_in_utc() {
        for (zone, expected) in [
            (None, "1970-01-01T00:00:01"),
            (Some("UTC"), "1970-01-01T00:00:01Z"),
            (Some("Europe/Berlin"), "1970-01-01T00:00:01Z"),
        ] {
            let times = TimestampMicrosecondArray::from(vec![Some(1_000_000), None]).with_timezone_opt(zone);
            let batch = RecordBatch::try_from_iter([("t", Arc::new(times) as ArrayRef)]).unwrap();
            assert_eq!(TableRecord::preview_of(&[batch]).unwrap(), [[Some(expected.to_owned())], [None]]);
        }
    }
}
