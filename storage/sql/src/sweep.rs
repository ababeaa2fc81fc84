//! Clean-up: writes that are under way no more, replaced snapshots, and tables that nothing names.
//!
//! By the server's clock. Tables are listed before what names them is read: a table is made after the note of its write, and a note is
//! removed after the catalogue names the table, so that a table in that list which nothing names is a leftover for ever.

use std::sync::Arc;

use tributary_core::storage::{InUse, Sweep, SweepMode, Swept};
use tributary_core::{Result, TableName};
use tributary_database::{Connection, Database, Failure, Operation, Product, Row, Try, Value};

use crate::catalog::Catalog;
use crate::requests::Drop;

/// All that a clean-up looks at.
struct Survey(Arc<Catalog>);

struct Found {
    now: i64,
    /// Snapshots that have a table, and its bytes.
    tables: Vec<(String, u64)>,
    /// Party, name, snapshot, the one before, when it was replaced.
    entries: Vec<Row>,
    /// Party, name, attempt, when it was last touched.
    writes: Vec<Row>,
}

impl Operation for Survey {
    type Output = Found;

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<Found, Failure> {
        let catalog = &self.0;
        catalog.prepare(to).await?;
        let tables = tables(to, catalog).await?;
        let names = &catalog.names;
        let entries =
            format!("SELECT party, namespace, name, snapshot, replaced, previous FROM {}", names.tables);
        let writes = format!("SELECT party, namespace, name, attempt, touched FROM {}", names.writes);
        // Writes first: one that is committed meanwhile is in both.
        let writes = to.rows(&writes, &[]).await?;
        let entries = to.rows(&entries, &[]).await?;
        let now = to.first(&format!("SELECT {}", catalog.now()), &[]).await?;
        let now = now.and_then(|row| row.first().and_then(Value::int)).unwrap_or_default();
        Ok(Found { now, tables, entries, writes })
    }
}

async fn tables(to: &mut Connection, catalog: &Catalog) -> Result<Vec<(String, u64)>, Failure> {
    let query = match catalog.names.product {
        Product::MySql => {
            "SELECT CAST(table_name AS CHAR), CAST(COALESCE(data_length + index_length, 0) AS SIGNED) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
        }
        _ => {
            "SELECT CAST(relname AS TEXT), pg_total_relation_size(pg_class.oid) FROM pg_class \
             WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind = 'r'"
        }
    };
    let rows = to.rows(query, &[]).await?;
    let table = |row: &Row| {
        let snapshot = catalog.names.snapshot_of(text(row, 0))?.to_owned();
        Some((snapshot, u64::try_from(int(row, 1)).unwrap_or_default()))
    };
    Ok(rows.iter().filter_map(table).collect())
}

/// Removes the note of a write, or of a replaced snapshot, if it is still as it was seen.
struct Forget(Arc<Catalog>, Row, What);

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Write,
    Previous,
}

impl Operation for Forget {
    type Output = bool;

    async fn attempt(&self, to: &mut Connection, _: Try) -> Result<bool, Failure> {
        let Self(catalog, row, what) = self;
        let names = &catalog.names;
        let statement = match what {
            What::Write => format!(
                "DELETE FROM {} WHERE party = ? AND namespace = ? AND name = ? AND attempt = ? AND touched = ?",
                names.writes
            ),
            What::Previous => format!(
                "UPDATE {} SET previous = '' WHERE party = ? AND namespace = ? AND name = ? AND snapshot = ? AND replaced = ?",
                names.tables
            ),
        };
        let done = to.execute(&statement, row.get(..5).unwrap_or_default()).await? > 0;
        if done && *what == What::Write {
            catalog.forget(to, text(row, 3)).await?;
        }
        Ok(done)
    }
}

/// See [`Storage::sweep`](tributary_core::storage::Storage::sweep). Notes of other parties are theirs.
pub(crate) async fn sweep(
    database: &Database,
    catalog: &Arc<Catalog>,
    what: &Sweep,
    in_use: &InUse<'_>,
) -> Result<Swept> {
    let found = database.patiently(Survey(catalog.clone())).await?;
    let before = found.now.saturating_sub(i64::try_from(what.idle.as_millis()).unwrap_or(i64::MAX));
    let is_old = |row: &Row| {
        let is_mine = text(row, 0) == catalog.party && int(row, 4) <= before;
        is_mine && TableName::new(text(row, 1), text(row, 2)).is_ok_and(|name| !in_use(&name))
    };
    let named = found.writes.iter().map(|row| text(row, 3));
    let named = named.chain(found.entries.iter().flat_map(|row| [text(row, 3), text(row, 5)]));
    let named: std::collections::HashSet<&str> = named.collect();
    let mut gone: Vec<String> = found
        .tables
        .iter()
        .map(|(snapshot, _)| snapshot.clone())
        .filter(|s| !named.contains(s.as_str()))
        .collect();
    let old_writes = found.writes.iter().filter(|row| is_old(row)).map(|row| (row, What::Write));
    let replaced = |row: &&Row| !text(row, 5).is_empty() && is_old(row);
    let old_previous = found.entries.iter().filter(replaced).map(|row| (row, What::Previous));
    for (row, kind) in old_writes.chain(old_previous) {
        let snapshot = text(row, if kind == What::Write { 3 } else { 5 });
        let is_named_too = kind == What::Write
            && found.entries.iter().any(|row| [text(row, 3), text(row, 5)].contains(&snapshot));
        let forgotten = what.mode == SweepMode::Count
            || database.patiently(Forget(catalog.clone(), row.clone(), kind)).await?;
        if forgotten && !is_named_too {
            gone.push(snapshot.to_owned());
        }
    }
    let mut swept = Swept::default();
    swept.add(found.tables.iter().filter(|(snapshot, _)| gone.contains(snapshot)).map(|(_, bytes)| *bytes));
    if what.mode == SweepMode::Remove {
        database.patiently(Drop(catalog.clone(), gone)).await?;
    }
    Ok(swept)
}

fn text(row: &Row, at: usize) -> &str {
    row.get(at).and_then(Value::text).unwrap_or_default()
}

fn int(row: &Row, at: usize) -> i64 {
    row.get(at).and_then(Value::int).unwrap_or_default()
}
