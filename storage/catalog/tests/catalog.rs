//! Tables by name over the store of local files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code: a failed expectation panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt, stream};
use tributary_catalog::{BindOptions, Entry, bind, record, rename, verify};
use tributary_core::bytestore::Upload;
use tributary_core::meta::{Expect, StorageMeta, TableRecord, Version};
use tributary_core::storage::{IfExists, Storage};
use tributary_core::{Error, ErrorKind, Field, KeyType, Purpose, Result, TableName, TableSchema};

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

    /// A file with ids from `first` on, in row groups of whatever the writer likes.
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

    fn bind(&self, files: &[&Path], change: impl FnOnce(&mut BindOptions)) -> Result<TableRecord> {
        let mut options = BindOptions::new(name("t"), files.iter().copied());
        change(&mut options);
        block_on(bind(&self.storage, &self.meta, options))
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
fn bound_files_are_a_table_of_their_rows_in_order() {
    let site = Site::new();
    for (i, first) in [0, 100, 200].into_iter().enumerate() {
        site.file(&format!("in/part-{i}.parquet"), first, 100);
    }
    let folder = site.folder.path().join("in");
    let record = site
        .bind(&[&folder], |options| {
            options.label = Some("y".into());
            options.partitions = 2;
        })
        .unwrap();
    assert_eq!((record.rows, record.layout.partitions(), record.preview.len()), (300, 2, 100));
    assert_eq!(
        record.schema.field("y").map(|f| (&f.data_type, &f.purpose)),
        Some((&DataType::Int32, &Purpose::Label))
    );
    let rows = site.rows("t").unwrap();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..300).map(|i| i.to_string())));
    assert_eq!(rows.column(0), &ids, "whole numbers are ids as CSV has them");
    assert!(site.verify("t").unwrap());

    site.delete("t").unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "the files are not ours");
    assert_eq!(site.rows("t").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_changed_or_missing_file_is_an_error_and_never_other_rows() {
    let site = Site::new();
    let (a, b) = (site.file("a.parquet", 0, 50), site.file("b.parquet", 50, 50));
    site.bind(&[&a, &b], |_| {}).unwrap();
    site.file("b.parquet", 150, 50);
    let changed = |error: Error| {
        let text = error.chain();
        assert!(error.kind() == ErrorKind::Corrupt && text.contains("b.parquet"), "{text}");
        text
    };
    assert!(changed(site.rows("t").unwrap_err()).contains("bind or upload it again"));
    changed(site.verify("t").unwrap_err());
    fs::remove_file(&b).unwrap();
    assert!(changed(site.rows("t").unwrap_err()).contains("restore the file"));
    // bound again, to what is there
    let again = site.bind(&[&a], |options| options.if_exists = IfExists::Replace).unwrap();
    assert_eq!((again.rows, site.rows("t").unwrap().num_rows()), (50, 50));
}

/// A driver hands an executor a table as it says it was opened.
#[test]
fn no_file_is_read_that_a_bind_did_not_name() {
    let site = Site::new();
    let file = site.file("a.parquet", 0, 10);
    let table = site.bind(&[&file], |_| {}).unwrap();
    let table = block_on(site.storage.open(&table.uri)).unwrap();
    let secret = site.file("secret.parquet", 0, 10);
    let place =
        site.folder.path().join("tables/n/t/_snapshots").join(&table.snapshot).join(&table.parts[0].file);
    let named = fs::read_to_string(&place).unwrap();
    assert!(named.contains("a.parquet"), "{named}");
    let scan = |table: &tributary_core::storage::StoredTable| {
        block_on(async { site.storage.scan(table, 0).await?.try_collect::<Vec<_>>().await })
    };
    assert!(scan(&table).is_ok());
    for file in ["bound", &secret.display().to_string(), "part-00000-0123456789abcdef.bound"] {
        let mut other = table.clone();
        other.parts[0].file = file.into();
        assert!(scan(&other).is_err(), "{file}");
    }
    fs::write(&place, named.replace("a.parquet", "secret.parquet")).unwrap();
    let error = scan(&table).unwrap_err();
    assert!(error.kind() == ErrorKind::Corrupt && error.to_string().contains("has the digest"), "{error}");
}

#[test]
fn a_reader_of_a_bound_table_goes_on_while_it_is_bound_anew() {
    let site = Site::new();
    let (a, b) = (site.file("a.parquet", 0, 10), site.file("b.parquet", 10, 20));
    let old = site.bind(&[&a], |_| {}).unwrap();
    let old = block_on(site.storage.open(&old.uri)).unwrap();
    site.bind(&[&b], |options| options.if_exists = IfExists::Replace).unwrap();
    let rows: Vec<RecordBatch> =
        block_on(async { site.storage.scan(&old, 0).await.unwrap().try_collect().await.unwrap() });
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    assert_eq!(site.rows("t").unwrap().num_rows(), 20);
}

#[test]
fn what_cannot_be_bound_leaves_everything_as_it_was() {
    let site = Site::new();
    let file = site.file("a.parquet", 0, 10);
    let refused = |change: fn(&mut BindOptions), kind: ErrorKind, expected: &str| {
        let error = site.bind(&[&file], change).unwrap_err();
        assert!(error.kind() == kind && error.chain().contains(expected), "{}", error.chain());
    };
    refused(
        |o| o.label = Some("Y".into()),
        ErrorKind::InvalidInput,
        "label \"Y\": the files have no such column (did you mean",
    );
    refused(|o| o.label = Some("id".into()), ErrorKind::InvalidInput, "to be two of");
    refused(
        |o| o.skip = vec!["id".into(), "y".into(), "x".into()],
        ErrorKind::InvalidInput,
        "no column for the id",
    );
    refused(
        |o| o.label = Some("x".into()),
        ErrorKind::InvalidInput,
        "row 1, column \"x\": the value is missing",
    );
    refused(
        |o| o.weight = Some("x".into()),
        ErrorKind::InvalidInput,
        "column \"x\" is Utf8, expected Float64",
    );
    refused(|o| o.partitions = 0, ErrorKind::InvalidInput, "0 partitions");
    refused(|o| o.files = vec!["/no/such.parquet".into()], ErrorKind::NotFound, "/no/such.parquet");
    assert!(block_on(site.meta.list(None)).unwrap().is_empty());
    assert_eq!(site.rows("t").unwrap_err().kind(), ErrorKind::NotFound);
    site.bind(&[&file], |_| {}).unwrap();
    refused(|_| {}, ErrorKind::AlreadyExists, "the table exists");
    refused(
        |o| (o.if_exists, o.label) = (IfExists::Replace, Some("x".into())),
        ErrorKind::InvalidInput,
        "is missing",
    );
    assert_eq!(site.rows("t").unwrap().num_rows(), 10);
}

#[test]
fn a_table_is_renamed_with_its_rows_and_record() {
    let site = Site::new();
    let file = site.file("a.parquet", 0, 10);
    let bound = site.bind(&[&file], |_| {}).unwrap();
    // one of our own making beside it
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
    assert!(!left("t") && !left("own"), "no folder stays");
}

/// Records, and something that happens just before the next one is written.
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
    site.bind(&[&old], |_| {}).unwrap();
    let (storage, records) = (site.storage.clone(), site.meta.clone());
    let replace = move || {
        let mut options = BindOptions::new(name("t"), [&new]);
        options.if_exists = IfExists::Replace;
        block_on(bind(&storage, &records, options)).unwrap();
    };
    let meta: Arc<dyn StorageMeta> =
        Arc::new(Meanwhile { records: site.meta.clone(), happens: Mutex::new(Some(Box::new(replace))) });
    let error = block_on(rename(&site.storage, &meta, &name("t"), &name("u"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("it has its old name, rename it again"), "{error}");
    assert_eq!(site.rows("t").unwrap().num_rows(), 20);
    assert!(site.verify("t").unwrap());
    assert_eq!(site.rows("u").unwrap_err().kind(), ErrorKind::NotFound);
    block_on(rename(&site.storage, &meta, &name("t"), &name("u"))).unwrap();
    assert_eq!(site.rows("u").unwrap().num_rows(), 20);
}

#[test]
fn a_record_is_not_written_over_that_of_whoever_replaced_the_table_since() {
    let site = Site::new();
    let (old, new) = (site.file("old.parquet", 0, 10), site.file("new.parquet", 0, 20));
    let bound = site.bind(&[&old], |_| {}).unwrap();
    let stored = block_on(site.storage.open(&bound.uri)).unwrap();
    let over = || Entry {
        preview: Vec::new(),
        origin: Vec::new(),
        if_exists: IfExists::ReplaceSnapshot(stored.snapshot.clone()),
    };
    let late = |entry| block_on(record(&site.storage, &site.meta, &name("t"), &stored, entry));
    assert_eq!(late(over()).unwrap().rows, 10);
    let newest = site.bind(&[&new], |options| options.if_exists = IfExists::Replace).unwrap();
    late(over()).unwrap();
    assert_eq!(block_on(site.meta.get(&name("t"))).unwrap().unwrap().1, newest);
    site.delete("t").unwrap();
    assert_eq!(late(over()).unwrap_err().kind(), ErrorKind::Conflict);
}

#[test]
fn verify_finds_bytes_and_records_that_differ() {
    let site = Site::new();
    let file = site.file("a.parquet", 0, 10);
    site.bind(&[&file], |_| {}).unwrap();
    let (version, record) = block_on(site.meta.get(&name("t"))).unwrap().unwrap();
    let wrong = TableRecord { rows: 11, ..record.clone() };
    let version = block_on(site.meta.set(&wrong, tributary_core::meta::Expect::At(version))).unwrap();
    let error = site.verify("t").unwrap_err();
    assert!(
        error.kind() == ErrorKind::Corrupt && error.to_string().contains("rows: 11, the store 10"),
        "{error}"
    );
    block_on(site.meta.remove(&name("t"), version)).unwrap();
    assert!(!site.verify("t").unwrap(), "no record is told, and no damage");
    block_on(site.meta.set(&record, tributary_core::meta::Expect::Absent)).unwrap();
    site.delete("t").unwrap();
    let error = site.verify("t").unwrap_err();
    assert!(error.to_string().contains("it is recorded, but the store has no such table"), "{error}");
    assert_eq!(site.verify("nothing").unwrap_err().kind(), ErrorKind::NotFound);
}
