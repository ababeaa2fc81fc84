//! Where rows are: putting, keeping, exchanging, numbering. Partitions are looked at one by one, not through operations
//! that could be wrong in the same way.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, UInt64Array};
use arrow_schema::DataType;

use tributary_core::kernel::KernelCall;
use tributary_core::layout::{RowRanges, partition_of};
use tributary_core::{ErrorKind, Field, KeyType, Layout, Table, TableSchema};

use super::kernels::Tag;
use super::model::{self, KEY_TYPES, Row, numbered};
use super::{Fixture, Session, collect, handle, loose, parts, put, refused, row_count};

/// Ids in an order that is neither theirs nor their hashes'.
fn mixed(n: u64) -> Vec<Row> {
    numbered((0..n).map(|i| (i * 37 + 11) % 1009))
}

/// No rows, one, few, and more than there are partitions.
const SIZES: [u64; 4] = [0, 1, 5, 300];

pub async fn loose_tables_keep_their_order_in_nearly_equal_parts(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            for (key_type, size) in KEY_TYPES.into_iter().zip(SIZES.into_iter().cycle().skip(1)) {
                let rows = mixed(size);
                let parts = parts(&loose(session, key_type, &rows, n).await).await;
                let sizes: Vec<usize> = parts.iter().map(Vec::len).collect();
                assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
                assert_eq!(parts.concat(), rows);
            }
            assert_eq!(parts(&loose(session, KeyType::Utf8, &[], n).await).await.concat(), []);
        })
        .await;
}

/// Components name columns of their own with one colon; none of these names may be an engine's.
pub async fn columns_of_components_travel_whatever_their_names(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            for name in [":row", ":id", ":position", ":partition", ":route", ":bundle"] {
                let table = loose(session, KeyType::Utf8, &mixed(50), n).await.keep_rows().await.unwrap();
                let moved = table.number_rows(name).unwrap().keyed(n).unwrap();
                let column = moved.schema().column_index(name).unwrap();
                let batches = moved.collect().await.unwrap();
                let mut numbers: Vec<u64> = batches
                    .iter()
                    .flat_map(|batch| batch.column(column).as_primitive::<UInt64Type>().values().to_vec())
                    .collect();
                numbers.sort_unstable();
                assert_eq!(numbers, (0..50).collect::<Vec<_>>(), "{name}");
            }
        })
        .await;
}

fn check_keyed(key_type: KeyType, parts: &[Vec<Row>], rows: &[Row]) {
    let n = parts.len() as u32;
    for (partition, part) in parts.iter().enumerate() {
        for row in part {
            let hash = model::hash(key_type, row.id);
            assert_eq!(partition_of(hash, n), partition as u32, "of {n}: {row:?}");
        }
    }
    assert_eq!(parts.concat(), model::key_order(key_type, rows.to_vec()));
}

pub async fn keyed_tables_follow_the_partition_function_and_the_order(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            for key_type in KEY_TYPES {
                for size in SIZES {
                    let rows = mixed(size);
                    let put_keyed = put(session, key_type, &rows, Layout::Keyed(n)).await;
                    assert_eq!(*handle(&put_keyed).layout(), Layout::Keyed(n));
                    check_keyed(key_type, &parts(&put_keyed).await, &rows);
                    for from in [1, 3] {
                        let moved = loose(session, key_type, &rows, from).await.keyed(n).unwrap();
                        check_keyed(key_type, &parts(&moved).await, &rows);
                    }
                }
            }
        })
        .await;
}

pub async fn skewed_keys_move_like_others(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            for key_type in KEY_TYPES {
                let rows = numbered(model::skewed_ids(key_type, 400));
                let source = loose(session, key_type, &rows, n).await;
                check_keyed(key_type, &parts(&source.keyed(7).unwrap()).await, &rows);
                let (none, all) = (&[], &rows[..]);
                let mut sources = Vec::new();
                for part in [none, all, none, none] {
                    sources.push(loose(session, key_type, part, 1).await);
                }
                let one_full = Table::concat(&sources).unwrap();
                check_keyed(key_type, &parts(&one_full.keyed(n).unwrap()).await, &rows);
            }
        })
        .await;
}

pub async fn the_order_of_keys_does_not_depend_on_partitions(fixture: Fixture) {
    let session = fixture.some_cores().await;
    for key_type in KEY_TYPES {
        let rows = mixed(500);
        let mut orders = Vec::new();
        for n in [1, 2, 7, 64] {
            let table = loose(&session, key_type, &rows, 3).await.keyed(n).unwrap();
            orders.push(collect(&table).await);
            let twice = put(&session, key_type, &rows, Layout::Keyed(n)).await.keyed(7).unwrap();
            orders.push(collect(&twice).await);
        }
        assert!(orders.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

pub async fn rows_are_cut_at_their_boundaries(fixture: Fixture) {
    let session = fixture.some_cores().await;
    let rows = mixed(20);
    let ranges = RowRanges::new(vec![5, 5, 6, 22, 22, 25]).unwrap();
    let table = put(&session, KeyType::Utf8, &rows, Layout::Rows(ranges)).await;
    let cut = parts(&table).await;
    assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1, 16, 0, 3]);
    assert_eq!(cut.concat(), rows);
    for wrong in [19, 21, 0] {
        let layout = Layout::Rows(RowRanges::even(wrong, 2));
        let batches = model::batches(KeyType::Utf8, &rows);
        let put = Table::parallelize(&session, &model::schema(KeyType::Utf8), batches, layout).await;
        refused(put, ErrorKind::InvalidInput);
    }
}

pub async fn repartition_keeps_the_order_of_each_layout(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = mixed(100);
            for to in [1, 2, 7, 150] {
                let table = loose(session, KeyType::Binary, &rows, n).await.repartition(to).unwrap();
                assert_eq!(*table.layout(), Layout::Loose(to));
                let cut = parts(&table).await;
                let sizes = cut.iter().map(Vec::len);
                assert!(sizes.clone().max().unwrap() - sizes.min().unwrap() <= 1);
                assert_eq!(cut.concat(), rows);

                let keyed = put(session, KeyType::Binary, &rows, Layout::Keyed(n)).await;
                let table = keyed.repartition(to).unwrap();
                assert_eq!(*table.layout(), Layout::Keyed(to));
                check_keyed(KeyType::Binary, &parts(&table).await, &rows);

                let numbered = loose(session, KeyType::Binary, &rows, n).await.keep_rows().await.unwrap();
                let table = numbered.repartition(to).unwrap();
                assert_eq!(*table.layout(), Layout::Loose(to));
                assert_eq!(collect(&table).await, rows);
            }
        })
        .await;
}

pub async fn a_key_twice_is_refused_with_its_place_and_without_the_key(fixture: Fixture) {
    const TWICE: u64 = 987_654_321;
    fixture
        .everywhere(async |session, n| {
            for key_type in KEY_TYPES {
                let rows = numbered((0..50).chain([TWICE]).chain(100..120).chain([TWICE]));
                let (schema, batches) = (model::schema(key_type), model::batches(key_type, &rows));
                let put = Table::parallelize(session, &schema, batches, Layout::Keyed(n)).await;
                let moved = loose(session, key_type, &rows, 3).await.keyed(n).unwrap();
                for outcome in [put, moved.keep().await] {
                    let text = refused(outcome, ErrorKind::InvalidInput);
                    assert!(!text.contains("987654321") && !text.contains("177, 104, 222"), "{text}");
                    assert!(text.contains("row") && text.chars().any(|c| c.is_ascii_digit()), "{text}");
                }
                refused(moved.collect().await, ErrorKind::InvalidInput);
                refused(moved.count().await, ErrorKind::InvalidInput);
                assert_eq!(loose(session, key_type, &rows, n).await.count().await.unwrap(), 72);
            }
        })
        .await;
}

async fn tags(table: &Table) -> Vec<(u32, u32, Option<u64>)> {
    let batches = table.map(KernelCall::fold::<Tag>(&()).unwrap()).unwrap().collect().await.unwrap();
    let mut tags = Vec::new();
    for batch in &batches {
        let number = |column: usize, row| batch.column(column).as_primitive::<UInt32Type>().value(row);
        let first = batch.column(batch.num_columns() - 1);
        for row in 0..batch.num_rows() {
            let first_row = first.is_valid(row).then(|| first.as_primitive::<UInt64Type>().value(row));
            let width = batch.num_columns();
            tags.push((number(width - 3, row), number(width - 2, row), first_row));
        }
    }
    tags
}

pub async fn kernels_get_their_partition_and_first_row(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = mixed(40);
            let table = loose(session, KeyType::UInt64, &rows, n).await;
            let sizes: Vec<usize> = parts(&table).await.iter().map(Vec::len).collect();
            let expected = |first: bool| {
                let mut start = 0;
                let mut tags = Vec::new();
                for (partition, size) in sizes.iter().enumerate() {
                    tags.extend(vec![(partition as u32, n, first.then_some(start)); *size]);
                    start += *size as u64;
                }
                tags
            };
            assert_eq!(tags(&table).await, expected(false));
            assert_eq!(tags(&table.keep_rows().await.unwrap()).await, expected(true));
            let part = table.keep_rows().await.unwrap().rows(15..18).unwrap();
            let inside: Vec<_> = expected(true).into_iter().skip(15).take(3).collect();
            let first_of =
                |(partition, of, first): (u32, u32, Option<u64>)| (partition, of, first.map(|f| f.max(15)));
            assert_eq!(tags(&part).await, inside.into_iter().map(first_of).collect::<Vec<_>>());
        })
        .await;
}

pub async fn ranges_of_rows_of_any_kept_table_can_be_read(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = mixed(60);
            for layout in [Layout::Loose(n), Layout::Keyed(n), Layout::Rows(RowRanges::even(60, n))] {
                let table = put(session, KeyType::UInt64, &rows, layout).await;
                let all = collect(&table).await;
                for range in [0..60, 0..0, 60..60, 0..1, 59..60, 17..45, 8..9] {
                    let some = table.rows(range.clone()).unwrap();
                    let expected = &all[range.start as usize..range.end as usize];
                    assert_eq!(some.count().await.unwrap(), expected.len() as u64);
                    assert_eq!(collect(&some).await, expected);
                    let kept = some.keep().await.unwrap();
                    assert_eq!(collect(&kept).await, expected);
                    assert_eq!(kept.layout(), some.layout());
                }
                refused(table.rows(0..61), ErrorKind::InvalidInput);
                refused(table.rows(61..61), ErrorKind::InvalidInput);
            }
            let later = RowRanges::new(vec![100, 130, 160]).unwrap();
            let table = put(session, KeyType::UInt64, &rows, Layout::Rows(later)).await;
            assert_eq!(collect(&table.rows(120..140).unwrap()).await, rows[20..40]);
            refused(table.rows(0..60), ErrorKind::InvalidInput);
            let not_kept = table.repartition(3).unwrap();
            refused(not_kept.rows(0..1), ErrorKind::InvalidInput);
        })
        .await;
}

pub async fn kept_rows_are_numbered_in_order(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            for size in SIZES {
                let rows = mixed(size);
                let table = put(session, KeyType::Utf8, &rows, Layout::Keyed(n)).await;
                refused(table.number_rows("n"), ErrorKind::InvalidInput);
                let kept = table.keep_rows().await.unwrap();
                assert!(matches!(kept.layout(), Layout::Rows(_)));
                assert_eq!(kept.count().await.unwrap(), size);
                let batches = kept.number_rows("n").unwrap().collect().await.unwrap();
                let numbers: Vec<u64> = batches.iter().flat_map(|b| model::counts(b, 3)).collect();
                assert_eq!(numbers, (0..size).collect::<Vec<_>>());
                assert_eq!(model::rows(&batches), model::key_order(KeyType::Utf8, rows));
            }
            let kept = loose(session, KeyType::Utf8, &mixed(30), n).await.keep_rows().await.unwrap();
            let part = kept.rows(12..20).unwrap().number_rows("n").unwrap().collect().await.unwrap();
            let numbers: Vec<u64> = part.iter().flat_map(|b| model::counts(b, 3)).collect();
            assert_eq!(numbers, (12..20).collect::<Vec<_>>());
        })
        .await;
}

pub async fn scattered_rows_come_in_the_order_of_their_numbers(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let permuted = numbered((0..200).map(|i| (i * 77 + 5) % 200));
            let mut sorted = permuted.clone();
            sorted.sort();
            let table = loose(session, KeyType::UInt64, &permuted, 3).await;
            let ranges = RowRanges::even(200, n);
            let scattered = table.by_row_number(ranges.clone()).unwrap();
            let cut = parts(&scattered).await;
            for (partition, part) in cut.iter().enumerate() {
                assert!(part.iter().map(|row| row.id).eq(ranges.range(partition as u32)));
            }
            assert_eq!(cut.concat(), sorted);

            let some: Vec<Row> = sorted[50..150].iter().rev().cloned().collect();
            let uneven = RowRanges::new(vec![50, 50, 140, 150]).unwrap();
            let part = loose(session, KeyType::UInt64, &some, n).await.by_row_number(uneven).unwrap();
            assert_eq!(collect(&part).await, sorted[50..150]);

            let none = loose(session, KeyType::UInt64, &[], n).await;
            assert_eq!(collect(&none.by_row_number(RowRanges::even(0, n)).unwrap()).await, []);
        })
        .await;
}

pub async fn numbering_and_scattering_undo_a_shuffle(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = mixed(120);
            let source = loose(session, KeyType::Utf8, &rows, n).await.keep_rows().await.unwrap();
            let shuffled = source.number_rows("n").unwrap().keyed(4).unwrap();
            let back =
                shuffled.rekey("n", Some("id")).unwrap().by_row_number(RowRanges::even(120, n)).unwrap();
            let back = back.rekey("id", None).unwrap();
            assert_eq!(collect(&back).await, rows);
        })
        .await;
}

pub async fn scattering_refuses_numbers_that_are_missing_or_twice(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let good: Vec<u64> = (0..30).rev().collect();
            let mut twice = good.clone();
            twice[7] = 8;
            let mut foreign = good.clone();
            foreign[7] = 30;
            for ids in [good[1..].to_vec(), good[..29].to_vec(), twice, foreign, vec![]] {
                let table = loose(session, KeyType::UInt64, &numbered(ids), 3).await;
                let scattered = table.by_row_number(RowRanges::even(30, n)).unwrap();
                refused(scattered.keep().await, ErrorKind::InvalidInput);
            }
            let one_more = loose(session, KeyType::UInt64, &numbered((0..30).chain([3])), 3).await;
            refused(
                one_more.by_row_number(RowRanges::even(30, n)).unwrap().keep().await,
                ErrorKind::InvalidInput,
            );
            let text = loose(session, KeyType::Utf8, &numbered(0..30), 3).await;
            refused(text.by_row_number(RowRanges::even(30, n)), ErrorKind::InvalidInput);
        })
        .await;
}

async fn put_vectors(session: &Session, values: std::ops::Range<u64>, layout: Layout) -> Table {
    let schema = TableSchema::new(None, vec![Field::new("v", DataType::UInt64)]).unwrap();
    let column: ArrayRef = Arc::new(UInt64Array::from_iter_values(values));
    let batch = schema.batch(vec![column]).unwrap();
    Table::parallelize(session, &schema, vec![batch], layout).await.unwrap()
}

pub async fn tables_without_keys_live_by_row_number(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let table = put_vectors(session, 0..50, Layout::Rows(RowRanges::even(50, n))).await;
            let values = |batches: &[arrow_array::RecordBatch]| -> Vec<u64> {
                batches.iter().flat_map(|b| model::counts(b, 0)).collect()
            };
            assert_eq!(values(&table.collect().await.unwrap()), (0..50).collect::<Vec<_>>());
            let some = table.rows(20..31).unwrap();
            assert_eq!(values(&some.collect().await.unwrap()), (20..31).collect::<Vec<_>>());
            let moved = table.repartition(3).unwrap();
            assert_eq!(values(&moved.collect().await.unwrap()), (0..50).collect::<Vec<_>>());
            refused(table.keyed(n), ErrorKind::InvalidInput);
            refused(table.join(&table), ErrorKind::InvalidInput);

            let ids_only = loose(session, KeyType::Utf8, &mixed(9), n).await.select([""; 0]).unwrap();
            let nothing = ids_only.keep_rows().await.unwrap().drop_key().unwrap();
            assert_eq!(row_count(&nothing.collect().await.unwrap()), 9);
            assert_eq!(nothing.keep().await.unwrap().count().await.unwrap(), 9);
        })
        .await;
}
