//! How work ends: by dropping a future, by closing a session, by running out of memory, by dropping handles.
//!
//! The engine says how soon it stops. These cases measure that in rows, most of which a stopped engine leaves, and not in
//! time, because they share their machine with other work. An engine that takes longer to stop than one in this process has
//! slower rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::Either;
use futures::{StreamExt, future, stream};
use tokio::time::timeout;

use tributary_core::computing::{Blob, End, Spills};
use tributary_core::storage::{TableUri, WriteOptions};
use tributary_core::{ErrorKind, KeyType, Layout, Result, Table};

use super::kernels::Watch;
use super::model::{batches, key_order, numbered, schema};
use super::{Fixture, STUCK, Session, collect, loose, refused};

/// How long the threads of an engine in this process may need to stop, on a machine that has time for them.
const UNTIL_STOPPED: Duration = Duration::from_millis(400);
/// A kernel at work is not quiet for this long.
const QUIET: Duration = Duration::from_millis(200);

/// Runs something that would take much longer for a moment, drops it, and sees that its kernel stops.
async fn check_stops<T>(fixture: &Fixture, watch: &Watch, total: u64, action: impl Future<Output = T>) {
    let started = async {
        eventually(fixture, "the kernel starts", || watch.rows() > 0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let first = future::select(Box::pin(action), Box::pin(started)).await;
    assert!(matches!(first, Either::Right(_)), "the action was over before it could be dropped");
    drop(first);
    let after = until_quiet(fixture, watch).await;
    assert!(after > 0 && after < total, "{after} of {total} rows");
}

/// Waits until a kernel works no more; the rows that it worked on.
pub(super) async fn until_quiet(fixture: &Fixture, watch: &Watch) -> u64 {
    tokio::time::sleep(fixture.to_stop(Duration::ZERO)).await;
    loop {
        let before = watch.rows();
        tokio::time::sleep(QUIET).await;
        if watch.rows() == before {
            return before;
        }
    }
}

pub async fn dropping_an_action_stops_its_work(fixture: Fixture) {
    const ROWS: u64 = 40_000;
    // A thread takes 30 times as long for all rows as it has to stop.
    let per_row = fixture.to_stop(UNTIL_STOPPED) * 3 / 4000;
    for cores in fixture.cores().extremes() {
        let session = fixture.session(cores).await;
        let table = loose(&session, KeyType::UInt64, &numbered(0..ROWS), 3).await;
        let slow = |watch: &Watch| table.map(watch.kernel(per_row)).unwrap();
        let uri = fixture.store.uri("never");

        let watch = fixture.watch();
        check_stops(&fixture, &watch, ROWS, slow(&watch).keep()).await;
        let watch = fixture.watch();
        check_stops(&fixture, &watch, ROWS, slow(&watch).keyed(2).unwrap().count()).await;
        let watch = fixture.watch();
        check_stops(&fixture, &watch, ROWS, slow(&watch).save(&uri, WriteOptions::default())).await;
        let watch = fixture.watch();
        check_stops(&fixture, &watch, ROWS, slow(&watch).collect()).await;

        assert_eq!(table.count().await.unwrap(), ROWS);
        assert_eq!(collect(&table.keyed(2).unwrap()).await.len() as u64, ROWS);
        eventually(&fixture, "the write is aborted", || fixture.store.unfinished_writes(&uri) == 0).await;
        refused(session.stored(&uri).await, ErrorKind::NotFound);
    }
}

pub async fn heavy_rows_do_not_delay_cancelling(fixture: Fixture) {
    let session = fixture.few_cores().await;
    let table = loose(&session, KeyType::UInt64, &numbered(0..3000), 1).await;
    let watch = fixture.watch();
    let heavy = table.map(watch.kernel(Duration::from_millis(10))).unwrap();
    check_stops(&fixture, &watch, 3000, heavy.keep()).await;
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub async fn dropping_a_put_stops_its_source(fixture: Fixture) {
    let session = fixture.few_cores().await;
    let gone = Arc::new(AtomicBool::new(false));
    let guard = Dropped(gone.clone());
    let first = stream::iter(batches(KeyType::Utf8, &numbered(0..9)).into_iter().map(Ok));
    let never = stream::once(async move {
        let _guard = guard;
        future::pending().await
    });
    let source = first.chain(never).boxed();
    let schema = schema(KeyType::Utf8);
    let put = session.put(&schema, source, Layout::Loose(2));
    assert!(timeout(Duration::from_millis(50), put).await.is_err());
    eventually(&fixture, "the source is dropped", || gone.load(Ordering::SeqCst)).await;
}

async fn eventually(fixture: &Fixture, what: &str, check: impl Fn() -> bool) {
    let (start, limit) = (Instant::now(), fixture.slowed(STUCK));
    while !check() {
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn check_closed(session: &Session, table: &Table, uri: &TableUri) {
    let cancelled = ErrorKind::Cancelled;
    let put = Table::parallelize(session, &schema(KeyType::Utf8), vec![], Layout::Loose(1)).await;
    refused(put, cancelled);
    refused(session.put_blob(Blob::Plain(Bytes::new())).await, cancelled);
    refused(session.keep(table.plan()).await, cancelled);
    refused(table.collect().await, cancelled);
    refused(table.save(uri, WriteOptions::default()).await, cancelled);
    refused(session.stored(uri).await, cancelled);
}

pub async fn a_closed_session_refuses_everything(fixture: Fixture) {
    let uri = fixture.store.uri("closed");
    for end in [End::Done, End::Failed] {
        let (session, other) = (fixture.some_cores().await, fixture.some_cores().await);
        let table = loose(&session, KeyType::Utf8, &numbered(0..9), 2).await;
        let spared = loose(&other, KeyType::Utf8, &numbered(0..9), 2).await;
        session.close(end).await.unwrap();
        check_closed(&session, &table, &uri).await;
        session.close(End::Failed).await.unwrap();
        check_closed(&session, &table, &uri).await;
        drop(table);
        assert_eq!(collect(&spared).await.len(), 9);
    }
}

pub async fn closing_ends_what_still_runs(fixture: Fixture) {
    let session = fixture.some_cores().await;
    let table = loose(&session, KeyType::UInt64, &numbered(0..40_000), 200).await;
    let watch = fixture.watch();
    let slow = table.map(watch.kernel(Duration::from_micros(300))).unwrap();
    let mut stream = slow.read().await.unwrap();
    stream.next().await.unwrap().unwrap();
    let close = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        session.close(End::Failed).await.unwrap();
    };
    let (kept, ()) = fixture.in_time(future::join(slow.keep(), close)).await;
    refused(kept, ErrorKind::Cancelled);
    let rest = async {
        loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                ended => return ended,
            }
        }
    };
    let ended = fixture.in_time(rest).await;
    assert_eq!(ended.expect("a stream that breaks off says so").unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(until_quiet(&fixture, &watch).await < 80_000, "both actions worked on");
}

const MEMORY_BYTES: u64 = 8 << 20;

/// A plan whose rows take this many bytes in memory.
async fn of_size(fixture: &Fixture, session: &Session, bytes: u64) -> Table {
    let rows = numbered(0..64);
    let table = loose(session, KeyType::UInt64, &rows, 4).await;
    table.map(fixture.watch().inflating_kernel((bytes / 64) as u32)).unwrap()
}

/// What an action beyond the budget gives.
fn check_beyond<T>(fits: bool, outcome: Result<T>) {
    if fits {
        drop(outcome.unwrap());
    } else {
        let text = refused(outcome, ErrorKind::Exhausted);
        assert!(text.contains("memory"), "{text}");
    }
}

/// Tries until the engine has taken note of what was dropped.
async fn soon<T>(fixture: &Fixture, action: impl AsyncFn() -> Result<T>) -> T {
    let (start, limit) = (Instant::now(), fixture.slowed(STUCK));
    loop {
        match action().await {
            Ok(done) => return done,
            Err(error) => assert!(start.elapsed() < limit, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn memory_is_bounded_and_comes_back(fixture: Fixture) {
    let spills = fixture.engine.info().spills;
    let (tables, exchanges) = (spills != Spills::Nothing, spills == Spills::Rows);
    for cores in fixture.cores().extremes() {
        let session = fixture.session_with(cores, MEMORY_BYTES).await;
        let large = of_size(&fixture, &session, 2 * MEMORY_BYTES).await;
        check_beyond(tables, large.keep().await);
        check_beyond(exchanges, large.keyed(3).unwrap().count().await);
        assert_eq!(large.count().await.unwrap(), 64, "a plan that streams needs no room for all rows");

        let fits_alone = of_size(&fixture, &session, MEMORY_BYTES * 6 / 10).await;
        for _ in 0..3 {
            let kept = soon(&fixture, async || fits_alone.keep().await).await;
            check_beyond(tables, fits_alone.keep().await);
            assert_eq!(kept.count().await.unwrap(), 64);
            let clone = kept.clone();
            drop(kept);
            check_beyond(tables, fits_alone.keep().await);
            clone.destroy();
        }
    }
}

pub async fn put_tables_and_blobs_count_as_memory(fixture: Fixture) {
    let spills = fixture.engine.info().spills;
    let (tables, exchanges, blobs) =
        (spills != Spills::Nothing, spills == Spills::Rows, spills == Spills::Tables);
    let session = fixture.session_with(fixture.cores().few, MEMORY_BYTES).await;
    let blob = |bytes: u64| session.put_blob(Blob::secret(vec![1; bytes as usize]));
    check_beyond(blobs, blob(MEMORY_BYTES + 1).await);
    for _ in 0..3 {
        let held = soon(&fixture, async || blob(MEMORY_BYTES * 6 / 10).await).await;
        check_beyond(blobs, blob(MEMORY_BYTES * 6 / 10).await);
        drop(held);
    }
    for layout in [Layout::Loose(3), Layout::Keyed(3)] {
        let many = (0..20).flat_map(|i| batches(KeyType::UInt64, &numbered(i * 50_000..(i + 1) * 50_000)));
        let put =
            session.put(&schema(KeyType::UInt64), stream::iter(many.map(Ok)).boxed(), layout.clone()).await;
        check_beyond(if matches!(layout, Layout::Keyed(_)) { exchanges } else { tables }, put);
    }
    let table = loose(&session, KeyType::UInt64, &numbered(0..1000), 3).await;
    assert_eq!(collect(&table).await.len(), 1000);
}

pub async fn rows_of_many_times_the_memory_are_moved_and_joined_or_refused(fixture: Fixture) {
    const ROWS: u64 = 9000;
    let spills = fixture.engine.info().spills;
    for (cores, n) in fixture.cores().extremes().into_iter().zip([1, 7]) {
        let session = fixture.session_with(cores, 40_000).await;
        for key_type in [KeyType::UInt64, KeyType::Utf8] {
            let rows = numbered((0..ROWS).map(|i| i * 7919 % ROWS));
            let put =
                Table::parallelize(&session, &schema(key_type), batches(key_type, &rows), Layout::Loose(n))
                    .await;
            if spills == Spills::Nothing {
                refused(put, ErrorKind::Exhausted);
                continue;
            }
            let loose = put.unwrap();
            assert_eq!(collect(&loose).await, rows);
            let keyed = loose.keyed(1).unwrap().keep().await;
            if spills == Spills::Tables {
                refused(keyed, ErrorKind::Exhausted);
                continue;
            }
            let ordered = key_order(key_type, rows);
            assert_eq!(collect(&keyed.unwrap()).await, ordered);
            let other = loose.keyed(n).unwrap();
            assert_eq!(collect(&loose.semi_join(&other).unwrap()).await, ordered);
            let one_key = Table::concat(&[other.clone(), other]).unwrap().keyed(n);
            let text = refused(one_key.unwrap().keep().await, ErrorKind::InvalidInput);
            assert!(text.contains("a key occurs twice, in partition"), "{text}");
        }
    }
}

pub async fn failed_and_dropped_actions_give_their_memory_back(fixture: Fixture) {
    let session = fixture.session_with(fixture.cores().some, MEMORY_BYTES).await;
    let rows = loose(&session, KeyType::UInt64, &numbered(0..64), 4).await;
    for _ in 0..5 {
        let watch = fixture.watch();
        let slow = rows.map(watch.inflating_kernel(60_000)).unwrap();
        let slow = slow.map(watch.kernel(Duration::from_millis(20))).unwrap();
        let dropped = slow.keyed(3).unwrap();
        assert!(timeout(Duration::from_millis(60), dropped.keep()).await.is_err());
        let mut stream = slow.read().await.unwrap();
        stream.next().await.unwrap().unwrap();
    }
    let large = of_size(&fixture, &session, MEMORY_BYTES * 8 / 10).await;
    soon(&fixture, async || large.keep().await).await;
}
