//! Files that an attacker or a faulty disk has changed: refused with the file's name, never a panic, never other rows that
//! `verify` misses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::sync::{Arc, LazyLock};

use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, Float64Array, Int32Array, ListArray, RecordBatch, StringArray};
use arrow_schema::DataType;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use proptest::prelude::*;

use tributary_core::storage::{Storage, StoredTable, WriteOptions};
use tributary_core::{Error, ErrorKind, Field, KeyType, Layout, Result, TableName, TableSchema};
use tributary_table::Tables;

use support::Memory;

mod support;

struct Sample {
    memory: Memory,
    table: StoredTable,
    /// Path of the second partition's file.
    part: String,
}

fn tables(memory: &Memory) -> Tables {
    Tables::new(Arc::new(memory.clone()))
}

fn schema(second: DataType) -> TableSchema {
    let list = ListArray::from_iter_primitive::<UInt64Type, _, _>([Some([Some(1)])]);
    let fields = vec![
        Field::new("x", second),
        Field::new("n", DataType::Int32).nullable(),
        Field::new("l", arrow_array::Array::data_type(&list).clone()),
    ];
    TableSchema::keyed("id", KeyType::Utf8, fields).unwrap()
}

fn rows(schema: &TableSchema) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..200).map(|i| format!("person {i}"))));
    let x: ArrayRef = match schema.fields()[0].data_type {
        DataType::Float64 => Arc::new(Float64Array::from_iter_values((0..200).map(f64::from))),
        _ => Arc::new(Int32Array::from_iter_values(0..200)),
    };
    let n: ArrayRef = Arc::new(Int32Array::from_iter((0..200).map(|i| (i % 3 > 0).then_some(i % 5))));
    let lists = (0..200u64).map(|i| Some((0..i % 4).map(Some)));
    let l: ArrayRef = Arc::new(ListArray::from_iter_primitive::<UInt64Type, _, _>(lists));
    schema.batch(vec![ids, x, n, l]).unwrap()
}

fn write(schema: &TableSchema) -> Sample {
    let memory = Memory::new();
    let table = block_on(async {
        let tables = tables(&memory);
        let place = tables.locate(&TableName::new("n", "t").unwrap()).unwrap();
        let write = tables.begin(&place, schema, &Layout::Loose(2), WriteOptions::default()).await.unwrap();
        let mut parts = Vec::new();
        for partition in 0..2 {
            let rows = stream::iter([Ok(rows(schema))]).boxed();
            parts.push(tables.write_part(&write, partition, rows).await.unwrap());
        }
        tables.commit(write, parts).await.unwrap()
    });
    let part = format!("n/t/_snapshots/{}/{}", table.snapshot, table.parts[1].file);
    Sample { memory, table, part }
}

static SAMPLE: LazyLock<Sample> = LazyLock::new(|| write(&schema(DataType::Float64)));

async fn scan(tables: &Tables, table: &StoredTable) -> Result<Vec<RecordBatch>> {
    tables.scan(table, 1).await?.try_collect().await
}

/// Reads with the second part changed.
fn read_changed(change: impl FnOnce(&mut Vec<u8>)) -> (Result<Vec<RecordBatch>>, Result<()>) {
    let memory = SAMPLE.memory.copy();
    let mut bytes = memory.bytes(&SAMPLE.part).to_vec();
    change(&mut bytes);
    memory.set(&SAMPLE.part, bytes);
    let tables = tables(&memory);
    block_on(async { (scan(&tables, &SAMPLE.table).await, tables.verify(&SAMPLE.table).await) })
}

fn assert_names_the_file(error: &Error) {
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error:?}");
    assert!(error.to_string().contains(&SAMPLE.part), "{error}");
    assert!(error.to_string().contains("partition 1 of table memory://tables/n/t"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn changed_bytes_are_found_and_never_panic(at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let (read, verified) = read_changed(|bytes| {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        });
        assert_names_the_file(&verified.unwrap_err());
        if let Err(error) = read {
            assert_names_the_file(&error);
        }
    }

    #[test]
    fn changed_footers_are_found_and_never_panic(back in 0..900usize, values in prop::collection::vec(any::<u8>(), 1..9)) {
        let (read, verified) = read_changed(|bytes| {
            let at = bytes.len() - back.max(values.len());
            bytes[at..at + values.len()].copy_from_slice(&values);
        });
        for error in [read.err(), verified.err()].into_iter().flatten() {
            assert_names_the_file(&error);
        }
    }

    #[test]
    fn cut_files_are_found(keep in any::<prop::sample::Index>()) {
        let (read, verified) = read_changed(|bytes| bytes.truncate(keep.index(bytes.len())));
        assert_names_the_file(&read.unwrap_err());
        assert_names_the_file(&verified.unwrap_err());
    }
}

#[test]
fn a_file_of_other_columns_is_refused_by_name() {
    let other = write(&schema(DataType::Int32));
    let memory = SAMPLE.memory.copy();
    memory.set(&SAMPLE.part, other.memory.bytes(&other.part));
    let mut table = SAMPLE.table.clone();
    table.parts[1].size.bytes = other.table.parts[1].size.bytes;
    let error = block_on(scan(&tables(&memory), &table)).unwrap_err();
    assert_names_the_file(&error);
    assert!(error.to_string().contains("column \"x\""), "{error}");
}

#[test]
fn a_missing_file_of_a_table_that_is_there_is_corruption() {
    let memory = SAMPLE.memory.copy();
    memory.remove(&SAMPLE.part);
    let tables = tables(&memory);
    for error in [
        block_on(scan(&tables, &SAMPLE.table)).unwrap_err(),
        block_on(tables.verify(&SAMPLE.table)).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.chain().contains(&SAMPLE.part), "{}", error.chain());
    }
}

#[test]
fn tables_from_callers_cannot_name_other_files() {
    let tables = tables(&SAMPLE.memory);
    let mut escaping = SAMPLE.table.clone();
    escaping.parts[1].file = "../../_manifest.json".into();
    assert_eq!(block_on(scan(&tables, &escaping)).unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut escaping = SAMPLE.table.clone();
    escaping.snapshot = "../_snapshots".into();
    assert_eq!(block_on(scan(&tables, &escaping)).unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// What a bound part names are files of this machine: whoever can write to a distant store must not choose them.
#[test]
fn a_store_that_binds_no_files_reads_none_that_a_manifest_names() {
    let tables = tables(&SAMPLE.memory);
    let mut bound = SAMPLE.table.clone();
    bound.parts[1].file = bound.parts[1].file.replace(".parquet", ".bound");
    assert_ne!(bound.parts[1].file, SAMPLE.table.parts[1].file);
    for error in [block_on(scan(&tables, &bound)).unwrap_err(), block_on(tables.verify(&bound)).unwrap_err()]
    {
        assert!(error.chain().contains("binds no files"), "{}", error.chain());
    }
}
