//! A process that replaces a table again and again is killed (SIGKILL) at twenty points. Each time the table is complete,
//! and no older than the last one that the process reported as committed.
//!
//! The process is this test binary, running the ignored test below. It writes a line around every operation of its byte
//! store; the test kills it after a number of lines, so that the points spread over the whole protocol without waiting.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt64Array};
use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};

use tributary_core::storage::{IfExists, Storage, StorageInfo, StoredTable, Sweep, TableUri, WriteOptions};
use tributary_core::{ErrorKind, KeyType, Layout, Result, TableName, TableSchema};
use tributary_file::FileStore;
use tributary_table::{ByteStore, Entry, Tables, Upload};

mod support;

const PARTS: u32 = 3;
const ROWS: usize = 20_000;
const KILLS: usize = 20;

fn schema() -> TableSchema {
    TableSchema::keyed("id", KeyType::UInt64, vec![]).unwrap()
}

fn place(tables: &Tables) -> TableUri {
    tables.locate(&TableName::new("n", "t").unwrap()).unwrap()
}

async fn replace(tables: &Tables, value: u64) -> Result<StoredTable> {
    // every second one by the compare-and-replace path
    let how = match tables.open(&place(tables)).await {
        Ok(there) if value.is_multiple_of(2) => IfExists::ReplaceSnapshot(there.snapshot),
        _ => IfExists::Replace,
    };
    let options = WriteOptions::default().with_if_exists(how);
    let write = tables.begin(&place(tables), &schema(), &Layout::Loose(PARTS), options).await?;
    let mut parts = Vec::new();
    for partition in 0..PARTS {
        let rows = schema().batch(vec![Arc::new(UInt64Array::from(vec![value; ROWS]))])?;
        parts.push(tables.write_part(&write, partition, stream::iter([Ok(rows)]).boxed()).await?);
    }
    tables.commit(write, parts).await
}

/// The one value that all rows have; 0 if there is no table yet.
async fn value(tables: &Tables) -> u64 {
    let table = match tables.open(&place(tables)).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return 0,
        table => table.unwrap(),
    };
    tables.verify(&table).await.unwrap();
    let mut values = Vec::new();
    for partition in 0..PARTS {
        let rows: Vec<RecordBatch> =
            tables.scan(&table, partition).await.unwrap().try_collect().await.unwrap();
        for batch in rows {
            let column: &UInt64Array = batch.column(0).as_any().downcast_ref().unwrap();
            values.extend_from_slice(column.values());
        }
    }
    assert_eq!(values, vec![values[0]; ROWS * PARTS as usize]);
    values[0]
}

/// Prints a line before and after each operation.
#[derive(Debug)]
struct Talking(FileStore);

impl Talking {
    async fn step<T>(&self, name: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
        println!("before {name}");
        let result = work.await;
        println!("after {name}");
        result
    }
}

#[async_trait]
impl ByteStore for Talking {
    fn info(&self) -> &StorageInfo {
        self.0.info()
    }
    fn base(&self) -> &str {
        self.0.base()
    }
    async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.step("get", self.0.get(path, range)).await
    }
    async fn put(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.step("put", self.0.put(path)).await
    }
    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.step("put_if_absent", self.0.put_if_absent(path, bytes)).await
    }
    async fn put_if_unchanged(&self, path: &str, expected: Bytes, bytes: Bytes) -> Result<()> {
        self.step("put_if_unchanged", self.0.put_if_unchanged(path, expected, bytes)).await
    }
    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        self.step("list", self.0.list(folder)).await
    }
    async fn delete(&self, paths: &[String]) -> Result<()> {
        self.step("delete", self.0.delete(paths)).await
    }
    async fn link(&self, link: &str, folder: &str) {
        println!("before link");
        self.0.link(link, folder).await;
    }
}

#[test]
#[ignore = "the process that the other test kills"]
fn replace_again_and_again() {
    let Some(folder) = std::env::var_os("TRIBUTARY_KILLED_FOLDER") else {
        panic!("run by a_killed_writer_leaves_the_old_table_or_the_new_one only");
    };
    let tables = Tables::new(Arc::new(Talking(FileStore::open(Path::new(&folder)).unwrap())));
    let start = block_on(value(&tables)) + 1;
    println!("ready");
    for value in start..start + 1000 {
        block_on(replace(&tables, value)).unwrap();
        println!("committed {value}");
    }
}

/// Kills a writer after this many lines; returns the last value that it reported.
fn kill_after(lines: usize, folder: &Path) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "replace_again_and_again", "--nocapture"])
        .env("TRIBUTARY_KILLED_FOLDER", folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut lines_left = None;
    let mut committed = 0;
    for line in output.lines().map_while(|line| line.ok()) {
        if let Some(value) = line.strip_prefix("committed ") {
            committed = value.parse().unwrap();
        }
        if line.ends_with("ready") {
            lines_left = Some(lines);
        }
        lines_left = lines_left.map(|left: usize| left.saturating_sub(1));
        if lines_left == Some(0) {
            child.kill().unwrap();
        }
    }
    assert!(!child.wait().unwrap().success());
    committed
}

#[test]
fn a_killed_writer_leaves_the_old_table_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let tables = tributary_file::storage(folder.path()).unwrap();
    let mut last = 0;
    for kill in 0..KILLS {
        let committed = kill_after(1 + kill * 7, folder.path());
        let found = block_on(value(&tables));
        assert!(found >= committed.max(last), "kill {kill}: {found} after {committed} was committed");
        last = found;
    }
    assert!(last > KILLS as u64 / 2, "the writer hardly got anywhere");
    block_on(async {
        support::age(folder.path());
        let swept = tables.sweep(&Sweep::default(), &|_| false).await.unwrap();
        assert!(swept.failed.is_empty() && swept.files > 0);
        assert_eq!(value(&tables).await, last);
        let left = FileStore::open(folder.path()).unwrap().list("").await.unwrap();
        assert_eq!(left.len(), PARTS as usize + 1, "{left:?}");
    });
}
