//! Kernels that can be watched at work: how many rows went through, and on how many threads.
//!
//! They append to a file, one byte for each thing that happens, because they may be at work in other processes: appending
//! gives one order over all of them. Reading is counting; nothing is kept in memory that a process could have for itself.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{BinaryArray, RecordBatch};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, KernelCall, MapKernel};
use tributary_core::{Field, Result, ResultExt, TableSchema};

use super::{with_column, with_fields};

/// A thread begins a batch.
const BEGINS: u8 = b'+';
/// It is done with it.
const ENDS: u8 = b'-';
/// A row is through.
const ROW: u8 = b'r';

/// What a [`Watched`] or [`Inflate`] kernel did, in whatever process.
#[derive(Debug)]
pub struct Watch {
    log: PathBuf,
}

impl Watch {
    /// Watches nothing yet. Its file is removed with the folder, and not earlier: work may go on longer than the case that
    /// watches it.
    pub fn new(folder: &Path) -> Self {
        let (_, log) = NamedTempFile::with_prefix_in("watch-", folder).unwrap().keep().unwrap();
        Self { log }
    }

    fn log(&self) -> String {
        self.log.to_str().unwrap().to_owned()
    }

    /// A kernel that passes rows on, each taking this long.
    pub fn kernel(&self, per_row: Duration) -> KernelCall {
        let params = WatchedParams { log: self.log(), nanos_per_row: per_row.as_nanos() as u64 };
        KernelCall::map::<Watched>(&params).unwrap()
    }

    /// A kernel that adds this many bytes to each row.
    pub fn inflating_kernel(&self, bytes: u32) -> KernelCall {
        KernelCall::map::<Inflate>(&InflateParams { log: self.log(), bytes }).unwrap()
    }

    /// Rows that went through so far.
    pub fn rows(&self) -> u64 {
        self.records().iter().filter(|record| **record == ROW).count() as u64
    }

    /// Most threads that worked at once.
    pub fn most_working(&self) -> u64 {
        let (mut working, mut most) = (0, 0);
        for record in self.records() {
            match record {
                BEGINS => working += 1,
                ENDS => working -= 1,
                _ => {}
            }
            most = most.max(working);
        }
        most
    }

    fn records(&self) -> Vec<u8> {
        fs::read(&self.log).unwrap()
    }
}

/// A watch's file, as its kernels see it.
struct Log(File);

impl Log {
    fn open(path: &str) -> Result<Self> {
        let file = OpenOptions::new().append(true).open(path);
        Ok(Self(file.at(|| format!("open {path}, where a kernel is watched"))?))
    }

    fn note(&self, record: u8) -> Result<()> {
        self.note_many(record, 1)
    }

    fn note_many(&self, record: u8, times: usize) -> Result<()> {
        (&self.0).write_all(&vec![record; times]).at(|| "note what a watched kernel does")
    }
}

/// See [`Watch::kernel`].
pub struct Watched(Log, Duration);

/// Parameters of [`Watched`].
#[derive(Serialize, Deserialize)]
pub struct WatchedParams {
    log: String,
    nanos_per_row: u64,
}

impl MapKernel for Watched {
    type Params = WatchedParams;
    const NAME: &'static str = "suite.watched";
    const KEEPS: Keeps = Keeps::Both;

    fn open(params: WatchedParams, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(Log::open(&params.log)?, Duration::from_nanos(params.nanos_per_row)))
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let Self(log, per_row) = self;
        log.note(BEGINS)?;
        if per_row.is_zero() {
            log.note_many(ROW, rows.num_rows())?;
        } else {
            for _ in 0..rows.num_rows() {
                std::thread::sleep(*per_row);
                log.note(ROW)?;
            }
        }
        log.note(ENDS)?;
        Ok(rows.clone())
    }
}

/// See [`Watch::inflating_kernel`].
pub struct Inflate(Log, usize, TableSchema);

/// Parameters of [`Inflate`].
#[derive(Serialize, Deserialize)]
pub struct InflateParams {
    log: String,
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
        Ok(Self(Log::open(&params.log)?, params.bytes as usize, output))
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let payload = vec![7; self.1];
        let payloads = BinaryArray::from_iter_values((0..rows.num_rows()).map(|_| &payload));
        self.0.note_many(ROW, rows.num_rows())?;
        with_column(&self.2, rows, Arc::new(payloads))
    }
}
