//! Breaks the store at every step of every operation: afterwards there is the complete old or new table, and clean-up leaves
//! that table's files only.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, UInt64Array};
use futures::executor::block_on;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use tributary_core::storage::{IfExists, Storage, StoredTable, Sweep, TableUri, WriteOptions};
use tributary_core::{ErrorKind, KeyType, Layout, Result, TableName, TableSchema};
use tributary_table::Tables;

use support::{Break, Breaking, Late, Memory, hour};

mod support;

const WAYS: [Break; 4] = [Break::Before, Break::After, Break::OnceBefore, Break::OnceAfter];

fn schema() -> TableSchema {
    TableSchema::keyed("id", KeyType::UInt64, vec![]).unwrap()
}

fn tables(memory: &Memory) -> Tables {
    Tables::new(Arc::new(memory.clone()))
}

fn idle(hours: u64) -> Sweep {
    Sweep { idle: Duration::from_secs(hours * 3600), ..Sweep::default() }
}

fn place() -> TableUri {
    tables(&Memory::new()).locate(&TableName::new("n", "t").unwrap()).unwrap()
}

fn numbers(range: std::ops::Range<u64>) -> RecordBatch {
    schema().batch(vec![Arc::new(UInt64Array::from_iter_values(range))]).unwrap()
}

/// Rows 0..n in two parts, the first of them written twice; aborted when something fails, as engines do.
async fn write(tables: &Tables, n: u64, if_exists: IfExists) -> Result<StoredTable> {
    let options = WriteOptions::default().with_if_exists(if_exists);
    let write = tables.begin(&place(), &schema(), &Layout::Loose(2), options).await?;
    let done = async {
        let mut parts = Vec::new();
        for (partition, rows) in [(0, 0..n / 3), (0, 0..n / 2), (1, n / 2..n)] {
            let rows = stream::iter([Ok(numbers(rows))]).boxed();
            parts.push(tables.write_part(&write, partition, rows).await?);
        }
        tables.commit(write.clone(), parts.split_off(1)).await
    };
    match done.await {
        Ok(table) => Ok(table),
        Err(error) => {
            // the abort may fail as well; then clean-up must do its work
            drop(tables.abort(write).await);
            Err(error)
        }
    }
}

/// The number of rows, all of them checked; `None` if there is no table.
async fn rows(tables: &Tables) -> Option<u64> {
    let table = match tables.open(&place()).await {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        table => table.unwrap(),
    };
    tables.verify(&table).await.unwrap();
    let mut batches: Vec<RecordBatch> = Vec::new();
    for partition in 0..2 {
        batches.extend(tables.scan(&table, partition).await.unwrap().try_collect::<Vec<_>>().await.unwrap());
    }
    let values: Vec<u64> = batches
        .iter()
        .flat_map(|batch| batch.column(0).to_data().buffers()[0].typed_data::<u64>().to_vec())
        .collect();
    assert_eq!(values, (0..table.rows()).collect::<Vec<_>>());
    Some(table.rows())
}

/// Runs an operation on copies of a store, broken at every step in every way; `expected` are the tables that may be there.
async fn check<F: AsyncFn(Tables) -> Result<()>>(before: &Memory, operation: F, expected: [Option<u64>; 2]) {
    for how in WAYS {
        let mut seen = Vec::new();
        for at in 0.. {
            let memory = before.copy();
            let breaking = Breaking::new(memory.clone(), at, how);
            let result = operation(Tables::new(Arc::new(breaking.clone()))).await;
            let found = rows(&tables(&memory)).await;
            assert!(expected.contains(&found), "{how:?} at step {at}: {found:?} rows");
            if result.is_ok() {
                assert_eq!(found, expected[1], "{how:?} at step {at} claims to have worked");
            }
            seen.push(found);
            check_clean_up(&memory, found).await;
            if !breaking.broke() {
                assert!(seen.contains(&expected[0]) && seen.contains(&expected[1]));
                break;
            }
            assert!(at < 1000);
        }
    }
}

async fn check_clean_up(memory: &Memory, found: Option<u64>) {
    memory.set_time(hour(20));
    let swept = tables(memory).sweep(&idle(5), &|_| false).await.unwrap();
    assert!(swept.failed.is_empty());
    assert_eq!(rows(&tables(memory)).await, found);
    let files = if found.is_some() { 3 } else { 0 };
    assert_eq!(memory.paths().len(), files, "{:?}", memory.paths());
}

#[test]
fn a_first_write_that_breaks_leaves_no_table_or_the_complete_one() {
    block_on(async {
        let first = async |tables: Tables| write(&tables, 30, IfExists::Fail).await.map(drop);
        check(&Memory::new(), first, [None, Some(30)]).await;
    });
}

#[test]
fn a_replacement_that_breaks_leaves_the_old_table_or_the_new_one() {
    block_on(async {
        let memory = Memory::new();
        write(&tables(&memory), 10, IfExists::Fail).await.unwrap();
        write(&tables(&memory), 20, IfExists::Replace).await.unwrap();
        let replace = async |tables: Tables| write(&tables, 40, IfExists::Replace).await.map(drop);
        check(&memory, replace, [Some(20), Some(40)]).await;
    });
}

#[test]
fn a_replacement_of_a_snapshot_that_breaks_leaves_the_old_table_or_the_new_one() {
    block_on(async {
        let memory = Memory::new();
        write(&tables(&memory), 10, IfExists::Fail).await.unwrap();
        let read = write(&tables(&memory), 20, IfExists::Replace).await.unwrap();
        let replace = async |tables: Tables| {
            write(&tables, 40, IfExists::ReplaceSnapshot(read.snapshot.clone())).await.map(drop)
        };
        check(&memory, replace, [Some(20), Some(40)]).await;
    });
}

#[test]
fn a_removal_that_breaks_leaves_the_table_or_nothing() {
    block_on(async {
        let memory = Memory::new();
        write(&tables(&memory), 10, IfExists::Fail).await.unwrap();
        write(&tables(&memory), 20, IfExists::Replace).await.unwrap();
        let delete = async |tables: Tables| tables.delete(&place()).await;
        check(&memory, delete, [Some(20), None]).await;
    });
}

#[test]
fn clean_up_that_breaks_harms_nothing() {
    block_on(async {
        let memory = Memory::new();
        for n in [10, 20, 30] {
            write(&tables(&memory), n, IfExists::Replace).await.unwrap();
        }
        memory.set("n/t/_snapshots/00112233445566778899aabbccddeeff/part", "left");
        memory.set_time(hour(10));
        let sweep = async |tables: Tables| tables.sweep(&idle(5), &|_| false).await.map(drop);
        check(&memory, sweep, [Some(30), Some(30)]).await;
    });
}

#[test]
fn a_repeated_commit_has_the_result_of_the_first() {
    block_on(async {
        for how in ["first", "replace", "snapshot"] {
            let tables = tables(&Memory::new());
            let if_exists = match how {
                "first" => IfExists::Fail,
                "replace" => IfExists::Replace,
                _ => IfExists::ReplaceSnapshot(write(&tables, 9, IfExists::Fail).await.unwrap().snapshot),
            };
            let options = WriteOptions::default().with_if_exists(if_exists);
            let write = tables.begin(&place(), &schema(), &Layout::Loose(1), options).await.unwrap();
            let rows = || stream::iter([Ok(numbers(0..5))]).boxed();
            let part = tables.write_part(&write, 0, rows()).await.unwrap();
            let table = tables.commit(write.clone(), vec![part.clone()]).await.unwrap();
            assert_eq!(tables.commit(write.clone(), vec![part]).await.unwrap(), table);
            let other = tables.write_part(&write, 0, rows()).await.unwrap();
            assert_eq!(
                tables.commit(write.clone(), vec![other]).await.unwrap_err().kind(),
                ErrorKind::Conflict
            );
            tables.abort(write).await.unwrap();
            tables.verify(&table).await.unwrap();
        }
    });
}

/// Its answer was lost, and another write came before it was asked for again.
#[test]
fn a_commit_that_is_repeated_after_a_replacement_keeps_its_parts() {
    block_on(async {
        for if_exists in [IfExists::Fail, IfExists::Replace] {
            let tables = tables(&Memory::new());
            let options = WriteOptions::default().with_if_exists(if_exists);
            let first = tables.begin(&place(), &schema(), &Layout::Loose(1), options).await.unwrap();
            let part = tables.write_part(&first, 0, stream::iter([Ok(numbers(0..5))]).boxed()).await.unwrap();
            let table = tables.commit(first.clone(), vec![part.clone()]).await.unwrap();
            let newest = write(&tables, 40, IfExists::Replace).await.unwrap();
            assert_eq!(tables.commit(first.clone(), vec![part]).await.unwrap(), table);
            tables.abort(first).await.unwrap();
            assert_eq!(tables.open(&place()).await.unwrap(), newest);
            tables.verify(&newest).await.unwrap();
            tables.verify(&table).await.unwrap();
        }
    });
}

#[test]
fn parts_of_a_commit_that_may_have_happened_stay_until_clean_up() {
    block_on(async {
        for (before, if_exists) in [(None, IfExists::Fail), (Some(10), IfExists::Replace)] {
            for comes in [true, false] {
                let memory = Memory::new();
                if let Some(rows) = before {
                    write(&tables(&memory), rows, IfExists::Fail).await.unwrap();
                }
                let late = Late::new(memory.clone());
                // which is aborted after the error
                let error =
                    write(&Tables::new(Arc::new(late.clone())), 30, if_exists.clone()).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                assert_eq!(rows(&tables(&memory)).await, before);
                let expected = if comes { Some(30) } else { before };
                if comes {
                    late.catch_up();
                }
                assert_eq!(rows(&tables(&memory)).await, expected);
                check_clean_up(&memory, expected).await;
            }
        }
    });
}

#[test]
fn a_store_that_repeats_a_request_does_not_conflict_with_itself() {
    block_on(async {
        let memory = Memory::new();
        let asking_twice = Breaking::new(memory.clone(), usize::MAX >> 1, Break::AskedTwice);
        let first = write(&Tables::new(Arc::new(asking_twice.clone())), 30, IfExists::Fail).await.unwrap();
        assert_eq!(rows(&tables(&memory)).await, Some(30));
        let over = IfExists::ReplaceSnapshot(first.snapshot);
        write(&Tables::new(Arc::new(asking_twice)), 40, over).await.unwrap();
        assert_eq!(rows(&tables(&memory)).await, Some(40));
    });
}

/// The store and the source never wait, so only the write itself can yield to its executor.
#[test]
fn a_long_write_yields_between_slices() {
    let tables = tables(&Memory::new());
    let write =
        block_on(tables.begin(&place(), &schema(), &Layout::Loose(1), WriteOptions::default())).unwrap();
    let rows = stream::iter([Ok(numbers(0..200_000))]).boxed();
    let mut part = tables.write_part(&write, 0, rows);
    let mut polls = 0;
    while part.as_mut().now_or_never().is_none() {
        polls += 1;
    }
    assert!(polls >= 10, "{polls} polls for 200000 rows");
}
