//! The suite of the storage contract. A factory gives a function that opens the same empty store again each time, as
//! another process would: `storage_suite!({ let folder = tempdir(); move || open(folder.path()) })`. After it come the words of
//! [`StorageInfo`] that the store declares, each of which adds its cases; a case of its own compares the words with what the store
//! says.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, Weak};
use std::time::Duration;

use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use arrow_select::concat::concat_batches;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};

use tributary_core::bound::BoundPart;
use tributary_core::check::{self, Finding};
use tributary_core::computing::{PartSize, RowStream};
use tributary_core::layout::RowRanges;
use tributary_core::storage::{
    IfExists, Part, Storage, StoredTable, Sweep, SweepMode, TableUri, Write, WriteOptions,
};
use tributary_core::wanted::Wanted;
use tributary_core::{Error, ErrorKind, Field, KeyType, Layout, Result, TableName, TableSchema};

mod replacing;
mod rows;

pub use replacing::{
    a_commit_whose_answer_was_lost_may_be_asked_for_again, a_snapshot_that_is_there_no_more_is_not_replaced,
    a_snapshot_that_was_read_is_replaced, no_row_is_lost_when_several_replace_at_once,
    of_two_writers_over_one_snapshot_one_wins, plain_replacements_at_once_happen_one_after_another,
};
use rows::{all_types, plain, rows, stream_of};

/// One `#[test]` for each case; see [the module](crate::storage) for the factory.
#[macro_export]
macro_rules! storage_suite {
    (@replaces_snapshots $factory:expr) => {
        $crate::cases!(
            $factory,
            $crate::storage,
            [
                a_snapshot_that_was_read_is_replaced,
                a_snapshot_that_is_there_no_more_is_not_replaced,
                of_two_writers_over_one_snapshot_one_wins,
                no_row_is_lost_when_several_replace_at_once,
                a_commit_whose_answer_was_lost_may_be_asked_for_again,
                plain_replacements_at_once_happen_one_after_another,
            ]
        );
    };
    (@binds $factory:expr) => {
        $crate::cases!(
            $factory,
            $crate::storage,
            [what_cannot_be_bound_leaves_everything_as_it_was]
        );
    };
    // a promise of speed, which the cases of all stores do not need
    (@copies_cheaply $factory:expr) => {};
    ($factory:expr $(, $capability:ident)* $(,)?) => {
        $($crate::storage_suite!(@$capability $factory);)*
        #[test]
        fn the_store_declares_what_it_is_tested_for_and_refuses_the_rest() {
            let tested = [$(stringify!($capability)),*];
            $crate::run($crate::storage::the_store_declares_what_it_is_tested_for($factory, &tested));
        }
        $crate::cases!(
            $factory,
            $crate::storage,
            [
                a_probe_of_the_store_finds_nothing_wrong,
                every_type_comes_back_exactly,
                every_layout_comes_back,
                long_parts_come_back_in_written_order,
                names_and_purposes_of_columns_come_back,
                a_table_does_not_exist_before_its_commit,
                an_aborted_write_leaves_nothing,
                a_part_may_be_written_again,
                parts_may_be_written_through_other_handles,
                an_existing_table_is_not_overwritten,
                of_two_writers_of_a_new_name_one_wins,
                a_replaced_table_is_the_new_one,
                a_reader_of_a_replaced_table_finishes,
                a_reader_never_sees_rows_of_another_snapshot,
                a_deleted_table_is_gone_and_its_name_is_free,
                a_copy_is_a_table_of_its_own,
                what_does_not_exist_is_not_found,
                places_of_other_stores_are_refused,
                rows_that_do_not_fit_are_refused_and_not_stored,
                a_failing_source_fails_the_part,
                parts_that_do_not_fit_the_layout_are_refused,
                long_tables_stream,
                some_columns_and_rows_are_those_of_all,
                whole_tables_verify,
            ]
        );
    };
}

type Store = Arc<dyn Storage>;

fn name(text: &str) -> TableName {
    TableName::new("suite", text).unwrap()
}

fn replace() -> WriteOptions {
    WriteOptions::default().with_if_exists(IfExists::Replace)
}

/// A layout and, for each partition, the numbers of its rows.
fn spread(layout: Layout, counts: &[u64]) -> (Layout, Vec<std::ops::Range<u64>>) {
    let starts = RowRanges::from_counts(counts.iter().copied());
    let ranges = (0..starts.partitions()).map(|p| starts.range(p)).collect();
    (layout, ranges)
}

async fn write_parts(store: &Store, write: &Write, ranges: &[std::ops::Range<u64>]) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    for (partition, range) in (0..).zip(ranges) {
        parts.push(store.write_part(write, partition, stream_of(&write.schema, range.clone())).await?);
    }
    Ok(parts)
}

/// Rows 0..n in `partitions` nearly equal parts.
async fn write_plain(
    store: &Store,
    at: &TableUri,
    rows: u64,
    partitions: u32,
    options: WriteOptions,
) -> Result<StoredTable> {
    let write = store.begin(at, &plain(), &Layout::Loose(partitions), options).await?;
    let even = RowRanges::even(rows, partitions);
    let ranges: Vec<_> = (0..partitions).map(|p| even.range(p)).collect();
    let parts = write_parts(store, &write, &ranges).await?;
    store.commit(write, parts).await
}

async fn read_part(store: &Store, table: &StoredTable, partition: u32) -> Result<RecordBatch> {
    let batches: Vec<RecordBatch> = store.scan(table, partition).await?.try_collect().await?;
    for batch in &batches {
        assert_eq!(batch.schema(), *table.schema.arrow());
    }
    Ok(concat_batches(table.schema.arrow(), &batches)?)
}

/// All rows, partition by partition.
async fn read(store: &Store, table: &StoredTable) -> Result<RecordBatch> {
    let mut parts = Vec::new();
    for partition in 0..table.layout.partitions() {
        parts.push(read_part(store, table, partition).await?);
    }
    Ok(concat_batches(table.schema.arrow(), &parts)?)
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    match result {
        Ok(_) => panic!("expected an error"),
        Err(error) => error.kind(),
    }
}

async fn check_round_trip(
    store: &Store,
    table: &str,
    schema: &TableSchema,
    spread: (Layout, Vec<std::ops::Range<u64>>),
) {
    let (layout, ranges) = spread;
    let place = store.locate(&name(table)).unwrap();
    let write = store.begin(&place, schema, &layout, WriteOptions::default()).await.unwrap();
    let parts = write_parts(store, &write, &ranges).await.unwrap();
    let written = store.commit(write, parts).await.unwrap();
    let opened = store.open(&place).await.unwrap();
    assert_eq!(written, opened);
    assert_eq!((&opened.schema, &opened.layout), (schema, &layout));
    assert_eq!(opened.rows(), ranges.iter().map(|r| r.end - r.start).sum::<u64>());
    for (partition, range) in (0..).zip(&ranges) {
        let read = read_part(store, &opened, partition).await.unwrap();
        assert_eq!(opened.parts[partition as usize].size.rows, range.end - range.start);
        // the bits of floats too: NaN aside, equal arrays may differ in the sign of zero
        assert_eq!(
            format!("{read:?}"),
            format!("{:?}", rows(schema, range.clone())),
            "partition {partition}"
        );
        assert_eq!(read, rows(schema, range.clone()), "partition {partition}");
    }
}

/// What is not declared is `Unsupported`, before anything is read or written.
pub async fn the_store_declares_what_it_is_tested_for(open: impl Fn() -> Store, tested: &[&str]) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let info = store.info_of(&place).unwrap();
    let words = [
        ("binds", info.binds),
        ("replaces_snapshots", info.replaces_snapshots),
        ("copies_cheaply", info.copies_cheaply),
    ];
    let declared: Vec<&str> = words.iter().filter(|(_, has)| *has).map(|(word, _)| *word).collect();
    let mut tested = tested.to_vec();
    tested.sort_by_key(|word| words.iter().position(|(known, _)| known == word));
    assert_eq!(tested, declared);

    let old = write_plain(&store, &place, 10, 1, WriteOptions::default()).await.unwrap();
    if !info.replaces_snapshots {
        let over = WriteOptions::default().with_if_exists(IfExists::ReplaceSnapshot(old.snapshot.clone()));
        let begun = store.begin(&place, &plain(), &Layout::Loose(1), over).await;
        assert_eq!(kind(begun), ErrorKind::Unsupported);
    }
    if !info.binds {
        let bound = store.bind(&place, &plain(), vec![], replace()).await;
        assert_eq!(kind(bound), ErrorKind::Unsupported);
    }
    assert_eq!(store.open(&place).await.unwrap(), old);
}

/// What an operator is told of a store that works; and nothing is left of the probe.
pub async fn a_probe_of_the_store_finds_nothing_wrong(open: impl Fn() -> Store) {
    let store = open();
    for findings in [check::storage(&*store).await, store.examine().await] {
        for what in ["writes", "reads", "conditions", "throughput", "removes"] {
            assert!(findings.iter().any(|finding| finding.what == what), "{what}: {findings:?}");
        }
        assert!(!findings.iter().any(Finding::is_failure), "{findings:?}");
    }
    let all = Sweep { idle: Duration::ZERO, mode: SweepMode::Count };
    let left = store.sweep(&all, &|_| false).await.unwrap();
    assert_eq!((left.files, left.failed.len()), (0, 0));
}

pub async fn every_type_comes_back_exactly(open: impl Fn() -> Store) {
    for (key, text) in [(KeyType::Utf8, "text"), (KeyType::Binary, "bytes"), (KeyType::UInt64, "numbers")] {
        let spread = spread(Layout::Loose(3), &[1500, 0, 1]);
        check_round_trip(&open(), text, &all_types(key), spread).await;
    }
}

pub async fn every_layout_comes_back(open: impl Fn() -> Store) {
    let keyless = TableSchema::new(None, vec![Field::new("x", DataType::Float64)]).unwrap();
    let key_only = TableSchema::keyed("id", KeyType::Utf8, vec![]).unwrap();
    for (n, counts) in
        [(1, vec![0]), (1, vec![40]), (2, vec![0, 9]), (7, vec![3, 0, 0, 100, 1, 1, 0]), (7, vec![0; 7])]
    {
        let of = |layout: &str| format!("{layout}-{n}-{}", counts.iter().sum::<u64>());
        check_round_trip(&open(), &of("loose"), &plain(), spread(Layout::Loose(n), &counts)).await;
        check_round_trip(&open(), &of("keyed"), &key_only, spread(Layout::Keyed(n), &counts)).await;
        let starts = RowRanges::from_counts(counts.iter().copied());
        check_round_trip(&open(), &of("rows"), &keyless, spread(Layout::Rows(starts), &counts)).await;
    }
}

pub async fn long_parts_come_back_in_written_order(open: impl Fn() -> Store) {
    check_round_trip(&open(), "long", &plain(), spread(Layout::Loose(2), &[600_001, 10])).await;
}

pub async fn names_and_purposes_of_columns_come_back(open: impl Fn() -> Store) {
    let fields = vec![Field::new("ünï codé", DataType::Int32), Field::new("", DataType::Utf8).nullable()];
    let schema = TableSchema::keyed("a.b/c", KeyType::Utf8, fields).unwrap();
    check_round_trip(&open(), "names", &schema, spread(Layout::Loose(1), &[5])).await;
}

pub async fn a_table_does_not_exist_before_its_commit(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let write = store.begin(&place, &plain(), &Layout::Loose(1), WriteOptions::default()).await.unwrap();
    assert_eq!(kind(open().open(&place).await), ErrorKind::NotFound);
    let part = store.write_part(&write, 0, stream_of(&plain(), 0..10)).await.unwrap();
    assert_eq!(kind(open().open(&place).await), ErrorKind::NotFound);
    store.commit(write, vec![part]).await.unwrap();
    assert_eq!(open().open(&place).await.unwrap().rows(), 10);
}

pub async fn an_aborted_write_leaves_nothing(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let write = store.begin(&place, &plain(), &Layout::Loose(1), WriteOptions::default()).await.unwrap();
    store.abort(write.clone()).await.unwrap();
    let part = store.write_part(&write, 0, stream_of(&plain(), 0..10)).await.unwrap();
    store.abort(write.clone()).await.unwrap();
    store.abort(write.clone()).await.unwrap();
    assert_eq!(kind(store.open(&place).await), ErrorKind::NotFound);
    // its parts are gone, so that it cannot come back half
    assert!(store.commit(write, vec![part]).await.is_err());
    assert_eq!(kind(store.open(&place).await), ErrorKind::NotFound);

    let old = write_plain(&store, &place, 10, 1, WriteOptions::default()).await.unwrap();
    let write = store.begin(&place, &plain(), &Layout::Loose(1), replace()).await.unwrap();
    store.write_part(&write, 0, stream_of(&plain(), 0..20)).await.unwrap();
    store.abort(write).await.unwrap();
    assert_eq!(store.open(&place).await.unwrap(), old);
    store.verify(&old).await.unwrap();
}

pub async fn a_part_may_be_written_again(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let write = store.begin(&place, &plain(), &Layout::Loose(2), WriteOptions::default()).await.unwrap();
    let first = store.write_part(&write, 0, stream_of(&plain(), 0..10)).await.unwrap();
    store.write_part(&write, 0, stream_of(&plain(), 0..11)).await.unwrap();
    let other = store.write_part(&write, 1, stream_of(&plain(), 10..30)).await.unwrap();
    store.write_part(&write, 1, stream_of(&plain(), 0..1)).await.unwrap();
    let table = store.commit(write, vec![first, other]).await.unwrap();
    assert_eq!(read(&store, &table).await.unwrap(), rows(&plain(), 0..30));
    store.verify(&table).await.unwrap();
}

pub async fn parts_may_be_written_through_other_handles(open: impl Fn() -> Store) {
    let place = open().locate(&name("t")).unwrap();
    let write = open().begin(&place, &plain(), &Layout::Loose(2), WriteOptions::default()).await.unwrap();
    let sent = postcard::to_stdvec(&write).unwrap();
    let received: Write = postcard::from_bytes(&sent).unwrap();
    let parts = write_parts(&open(), &received, &[0..5, 5..9]).await.unwrap();
    let sent = postcard::to_stdvec(&parts).unwrap();
    let table = open().commit(write, postcard::from_bytes(&sent).unwrap()).await.unwrap();
    let sent = postcard::to_stdvec(&table).unwrap();
    let received: StoredTable = postcard::from_bytes(&sent).unwrap();
    assert_eq!(read(&open(), &received).await.unwrap(), rows(&plain(), 0..9));
}

pub async fn an_existing_table_is_not_overwritten(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let late = store.begin(&place, &plain(), &Layout::Loose(1), WriteOptions::default()).await.unwrap();
    let part = store.write_part(&late, 0, stream_of(&plain(), 0..99)).await.unwrap();
    let table = write_plain(&store, &place, 10, 2, WriteOptions::default()).await.unwrap();
    let again = store.begin(&place, &plain(), &Layout::Loose(1), WriteOptions::default()).await;
    assert_eq!(kind(again), ErrorKind::AlreadyExists);
    assert_eq!(kind(store.commit(late.clone(), vec![part]).await), ErrorKind::AlreadyExists);
    store.abort(late).await.unwrap();
    assert_eq!(store.open(&place).await.unwrap(), table);
    assert_eq!(read(&store, &table).await.unwrap(), rows(&plain(), 0..10));
}

pub async fn of_two_writers_of_a_new_name_one_wins(open: impl Fn() -> Store) {
    const WRITERS: u64 = 4;
    for round in 0..10 {
        let place = open().locate(&name(&format!("t{round}"))).unwrap();
        let start = Barrier::new(WRITERS as usize);
        let results: Vec<Result<StoredTable>> = std::thread::scope(|scope| {
            let writer = |rows: u64| {
                let (store, place, start) = (open(), &place, &start);
                scope.spawn(move || {
                    let write =
                        block_on(store.begin(place, &plain(), &Layout::Loose(1), WriteOptions::default()))?;
                    let part = block_on(store.write_part(&write, 0, stream_of(&plain(), 0..rows)))?;
                    start.wait();
                    block_on(store.commit(write, vec![part]))
                })
            };
            let writers: Vec<_> = (1..=WRITERS).map(writer).collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.into_iter().all(|result| kind(result) == ErrorKind::AlreadyExists));
        let winner = won.into_iter().next().unwrap().unwrap();
        assert_eq!(open().open(&place).await.unwrap(), winner);
        assert_eq!(read(&open(), &winner).await.unwrap(), rows(&plain(), 0..winner.rows()));
    }
}

pub async fn a_replaced_table_is_the_new_one(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    // replacing what does not exist makes it
    let mut before = write_plain(&store, &place, 10, 2, replace()).await.unwrap().snapshot;
    for (rows_now, partitions) in [(20, 1), (0, 7), (7, 2)] {
        let table = write_plain(&store, &place, rows_now, partitions, replace()).await.unwrap();
        assert_ne!(table.snapshot, before);
        assert_eq!(open().open(&place).await.unwrap(), table);
        assert_eq!(read(&store, &table).await.unwrap(), rows(&plain(), 0..rows_now));
        before = table.snapshot;
    }
    let other = TableSchema::keyed("k", KeyType::Utf8, vec![]).unwrap();
    let write = store.begin(&place, &other, &Layout::Loose(1), replace()).await.unwrap();
    let part = store.write_part(&write, 0, stream_of(&other, 0..3)).await.unwrap();
    store.commit(write, vec![part]).await.unwrap();
    assert_eq!(store.open(&place).await.unwrap().schema, other);
}

pub async fn a_reader_of_a_replaced_table_finishes(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    write_plain(&store, &place, 300_000, 2, WriteOptions::default()).await.unwrap();
    let table = open().open(&place).await.unwrap();
    let mut first = store.scan(&table, 0).await.unwrap();
    let mut batches = vec![first.next().await.unwrap().unwrap()];
    write_plain(&store, &place, 5, 1, replace()).await.unwrap();
    batches.extend(first.try_collect::<Vec<_>>().await.unwrap());
    batches.push(read_part(&open(), &table, 1).await.unwrap());
    assert_eq!(concat_batches(plain().arrow(), &batches).unwrap(), rows(&plain(), 0..300_000));
}

pub async fn a_reader_never_sees_rows_of_another_snapshot(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let old = write_plain(&store, &place, 100, 2, WriteOptions::default()).await.unwrap();
    for _ in 0..3 {
        write_plain(&store, &place, 60, 2, replace()).await.unwrap();
        check_old_or_not_found(&store, &old).await;
    }
    store.delete(&place).await.unwrap();
    check_old_or_not_found(&store, &old).await;
}

async fn check_old_or_not_found(store: &Store, old: &StoredTable) {
    for (partition, range) in [(0, 0..50), (1, 50..100)] {
        match read_part(store, old, partition).await {
            Ok(read) => assert_eq!(read, rows(&plain(), range)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
        }
    }
}

pub async fn a_deleted_table_is_gone_and_its_name_is_free(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    for count in [10, 20] {
        write_plain(&store, &place, count, 2, WriteOptions::default()).await.unwrap();
        write_plain(&store, &place, count, 1, replace()).await.unwrap();
        assert_eq!(open().open(&place).await.unwrap().rows(), count);
        open().delete(&place).await.unwrap();
        assert_eq!(kind(store.open(&place).await), ErrorKind::NotFound);
        assert_eq!(kind(store.delete(&place).await), ErrorKind::NotFound);
    }
}

pub async fn a_copy_is_a_table_of_its_own(open: impl Fn() -> Store) {
    let store = open();
    let (from, to) = (store.locate(&name("t")).unwrap(), store.locate(&name("u")).unwrap());
    let table = write_plain(&store, &from, 20, 2, WriteOptions::default()).await.unwrap();
    let copy = store.copy(&table, &to).await.unwrap();
    assert_eq!(open().open(&to).await.unwrap(), copy);
    assert_eq!(kind(store.copy(&table, &to).await), ErrorKind::AlreadyExists);
    let rows = read(&store, &table).await.unwrap();
    store.delete(&from).await.unwrap();
    assert_eq!(read(&open(), &copy).await.unwrap(), rows);
    store.verify(&copy).await.unwrap();
    assert_eq!(kind(store.copy(&table, &from).await), ErrorKind::NotFound);
    assert_eq!(kind(store.open(&from).await), ErrorKind::NotFound, "half a copy is no table");
}

/// Files are not the suite's business: those that can be bound are bound by the tests of the crates that describe them.
pub async fn what_cannot_be_bound_leaves_everything_as_it_was(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let part = |format: &str, description: &str| BoundPart {
        format: format.into(),
        description: description.into(),
        ids: None,
        size: PartSize { rows: 1, bytes: 1 },
    };
    let bind = async |parts, options| kind(store.bind(&place, &plain(), parts, options).await);
    let refused = async |options: WriteOptions| {
        assert_eq!(bind(vec![part("of no program", "{}")], options.clone()).await, ErrorKind::Unsupported);
        for parts in [
            vec![],
            vec![part("csv", "")],
            vec![part("parquet", "{}")],
            vec![part("parquet", "{\"files\":[{\"path\":\"/etc/passwd\"}]}")],
        ] {
            let found = bind(parts, options.clone()).await;
            assert!(matches!(found, ErrorKind::InvalidInput | ErrorKind::Unsupported), "{found:?}");
        }
    };
    refused(WriteOptions::default()).await;
    assert_eq!(kind(open().open(&place).await), ErrorKind::NotFound);
    let old = write_plain(&store, &place, 1000, 2, WriteOptions::default()).await.unwrap();
    refused(replace()).await;
    assert_eq!(open().open(&place).await.unwrap(), old);
    store.verify(&old).await.unwrap();
}

pub async fn what_does_not_exist_is_not_found(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("nothing")).unwrap();
    assert_eq!(kind(store.open(&place).await), ErrorKind::NotFound);
    assert_eq!(kind(store.delete(&place).await), ErrorKind::NotFound);
}

pub async fn places_of_other_stores_are_refused(open: impl Fn() -> Store) {
    let store = open();
    let mine = store.locate(&name("t")).unwrap();
    let scheme = mine.scheme();
    let below = mine.place().strip_suffix("/suite/t").unwrap_or(mine.place());
    for bad in [
        format!("no-such-scheme://{}", mine.place()),
        format!("{scheme}://elsewhere/suite/t"),
        format!("{scheme}://{below}/../suite/t"),
        format!("{scheme}://{below}/suite/../../t"),
        format!("{scheme}://{below}/suite/."),
    ] {
        let bad = TableUri::new(bad).unwrap();
        assert_eq!(kind(store.open(&bad).await), ErrorKind::InvalidInput, "{bad}");
        assert_eq!(kind(store.delete(&bad).await), ErrorKind::InvalidInput, "{bad}");
        let begun = store.begin(&bad, &plain(), &Layout::Loose(1), replace()).await;
        assert_eq!(kind(begun), ErrorKind::InvalidInput, "{bad}");
    }
    let escape = TableName { namespace: "..".into(), name: "etc".into() };
    assert_eq!(kind(store.locate(&escape)), ErrorKind::InvalidInput);
}

/// A write of one partition that gets these batches; the error, and that nothing exists after it.
async fn refused(store: &Store, schema: &TableSchema, batches: Vec<Result<RecordBatch>>) -> ErrorKind {
    let place = store.locate(&name("refused")).unwrap();
    let write = store.begin(&place, schema, &Layout::Loose(1), WriteOptions::default()).await.unwrap();
    let result = store.write_part(&write, 0, stream::iter(batches).boxed()).await;
    store.abort(write).await.unwrap();
    assert_eq!(kind(store.open(&place).await), ErrorKind::NotFound);
    kind(result)
}

pub async fn rows_that_do_not_fit_are_refused_and_not_stored(open: impl Fn() -> Store) {
    let store = open();
    let good = rows(&plain(), 0..10);
    let fields = vec![Field::new("x", DataType::Float64).nullable()];
    let with_nulls = TableSchema::keyed("id", KeyType::UInt64, fields).unwrap();
    let text_key = TableSchema::keyed("id", KeyType::Utf8, vec![Field::new("x", DataType::Float64)]).unwrap();
    let bad = [
        rows(&with_nulls, 0..100),
        rows(&text_key, 0..10),
        rows(&TableSchema::keyed("id", KeyType::UInt64, vec![]).unwrap(), 0..10),
        rows(&all_types(KeyType::UInt64), 0..10),
    ];
    for bad in bad {
        assert_eq!(refused(&store, &plain(), vec![Ok(good.clone()), Ok(bad)]).await, ErrorKind::InvalidInput);
    }
    let place = store.locate(&name("refused")).unwrap();
    let no_columns = TableSchema::new(None, vec![]).unwrap();
    let too_precise = TableSchema::new(None, vec![Field::new("d", DataType::Decimal128(60, -3))]).unwrap();
    for schema in [no_columns, too_precise] {
        let begun = store.begin(&place, &schema, &Layout::Loose(1), WriteOptions::default()).await;
        assert_eq!(kind(begun), ErrorKind::InvalidInput, "{schema:?}");
    }
}

pub async fn a_failing_source_fails_the_part(open: impl Fn() -> Store) {
    let source = vec![Ok(rows(&plain(), 0..10)), Err(Error::new(ErrorKind::Kernel, "it failed"))];
    assert_eq!(refused(&open(), &plain(), source).await, ErrorKind::Kernel);
}

pub async fn parts_that_do_not_fit_the_layout_are_refused(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let begin = |layout: Layout| {
        let (store, place) = (&store, &place);
        async move { store.begin(place, &plain(), &layout, WriteOptions::default()).await }
    };
    for impossible in [Layout::Loose(0), Layout::Keyed(0), Layout::Loose(Layout::MAX_PARTITIONS + 1)] {
        assert_eq!(kind(begin(impossible).await), ErrorKind::InvalidInput);
    }
    let write = begin(Layout::Rows(RowRanges::from_counts([5, 6]))).await.unwrap();
    let wrong = store.write_part(&write, 0, stream_of(&plain(), 0..6)).await;
    assert_eq!(kind(wrong), ErrorKind::InvalidInput);
    let beyond = store.write_part(&write, 2, stream_of(&plain(), 0..6)).await;
    assert_eq!(kind(beyond), ErrorKind::InvalidInput);
    let parts = write_parts(&store, &write, &[0..5, 5..11]).await.unwrap();
    let swapped = vec![parts[1].clone(), parts[0].clone()];
    for wrong in [vec![], parts[..1].to_vec(), swapped, [parts.clone(), parts.clone()].concat()] {
        assert_eq!(kind(store.commit(write.clone(), wrong).await), ErrorKind::InvalidInput);
        assert_eq!(kind(store.open(&place).await), ErrorKind::NotFound);
    }
    let table = store.commit(write, parts).await.unwrap();
    assert_eq!(kind(store.scan(&table, 2).await), ErrorKind::InvalidInput);
}

/// Rows made on demand, which remember how many of their columns are alive at once.
fn counted(schema: TableSchema, batches: u64, rows_each: u64, most: Arc<AtomicUsize>) -> RowStream {
    let alive: Mutex<Vec<Weak<dyn Array>>> = Mutex::new(Vec::new());
    let make = move |i: u64| {
        let batch = rows(&schema, i * rows_each..(i + 1) * rows_each);
        let mut alive = alive.lock().unwrap();
        alive.retain(|column| column.strong_count() > 0);
        alive.push(Arc::downgrade(batch.column(0)));
        most.fetch_max(alive.len(), Ordering::Relaxed);
        Ok(batch)
    };
    stream::iter((0..batches).map(make)).boxed()
}

pub async fn long_tables_stream(open: impl Fn() -> Store) {
    const BATCHES: u64 = 300;
    let store = open();
    let schema = TableSchema::keyed("id", KeyType::UInt64, vec![]).unwrap();
    let place = store.locate(&name("long")).unwrap();
    let write = store.begin(&place, &schema, &Layout::Loose(1), WriteOptions::default()).await.unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let part = store.write_part(&write, 0, counted(schema, BATCHES, 10_000, most.clone())).await.unwrap();
    assert!(most.load(Ordering::Relaxed) <= 4, "{most:?} batches held at once");
    let table = store.commit(write, vec![part]).await.unwrap();
    let mut scan = store.scan(&table, 0).await.unwrap();
    let mut total = 0;
    while let Some(batch) = scan.next().await {
        let rows = batch.unwrap().num_rows() as u64;
        assert!(rows <= 100_000, "a batch of {rows} rows");
        total += rows;
    }
    assert_eq!(total, BATCHES * 10_000);
}

pub async fn some_columns_and_rows_are_those_of_all(open: impl Fn() -> Store) {
    let store = open();
    for (key, length) in [(KeyType::Utf8, 700), (KeyType::UInt64, 300_000)] {
        let schema = if length < 1000 { all_types(key) } else { plain() };
        let place = store.locate(&name(&format!("some-{length}"))).unwrap();
        let write = store.begin(&place, &schema, &Layout::Loose(2), WriteOptions::default()).await.unwrap();
        let parts = write_parts(&store, &write, &[0..length, 0..0]).await.unwrap();
        let table = store.commit(write, parts).await.unwrap();
        let all = read_part(&store, &table, 0).await.unwrap();
        let last = all.num_columns() - 1;
        for columns in [None, Some(vec![0]), Some(vec![last]), Some((0..=last).step_by(2).collect())] {
            for rows in [
                None,
                Some(0..0),
                Some(0..1),
                Some(length - 1..length),
                Some(length / 3..length / 2),
                Some(0..length),
            ] {
                let mut wanted = Wanted::default();
                (wanted.columns, wanted.rows) = (columns.clone(), rows.clone());
                let found: Vec<RecordBatch> =
                    store.scan_some(&table, 0, &wanted).await.unwrap().try_collect().await.unwrap();
                let rows = rows.unwrap_or(0..length);
                let expected = all.slice(rows.start as usize, (rows.end - rows.start) as usize);
                let expected =
                    columns.as_ref().map_or(expected.clone(), |places| expected.project(places).unwrap());
                let found = concat_batches(&expected.schema(), &found).unwrap();
                assert_eq!(found, expected, "{wanted:?}");
            }
        }
        let wrong = [
            Wanted::default().with_columns([last + 1]),
            Wanted::default().with_columns([0, 0]),
            Wanted::default().with_rows(0..length + 1),
        ];
        for wanted in wrong {
            assert_eq!(
                kind(store.scan_some(&table, 0, &wanted).await),
                ErrorKind::InvalidInput,
                "{wanted:?}"
            );
        }
        assert_eq!(kind(store.scan_some(&table, 2, &Wanted::default()).await), ErrorKind::InvalidInput);
    }
}

pub async fn whole_tables_verify(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let old = write_plain(&store, &place, 1000, 7, WriteOptions::default()).await.unwrap();
    store.verify(&old).await.unwrap();
    let new = write_plain(&store, &place, 500, 2, replace()).await.unwrap();
    store.verify(&new).await.unwrap();
    // a table that claims what is not stored
    let mut claims = new.clone();
    claims.parts[1].size.rows += 1;
    assert_eq!(kind(store.verify(&claims).await), ErrorKind::Corrupt);
    let mut claims = new.clone();
    claims.parts[1].digest = claims.parts[0].digest.clone();
    assert_eq!(kind(store.verify(&claims).await), ErrorKind::Corrupt);
    let mut claims = new;
    claims.schema =
        TableSchema::keyed("id", KeyType::UInt64, vec![Field::new("x", DataType::Int64)]).unwrap();
    assert_eq!(kind(store.verify(&claims).await), ErrorKind::Corrupt);
}
