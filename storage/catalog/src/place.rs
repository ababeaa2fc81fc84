//! Where a table is, or would be.

use std::sync::Arc;

use tributary_core::meta::StorageMeta;
use tributary_core::storage::{Storage, TableUri};
use tributary_core::{Result, TableName};

/// The address of a table: where its record says, in whichever of the site's stores; else where a new one would be.
///
/// So what replaces a table takes its place: a site that moves to another store keeps its old tables where they are, and no
/// rows are left behind without a record.
pub async fn place(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    table: &TableName,
) -> Result<TableUri> {
    match meta.get(table).await? {
        Some((_, record)) => Ok(record.uri),
        None => storage.locate(table),
    }
}
