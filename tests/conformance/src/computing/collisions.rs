//! Keys that differ although their hashes are equal: the order, joins and groups go by the key then. Such keys are easily
//! made for the hash of the contract (it can be turned around for short inputs), so a party could send them on purpose.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;

use tributary_core::layout::hash_bytes;
use tributary_core::ops::aggregate::{Function, Measure};
use tributary_core::ops::merge::Merge;
use tributary_core::{ErrorKind, Field, KeyType, Layout, Table, TableSchema};

use super::model;
use super::{Fixture, Session, refused};

/// Two pairs of equal hash, found by turning the hash around, and two keys of their own.
const KEYS: [&str; 6] = ["id-8701", "nrLgMJ4!", "k27406", "3ZLhmnVd", "other", "last"];

fn schema(key_type: KeyType) -> TableSchema {
    TableSchema::keyed("id", key_type, vec![Field::new("x", DataType::Int64)]).unwrap()
}

/// Some of the keys, each with its place as `x`.
async fn put(session: &Session, key_type: KeyType, keys: &[&str], layout: Layout) -> Table {
    let column: ArrayRef = match key_type {
        KeyType::Binary => Arc::new(BinaryArray::from_iter_values(keys)),
        _ => Arc::new(StringArray::from_iter_values(keys)),
    };
    let x: ArrayRef = Arc::new(Int64Array::from_iter_values(0..keys.len() as i64));
    let schema = schema(key_type);
    let rows = schema.batch(vec![column, x]).unwrap();
    // One row a batch: an engine may not rely on rows of one hash being in one batch.
    let rows = (0..rows.num_rows()).map(|i| rows.slice(i, 1)).collect();
    Table::parallelize(session, &schema, rows, layout).await.unwrap()
}

fn keys_of(batches: &[RecordBatch]) -> Vec<String> {
    let text = |column: &ArrayRef| -> Vec<String> {
        let bytes = |k: Option<&[u8]>| String::from_utf8(k.unwrap().to_vec()).unwrap();
        match column.data_type() {
            DataType::Binary => column.as_binary::<i32>().iter().map(bytes).collect(),
            _ => column.as_string::<i32>().iter().map(|k| bytes(k.map(str::as_bytes))).collect(),
        }
    };
    batches.iter().flat_map(|batch| text(batch.column(0))).collect()
}

async fn keys(table: &Table) -> Vec<String> {
    keys_of(&table.collect().await.unwrap())
}

fn in_order<'a>(keys: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut keys: Vec<&str> = keys.into_iter().collect();
    keys.sort_by_key(|key| (hash_bytes(key.as_bytes()), *key));
    keys
}

fn types_and_layouts(n: u32) -> impl Iterator<Item = (KeyType, Layout)> {
    let layouts = move |key_type| [(key_type, Layout::Loose(n)), (key_type, Layout::Keyed(n))];
    [KeyType::Utf8, KeyType::Binary].into_iter().flat_map(layouts)
}

pub async fn keys_of_equal_hash_are_ordered_by_value(fixture: Fixture) {
    assert_eq!(hash_bytes(KEYS[0].as_bytes()), hash_bytes(KEYS[1].as_bytes()));
    assert_eq!(hash_bytes(KEYS[2].as_bytes()), hash_bytes(KEYS[3].as_bytes()));
    fixture
        .everywhere(async |session, n| {
            for (key_type, layout) in types_and_layouts(n) {
                let mut shuffled = KEYS;
                for _ in 0..KEYS.len() {
                    shuffled.rotate_left(1);
                    let table = put(session, key_type, &shuffled, layout.clone()).await.keyed(2).unwrap();
                    assert_eq!(keys(&table).await, in_order(KEYS));
                    assert_eq!(keys(&table.keyed(7).unwrap()).await, in_order(KEYS));
                }
            }
        })
        .await;
}

pub async fn keys_of_equal_hash_join_only_themselves(fixture: Fixture) {
    let subset = |mask: u32| (0..6).filter(move |i| mask >> i & 1 == 1).map(|i| KEYS[i]);
    let session = fixture.some_cores().await;
    for (key_type, n) in [(KeyType::Utf8, 1), (KeyType::Binary, 2)] {
        // All ways in which either pair can be on the two sides, the other keys on one side each.
        let ways = (0..16).flat_map(|left| (0..16).map(move |right| (left | 16, right | 32)));
        for (left, right) in fixture.extent.chosen(ways) {
            let (a, b): (BTreeSet<&str>, BTreeSet<&str>) = (subset(left).collect(), subset(right).collect());
            let left: Vec<&str> = a.iter().copied().collect();
            let right: Vec<&str> = b.iter().copied().collect();
            let left = put(&session, key_type, &left, Layout::Loose(n)).await;
            let right = put(&session, key_type, &right, Layout::Keyed(n)).await;
            let common = in_order(a.intersection(&b).copied());
            assert_eq!(keys(&left.semi_join(&right).unwrap()).await, common);
            assert_eq!(keys(&left.join(&right).unwrap()).await, common);
            let own = in_order(a.difference(&b).copied());
            assert_eq!(keys(&left.subtract_by_key(&right).unwrap()).await, own);
            let all = in_order(a.union(&b).copied());
            assert_eq!(keys(&left.union(&right, Merge::Left).unwrap()).await, all);
        }
    }
}

pub async fn keys_of_equal_hash_are_groups_of_their_own(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let [a, b, ..] = KEYS;
            let rows = [a, b, a, b, KEYS[4], a];
            for key_type in [KeyType::Utf8, KeyType::Binary] {
                let table = put(session, key_type, &rows, Layout::Loose(n)).await;
                assert_eq!(keys(&table.gather_by_key(n).unwrap()).await, in_order(rows));
                let sums = table.reduce_by_key(&[Measure::of(Function::Sum, "x")]).unwrap();
                let batches = sums.collect().await.unwrap();
                let sums = batches.iter().flat_map(|batch| model::numbers(batch, 1)).flatten();
                let found: Vec<(String, i64)> = keys_of(&batches).into_iter().zip(sums).collect();
                let sum = |key| rows.iter().zip(0..).filter(|(row, _)| **row == key).map(|(_, x)| x).sum();
                let expected = in_order([a, b, KEYS[4]]).into_iter().map(|key| (key.to_owned(), sum(key)));
                assert_eq!(found, expected.collect::<Vec<_>>());
            }
        })
        .await;
}

pub async fn a_key_twice_is_found_among_keys_of_equal_hash(fixture: Fixture) {
    let session = fixture.some_cores().await;
    let [a, b, ..] = KEYS;
    for rows in [[a, b, a], [b, a, a], [a, a, b]] {
        let table = put(&session, KeyType::Utf8, &rows, Layout::Loose(3)).await;
        refused(table.keyed(2).unwrap().keep().await, ErrorKind::InvalidInput);
        let gathered = table.gather_by_key(2).unwrap();
        refused(gathered.keyed(2).unwrap().keep().await, ErrorKind::InvalidInput);
        assert_eq!(keys(&gathered).await, in_order(rows));
    }
}

pub async fn distinct_keys_of_equal_hash_all_stay(fixture: Fixture) {
    let session = fixture.few_cores().await;
    let rows: Vec<&str> = KEYS.iter().chain(&KEYS).copied().collect();
    let table = put(&session, KeyType::Binary, &rows, Layout::Loose(2)).await;
    assert_eq!(keys(&table.reduce_by_key(&[]).unwrap()).await, in_order(KEYS));
}
