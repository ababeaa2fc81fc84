//! Cases of the storage contract: a table that takes the place of the snapshot that it was made of, and of no other.

use std::sync::Barrier;

use futures::executor::block_on;

use tributary_core::storage::{IfExists, Part, StoredTable, TableUri, Write, WriteOptions};
use tributary_core::{ErrorKind, Layout, Result};

use super::rows::{plain, rows, stream_of};
use super::{Store, kind, name, read, replace, write_plain};

/// Over this snapshot and no other.
fn over(read: &StoredTable) -> WriteOptions {
    WriteOptions::default().with_if_exists(IfExists::ReplaceSnapshot(read.snapshot.clone()))
}

pub async fn a_snapshot_that_was_read_is_replaced(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let mut read_before = write_plain(&store, &place, 10, 2, WriteOptions::default()).await.unwrap();
    for count in 11..15 {
        let old = open().open(&place).await.unwrap();
        assert_eq!(old, read_before);
        let new = write_plain(&store, &place, count, 3, over(&old)).await.unwrap();
        assert_eq!(open().open(&place).await.unwrap(), new);
        assert_eq!(read(&store, &new).await.unwrap(), rows(&plain(), 0..count));
        // a reader of what was replaced continues
        assert_eq!(read(&store, &old).await.unwrap(), rows(&plain(), 0..old.rows()));
        read_before = new;
    }
}

pub async fn a_snapshot_that_is_there_no_more_is_not_replaced(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let old = write_plain(&store, &place, 10, 2, WriteOptions::default()).await.unwrap();
    // all is written before the others come, so that only the commit can know
    let late = async || {
        let write = store.begin(&place, &plain(), &Layout::Loose(1), over(&old)).await.unwrap();
        let part = store.write_part(&write, 0, stream_of(&plain(), 0..99)).await.unwrap();
        (write, part)
    };
    let (write, part) = late().await;
    let (other, other_part) = late().await;
    let new = write_plain(&store, &place, 20, 2, replace()).await.unwrap();
    assert_eq!(kind(store.commit(write.clone(), vec![part]).await), ErrorKind::Conflict);
    store.abort(write).await.unwrap();
    assert_eq!(store.open(&place).await.unwrap(), new);
    store.verify(&new).await.unwrap();
    let again = store.begin(&place, &plain(), &Layout::Loose(1), over(&old)).await;
    assert_eq!(kind(again), ErrorKind::Conflict);

    store.delete(&place).await.unwrap();
    assert_eq!(kind(store.commit(other.clone(), vec![other_part]).await), ErrorKind::Conflict);
    store.abort(other).await.unwrap();
    assert_eq!(kind(store.open(&place).await), ErrorKind::NotFound, "a deleted table stays deleted");
    let begun = store.begin(&place, &plain(), &Layout::Loose(1), over(&new)).await;
    assert_eq!(kind(begun), ErrorKind::Conflict);
}

/// Commits of several writers, each from a handle of its own, at the same moment.
fn commit_at_once(open: &impl Fn() -> Store, writes: Vec<(Write, Part)>) -> Vec<Result<StoredTable>> {
    let start = Barrier::new(writes.len());
    std::thread::scope(|scope| {
        let writer = |(write, part): (Write, Part)| {
            let (store, start) = (open(), &start);
            scope.spawn(move || {
                start.wait();
                block_on(store.commit(write, vec![part]))
            })
        };
        let writers: Vec<_> = writes.into_iter().map(writer).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    })
}

async fn one_part(store: &Store, at: &TableUri, rows: u64, options: WriteOptions) -> (Write, Part) {
    let write = store.begin(at, &plain(), &Layout::Loose(1), options).await.unwrap();
    let part = store.write_part(&write, 0, stream_of(&plain(), 0..rows)).await.unwrap();
    (write, part)
}

pub async fn of_two_writers_over_one_snapshot_one_wins(open: impl Fn() -> Store) {
    const WRITERS: u64 = 4;
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let mut old = write_plain(&store, &place, 1, 1, WriteOptions::default()).await.unwrap();
    for round in 0..10 {
        let mut writes = Vec::new();
        for writer in 1..=WRITERS {
            writes.push(one_part(&store, &place, round * 10 + writer, over(&old)).await);
        }
        let results = commit_at_once(&open, writes);
        let (won, lost): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        assert!(lost.into_iter().all(|result| kind(result) == ErrorKind::Conflict));
        old = won.into_iter().next().unwrap().unwrap();
        assert_eq!(open().open(&place).await.unwrap(), old);
        assert_eq!(read(&open(), &old).await.unwrap(), rows(&plain(), 0..old.rows()));
    }
}

/// A plain replacement, or a removal, and one over a snapshot at the same moment: the second says `Conflict`, or it was first.
pub async fn no_row_is_lost_when_several_replace_at_once(open: impl Fn() -> Store) {
    let store = open();
    // Some servers look at a condition in one step and write in another. Where the condition is kept by a server, a removal that
    // came between both may seldom be undone; a store that does not send the condition at all fails in many rounds.
    let is_kept_by_a_server = store.addresses().iter().any(|address| address.starts_with("s3:"));
    let (most_undone, mut undone) = (if is_kept_by_a_server { 3 } else { 0 }, 0);
    for round in 0..40 {
        let place = store.locate(&name(&format!("t{round}"))).unwrap();
        let old = write_plain(&store, &place, 1, 1, WriteOptions::default()).await.unwrap();
        let (write, part) = one_part(&store, &place, 2, over(&old)).await;
        let removes = round % 2 == 0;
        let other = if removes { None } else { Some(one_part(&store, &place, 3, replace()).await) };
        let start = Barrier::new(2);
        let merged = std::thread::scope(|scope| {
            let (one, two, start, place) = (open(), open(), &start, &place);
            let over = scope.spawn(move || {
                start.wait();
                block_on(one.commit(write, vec![part]))
            });
            start.wait();
            match other {
                Some((write, part)) => drop(block_on(two.commit(write, vec![part])).unwrap()),
                None => block_on(two.delete(place)).unwrap(),
            }
            over.join().unwrap()
        });
        if let Err(error) = &merged {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
        // the other one asked for no condition, so that it comes last or alone
        let is_last = match (open().open(&place).await, removes) {
            (Err(error), true) => error.kind() == ErrorKind::NotFound,
            (Ok(table), false) => table.rows() == 3,
            _ => false,
        };
        undone += u32::from(!is_last);
        assert!(undone <= most_undone, "round {round}: {merged:?}");
    }
}

pub async fn a_commit_whose_answer_was_lost_may_be_asked_for_again(open: impl Fn() -> Store) {
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    let old = write_plain(&store, &place, 1, 1, WriteOptions::default()).await.unwrap();
    let (write, part) = one_part(&store, &place, 2, over(&old)).await;
    let table = store.commit(write.clone(), vec![part.clone()]).await.unwrap();
    assert_eq!(open().commit(write.clone(), vec![part.clone()]).await.unwrap(), table);
    // and when others were added since
    let newest = write_plain(&store, &place, 3, 1, over(&table)).await.unwrap();
    assert_eq!(open().commit(write.clone(), vec![part]).await.unwrap(), table);
    open().abort(write).await.unwrap();
    assert_eq!(store.open(&place).await.unwrap(), newest);
    assert_eq!(read(&store, &table).await.unwrap(), rows(&plain(), 0..2), "a second call may read it, too");
}

/// Each publishes on the condition of what it read, and reads again if another one came first: all happen, one after another.
pub async fn plain_replacements_at_once_happen_one_after_another(open: impl Fn() -> Store) {
    const WRITERS: u64 = 4;
    let store = open();
    let place = store.locate(&name("t")).unwrap();
    write_plain(&store, &place, 1, 1, WriteOptions::default()).await.unwrap();
    for round in 0..5 {
        let mut writes = Vec::new();
        for writer in 1..=WRITERS {
            writes.push(one_part(&store, &place, round * 10 + writer, replace()).await);
        }
        let tables: Vec<_> = commit_at_once(&open, writes).into_iter().map(Result::unwrap).collect();
        let last = open().open(&place).await.unwrap();
        assert!(tables.contains(&last));
        assert_eq!(read(&open(), &last).await.unwrap(), rows(&plain(), 0..last.rows()));
        open().verify(&last).await.unwrap();
    }
}
