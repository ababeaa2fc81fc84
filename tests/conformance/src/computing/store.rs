//! A store of one process's memory that keeps the storage contract, can be told to fail, and shows what a write left.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future, stream};

use tributary_core::computing::{PartSize, RowStream};
use tributary_core::storage::{
    IfExists, Part, Storage, StorageInfo, StoredTable, TableUri, Write, WriteOptions,
};
use tributary_core::{Error, ErrorKind, Layout, Result, TableName, TableSchema};

type Batches = Vec<RecordBatch>;

/// See the module.
#[derive(Debug, Default)]
pub struct Memory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    tables: HashMap<TableUri, StoredTable>,
    parts: HashMap<String, Batches>,
    writes: HashMap<String, HashMap<String, Batches>>,
    unreadable: Option<u32>,
    unwritable: Option<u32>,
    next: u64,
}

impl State {
    fn number(&mut self) -> String {
        self.next += 1;
        self.next.to_string()
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("told to fail to {what}"))
}

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on this partition of every table cannot be read.
    pub fn break_reading(&self, partition: u32) {
        self.state().unreadable = Some(partition);
    }

    /// From now on this partition of every table cannot be written.
    pub fn break_writing(&self, partition: u32) {
        self.state().unwritable = Some(partition);
    }

    /// Writes begun and neither committed nor aborted.
    pub fn unfinished_writes(&self) -> usize {
        self.state().writes.len()
    }
}

#[async_trait]
impl Storage for Memory {
    fn info(&self) -> &StorageInfo {
        static INFO: std::sync::LazyLock<StorageInfo> =
            std::sync::LazyLock::new(|| StorageInfo::new("suite"));
        &INFO
    }

    fn locate(&self, name: &TableName) -> Result<TableUri> {
        TableUri::new(format!("suite://{name}"))
    }

    async fn open(&self, uri: &TableUri) -> Result<StoredTable> {
        let found = self.state().tables.get(uri).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no table {uri}")))
    }

    async fn scan(&self, table: &StoredTable, partition: u32) -> Result<RowStream> {
        let state = self.state();
        let file = &table.parts[partition as usize].file;
        let rows = state.parts.get(file).ok_or_else(|| broken("find a part"))?;
        let cut = |batch: &RecordBatch| -> Vec<RecordBatch> {
            let starts = (0..batch.num_rows()).step_by(5);
            starts.map(|at| batch.slice(at, 5.min(batch.num_rows() - at))).collect()
        };
        let mut batches: Vec<Result<RecordBatch>> = rows.iter().flat_map(cut).map(Ok).collect();
        if state.unreadable == Some(partition) {
            batches.push(Err(broken("read")));
        }
        Ok(stream::iter(batches).then(later).boxed())
    }

    async fn begin(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        layout: &Layout,
        options: WriteOptions,
    ) -> Result<Write> {
        let mut state = self.state();
        let attempt = state.number();
        state.writes.insert(attempt.clone(), HashMap::new());
        Ok(Write { uri: uri.clone(), attempt, schema: schema.clone(), layout: layout.clone(), options })
    }

    async fn write_part(&self, write: &Write, partition: u32, rows: RowStream) -> Result<Part> {
        let rows: Batches = pin!(rows).try_collect().await?;
        rows.iter().try_for_each(|batch| write.schema.check(batch))?;
        let mut state = self.state();
        if state.unwritable == Some(partition) {
            return Err(broken("write"));
        }
        let file = format!("{}-{partition}-{}", write.attempt, state.number());
        let size = PartSize {
            rows: rows.iter().map(|b| b.num_rows() as u64).sum(),
            bytes: rows.iter().map(|b| b.get_array_memory_size() as u64).sum(),
        };
        let parts = state.writes.get_mut(&write.attempt).ok_or_else(|| broken("find a write"))?;
        parts.insert(file.clone(), rows);
        let digest = String::new();
        Ok(Part { file, size, digest })
    }

    async fn commit(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable> {
        let mut state = self.state();
        if parts.len() as u32 != write.layout.partitions() {
            return Err(Error::invalid("a commit without a part for each partition"));
        }
        if write.options.if_exists == IfExists::Fail && state.tables.contains_key(&write.uri) {
            return Err(Error::new(ErrorKind::AlreadyExists, format!("table {} exists", write.uri)));
        }
        let mut written = state.writes.remove(&write.attempt).ok_or_else(|| broken("find a write"))?;
        for part in &parts {
            let rows = written.remove(&part.file).ok_or_else(|| broken("find a part"))?;
            state.parts.insert(part.file.clone(), rows);
        }
        let table = StoredTable {
            uri: write.uri,
            snapshot: write.attempt,
            schema: write.schema,
            layout: write.layout,
            parts,
        };
        state.tables.insert(table.uri.clone(), table.clone());
        Ok(table)
    }

    async fn abort(&self, write: Write) -> Result<()> {
        self.state().writes.remove(&write.attempt);
        Ok(())
    }

    async fn delete(&self, uri: &TableUri) -> Result<()> {
        let gone = self.state().tables.remove(uri);
        gone.map(drop).ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no table {uri}")))
    }

    async fn verify(&self, _: &StoredTable) -> Result<()> {
        Ok(())
    }
}

/// The value, at the second poll: a store is never ready at once.
async fn later<T>(value: T) -> T {
    let mut asked = false;
    future::poll_fn(|context| {
        if std::mem::replace(&mut asked, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
    value
}
