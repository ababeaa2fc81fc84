//! A site in memory for the tests of this crate: a store and its records, which fail on request, and a scratch folder for
//! files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use async_trait::async_trait;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use tributary_core::computing::{PartSize, RowStream};
use tributary_core::layout::Layout;
use tributary_core::meta::{Expect, StorageMeta, TableRecord, Version};
use tributary_core::storage::{
    IfExists, Part, Storage, StorageInfo, StoredTable, TableUri, Write, WriteOptions,
};
use tributary_core::{Error, ErrorKind, Result, TableName, TableSchema};
use tributary_ingest::{Summary, UploadOptions, upload};

/// A store and its records in memory.
pub struct Site {
    pub store: Arc<Store>,
    pub records: Arc<Records>,
    pub storage: Arc<dyn Storage>,
    pub meta: Arc<dyn StorageMeta>,
    folder: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Self {
        let (store, records) = (Arc::new(Store::default()), Arc::new(Records::default()));
        let folder = tempfile::tempdir().unwrap();
        Self { storage: store.clone(), meta: records.clone(), store, records, folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub fn table() -> TableName {
        TableName::new("experiment", "table").unwrap()
    }

    /// Options for a file of this content.
    pub fn options(&self, content: impl AsRef<[u8]>) -> UploadOptions {
        UploadOptions::new(Self::table(), [self.file("table.csv", content)])
    }

    pub fn upload(&self, options: UploadOptions) -> Result<Summary> {
        block_on(upload(&self.storage, &self.meta, options, |_| {}))
    }

    /// The text of the error, without the scratch folder.
    pub fn refused(&self, options: UploadOptions) -> String {
        let error = self.upload(options).unwrap_err();
        let folder = format!("{}/", self.folder.path().display());
        assert!(block_on(self.meta.get(&Self::table())).unwrap().is_none(), "a refused upload has a record");
        assert_eq!(self.store.leftovers(), 0, "a refused upload left parts");
        error.chain().replace(&folder, "")
    }

    pub fn record(&self) -> TableRecord {
        block_on(self.meta.get(&Self::table())).unwrap().unwrap().1
    }

    pub fn stored(&self) -> StoredTable {
        block_on(self.storage.open(&self.storage.locate(&Self::table()).unwrap())).unwrap()
    }

    /// Makes a table as a task would.
    pub fn store(&self, schema: &TableSchema, partitions: Vec<Vec<RecordBatch>>) {
        let (layout, parts) = (Layout::Loose(partitions.len() as u32), partitions.into_iter());
        block_on(async {
            let uri = self.storage.locate(&Self::table()).unwrap();
            let replace = WriteOptions::default().with_if_exists(IfExists::Replace);
            let write = self.storage.begin(&uri, schema, &layout, replace).await.unwrap();
            let mut written = Vec::new();
            for (partition, batches) in (0..).zip(parts) {
                let rows = stream::iter(batches.into_iter().map(Ok)).boxed();
                written.push(self.storage.write_part(&write, partition, rows).await.unwrap());
            }
            self.storage.commit(write, written).await.unwrap();
        });
    }

    /// All batches by partition.
    pub fn parts(&self) -> Vec<Vec<RecordBatch>> {
        let stored = self.stored();
        let scan = |p| block_on(async { self.storage.scan(&stored, p).await?.try_collect().await });
        (0..stored.layout.partitions()).map(|p| scan(p).unwrap()).collect()
    }

    /// Keys of all rows, by partition.
    pub fn keys(&self) -> Vec<Vec<String>> {
        self.parts().iter().map(|batches| batches.iter().flat_map(Self::keys_of).collect()).collect()
    }

    pub fn keys_of(batch: &RecordBatch) -> Vec<String> {
        batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    }

    /// All rows as one batch.
    pub fn rows(&self) -> RecordBatch {
        let parts: Vec<RecordBatch> = self.parts().into_iter().flatten().collect();
        assert_eq!(parts.len(), 1, "ask for one partition and few rows");
        parts.into_iter().next().unwrap()
    }
}

type Batches = Vec<RecordBatch>;

#[derive(Debug, Default)]
pub struct Store {
    tables: Mutex<BTreeMap<String, (StoredTable, Vec<Batches>)>>,
    parts: Mutex<BTreeMap<String, Batches>>,
    writes: AtomicU64,
    info: OnceLock<StorageInfo>,
    pub refuses_parts: AtomicBool,
}

impl Store {
    pub fn was_begun(&self) -> bool {
        self.writes.load(Ordering::Relaxed) > 0
    }

    pub fn leftovers(&self) -> usize {
        self.parts.lock().unwrap().len()
    }
}

#[async_trait]
impl Storage for Store {
    fn info(&self) -> &StorageInfo {
        self.info.get_or_init(|| StorageInfo::new("memory").replacing_snapshots())
    }

    fn locate(&self, name: &TableName) -> Result<TableUri> {
        TableUri::new(format!("memory://{name}"))
    }

    async fn open(&self, uri: &TableUri) -> Result<StoredTable> {
        let tables = self.tables.lock().unwrap();
        let found = tables.get(uri.as_str()).map(|(table, _)| table.clone());
        found.ok_or_else(|| Error::new(ErrorKind::NotFound, "no table"))
    }

    async fn scan(&self, table: &StoredTable, partition: u32) -> Result<RowStream> {
        let tables = self.tables.lock().unwrap();
        let there = tables.get(table.uri.as_str()).filter(|(there, _)| there.snapshot == table.snapshot);
        let (_, parts) = there.ok_or_else(|| Error::new(ErrorKind::NotFound, "the table was replaced"))?;
        let batches = parts[partition as usize].clone();
        Ok(stream::iter(batches.into_iter().map(Ok)).boxed())
    }

    async fn begin(
        &self,
        uri: &TableUri,
        schema: &TableSchema,
        layout: &Layout,
        options: WriteOptions,
    ) -> Result<Write> {
        let attempt = self.writes.fetch_add(1, Ordering::Relaxed).to_string();
        let (uri, schema, layout) = (uri.clone(), schema.clone(), layout.clone());
        Ok(Write { uri, attempt, schema, layout, options })
    }

    async fn write_part(&self, write: &Write, partition: u32, rows: RowStream) -> Result<Part> {
        let batches: Vec<RecordBatch> = rows.try_collect().await?;
        if self.refuses_parts.load(Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Exhausted, "the disk is full"));
        }
        batches.iter().try_for_each(|batch| write.schema.check(batch))?;
        let size = PartSize { rows: batches.iter().map(|b| b.num_rows() as u64).sum(), bytes: 1 };
        let file = format!("{}/{partition}", write.attempt);
        self.parts.lock().unwrap().insert(file.clone(), batches);
        Ok(Part { file, size, digest: String::new() })
    }

    async fn commit(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable> {
        let mut tables = self.tables.lock().unwrap();
        if write.options.if_exists == IfExists::Fail && tables.contains_key(write.uri.as_str()) {
            return Err(Error::new(ErrorKind::AlreadyExists, "the table exists"));
        }
        if let IfExists::ReplaceSnapshot(expected) = &write.options.if_exists
            && tables.get(write.uri.as_str()).is_none_or(|(there, _)| there.snapshot != *expected)
        {
            return Err(Error::new(ErrorKind::Conflict, "the table was replaced"));
        }
        assert_eq!(parts.len() as u32, write.layout.partitions());
        let mut written = self.parts.lock().unwrap();
        let batches = parts.iter().map(|part| written.remove(&part.file).unwrap()).collect();
        let Write { uri, attempt: snapshot, schema, layout, .. } = write;
        let table = StoredTable { uri, snapshot, schema, layout, parts };
        tables.insert(table.uri.to_string(), (table.clone(), batches));
        Ok(table)
    }

    async fn abort(&self, write: Write) -> Result<()> {
        self.parts.lock().unwrap().retain(|file, _| !file.starts_with(&format!("{}/", write.attempt)));
        Ok(())
    }

    async fn delete(&self, uri: &TableUri) -> Result<()> {
        let gone = self.tables.lock().unwrap().remove(uri.as_str());
        gone.map(|_| ()).ok_or_else(|| Error::new(ErrorKind::NotFound, "no table"))
    }

    async fn verify(&self, _: &StoredTable) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug, Default)]
pub struct Records {
    records: Mutex<ByName>,
    /// The next change fails as in a power cut.
    pub refuses: AtomicBool,
}

type ByName = BTreeMap<TableName, (Version, TableRecord)>;

impl Records {
    /// All records and the number of this one's version, if it is the expected one. The check and the change are one step.
    fn check(&self, table: &TableName, expect: Expect) -> Result<(MutexGuard<'_, ByName>, u64)> {
        if self.refuses.swap(false, Ordering::Relaxed) {
            return Err(Error::new(ErrorKind::Unavailable, "the database is unavailable"));
        }
        let records = self.records.lock().unwrap();
        let version = match (records.get(table), expect) {
            (None, Expect::Absent) => 0,
            (Some((version, _)), Expect::At(expected)) if *version == expected => version.0,
            (Some(_), Expect::Absent) => {
                return Err(Error::new(ErrorKind::AlreadyExists, "there is a record"));
            }
            _ => return Err(Error::new(ErrorKind::Conflict, "the record changed")),
        };
        Ok((records, version))
    }
}

#[async_trait]
impl StorageMeta for Records {
    async fn get(&self, table: &TableName) -> Result<Option<(Version, TableRecord)>> {
        Ok(self.records.lock().unwrap().get(table).cloned())
    }

    async fn list(&self, _: Option<&str>) -> Result<Vec<(Version, TableRecord)>> {
        Ok(self.records.lock().unwrap().values().cloned().collect())
    }

    async fn set(&self, record: &TableRecord, expect: Expect) -> Result<Version> {
        let (mut records, version) = self.check(&record.table, expect)?;
        records.insert(record.table.clone(), (Version(version + 1), record.clone()));
        Ok(Version(version + 1))
    }

    async fn remove(&self, table: &TableName, expect: Version) -> Result<()> {
        self.check(table, Expect::At(expect))?.0.remove(table);
        Ok(())
    }
}
