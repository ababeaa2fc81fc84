//! While an action runs: streams, cores, blobs, several actions at once.

use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future, stream};

use tributary_core::computing::{Blob, BlobKind, End};
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, KeyType, Layout, Table};

use super::ending::until_quiet;
use super::kernels::{ShowBlobs, kernels};
use super::model::{self, batches, numbered, schema};
use super::{Fixture, STUCK, collect, loose, refused};

pub async fn a_session_is_what_it_was_opened_with(fixture: Fixture) {
    let many = fixture.cores().many;
    let session = fixture.session_with(many, 12345).await;
    assert_eq!((session.spec().placement.cores, session.spec().memory_bytes), (many, 12345));
    assert_eq!(session.kernels().fingerprint(), kernels().fingerprint());
}

pub async fn a_session_outlives_its_engine(fixture: Fixture) {
    let session = fixture.some_cores().await;
    drop(fixture.engine);
    let rows = numbered(0..1000);
    let table = loose(&session, KeyType::UInt64, &rows, 4).await.keyed(3).unwrap();
    let kept = table.keep().await.unwrap();
    assert_eq!(collect(&kept).await, model::key_order(KeyType::UInt64, rows));
    session.close(End::Done).await.unwrap();
}

pub async fn partitions_are_read_in_order_and_a_stream_may_be_dropped(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = numbered(0..5000);
            let table = loose(session, KeyType::UInt64, &rows, 4 * n).await.keyed(n).unwrap();
            let order = model::key_order(KeyType::UInt64, rows);
            for batches in [0, 1, 2] {
                let stream = table.read().await.unwrap();
                let some: Vec<_> = fixture.in_time(stream.take(batches).try_collect()).await.unwrap();
                let some = model::rows(&some);
                assert_eq!(some, order[..some.len()]);
            }
            assert_eq!(fixture.in_time(collect(&table)).await, order);
        })
        .await;
}

pub async fn interleaved_reads_do_not_wait_for_each_other(fixture: Fixture) {
    for cores in [fixture.cores().few, fixture.cores().some] {
        let session = fixture.session(cores).await;
        let rows = numbered(0..20_000);
        let table = loose(&session, KeyType::UInt64, &rows, 8).await;
        let mapped = table.map(fixture.watch().kernel(Duration::ZERO)).unwrap();
        let shuffled = mapped.keyed(5).unwrap();
        let mut streams = Vec::new();
        for table in [&mapped, &shuffled, &mapped] {
            streams.push(table.read().await.unwrap());
        }
        let mut found = [vec![], vec![], vec![]];
        let mut open = 3;
        while open > 0 {
            open = 0;
            for (stream, found) in streams.iter_mut().zip(&mut found) {
                if let Some(batch) = fixture.in_time(stream.next()).await {
                    found.push(batch.unwrap());
                    open += 1;
                    assert_eq!(fixture.in_time(table.count()).await.unwrap(), 20_000);
                }
            }
        }
        let in_order = model::key_order(KeyType::UInt64, rows.clone());
        for (found, expected) in found.iter().zip([&rows, &in_order, &rows]) {
            assert!(model::rows(found) == *expected);
        }
    }
}

pub async fn actions_continue_beside_a_stream_that_is_not_read(fixture: Fixture) {
    for cores in [fixture.cores().few, fixture.cores().some] {
        let session = fixture.session(cores).await;
        let watch = fixture.watch();
        let table = loose(&session, KeyType::UInt64, &numbered(0..2000), 100).await;
        let wide = table.map(watch.inflating_kernel(1 << 16)).unwrap();
        let mut unread = wide.read().await.unwrap();
        let first = fixture.in_time(unread.next()).await.unwrap().unwrap();
        assert_eq!(fixture.in_time(table.keyed(3).unwrap().count()).await.unwrap(), 2000);
        assert!(fixture.in_time(wide.take(5)).await.unwrap().len() <= 5);
        let rest: Vec<_> = fixture.in_time(unread.try_collect()).await.unwrap();
        assert_eq!(first.num_rows() + super::row_count(&rest), 2000);
    }
}

pub async fn a_reader_holds_the_engine_back(fixture: Fixture) {
    let session = fixture.session_with(fixture.cores().some, 16 << 20).await;
    let watch = fixture.watch();
    let table = loose(&session, KeyType::UInt64, &numbered(0..2000), 100).await;
    let wide = table.map(watch.inflating_kernel(1 << 16)).unwrap();
    let mut stream = wide.read().await.unwrap();
    let mut rows = fixture.in_time(stream.next()).await.unwrap().unwrap().num_rows();
    tokio::time::sleep(Duration::from_millis(200)).await;
    if fixture.engine.info().streams {
        assert!(watch.rows() < 1000, "{} of 2000 rows made for a reader of one batch", watch.rows());
    }
    while let Some(batch) = fixture.in_time(stream.next()).await {
        rows += batch.unwrap().num_rows();
    }
    assert_eq!((rows as u64, watch.rows()), (2000, 2000));
}

pub async fn a_stream_of_a_session_can_be_put_into_it(fixture: Fixture) {
    for cores in [fixture.cores().few, fixture.cores().some] {
        let session = fixture.session(cores).await;
        let rows = numbered(0..3000);
        let table = loose(&session, KeyType::Utf8, &rows, 7).await;
        let mapped = table.map(fixture.watch().kernel(Duration::ZERO)).unwrap();
        for layout in [Layout::Loose(3), Layout::Keyed(3)] {
            let stream = mapped.read().await.unwrap();
            let schema = schema(KeyType::Utf8);
            let handle = fixture.in_time(session.put(&schema, stream, layout)).await.unwrap();
            let copy = Table::of_handle(session.clone(), handle).unwrap();
            assert_eq!(copy.count().await.unwrap(), 3000);
        }
    }
}

async fn check_first_stops(fixture: &Fixture, rows: u64, partitions: u32) {
    let session = fixture.some_cores().await;
    let watch = fixture.watch();
    let table = loose(&session, KeyType::UInt64, &numbered(0..rows), partitions).await;
    let slow = table.map(watch.kernel(Duration::from_micros(200))).unwrap();
    let first = fixture.in_time(slow.first()).await.unwrap();
    assert_eq!(model::rows(&[first]), numbered(0..1));
    let worked = until_quiet(fixture, &watch).await;
    // An engine that does not stream may work on all rows for the first, but on none of them twice.
    let most = if fixture.engine.info().streams { rows / 2 } else { rows + 1 };
    assert!(worked < most, "{worked} of {rows} rows worked for the first of {partitions} partitions");
}

pub async fn the_first_row_takes_few_partitions(fixture: Fixture) {
    check_first_stops(&fixture, 20_000, 50).await;
}

pub async fn the_first_row_takes_a_part_of_a_partition(fixture: Fixture) {
    check_first_stops(&fixture, 8_000, 1).await;
}

pub async fn a_session_works_with_exactly_its_cores(fixture: Fixture) {
    // What an earlier case cancelled may still be at work on an engine that all cases use.
    tokio::time::sleep(fixture.to_stop(Duration::ZERO)).await;
    // Long enough that partitions are at work beside each other, however long an engine takes to start each.
    let per_row = fixture.slowed(Duration::from_millis(4));
    for cores in fixture.cores().all() {
        let (session, began) = (fixture.session(cores).await, Instant::now());
        let watch = fixture.watch();
        let partitions = 4 * cores.max(3);
        let rows = 5 * u64::from(partitions);
        let table = loose(&session, KeyType::UInt64, &numbered(0..rows), partitions).await;
        let slow = table.map(watch.kernel(per_row)).unwrap();
        let keyed = slow.keyed(2).unwrap();
        // A busy machine may give a thread its turn only when the others have done all the work.
        while watch.most_working() < u64::from(cores) {
            let (a, b) = fixture.in_time(future::join(slow.keep(), keyed.keep())).await;
            assert_eq!((a.unwrap().count().await.unwrap(), b.unwrap().count().await.unwrap()), (rows, rows));
            assert!(began.elapsed() < fixture.slowed(STUCK), "{} at once at most", watch.most_working());
        }
        assert_eq!(watch.most_working(), u64::from(cores));
    }
}

pub async fn actions_of_one_session_run_at_once(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let table = loose(session, KeyType::Binary, &numbered(0..500), n).await;
            let counts = (1..9).map(|to| {
                let table = table.keyed(to).unwrap();
                async move { table.keep().await.unwrap().join(&table).unwrap().count().await.unwrap() }
            });
            assert_eq!(fixture.in_time(future::join_all(counts)).await, [500; 8]);
        })
        .await;
}

pub async fn put_refuses_batches_of_other_columns_and_passes_errors_on(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let rows = numbered(0..20);
            let wrong = batches(KeyType::Binary, &rows);
            for layout in [Layout::Loose(n), Layout::Keyed(n)] {
                let put =
                    Table::parallelize(session, &schema(KeyType::Utf8), wrong.clone(), layout.clone()).await;
                refused(put, ErrorKind::InvalidInput);
                let broken = Err(Error::new(ErrorKind::Corrupt, "the peer sends nonsense"));
                let some = batches(KeyType::Utf8, &rows).into_iter().map(Ok).chain([broken]);
                let put = session.put(&schema(KeyType::Utf8), stream::iter(some).boxed(), layout).await;
                assert!(refused(put, ErrorKind::Corrupt).contains("the peer sends nonsense"));
            }
            for layout in [Layout::Loose(0), Layout::Keyed(0), Layout::Loose(Layout::MAX_PARTITIONS + 1)] {
                let none = Table::parallelize(session, &schema(KeyType::Utf8), vec![], layout).await;
                refused(none, ErrorKind::InvalidInput);
            }
        })
        .await;
}

pub async fn blobs_reach_kernels_in_order(fixture: Fixture) {
    fixture
        .everywhere(async |session, n| {
            let plain =
                |text: &'static str| session.put_blob(Blob::Plain(Bytes::from_static(text.as_bytes())));
            let edges = plain("edges").await.unwrap();
            let key = session.put_blob(Blob::secret(b"key".to_vec())).await.unwrap();
            let empty = plain("").await.unwrap();
            assert_eq!((edges.kind(), key.kind()), (BlobKind::Plain, BlobKind::Secret));
            let call = KernelCall::map::<ShowBlobs>(&()).unwrap();
            let call = call.with_blob(key).with_blob(empty).with_blob(edges.clone()).with_blob(edges);
            let table = loose(session, KeyType::Utf8, &numbered(0..10), n).await.map(call).unwrap();
            for batch in table.keyed(2).unwrap().collect().await.unwrap() {
                let shown = batch.column(3).as_string::<i32>();
                assert!(shown.iter().flatten().all(|s| s == "Secret:key Plain: Plain:edges Plain:edges"));
            }
        })
        .await;
}
