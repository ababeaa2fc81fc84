//! Kernels that can be watched at work: how many rows went through, and on how many threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use arrow_array::{BinaryArray, RecordBatch};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};

use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, KernelCall, MapKernel};
use tributary_core::{Error, Field, Result, TableSchema};

use super::{with_column, with_fields};

/// What a [`Watched`] or [`Inflate`] kernel did. Seen through a process-wide list, so a suite over executors in other
/// processes needs another way to look.
#[derive(Debug, Default)]
pub struct Watch {
    number: u64,
    rows: AtomicU64,
    working: AtomicU64,
    most_working: AtomicU64,
}

static WATCHES: LazyLock<Mutex<HashMap<u64, Arc<Watch>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Watch {
    /// Watches nothing yet.
    pub fn new() -> Arc<Self> {
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        let watch = Arc::new(Self { number, ..Self::default() });
        WATCHES.lock().unwrap().insert(number, watch.clone());
        watch
    }

    fn find(number: u64) -> Result<Arc<Self>> {
        let found = WATCHES.lock().unwrap().get(&number).cloned();
        found.ok_or_else(|| Error::bug("a watch of another process"))
    }

    /// A kernel that passes rows on, each taking so long.
    pub fn kernel(&self, per_row: Duration) -> KernelCall {
        let (watch, nanos_per_row) = (self.number, per_row.as_nanos() as u64);
        KernelCall::map::<Watched>(&WatchedParams { watch, nanos_per_row }).unwrap()
    }

    /// A kernel that adds so many bytes to each row.
    pub fn inflating_kernel(&self, bytes: u32) -> KernelCall {
        let watch = self.number;
        KernelCall::map::<Inflate>(&InflateParams { watch, bytes }).unwrap()
    }

    /// Rows that went through so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::SeqCst)
    }

    /// Most threads that worked at once.
    pub fn most_working(&self) -> u64 {
        self.most_working.load(Ordering::SeqCst)
    }
}

/// See [`Watch::kernel`].
pub struct Watched(Arc<Watch>, Duration);

/// Parameters of [`Watched`].
#[derive(Serialize, Deserialize)]
pub struct WatchedParams {
    watch: u64,
    nanos_per_row: u64,
}

impl MapKernel for Watched {
    type Params = WatchedParams;
    const NAME: &'static str = "suite.watched";
    const KEEPS: Keeps = Keeps::Both;

    fn output(_: &WatchedParams, input: &TableSchema) -> Result<TableSchema> {
        Ok(input.clone())
    }

    fn open(params: WatchedParams, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        let per_row = Duration::from_nanos(params.nanos_per_row);
        Ok(Self(Watch::find(params.watch)?, per_row))
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let working = self.0.working.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_working.fetch_max(working, Ordering::SeqCst);
        for _ in 0..rows.num_rows() {
            if !self.1.is_zero() {
                std::thread::sleep(self.1);
            }
            self.0.rows.fetch_add(1, Ordering::SeqCst);
        }
        self.0.working.fetch_sub(1, Ordering::SeqCst);
        Ok(rows.clone())
    }
}

/// See [`Watch::inflating_kernel`].
pub struct Inflate(Arc<Watch>, usize, TableSchema);

/// Parameters of [`Inflate`].
#[derive(Serialize, Deserialize)]
pub struct InflateParams {
    watch: u64,
    bytes: u32,
}

impl MapKernel for Inflate {
    type Params = InflateParams;
    const NAME: &'static str = "suite.inflate";
    const KEEPS: Keeps = Keeps::Both;

    fn output(_: &InflateParams, input: &TableSchema) -> Result<TableSchema> {
        with_fields(input, [Field::new("payload", DataType::Binary)])
    }

    fn open(params: InflateParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        Ok(Self(Watch::find(params.watch)?, params.bytes as usize, output))
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let payload = vec![7; self.1];
        let payloads = BinaryArray::from_iter_values((0..rows.num_rows()).map(|_| &payload));
        self.0.rows.fetch_add(rows.num_rows() as u64, Ordering::SeqCst);
        with_column(&self.2, rows, Arc::new(payloads))
    }
}
