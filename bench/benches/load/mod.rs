//! What engines are measured with: rows of 8 + 8 bytes, kernels on them, and plans. Keys are a fixed permutation, so that
//! runs compare.

#![allow(dead_code, reason = "each bench uses a part")]

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::DataType;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use tributary_core::computing::{Blob, Computing, Engine, Handle, SessionSpec};
use tributary_core::error::Result;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, KernelCall, Kernels, MapKernel, PartContext};
use tributary_core::layout::{Layout, hash_u64};
use tributary_core::placement::Placement;
use tributary_core::plan::{EqualKeys, JoinKind, Node, Plan};
use tributary_core::schema::{Field, KeyType, TableSchema};

pub const PARTITIONS: u32 = 4;
pub const BATCH_ROWS: u64 = 8192;

pub fn schema() -> TableSchema {
    schema_of(KeyType::UInt64)
}

pub fn schema_of(key_type: KeyType) -> TableSchema {
    TableSchema::keyed("k", key_type, vec![Field::new("v", DataType::Int64)]).expect("a schema")
}

/// Distinct for distinct i: the finalizer of splitmix64, which is a permutation.
pub fn key(i: u64) -> u64 {
    let x = (i ^ (i >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Rows with keys of 0 to `rows`, in an order that differs by `salt`.
pub fn source(rows: u64, salt: u64) -> Vec<RecordBatch> {
    let batch = |start: u64| {
        let numbers = (start..rows.min(start + BATCH_ROWS)).map(|i| (i + salt) % rows);
        let keys: ArrayRef = Arc::new(numbers.clone().map(key).collect::<UInt64Array>());
        let values: ArrayRef = Arc::new(numbers.map(|i| i as i64).collect::<Int64Array>());
        schema().batch(vec![keys, values]).expect("a batch")
    };
    (0..rows).step_by(BATCH_ROWS as usize).map(batch).collect()
}

/// The same rows with keys as people write them.
pub fn with_text_keys(rows: &[RecordBatch]) -> Vec<RecordBatch> {
    let text = |batch: &RecordBatch| {
        let keys = columns(batch).0.iter().map(|key| format!("customer-{key:020}"));
        let keys: ArrayRef = Arc::new(StringArray::from_iter_values(keys));
        schema_of(KeyType::Utf8).batch(vec![keys, batch.column(1).clone()]).expect("a batch")
    };
    rows.iter().map(text).collect()
}

#[derive(Serialize, Deserialize)]
pub struct Add(pub i64);

impl MapKernel for Add {
    type Params = Self;
    const NAME: &'static str = "bench.add";
    const KEEPS: Keeps = Keeps::Both;

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
pub struct Bucket(pub u64);

impl MapKernel for Bucket {
    type Params = Self;
    const NAME: &'static str = "bench.bucket";
    const KEEPS: Keeps = Keeps::Rows;

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let keys = rows.column(1).as_primitive::<Int64Type>().unary::<_, UInt64Type>(|v| v as u64 % self.0);
        Ok(RecordBatch::try_new(rows.schema(), vec![Arc::new(keys), rows.column(1).clone()])?)
    }
}

/// Rests for a while on each row: engines choose the size of batches.
#[derive(Serialize, Deserialize)]
pub struct Pause {
    pub nanoseconds: u64,
}

impl MapKernel for Pause {
    type Params = Self;
    const NAME: &'static str = "bench.pause";
    const KEEPS: Keeps = Keeps::Both;

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        std::thread::sleep(std::time::Duration::from_nanos(self.nanoseconds * rows.num_rows() as u64));
        Ok(rows.clone())
    }
}

pub fn columns(rows: &RecordBatch) -> (&[u64], &[i64]) {
    let keys = rows.column(0).as_primitive::<UInt64Type>().values();
    (keys, rows.column(1).as_primitive::<Int64Type>().values())
}

fn emit(sums: impl Iterator<Item = (u64, i64)>, out: &mut dyn Emit) -> Result<()> {
    let (keys, sums): (Vec<u64>, Vec<i64>) = sums.unzip();
    out.emit(schema().batch(vec![Arc::new(UInt64Array::from(keys)), Arc::new(Int64Array::from(sums))])?)
}

/// One row a partition.
#[derive(Serialize, Deserialize)]
pub struct Total;

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

/// Hashes keys as engines do; what the standard library does against hostile keys would be most of what is measured.
#[derive(Default)]
pub struct KeyHash(u64);

impl Hasher for KeyHash {
    fn write(&mut self, _: &[u8]) {
        unreachable!("keys of 8 bytes only")
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = hash_u64(key);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// One row for each key of a partition.
#[derive(Serialize, Deserialize)]
pub struct PartialSums;

impl FoldKernel for PartialSums {
    type Params = Self;
    type State = HashMap<u64, i64, BuildHasherDefault<KeyHash>>;
    const NAME: &'static str = "bench.partial_sums";

    fn open(params: Self, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }
    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok(HashMap::default())
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
pub struct SumRuns;

impl FoldKernel for SumRuns {
    type Params = Self;
    type State = Option<(u64, i64)>;
    const NAME: &'static str = "bench.sum_runs";
    const KEEPS: Keeps = Keeps::Groups;

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

pub fn kernels() -> Kernels {
    let maps = Kernels::default().map::<Add>().map::<Bucket>().map::<Pause>();
    maps.fold::<Total>().fold::<PartialSums>().fold::<SumRuns>()
}

/// A session of an engine, and plans for it.
pub struct Bench {
    pub session: Arc<dyn Computing>,
    kernels: Kernels,
}

impl Bench {
    pub fn new(engine: &dyn Engine, placement: Placement) -> Self {
        Self::with_memory(engine, placement, 8 << 30)
    }

    pub fn with_memory(engine: &dyn Engine, placement: Placement, memory_bytes: u64) -> Self {
        let id = "bench.load.0".parse().expect("a session id");
        let spec = SessionSpec { id, placement, memory_bytes };
        Self { session: block_on(engine.open(spec)).expect("a session"), kernels: kernels() }
    }

    pub fn put(&self, rows: &[RecordBatch], layout: Layout) -> Node {
        let text = *rows[0].column(0).data_type() == DataType::Utf8;
        let schema = schema_of(if text { KeyType::Utf8 } else { KeyType::UInt64 });
        let rows = rows.to_vec();
        let rows = stream::iter(rows.into_iter().map(Ok)).boxed();
        self.scan(block_on(self.session.put(&schema, rows, layout)).expect("rows"))
    }

    pub fn scan(&self, handle: Arc<Handle>) -> Node {
        Plan::scan(handle).expect("a scan")
    }

    pub fn map<K: MapKernel>(&self, input: &Node, params: &K::Params) -> Node {
        Plan::map(input, KernelCall::map::<K>(params).expect("a call"), &self.kernels).expect("a map")
    }

    pub fn fold<K: FoldKernel>(&self, input: &Node, params: &K::Params) -> Node {
        Plan::map(input, KernelCall::fold::<K>(params).expect("a call"), &self.kernels).expect("a fold")
    }

    pub fn exchange(&self, input: &Node, to: Layout, equal: EqualKeys) -> Node {
        Plan::exchange(input, to, equal, &self.kernels).expect("an exchange")
    }

    pub fn join(&self, left: &Node, right: &Node) -> Node {
        Plan::join(left, right, JoinKind::Inner, &self.kernels).expect("a join")
    }

    pub fn sum(&self, input: &Node) -> Node {
        let parts = self.fold::<Total>(input, &Total);
        self.fold::<Total>(&self.exchange(&parts, Layout::Loose(1), EqualKeys::Refuse), &Total)
    }

    pub fn keep(&self, plan: &Node) -> Arc<Handle> {
        block_on(self.session.keep(plan)).expect("kept rows")
    }

    pub fn count(&self, plan: &Node) -> usize {
        let rows = async {
            let rows = self.session.read(plan).await?;
            rows.try_fold(0, async |sum, batch| Ok(sum + batch.num_rows())).await
        };
        block_on(rows).expect("rows")
    }

    /// All values, in order.
    pub fn values(&self, plan: &Node) -> Vec<i64> {
        let rows = async { self.session.read(plan).await?.try_collect::<Vec<RecordBatch>>().await };
        block_on(rows).expect("rows").iter().flat_map(|batch| columns(batch).1.to_vec()).collect()
    }
}
