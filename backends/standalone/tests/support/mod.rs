//! What the tests of this engine share: small kernels, rows as text, a store in memory.

#![allow(dead_code, reason = "each test binary uses some of it")]

pub mod kernels;
pub mod store;

use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use tributary_core::SessionId;
use tributary_core::computing::{Computing, Engine, Handle, SessionSpec};
use tributary_core::error::Result;
use tributary_core::kernel::Kernels;
use tributary_core::layout::{Layout, hash_bytes, hash_u64, partition_of};
use tributary_core::placement::CoreRequest;
use tributary_core::plan::Node;
use tributary_core::schema::{Field, KeyType, TableSchema};
use tributary_standalone::{Session, Standalone};

use self::store::MemoryStore;

pub fn open(id: &str, cores: u64, memory_bytes: u64) -> Session {
    open_on(Arc::new(MemoryStore::default()), id, cores, memory_bytes)
}

pub fn open_on(store: Arc<MemoryStore>, id: &str, cores: u64, memory_bytes: u64) -> Session {
    let engine = Standalone::new(kernels::all(), store);
    let placement = engine.place(&CoreRequest::of_task_cores(cores)).unwrap();
    engine.session(SessionSpec { id: session_id(id), placement, memory_bytes }).unwrap()
}

fn session_id(test: &str) -> SessionId {
    format!("{test}.test.0").parse().unwrap()
}

/// An engine that spills to this folder, and a session of it.
pub fn open_spilling(folder: &Path, id: &str, cores: u64, memory_bytes: u64) -> (Standalone, Session) {
    let store = Arc::new(MemoryStore::default());
    let engine = Standalone::new(kernels::all(), store).spilling_to(folder.into(), u64::MAX);
    let placement = engine.place(&CoreRequest::of_task_cores(cores)).unwrap();
    let spec = SessionSpec { id: session_id(id), placement, memory_bytes };
    let session = engine.session(spec).unwrap();
    (engine, session)
}

pub fn kernels() -> Kernels {
    kernels::all()
}

/// A key and a number.
pub fn schema(key_type: KeyType) -> TableSchema {
    TableSchema::keyed("k", key_type, vec![Field::new("v", DataType::Int64)]).unwrap()
}

pub fn batch(key_type: KeyType, rows: &[(u64, i64)]) -> RecordBatch {
    let text = |key: &u64| format!("key {key}");
    let keys = rows.iter().map(|(key, _)| key);
    let keys: ArrayRef = match key_type {
        KeyType::UInt64 => Arc::new(UInt64Array::from_iter_values(keys.copied())),
        KeyType::Utf8 => Arc::new(StringArray::from_iter_values(keys.map(text))),
        KeyType::Binary => Arc::new(BinaryArray::from_iter_values(keys.map(text))),
    };
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, value)| *value)));
    schema(key_type).batch(vec![keys, values]).unwrap()
}

/// The hash of a key as [`batch`] makes it.
pub fn hash(key_type: KeyType, key: u64) -> u64 {
    match key_type {
        KeyType::UInt64 => hash_u64(key),
        KeyType::Utf8 | KeyType::Binary => hash_bytes(format!("key {key}").as_bytes()),
    }
}

/// Sorted as a `Keyed` table is; rows of one key stay in their order.
pub fn keyed(key_type: KeyType, rows: &[(u64, i64)]) -> Vec<(u64, i64)> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|(key, _)| hash(key_type, *key));
    rows
}

/// Number of rows in each partition of a `Keyed(n)` table.
pub fn keyed_counts(key_type: KeyType, rows: &[(u64, i64)], n: u32) -> Vec<u64> {
    let mut counts = vec![0; n as usize];
    rows.iter().for_each(|(key, _)| counts[partition_of(hash(key_type, *key), n) as usize] += 1);
    counts
}

/// Puts rows in batches of `cut` rows.
pub fn put(
    session: &dyn Computing,
    key_type: KeyType,
    rows: &[(u64, i64)],
    cut: usize,
    to: Layout,
) -> Result<Arc<Handle>> {
    let batches: Vec<_> = rows.chunks(cut.max(1)).map(|rows| Ok(batch(key_type, rows))).collect();
    block_on(session.put(&schema(key_type), stream::iter(batches).boxed(), to))
}

pub fn collect(session: &dyn Computing, plan: &Node) -> Result<Vec<RecordBatch>> {
    block_on(async { session.read(plan).await?.try_collect().await })
}

pub fn read(session: &dyn Computing, plan: &Node) -> Vec<String> {
    text(&collect(session, plan).unwrap())
}

/// Rows as text, columns separated by spaces, `-` where a value is missing.
pub fn text(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("-");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join(" "));
        }
    }
    rows
}

/// Rows of [`batch`] as text.
pub fn expected(key_type: KeyType, rows: &[(u64, i64)]) -> Vec<String> {
    if rows.is_empty() { Vec::new() } else { text(&[batch(key_type, rows)]) }
}

pub fn counts(handle: &Handle) -> Vec<u64> {
    handle.parts().iter().map(|part| part.rows).collect()
}
