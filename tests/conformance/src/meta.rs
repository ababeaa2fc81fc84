//! The suite of the meta contract. A factory gives a function that opens the same empty records again each time, as
//! another process would, or the same one after a restart: `meta_suite!({ let folder = tempdir(); move ||
//! open(folder.path()) })`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, TimeUnit};
use futures::executor::block_on;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use tributary_core::layout::RowRanges;
use tributary_core::meta::{Expect, StorageMeta, TableRecord, Version};
use tributary_core::schema::CipherKeyId;
use tributary_core::storage::TableUri;
use tributary_core::{ErrorKind, Field, KeyType, Layout, Purpose, Result, TableName, TableSchema};

/// One `#[test]` for each case; see [the module](crate::meta) for the factory.
#[macro_export]
macro_rules! meta_suite {
    ($factory:expr) => {
        $crate::cases!(
            $factory,
            $crate::meta,
            [
                a_record_comes_back_exactly,
                what_does_not_exist_is_none_or_not_found,
                a_record_is_made_once,
                a_change_needs_the_present_version,
                a_removal_needs_the_present_version,
                a_version_is_never_used_again,
                records_are_listed_in_order,
                names_alone_are_those_of_the_records,
                records_outlive_their_handles,
                impossible_records_are_refused,
                of_several_makers_one_wins,
                racing_changes_are_never_lost,
                any_interleaving_behaves_as_a_map,
            ]
        );
    };
}

type Meta = Arc<dyn StorageMeta>;

fn name(namespace: &str, name: &str) -> TableName {
    TableName::new(namespace, name).unwrap()
}

fn record(table: TableName, rows: u64) -> TableRecord {
    TableRecord {
        uri: TableUri::new(format!("file:///tables/{table}")).unwrap(),
        table,
        engine: "file".into(),
        schema: TableSchema::keyed("id", KeyType::Utf8, vec![]).unwrap(),
        layout: Layout::Loose(4),
        rows,
        bytes: 10 * rows,
        preview: vec![],
        origin: BTreeMap::new(),
        created_ms: 1,
        updated_ms: 2,
    }
}

fn rich_record(table: TableName) -> TableRecord {
    let fields = vec![
        Field::new("label \"y\"", DataType::Int32).purpose(Purpose::Label),
        Field::new("phone", DataType::Utf8).purpose(Purpose::MatchId).nullable(),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
        Field::new("price", DataType::Decimal128(12, 2)),
        Field::new("list", DataType::List(ArrowField::new_list_field(DataType::UInt64, true).into())),
        Field::new("secret", DataType::FixedSizeBinary(512))
            .purpose(Purpose::Ciphertext(CipherKeyId("ab".into()))),
    ];
    let row = vec![Some("a, \"b\"\n\u{1f600}".to_owned()), None, Some(String::new())];
    TableRecord {
        schema: TableSchema::keyed("id", KeyType::Binary, fields).unwrap(),
        layout: Layout::Rows(RowRanges::from_counts([3, 0, 7])),
        rows: u64::MAX,
        bytes: u64::MAX - 1,
        preview: vec![row; TableRecord::MAX_PREVIEW_ROWS],
        origin: BTreeMap::from([("task".to_owned(), "psi_0 of job 20250101".to_owned())]),
        ..record(table, 0)
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.expect_err("it should have been refused").kind()
}

pub async fn a_record_comes_back_exactly(open: impl Fn() -> Meta) {
    let meta = open();
    let table = name("n", "t");
    for record in [rich_record(table.clone()), record(table.clone(), 5)] {
        let expect =
            meta.get(&table).await.unwrap().map_or(Expect::Absent, |(version, _)| Expect::At(version));
        let version = meta.set(&record, expect).await.unwrap();
        assert_eq!(meta.get(&table).await.unwrap(), Some((version, record.clone())));
        assert_eq!(open().get(&table).await.unwrap(), Some((version, record)));
    }
}

pub async fn what_does_not_exist_is_none_or_not_found(open: impl Fn() -> Meta) {
    let (meta, table) = (open(), name("n", "t"));
    assert_eq!(meta.get(&table).await.unwrap(), None);
    assert_eq!(meta.list(None).await.unwrap(), vec![]);
    assert_eq!(kind(meta.remove(&table, Version(1)).await), ErrorKind::NotFound);
    assert_eq!(kind(meta.set(&record(table.clone(), 1), Expect::At(Version(0))).await), ErrorKind::Conflict);
    assert_eq!(meta.get(&table).await.unwrap(), None);
}

pub async fn a_record_is_made_once(open: impl Fn() -> Meta) {
    let (meta, table) = (open(), name("n", "t"));
    let version = meta.set(&record(table.clone(), 1), Expect::Absent).await.unwrap();
    assert_eq!(kind(meta.set(&record(table.clone(), 2), Expect::Absent).await), ErrorKind::AlreadyExists);
    assert_eq!(kind(open().set(&record(table.clone(), 3), Expect::Absent).await), ErrorKind::AlreadyExists);
    assert_eq!(meta.get(&table).await.unwrap(), Some((version, record(table, 1))));
}

pub async fn a_change_needs_the_present_version(open: impl Fn() -> Meta) {
    let (meta, table) = (open(), name("n", "t"));
    let first = meta.set(&record(table.clone(), 1), Expect::Absent).await.unwrap();
    let second = open().set(&record(table.clone(), 2), Expect::At(first)).await.unwrap();
    assert!(second > first);
    for stale in [first, Version(second.0 + 1), Version(u64::MAX), Version(0)] {
        assert_eq!(kind(meta.set(&record(table.clone(), 3), Expect::At(stale)).await), ErrorKind::Conflict);
    }
    // another table's version is not this one's
    let other = meta.set(&record(name("n", "other"), 9), Expect::Absent).await.unwrap();
    assert_eq!(kind(meta.set(&record(table.clone(), 3), Expect::At(other)).await), ErrorKind::Conflict);
    assert_eq!(meta.get(&table).await.unwrap(), Some((second, record(table, 2))));
    assert_eq!(meta.get(&name("n", "other")).await.unwrap().unwrap().0, other);
}

pub async fn a_removal_needs_the_present_version(open: impl Fn() -> Meta) {
    let (meta, table) = (open(), name("n", "t"));
    let first = meta.set(&record(table.clone(), 1), Expect::Absent).await.unwrap();
    let second = meta.set(&record(table.clone(), 2), Expect::At(first)).await.unwrap();
    assert_eq!(kind(meta.remove(&table, first).await), ErrorKind::Conflict);
    assert_eq!(meta.get(&table).await.unwrap().unwrap().0, second);
    meta.remove(&table, second).await.unwrap();
    assert_eq!(meta.get(&table).await.unwrap(), None);
    assert_eq!(kind(meta.remove(&table, second).await), ErrorKind::NotFound);
}

pub async fn a_version_is_never_used_again(open: impl Fn() -> Meta) {
    let table = name("n", "t");
    let mut last = Version(0);
    for rows in 0..5 {
        let version = open().set(&record(table.clone(), rows), Expect::Absent).await.unwrap();
        assert!(version > last, "{version:?} after {last:?}");
        last = open().set(&record(table.clone(), rows), Expect::At(version)).await.unwrap();
        assert!(last > version, "{last:?} after {version:?}");
        open().remove(&table, last).await.unwrap();
    }
}

pub async fn records_are_listed_in_order(open: impl Fn() -> Meta) {
    let meta = open();
    let names = [("b", "z"), ("a", "10"), ("a", "9"), ("B", "x"), ("a", "A"), ("ab", "c"), ("a", "a")];
    for (namespace, table) in names {
        meta.set(&record(name(namespace, table), 1), Expect::Absent).await.unwrap();
    }
    let listed = async |namespace| -> Vec<String> {
        let records = meta.list(namespace).await.unwrap();
        records.into_iter().map(|(_, record)| record.table.to_string()).collect()
    };
    assert_eq!(listed(Some("a")).await, ["a/10", "a/9", "a/A", "a/a"]);
    assert_eq!(listed(None).await, ["B/x", "a/10", "a/9", "a/A", "a/a", "ab/c", "b/z"]);
    assert_eq!(listed(Some("")).await, [""; 0]);
    assert_eq!(listed(Some("a%")).await, [""; 0]);
}

pub async fn names_alone_are_those_of_the_records(open: impl Fn() -> Meta) {
    let meta = open();
    assert_eq!(meta.names(None).await.unwrap(), vec![]);
    for (namespace, table) in [("b", "z"), ("a", "10"), ("A", "x"), ("a", "9")] {
        meta.set(&rich_record(name(namespace, table)), Expect::Absent).await.unwrap();
    }
    for namespace in [None, Some("a"), Some("A"), Some("c")] {
        let listed: Vec<TableName> =
            open().list(namespace).await.unwrap().into_iter().map(|(_, record)| record.table).collect();
        assert_eq!(meta.names(namespace).await.unwrap(), listed, "{namespace:?}");
    }
}

pub async fn records_outlive_their_handles(open: impl Fn() -> Meta) {
    let table = name("n", "t");
    let version = open().set(&rich_record(table.clone()), Expect::Absent).await.unwrap();
    assert_eq!(open().get(&table).await.unwrap(), Some((version, rich_record(table))));
}

pub async fn impossible_records_are_refused(open: impl Fn() -> Meta) {
    let meta = open();
    let good = record(name("n", "t"), 1);
    let escape = TableName { namespace: "n".into(), name: "../t".into() };
    let long = vec![vec![None]; TableRecord::MAX_PREVIEW_ROWS + 1];
    let bad = [
        TableRecord { table: escape, ..good.clone() },
        TableRecord { preview: long, ..good.clone() },
        TableRecord { layout: Layout::Loose(0), ..good },
    ];
    for bad in bad {
        assert_eq!(kind(meta.set(&bad, Expect::Absent).await), ErrorKind::InvalidInput);
    }
    assert_eq!(meta.list(None).await.unwrap(), vec![]);
}

pub async fn of_several_makers_one_wins(open: impl Fn() -> Meta) {
    for round in 0..10 {
        let table = name("n", &format!("t{round}"));
        let results: Vec<Result<Version>> = std::thread::scope(|scope| {
            let maker = |rows: u64| {
                let (meta, table) = (open(), table.clone());
                scope.spawn(move || block_on(meta.set(&record(table, rows), Expect::Absent)))
            };
            let makers: Vec<_> = (1..=4).map(maker).collect();
            makers.into_iter().map(|maker| maker.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.into_iter().all(|result| kind(result) == ErrorKind::AlreadyExists));
        assert_eq!(open().get(&table).await.unwrap().unwrap().0, *won[0].as_ref().unwrap());
    }
}

pub async fn racing_changes_are_never_lost(open: impl Fn() -> Meta) {
    const WRITERS: u64 = 32;
    const EACH: u64 = 3;
    let table = name("n", "t");
    open().set(&record(table.clone(), 0), Expect::Absent).await.unwrap();
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            let (meta, table) = (open(), table.clone());
            scope.spawn(move || {
                for _ in 0..EACH {
                    while let Err(error) = block_on(add_one(&meta, &table)) {
                        assert_eq!(error.kind(), ErrorKind::Conflict, "{}", error.chain());
                    }
                }
            });
        }
    });
    assert_eq!(open().get(&table).await.unwrap().unwrap().1.rows, WRITERS * EACH);
}

async fn add_one(meta: &Meta, table: &TableName) -> Result<Version> {
    let (version, mut record) = meta.get(table).await?.unwrap();
    record.rows += 1;
    meta.set(&record, Expect::At(version)).await
}

/// What one of two handles does to one of three tables. `At` and `Remove` use the version that this handle saw last, which
/// the other may have changed since.
#[derive(Debug, Clone, Copy)]
enum Act {
    Look,
    Make,
    Change,
    Remove,
    List,
}

fn acts() -> impl Strategy<Value = Vec<(usize, usize, Act)>> {
    let act =
        prop_oneof![Just(Act::Look), Just(Act::Make), Just(Act::Change), Just(Act::Remove), Just(Act::List)];
    prop::collection::vec((0..2usize, 0..3usize, act), 1..25)
}

pub async fn any_interleaving_behaves_as_a_map(open: impl Fn() -> Meta) {
    let handles = [open(), open()];
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) });
    let case = std::cell::Cell::new(0);
    let result = runner.run(&acts(), |acts| {
        case.set(case.get() + 1);
        // Whoever called this may be a task of tokio, which would let it pause and could not go on while it is blocked here.
        let namespace = format!("case{}", case.get());
        block_on(tokio::task::unconstrained(compare_with_a_map(&handles, &namespace, acts)));
        Ok(())
    });
    result.unwrap();
}

async fn compare_with_a_map(handles: &[Meta; 2], namespace: &str, acts: Vec<(usize, usize, Act)>) {
    let mut model: BTreeMap<TableName, (Version, TableRecord)> = BTreeMap::new();
    let mut seen = [[Version(0); 3]; 2];
    for (rows, (who, which, act)) in (0..).zip(acts) {
        let (meta, table) = (&handles[who], name(namespace, &format!("t{which}")));
        let present = model.get(&table).map(|(version, _)| *version);
        let known = &mut seen[who][which];
        match act {
            Act::Look => {
                let found = meta.get(&table).await.unwrap();
                assert_eq!(found.as_ref(), model.get(&table));
                *known = found.map_or(*known, |(version, _)| version);
            }
            Act::List => {
                let expected: Vec<_> = model.values().cloned().collect();
                assert_eq!(meta.list(Some(namespace)).await.unwrap(), expected);
            }
            Act::Make | Act::Change => {
                let record = record(table.clone(), rows);
                let (expect, refusal) = match act {
                    Act::Make => (Expect::Absent, present.map(|_| ErrorKind::AlreadyExists)),
                    _ => (Expect::At(*known), (present != Some(*known)).then_some(ErrorKind::Conflict)),
                };
                match (meta.set(&record, expect).await, refusal) {
                    (Ok(version), None) => {
                        assert!(present.is_none_or(|present| version > present));
                        *known = version;
                        model.insert(table, (version, record));
                    }
                    (result, refusal) => assert_eq!(result.err().map(|e| e.kind()), refusal),
                }
            }
            Act::Remove => {
                let refusal = match present {
                    None => Some(ErrorKind::NotFound),
                    Some(present) => (present != *known).then_some(ErrorKind::Conflict),
                };
                let result = meta.remove(&table, *known).await;
                assert_eq!(result.err().map(|e| e.kind()), refusal);
                if refusal.is_none() {
                    model.remove(&table);
                }
            }
        }
    }
}
