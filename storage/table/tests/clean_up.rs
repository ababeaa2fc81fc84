//! What clean-up removes, and above all what it keeps.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow_array::UInt64Array;
use futures::executor::block_on;
use futures::{FutureExt, StreamExt, stream};

use tributary_core::storage::{
    IfExists, Storage, StoredTable, Sweep, SweepMode, TableUri, Write, WriteOptions,
};
use tributary_core::{ErrorKind, KeyType, Layout, TableName, TableSchema};
use tributary_table::{Tables, UNFINISHED};

use support::{Breaking, Memory, hour};

mod support;

struct Fixture {
    memory: Memory,
    tables: Tables,
    place: TableUri,
}

impl Fixture {
    fn new() -> Self {
        let memory = Memory::new();
        let tables = Tables::new(Arc::new(memory.clone()));
        let place = tables.locate(&TableName::new("n", "t").unwrap()).unwrap();
        Self { memory, tables, place }
    }

    /// A write with its one part, at this hour.
    async fn part(&self, at: u64) -> (Write, tributary_core::storage::Part) {
        self.memory.set_time(hour(at));
        let schema = TableSchema::keyed("id", KeyType::UInt64, vec![]).unwrap();
        let options = WriteOptions::default().with_if_exists(IfExists::Replace);
        let write = self.tables.begin(&self.place, &schema, &Layout::Loose(1), options).await.unwrap();
        let rows = schema.batch(vec![Arc::new(UInt64Array::from(vec![at, 7]))]).unwrap();
        let part = self.tables.write_part(&write, 0, stream::iter([Ok(rows)]).boxed()).await.unwrap();
        (write, part)
    }

    async fn replace(&self, at: u64) -> StoredTable {
        let (write, part) = self.part(at).await;
        self.tables.commit(write, vec![part]).await.unwrap()
    }

    /// Removes files that were last written before this hour.
    async fn sweep(&self, before: u64) -> u64 {
        let swept = self.tables.sweep(&self.since(before), &|_| false).await.unwrap();
        assert!(swept.failed.is_empty(), "{swept:?}");
        swept.files
    }

    fn since(&self, hours: u64) -> Sweep {
        self.memory.set_time(hour(hours + 10_000));
        Sweep { idle: Duration::from_secs(10_000 * 3600), ..Sweep::default() }
    }
}

#[test]
fn a_replaced_snapshot_counts_from_its_replacement() {
    block_on(async {
        let f = Fixture::new();
        let old = f.replace(1).await;
        let new = f.replace(10).await;
        assert_eq!(f.sweep(10).await, 0);
        f.tables.verify(&old).await.unwrap();
        assert_eq!(f.sweep(11).await, 1);
        assert_eq!(f.tables.verify(&old).await.unwrap_err().kind(), ErrorKind::NotFound);
        f.tables.verify(&new).await.unwrap();
        assert_eq!(f.sweep(1000).await, 0);
        f.tables.verify(&new).await.unwrap();
    });
}

#[test]
fn an_active_write_stays_until_it_is_idle_for_a_long_time() {
    block_on(async {
        let f = Fixture::new();
        let table = f.replace(1).await;
        let (write, part) = f.part(5).await;
        assert_eq!(f.sweep(5).await, 0);
        f.memory.set_time(hour(5));
        f.tables.write_part(&write, 0, stream::empty().boxed()).await.unwrap();
        assert_eq!(f.sweep(6).await, 2);
        // the writer gets an error; the table has not changed
        let error = f.tables.commit(write, vec![part]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(f.tables.open(&f.place).await.unwrap(), table);
    });
}

#[test]
fn leftovers_of_a_killed_upload_are_removed_and_foreign_files_stay() {
    block_on(async {
        let f = Fixture::new();
        f.replace(1).await;
        f.memory.set(&format!("n/t/{UNFINISHED}1"), "half a manifest");
        for foreign in
            ["readme.txt", "n/notes.txt", "n/t/notes.txt", "n/t/_snapshots/mine/x.parquet", "n/t/_x/a/b"]
        {
            f.memory.set(foreign, "not ours");
        }
        let before = f.memory.paths().len();
        assert_eq!(f.sweep(2).await, 1);
        assert_eq!(f.memory.paths().len(), before - 1);
    });
}

#[test]
fn a_table_with_an_unreadable_manifest_is_left_and_reported() {
    block_on(async {
        let f = Fixture::new();
        f.replace(1).await;
        f.memory.set("n/t/_manifest.json", "{}");
        let paths = f.memory.paths();
        let swept = f.tables.sweep(&f.since(1000), &|_| false).await.unwrap();
        assert_eq!(swept.failed.len(), 1);
        assert!(swept.failed[0].to_string().contains("n/t"), "{}", swept.failed[0]);
        assert_eq!(f.memory.paths(), paths);
        // the user may replace or delete it; then its parts are leftovers
        f.tables.delete(&f.place).await.unwrap();
        assert_eq!(f.tables.open(&f.place).await.unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(f.sweep(1000).await, 1);
        assert!(f.memory.paths().is_empty());
    });
}

#[test]
fn counting_removes_nothing_and_tables_in_use_stay() {
    block_on(async {
        let f = Fixture::new();
        f.replace(1).await;
        f.part(2).await;
        let before = f.memory.paths();
        let what = f.since(1000);
        let counted =
            f.tables.sweep(&Sweep { mode: SweepMode::Count, ..what.clone() }, &|_| false).await.unwrap();
        assert_eq!((counted.files, counted.bytes > 0), (1, true));
        assert_eq!(f.memory.paths(), before);
        let in_use = |name: &TableName| name.name == "t";
        assert_eq!(f.tables.sweep(&what, &in_use).await.unwrap().files, 0);
        assert_eq!(f.memory.paths(), before);
        assert_eq!(f.tables.sweep(&what, &|_| false).await.unwrap().files, 1);
    });
}

#[test]
fn a_commit_removes_day_old_leftovers_of_its_own_folder_and_nothing_younger() {
    block_on(async {
        let f = Fixture::new();
        f.replace(1).await;
        f.part(2).await;
        f.memory.set(&format!("n/t/{UNFINISHED}1"), "half a manifest");
        let old = f.replace(20).await;
        assert_eq!(f.memory.paths().len(), 1 + 1 + 3, "{:?}", f.memory.paths());
        let new = f.replace(27).await;
        assert_eq!(f.memory.paths().len(), 1 + 2, "{:?}", f.memory.paths());
        f.tables.verify(&old).await.unwrap();
        f.tables.verify(&new).await.unwrap();
    });
}

/// A clean-up runs at every step of the commit of a write that was idle for a long time, and the commit at every step of the
/// clean-up: either the table is the complete new one, or the commit fails and the table is the old one.
#[test]
fn a_late_commit_and_a_clean_up_never_leave_a_table_without_parts() {
    for commit_is_met in [true, false] {
        let mut seen = [false; 2];
        for at in 0.. {
            let f = Fixture::new();
            let (old, write, part) = block_on(async {
                let old = f.replace(1).await;
                let (write, part) = f.part(5).await;
                (old, write, part)
            });
            let what = f.since(1000);
            let committed = Arc::new(Mutex::new(None));
            let commit = {
                let committed = committed.clone();
                move |tables: Tables| {
                    let done = tables.commit(write, vec![part]).now_or_never().unwrap();
                    *committed.lock().unwrap() = Some(done);
                }
            };
            let clean_up = move |tables: Tables| {
                let swept = tables.sweep(&what, &|_| false).now_or_never().unwrap().unwrap();
                assert!(swept.failed.is_empty(), "{swept:?}");
            };
            let pair: [Box<dyn FnOnce(Tables) + Send>; 2] = match commit_is_met {
                true => [Box::new(commit), Box::new(clean_up)],
                false => [Box::new(clean_up), Box::new(commit)],
            };
            let ([met, other], undisturbed) = (pair, f.tables.clone());
            let store = Breaking::meanwhile(f.memory.clone(), at, move || other(undisturbed));
            met(Tables::new(Arc::new(store.clone())));
            if !store.broke() {
                assert_eq!(seen, [true; 2], "each side wins in some case");
                break;
            }
            let there = block_on(f.tables.open(&f.place)).unwrap();
            block_on(f.tables.verify(&there)).unwrap();
            match committed.lock().unwrap().take().unwrap() {
                Ok(new) => assert_eq!(there, new),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    assert_eq!(there, old);
                }
            }
            seen[usize::from(there == old)] = true;
        }
    }
}
