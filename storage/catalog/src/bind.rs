//! Making a table of one that another program has in a store's database.

use std::sync::Arc;

use futures::TryStreamExt;

use tributary_core::bound::ForeignTable;
use tributary_core::meta::{StorageMeta, TableRecord};
use tributary_core::storage::{IfExists, Storage, StoredTable, TableUri, WriteOptions};
use tributary_core::wanted::Wanted;
use tributary_core::{Result, ResultExt, TableName};
use tributary_text::preview;

use crate::record::{Entry, record};

/// Binds a table or view of another program, and records it. Its rows stay where they are. Errors: those of
/// [`Storage::bind_table`]; `AlreadyExists`.
pub async fn bind_table(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    (table, uri): (&TableName, &TableUri),
    foreign: &ForeignTable,
    if_exists: IfExists,
) -> Result<TableRecord> {
    let at = || format!("bind table {table}");
    let options = WriteOptions::default().with_if_exists(if_exists.clone());
    let stored = storage.bind_table(uri, foreign, options).await.at(at)?;
    let origin = vec![("made_by", "bind".to_owned()), ("source", foreign.table.clone())];
    let entry = Entry { preview: first_rows(storage, &stored).await.at(at)?, origin, if_exists };
    record(storage, meta, table, &stored, entry).await.at(at)
}

/// Of the first partitions that have some.
async fn first_rows(storage: &Arc<dyn Storage>, stored: &StoredTable) -> Result<Vec<Vec<Option<String>>>> {
    let (mut batches, mut missing) = (Vec::new(), TableRecord::MAX_PREVIEW_ROWS as u64);
    for (partition, part) in (0..).zip(&stored.parts) {
        let wanted = Wanted::default().with_rows(0..part.size.rows.min(missing));
        let rows: Vec<_> = storage.scan_some(stored, partition, &wanted).await?.try_collect().await?;
        missing -= part.size.rows.min(missing);
        batches.extend(rows);
        if missing == 0 {
            break;
        }
    }
    preview(&batches)
}
