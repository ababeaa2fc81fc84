//! Properties of local files only: permissions, links, folders, and bytes that a disk loses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt64Array};
use futures::executor::block_on;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use tempfile::TempDir;

use tributary_core::storage::{IfExists, Storage, StoredTable, Sweep, Swept, TableUri, WriteOptions};
use tributary_core::{ErrorKind, KeyType, Layout, Result, TableName, TableSchema};
use tributary_table::Tables;

mod support;

struct Fixture {
    folder: TempDir,
    tables: Arc<Tables>,
    place: TableUri,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = tributary_file::storage(&folder.path().join("home/tables")).unwrap();
        let place = tables.locate(&TableName::new("n", "t").unwrap()).unwrap();
        Self { folder, tables, place }
    }

    fn sweep(&self) -> Swept {
        block_on(self.tables.sweep(&Sweep::default(), &|_| false)).unwrap()
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("home/tables")
    }

    /// `rows` rows with this value, in two parts.
    fn replace(&self, value: u64, rows: usize) -> Result<StoredTable> {
        let options = WriteOptions::default().with_if_exists(IfExists::Replace);
        block_on(async {
            let write = self.tables.begin(&self.place, &schema(), &Layout::Loose(2), options).await?;
            let mut parts = Vec::new();
            for partition in 0..2 {
                let rows = stream::iter([Ok(batch(value, rows / 2))]).boxed();
                parts.push(self.tables.write_part(&write, partition, rows).await?);
            }
            self.tables.commit(write, parts).await
        })
    }

    fn read(&self, table: &StoredTable, partition: u32) -> Result<Vec<RecordBatch>> {
        block_on(async { self.tables.scan(table, partition).await?.try_collect().await })
    }
}

fn schema() -> TableSchema {
    TableSchema::keyed("id", KeyType::UInt64, vec![]).unwrap()
}

fn batch(value: u64, rows: usize) -> RecordBatch {
    schema().batch(vec![Arc::new(UInt64Array::from(vec![value; rows]))]).unwrap()
}

/// Everything below a folder.
fn tree(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(tree(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn only_the_user_may_read_tables() {
    let f = Fixture::new();
    f.replace(1, 10).unwrap();
    for path in tree(&f.folder.path().join("home")) {
        let data = fs::symlink_metadata(&path).unwrap();
        let expected = if data.is_dir() { 0o700 } else { 0o600 };
        assert!(data.is_symlink() || data.permissions().mode() & 0o777 == expected, "{}", path.display());
    }
}

#[test]
fn the_link_leads_to_exactly_the_files_of_the_table() {
    let f = Fixture::new();
    for value in 1..4 {
        let table = f.replace(value, 10).unwrap();
        let mut names: Vec<String> = fs::read_dir(f.root().join("n/t/current"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, table.parts.iter().map(|part| part.file.clone()).collect::<Vec<_>>());
    }
}

#[test]
fn a_changed_byte_is_found_and_the_file_named() {
    let f = Fixture::new();
    let table = f.replace(1, 1000).unwrap();
    let file = f.root().join("n/t/current").join(&table.parts[1].file);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let error = block_on(f.tables.verify(&table)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().contains("partition 1") && error.to_string().contains(&table.parts[1].file),
        "{error}"
    );
}

#[test]
fn removed_aborted_and_cancelled_writes_leave_nothing() {
    let f = Fixture::new();
    f.replace(1, 10).unwrap();
    f.replace(2, 10).unwrap();
    block_on(f.tables.delete(&f.place)).unwrap();
    assert_eq!(tree(&f.root()), Vec::<PathBuf>::new());

    let write =
        block_on(f.tables.begin(&f.place, &schema(), &Layout::Loose(1), WriteOptions::default())).unwrap();
    let rows = stream::iter([Ok(batch(1, 10))]).chain(stream::pending()).boxed();
    let mut part = f.tables.write_part(&write, 0, rows);
    assert!((0..10).all(|_| part.as_mut().now_or_never().is_none()));
    assert_ne!(tree(&f.root()), Vec::<PathBuf>::new());
    drop(part);
    assert_eq!(tree(&f.root()), Vec::<PathBuf>::new());

    let rows = stream::iter([Ok(batch(1, 10))]).boxed();
    block_on(f.tables.write_part(&write, 0, rows)).unwrap();
    block_on(f.tables.abort(write)).unwrap();
    assert_eq!(tree(&f.root()), Vec::<PathBuf>::new());
}

#[test]
fn links_do_not_lead_out_of_the_root() {
    let f = Fixture::new();
    f.replace(1, 10).unwrap();
    let outside = f.folder.path().join("outside");
    fs::rename(f.root().join("n"), &outside).unwrap();
    symlink(&outside, f.root().join("n")).unwrap();
    let denied = |error: tributary_core::Error| {
        assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
        assert!(error.to_string().contains("is a symbolic link"), "{error}");
    };
    denied(block_on(f.tables.open(&f.place)).unwrap_err());
    denied(block_on(f.tables.delete(&f.place)).unwrap_err());
    denied(f.replace(2, 10).unwrap_err());
    support::age(&outside);
    assert_eq!(f.sweep().files, 0);
    assert!(outside.join("t/_manifest.json").exists());
}

#[test]
fn an_error_names_the_file_and_the_remedy() {
    let f = Fixture::new();
    fs::write(f.root().join("n"), "a file where a folder should be").unwrap();
    let error = f.replace(1, 10).unwrap_err();
    assert!(error.to_string().contains(&format!("{}", f.root().join("n").display())), "{error}");
    let error = tributary_file::storage(&f.root().join("n/below")).unwrap_err();
    assert!(error.to_string().contains("create folder"), "{error}");
}

#[test]
fn clean_up_removes_what_a_kill_left() {
    let f = Fixture::new();
    let table = f.replace(1, 10).unwrap();
    let parts = f.root().join("n/t/_snapshots/00112233445566778899aabbccddeeff");
    fs::create_dir_all(&parts).unwrap();
    fs::write(parts.join("part-00000-0123456789abcdef.parquet"), "PAR1").unwrap();
    fs::write(parts.join(".unfinished-1"), "P").unwrap();
    fs::write(f.root().join("n/t/.unfinished-2"), "{").unwrap();
    assert_eq!(f.sweep().files, 0);
    support::age(&f.root());
    let swept = f.sweep();
    assert_eq!((swept.files, swept.bytes), (3, 6));
    assert!(!parts.exists());
    block_on(f.tables.verify(&table)).unwrap();
}

#[test]
fn readers_writers_and_removers_at_once_never_see_a_mixture() {
    let f = Fixture::new();
    const ROUNDS: u64 = 40;
    let may_happen = [ErrorKind::NotFound, ErrorKind::Conflict];
    std::thread::scope(|scope| {
        for writer in 0..3u64 {
            let f = &f;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    if let Err(error) = f.replace(writer * ROUNDS + round, 100) {
                        assert!(may_happen.contains(&error.kind()), "{}", error.chain());
                    }
                    if round % 8 == writer
                        && let Err(error) = block_on(f.tables.delete(&f.place))
                    {
                        assert_eq!(error.kind(), ErrorKind::NotFound, "{}", error.chain());
                    }
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| (0..4 * ROUNDS).for_each(|_| read_one_value_or_nothing(&f, &may_happen)));
        }
    });
    let table = f.replace(7, 10).unwrap();
    block_on(f.tables.verify(&table)).unwrap();
}

fn read_one_value_or_nothing(f: &Fixture, may_happen: &[ErrorKind]) {
    let read = block_on(f.tables.open(&f.place))
        .and_then(|table| Ok([f.read(&table, 0)?, f.read(&table, 1)?].concat()));
    match read {
        Err(error) => assert!(may_happen.contains(&error.kind()), "{}", error.chain()),
        Ok(batches) => {
            let values: Vec<u64> = batches
                .iter()
                .flat_map(|batch| {
                    let values: &UInt64Array = batch.column(0).as_any().downcast_ref().unwrap();
                    values.values().to_vec()
                })
                .collect();
            assert_eq!(values, vec![values[0]; 100]);
        }
    }
}
