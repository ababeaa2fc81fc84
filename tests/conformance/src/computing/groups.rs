//! Many rows into one: over a table, by key, by a kernel over gathered rows.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use proptest::prelude::*;

use tributary_core::kernel::KernelCall;
use tributary_core::ops::aggregate::{Function, Measure};
use tributary_core::{ErrorKind, KeyType, Layout, Table};

use super::kernels::GroupList;
use super::model::{self, KEY_TYPES, Row, any_key_type, any_rows, numbered};
use super::{Fixture, Session, collect, loose, put, refused};

fn measures() -> Vec<Measure> {
    let named = |function, column: &str, name: &str| Measure::of(function, column).named(name);
    vec![
        Measure::of(Function::Sum, "x"),
        named(Function::Min, "x", "x_min"),
        named(Function::Max, "x", "x_max"),
        Measure::of(Function::Sum, "y"),
        named(Function::Min, "y", "y_min"),
        named(Function::Max, "y", "y_max"),
    ]
}

/// What the measures are of some rows.
fn measured(rows: &[&Row]) -> Vec<Option<i64>> {
    let of = |values: Vec<i64>| {
        let sum = (!values.is_empty()).then(|| values.iter().sum());
        [sum, values.iter().min().copied(), values.iter().max().copied()]
    };
    let x = of(rows.iter().map(|row| row.x).collect());
    let y = of(rows.iter().filter_map(|row| row.y).collect());
    x.into_iter().chain(y).collect()
}

fn grouped(key_type: KeyType, rows: &[Row]) -> Vec<(u64, Vec<&Row>)> {
    let mut groups: BTreeMap<u64, Vec<&Row>> = BTreeMap::new();
    rows.iter().for_each(|row| groups.entry(row.id).or_default().push(row));
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(id, _)| model::hash(key_type, *id));
    groups
}

pub async fn reduce_by_key_gives_what_the_model_gives(fixture: Fixture) {
    let input = (any_rows(), any_key_type(), prop_oneof![Just(1), Just(2), Just(7)]);
    fixture
        .property(24, input, async |session: Session, (rows, key_type, n): (Vec<Row>, KeyType, u32)| {
            let reduced = loose(&session, key_type, &rows, n).await.reduce_by_key(&measures()).unwrap();
            assert_eq!(*reduced.layout(), Layout::Keyed(n));
            let mut found = Vec::new();
            for batch in reduced.collect().await.unwrap() {
                let columns: Vec<_> = (1..7).map(|column| model::numbers(&batch, column)).collect();
                for (row, id) in model::ids(batch.column(0)).into_iter().enumerate() {
                    found.push((id, columns.iter().map(|c| c[row]).collect::<Vec<_>>()));
                }
            }
            let expected = grouped(key_type, &rows);
            assert_eq!(found, expected.iter().map(|(id, rows)| (*id, measured(rows))).collect::<Vec<_>>());
        })
        .await;
}

pub async fn reduce_gives_one_row_or_none(fixture: Fixture) {
    let input = (any_rows(), any_key_type(), prop_oneof![Just(1), Just(2), Just(7)]);
    fixture
        .property(16, input, async |session: Session, (rows, key_type, n): (Vec<Row>, KeyType, u32)| {
            let table = loose(&session, key_type, &rows, n).await;
            let found = table.reduce(&measures()).await.unwrap().map(|row| {
                assert_eq!(row.num_rows(), 1);
                (0..6).map(|column| model::numbers(&row, column)[0]).collect::<Vec<_>>()
            });
            let all: Vec<&Row> = rows.iter().collect();
            assert_eq!(found, (!rows.is_empty()).then(|| measured(&all)));
        })
        .await;
}

pub async fn missing_values_are_not_counted(fixture: Fixture) {
    let counts = [Measure::of(Function::Count, "x"), Measure::of(Function::Count, "y")];
    fixture
        .everywhere(async |session, n| {
            for key_type in KEY_TYPES {
                let rows = numbered((0..100).map(|i| i % 11));
                let table = loose(session, key_type, &rows, n).await;
                let mut found = Vec::new();
                for batch in table.reduce_by_key(&counts).unwrap().collect().await.unwrap() {
                    let (x, y) = (model::counts(&batch, 1), model::counts(&batch, 2));
                    let ids = model::ids(batch.column(0)).into_iter();
                    found.extend(ids.zip(x.into_iter().zip(y)));
                }
                let groups = grouped(key_type, &rows);
                let y_count = |rows: &[&Row]| rows.iter().filter(|row| row.y.is_some()).count() as u64;
                let expected = groups.iter().map(|(id, rows)| (*id, (rows.len() as u64, y_count(rows))));
                assert_eq!(found, expected.collect::<Vec<_>>());
                let whole = table.reduce(&counts).await.unwrap().unwrap();
                assert_eq!((model::counts(&whole, 0)[0], model::counts(&whole, 1)[0]), (100, 66));
            }
        })
        .await;
}

pub async fn distinct_keys_are_a_reduction_without_measures(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = numbered((0..100).map(|i| i % 13));
            let distinct = loose(session, KeyType::Utf8, &rows, n).await.reduce_by_key(&[]).unwrap();
            let batches = distinct.collect().await.unwrap();
            let ids: Vec<u64> = batches.iter().flat_map(|b| model::ids(b.column(0))).collect();
            let expected: Vec<u64> = grouped(KeyType::Utf8, &rows).into_iter().map(|(id, _)| id).collect();
            assert_eq!(ids, expected);
        })
        .await;
}

pub async fn the_first_row_of_each_key_is_the_first_in_source_order(fixture: Fixture) {
    let input = (any_rows(), any_key_type(), prop_oneof![Just(1), Just(2), Just(7)]);
    fixture
        .property(12, input, async |session: Session, (rows, key_type, n): (Vec<Row>, KeyType, u32)| {
            let first = loose(&session, key_type, &rows, n).await.first_by_key().unwrap();
            assert_eq!(*first.layout(), Layout::Keyed(n));
            let mut found = Vec::new();
            for batch in first.collect().await.unwrap() {
                let x = model::numbers(&batch, 1);
                found.extend(model::ids(batch.column(0)).into_iter().zip(x));
            }
            let of_group = |(id, rows): (u64, Vec<&Row>)| (id, Some(rows[0].x));
            let expected: Vec<_> = grouped(key_type, &rows).into_iter().map(of_group).collect();
            assert_eq!(found, expected);
        })
        .await;
}

pub async fn a_sum_beyond_64_bits_is_exhausted_and_not_wrapped(fixture: Fixture) {
    let sum = [Measure::of(Function::Sum, "x")];
    fixture
        .everywhere(async |session, n| {
            let mut rows = numbered([5, 5, 6, 6]);
            rows[0].x = i64::MAX - 1;
            let table = loose(session, KeyType::UInt64, &rows, n).await;
            assert_eq!(collect_sums(&table, &sum).await, [(5, i64::MAX), (6, 5)]);
            rows[1].x = 2;
            let table = loose(session, KeyType::UInt64, &rows, n).await;
            refused(table.reduce_by_key(&sum).unwrap().collect().await, ErrorKind::Exhausted);
            refused(table.reduce(&sum).await, ErrorKind::Exhausted);
            refused(table.reduce(&[Measure::of(Function::Sum, "z")]).await, ErrorKind::InvalidInput);
        })
        .await;
}

async fn collect_sums(table: &Table, sum: &[Measure]) -> Vec<(u64, i64)> {
    let mut sums = Vec::new();
    for batch in table.reduce_by_key(sum).unwrap().collect().await.unwrap() {
        let values = model::numbers(&batch, 1).into_iter().flatten();
        sums.extend(model::ids(batch.column(0)).into_iter().zip(values));
    }
    sums.sort();
    sums
}

pub async fn gathered_rows_keep_their_source_order(fixture: Fixture) {
    let list = KernelCall::fold::<GroupList>(&()).unwrap();
    fixture
        .everywhere(async |session, n| {
            for key_type in KEY_TYPES {
                let skewed = (0..300).map(|i| if i % 10 == 0 { i % 17 } else { 99 });
                let rows = numbered(skewed);
                let gathered = loose(session, key_type, &rows, 5).await.gather_by_key(n).unwrap();
                let groups = grouped(key_type, &rows);
                let beside: Vec<Row> =
                    groups.iter().flat_map(|(_, rows)| rows.iter().copied().cloned()).collect();
                assert_eq!(collect(&gathered).await, beside);

                let listed = gathered.map(list.clone()).unwrap();
                assert_eq!(*listed.layout(), Layout::Keyed(n));
                let mut found = Vec::new();
                for batch in listed.collect().await.unwrap() {
                    let lists = batch.column(1).as_string::<i32>().iter().flatten().map(String::from);
                    found.extend(model::ids(batch.column(0)).into_iter().zip(lists));
                }
                let joined =
                    |rows: &[&Row]| rows.iter().map(|row| row.x.to_string()).collect::<Vec<_>>().join(",");
                let expected = groups.iter().map(|(id, rows)| (*id, joined(rows)));
                assert_eq!(found, expected.collect::<Vec<_>>());
            }
        })
        .await;
}

pub async fn groups_can_be_joined_once_combined_and_not_before(fixture: Fixture) {
    let list = KernelCall::fold::<GroupList>(&()).unwrap();
    fixture
        .everywhere(async |session, n| {
            let rows = numbered([4, 1, 4, 4, 2]);
            let gathered = loose(session, KeyType::Utf8, &rows, 2).await.gather_by_key(n).unwrap();
            let other = put(session, KeyType::Utf8, &numbered([4, 2, 9]), Layout::Keyed(n)).await;
            refused(gathered.keep().await, ErrorKind::InvalidInput);
            let combined = gathered.map(list.clone()).unwrap().keep().await.unwrap();
            assert_eq!(combined.semi_join(&other).unwrap().count().await.unwrap(), 2);
        })
        .await;
}
