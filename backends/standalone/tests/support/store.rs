//! A store in memory, which can be told to fail or to hang.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, future, stream};
use tributary_core::computing::{PartSize, RowStream};
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::ids::TableName;
use tributary_core::layout::Layout;
use tributary_core::schema::TableSchema;
use tributary_core::storage::{Part, Storage, StorageInfo, StoredTable, TableUri, Write, WriteOptions};

#[derive(Debug)]
pub struct MemoryStore {
    info: StorageInfo,
    tables: Mutex<HashMap<String, StoredTable>>,
    parts: Mutex<HashMap<String, Vec<RecordBatch>>>,
    next: AtomicU64,
    /// Aborted writes.
    pub aborts: AtomicUsize,
    /// Most batches of one part that were alive at once, while it was written.
    pub fail_commit: AtomicBool,
    /// Scans never give a row.
    pub hang: AtomicBool,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self {
            info: StorageInfo::new("memory"),
            tables: Mutex::default(),
            parts: Mutex::default(),
            next: AtomicU64::new(0),
            aborts: AtomicUsize::new(0),
            fail_commit: AtomicBool::new(false),
            hang: AtomicBool::new(false),
        }
    }
}

impl MemoryStore {
    pub fn tables(&self) -> usize {
        self.tables.lock().unwrap().len()
    }
}

#[async_trait]
impl Storage for MemoryStore {
    fn info(&self) -> &StorageInfo {
        &self.info
    }
    fn locate(&self, name: &TableName) -> Result<TableUri> {
        TableUri::new(format!("memory://{name}"))
    }
    async fn open(&self, uri: &TableUri) -> Result<StoredTable> {
        let found = self.tables.lock().unwrap().get(uri.as_str()).cloned();
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no table {uri}")))
    }
    async fn scan(&self, table: &StoredTable, partition: u32) -> Result<RowStream> {
        if self.hang.load(Ordering::Relaxed) {
            return Ok(stream::pending().boxed());
        }
        let batches = self.parts.lock().unwrap()[&table.parts[partition as usize].file].clone();
        Ok(stream::iter(batches.into_iter().map(Ok)).boxed())
    }
    async fn begin(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        layout: &Layout,
        options: WriteOptions,
    ) -> Result<Write> {
        let attempt = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        Ok(Write { uri: uri.clone(), attempt, schema: schema.clone(), layout: layout.clone(), options })
    }
    async fn write_part(&self, write: &Write, partition: u32, rows: RowStream) -> Result<Part> {
        let batches: Vec<RecordBatch> = rows.try_collect().await?;
        let size = PartSize { rows: batches.iter().map(|b| b.num_rows() as u64).sum(), bytes: 0 };
        let file = format!("{}/{partition}", write.attempt);
        self.parts.lock().unwrap().insert(file.clone(), batches);
        Ok(Part { file, size, digest: String::new() })
    }
    async fn commit(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable> {
        if self.fail_commit.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Io, "the medium is full"));
        }
        let Write { uri, attempt, schema, layout, .. } = write;
        let table = StoredTable { uri, snapshot: attempt, schema, layout, parts };
        self.tables.lock().unwrap().insert(table.uri.as_str().into(), table.clone());
        Ok(table)
    }
    async fn abort(&self, write: Write) -> Result<()> {
        self.aborts.fetch_add(1, Ordering::Relaxed);
        let own = format!("{}/", write.attempt);
        self.parts.lock().unwrap().retain(|file, _| !file.starts_with(&own));
        Ok(())
    }
    async fn delete(&self, _: &TableUri) -> Result<()> {
        future::ready(Ok(())).await
    }
    async fn verify(&self, _: &StoredTable) -> Result<()> {
        Ok(())
    }
}
