//! What goes wrong in a cluster, with real processes.

use std::time::{Duration, Instant};

use futures::future;
use tributary_ballista::{Identity, Keys, status};
use tributary_conformance::computing::kernels::{Fresh, Watch};
use tributary_conformance::computing::{Session, collect, loose, model, refused};
use tributary_core::computing::End;
use tributary_core::kernel::KernelCall;
use tributary_core::{ErrorKind, KeyType, Table};

use crate::nodes::{Cluster, Driver, kernels};

const ROWS: u64 = 4000;

/// Four seconds of work in eight partitions, and an exchange in the middle.
async fn slow(session: &Session, watch: &Watch) -> Table {
    let table = loose(session, KeyType::UInt64, &model::numbered(0..ROWS), 8).await;
    let slow = table.map(watch.kernel(Duration::from_millis(1))).unwrap();
    slow.keyed(4).unwrap().map(watch.kernel(Duration::from_micros(200))).unwrap()
}

pub async fn until(what: &str, limit: Duration, check: impl AsyncFn() -> bool) {
    let since = Instant::now();
    while !check().await {
        assert!(since.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Does something once an action is in progress; what came of it, and how long it took.
async fn disturbed<T>(
    watch: &Watch,
    action: impl Future<Output = T>,
    disturb: impl AsyncFnOnce(),
) -> (T, Duration) {
    let since = Instant::now();
    let disturbing = async {
        until("work begins", Duration::from_secs(10), async || watch.rows() > ROWS / 8).await;
        disturb().await;
    };
    let (outcome, ()) = future::join(action, disturbing).await;
    (outcome, since.elapsed())
}

/// The same for the rows of the slow plan.
async fn slow_disturbed(
    session: &Session,
    disturb: impl AsyncFnOnce(),
) -> (tributary_core::Result<Vec<model::Row>>, Duration) {
    let folder = tempfile::tempdir().unwrap();
    let watch = Watch::new(folder.path());
    let table = slow(session, &watch).await;
    let action = async { table.collect().await.map(|rows| model::rows(&rows)) };
    disturbed(&watch, action, disturb).await
}

fn expected() -> Vec<model::Row> {
    model::key_order(KeyType::UInt64, model::numbered(0..ROWS))
}

#[test]
fn an_executor_lost_in_mid_job_costs_seconds_and_no_row() {
    let mut cluster = Cluster::start(2, 1);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let session = driver.session(2).await;
        let lost = cluster.executors.remove(1);
        let (rows, time) = slow_disturbed(&session, async || drop(lost)).await;
        assert!(rows.unwrap() == expected());
        assert!(time < Duration::from_secs(25), "{time:?}");
        session.close(End::Done).await.unwrap();
    });
}

#[test]
fn what_was_drawn_for_a_partition_was_drawn_in_one_run_whoever_was_lost() {
    const PARTITIONS: u32 = 8;
    let mut cluster = Cluster::start(2, 1);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let session = driver.session(2).await;
        let watch = Watch::new(cluster.folder.path());
        let table = loose(&session, KeyType::UInt64, &model::numbered(0..ROWS), PARTITIONS).await;
        let slow = table.map(watch.kernel(Duration::from_millis(1))).unwrap();
        let fresh = slow.map(KernelCall::fold::<Fresh>(&()).unwrap()).unwrap();
        let lost = cluster.executors.remove(1);
        let (kept, _) = disturbed(&watch, fresh.keep(), async || drop(lost)).await;
        assert!(watch.rows() > ROWS, "nothing was done again");
        let kept = kept.unwrap();
        let rows = kept.collect().await.unwrap();
        assert_eq!(kept.collect().await.unwrap(), rows);
        let drawn: Vec<u64> =
            rows.iter().flat_map(|rows| model::counts(rows, rows.num_columns() - 1)).collect();
        assert_eq!(drawn.len() as u64, ROWS);
        for part in drawn.chunks((ROWS / u64::from(PARTITIONS)) as usize) {
            assert!(part.iter().all(|value| *value == part[0]));
        }
        session.close(End::Done).await.unwrap();
    });
}

#[test]
fn without_executors_an_action_fails_within_a_minute_and_says_so() {
    let mut cluster = Cluster::start(1, 1);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let session = driver.session(1).await;
        let lost = cluster.executors.remove(0);
        let (outcome, time) = slow_disturbed(&session, async || drop(lost)).await;
        let text = refused(outcome, ErrorKind::Unavailable);
        assert!(text.contains("executor"), "{text}");
        assert!(time < Duration::from_secs(60), "{time:?}");
    });
}

#[test]
fn an_action_outlives_the_scheduler() {
    let mut cluster = Cluster::start(1, 1);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let session = driver.session(1).await;
        let address = cluster.address.clone();
        let folder = cluster.folder.path().to_owned();
        let mut lost = Some(std::mem::replace(&mut cluster.scheduler, crate::nodes::nobody()));
        let mut again = None;
        let (rows, time) = slow_disturbed(&session, async || {
            drop(lost.take());
            again = Some(crate::nodes::scheduler_at(&folder, &address));
        })
        .await;
        assert!(rows.unwrap() == expected());
        assert!(time < Duration::from_secs(60), "{time:?}");
        session.close(End::Done).await.unwrap();
    });
}

#[test]
fn a_cancelled_job_frees_its_cores_within_two_seconds() {
    let cluster = Cluster::start(2, 1);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let session = driver.session(2).await;
        let watch = Watch::new(cluster.folder.path());
        let table = slow(&session, &watch).await;
        let busy = async || {
            let status = cluster.status().await.unwrap();
            status.executors.iter().map(|executor| executor.busy).sum::<u32>()
        };
        let action = Box::pin(table.collect());
        let begun = Box::pin(until("work begins", Duration::from_secs(10), async || watch.rows() > 0));
        let future::Either::Right(((), action)) = future::select(action, begun).await else {
            panic!("the action was over before it could be dropped")
        };
        assert_eq!(busy().await, 2);
        drop(action);
        until("cores are free", Duration::from_secs(2), async || busy().await == 0).await;
        until("no job is left", Duration::from_secs(2), async || {
            cluster.status().await.unwrap().jobs.is_empty()
        })
        .await;
        until("work ends", Duration::from_secs(2), async || {
            let rows = watch.rows();
            tokio::time::sleep(Duration::from_millis(100)).await;
            watch.rows() == rows
        })
        .await;
        session.close(End::Done).await.unwrap();
    });
}

#[test]
fn a_session_works_on_no_more_cores_than_it_was_placed_on() {
    let cluster = Cluster::start(2, 2);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        for (executors, cores) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let session = driver.session_on(executors, cores).await;
            let watch = Watch::new(cluster.folder.path());
            let table = loose(&session, KeyType::UInt64, &model::numbered(0..800), 8).await;
            let slow = table.map(watch.kernel(Duration::from_millis(1))).unwrap();
            assert_eq!(slow.count().await.unwrap(), 800);
            assert_eq!(watch.most_working(), u64::from(executors * cores), "{executors} × {cores}");
            session.close(End::Done).await.unwrap();
        }
    });
}

#[test]
fn an_exchange_beyond_the_memory_of_a_task_fails_and_the_executor_lives() {
    let cluster = Cluster::start(1, 1);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let session = driver.session_with(1, 1, 1 << 20).await;
        let table = loose(&session, KeyType::UInt64, &model::numbered(0..200_000), 2).await;
        let text = refused(table.keyed(1).unwrap().count().await, ErrorKind::Exhausted);
        assert!(text.contains("budget is 1048576"), "{text}");
        assert_eq!(table.keyed(64).unwrap().count().await.unwrap(), 200_000);
        session.close(End::Done).await.unwrap();
    });
}

#[test]
fn a_store_that_cannot_be_written_fails_the_action_and_says_where() {
    let cluster = Cluster::start(1, 1);
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let session = driver.session(1).await;
        let rows = model::numbered(0..1000);
        let table = loose(&session, KeyType::UInt64, &rows, 2).await;
        let mut sessions = std::fs::read_dir(cluster.folder.path().join("store/sessions")).unwrap();
        let files = sessions.next().unwrap().unwrap().path().join("files");
        let away = files.with_extension("away");
        std::fs::rename(&files, &away).unwrap();
        std::fs::write(&files, "in the way").unwrap();
        let error = table.keyed(2).unwrap().keep().await.unwrap_err();
        assert!(error.chain().contains("files"), "{error:?}");
        std::fs::remove_file(&files).unwrap();
        std::fs::rename(&away, &files).unwrap();
        assert!(collect(&table).await == rows);
        session.close(End::Done).await.unwrap();
    });
}

#[test]
fn an_executor_of_another_build_is_refused_and_both_are_named() {
    let cluster = Cluster::start(0, 1);
    let own = Identity::of(&kernels()).to_string();
    let said = crate::nodes::executor_of_another_build(cluster.folder.path(), &cluster.address);
    let other = Identity::of(&tributary_core::kernel::Kernels::default()).to_string();
    assert!(said.contains("refused") && said.contains(&own) && said.contains(&other), "{said}");
}

#[test]
fn a_stranger_is_told_nothing() {
    let cluster = Cluster::start(1, 1);
    let strangers = tempfile::tempdir().unwrap();
    Keys::create(&strangers.path().join("keys")).unwrap();
    let keys = Keys::read(&strangers.path().join("keys")).unwrap();
    let driver = Driver::new(&cluster);
    driver.block_on(async {
        let own = cluster.status().await.unwrap();
        let executor = own.executors[0].address.trim_start_matches("http://").to_owned();
        for address in [&cluster.address, &executor] {
            let refused_tls = status::fetch(address, &keys, &Identity::of(&kernels())).await;
            assert_eq!(refused_tls.unwrap_err().kind(), ErrorKind::Unavailable);
            let plain = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
            let channel = plain.connect().await.unwrap();
            let mut client =
                ballista_core::serde::protobuf::executor_grpc_client::ExecutorGrpcClient::new(channel);
            let stop = ballista_core::serde::protobuf::StopExecutorParams::default();
            assert!(client.stop_executor(stop).await.is_err());
        }
        assert_eq!(cluster.status().await.unwrap().executors.len(), 1);
    });
}
