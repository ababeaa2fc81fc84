//! What all benches of stores do: a table of many numbers is written and read, and set beside the raw client in the same run.

use std::sync::Arc;
use std::time::Instant;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use futures::{StreamExt, TryStreamExt, stream};

use tributary_core::storage::{IfExists, Storage, StoredTable, WriteOptions};
use tributary_core::wanted::Wanted;
use tributary_core::{Field, KeyType, Layout, TableName, TableSchema};

pub const COLUMNS: usize = 40;
const BATCH_ROWS: u64 = 10_000;
/// Measured in turns, so that both sides meet the same machine.
pub const TURNS: usize = 5;

pub fn schema() -> TableSchema {
    let fields = (0..COLUMNS).map(|c| Field::new(format!("c{c}"), DataType::Float64)).collect();
    TableSchema::keyed("id", KeyType::UInt64, fields).unwrap()
}

/// A number that does not compress.
pub fn number(row: u64, column: u64) -> f64 {
    (row ^ (column << 40)).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64
}

/// Rows, made before the clock starts.
pub fn batches(batches: u64) -> Vec<RecordBatch> {
    let batch = |batch: u64| {
        let rows = batch * BATCH_ROWS..(batch + 1) * BATCH_ROWS;
        let mut all: Vec<ArrayRef> = vec![Arc::new(UInt64Array::from_iter_values(rows.clone()))];
        for column in 0..COLUMNS as u64 {
            all.push(Arc::new(Float64Array::from_iter_values(rows.clone().map(|row| number(row, column)))));
        }
        schema().batch(all).unwrap()
    };
    (0..batches).map(batch).collect()
}

pub async fn write(tables: &dyn Storage, batches: Vec<RecordBatch>) -> StoredTable {
    let place = tables.locate(&TableName::new("bench", "t").unwrap()).unwrap();
    let options = WriteOptions::default().with_if_exists(IfExists::Replace);
    let write = tables.begin(&place, &schema(), &Layout::Loose(1), options).await.unwrap();
    let rows = stream::iter(batches.into_iter().map(Ok)).boxed();
    let part = tables.write_part(&write, 0, rows).await.unwrap();
    tables.commit(write, vec![part]).await.unwrap()
}

pub async fn scan(tables: &dyn Storage, table: &StoredTable, wanted: &Wanted) {
    let mut rows = tables.scan_some(table, 0, wanted).await.unwrap();
    while let Some(batch) = rows.try_next().await.unwrap() {
        std::hint::black_box(&batch);
    }
}

pub async fn seconds(work: impl Future<Output = ()>) -> f64 {
    let began = Instant::now();
    work.await;
    began.elapsed().as_secs_f64()
}

pub fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// One line about ours and the rival, both in seconds; whether ours has the wanted share of its speed.
pub fn compare(what: &str, ours: f64, rival: &str, theirs: f64, wanted: f64) -> bool {
    let share = theirs / ours;
    println!("{what:<24} {ours:6.2} s   {rival:<24} {theirs:6.2} s   share {share:.2} (wanted {wanted})");
    share >= wanted
}
