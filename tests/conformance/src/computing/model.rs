//! The model that engines are compared with: rows as plain values, tables as lists of rows.
//!
//! A key is a number here and becomes a key column of any type by a mapping that can be reversed, so that one case serves
//! all key types. Zero becomes the empty text and the empty bytes, on purpose.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::DataType;
use proptest::prelude::*;

use tributary_core::layout::{hash_bytes, hash_u64};
use tributary_core::{Field, KeyType, TableSchema};

/// All of them.
pub const KEY_TYPES: [KeyType; 3] = [KeyType::Utf8, KeyType::Binary, KeyType::UInt64];

/// One row of the suite's usual table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    /// The key.
    pub id: u64,
    /// A number.
    pub x: i64,
    /// A number that may be missing.
    pub y: Option<i64>,
}

/// Rows with ids from 0, or some permutation of them: number i has `x = i`, and `y` unless i is a multiple of 3.
pub fn numbered(ids: impl IntoIterator<Item = u64>) -> Vec<Row> {
    let row = |(i, id): (usize, u64)| Row { id, x: i as i64, y: (i % 3 != 0).then_some(-(i as i64)) };
    ids.into_iter().enumerate().map(row).collect()
}

/// Any rows, keys may occur more than once.
pub fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    let id = prop_oneof![4 => 0..40u64, 1 => any::<u64>()];
    let row = (id, -1000..1000i64, proptest::option::of(-1000..1000i64));
    proptest::collection::vec(row.prop_map(|(id, x, y)| Row { id, x, y }), 0..120)
}

/// Any rows, each key once, in any order.
pub fn any_unique_rows() -> impl Strategy<Value = Vec<Row>> {
    any_rows().prop_map(|rows| {
        let mut seen = std::collections::HashSet::new();
        rows.into_iter().filter(|row| seen.insert(row.id)).collect()
    })
}

/// Any key type.
pub fn any_key_type() -> impl Strategy<Value = KeyType> {
    proptest::sample::select(KEY_TYPES.to_vec())
}

/// The columns of the usual table: key `id`, `x`, `y`.
pub fn schema(key_type: KeyType) -> TableSchema {
    let fields = vec![Field::new("x", DataType::Int64), Field::new("y", DataType::Int64).nullable()];
    TableSchema::keyed("id", key_type, fields).unwrap()
}

/// Keys as a column.
pub fn keys(key_type: KeyType, ids: impl IntoIterator<Item = u64>) -> ArrayRef {
    let ids: Vec<u64> = ids.into_iter().collect();
    match key_type {
        KeyType::UInt64 => Arc::new(UInt64Array::from(ids)),
        KeyType::Utf8 => Arc::new(StringArray::from_iter_values(ids.iter().map(|id| text(*id)))),
        KeyType::Binary => Arc::new(BinaryArray::from_iter_values(ids.iter().map(|id| bytes(*id)))),
    }
}

fn text(id: u64) -> String {
    match id {
        0 => String::new(),
        id if id % 5 == 0 => format!("ключ {id}"),
        id => format!("id {id}"),
    }
}

fn bytes(id: u64) -> Vec<u8> {
    let mut bytes = id.to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// The numbers of a key column.
pub fn ids(column: &dyn Array) -> Vec<u64> {
    let number = |text: &str| text.split(' ').nth(1).map_or(0, |digits| digits.parse().unwrap());
    let from_bytes = |bytes: &[u8]| {
        let mut all = [0; 8];
        all[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(all)
    };
    match column.data_type() {
        DataType::UInt64 => column.as_primitive::<UInt64Type>().values().to_vec(),
        DataType::Utf8 => column.as_string::<i32>().iter().map(|t| number(t.unwrap())).collect(),
        DataType::Binary => column.as_binary::<i32>().iter().map(|b| from_bytes(b.unwrap())).collect(),
        other => panic!("a key column of type {other}"),
    }
}

/// The documented hash of a key, from the definition and not from a key column.
pub fn hash(key_type: KeyType, id: u64) -> u64 {
    match key_type {
        KeyType::UInt64 => hash_u64(id),
        KeyType::Utf8 => hash_bytes(text(id).as_bytes()),
        KeyType::Binary => hash_bytes(&bytes(id)),
    }
}

/// The documented order of a `Keyed` table.
pub fn key_order(key_type: KeyType, mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by_key(|row| hash(key_type, row.id));
    rows
}

/// Whether no key occurs twice.
pub fn is_unique(rows: &[Row]) -> bool {
    let distinct: std::collections::HashSet<u64> = rows.iter().map(|row| row.id).collect();
    distinct.len() == rows.len()
}

/// Rows as one batch of the usual columns.
pub fn batch(key_type: KeyType, rows: &[Row]) -> RecordBatch {
    let x: Int64Array = rows.iter().map(|row| row.x).collect();
    let y: Int64Array = rows.iter().map(|row| row.y).collect();
    let columns: Vec<ArrayRef> =
        vec![keys(key_type, rows.iter().map(|row| row.id)), Arc::new(x), Arc::new(y)];
    schema(key_type).batch(columns).unwrap()
}

/// Rows cut into batches of different lengths, some of them empty, all slices of one.
pub fn batches(key_type: KeyType, rows: &[Row]) -> Vec<RecordBatch> {
    let whole = batch(key_type, rows);
    let (mut cut, mut at) = (vec![whole.slice(0, 0)], 0);
    for length in [1, 0, 7, 1000, 3, 64].into_iter().cycle() {
        let length = length.min(rows.len() - at);
        cut.push(whole.slice(at, length));
        at += length;
        if at == rows.len() {
            return cut;
        }
    }
    cut
}

/// The rows of batches whose first columns are the usual ones.
pub fn rows(batches: &[RecordBatch]) -> Vec<Row> {
    let of_batch = |batch: &RecordBatch| {
        let x = numbers(batch, 1);
        let y = numbers(batch, 2);
        let ids = ids(batch.column(0)).into_iter();
        let row = |(id, (x, y)): (u64, (Option<i64>, Option<i64>))| Row { id, x: x.unwrap(), y };
        ids.zip(x.into_iter().zip(y)).map(row).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

/// An `Int64` column.
pub fn numbers(batch: &RecordBatch, column: usize) -> Vec<Option<i64>> {
    batch.column(column).as_primitive::<Int64Type>().iter().collect()
}

/// A `UInt64` column without nulls.
pub fn counts(batch: &RecordBatch, column: usize) -> Vec<u64> {
    let column = batch.column(column);
    assert_eq!(column.null_count(), 0);
    column.as_primitive::<UInt64Type>().values().to_vec()
}

/// `n` ids, nearly all of which fall into one of 7 partitions by key.
pub fn skewed_ids(key_type: KeyType, n: usize) -> Vec<u64> {
    use tributary_core::layout::partition_of;
    let in_one = |id: &u64| id.is_multiple_of(50) || partition_of(hash(key_type, *id), 7) == 3;
    (0..).filter(in_one).take(n).collect()
}
