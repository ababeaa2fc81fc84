//! The standalone engine on two cores: maps, joins, sums and groups of rows in memory, keys and values 8 bytes each.
//!
//! With the feature `rivals`, DataFusion does the large ones on the same batches, on two partitions. Both read their
//! result to the end and count its rows. Keys are a fixed permutation, so that runs compare.

#![allow(clippy::expect_used)] // a bench has nobody to report an error to

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tributary_core::computing::{Blob, Computing, Engine, Handle, RowStream, SessionSpec};
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::ids::TableName;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, KernelCall, Kernels, MapKernel, PartContext};
use tributary_core::layout::Layout;
use tributary_core::placement::CoreRequest;
use tributary_core::plan::{EqualKeys, JoinKind, Node, Plan};
use tributary_core::schema::{Field, KeyType, TableSchema};
use tributary_core::storage::{Part, Storage, StorageInfo, StoredTable, TableUri, Write, WriteOptions};
use tributary_standalone::Standalone;

const PARTITIONS: u32 = 4;
const BATCH_ROWS: u64 = 8192;

fn schema() -> TableSchema {
    schema_of(KeyType::UInt64)
}

fn schema_of(key_type: KeyType) -> TableSchema {
    TableSchema::keyed("k", key_type, vec![Field::new("v", DataType::Int64)]).expect("a schema")
}

/// Distinct for distinct i: the finalizer of splitmix64, which is a permutation.
fn key(i: u64) -> u64 {
    let x = (i ^ (i >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Rows with keys of 0 to `rows`, in an order that differs by `salt`.
fn source(rows: u64, salt: u64) -> Vec<RecordBatch> {
    let batch = |start: u64| {
        let numbers = (start..rows.min(start + BATCH_ROWS)).map(|i| (i + salt) % rows);
        let keys: ArrayRef = Arc::new(numbers.clone().map(key).collect::<UInt64Array>());
        let values: ArrayRef = Arc::new(numbers.map(|i| i as i64).collect::<Int64Array>());
        schema().batch(vec![keys, values]).expect("a batch")
    };
    (0..rows).step_by(BATCH_ROWS as usize).map(batch).collect()
}

/// The same rows with keys as people write them.
fn with_text_keys(rows: &[RecordBatch]) -> Vec<RecordBatch> {
    let text = |batch: &RecordBatch| {
        let keys = columns(batch).0.iter().map(|key| format!("customer-{key:020}"));
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(keys));
        schema_of(KeyType::Utf8).batch(vec![keys, batch.column(1).clone()]).expect("a batch")
    };
    rows.iter().map(text).collect()
}

#[derive(Serialize, Deserialize)]
struct Add(i64);

impl MapKernel for Add {
    type Params = Self;
    const NAME: &'static str = "bench.add";
    const KEEPS: Keeps = Keeps::Both;

    fn output(_: &Self, input: &TableSchema) -> Result<TableSchema> {
        Ok(input.clone())
    }
    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let values = rows.column(1).as_primitive::<Int64Type>().unary::<_, Int64Type>(|v| v + self.0);
        Ok(RecordBatch::try_new(rows.schema(), vec![rows.column(0).clone(), Arc::new(values)])?)
    }
}

/// The value modulo this becomes the key.
#[derive(Serialize, Deserialize)]
struct Bucket(u64);

impl MapKernel for Bucket {
    type Params = Self;
    const NAME: &'static str = "bench.bucket";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(_: &Self, input: &TableSchema) -> Result<TableSchema> {
        Ok(input.clone())
    }
    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys = rows.column(1).as_primitive::<Int64Type>().unary::<_, UInt64Type>(|v| v as u64 % self.0);
        Ok(RecordBatch::try_new(rows.schema(), vec![Arc::new(keys), rows.column(1).clone()])?)
    }
}

fn columns(rows: &RecordBatch) -> (&[u64], &[i64]) {
    let keys = rows.column(0).as_primitive::<UInt64Type>().values();
    (keys, rows.column(1).as_primitive::<Int64Type>().values())
}

fn emit(sums: impl Iterator<Item = (u64, i64)>, out: &mut dyn Emit) -> Result<()> {
    let (keys, sums): (Vec<u64>, Vec<i64>) = sums.unzip();
    out.emit(schema().batch(vec![Arc::new(UInt64Array::from(keys)), Arc::new(Int64Array::from(sums))])?)
}

/// One row a partition.
#[derive(Serialize, Deserialize)]
struct Total;

impl FoldKernel for Total {
    type Params = Self;
    type State = (u64, i64);
    const NAME: &'static str = "bench.total";

    fn output(_: &Self, _: &TableSchema) -> Result<TableSchema> {
        Ok(schema())
    }
    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn start(&self, part: PartContext) -> Result<Self::State> {
        Ok((u64::from(part.partition), 0))
    }
    fn fold(&self, state: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        state.1 += columns(rows).1.iter().sum::<i64>();
        Ok(())
    }
    fn finish(&self, state: Self::State, out: &mut dyn Emit) -> Result<()> {
        emit(std::iter::once(state), out)
    }
}

/// One row for each key of a partition.
#[derive(Serialize, Deserialize)]
struct PartialSums;

impl FoldKernel for PartialSums {
    type Params = Self;
    type State = HashMap<u64, i64>;
    const NAME: &'static str = "bench.partial_sums";

    fn output(_: &Self, input: &TableSchema) -> Result<TableSchema> {
        Ok(input.clone())
    }
    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok(HashMap::new())
    }
    fn fold(&self, state: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let (keys, values) = columns(rows);
        keys.iter().zip(values).for_each(|(key, value)| *state.entry(*key).or_default() += value);
        Ok(())
    }
    fn finish(&self, state: Self::State, out: &mut dyn Emit) -> Result<()> {
        emit(state.into_iter(), out)
    }
}

/// One row for each run of equal keys.
#[derive(Serialize, Deserialize)]
struct SumRuns;

impl FoldKernel for SumRuns {
    type Params = Self;
    type State = Option<(u64, i64)>;
    const NAME: &'static str = "bench.sum_runs";
    const KEEPS: Keeps = Keeps::Groups;

    fn output(_: &Self, input: &TableSchema) -> Result<TableSchema> {
        Ok(input.clone())
    }
    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok(None)
    }
    fn fold(&self, state: &mut Self::State, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let (keys, values) = columns(rows);
        let mut sums = Vec::new();
        for (key, value) in keys.iter().zip(values) {
            match state {
                Some((last, sum)) if last == key => *sum += value,
                _ => sums.extend(state.replace((*key, *value))),
            }
        }
        emit(sums.into_iter(), out)
    }
    fn finish(&self, state: Self::State, out: &mut dyn Emit) -> Result<()> {
        emit(state.into_iter(), out)
    }
}

fn kernels() -> Kernels {
    Kernels::default().map::<Add>().map::<Bucket>().fold::<Total>().fold::<PartialSums>().fold::<SumRuns>()
}

/// Nothing is stored here.
#[derive(Debug)]
struct NoStorage(StorageInfo);

fn nothing_stored<T>() -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, "this bench stores nothing"))
}

#[async_trait]
impl Storage for NoStorage {
    fn info(&self) -> &StorageInfo {
        &self.0
    }
    fn locate(&self, _: &TableName) -> Result<TableUri> {
        nothing_stored()
    }
    async fn open(&self, _: &TableUri) -> Result<StoredTable> {
        nothing_stored()
    }
    async fn scan(&self, _: &StoredTable, _: u32) -> Result<RowStream> {
        nothing_stored()
    }
    async fn begin(&self, _: &TableUri, _: &TableSchema, _: &Layout, _: WriteOptions) -> Result<Write> {
        nothing_stored()
    }
    async fn write_part(&self, _: &Write, _: u32, _: RowStream) -> Result<Part> {
        nothing_stored()
    }
    async fn commit(&self, _: Write, _: Vec<Part>) -> Result<StoredTable> {
        nothing_stored()
    }
    async fn abort(&self, _: Write) -> Result<()> {
        nothing_stored()
    }
    async fn delete(&self, _: &TableUri) -> Result<()> {
        nothing_stored()
    }
    async fn verify(&self, _: &StoredTable) -> Result<()> {
        nothing_stored()
    }
}

struct Bench {
    session: Arc<dyn Computing>,
    kernels: Kernels,
}

impl Bench {
    fn new() -> Self {
        let engine = Standalone::new(kernels(), Arc::new(NoStorage(StorageInfo::new("none"))));
        let placement = engine.place(&CoreRequest { task_cores: Some(2), ..Default::default() });
        let id = tributary_core::SessionId::new("bench").expect("a name");
        let spec = SessionSpec { id, placement: placement.expect("a placement"), memory_bytes: 8 << 30 };
        Self { session: block_on(engine.open(spec)).expect("a session"), kernels: kernels() }
    }

    fn put(&self, rows: &[RecordBatch], layout: Layout) -> Node {
        let text = *rows[0].column(0).data_type() == DataType::Utf8;
        let schema = schema_of(if text { KeyType::Utf8 } else { KeyType::UInt64 });
        let rows = rows.to_vec();
        let rows = stream::iter(rows.into_iter().map(Ok)).boxed();
        self.scan(block_on(self.session.put(&schema, rows, layout)).expect("rows"))
    }

    fn scan(&self, handle: Arc<Handle>) -> Node {
        Plan::scan(handle).expect("a scan")
    }

    fn map<K: MapKernel>(&self, input: &Node, params: &K::Params) -> Node {
        Plan::map(input, KernelCall::map::<K>(params).expect("a call"), &self.kernels).expect("a map")
    }

    fn fold<K: FoldKernel>(&self, input: &Node, params: &K::Params) -> Node {
        Plan::map(input, KernelCall::fold::<K>(params).expect("a call"), &self.kernels).expect("a fold")
    }

    fn exchange(&self, input: &Node, to: Layout, equal: EqualKeys) -> Node {
        Plan::exchange(input, to, equal, &self.kernels).expect("an exchange")
    }

    fn join(&self, left: &Node, right: &Node) -> Node {
        Plan::join(left, right, JoinKind::Inner, &self.kernels).expect("a join")
    }

    fn sum(&self, input: &Node) -> Node {
        let parts = self.fold::<Total>(input, &Total);
        self.fold::<Total>(&self.exchange(&parts, Layout::Loose(1), EqualKeys::Refuse), &Total)
    }

    fn keep(&self, plan: &Node) -> Arc<Handle> {
        block_on(self.session.keep(plan)).expect("kept rows")
    }

    fn count(&self, plan: &Node) -> usize {
        let rows = async {
            let rows = self.session.read(plan).await?;
            rows.try_fold(0, async |sum, batch| Ok(sum + batch.num_rows())).await
        };
        block_on(rows).expect("rows")
    }
}

fn million(c: &mut Criterion) {
    let bench = Bench::new();
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
    let bench = Bench::new();
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
            let table = MemTable::try_new(schema().arrow().clone(), parts).expect("a table");
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
