//! Files bound as tables in place, over the store of local files.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow_schema::DataType;
use futures::TryStreamExt;
use futures::executor::block_on;
use parquet::arrow::ArrowWriter;
use tributary_catalog::verify;
use tributary_core::meta::{StorageMeta, TableRecord};
use tributary_core::storage::{Storage, StoredTable};
use tributary_core::{Error, ErrorKind, Purpose, Result, TableName};
use tributary_ingest::{Duplicates, Existing, Header, SampleId, UploadOptions, ValueType, bind, upload};

use crate::site::Records;

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
        Self { storage, meta: Arc::new(Records::default()), folder }
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::write(&path, content).unwrap();
        path
    }

    /// A Parquet file with ids from `first` on.
    fn file(&self, path: &str, first: i64, rows: i64) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values((first..first + rows).map(|i| i as u64)));
        let labels: ArrayRef = Arc::new(Int64Array::from_iter_values((first..first + rows).map(|i| i % 2)));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter((0..rows).map(|i| (i % 3 > 0).then_some("text"))));
        let rows = RecordBatch::try_from_iter_with_nullable([
            ("id", ids, false),
            ("y", labels, false),
            ("x", texts, true),
        ]);
        let rows = rows.unwrap();
        let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), rows.schema(), None).unwrap();
        writer.write(&rows).unwrap();
        writer.close().unwrap();
        path
    }

    fn options(&self, files: &[&Path], change: impl FnOnce(&mut UploadOptions)) -> UploadOptions {
        let mut options = UploadOptions::new(name("t"), files.iter().copied());
        change(&mut options);
        options
    }

    fn bind(&self, files: &[&Path], change: impl FnOnce(&mut UploadOptions)) -> Result<TableRecord> {
        let options = self.options(files, change);
        block_on(bind(&self.storage, &self.meta, options, |_| {})).map(|bound| bound.record)
    }

    fn stored(&self, table: &str) -> Result<StoredTable> {
        block_on(self.storage.open(&self.storage.locate(&name(table))?))
    }

    fn rows(&self, table: &str) -> Result<RecordBatch> {
        let table = self.stored(table)?;
        block_on(async {
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

    fn keys(&self, table: &str) -> Vec<String> {
        let rows = self.rows(table).unwrap();
        rows.column(0).as_string::<i32>().iter().flatten().map(str::to_owned).collect()
    }

    fn verify(&self, table: &str) -> Result<bool> {
        block_on(verify(&self.storage, &self.meta, &name(table))).map(|verified| verified.recorded)
    }

    fn delete(&self, table: &str) -> Result<()> {
        block_on(self.storage.delete(&self.storage.locate(&name(table))?))
    }

    /// The text of the error, without the scratch folder. Checks that no table is left.
    fn refused(&self, options: UploadOptions) -> String {
        let error = block_on(bind(&self.storage, &self.meta, options, |_| {})).unwrap_err();
        assert!(block_on(self.meta.list(None)).unwrap().is_empty());
        assert_eq!(self.stored("t").unwrap_err().kind(), ErrorKind::NotFound);
        error.chain().replace(&format!("{}/", self.folder.path().display()), "")
    }
}

/// Values of all kinds, line ends within quotes, blank lines, missing values.
fn table() -> String {
    let mut csv = String::from("name,id,y,when,paid\n");
    for i in 0..500 {
        let text = ["plain", "\"two\nlines\"", "\"a \"\"quote\"\", and more\"", "", "NA"][i % 5];
        let day = if i % 7 == 0 { String::new() } else { format!("2024-01-{:02}", 1 + i % 31) };
        csv.push_str(&format!("{text},row {i},{},{day},{}.5\n", i % 2, i * 1000));
        csv.push_str(if i % 50 == 0 { "\n\r\n" } else { "" });
    }
    csv
}

#[test]
fn a_bound_csv_file_is_the_table_that_an_upload_of_it_is() {
    let site = Site::new();
    let file = site.write("rows.csv", table());
    let reading = |options: &mut UploadOptions| {
        options.sample_id = SampleId::Column("id".into());
        options.label = Some("y".into());
        options.nulls = vec![String::new(), "NA".into()];
        options.columns.entry("paid".into()).or_default().value_type = Some("decimal(12,2)".parse().unwrap());
        options.partitions = Some(7);
    };
    let bound = site.bind(&[&file], reading).unwrap();
    let other = |options: &mut UploadOptions| {
        reading(options);
        options.table = name("u");
    };
    block_on(upload(&site.storage, &site.meta, site.options(&[&file], other), |_| {})).unwrap();
    let (_, uploaded) = block_on(site.meta.get(&name("u"))).unwrap().unwrap();
    assert_eq!(bound.schema, uploaded.schema);
    assert_eq!((bound.rows, &bound.layout, &bound.preview), (500, &uploaded.layout, &uploaded.preview));
    assert_eq!(site.rows("t").unwrap(), site.rows("u").unwrap());
    let counts = |table: StoredTable| table.parts.iter().map(|part| part.size.rows).collect::<Vec<_>>();
    assert_eq!(counts(site.stored("t").unwrap()), counts(site.stored("u").unwrap()), "cut at the same rows");
    assert_eq!((bound.origin["made_by"].as_str(), bound.origin["files"].as_str()), ("bind", "1"));
    assert_eq!(bound.origin["file"], file.display().to_string());
    assert!(site.verify("t").unwrap());
    site.delete("t").unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), table(), "the file is not changed");
}

#[test]
fn files_with_and_without_rows_are_one_table() {
    let site = Site::new();
    let (a, b) = (site.write("1.csv", "id,x\na,1\nb,2\n\n"), site.write("2.csv", "\u{feff}id,x\n"));
    let (c, d) = (site.write("3.csv", "id,x\nc,3"), site.write("4.csv", "id,x\n\n"));
    for (partitions, expected) in [(1, 1), (2, 2), (16, 3)] {
        let bound = site.bind(&[&a, &b, &c, &d], |options| {
            options.partitions = Some(partitions);
            options.if_exists = Existing::Replace;
        });
        assert_eq!(bound.unwrap().layout.partitions(), expected);
        assert_eq!(site.keys("t"), ["a", "b", "c"]);
        assert!(site.verify("t").unwrap());
    }
    let pattern = site.folder.path().join("[13].csv");
    let bound = site.bind(&[&pattern], |options| {
        options.header = Header::Numbered;
        options.if_exists = Existing::Replace;
    });
    // without a header the first lines are rows, and their ids are equal
    assert!(
        bound
            .unwrap_err()
            .to_string()
            .contains("3.csv:1: column 1 (\"x0\"): the sample id already occurs at")
    );
}

#[test]
fn ids_are_made_where_the_files_have_none() {
    let site = Site::new();
    let csv: String = (0..100).map(|i| format!("{},{i}\n", i % 3)).collect();
    let csv = site.write("rows.csv", format!("a,b\n{csv}"));
    let (one, two) = (site.file("1.parquet", 0, 60), site.file("2.parquet", 0, 40));
    for files in [&[csv.as_path()][..], &[one.as_path(), two.as_path()]] {
        let bound = site.bind(files, |options| {
            (options.sample_id, options.partitions) = (SampleId::Made, Some(3));
            options.if_exists = Existing::Replace;
        });
        assert_eq!(bound.unwrap().schema.key().unwrap().name, "extend_sid");
        let keys = site.keys("t");
        let prefix = keys[0].strip_suffix('0').unwrap();
        assert_eq!(prefix.len(), 32);
        assert_eq!(keys, (0..100).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>());
        assert_eq!(site.keys("t"), keys, "the same each time");
        assert!(site.verify("t").unwrap());
    }
    let alone = |options: &mut UploadOptions| {
        options.sample_id = SampleId::Made;
        options.skip = vec!["a".into(), "b".into()];
        options.if_exists = Existing::Replace;
    };
    assert!(site.bind(&[&csv], alone).unwrap_err().to_string().contains("no other column is left"));
}

#[test]
fn a_changed_csv_file_is_an_error_and_never_other_rows() {
    let site = Site::new();
    let text = table();
    let file = site.write("rows.csv", &text);
    let bind = || {
        site.bind(&[&file], |options| {
            options.sample_id = SampleId::Column("id".into());
            options.if_exists = Existing::Replace;
        })
        .unwrap()
    };
    let check = |expected: &str| {
        for error in [site.rows("t").unwrap_err(), site.verify("t").unwrap_err()] {
            let text = error.chain();
            assert!(error.kind() == ErrorKind::Corrupt, "{text}");
            assert!(text.contains("rows.csv") && text.contains(expected), "{text}");
        }
    };
    let changed = "the file has changed: its size, modification time, first or last bytes differ; bind or upload it again";
    bind();
    File::options().append(true).open(&file).unwrap().write_all(b"x,y,1,,0.5\n").unwrap();
    check(changed);
    bind(); // to the current file
    assert_eq!(site.rows("t").unwrap().num_rows(), 501);
    File::options().write(true).open(&file).unwrap().set_len(100).unwrap();
    check(changed);
    fs::remove_file(&file).unwrap();
    check("restore the file");
    // of the same size and time, changed outside of the digest: the row shows it
    let long =
        format!("{text}{}", (500..20_000).map(|i| format!("plain,row {i},1,,0.5\n")).collect::<String>());
    site.write("rows.csv", &long);
    bind();
    let time = fs::metadata(&file).unwrap().modified().unwrap();
    let at = long.find("plain,row 9000,1").unwrap();
    site.write("rows.csv", [&long[..at], "plain,row 9000,y", &long[at + 16..]].concat());
    File::options().append(true).open(&file).unwrap().set_modified(time).unwrap();
    let line = 1 + long[..at].matches('\n').count();
    check(&format!("rows.csv:{line}: column 3 (\"y\"): text, expected an integer of 64 bits"));
}

#[test]
fn refused_uploads_and_files_that_cannot_be_read_in_place_are_not_bound() {
    let site = Site::new();
    let check = |content: &[u8], expected: &str| {
        let file = site.write("rows.csv", content);
        let error = site.refused(site.options(&[&file], |_| {}));
        assert!(error.contains(expected), "{error}");
    };
    check(b"", "rows.csv is empty");
    check(b"id,x\n", "rows.csv has a header, but no rows");
    check(b"id,x\na,1\nb,2,3\n", "rows.csv:3: 3 values, expected 2");
    check(b"id,x\na,1\n,2\n", "rows.csv:3: column 1 (\"id\"): the sample id is missing");
    check(b"id,x\na,1\nb,\xFF\n", "rows.csv:3: column 2 (\"x\"): text that is not UTF-8");
    check(b"id,x\na,1\nb,\"2\n", "rows.csv:3: column 2 (\"x\"): a quote that is never closed");
    check(
        b"id,x\na,1\nb,1\na,2\n",
        "rows.csv:4: column 1 (\"id\"): the sample id already occurs at rows.csv:2 (1 such rows in all); keep the first or the \
         last of each (data upload --duplicates first|last)",
    );
    let packed = zstd::encode_all(&b"id,x\na,1\n"[..], 1).unwrap();
    check(&packed, "rows.csv is compressed, but a bound table reads its files in place");
    let file = site.write("rows.csv", "id,x\na,1\n");
    let refused = |change: fn(&mut UploadOptions), expected: &str| {
        let error = site.refused(site.options(&[&file], change));
        assert!(error.contains(expected), "{error}");
    };
    refused(|o| o.files = vec!["-".into()], "standard input can be read only once");
    refused(|o| o.files.push("/dev/null".into()), "/dev/null is neither a file nor a pipe");
    refused(|o| o.label = Some("X".into()), "label \"X\": the file has no such column (did you mean");
    refused(|o| o.duplicates = Duplicates::First, "none can be left out (--duplicates");
    refused(|o| o.max_rejects = 1, "none can be left out");
    refused(
        |o| o.if_exists = Existing::Merge,
        "rows cannot be added to files that are bound (--if-exists merge)",
    );
    refused(|o| o.partitions = Some(0), "0 partitions");
    let types = |o: &mut UploadOptions| {
        o.columns.entry("x".into()).or_default().value_type = Some(ValueType::Date);
    };
    refused(types, "rows.csv:2: column 2 (\"x\"): an integer, expected a date");
    let folder = site.folder.path().join("in");
    fs::create_dir(&folder).unwrap();
    fs::rename(&file, folder.join("rows.json")).unwrap();
    let error = site.refused(site.options(&[&folder], |_| {}));
    assert!(error.contains("in: \"rows.json\" ends neither in .parquet nor in .csv"), "{error}");
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
            options.partitions = Some(2);
        })
        .unwrap();
    assert_eq!((record.rows, record.layout.partitions(), record.preview.len()), (300, 2, 100));
    assert_eq!(
        record.schema.field("y").map(|f| (&f.data_type, &f.purpose)),
        Some((&DataType::Int32, &Purpose::Label))
    );
    let rows = site.rows("t").unwrap();
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values((0..300).map(|i| i.to_string())));
    assert_eq!(rows.column(0), &ids, "whole numbers are ids, as in CSV");
    assert!(site.verify("t").unwrap());

    site.delete("t").unwrap();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "the files are not removed");
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
    // bound again, to the changed file
    let again = site.bind(&[&a], |options| options.if_exists = Existing::Replace).unwrap();
    assert_eq!((again.rows, site.rows("t").unwrap().num_rows()), (50, 50));
}

/// A driver passes an executor a table, which may differ from the one it opened.
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
    let scan = |table: &StoredTable| {
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
fn a_reader_of_a_bound_table_continues_while_it_is_bound_again() {
    let site = Site::new();
    let (a, b) = (site.file("a.parquet", 0, 10), site.file("b.parquet", 10, 20));
    let old = site.bind(&[&a], |_| {}).unwrap();
    let old = block_on(site.storage.open(&old.uri)).unwrap();
    site.bind(&[&b], |options| options.if_exists = Existing::Replace).unwrap();
    let rows: Vec<RecordBatch> =
        block_on(async { site.storage.scan(&old, 0).await.unwrap().try_collect().await.unwrap() });
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
    assert_eq!(site.rows("t").unwrap().num_rows(), 20);
}

#[test]
fn a_refused_bind_changes_nothing() {
    let site = Site::new();
    let file = site.file("a.parquet", 0, 10);
    let refused = |change: fn(&mut UploadOptions), kind: ErrorKind, expected: &str| {
        let error = site.bind(&[&file], change).unwrap_err();
        assert!(error.kind() == kind && error.chain().contains(expected), "{}", error.chain());
    };
    refused(
        |o| o.label = Some("Y".into()),
        ErrorKind::InvalidInput,
        "label \"Y\": the file has no such column (did you mean",
    );
    refused(|o| o.label = Some("id".into()), ErrorKind::InvalidInput, "cannot be more than one of");
    refused(
        |o| o.skip = vec!["id".into()],
        ErrorKind::InvalidInput,
        "column \"id\" cannot be skipped, because it has a role",
    );
    refused(
        |o| o.match_id = Some("x".into()),
        ErrorKind::InvalidInput,
        "row 1, column \"x\": the value is missing",
    );
    refused(
        |o| o.weight = Some("x".into()),
        ErrorKind::InvalidInput,
        "column \"x\" is Utf8, expected Float64",
    );
    refused(|o| o.partitions = Some(0), ErrorKind::InvalidInput, "0 partitions");
    refused(|o| o.files = vec!["/no/such.parquet".into()], ErrorKind::NotFound, "/no/such.parquet");
    assert!(block_on(site.meta.list(None)).unwrap().is_empty());
    assert_eq!(site.rows("t").unwrap_err().kind(), ErrorKind::NotFound);
    site.bind(&[&file], |_| {}).unwrap();
    refused(|_| {}, ErrorKind::AlreadyExists, "the table exists");
    refused(
        |o| (o.if_exists, o.match_id) = (Existing::Replace, Some("x".into())),
        ErrorKind::InvalidInput,
        "is missing",
    );
    assert_eq!(site.rows("t").unwrap().num_rows(), 10);
}

/// In version 2 of the manifest, a bound part was only the description of row groups.
#[test]
fn a_table_that_an_older_program_bound_is_readable() {
    let site = Site::new();
    let file = site.file("a.parquet", 0, 10);
    site.bind(&[&file], |_| {}).unwrap();
    let (rows, folder) = (site.rows("t").unwrap(), site.folder.path().join("tables/n/t"));
    let table = site.stored("t").unwrap();
    let part = folder.join("_snapshots").join(&table.snapshot).join(&table.parts[0].file);
    let text = fs::read_to_string(&part).unwrap();
    let old = text.strip_prefix("{\"format\":\"parquet\"}\n").unwrap();
    fs::write(&part, old).unwrap();
    let manifest = folder.join("_manifest.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    assert_eq!(json["version"], 3);
    json["version"] = 2.into();
    json["parts"][0]["digest"] = tributary_parquet::digest_of(old.as_bytes()).into();
    fs::write(&manifest, json.to_string()).unwrap();
    assert_eq!(site.rows("t").unwrap(), rows);
    assert!(site.verify("t").unwrap());
}
