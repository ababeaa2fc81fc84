//! The standalone engine on two cores: maps, joins, sums and groups of rows in memory, keys and values 8 bytes each.
//!
//! With the feature `rivals`, DataFusion does the large ones on the same batches, on two partitions. Both read their
//! result to the end and count its rows.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

mod load;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tributary_core::computing::Engine;
use tributary_core::layout::Layout;
use tributary_core::placement::CoreRequest;
use tributary_core::plan::EqualKeys;
use tributary_core::storage::Nowhere;
use tributary_standalone::Standalone;

use load::{Add, Bench, Bucket, PARTITIONS, PartialSums, SumRuns, kernels, source, with_text_keys};

fn standalone() -> Bench {
    let engine = Standalone::new(kernels(), Arc::new(Nowhere));
    let placement = engine.place(&CoreRequest::of_task_cores(2));
    Bench::new(&engine, placement.expect("a placement"))
}

fn million(c: &mut Criterion) {
    let bench = standalone();
    let rows = source(1_000_000, 0);
    let loose = bench.put(&rows, Layout::Loose(PARTITIONS));
    let keyed = bench.put(&rows, Layout::Keyed(PARTITIONS));
    let other = bench.put(&source(1_000_000, 77), Layout::Keyed(PARTITIONS));
    let mut group = c.benchmark_group("1M");
    group.throughput(Throughput::Elements(1_000_000));

    let mapped = bench.map::<Add>(&keyed, &Add(1));
    group.bench_function("map_values", |b| b.iter(|| black_box(bench.keep(&mapped))));
    let joined = bench.join(&keyed, &other);
    group.bench_function("join", |b| b.iter(|| black_box(bench.keep(&joined))));
    let summed = bench.sum(&keyed);
    group.bench_function("reduce", |b| b.iter(|| assert_eq!(bench.count(&summed), 1)));
    let buckets = bench.fold::<PartialSums>(&bench.map::<Bucket>(&loose, &Bucket(10_000)), &PartialSums);
    let gathered = bench.exchange(&buckets, Layout::Keyed(PARTITIONS), EqualKeys::Adjacent);
    let groups = bench.fold::<SumRuns>(&gathered, &SumRuns);
    group.bench_function("group into 10k", |b| b.iter(|| assert_eq!(bench.keep(&groups).rows(), 10_000)));
    let exchanged = bench.exchange(&loose, Layout::Keyed(PARTITIONS), EqualKeys::Refuse);
    group.bench_function("exchange by key", |b| b.iter(|| black_box(bench.keep(&exchanged))));

    let text = with_text_keys(&rows);
    let loose = bench.put(&text, Layout::Loose(PARTITIONS));
    let exchanged = bench.exchange(&loose, Layout::Keyed(PARTITIONS), EqualKeys::Refuse);
    group.bench_function("exchange by key, text", |b| b.iter(|| black_box(bench.keep(&exchanged))));
    let keyed = bench.put(&text, Layout::Keyed(PARTITIONS));
    let joined = bench.join(&keyed, &bench.put(&text, Layout::Keyed(PARTITIONS)));
    group.bench_function("join, text", |b| b.iter(|| black_box(bench.keep(&joined))));
}

fn millions(c: &mut Criterion) {
    let bench = standalone();
    let mut group = c.benchmark_group("millions");
    group.throughput(Throughput::Elements(10_000_000));
    let rows = source(10_000_000, 0);
    {
        let loose = bench.put(&rows, Layout::Loose(PARTITIONS));
        let summed = bench.sum(&bench.map::<Add>(&loose, &Add(1)));
        group.bench_function("10M map and sum", |b| b.iter(|| assert_eq!(bench.count(&summed), 1)));
    }
    let sides = [source(5_000_000, 0), source(5_000_000, 77_777)];
    {
        let [left, right] = [0, 1].map(|i| bench.put(&sides[i], Layout::Keyed(PARTITIONS)));
        let joined = bench.join(&left, &right);
        group.bench_function("5M join 5M keyed", |b| b.iter(|| assert_eq!(bench.count(&joined), 5_000_000)));
    }
    {
        let moved = |i: usize| {
            let loose = bench.put(&sides[i], Layout::Loose(PARTITIONS));
            bench.exchange(&loose, Layout::Keyed(PARTITIONS), EqualKeys::Refuse)
        };
        let joined = bench.join(&moved(0), &moved(1));
        group.bench_function("5M join 5M loose", |b| b.iter(|| assert_eq!(bench.count(&joined), 5_000_000)));
    }
    #[cfg(feature = "rivals")]
    {
        let rival = rivals::DataFusion::new();
        rival.table("t", &rows);
        rival.table("a", &sides[0]);
        rival.table("b", &sides[1]);
        let sum = "SELECT sum(v + 1) FROM t";
        group.bench_function("10M map and sum, DataFusion", |b| b.iter(|| assert_eq!(rival.count(sum), 1)));
        let join = "SELECT a.k, a.v, b.v AS w FROM a JOIN b ON a.k = b.k";
        group.bench_function("5M join 5M, DataFusion", |b| {
            b.iter(|| assert_eq!(rival.count(join), 5_000_000))
        });
    }
}

#[cfg(feature = "rivals")]
mod rivals {
    use datafusion::datasource::MemTable;
    use datafusion::physical_plan::execute_stream_partitioned;
    use datafusion::prelude::{SessionConfig, SessionContext};

    use arrow_array::RecordBatch;
    use futures::TryStreamExt;

    use super::*;

    pub struct DataFusion {
        runtime: tokio::runtime::Runtime,
        context: SessionContext,
    }

    impl DataFusion {
        pub fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build();
            let config = SessionConfig::new().with_target_partitions(2);
            Self { runtime: runtime.expect("a runtime"), context: SessionContext::new_with_config(config) }
        }

        /// The rows in two partitions.
        pub fn table(&self, name: &str, rows: &[RecordBatch]) {
            let parts = rows.chunks(rows.len().div_ceil(2)).map(<[_]>::to_vec).collect();
            let table = MemTable::try_new(load::schema().arrow().clone(), parts).expect("a table");
            self.context.register_table(name, Arc::new(table)).expect("a new name");
        }

        pub fn count(&self, query: &str) -> usize {
            self.runtime.block_on(async {
                let plan = self.context.sql(query).await.expect("a query");
                let plan = plan.create_physical_plan().await.expect("a plan");
                let streams = execute_stream_partitioned(plan, self.context.task_ctx()).expect("streams");
                let counts = streams.into_iter().map(|rows| {
                    tokio::spawn(rows.try_fold(0, async |sum, batch| Ok(sum + batch.num_rows())))
                });
                let counts = futures::future::join_all(counts).await;
                counts.into_iter().map(|count| count.expect("a task").expect("rows")).sum()
            })
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1));
    targets = million, millions
}
criterion_main!(benches);
