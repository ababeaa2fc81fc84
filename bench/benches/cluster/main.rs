//! The cluster engine beside others: one scheduler and two executors of one core, 10 million rows of 8 + 8 bytes.
//!
//! Each line is the median of several runs, and each run reads what it needs from the session's store and writes what it makes
//! there. The processes of the cluster are this program again. With the feature `rivals`, PySpark does the same. `-- lost`
//! takes executors away instead, which takes minutes; other arguments choose the lines that contain them, without PySpark.
//! Prints a readable line and a JSON line for each.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

mod lost;
mod nodes;
#[cfg(feature = "rivals")]
mod spark;
#[path = "../load/mod.rs"]
mod load;

use std::time::Instant;

use futures::executor::block_on;
use serde_json::json;
use tributary_core::layout::Layout;
use tributary_core::plan::{EqualKeys, JoinKind, Node, Plan};
use tributary_core::storage::{IfExists, Storage, WriteOptions};
use tributary_core::{TableName, kernel::KernelCall};

use load::{Add, Bench, Bucket, PARTITIONS, PartialSums, SumRuns, kernels, source};

const RUNS: usize = 7;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if nodes::role(&arguments) {
        return;
    }
    let mut cluster = nodes::Cluster::start();
    if arguments.iter().any(|argument| argument == "lost") {
        return lost::measure(&mut cluster);
    }
    all(&cluster.bench, &*cluster.storage);
    #[cfg(feature = "rivals")]
    if words().next().is_none() {
        spark::measure();
    }
}

fn words() -> impl Iterator<Item = String> {
    std::env::args().skip(1).filter(|word| !word.starts_with('-'))
}

fn report(what: &str, needed: f64, mut run: impl FnMut()) {
    if words().any(|word| !what.contains(&word)) {
        return;
    }
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
        let call = KernelCall::fold::<load::Total>(&load::Total).expect("a call");
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
