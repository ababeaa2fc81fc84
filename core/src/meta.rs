//! The storage-meta contract: what the site knows of each table by the name users give it.
//!
//! Every change is compare-and-set on the record's version, so two writers never overwrite each other unseen. Records
//! survive a crash: once a call returned, the change is durable.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::check::{self, Finding};
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
    /// Their names alone, in the same order. A database that can, reads no more than these.
    async fn names(&self, namespace: Option<&str>) -> Result<Vec<TableName>> {
        Ok(self.list(namespace).await?.into_iter().map(|(_, record)| record.table).collect())
    }
    /// Writes a record and returns its new version.
    async fn set(&self, record: &TableRecord, expect: Expect) -> Result<Version>;
    /// Removes a record. `NotFound` if there is none, `Conflict` if it is at another version.
    async fn remove(&self, table: &TableName, expect: Version) -> Result<()>;
    /// Looks whether records are written, read, changed on conditions, and removed.
    async fn examine(&self) -> Vec<Finding> {
        check::storage_meta(self).await
    }
}
