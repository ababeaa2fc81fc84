//! Operations row by row: mapping, filtering, sampling, the first rows, counting.

use std::collections::BTreeSet;

use tributary_core::kernel::KernelCall;
use tributary_core::ops::rows::{Comparison, Predicate, Value};
use tributary_core::table::SampleSize;
use tributary_core::{ErrorKind, KeyType, Layout, Table};

use super::kernels::{Explode, LastKey, Scale, Shift};
use super::model::{self, KEY_TYPES, Row, any_key_type, any_rows, numbered};
use super::{Fixture, Session, collect, loose, parts, put, refused, row_count};

pub async fn map_values_keeps_rows_keys_and_layout(fixture: Fixture) {
    let triple = KernelCall::map::<Scale>(&Scale { factor: 3 }).unwrap();
    fixture
        .everywhere(async |session, n| {
            for (key_type, layout) in
                KEY_TYPES.into_iter().flat_map(|k| [(k, Layout::Loose(n)), (k, Layout::Keyed(n))])
            {
                let table = put(session, key_type, &numbered(0..90), layout).await;
                let tripled = table.map_values(triple.clone()).unwrap();
                let expected: Vec<Row> =
                    collect(&table).await.into_iter().map(|row| Row { x: 3 * row.x, ..row }).collect();
                assert_eq!(collect(&tripled).await, expected);
                assert_eq!(tripled.layout(), table.layout());
                refused(
                    table.map_values(KernelCall::map::<Shift>(&Shift { by: 1 }).unwrap()),
                    ErrorKind::InvalidInput,
                );
            }
        })
        .await;
}

pub async fn map_may_change_keys(fixture: Fixture) {
    let shift = KernelCall::map::<Shift>(&Shift { by: 1000 }).unwrap();
    fixture
        .everywhere(async |session, n| {
            for key_type in KEY_TYPES {
                let table = put(session, key_type, &numbered(0..90), Layout::Keyed(n)).await;
                let shifted = table.map(shift.clone()).unwrap();
                let expected: Vec<Row> =
                    collect(&table).await.into_iter().map(|row| Row { id: row.id + 1000, ..row }).collect();
                assert_eq!(collect(&shifted).await, expected);
                assert_eq!(*shifted.layout(), Layout::Loose(n));
                let again = shifted.keyed(n).unwrap();
                assert_eq!(collect(&again).await, model::key_order(key_type, expected));
            }
        })
        .await;
}

pub async fn a_map_gives_any_number_of_rows(fixture: Fixture) {
    let explode = KernelCall::map::<Explode>(&Explode).unwrap();
    fixture
        .property(
            12,
            (any_rows(), any_key_type(), 1..8u32),
            async |session: Session, (rows, key_type, n): (Vec<Row>, KeyType, u32)| {
                let table = loose(&session, key_type, &rows, n).await.map(explode.clone()).unwrap();
                let expected: Vec<Row> = rows.iter().flat_map(Explode::row).collect();
                assert_eq!(collect(&table).await, expected);
                assert_eq!(table.count().await.unwrap(), expected.len() as u64);
                assert_eq!(collect(&table.keep().await.unwrap()).await, expected);
            },
        )
        .await;
}

pub async fn a_fold_gives_nothing_for_an_empty_partition(fixture: Fixture) {
    let last = KernelCall::fold::<LastKey>(&()).unwrap();
    fixture
        .everywhere(async |session, n| {
            for (key_type, size) in KEY_TYPES.into_iter().zip([0, 3, 100]) {
                let table = loose(session, key_type, &numbered(0..size), n).await;
                let mut expected = Vec::new();
                for part in parts(&table).await {
                    let sum: i64 = part.iter().map(|row| row.x).sum();
                    expected.extend(part.last().map(|row| (row.id, Some(sum))));
                }
                let applied = table.map(last.clone()).unwrap();
                let mut found = Vec::new();
                for batch in applied.collect().await.unwrap() {
                    found.extend(model::ids(batch.column(0)).into_iter().zip(model::numbers(&batch, 1)));
                }
                assert_eq!(found, expected);
            }
        })
        .await;
}

pub async fn filter_keeps_the_rows_that_compare(fixture: Fixture) {
    use Comparison as C;
    let compare = |comparison: C, left: Option<i64>, right: i64| {
        left.is_some_and(|left| match comparison {
            C::Eq => left == right,
            C::Ne => left != right,
            C::Lt => left < right,
            C::Le => left <= right,
            C::Gt => left > right,
            C::Ge => left >= right,
        })
    };
    fixture
        .everywhere(async |session, n| {
            let table = put(session, KeyType::Binary, &numbered(0..90), Layout::Keyed(n)).await;
            let rows = collect(&table).await;
            for comparison in [C::Eq, C::Ne, C::Lt, C::Le, C::Gt, C::Ge] {
                for (column, value) in [("x", 40), ("y", -40), ("x", -1), ("y", -39)] {
                    let predicate = Predicate { column: column.into(), comparison, value: Value::Int(value) };
                    let filtered = table.filter(&predicate).unwrap();
                    let of = |row: &Row| if column == "x" { Some(row.x) } else { row.y };
                    let chosen = |row: &&Row| compare(comparison, of(row), value);
                    let expected: Vec<Row> = rows.iter().filter(chosen).cloned().collect();
                    assert_eq!(collect(&filtered).await, expected, "{predicate:?}");
                    assert_eq!(filtered.layout(), table.layout());
                }
            }
            let unknown = Predicate { column: "z".into(), comparison: C::Eq, value: Value::Int(1) };
            refused(table.filter(&unknown), ErrorKind::InvalidInput);
        })
        .await;
}

async fn sampled(table: &Table, size: SampleSize, seed: u64) -> BTreeSet<Row> {
    let rows = collect(&table.sample(size, seed).await.unwrap()).await;
    let set: BTreeSet<Row> = rows.iter().cloned().collect();
    assert_eq!(set.len(), rows.len());
    set
}

pub async fn a_sampled_fraction_is_near_and_the_same_for_every_layout(fixture: Fixture) {
    let session = fixture.some_cores().await;
    for key_type in KEY_TYPES {
        let rows = numbered(0..10_000);
        let mut samples = Vec::new();
        for n in super::PARTITIONS {
            for layout in [Layout::Loose(n), Layout::Keyed(n)] {
                let table = put(&session, key_type, &rows, layout).await;
                samples.push(sampled(&table, SampleSize::Fraction(0.3), 17).await);
            }
        }
        assert!(samples.windows(2).all(|pair| pair[0] == pair[1]));
        // Six standard deviations of a binomial draw: √(10 000 · 0.3 · 0.7) = 46.
        assert!(samples[0].len().abs_diff(3000) < 276, "{} of 10000", samples[0].len());

        let table = loose(&session, key_type, &rows, 3).await;
        let other = sampled(&table, SampleSize::Fraction(0.3), 18).await;
        // Independent samples share 0.09 of the rows.
        assert!(samples[0].intersection(&other).count().abs_diff(900) < 180);
        assert_eq!(sampled(&table, SampleSize::Fraction(0.0), 17).await.len(), 0);
        assert_eq!(sampled(&table, SampleSize::Fraction(1.0), 17).await.len(), 10_000);
    }
    let table = loose(&session, KeyType::Utf8, &numbered(0..10), 3).await;
    for wrong in [-0.1, 1.1, f64::NAN] {
        refused(table.sample(SampleSize::Fraction(wrong), 1).await, ErrorKind::InvalidInput);
    }
}

pub async fn an_exact_sample_has_so_many_rows_and_the_same_for_every_layout(fixture: Fixture) {
    let rows = numbered((0..400).map(|i| i * 13));
    for (key_type, size) in KEY_TYPES.into_iter().zip([1, 57, 399]) {
        let mut samples = Vec::new();
        for cores in fixture.cores().extremes() {
            let session = fixture.session(cores).await;
            for n in super::PARTITIONS {
                for layout in [Layout::Loose(n), Layout::Keyed(n)] {
                    let table = put(&session, key_type, &rows, layout).await;
                    samples.push(sampled(&table, SampleSize::Rows(size), 5).await);
                }
            }
        }
        assert_eq!(samples[0].len() as u64, size);
        assert!(samples.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

pub async fn an_exact_sample_may_have_no_or_all_rows_but_not_more(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = numbered(0..100);
            let table = loose(session, KeyType::Utf8, &rows, n).await;
            assert_eq!(sampled(&table, SampleSize::Rows(0), 3).await.len(), 0);
            let all = table.sample(SampleSize::Rows(100), 3).await.unwrap();
            assert_eq!(collect(&all).await, rows);
            refused(table.sample(SampleSize::Rows(101), 3).await, ErrorKind::InvalidInput);
            let a = sampled(&table, SampleSize::Rows(50), 3).await;
            let b = sampled(&table, SampleSize::Rows(50), 4).await;
            assert_ne!(a, b);
            let none = loose(session, KeyType::Utf8, &[], n).await;
            assert_eq!(sampled(&none, SampleSize::Rows(0), 3).await.len(), 0);
            refused(none.sample(SampleSize::Rows(1), 3).await, ErrorKind::InvalidInput);
        })
        .await;
}

pub async fn take_gives_the_first_rows(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            for layout in [Layout::Loose(n), Layout::Keyed(n)] {
                let table = put(session, KeyType::UInt64, &numbered(0..70), layout).await;
                let rows = collect(&table).await;
                for count in [0, 1, 11, 69, 70, 71, 1000] {
                    let taken = model::rows(&table.take(count).await.unwrap());
                    assert_eq!(taken, rows[..rows.len().min(count as usize)]);
                }
                assert_eq!(model::rows(&[table.first().await.unwrap()]), rows[..1]);
            }
            let late = Predicate { column: "x".into(), comparison: Comparison::Ge, value: Value::Int(60) };
            let table = loose(session, KeyType::UInt64, &numbered(0..70), n).await.filter(&late).unwrap();
            assert_eq!(model::rows(&[table.first().await.unwrap()])[0].x, 60);
        })
        .await;
}

pub async fn an_empty_table_has_no_first_row_and_counts_none(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            for key_type in KEY_TYPES {
                let table = loose(session, key_type, &[], n).await;
                for table in [table.keyed(n).unwrap(), table] {
                    refused(table.first().await, ErrorKind::NotFound);
                    assert_eq!(table.count().await.unwrap(), 0);
                    assert_eq!(row_count(&table.take(5).await.unwrap()), 0);
                    assert_eq!(row_count(&table.collect().await.unwrap()), 0);
                }
            }
        })
        .await;
}

pub async fn columns_are_selected_and_become_keys(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = numbered(0..40);
            let table = loose(session, KeyType::Utf8, &rows, n).await;
            let back = table.select(["y", "x"]).unwrap();
            let names: Vec<&str> = back.schema().fields().iter().map(|f| f.name.as_str()).collect();
            assert_eq!(names, ["y", "x"]);
            assert_eq!(collect(&back.select(["x", "y"]).unwrap()).await, rows);
            refused(table.select(["z"]), ErrorKind::InvalidInput);

            let numbered = table.keep_rows().await.unwrap().number_rows("n").unwrap();
            let rekeyed = numbered.rekey("n", Some("old")).unwrap();
            assert!(matches!(rekeyed.layout(), Layout::Rows(_)));
            let batches = rekeyed.collect().await.unwrap();
            let ids: Vec<u64> = batches.iter().flat_map(|b| model::ids(b.column(0))).collect();
            assert_eq!(ids, (0..40).collect::<Vec<_>>());
            let old: Vec<u64> = batches.iter().flat_map(|b| model::ids(b.column(1))).collect();
            assert_eq!(old, rows.iter().map(|row| row.id).collect::<Vec<_>>());
            assert_eq!(numbered.rekey("n", None).unwrap().schema().fields().len(), 2);
            refused(table.rekey("x", None), ErrorKind::InvalidInput);
        })
        .await;
}
