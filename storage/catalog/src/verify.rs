//! Verifying a table against its manifest and record.

use std::sync::Arc;

use tributary_core::meta::StorageMeta;
use tributary_core::storage::{Storage, StoredTable};
use tributary_core::{Error, ErrorKind, Result, ResultExt, TableName};

/// The result for an intact table.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The table as stored.
    pub table: StoredTable,
    /// Whether the site has a record of it.
    pub recorded: bool,
}

/// Compares a table's manifest, stored bytes and counts with each other, and the site's record with the manifest.
///
/// Cost: reads every byte of the table. Errors: `NotFound`; `Corrupt` names the first difference, and how to repair it.
pub async fn verify(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    table: &TableName,
) -> Result<Verified> {
    run(storage, meta, table).await.at(|| format!("verify table {table}"))
}

async fn run(storage: &Arc<dyn Storage>, meta: &Arc<dyn StorageMeta>, table: &TableName) -> Result<Verified> {
    let known = meta.get(table).await?.map(|(_, record)| record);
    let uri = known.as_ref().map_or_else(|| storage.locate(table), |record| Ok(record.uri.clone()))?;
    let stored = match (storage.open(&uri).await, &known) {
        (Err(error), Some(_)) if error.kind() == ErrorKind::NotFound => {
            let text = "it is recorded, but the store has no such table; delete it, or bring it in again";
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        (opened, _) => opened?,
    };
    storage.verify(&stored).await?;
    let Some(record) = known else { return Ok(Verified { table: stored, recorded: false }) };
    let differs = |what: &str, recorded: String, found: String| {
        Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "the record has {what} {recorded}, the store {found}; bring the table in again with --if-exists replace"
            ),
        ))
    };
    if record.rows != stored.rows() {
        return differs("rows:", record.rows.to_string(), stored.rows().to_string());
    }
    if record.schema != stored.schema {
        return differs("columns", format!("{:?}", record.schema), format!("{:?}", stored.schema));
    }
    if record.layout != stored.layout {
        return differs("layout", format!("{:?}", record.layout), format!("{:?}", stored.layout));
    }
    Ok(Verified { table: stored, recorded: true })
}
