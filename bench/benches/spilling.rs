//! The standalone engine on two cores, with a quarter of the memory that the tables alone take, beside itself with plenty:
//! what it costs that rows go to disk. Keys and values are 8 bytes each. All of an action is measured, its sort and its
//! merge included, and its result is read to the end.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

mod load;

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tributary_core::computing::Engine;
use tributary_core::layout::Layout;
use tributary_core::placement::CoreRequest;
use tributary_core::plan::EqualKeys;
use tributary_core::storage::Nowhere;
use tributary_standalone::Standalone;

use load::{Bench, Bucket, PARTITIONS, SumRuns, kernels, source};

const ROW_BYTES: u64 = 16;
const PLENTY: u64 = 8 << 30;

/// A session with this much memory, and the engine that knows how much went to disk.
fn standalone(memory_bytes: u64, folder: &std::path::Path) -> (Standalone, Bench) {
    let engine = Standalone::new(kernels(), Arc::new(Nowhere)).spilling_to(folder.into(), u64::MAX);
    let placement = engine.place(&CoreRequest::of_task_cores(2)).expect("a placement");
    let bench = Bench::with_memory(&engine, placement, memory_bytes);
    (engine, bench)
}

/// Runs the same with plenty of memory and with a quarter of what `rows` take.
fn both(c: &mut Criterion, name: &str, rows: u64, run: impl Fn(&Bench, &mut dyn FnMut(&dyn Fn()))) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(rows));
    for (memory, bytes) in [("plenty", PLENTY), ("a quarter", rows * ROW_BYTES / 4)] {
        let (engine, bench) = standalone(bytes, folder.path());
        run(&bench, &mut |action| {
            group.bench_function(BenchmarkId::from_parameter(memory), |b| b.iter(action));
        });
        assert_eq!(engine.spilled_bytes_ever() > 0, bytes < PLENTY, "whether rows went to disk");
    }
}

fn join(c: &mut Criterion) {
    let sides = [source(5_000_000, 0), source(5_000_000, 77_777)];
    both(c, "5M join 5M loose", 10_000_000, |bench, measure| {
        let moved = |i: usize| {
            let loose = bench.put(&sides[i], Layout::Loose(PARTITIONS));
            bench.exchange(&loose, Layout::Keyed(PARTITIONS), EqualKeys::Refuse)
        };
        let joined = bench.join(&moved(0), &moved(1));
        measure(&|| assert_eq!(bench.count(&joined), 5_000_000));
    });
}

fn group(c: &mut Criterion) {
    let rows = source(10_000_000, 0);
    both(c, "10M grouped into 1M", 10_000_000, |bench, measure| {
        let loose = bench.put(&rows, Layout::Loose(PARTITIONS));
        let buckets = bench.map::<Bucket>(&loose, &Bucket(1_000_000));
        let gathered = bench.exchange(&buckets, Layout::Keyed(PARTITIONS), EqualKeys::Adjacent);
        let groups = bench.fold::<SumRuns>(&gathered, &SumRuns);
        measure(&|| assert_eq!(bench.count(&groups), 1_000_000));
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = join, group
}
criterion_main!(benches);
