//! Renaming a table.

use std::sync::Arc;

use tributary_core::meta::{Expect, StorageMeta, TableRecord};
use tributary_core::storage::Storage;
use tributary_core::{Error, ErrorKind, Result, ResultExt, TableName};
use tributary_system::clock::now_ms;

use crate::copy::delete_copy;

/// Renames a table and returns its record.
///
/// The table is created under its new name in the same store (cheaply where the store can), then recorded, and only then the
/// old one is deleted. An interrupted call leaves both tables complete; a repeated call then reports that the new
/// name exists, and either table may be deleted.
///
/// Errors: `NotFound`; `Conflict` if another process stores the table during the call; `AlreadyExists` for the new name;
/// `InvalidInput` if this site has no such store, or for equal names.
pub async fn rename(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    from: &TableName,
    to: &TableName,
) -> Result<TableRecord> {
    run(storage, meta, from, to).await.at(|| format!("rename table {from} to {to}"))
}

async fn run(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    from: &TableName,
    to: &TableName,
) -> Result<TableRecord> {
    if from == to {
        return Err(Error::invalid("both names are the same"));
    }
    let known = meta.get(from).await?;
    let (version, record) = known.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such table"))?;
    if meta.get(to).await?.is_some() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            "a table of that name exists; take another, or delete it",
        ));
    }
    let stored = storage.open(&record.uri).await?;
    let copy = storage.copy(&stored, &storage.locate_beside(&record.uri, to)?).await?;
    let renamed =
        TableRecord { table: to.clone(), uri: copy.uri.clone(), updated_ms: now_ms(), ..record.clone() };
    let recorded = match meta.set(&renamed, Expect::Absent).await {
        Ok(recorded) => recorded,
        Err(error) => {
            let left = delete_copy(storage, &copy).await.err();
            return Err(left.map_or(error, |left| left.at("the copy was not removed")));
        }
    };
    if let Ok(now) = storage.open(&record.uri).await
        && now.snapshot != stored.snapshot
    {
        let left =
            || format!("rows were stored in {from} during the renaming, and {to} lacks them; delete {to}");
        storage.delete(&copy.uri).await.at(left)?;
        meta.remove(to, recorded).await.at(left)?;
        let text = "the table was replaced, or rows were added to it, during the renaming; it keeps its old name, rename it again";
        return Err(Error::new(ErrorKind::Conflict, text));
    }
    let left = || format!("the table has its new name, but {from} is still there; delete it");
    storage.delete(&record.uri).await.at(left)?;
    meta.remove(from, version).await.at(left)?;
    Ok(renamed)
}
