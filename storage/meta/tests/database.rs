//! Properties of an SQLite file only: damage, foreign files, versions, permissions, and several processes at the first
//! start.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use futures::executor::block_on;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;

use tributary_core::meta::{Expect, StorageMeta, TableRecord};
use tributary_core::{Error, ErrorKind, TableName};

/// A record as it was written by the first release. If this fails, records on users' disks cannot be read any more.
const RECORD: &str = include_str!("golden/record-v1.json");

fn table() -> TableName {
    TableName::new("n", "t").unwrap()
}

fn record() -> TableRecord {
    serde_json::from_str(RECORD).unwrap()
}

/// Runs statements in the file, as another program would.
fn meddle(path: &Path, statements: &'static str) {
    tributary_conformance::run(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(statements).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

/// A database with one record, closed.
fn filled() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    let meta = tributary_meta::open(&path).unwrap();
    block_on(meta.set(&record(), Expect::Absent)).unwrap();
    (folder, path)
}

fn get(path: &Path) -> Result<Option<TableRecord>, Error> {
    let meta = tributary_meta::open(path)?;
    Ok(block_on(meta.get(&table()))?.map(|(_, record)| record))
}

fn refused(path: &Path, expected: ErrorKind) -> String {
    let error = get(path).unwrap_err();
    assert_eq!(error.kind(), expected, "{}", error.chain());
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
    error.to_string()
}

#[test]
fn a_record_of_the_first_release_is_read_and_written_the_same() {
    let written = serde_json::to_string_pretty(&record()).unwrap();
    assert_eq!(written, RECORD.trim_end());
    let (_folder, path) = filled();
    assert_eq!(get(&path).unwrap(), Some(record()));
}

#[test]
fn a_damaged_file_is_named_with_the_remedy() {
    let (_folder, path) = filled();
    let bytes = fs::read(&path).unwrap();
    for (at, with) in [(0, b'X'), (20, 9), (100, 0xff), (4096, 0xff), (bytes.len() - 200, 0xff)] {
        let mut damaged = bytes.clone();
        damaged.get_mut(at..(at + 100).min(bytes.len())).unwrap().fill(with);
        fs::write(&path, damaged).unwrap();
        // damage in unused bytes is not noticed
        if let Err(error) = get(&path) {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "at {at}: {}", error.chain());
            assert!(error.to_string().contains("restore it from a backup"), "{error}");
        }
    }
    fs::write(&path, "not a database, but a long text").unwrap();
    assert!(refused(&path, ErrorKind::Corrupt).contains("restore it from a backup"));
}

#[test]
fn an_impossible_record_is_corruption() {
    for text in [
        "",
        "{}",
        "null",
        &RECORD.replace("\"name\": \"t\"", "\"name\": \"other\""),
        &RECORD.replace("\"Loose\": 2", "\"Loose\": 0"),
        &"[".repeat(100_000),
    ] {
        let (_folder, path) = filled();
        let text = text.replace('\'', "''");
        meddle(&path, format!("UPDATE tables SET record = '{text}'").leak());
        assert!(refused(&path, ErrorKind::Corrupt).contains("the record of n/t"));
    }
    let (_folder, path) = filled();
    let huge = "UPDATE tables SET record = CAST(zeroblob(100000000) AS TEXT)";
    meddle(&path, huge);
    refused(&path, ErrorKind::Corrupt);
}

#[test]
fn a_database_of_another_program_is_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("browser.db");
    meddle(&path, "CREATE TABLE history (url TEXT)");
    let before = fs::read(&path).unwrap();
    refused(&path, ErrorKind::InvalidInput);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_newer_version_is_refused() {
    let (_folder, path) = filled();
    meddle(&path, "PRAGMA user_version = 99");
    assert!(refused(&path, ErrorKind::Unsupported).contains("use a newer one"));
}

#[test]
fn a_table_that_was_dropped_is_corruption() {
    let (_folder, path) = filled();
    meddle(&path, "DROP TABLE tables");
    refused(&path, ErrorKind::Corrupt);
}

#[test]
fn only_the_user_may_read_records() {
    let (folder, path) = filled();
    let meta = tributary_meta::open(&path).unwrap();
    block_on(meta.list(None)).unwrap();
    let files: Vec<PathBuf> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 2, "the log is a file of its own: {files:?}");
    for file in files {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
}

#[test]
fn an_impossible_path_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file/meta.db");
    let error = get(&path).unwrap_err();
    assert!(error.to_string().contains(&path.display().to_string()), "{error}");
}

#[test]
fn many_may_create_the_file_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.db");
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(get(&path).unwrap(), None));
            }
        });
    }
}

#[test]
fn nothing_is_opened_before_the_first_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.db");
    let meta = tributary_meta::open(&path).unwrap();
    assert!(!path.exists());
    block_on(meta.set(&record(), Expect::Absent)).unwrap();
    get(&path).unwrap();
}
