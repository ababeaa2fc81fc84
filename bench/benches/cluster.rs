//! The cluster engine beside others: one scheduler and two executors of one core, 10 million rows of 8 + 8 bytes.
//!
//! Each line is the median of several runs, and each run reads what it needs from the session's store and writes what it makes
//! there. With the feature `rivals`, DataFusion in this process does the same from the same batches in memory. The
//! processes of the cluster are this program again. Prints a readable line and a JSON line for each.

#![allow(clippy::expect_used)] // a bench has nobody to report an error to

mod work;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use futures::executor::block_on;
use serde_json::json;
use tributary_ballista::{
    Ballista, ClusterOptions, Host, Identity, Keys, executor, placement, scheduler, status,
};
use tributary_core::bytestore::ByteStore;
use tributary_core::layout::Layout;
use tributary_core::placement::Placement;
use tributary_core::plan::{EqualKeys, JoinKind, Node, Plan};
use tributary_core::storage::{IfExists, Storage, WriteOptions};
use tributary_core::{TableName, kernel::KernelCall};
use tributary_file::FileStore;

use work::{Add, Bench, Bucket, PARTITIONS, PartialSums, SumRuns, kernels, source};

const RUNS: usize = 7;
const SIZE: placement::Cluster =
    placement::Cluster { arithmetic: placement::Arithmetic::Spark, nodes: 2, cores: 2 };

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("--node") => serve(&arguments[2], &PathBuf::from(&arguments[3]), &arguments[4]),
        _ => measure(),
    }
}

fn store(folder: &Path) -> Arc<dyn ByteStore> {
    Arc::new(FileStore::open_scratch(&folder.join("store")).expect("a folder"))
}

fn serve(part: &str, folder: &Path, scheduler: &str) {
    let keys = Keys::read(&folder.join("keys")).expect("keys");
    std::thread::spawn(|| {
        let mut rest = Vec::new();
        drop(std::io::stdin().read_to_end(&mut rest));
        std::process::exit(1);
    });
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(async {
            if part == "scheduler" {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
                println!("ready at {}", listener.local_addr().expect("a port"));
                let identity = Identity::of(&kernels());
                scheduler::serve(listener, "127.0.0.1", &keys, identity, std::future::pending()).await
            } else {
                let open = |address: &str| -> tributary_core::Result<Arc<dyn Storage>> {
                    Ok(tributary_file::storage(Path::new(address.trim_start_matches("file://")))?)
                };
                let host = Host::new(kernels(), store(folder), keys.cluster_key(), Box::new(open));
                let options = executor::ExecutorOptions {
                    scheduler: scheduler.into(),
                    listen: "127.0.0.1".parse().expect("an address"),
                    advertised: "127.0.0.1".into(),
                    cores: 1,
                    memory_bytes: 0,
                };
                println!("ready at once");
                executor::serve(host, keys, options, &folder.join(format!("work-{}", std::process::id())))
                    .await
            }
        })
        .expect("a node of the cluster");
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start(part: &str, folder: &Path, scheduler: &str) -> (Process, String) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--node", part, &folder.display().to_string(), scheduler])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let ready = lines.find_map(|line| line.split_once("ready at ").map(|(_, at)| at.to_owned()));
    (Process(child), ready.expect("a node says when it is ready"))
}

fn measure() {
    let folder = tempfile::tempdir().expect("a folder");
    Keys::create(&folder.path().join("keys")).expect("keys");
    let (_scheduler, address) = start("scheduler", folder.path(), "");
    let _executors = [(); 2].map(|()| start("executor", folder.path(), &address).0);
    let keys = Keys::read(&folder.path().join("keys")).expect("keys");
    let storage = tributary_file::storage(&folder.path().join("tables")).expect("a folder");
    let options = ClusterOptions {
        size: SIZE,
        scheduler: address.clone(),
        keys: keys.clone(),
        store: store(folder.path()),
    };
    let engine = Ballista::new(kernels(), storage.clone(), options).expect("an engine");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        while status::fetch(&address, &keys, &Identity::of(&kernels()))
            .await
            .expect("a status")
            .executors
            .len()
            < 2
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    let settings = [("num-executors", "2"), ("executor-cores", "1")];
    let placed = Placement {
        partitions: PARTITIONS,
        cores: 2,
        task_booked: 2,
        job_booked: 2,
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        reasons: vec![],
        notes: vec![],
    };
    all(&Bench::new(&engine, placed), &*storage);
}

fn report(what: &str, needed: f64, mut run: impl FnMut()) {
    run();
    let time = |()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64() * 1000.0
    };
    let mut times: Vec<f64> = [(); RUNS].map(time).to_vec();
    times.sort_by(f64::total_cmp);
    let (median, least) = (times[RUNS / 2], times[0]);
    let verdict = if median <= needed { "holds" } else { "DOES NOT HOLD" };
    println!("{what:<44} {median:>9.1} ms (least {least:.1}), needed {needed} ms: {verdict}");
    println!(
        "{}",
        json!({"bench": "cluster", "what": what, "ms": median, "least_ms": least, "needed_ms": needed})
    );
}

fn all(bench: &Bench, storage: &dyn Storage) {
    let small = bench.put(&source(1000, 0), Layout::Loose(1));
    let mapped = bench.map::<Add>(&small, &Add(1));
    report("1k rows: map, count", 20.0, || assert_eq!(bench.count(&mapped), 1000));

    let rows = source(10_000_000, 0);
    let loose = bench.put(&rows, Layout::Loose(PARTITIONS));
    let mapped = bench.map::<Add>(&loose, &Add(1));
    let summed = bench.sum(&mapped);
    report("10M rows: read, map_values, sum", 100.0, || assert_eq!(bench.count(&summed), 1));
    report("10M rows: map, kept", 400.0, || assert_eq!(bench.keep(&mapped).rows(), 10_000_000));
    let uri = storage.locate(&TableName::new("bench", "saved").expect("a name")).expect("a place");
    report("10M rows: map, saved", 700.0, || {
        let replace = WriteOptions::default().with_if_exists(IfExists::Replace);
        let saved = block_on(bench.session.save(&mapped, &uri, replace)).expect("a stored table");
        assert_eq!(saved.rows(), 10_000_000);
    });
    let buckets = bench.fold::<PartialSums>(&bench.map::<Bucket>(&loose, &Bucket(10_000)), &PartialSums);
    let gathered = bench.exchange(&buckets, Layout::Keyed(PARTITIONS), EqualKeys::Adjacent);
    let groups = bench.fold::<SumRuns>(&gathered, &SumRuns);
    report("10M rows: group into 10k keys", 460.0, || assert_eq!(bench.keep(&groups).rows(), 10_000));
    drop(rows);

    let sides = [source(5_000_000, 0), source(5_000_000, 77_777)];
    let [left, right] = [0, 1].map(|i| bench.put(&sides[i], Layout::Keyed(PARTITIONS)));
    let join = |left: &Node, right: &Node, kind| Plan::join(left, right, kind, &kernels()).expect("a join");
    let counted = |plan: &Node| {
        let call = KernelCall::fold::<work::Total>(&work::Total).expect("a call");
        Plan::map(plan, call, &kernels()).expect("a fold")
    };
    let inner = counted(&join(&left, &right, JoinKind::Inner));
    report("5M join 5M, co-partitioned", 209.0, || assert_eq!(bench.count(&inner), PARTITIONS as usize));
    let anti = counted(&join(&left, &right, JoinKind::Anti));
    report("5M subtract 5M, co-partitioned", 204.0, || assert_eq!(bench.count(&anti), PARTITIONS as usize));
    let moved = |i: usize| {
        let loose = bench.put(&sides[i], Layout::Loose(PARTITIONS));
        bench.exchange(&loose, Layout::Keyed(PARTITIONS), EqualKeys::Refuse)
    };
    let moved = counted(&join(&moved(0), &moved(1), JoinKind::Inner));
    report("5M join 5M, not co-partitioned", 450.0, || assert_eq!(bench.count(&moved), PARTITIONS as usize));
}
