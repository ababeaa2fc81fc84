//! [`StorageMeta`] on the database: four statements.
//!
//! Calls block the thread that polls them: a read takes microseconds, a change one flush of the disk.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use tributary_core::meta::{Expect, StorageMeta, TableRecord, Version};
use tributary_core::{Error, ErrorKind, Result, ResultExt, TableName};

use crate::database::{self, MAX_RECORD_BYTES, failed};

/// The records in a file, which the first call opens or creates.
pub fn open(path: &Path) -> Result<Arc<Meta>> {
    let path = std::path::absolute(path).at(|| format!("find meta database {}", path.display()))?;
    Ok(Arc::new(Meta { path, connection: Mutex::new(None) }))
}

/// Table records in SQLite.
#[derive(Debug)]
pub struct Meta {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Meta {
    fn run<T>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let mut connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *connection {
            Some(open) => work(open),
            closed => work(closed.insert(database::open(&self.path)?)),
        }
    }

    /// Runs a transaction: all of it happens durably, or nothing.
    fn change<T>(&self, work: impl FnOnce(&Transaction) -> Result<T>) -> Result<T> {
        self.run(|connection| {
            let transaction = connection
                .transaction_with_behavior(TransactionBehavior::Immediate)
                .map_err(|e| self.failed(e))?;
            let result = work(&transaction)?;
            transaction.commit().map_err(|e| self.failed(e))?;
            Ok(result)
        })
    }

    fn failed(&self, reason: rusqlite::Error) -> Error {
        failed(&self.path, reason)
    }

    fn version(&self, connection: &Connection, table: &TableName) -> Result<Option<i64>> {
        connection
            .prepare_cached("SELECT version FROM tables WHERE namespace = ? AND name = ?")
            .and_then(|mut s| s.query_row(params![table.namespace, table.name], |row| row.get(0)).optional())
            .map_err(|e| self.failed(e))
    }

    /// `Conflict` or `NotFound` unless the record had this version.
    fn take(&self, transaction: &Transaction, table: &TableName, expect: Version) -> Result<()> {
        let expected = i64::try_from(expect.0).ok();
        match self.version(transaction, table)? {
            Some(found) if Some(found) == expected => {}
            Some(found) => {
                return Err(conflict(format!(
                    "it is at version {found}, expected {}; read it again",
                    expect.0
                )));
            }
            None => return Err(Error::new(ErrorKind::NotFound, "there is no such record")),
        }
        transaction
            .prepare_cached("DELETE FROM tables WHERE version = ?")
            .and_then(|mut s| s.execute([expected]))
            .map(drop)
            .map_err(|e| self.failed(e))
    }

    fn put(&self, transaction: &Transaction, table: &TableName, text: &str) -> Result<Version> {
        transaction
            .prepare_cached("INSERT INTO tables (namespace, name, record) VALUES (?, ?, ?)")
            .and_then(|mut s| s.insert(params![table.namespace, table.name, text]))
            .map_err(|e| self.failed(e))
            .and_then(|version| self.checked_version(version))
    }

    fn checked_version(&self, version: i64) -> Result<Version> {
        u64::try_from(version).map(Version).map_err(|_| self.corrupt("a version is negative"))
    }

    /// Selected as (version, namespace, name, record).
    fn decode(&self, row: &Row) -> Result<(Version, TableRecord)> {
        let cells = || Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get_ref(3)?.as_str()?));
        let (version, namespace, name, text): (i64, String, String, &str) =
            cells().map_err(|e| self.failed(e))?;
        let record: TableRecord = serde_json::from_str(text).map_err(|e| {
            self.corrupt(format!("the record of {namespace}/{name} cannot be read")).because(e)
        })?;
        check(&record).map_err(|e| {
            self.corrupt(format!("the record of {namespace}/{name} is impossible")).because(e)
        })?;
        if (&record.table.namespace, &record.table.name) != (&namespace, &name) {
            return Err(self.corrupt(format!("the record of {namespace}/{name} is of {}", record.table)));
        }
        Ok((self.checked_version(version)?, record))
    }

    fn corrupt(&self, what: impl Into<String>) -> Error {
        Error::new(
            ErrorKind::Corrupt,
            format!(
                "meta database {}: {}; restore it from a backup, or remove that record",
                self.path.display(),
                what.into()
            ),
        )
    }
}

/// Checks that the public fields of a record do not ensure.
fn check(record: &TableRecord) -> Result<()> {
    TableName::new(record.table.namespace.as_str(), record.table.name.as_str())?;
    record.layout.check()?;
    if record.preview.len() > TableRecord::MAX_PREVIEW_ROWS {
        return Err(Error::invalid(format!(
            "a preview of {} rows, at most {} are kept",
            record.preview.len(),
            TableRecord::MAX_PREVIEW_ROWS
        )));
    }
    Ok(())
}

fn encode(record: &TableRecord) -> Result<String> {
    check(record)?;
    let text = serde_json::to_string(record)
        .map_err(|e| Error::invalid("the record cannot be written as JSON").because(e))?;
    if text.len() > MAX_RECORD_BYTES / 2 {
        return Err(Error::new(
            ErrorKind::Exhausted,
            format!(
                "the record has {} bytes, at most {} are kept; shorten its preview",
                text.len(),
                MAX_RECORD_BYTES / 2
            ),
        ));
    }
    Ok(text)
}

fn conflict(message: String) -> Error {
    Error::new(ErrorKind::Conflict, message)
}

#[async_trait]
impl StorageMeta for Meta {
    async fn get(&self, table: &TableName) -> Result<Option<(Version, TableRecord)>> {
        self.run(|connection| {
            let mut select = connection
                .prepare_cached(
                    "SELECT version, namespace, name, record FROM tables WHERE namespace = ? AND name = ?",
                )
                .map_err(|e| self.failed(e))?;
            let found = select.query_row(params![table.namespace, table.name], |row| Ok(self.decode(row)));
            found.optional().map_err(|e| self.failed(e))?.transpose()
        })
        .at(|| format!("read record of table {table}"))
    }

    async fn list(&self, namespace: Option<&str>) -> Result<Vec<(Version, TableRecord)>> {
        self.run(|connection| {
            let mut select = connection
                .prepare_cached(
                    "SELECT version, namespace, name, record FROM tables
                     WHERE ?1 IS NULL OR namespace = ?1 ORDER BY namespace, name",
                )
                .map_err(|e| self.failed(e))?;
            let rows =
                select.query_map([namespace], |row| Ok(self.decode(row))).map_err(|e| self.failed(e))?;
            rows.map(|row| row.map_err(|e| self.failed(e))?).collect()
        })
        .at(|| format!("list records of {}", namespace.unwrap_or("all namespaces")))
    }

    async fn set(&self, record: &TableRecord, expect: Expect) -> Result<Version> {
        let at = || format!("write record of table {}", record.table);
        let text = encode(record).at(at)?;
        self.change(|transaction| {
            match expect {
                Expect::At(version) => match self.take(transaction, &record.table, version) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        return Err(conflict(format!("it was removed, expected version {}", version.0)));
                    }
                    taken => taken?,
                },
                Expect::Absent if self.version(transaction, &record.table)?.is_some() => {
                    return Err(Error::new(
                        ErrorKind::AlreadyExists,
                        "there is one; read it and change that",
                    ));
                }
                Expect::Absent => {}
            }
            self.put(transaction, &record.table, &text)
        })
        .at(at)
    }

    async fn remove(&self, table: &TableName, expect: Version) -> Result<()> {
        self.change(|transaction| self.take(transaction, table, expect))
            .at(|| format!("remove record of table {table}"))
    }
}
