//! How work ends: by dropping a future, by closing a session, by running out of memory, by dropping handles.
//!
//! The contract says 100 ms; these cases wait longer, in real time, because they share their machine with other tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::Either;
use futures::{StreamExt, future, stream};
use tokio::time::timeout;

use tributary_core::computing::{BlobKind, End};
use tributary_core::storage::{TableUri, WriteOptions};
use tributary_core::{ErrorKind, KeyType, Layout, Result, Table};

use super::kernels::Watch;
use super::model::{batches, numbered, schema};
use super::{Fixture, Session, collect, loose, refused};

const UNTIL_STOPPED: Duration = Duration::from_millis(400);

/// Runs something that would take seconds for a moment, drops it, and sees that its kernel stops.
async fn check_stops<T>(watch: &Watch, total: u64, action: impl Future<Output = T>) {
    let started = async {
        eventually("the kernel starts", || watch.rows() > 0).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let first = future::select(Box::pin(action), Box::pin(started)).await;
    assert!(matches!(first, Either::Right(_)), "the action was over before it could be dropped");
    drop(first);
    tokio::time::sleep(UNTIL_STOPPED).await;
    let after = watch.rows();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(watch.rows(), after, "still at work after {UNTIL_STOPPED:?}");
    assert!(after > 0 && after < total, "{after} of {total} rows");
}

pub async fn dropping_an_action_stops_its_work(fixture: Fixture) {
    const ROWS: u64 = 40_000;
    for cores in super::CORES {
        let session = fixture.session(cores).await;
        let table = loose(&session, KeyType::UInt64, &numbered(0..ROWS), 3).await;
        let slow = |watch: &Watch| table.map(watch.kernel(Duration::from_micros(300))).unwrap();
        let uri = TableUri::new("suite://never/saved").unwrap();

        let watch = Watch::new();
        check_stops(&watch, ROWS, slow(&watch).keep()).await;
        let watch = Watch::new();
        check_stops(&watch, ROWS, slow(&watch).keyed(2).unwrap().count()).await;
        let watch = Watch::new();
        check_stops(&watch, ROWS, slow(&watch).save(&uri, WriteOptions::default())).await;
        let watch = Watch::new();
        check_stops(&watch, ROWS, slow(&watch).collect()).await;

        assert_eq!(table.count().await.unwrap(), ROWS);
        assert_eq!(collect(&table.keyed(2).unwrap()).await.len() as u64, ROWS);
    }
    assert_eq!(fixture.store.unfinished_writes(), 0);
}

pub async fn heavy_rows_do_not_delay_cancelling(fixture: Fixture) {
    let session = fixture.session(1).await;
    let table = loose(&session, KeyType::UInt64, &numbered(0..3000), 1).await;
    let watch = Watch::new();
    let heavy = table.map(watch.kernel(Duration::from_millis(10))).unwrap();
    check_stops(&watch, 3000, heavy.keep()).await;
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

pub async fn dropping_a_put_stops_its_source(fixture: Fixture) {
    let session = fixture.session(1).await;
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
    eventually("the source is dropped", || gone.load(Ordering::SeqCst)).await;
}

async fn eventually(what: &str, check: impl Fn() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}: not within 5 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn check_closed(session: &Session, table: &Table) {
    let cancelled = ErrorKind::Cancelled;
    let uri = TableUri::new("suite://closed/table").unwrap();
    let put = Table::parallelize(session, &schema(KeyType::Utf8), vec![], Layout::Loose(1)).await;
    refused(put, cancelled);
    refused(session.put_blob(Bytes::new(), BlobKind::Plain).await, cancelled);
    refused(session.keep(table.plan()).await, cancelled);
    refused(table.collect().await, cancelled);
    refused(table.save(&uri, WriteOptions::default()).await, cancelled);
    refused(session.stored(&uri).await, cancelled);
}

pub async fn a_closed_session_refuses_everything(fixture: Fixture) {
    for end in [End::Done, End::Failed] {
        let (session, other) = (fixture.session(2).await, fixture.session(2).await);
        let table = loose(&session, KeyType::Utf8, &numbered(0..9), 2).await;
        let spared = loose(&other, KeyType::Utf8, &numbered(0..9), 2).await;
        session.close(end).await.unwrap();
        check_closed(&session, &table).await;
        session.close(End::Failed).await.unwrap();
        check_closed(&session, &table).await;
        drop(table);
        assert_eq!(collect(&spared).await.len(), 9);
    }
}

pub async fn closing_ends_what_still_runs(fixture: Fixture) {
    let session = fixture.session(2).await;
    let table = loose(&session, KeyType::UInt64, &numbered(0..40_000), 200).await;
    let watch = Watch::new();
    let slow = table.map(watch.kernel(Duration::from_micros(300))).unwrap();
    let mut stream = slow.read().await.unwrap();
    stream.next().await.unwrap().unwrap();
    let close = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        session.close(End::Failed).await.unwrap();
    };
    let (kept, ()) = timeout(Duration::from_secs(2), future::join(slow.keep(), close)).await.unwrap();
    refused(kept, ErrorKind::Cancelled);
    let rest = async {
        loop {
            match stream.next().await {
                Some(Ok(_)) => {}
                ended => return ended,
            }
        }
    };
    let ended = timeout(Duration::from_secs(2), rest).await.unwrap();
    assert_eq!(ended.expect("a stream that breaks off says so").unwrap_err().kind(), ErrorKind::Cancelled);
    let after = watch.rows();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(watch.rows(), after);
}

const MEMORY_BYTES: u64 = 8 << 20;

/// A plan whose rows take so many bytes in memory.
async fn of_size(session: &Session, bytes: u64) -> Table {
    let rows = numbered(0..64);
    let table = loose(session, KeyType::UInt64, &rows, 4).await;
    table.map(Watch::new().inflating_kernel((bytes / 64) as u32)).unwrap()
}

/// What an action beyond the budget gives.
fn check_beyond<T>(spills: bool, outcome: Result<T>) {
    if spills {
        drop(outcome.unwrap());
    } else {
        let text = refused(outcome, ErrorKind::Exhausted);
        assert!(text.contains("memory"), "{text}");
    }
}

/// Tries until the engine has taken note of what was dropped.
async fn soon<T>(action: impl AsyncFn() -> Result<T>) -> T {
    let start = Instant::now();
    loop {
        match action().await {
            Ok(done) => return done,
            Err(error) => assert!(start.elapsed() < Duration::from_secs(2), "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn memory_is_bounded_and_comes_back(fixture: Fixture) {
    let spills = fixture.engine.info().spills;
    for cores in super::CORES {
        let session = fixture.session_with(cores, MEMORY_BYTES).await;
        let large = of_size(&session, 2 * MEMORY_BYTES).await;
        check_beyond(spills, large.keep().await);
        check_beyond(spills, large.keyed(3).unwrap().count().await);
        assert_eq!(large.count().await.unwrap(), 64, "a plan that streams needs no room for all rows");

        let fits_alone = of_size(&session, MEMORY_BYTES * 6 / 10).await;
        for _ in 0..3 {
            let kept = soon(async || fits_alone.keep().await).await;
            check_beyond(spills, fits_alone.keep().await);
            assert_eq!(kept.count().await.unwrap(), 64);
            let clone = kept.clone();
            drop(kept);
            check_beyond(spills, fits_alone.keep().await);
            clone.destroy();
        }
    }
}

pub async fn put_tables_and_blobs_count_as_memory(fixture: Fixture) {
    let spills = fixture.engine.info().spills;
    let session = fixture.session_with(1, MEMORY_BYTES).await;
    let blob = |bytes: u64| session.put_blob(Bytes::from(vec![1; bytes as usize]), BlobKind::Secret);
    check_beyond(spills, blob(MEMORY_BYTES + 1).await);
    for _ in 0..3 {
        let held = soon(async || blob(MEMORY_BYTES * 6 / 10).await).await;
        check_beyond(spills, blob(MEMORY_BYTES * 6 / 10).await);
        drop(held);
    }
    for layout in [Layout::Loose(3), Layout::Keyed(3)] {
        let many = (0..20).flat_map(|i| batches(KeyType::UInt64, &numbered(i * 50_000..(i + 1) * 50_000)));
        let put = session.put(&schema(KeyType::UInt64), stream::iter(many.map(Ok)).boxed(), layout).await;
        check_beyond(spills, put);
    }
    let table = loose(&session, KeyType::UInt64, &numbered(0..1000), 3).await;
    assert_eq!(collect(&table).await.len(), 1000);
}

pub async fn failed_and_dropped_actions_give_their_memory_back(fixture: Fixture) {
    let session = fixture.session_with(2, MEMORY_BYTES).await;
    let rows = loose(&session, KeyType::UInt64, &numbered(0..64), 4).await;
    for _ in 0..5 {
        let watch = Watch::new();
        let slow = rows.map(watch.inflating_kernel(60_000)).unwrap();
        let slow = slow.map(watch.kernel(Duration::from_millis(20))).unwrap();
        let dropped = slow.keyed(3).unwrap();
        assert!(timeout(Duration::from_millis(60), dropped.keep()).await.is_err());
        let mut stream = slow.read().await.unwrap();
        stream.next().await.unwrap().unwrap();
    }
    let large = of_size(&session, MEMORY_BYTES * 8 / 10).await;
    soon(async || large.keep().await).await;
}
