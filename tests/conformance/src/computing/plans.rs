//! Plans as wholes: chains of operations against the model, and how often work is done.

use std::time::Duration;

use proptest::prelude::*;

use tributary_core::kernel::KernelCall;
use tributary_core::layout::RowRanges;
use tributary_core::ops::aggregate::{Function, Measure};
use tributary_core::ops::merge::Merge;
use tributary_core::ops::rows::{Comparison, Predicate, Value};
use tributary_core::storage::{IfExists, TableUri, WriteOptions};
use tributary_core::{ErrorKind, KeyType, Layout, Result, Table};

use super::kernels::{Explode, Scale};
use super::model::{Row, any_key_type, any_rows, any_unique_rows, is_unique, key_order, numbered};
use super::{Fixture, Session, collect, loose, row_count};

/// One operation on a table of the usual columns.
#[derive(Debug, Clone)]
enum Step {
    Scale(i64),
    Below(i64),
    Explode,
    Keyed(u32),
    Repartition(u32),
    Keep,
    KeepRows,
    Range(u8, u8),
    Store,
    ReduceByKey,
    Semi,
    Anti,
    Union(Merge),
    Concat,
}

fn any_step() -> impl Strategy<Value = Step> {
    let n = || prop_oneof![Just(1u32), Just(2), Just(7)];
    let merge = prop_oneof![Just(Merge::Left), Just(Merge::Right)];
    prop_oneof![
        (-3..4i64).prop_map(Step::Scale),
        (-500..1000i64).prop_map(Step::Below),
        Just(Step::Explode),
        n().prop_map(Step::Keyed),
        n().prop_map(Step::Repartition),
        Just(Step::Keep),
        Just(Step::KeepRows),
        any::<(u8, u8)>().prop_map(|(a, b)| Step::Range(a.min(b), a.max(b))),
        Just(Step::Store),
        Just(Step::ReduceByKey),
        Just(Step::Semi),
        Just(Step::Anti),
        merge.prop_map(Step::Union),
        Just(Step::Concat),
    ]
}

/// A part of a table's rows, in 255ths of their number.
fn range(rows: u64, a: u8, b: u8) -> std::ops::Range<u64> {
    rows * u64::from(a) / 255..rows * u64::from(b) / 255
}

impl Step {
    /// `uri`: where it may store.
    async fn run(&self, table: Table, other: &Table, uri: &TableUri) -> Result<Table> {
        match self {
            Self::Scale(factor) => table.map_values(KernelCall::map::<Scale>(&Scale { factor: *factor })?),
            Self::Below(limit) => table.filter(&Predicate {
                column: "x".into(),
                comparison: Comparison::Lt,
                value: Value::Int(*limit),
            }),
            Self::Explode => table.map(KernelCall::map::<Explode>(&Explode)?),
            Self::Keyed(n) => table.keyed(*n),
            Self::Repartition(n) => table.repartition(*n),
            Self::Keep => table.keep().await,
            Self::KeepRows => table.keep_rows().await,
            Self::Range(a, b) => {
                let kept = table.keep_rows().await?;
                kept.keep().await?.rows(range(kept.count().await?, *a, *b))?.repartition(3)
            }
            Self::Store => {
                let replace = WriteOptions::default().with_if_exists(IfExists::Replace);
                table.save(uri, replace).await?;
                Table::load(table.session(), uri).await
            }
            Self::ReduceByKey => {
                table.reduce_by_key(&[Measure::of(Function::Sum, "x"), Measure::of(Function::Max, "y")])
            }
            Self::Semi => table.semi_join(other),
            Self::Anti => table.subtract_by_key(other),
            Self::Union(merge) => table.union(other, *merge),
            Self::Concat => Table::concat(&[table, other.clone()]),
        }
    }

    /// The same on the model; nothing where a key twice is refused.
    fn model(&self, key_type: KeyType, keyed: bool, rows: Vec<Row>, other: &[Row]) -> Option<Vec<Row>> {
        let find = |id| other.iter().find(|row| row.id == id);
        let by_key = |rows: Vec<Row>| is_unique(&rows).then(|| key_order(key_type, rows));
        match self {
            Self::Scale(factor) => {
                Some(rows.into_iter().map(|row| Row { x: row.x * factor, ..row }).collect())
            }
            Self::Below(limit) => Some(rows.into_iter().filter(|row| row.x < *limit).collect()),
            Self::Explode => Some(rows.iter().flat_map(Explode::row).collect()),
            Self::Keyed(_) => by_key(rows),
            Self::Repartition(_) if keyed => by_key(rows),
            Self::Repartition(_) | Self::Keep | Self::KeepRows | Self::Store => Some(rows),
            Self::Range(a, b) => {
                let range = range(rows.len() as u64, *a, *b);
                Some(rows[range.start as usize..range.end as usize].to_vec())
            }
            Self::ReduceByKey => {
                let mut reduced = std::collections::BTreeMap::new();
                for row in rows {
                    let sum = reduced.entry(row.id).or_insert(Row { id: row.id, x: 0, y: None });
                    *sum = Row { id: row.id, x: sum.x + row.x, y: sum.y.max(row.y) };
                }
                Some(key_order(key_type, reduced.into_values().collect()))
            }
            Self::Semi => Some(by_key(rows)?.into_iter().filter(|row| find(row.id).is_some()).collect()),
            Self::Anti => Some(by_key(rows)?.into_iter().filter(|row| find(row.id).is_none()).collect()),
            Self::Union(merge) => {
                let mut all = by_key(rows)?;
                for row in other {
                    match all.iter_mut().find(|own| own.id == row.id) {
                        Some(own) if *merge == Merge::Right => *own = row.clone(),
                        Some(_) => {}
                        None => all.push(row.clone()),
                    }
                }
                Some(key_order(key_type, all))
            }
            Self::Concat => Some([rows, other.to_vec()].concat()),
        }
    }
}

type Chain = (Vec<Row>, Vec<Row>, KeyType, u32, Vec<Step>);

async fn check_chain(session: Session, (rows, other, key_type, n, steps): Chain, uri: &TableUri) {
    let right = loose(&session, key_type, &other, n).await;
    let mut table = loose(&session, key_type, &rows, n).await;
    let mut expected = rows;
    for step in steps {
        let keyed = matches!(table.layout(), Layout::Keyed(_));
        let next = step.run(table, &right, uri).await;
        let Some(rows) = step.model(key_type, keyed, expected, &other) else {
            let outcome = match next {
                Ok(table) => table.keep().await,
                Err(error) => Err(error),
            };
            super::refused(outcome, ErrorKind::InvalidInput);
            return;
        };
        (table, expected) = (next.unwrap(), rows);
    }
    assert_eq!(collect(&table).await, expected, "{:?}", table.plan());
    assert_eq!(table.count().await.unwrap(), expected.len() as u64);
    assert_eq!(super::parts(&table).await.concat(), expected);
}

pub async fn chains_of_operations_give_what_the_model_gives(fixture: Fixture) {
    let steps = proptest::collection::vec(any_step(), 1..7);
    let n = prop_oneof![Just(1u32), Just(2), Just(7)];
    let input = (any_rows(), any_unique_rows(), any_key_type(), n, steps);
    let uri = fixture.store.uri("step");
    fixture.property(64, input, async |session, chain: Chain| check_chain(session, chain, &uri).await).await;
}

/// Random chains meet some neighbours seldom.
pub async fn each_operation_follows_each_layout(fixture: Fixture) {
    let uri = fixture.store.uri("pair");
    let before =
        [Step::Repartition(2), Step::Repartition(7), Step::Keyed(2), Step::Keep, Step::Range(50, 200)];
    let after = [
        Step::Concat,
        Step::Union(Merge::Left),
        Step::Semi,
        Step::ReduceByKey,
        Step::Repartition(3),
        Step::Store,
    ];
    let row = |id: u64| Row { id, x: id as i64, y: None };
    let (rows, other): (Vec<Row>, Vec<Row>) = ((0..20).map(row).collect(), (15..30).map(row).collect());
    let session = fixture.some_cores().await;
    for first in &before {
        for second in &after {
            let steps = vec![first.clone(), second.clone(), Step::Keep];
            let chain = (rows.clone(), other.clone(), KeyType::Utf8, 2, steps);
            check_chain(session.clone(), chain, &uri).await;
        }
    }
}

pub async fn nothing_runs_until_an_action(fixture: Fixture) {
    let session = fixture.some_cores().await;
    let watch = fixture.watch();
    let table = loose(&session, KeyType::UInt64, &numbered(0..100), 4).await;
    let table = table.map(watch.kernel(Duration::ZERO)).unwrap().keyed(3).unwrap();
    let table = table.join(&table).unwrap();
    assert_eq!(watch.rows(), 0);
    assert_eq!(table.count().await.unwrap(), 100);
    assert_eq!(watch.rows(), 100);
}

pub async fn a_node_that_occurs_twice_runs_once_an_action(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let source = loose(session, KeyType::UInt64, &numbered(0..100), n).await;
            let source = source.keep_rows().await.unwrap();
            let shapes: [fn(&Table) -> Result<Table>; 5] = [
                |t| t.zip(t),
                |t| t.join(t),
                |t| Table::concat(&[t.clone(), t.clone()]),
                |t| t.keyed(2)?.full_join(&t.subtract_by_key(&t.keyed(2)?)?),
                |t| t.zip(&t.map_values(KernelCall::map::<Scale>(&Scale { factor: 2 })?)?),
            ];
            for (number, shape) in shapes.into_iter().enumerate() {
                let watch = fixture.watch();
                let table = shape(&source.map(watch.kernel(Duration::ZERO)).unwrap()).unwrap();
                let rows = row_count(&table.collect().await.unwrap());
                assert_eq!(rows, if number == 2 { 200 } else { 100 });
                assert_eq!(watch.rows(), 100, "read of shape {number}");
                table.keep().await.unwrap();
                assert_eq!(watch.rows(), 200, "keep of shape {number}");
            }
        })
        .await;
}

pub async fn a_kept_table_is_not_computed_again(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let watch = fixture.watch();
            let table = loose(session, KeyType::Utf8, &numbered(0..100), n).await;
            let table = table.map(watch.kernel(Duration::ZERO)).unwrap();
            let kept = table.keep().await.unwrap();
            let again = kept.keep().await.unwrap().keep_rows().await.unwrap();
            assert_eq!(collect(&kept).await, collect(&again).await);
            assert_eq!(watch.rows(), 100);
            table.count().await.unwrap();
            assert_eq!(watch.rows(), 200);
        })
        .await;
}

pub async fn iterations_drop_what_they_replace(fixture: Fixture) {
    let session = fixture.session_with(fixture.cores().some, 8 << 20).await;
    let negate = KernelCall::map::<Scale>(&Scale { factor: -1 }).unwrap();
    let rows = numbered(0..20_000);
    let ranges = RowRanges::even(20_000, 4);
    let mut table = super::put(&session, KeyType::UInt64, &rows, Layout::Rows(ranges)).await;
    for _ in 0..40 {
        table = table.map_values(negate.clone()).unwrap().keep().await.unwrap();
    }
    assert_eq!(collect(&table).await, rows);
}

pub async fn tables_of_many_batches_are_treated_like_small_ones(fixture: Fixture) {
    const ROWS: u64 = 100_000;
    let session = fixture.many_cores().await;
    for (key_type, n) in [(KeyType::UInt64, 1), (KeyType::Utf8, 7)] {
        let rows = numbered((0..ROWS).map(|i| i * 7919 % ROWS));
        let table = loose(&session, key_type, &rows, n).await;
        let in_order = key_order(key_type, rows.clone());
        assert!(collect(&table.keyed(n).unwrap()).await == in_order);
        assert!(collect(&table.keyed(3).unwrap().repartition(n).unwrap()).await == in_order);
        assert!(collect(&table.repartition(4).unwrap()).await == rows);

        let half: Vec<Row> = rows.iter().filter(|row| row.id % 2 == 0).cloned().collect();
        let other = loose(&session, key_type, &half, 2).await;
        let (even, odd): (Vec<Row>, Vec<Row>) = in_order.iter().cloned().partition(|row| row.id % 2 == 0);
        assert!(collect(&table.semi_join(&other).unwrap()).await == even);
        assert!(collect(&table.subtract_by_key(&other).unwrap()).await == odd);
        assert!(collect(&other.union(&table, Merge::Right).unwrap()).await == in_order);
        assert_eq!(other.join(&table).unwrap().count().await.unwrap(), ROWS / 2);

        let few = numbered((0..ROWS).map(|i| i % 10));
        let gathered = loose(&session, key_type, &few, n).await.gather_by_key(n).unwrap();
        assert!(collect(&gathered).await == key_order(key_type, few));
    }
    let numbers = numbered((0..ROWS).map(|i| i * 7919 % ROWS));
    let scattered = loose(&session, KeyType::UInt64, &numbers, 3).await;
    let scattered = scattered.by_row_number(RowRanges::even(ROWS, 2)).unwrap();
    assert!(collect(&scattered).await.iter().map(|row| row.id).eq(0..ROWS));
}
