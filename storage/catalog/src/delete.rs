//! Deleting a table.

use std::sync::Arc;

use tributary_core::meta::StorageMeta;
use tributary_core::storage::Storage;
use tributary_core::{Error, ErrorKind, Result, ResultExt, TableName};

/// Removes a table's rows, then its record.
///
/// The record goes last, so that a failed deletion can be found and repeated: while there is a record, missing rows are no
/// error. Rows without a record, which an interrupted upload leaves, are removed too. Errors: `NotFound` if there is
/// neither; `InvalidInput` if this site has no store for the rows; `Conflict` if the record changes during the deletion.
pub async fn delete(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    table: &TableName,
) -> Result<()> {
    remove(storage, meta, table).await.at(|| format!("delete table {table}"))
}

async fn remove(storage: &Arc<dyn Storage>, meta: &Arc<dyn StorageMeta>, table: &TableName) -> Result<()> {
    let known = meta.get(table).await?;
    let uri = known.as_ref().map_or_else(|| storage.locate(table), |(_, record)| Ok(record.uri.clone()))?;
    let gone = match storage.delete(&uri).await {
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        other => other.map(|()| true)?,
    };
    match known {
        Some((version, _)) => meta.remove(table, version).await,
        None if gone => Ok(()),
        None => Err(Error::new(ErrorKind::NotFound, "there is no such table")),
    }
}
