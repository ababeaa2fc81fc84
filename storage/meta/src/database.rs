//! The database file: creation, migration, and error messages.

use std::fs::{DirBuilder, OpenOptions};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use tributary_core::{Error, ErrorKind, Result};

/// "trbm": distinguishes our file from another program's.
const APPLICATION_ID: i64 = 0x7472_626d;
/// How long to wait for another process.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest value read or written.
pub(crate) const MAX_RECORD_BYTES: usize = 64 << 20;

/// Each migrates the file from the version of its position to the next; `user_version` counts them. Never change a released
/// one: add another.
const STEPS: [&str; 1] = ["
    CREATE TABLE tables (
        version INTEGER PRIMARY KEY AUTOINCREMENT,
        namespace TEXT NOT NULL,
        name TEXT NOT NULL,
        record TEXT NOT NULL,
        UNIQUE (namespace, name)
    ) STRICT;
"];

/// Opens the file, which is created if it does not exist.
pub(crate) fn open(path: &Path) -> Result<Connection> {
    make_private(path)?;
    let connect = || -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        connection.busy_timeout(PATIENCE)?;
        connection.set_limit(Limit::SQLITE_LIMIT_LENGTH, MAX_RECORD_BYTES as i32)?;
        // the file's schema cannot run code or change settings
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        Ok(connection)
    };
    let mut connection = connect().map_err(|e| failed(path, e))?;
    check_owner(&connection, path)?;
    write_ahead(&connection).map_err(|e| failed(path, e))?;
    bring_up_to_date(&mut connection, path)?;
    Ok(connection)
}

/// SQLite would create the file readable for all; its other files copy the mode of this one.
fn make_private(path: &Path) -> Result<()> {
    let io = |e: std::io::Error| Error::from(e).at(format!("create meta database {}", path.display()));
    if path.exists() {
        return Ok(());
    }
    let mut folder = DirBuilder::new();
    let mut file = OpenOptions::new();
    folder.recursive(true);
    file.append(true).create(true);
    #[cfg(unix)]
    {
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    }
    if let Some(above) = path.parent() {
        folder.create(above).map_err(io)?;
    }
    file.open(path).map(drop).map_err(io)
}

/// Before any change: checks that the file is ours or empty. In this order, because another process may be creating it: once
/// there are tables, the application id is set.
fn check_owner(connection: &Connection, path: &Path) -> Result<()> {
    let tables = number(connection, "SELECT count(*) FROM sqlite_schema").map_err(|e| failed(path, e))?;
    let owner = number(connection, "PRAGMA application_id").map_err(|e| failed(path, e))?;
    if owner == APPLICATION_ID || (owner == 0 && tables == 0) {
        return Ok(());
    }
    Err(Error::invalid(format!("{} is a database of another program; choose another path", path.display())))
}

/// The first switch needs exclusive access to the file, and SQLite does not wait for that. A medium without support keeps
/// the rollback journal, which is as durable.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match connection.query_row("PRAGMA journal_mode = wal", [], |_| Ok(())) {
            Err(reason) if is_busy(&reason) && Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(2));
            }
            done => break done?,
        }
    }
    connection.execute_batch("PRAGMA synchronous = full")
}

fn bring_up_to_date(connection: &mut Connection, path: &Path) -> Result<()> {
    let known = STEPS.len() as i64;
    let version =
        |connection: &Connection| number(connection, "PRAGMA user_version").map_err(|e| failed(path, e));
    let found = version(connection)?;
    if found == known {
        return Ok(());
    }
    if !(0..known).contains(&found) {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "meta database {} has version {found}, this program knows up to {known}; use a newer one",
                path.display()
            ),
        ));
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(|e| failed(path, e))?;
    // another process may have done it while this one waited
    let found = version(&transaction)?;
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(STEPS.len())) {
        transaction.execute_batch(step).map_err(|e| failed(path, e))?;
    }
    let mark = format!("PRAGMA user_version = {known}; PRAGMA application_id = {APPLICATION_ID}");
    transaction.execute_batch(&mark).and_then(|()| transaction.commit()).map_err(|e| failed(path, e))
}

fn number(connection: &Connection, query: &str) -> rusqlite::Result<i64> {
    connection.query_row(query, [], |row| row.get(0))
}

fn is_busy(reason: &rusqlite::Error) -> bool {
    matches!(reason.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// An error of SQLite, with its remedy for the user.
pub(crate) fn failed(path: &Path, reason: rusqlite::Error) -> Error {
    let (kind, advice) = match reason.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => (
            ErrorKind::Unavailable,
            "another process has held its lock for a long time; try again when that process is done",
        ),
        Some(ErrorCode::DiskFull) => (ErrorKind::Exhausted, "the disk is full; free space there"),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            (ErrorKind::Denied, "this user needs read and write permission for the file and its folder")
        }
        Some(ErrorCode::SystemIoFailure) => (ErrorKind::Io, "the disk reported an error; see the reason"),
        _ => (
            ErrorKind::Corrupt,
            "the file is damaged or not a meta database; restore it from a backup, or move it away and register the tables again",
        ),
    };
    Error::new(kind, format!("meta database {}: {advice}", path.display())).because(reason)
}
