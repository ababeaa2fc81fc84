//! The site's record of a table that a store has.

use std::sync::Arc;

use tributary_core::meta::{Expect, StorageMeta, TableRecord};
use tributary_core::storage::{IfExists, Storage, StoredTable};
use tributary_core::{Error, ErrorKind, Result, ResultExt, TableName};
use tributary_system::clock::now_ms;

/// How often a record is written again after another process changed it in between.
const TRIES: usize = 8;

/// The parts of a table's record that the table itself does not have.
#[derive(Debug, Clone)]
pub struct Entry {
    /// First rows as text, key first.
    pub preview: Vec<Vec<Option<String>>>,
    /// The origin of the table, for display.
    pub origin: Vec<(&'static str, String)>,
    /// How the table was written. If it may have replaced a table, the record replaces any record of that name, as long as
    /// the stored table is still the same.
    pub if_exists: IfExists,
}

/// Records a table that was just stored, and returns its record. If another process has replaced the table since, that
/// process writes the record. Errors: `AlreadyExists`; `Conflict` if the table was deleted since.
pub async fn record(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    table: &TableName,
    stored: &StoredTable,
    entry: Entry,
) -> Result<TableRecord> {
    let now = now_ms();
    let engine = storage.info_of(&stored.uri)?.name.to_owned();
    let record = TableRecord {
        table: table.clone(),
        engine,
        uri: stored.uri.clone(),
        schema: stored.schema.clone(),
        layout: stored.layout.clone(),
        rows: stored.rows(),
        bytes: stored.bytes(),
        preview: entry.preview,
        origin: entry.origin.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        created_ms: now,
        updated_ms: now,
    };
    let written = match entry.if_exists {
        IfExists::Fail => meta.set(&record, Expect::Absent).await.map(drop),
        IfExists::Replace | IfExists::ReplaceSnapshot(_) => overwrite(storage, meta, &record, stored).await,
    };
    let at = || format!("the table is at {}, but not recorded; replace or delete it", stored.uri);
    written.at(at).map(|()| record)
}

async fn overwrite(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    record: &TableRecord,
    stored: &StoredTable,
) -> Result<()> {
    for _ in 0..TRIES {
        let known = meta.get(&record.table).await?;
        // Between the two checks: a process that replaces the table later also records it later, or finds that our record
        // changed.
        match storage.open(&stored.uri).await {
            Ok(there) if there.snapshot == stored.snapshot => {}
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(Error::new(ErrorKind::Conflict, "another process has deleted it since"));
            }
            Err(error) => return Err(error),
        }
        let expect = known.map_or(Expect::Absent, |(version, _)| Expect::At(version));
        match meta.set(record, expect).await {
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
            other => return other.map(drop),
        }
    }
    Err(Error::new(ErrorKind::Conflict, "other processes keep changing its record; try again"))
}
