//! What readers fetch from the medium: no more requests and bytes than they need, since a distant one answers late.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};

use tributary_core::storage::{Storage, StorageInfo, StoredTable, WriteOptions};
use tributary_core::wanted::Wanted;
use tributary_core::{Field, KeyType, Layout, Result, TableName, TableSchema};
use tributary_table::{ByteStore, Entry, Revision, Tables, Upload};

use support::Memory;

mod support;

/// Counts what is read.
#[derive(Debug, Clone)]
struct Counting {
    inner: Memory,
    requests: Arc<AtomicU64>,
    bytes: Arc<AtomicU64>,
}

impl Counting {
    fn new() -> Self {
        Self { inner: Memory::new(), requests: Arc::default(), bytes: Arc::default() }
    }

    fn count(&self, bytes: &Bytes) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    /// Requests and bytes since the last call.
    fn take(&self) -> (u64, u64) {
        (self.requests.swap(0, Ordering::Relaxed), self.bytes.swap(0, Ordering::Relaxed))
    }
}

#[async_trait]
impl ByteStore for Counting {
    fn info(&self) -> &StorageInfo {
        self.inner.info()
    }
    fn base(&self) -> &str {
        self.inner.base()
    }
    async fn get(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        let bytes = self.inner.get(path, range).await?;
        self.count(&bytes);
        Ok(bytes)
    }
    async fn get_with_revision(&self, path: &str, most: u64) -> Result<(Bytes, Revision)> {
        let read = self.inner.get_with_revision(path, most).await?;
        self.count(&read.0);
        Ok(read)
    }
    async fn put(&self, path: &str) -> Result<Box<dyn Upload>> {
        self.inner.put(path).await
    }
    async fn put_if_absent(&self, path: &str, bytes: Bytes) -> Result<()> {
        self.inner.put_if_absent(path, bytes).await
    }
    async fn list(&self, folder: &str) -> Result<Vec<Entry>> {
        self.inner.list(folder).await
    }
    async fn delete(&self, paths: &[String]) -> Result<()> {
        self.inner.delete(paths).await
    }
}

/// A table of ids and columns of numbers that do not compress, in one part of batches of so many rows.
async fn write(tables: &Tables, columns: usize, batches: u64, rows_each: u64) -> StoredTable {
    let fields = (0..columns).map(|c| Field::new(format!("c{c}"), DataType::Float64)).collect();
    let schema = TableSchema::keyed("id", KeyType::UInt64, fields).unwrap();
    let place = tables.locate(&TableName::new("n", "t").unwrap()).unwrap();
    let write = tables.begin(&place, &schema, &Layout::Loose(1), WriteOptions::default()).await.unwrap();
    let make = {
        let schema = schema.clone();
        move |batch: u64| {
            let rows = batch * rows_each..(batch + 1) * rows_each;
            let mixed = move |row: u64, column: u64| (row ^ column << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mut all: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from_iter_values(rows.clone()))];
            for column in 0..columns as u64 {
                let values = rows.clone().map(|row| mixed(row, column) as f64);
                all.push(Arc::new(Float64Array::from_iter_values(values)));
            }
            schema.batch(all)
        }
    };
    let rows = stream::iter((0..batches).map(make)).boxed();
    let part = tables.write_part(&write, 0, rows).await.unwrap();
    tables.commit(write, vec![part]).await.unwrap()
}

#[test]
fn a_small_table_is_opened_and_read_in_two_requests() {
    block_on(async {
        let counting = Counting::new();
        let tables = Tables::new(Arc::new(counting.clone()));
        let written = write(&tables, 10, 1, 569).await;
        counting.take();
        let table = tables.open(&written.uri).await.unwrap();
        let rows: Vec<RecordBatch> = tables.scan(&table, 0).await.unwrap().try_collect().await.unwrap();
        assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 569);
        assert_eq!(counting.take().0, 2, "the manifest, and the part");
    });
}

#[test]
fn four_of_forty_columns_are_a_tenth_of_the_bytes_and_few_rows_a_part_of_them() {
    block_on(async {
        let counting = Counting::new();
        let tables = Tables::new(Arc::new(counting.clone()));
        let table = write(&tables, 40, 20, 10_000).await;
        let read = async |wanted: Wanted| {
            counting.take();
            let rows = tables.scan_some(&table, 0, &wanted).await.unwrap();
            drop(rows.try_collect::<Vec<_>>().await.unwrap());
            counting.take().1
        };
        let all = read(Wanted::default()).await;
        assert!(all > table.bytes() * 9 / 10, "{all} of {}", table.bytes());
        let four = read(Wanted::default().with_columns([3, 17, 18, 40])).await;
        assert!(four * 5 < all, "{four} of {all}");
        let first = read(Wanted::default().with_rows(0..100)).await;
        assert!(first < all, "{first} of {all}");
    });
}
