//! Two tables: joins, unions, side by side, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use proptest::prelude::*;

use tributary_core::layout::RowRanges;
use tributary_core::ops::merge::Merge;
use tributary_core::plan::PRESENCE;
use tributary_core::{ErrorKind, Field, KeyType, Layout, Table, TableSchema};

use super::model::{self, KEY_TYPES, Row, any_key_type, any_unique_rows, numbered};
use super::{Fixture, Session, collect, loose, put, refused};

/// How one side of a join is laid out before it.
fn any_layout() -> impl Strategy<Value = Layout> {
    let n = prop_oneof![Just(1), Just(2), Just(7)];
    (n, any::<bool>()).prop_map(|(n, keyed)| if keyed { Layout::Keyed(n) } else { Layout::Loose(n) })
}

fn any_pair() -> impl Strategy<Value = (KeyType, [(Vec<Row>, Layout); 2])> {
    let side = || (any_unique_rows(), any_layout());
    (any_key_type(), side(), side()).prop_map(|(key_type, a, b)| (key_type, [a, b]))
}

async fn put_pair(session: &Session, key_type: KeyType, sides: [(Vec<Row>, Layout); 2]) -> [Table; 2] {
    let [(a, a_layout), (b, b_layout)] = sides;
    let a = put(session, key_type, &a, a_layout).await;
    [a, put(session, key_type, &b, b_layout).await]
}

fn by_id(rows: &[Row]) -> BTreeMap<u64, Row> {
    rows.iter().map(|row| (row.id, row.clone())).collect()
}

type Values = Option<(Option<i64>, Option<i64>)>;

/// The rows of a wide table: key, left values, right values; a side whose four values are all missing counts as absent
/// only where the presence says so.
fn wide_rows(batches: &[RecordBatch]) -> Vec<(u64, Values, Values)> {
    let of_batch = |batch: &RecordBatch| {
        let ids = model::ids(batch.column(0));
        let values: Vec<Vec<Option<i64>>> = (1..5).map(|column| model::numbers(batch, column)).collect();
        let presence = batch
            .schema()
            .column_with_name(PRESENCE)
            .map(|(column, _)| batch.column(column).as_primitive::<UInt8Type>().values().to_vec());
        let row = |(i, id)| {
            let present = presence.as_ref().map_or(3, |p| p[i]);
            let side = |bit: u8, a: usize, b: usize| {
                let both = (values[a][i], values[b][i]);
                assert!(present & bit != 0 || both == (None, None), "values of an absent side");
                (present & bit != 0).then_some(both)
            };
            (id, side(1, 0, 1), side(2, 2, 3))
        };
        ids.into_iter().enumerate().map(row).collect::<Vec<_>>()
    };
    batches.iter().flat_map(of_batch).collect()
}

fn expected_wide(key_type: KeyType, a: &[Row], b: &[Row], full: bool) -> Vec<(u64, Values, Values)> {
    let (a, b) = (by_id(a), by_id(b));
    let all: BTreeSet<u64> = a.keys().chain(b.keys()).copied().collect();
    let of = |side: &BTreeMap<u64, Row>, id| side.get(id).map(|row: &Row| (Some(row.x), row.y));
    let rows = all.iter().map(|id| (*id, of(&a, id), of(&b, id)));
    let mut rows: Vec<_> = rows.filter(|(_, a, b)| full || (a.is_some() && b.is_some())).collect();
    rows.sort_by_key(|(id, _, _)| model::hash(key_type, *id));
    rows
}

pub async fn joins_give_what_the_model_gives_in_the_order_of_keys(fixture: Fixture) {
    fixture
        .property(
            32,
            any_pair(),
            async |session: Session, (key_type, sides): (KeyType, [(Vec<Row>, Layout); 2])| {
                let (a, b) = (sides[0].0.clone(), sides[1].0.clone());
                let [left, right] = put_pair(&session, key_type, sides).await;
                let inner = left.join(&right).unwrap();
                assert!(matches!(inner.layout(), Layout::Keyed(_)));
                assert_eq!(
                    wide_rows(&inner.collect().await.unwrap()),
                    expected_wide(key_type, &a, &b, false)
                );
                let full = left.full_join(&right).unwrap();
                assert_eq!(wide_rows(&full.collect().await.unwrap()), expected_wide(key_type, &a, &b, true));

                let known = by_id(&b);
                let (common, own): (Vec<Row>, Vec<Row>) =
                    a.into_iter().partition(|row| known.contains_key(&row.id));
                let semi = left.semi_join(&right).unwrap();
                assert_eq!(collect(&semi).await, model::key_order(key_type, common));
                let anti = left.subtract_by_key(&right).unwrap();
                assert_eq!(collect(&anti).await, model::key_order(key_type, own));
            },
        )
        .await;
}

pub async fn a_union_takes_the_side_it_is_asked_for(fixture: Fixture) {
    fixture
        .property(
            24,
            any_pair(),
            async |session: Session, (key_type, sides): (KeyType, [(Vec<Row>, Layout); 2])| {
                let (a, b) = (sides[0].0.clone(), sides[1].0.clone());
                let [left, right] = put_pair(&session, key_type, sides).await;
                for (merge, first, second) in [(Merge::Left, &b, &a), (Merge::Right, &a, &b)] {
                    let mut expected = by_id(first);
                    expected.extend(by_id(second));
                    let union = left.union(&right, merge).unwrap();
                    assert_eq!(union.schema(), left.schema());
                    let expected = model::key_order(key_type, expected.into_values().collect());
                    assert_eq!(collect(&union).await, expected);
                }
            },
        )
        .await;
}

pub async fn joins_of_empty_and_skewed_tables(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            for key_type in KEY_TYPES {
                let skewed = numbered(model::skewed_ids(key_type, 200));
                let sides: [&[Row]; 4] = [&[], &skewed, &skewed[50..120], &skewed[..1]];
                for a in sides {
                    for b in sides {
                        let left = loose(session, key_type, a, n).await;
                        let right = put(session, key_type, b, Layout::Keyed(7)).await;
                        let inner = left.join(&right).unwrap().collect().await.unwrap();
                        assert_eq!(wide_rows(&inner), expected_wide(key_type, a, b, false));
                        let full = left.full_join(&right).unwrap().collect().await.unwrap();
                        assert_eq!(wide_rows(&full), expected_wide(key_type, a, b, true));
                    }
                }
            }
        })
        .await;
}

pub async fn a_table_joins_itself(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = numbered(0..50);
            let table = loose(session, KeyType::Binary, &rows, n).await;
            let wide = wide_rows(&table.join(&table).unwrap().collect().await.unwrap());
            assert_eq!(wide, expected_wide(KeyType::Binary, &rows, &rows, false));
            assert_eq!(table.subtract_by_key(&table).unwrap().count().await.unwrap(), 0);
        })
        .await;
}

pub async fn a_join_of_other_key_types_or_of_keys_twice_is_refused(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let text = loose(session, KeyType::Utf8, &numbered(0..5), n).await;
            let bytes = loose(session, KeyType::Binary, &numbered(0..5), n).await;
            refused(text.join(&bytes), ErrorKind::InvalidInput);
            let twice = loose(session, KeyType::Utf8, &numbered([1, 2, 1]), n).await;
            for joined in [text.join(&twice), twice.semi_join(&text), twice.full_join(&twice)] {
                refused(joined.unwrap().collect().await, ErrorKind::InvalidInput);
            }
            refused(
                text.join(&twice.gather_by_key(n).unwrap()).unwrap().count().await,
                ErrorKind::InvalidInput,
            );
            let other = text.select(["y"]).unwrap();
            refused(text.union(&other, Merge::Left), ErrorKind::InvalidInput);
        })
        .await;
}

pub async fn keyed_tables_are_joined_where_they_are(fixture: Fixture) {
    let session = fixture.some_cores().await;
    let a = put(&session, KeyType::Utf8, &numbered(0..50), Layout::Keyed(4)).await;
    let b = put(&session, KeyType::Utf8, &numbered(25..75), Layout::Keyed(4)).await;
    let loose = loose(&session, KeyType::Utf8, &numbered(10..30), 9).await;
    let exchanges = |table: &Table| format!("{:?}", table.plan()).matches("Exchange").count();
    assert_eq!(exchanges(&a.join(&b).unwrap()), 0);
    let one = loose.semi_join(&a).unwrap();
    assert_eq!((exchanges(&one), one.layout()), (1, &Layout::Keyed(4)));
    assert_eq!(one.count().await.unwrap(), 20);
}

pub async fn zip_puts_equal_rows_side_by_side(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let (a, b) = (numbered(0..60), numbered((0..60).rev()));
            let ranges = Layout::Rows(RowRanges::even(60, n));
            let left = put(session, KeyType::Utf8, &a, ranges.clone()).await;
            let right = put(session, KeyType::UInt64, &b, ranges.clone()).await;
            let expected: Vec<_> = a
                .iter()
                .zip(&b)
                .map(|(a, b)| (a.id, Some((Some(a.x), a.y)), Some((Some(b.x), b.y))))
                .collect();
            let zipped = left.zip(&right).unwrap();
            assert_eq!(*zipped.layout(), ranges);
            assert_eq!(wide_rows(&zipped.collect().await.unwrap()), expected);
            let part = left.rows(7..31).unwrap().zip(&right.rows(7..31).unwrap()).unwrap();
            assert_eq!(wide_rows(&part.collect().await.unwrap()), expected[7..31]);
            let without = left.zip(&right.drop_key().unwrap()).unwrap();
            assert_eq!(wide_rows(&without.collect().await.unwrap()), expected);

            refused(left.zip(&right.rows(0..59).unwrap()), ErrorKind::InvalidInput);
            refused(left.zip(&loose(session, KeyType::UInt64, &b, n).await), ErrorKind::InvalidInput);
            let uneven = Layout::Rows(RowRanges::new(vec![0, 60, 60]).unwrap());
            refused(left.zip(&put(session, KeyType::Utf8, &b, uneven).await), ErrorKind::InvalidInput);
        })
        .await;
}

pub async fn concat_puts_one_table_after_the_other(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let (a, b) = (numbered(0..20), numbered(10..50));
            let first = put(session, KeyType::UInt64, &a, Layout::Keyed(n)).await;
            let second = loose(session, KeyType::UInt64, &b, 3).await;
            let empty = loose(session, KeyType::UInt64, &[], 2).await;
            let all = Table::concat(&[second.clone(), empty, first.clone(), second.clone()]).unwrap();
            assert_eq!(*all.layout(), Layout::Loose(8 + n));
            let expected = [b.clone(), model::key_order(KeyType::UInt64, a), b].concat();
            assert_eq!(collect(&all).await, expected);
            assert_eq!(collect(&all.repartition(n).unwrap()).await, expected);
            assert_eq!(all.count().await.unwrap(), 100);
            refused(Table::concat(&[]), ErrorKind::InvalidInput);
            refused(Table::concat(&[first, second.select(["x"]).unwrap()]), ErrorKind::InvalidInput);
        })
        .await;
}

/// Every supported type, each value `i` different, every fourth missing.
fn typed_columns(numbers: std::ops::Range<i64>) -> Vec<(&'static str, ArrayRef)> {
    let some = |i: i64| (i % 4 != 0).then_some(i);
    macro_rules! column {
        ($array:ty, $value:expr) => {
            Arc::new(numbers.clone().map(|i| some(i).map($value)).collect::<$array>()) as ArrayRef
        };
    }
    let wide: Vec<Option<Vec<u8>>> =
        numbers.clone().map(|i| some(i).map(|i| [i.to_be_bytes(); 16].concat())).collect();
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(wide.into_iter(), 128).unwrap();
    let mut floats = ListBuilder::new(Float64Builder::new());
    let mut indices = ListBuilder::new(UInt64Builder::new());
    for i in numbers.clone() {
        for item in 0..i % 3 {
            floats.values().append_value(item as f64);
            indices.values().append_value(item as u64);
        }
        floats.append(some(i).is_some());
        indices.append(some(i).is_some());
    }
    let decimals = column!(Decimal128Array, i128::from);
    vec![
        ("boolean", column!(BooleanArray, |i| i % 2 == 0)),
        ("int32", column!(Int32Array, |i| i as i32)),
        ("int64", column!(Int64Array, |i| i)),
        ("uint8", column!(UInt8Array, |i| i as u8)),
        ("uint16", column!(UInt16Array, |i| i as u16)),
        ("uint32", column!(UInt32Array, |i| i as u32)),
        ("uint64", column!(UInt64Array, |i| i as u64)),
        ("float32", column!(Float32Array, |i| i as f32)),
        ("float64", column!(Float64Array, |i| i as f64)),
        ("text", column!(StringArray, |i| i.to_string())),
        ("bytes", column!(BinaryArray, |i| i.to_le_bytes())),
        ("fixed", Arc::new(fixed)),
        ("date", column!(Date32Array, |i| i as i32)),
        ("time", column!(TimestampMicrosecondArray, |i| i)),
        ("decimal", decimals),
        ("floats", Arc::new(floats.finish())),
        ("indices", Arc::new(indices.finish())),
    ]
}

pub async fn every_column_type_moves_and_joins(fixture: Fixture) {
    let columns = typed_columns(0..40);
    let fields = columns.iter().map(|(name, c)| Field::new(*name, c.data_type().clone()).nullable());
    let schema = TableSchema::keyed("id", KeyType::UInt64, fields.collect()).unwrap();
    let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..40));
    let whole = schema.batch([ids].into_iter().chain(columns.into_iter().map(|(_, c)| c)).collect()).unwrap();
    fixture
        .everywhere(async |session, n| {
            let rows = vec![whole.slice(0, 13), whole.slice(13, 27)];
            let table = Table::parallelize(session, &schema, rows, Layout::Loose(n)).await.unwrap();
            let shuffled = table.keyed(3).unwrap().keep().await.unwrap();
            let sorted = shuffled.by_row_number(RowRanges::even(40, n)).unwrap().collect().await.unwrap();
            assert_same_rows(&sorted, &whole, 0);

            let half = Table::parallelize(session, &schema, vec![whole.slice(0, 20)], Layout::Loose(n))
                .await
                .unwrap();
            let full = table.full_join(&half).unwrap().by_row_number(RowRanges::even(40, 1)).unwrap();
            let full = full.collect().await.unwrap();
            let width = whole.num_columns();
            assert_same_rows(&full, &whole, 0);
            let right = concat_rows(&full).project(&(width..2 * width - 1).collect::<Vec<_>>()).unwrap();
            assert!(right.columns().iter().all(|c| c.slice(20, 20).null_count() == 20));
            let union =
                half.union(&table, Merge::Left).unwrap().by_row_number(RowRanges::even(40, n)).unwrap();
            assert_same_rows(&union.collect().await.unwrap(), &whole, 0);
        })
        .await;
}

/// Batches of rows one by one, so that batches cut otherwise compare equal.
fn concat_rows(batches: &[RecordBatch]) -> RecordBatch {
    arrow_select::concat::concat_batches(&batches[0].schema(), batches).unwrap()
}

fn assert_same_rows(batches: &[RecordBatch], whole: &RecordBatch, first_column: usize) {
    let rows = concat_rows(batches);
    for (i, expected) in whole.columns().iter().enumerate() {
        let found = rows.column(first_column + i);
        assert_eq!(found, expected, "column {}", whole.schema().field(i).name());
    }
}
