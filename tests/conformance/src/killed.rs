//! A process that replaces a table again and again is killed (SIGKILL) at many points. Each time the table is complete, and no older
//! than the last one that the process reported as committed.
//!
//! The process is the test binary itself, running an ignored test that calls [`replace_again_and_again`]. It writes a line around every
//! operation of its byte store; the test kills it after a number of lines, so that the points spread over the whole protocol without
//! waiting.

use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::{RecordBatch, UInt64Array};
use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};

use tributary_core::bytestore::{ByteStore, Entry, Revision, Upload};
use tributary_core::storage::{IfExists, Storage, StorageInfo, StoredTable, Sweep, TableUri, WriteOptions};
use tributary_core::{ErrorKind, KeyType, Layout, Result, TableName, TableSchema};

const PARTS: u32 = 3;
const ROWS: usize = 20_000;
const KILLS: usize = 50;
/// The line after which lines are counted.
const READY: &str = "ready";

/// A medium, and the tables that are made of it.
pub struct Medium {
    pub bytes: Arc<dyn ByteStore>,
    pub tables: fn(Arc<dyn ByteStore>) -> Arc<dyn Storage>,
}

fn schema() -> TableSchema {
    TableSchema::keyed("id", KeyType::UInt64, vec![]).unwrap()
}

fn place(tables: &dyn Storage) -> TableUri {
    tables.locate(&TableName::new("n", "t").unwrap()).unwrap()
}

async fn replace(tables: &dyn Storage, value: u64) -> Result<StoredTable> {
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
async fn value(tables: &dyn Storage) -> u64 {
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
struct Talking(Arc<dyn ByteStore>);

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
    async fn get_with_revision(&self, path: &str, most: u64) -> Result<(Bytes, Revision)> {
        self.step("get_with_revision", self.0.get_with_revision(path, most)).await
    }
    async fn put(&self, path: &str) -> Result<Box<dyn Upload>> {
        let upload = self.step("put", self.0.put(path)).await?;
        Ok(Box::new(TalkingUpload(upload)))
    }
    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.step("put_if_absent", self.0.put_if_absent(path, bytes)).await
    }
    async fn put_if_unchanged(&self, path: &str, expected: &Revision, bytes: Bytes) -> Result<()> {
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

struct TalkingUpload(Box<dyn Upload>);

#[async_trait]
impl Upload for TalkingUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.0.write(bytes).await
    }
    async fn finish(self: Box<Self>) -> Result<()> {
        println!("before finish");
        let finished = self.0.finish().await;
        println!("after finish");
        finished
    }
    async fn abort(self: Box<Self>) {
        self.0.abort().await;
    }
}

/// What the process does that is killed.
pub fn replace_again_and_again(medium: Medium) {
    let tables = (medium.tables)(Arc::new(Talking(medium.bytes)));
    let start = block_on(value(&*tables)) + 1;
    println!("{READY}");
    for value in start..start + 1000 {
        block_on(replace(&*tables, value)).unwrap();
        println!("committed {value}");
    }
}

/// Kills a writer after this many lines; returns the last value that it reported.
fn kill_after(lines: usize, mut writer: Command) -> u64 {
    let mut child = writer.stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let mut lines_left = None;
    let mut committed = 0;
    for line in output.lines().map_while(|line| line.ok()) {
        if let Some(value) = line.strip_prefix("committed ") {
            committed = value.parse().unwrap();
        }
        if line.ends_with(READY) {
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

/// The test. `writer`: this test binary again, to run that ignored test on the same medium; it is given the arguments here. `old`: makes
/// what is there now old enough for the clean-up that it returns.
pub fn a_killed_writer_leaves_the_old_table_or_the_new_one(
    medium: &Medium,
    test: &str,
    writer: impl Fn() -> Command,
    old: impl FnOnce() -> Sweep,
) {
    let tables = (medium.tables)(medium.bytes.clone());
    let mut last = 0;
    for kill in 0..KILLS {
        let mut writer = writer();
        writer.args(["--ignored", "--exact", test, "--nocapture"]);
        let committed = kill_after(1 + kill * 3, writer);
        let found = block_on(value(&*tables));
        assert!(found >= committed.max(last), "kill {kill}: {found} after {committed} was committed");
        last = found;
    }
    assert!(last > KILLS as u64 / 2, "the writer hardly got anywhere");
    let what = old();
    block_on(async {
        let swept = tables.sweep(&what, &|_| false).await.unwrap();
        assert!(swept.failed.is_empty() && swept.files > 0);
        assert_eq!(value(&*tables).await, last);
        let left = medium.bytes.list("").await.unwrap();
        assert_eq!(left.len(), PARTS as usize + 1, "{left:?}");
    });
}
