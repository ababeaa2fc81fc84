//! Copying a table to another store, name or party of the same site.

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_core::meta::{Expect, StorageMeta, TableRecord};
use tributary_core::storage::{Storage, StoredTable, TableUri};
use tributary_core::stores::{OnRows, copy_rows};
use tributary_core::{Error, ErrorKind, Result, ResultExt, TableName};
use tributary_system::clock::now_ms;

/// Some of a site's tables: a party's stores, and its records.
#[derive(Debug, Clone, Copy)]
pub struct Shelf<'a> {
    /// The rows.
    pub storage: &'a Arc<dyn Storage>,
    /// The records.
    pub meta: &'a Arc<dyn StorageMeta>,
}

/// Copies a table to an address of another shelf, or the same one, records it there under a name, and returns its record.
///
/// Partitions, order, columns and layout stay. Within one store that copies cheaply no rows are read; the rows of a bound table stay
/// where they are then, and are copied otherwise. A call whose process is killed leaves no table, or the whole copy without a record, which
/// the next call removes before it begins. Errors: `NotFound`; `AlreadyExists`; `Conflict` if the table is replaced meanwhile; `InvalidInput`
/// if this site has not one of the stores. `origin`: what the copy's record says besides about where its rows are from.
pub async fn copy(
    from: Shelf<'_>,
    table: &TableName,
    into: Shelf<'_>,
    to: (&TableName, &TableUri),
    origin: Option<(&'static str, String)>,
    on_rows: OnRows,
) -> Result<TableRecord> {
    run(from, table, into, to, origin, on_rows).await.at(|| format!("copy table {table} to {}", to.0))
}

/// Removes a copy that could not be recorded, unless another process has put a table of its own there since.
pub(crate) async fn delete_copy(storage: &Arc<dyn Storage>, copy: &StoredTable) -> Result<()> {
    match storage.open(&copy.uri).await {
        Ok(there) if there.snapshot == copy.snapshot => storage.delete(&copy.uri).await,
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a copy that its process did not live to record. Only what has the same columns and the same number of rows in each partition is
/// taken for one: a table of another kind has lost its record in another way, and its owner decides about it.
async fn remove_unrecorded(storage: &Arc<dyn Storage>, original: &StoredTable, to: &TableUri) -> Result<()> {
    let there = match storage.open(to).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    let rows = |table: &StoredTable| table.parts.iter().map(|part| part.size.rows).collect::<Vec<_>>();
    let is_copy = there.uri != original.uri
        && (&there.schema, &there.layout) == (&original.schema, &original.layout)
        && rows(&there) == rows(original);
    match is_copy {
        true => delete_copy(storage, &there).await.at(|| "remove a copy that was not recorded"),
        false => Ok(()),
    }
}

async fn run(
    from: Shelf<'_>,
    table: &TableName,
    into: Shelf<'_>,
    (name, to): (&TableName, &TableUri),
    more_origin: Option<(&'static str, String)>,
    on_rows: OnRows,
) -> Result<TableRecord> {
    let known = from.meta.get(table).await?;
    let (_, record) = known.ok_or_else(|| Error::new(ErrorKind::NotFound, "there is no such table"))?;
    if into.meta.get(name).await?.is_some() {
        let text = "a table of that name exists; take another name, or delete it";
        return Err(Error::new(ErrorKind::AlreadyExists, text));
    }
    let stored = from.storage.open(&record.uri).await?;
    let is_one_store =
        from.storage.addresses() == into.storage.addresses() && record.uri.scheme() == to.scheme();
    remove_unrecorded(into.storage, &stored, to).await?;
    let copy = match is_one_store && from.storage.info_of(to)?.copies_cheaply {
        true => from.storage.copy(&stored, to).await?,
        false => copy_rows(&**from.storage, &stored, &**into.storage, to, on_rows).await?,
    };
    let now = now_ms();
    let origin = [("made_by", "copy".to_owned()), ("copied_from", record.uri.to_string())];
    let mut all: BTreeMap<String, String> = record.origin.clone();
    all.extend(origin.into_iter().chain(more_origin).map(|(key, value)| (key.to_owned(), value)));
    let copied = TableRecord {
        table: name.clone(),
        engine: into.storage.info_of(to)?.name.to_owned(),
        uri: to.clone(),
        rows: copy.rows(),
        bytes: copy.bytes(),
        origin: all,
        created_ms: now,
        updated_ms: now,
        ..record
    };
    match into.meta.set(&copied, Expect::Absent).await {
        Ok(_) => Ok(copied),
        Err(error) => {
            let left = remove_refused(into, name, &copy).await.err();
            Err(left.map_or(error, |left| left.at("the copy was not removed")))
        }
    }
}

/// What could not be recorded goes away, unless it was: another call took it for one that nobody records, made it anew, and this is that one.
async fn remove_refused(into: Shelf<'_>, name: &TableName, copy: &StoredTable) -> Result<()> {
    match into.meta.get(name).await {
        Ok(Some((_, record))) if record.uri == copy.uri => Ok(()),
        _ => delete_copy(into.storage, copy).await,
    }
}
