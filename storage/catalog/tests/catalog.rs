//! Tables by name over the store of local files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a failed expectation panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use tributary_catalog::{Entry, Shelf, copy, record, rename, verify};
use tributary_core::bytestore::Upload;
use tributary_core::meta::{Expect, StorageMeta, TableRecord, Version};
use tributary_core::storage::{IfExists, Storage, WriteOptions};
use tributary_core::{ErrorKind, Field, KeyType, Result, TableName, TableSchema};
use tributary_parquet::Files;

struct Site {
    folder: tempfile::TempDir,
    storage: Arc<dyn Storage>,
    meta: Arc<dyn StorageMeta>,
}

fn name(text: &str) -> TableName {
    TableName::new("n", text).unwrap()
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let storage = tributary_file::storage(&folder.path().join("tables")).unwrap();
        let meta = tributary_meta::open(&folder.path().join("meta.db")).unwrap();
        Self { storage, meta, folder }
    }

    /// A file with ids from `first` on, in row groups of the writer's default size.
    fn file(&self, path: &str, first: i64, rows: i64) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let fields = vec![Field::new("y", DataType::Int64), Field::new("x", DataType::Utf8).nullable()];
        let schema = TableSchema::keyed("id", KeyType::UInt64, fields).unwrap();
        let ids: ArrayRef =
            Arc::new(arrow_array::UInt64Array::from_iter_values((first..first + rows).map(|i| i as u64)));
        let labels: ArrayRef = Arc::new(Int64Array::from_iter_values((first..first + rows).map(|i| i % 2)));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter((0..rows).map(|i| (i % 3 > 0).then_some("text"))));
        let batch = schema.batch(vec![ids, labels, texts]).unwrap();
        let mut file = ToFile(fs::File::create(&path).unwrap());
        block_on(tributary_parquet::write_rows(&schema, stream::iter([Ok(batch)]).boxed(), &mut file))
            .unwrap();
        path
    }

    fn bind(&self, file: &Path) -> TableRecord {
        bind(&self.storage, &self.meta, file, IfExists::Fail)
    }

    fn rows(&self, table: &str) -> Result<RecordBatch> {
        block_on(async {
            let table = self.storage.open(&self.storage.locate(&name(table))?).await?;
            let mut batches = Vec::new();
            for partition in 0..table.layout.partitions() {
                let rows: Vec<RecordBatch> =
                    self.storage.scan(&table, partition).await?.try_collect().await?;
                assert_eq!(
                    rows.iter().map(RecordBatch::num_rows).sum::<usize>() as u64,
                    table.parts[partition as usize].size.rows
                );
                batches.extend(rows);
            }
            let columns = (0..table.schema.arrow().fields().len()).map(|i| {
                let parts: Vec<&dyn Array> = batches.iter().map(|b| b.column(i).as_ref()).collect();
                arrow_select::concat::concat(&parts)
            });
            table.schema.batch(columns.collect::<std::result::Result<_, _>>()?)
        })
    }

    fn verify(&self, table: &str) -> Result<bool> {
        block_on(verify(&self.storage, &self.meta, &name(table))).map(|verified| verified.recorded)
    }

    fn delete(&self, table: &str) -> Result<()> {
        block_on(self.storage.delete(&self.storage.locate(&name(table))?))
    }
}

/// The table `t`, bound to a file.
fn bind(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    file: &Path,
    if_exists: IfExists,
) -> TableRecord {
    let files = Files::open(&[file]).unwrap();
    let fields = ["y", "x"].map(|name| files.field(name).unwrap()).to_vec();
    let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
    let uri = storage.locate(&name("t")).unwrap();
    let options = WriteOptions::default().with_if_exists(if_exists.clone());
    let entry = Entry { preview: Vec::new(), origin: Vec::new(), if_exists };
    block_on(async {
        let table = storage.bind(&uri, &schema, files.parts(2).unwrap(), options).await.unwrap();
        record(storage, meta, &name("t"), &table, entry).await.unwrap()
    })
}

struct ToFile(fs::File);

#[async_trait::async_trait]
impl Upload for ToFile {
    async fn write(&mut self, bytes: bytes::Bytes) -> Result<()> {
        Ok(std::io::Write::write_all(&mut self.0, &bytes)?)
    }
    async fn finish(self: Box<Self>) -> Result<()> {
        Ok(())
    }
    async fn abort(self: Box<Self>) {}
}

#[test]
fn a_table_is_renamed_with_its_rows_and_record() {
    let site = Site::new();
    let file = site.file("a.parquet", 0, 10);
    let bound = site.bind(&file);
    // and a table that is stored, not bound
    let copy = block_on(async {
        let table = site.storage.open(&bound.uri).await.unwrap();
        let uri = site.storage.locate(&name("own")).unwrap();
        let write = site.storage.begin(&uri, &table.schema, &table.layout, Default::default()).await.unwrap();
        let part =
            site.storage.write_part(&write, 0, site.storage.scan(&table, 0).await.unwrap()).await.unwrap();
        site.storage.commit(write, vec![part]).await.unwrap()
    });
    let record = TableRecord { table: name("own"), uri: copy.uri.clone(), bytes: copy.bytes(), ..bound };
    block_on(site.meta.set(&record, tributary_core::meta::Expect::Absent)).unwrap();
    for (from, to) in [("t", "u"), ("own", "mine")] {
        let rows = site.rows(from).unwrap();
        let renamed = block_on(rename(&site.storage, &site.meta, &name(from), &name(to))).unwrap();
        assert_eq!((renamed.table, site.rows(to).unwrap()), (name(to), rows));
        assert_eq!(site.rows(from).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(site.verify(to).unwrap());
        let gone = block_on(rename(&site.storage, &site.meta, &name(from), &name("v"))).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
    }
    let taken = block_on(rename(&site.storage, &site.meta, &name("u"), &name("mine"))).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AlreadyExists);
    let left = |table: &str| site.folder.path().join("tables/n").join(table).exists();
    assert!(!left("t") && !left("own"), "no folder is left");
}

/// Records, with an action that runs just before the next one is written.
struct Meanwhile {
    records: Arc<dyn StorageMeta>,
    happens: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Meanwhile")
    }
}

#[async_trait::async_trait]
impl StorageMeta for Meanwhile {
    async fn get(&self, table: &TableName) -> Result<Option<(Version, TableRecord)>> {
        self.records.get(table).await
    }
    async fn list(&self, namespace: Option<&str>) -> Result<Vec<(Version, TableRecord)>> {
        self.records.list(namespace).await
    }
    async fn set(&self, record: &TableRecord, expect: Expect) -> Result<Version> {
        let happens = self.happens.lock().unwrap().take();
        if let Some(happens) = happens {
            std::thread::spawn(happens).join().unwrap();
        }
        self.records.set(record, expect).await
    }
    async fn remove(&self, table: &TableName, expect: Version) -> Result<()> {
        self.records.remove(table, expect).await
    }
}

#[test]
fn rows_that_are_stored_while_a_table_is_renamed_are_not_lost() {
    let site = Site::new();
    let (old, new) = (site.file("old.parquet", 0, 10), site.file("new.parquet", 0, 20));
    site.bind(&old);
    let (storage, records) = (site.storage.clone(), site.meta.clone());
    let replace = move || drop(bind(&storage, &records, &new, IfExists::Replace));
    let meta: Arc<dyn StorageMeta> =
        Arc::new(Meanwhile { records: site.meta.clone(), happens: Mutex::new(Some(Box::new(replace))) });
    let error = block_on(rename(&site.storage, &meta, &name("t"), &name("u"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("it keeps its old name, rename it again"), "{error}");
    assert_eq!(site.rows("t").unwrap().num_rows(), 20);
    assert!(site.verify("t").unwrap());
    assert_eq!(site.rows("u").unwrap_err().kind(), ErrorKind::NotFound);
    block_on(rename(&site.storage, &meta, &name("t"), &name("u"))).unwrap();
    assert_eq!(site.rows("u").unwrap().num_rows(), 20);
}

#[test]
fn a_record_does_not_overwrite_that_of_a_later_replacement() {
    let site = Site::new();
    let (old, new) = (site.file("old.parquet", 0, 10), site.file("new.parquet", 0, 20));
    let bound = site.bind(&old);
    let stored = block_on(site.storage.open(&bound.uri)).unwrap();
    let over = || Entry {
        preview: Vec::new(),
        origin: Vec::new(),
        if_exists: IfExists::ReplaceSnapshot(stored.snapshot.clone()),
    };
    let late = |entry| block_on(record(&site.storage, &site.meta, &name("t"), &stored, entry));
    assert_eq!(late(over()).unwrap().rows, 10);
    let newest = bind(&site.storage, &site.meta, &new, IfExists::Replace);
    late(over()).unwrap();
    assert_eq!(block_on(site.meta.get(&name("t"))).unwrap().unwrap().1, newest);
    site.delete("t").unwrap();
    assert_eq!(late(over()).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn verify_finds_bytes_and_records_that_differ() {
    let site = Site::new();
    let file = site.file("a.parquet", 0, 10);
    site.bind(&file);
    let (version, record) = block_on(site.meta.get(&name("t"))).unwrap().unwrap();
    let wrong = TableRecord { rows: 11, ..record.clone() };
    let version = block_on(site.meta.set(&wrong, tributary_core::meta::Expect::At(version))).unwrap();
    let error = site.verify("t").unwrap_err();
    assert!(
        error.kind() == ErrorKind::Corrupt && error.to_string().contains("rows: 11, the store 10"),
        "{error}"
    );
    block_on(site.meta.remove(&name("t"), version)).unwrap();
    assert!(!site.verify("t").unwrap(), "it reports that there is no record, and no damage");
    block_on(site.meta.set(&record, tributary_core::meta::Expect::Absent)).unwrap();
    site.delete("t").unwrap();
    let error = site.verify("t").unwrap_err();
    assert!(error.to_string().contains("it is recorded, but the store has no such table"), "{error}");
    assert_eq!(site.verify("nothing").unwrap_err().kind(), ErrorKind::NotFound);
}

/// As if the process had been killed between the copy's commit and its record.
#[test]
fn a_copy_that_was_not_recorded_is_made_anew_and_another_table_in_its_place_stays() {
    let site = Site::new();
    site.bind(&site.file("old.parquet", 0, 100));
    let original = site.storage.locate(&name("t")).unwrap();
    let shelf = Shelf { storage: &site.storage, meta: &site.meta };
    let place = |to: &str| site.storage.locate(&name(to)).unwrap();
    let leave = |to: &str| {
        let copied = async { site.storage.copy(&site.storage.open(&original).await?, &place(to)).await };
        block_on(copied).unwrap()
    };
    let again =
        |to: &str| block_on(copy(shelf, &name("t"), shelf, (&name(to), &place(to)), None, Arc::new(|_| {})));
    let left = leave("same");
    let record = again("same").unwrap();
    assert_eq!((record.rows, site.rows("same").unwrap()), (100, site.rows("t").unwrap()));
    assert_ne!(block_on(site.storage.open(&place("same"))).unwrap().snapshot, left.snapshot);
    assert_eq!(again("same").unwrap_err().kind(), ErrorKind::AlreadyExists, "it is recorded");

    let other = leave("other");
    bind(&site.storage, &site.meta, &site.file("new.parquet", 0, 90), IfExists::Replace);
    assert_eq!(again("other").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(block_on(site.storage.open(&place("other"))).unwrap(), other);
}
