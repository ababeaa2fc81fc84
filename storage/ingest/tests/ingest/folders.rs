//! Folders named by the values of columns: their keys are columns, of an upload as of a bind, in both formats.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use futures::TryStreamExt;
use futures::executor::block_on;
use tributary_core::meta::StorageMeta;
use tributary_core::storage::Storage;
use tributary_core::{Error, Purpose};
use tributary_ingest::{Existing, UploadOptions, ValueType, bind, upload};

use crate::parquet_files::{file, integers};
use crate::site::{Records, Site};

/// A folder `t` of two files with ids 1, 2 and 3, below these folders.
fn folder(format: &str, first: &str, second: &str) -> Site {
    let site = Site::new();
    for (folder, part, ids) in [(first, "part-0", vec![1, 2]), (second, "part-1", vec![3])] {
        std::fs::create_dir_all(site.path("t").join(folder)).unwrap();
        let name = format!("t/{folder}/{part}.{format}");
        match format {
            "csv" => {
                let rows: String = ids.iter().map(|id| format!("{id},{}\n", id * 10)).collect();
                site.file(&name, format!("id,x\n{rows}"));
            }
            _ => {
                let tens: Vec<i64> = ids.iter().map(|id| id * 10).collect();
                file(&site, &name, vec![("id", integers(ids)), ("x", integers(tens))]);
            }
        }
    }
    site.file("t/_SUCCESS", "");
    site
}

/// What an upload and a bind make of the folder: the same rows.
fn rows(site: &Site, change: impl Fn(&mut UploadOptions)) -> Result<RecordBatch, Error> {
    let storage: Arc<dyn Storage> = tributary_file::storage(&site.path("tables")).unwrap();
    let meta: Arc<dyn StorageMeta> = Arc::new(Records::default());
    let read = || {
        let table = block_on(storage.open(&storage.locate(&Site::table())?))?;
        let mut batches = Vec::new();
        for partition in 0..table.layout.partitions() {
            batches.extend(block_on(async {
                storage.scan(&table, partition).await?.try_collect::<Vec<_>>().await
            })?);
        }
        Ok::<_, Error>((arrow_select::concat::concat_batches(table.schema.arrow(), &batches)?, table.schema))
    };
    let mut options = UploadOptions::new(Site::table(), [site.path("t")]);
    options.if_exists = Existing::Replace;
    change(&mut options);
    block_on(upload(&storage, &meta, options.clone(), |_| {}))?;
    let (uploaded, schema) = read()?;
    block_on(bind(&storage, &meta, options, |_| {}))?;
    assert_eq!(read()?, (uploaded.clone(), schema));
    Ok(uploaded)
}

fn shown(rows: &RecordBatch, column: &str) -> Vec<String> {
    let column = rows.column_by_name(column).unwrap();
    let text = arrow_cast_text(column);
    text.into_iter().map(|value| value.unwrap_or_else(|| "-".into())).collect()
}

fn arrow_cast_text(column: &arrow_array::ArrayRef) -> Vec<Option<String>> {
    let batch = RecordBatch::try_from_iter_with_nullable([("x", column.clone(), true)]).unwrap();
    tributary_text::preview(&[batch]).unwrap().into_iter().flatten().collect()
}

#[test]
fn keys_of_folders_are_columns_whose_types_keep_every_value() {
    for format in ["csv", "parquet"] {
        let site = folder(
            format,
            "dt=2024-01-31/n=7/kind=a%2Fb",
            "dt=2024-02-01/n=-8/kind=__HIVE_DEFAULT_PARTITION__",
        );
        let rows = rows(&site, |_| {}).unwrap();
        let types: Vec<_> = rows.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(
            types,
            [DataType::Utf8, DataType::Int64, DataType::Date32, DataType::Int64, DataType::Utf8],
            "{format}"
        );
        assert_eq!(shown(&rows, "id"), ["1", "2", "3"]);
        assert_eq!(shown(&rows, "x"), ["10", "20", "30"]);
        assert_eq!(shown(&rows, "dt"), ["2024-01-31", "2024-01-31", "2024-02-01"]);
        assert_eq!(shown(&rows, "n"), ["7", "7", "-8"]);
        assert_eq!(shown(&rows, "kind"), ["a/b", "a/b", "-"]);
        let nullable = |name: &str| rows.schema().field_with_name(name).unwrap().is_nullable();
        assert!(nullable("kind") && !nullable("dt"));
    }
}

#[test]
fn options_of_columns_mean_keys_as_well() {
    for format in ["csv", "parquet"] {
        let site = folder(format, "y=0/n=07", "y=1/n=8");
        let rows = rows(&site, |options| {
            options.label = Some("y".into());
            options.columns.entry("n".into()).or_default().value_type = Some(ValueType::Text);
        });
        let rows = rows.unwrap();
        assert_eq!(
            (shown(&rows, "y"), shown(&rows, "n")),
            (vec!["0".into(), "0".into(), "1".into()], vec!["07".into(), "07".into(), "8".into()])
        );
        let site = folder(format, "n=7", "n=8");
        let skipped = rows_without(&site, "n");
        assert_eq!(skipped.num_columns(), 2);
    }
}

fn rows_without(site: &Site, key: &str) -> RecordBatch {
    rows(site, |options| options.skip = vec![key.into()]).unwrap()
}

#[test]
fn a_column_of_the_files_comes_before_a_key_of_its_name() {
    for format in ["csv", "parquet"] {
        let rows = rows(&folder(format, "x=5", "x=6"), |_| {}).unwrap();
        assert_eq!((shown(&rows, "x"), rows.num_columns()), (vec!["10".into(), "20".into(), "30".into()], 2));
    }
}

#[test]
fn a_label_may_not_be_missing_in_a_folder() {
    let label = |options: &mut UploadOptions| options.label = Some("y".into());
    for (format, expected) in
        [("csv", "part-1.csv:2: column 3 (\"y\")"), ("parquet", "part-1.parquet: row 1, column \"y\"")]
    {
        let error = rows(&folder(format, "y=0", "y="), label).unwrap_err().chain();
        assert!(error.contains(expected), "{error}");
    }
    let site = folder("csv", "y=0", "y=1");
    let summary = site.upload({
        let mut options = UploadOptions::new(Site::table(), [site.path("t")]);
        label(&mut options);
        options
    });
    assert!(summary.unwrap().columns.iter().any(|column| column.purpose == Purpose::Label));
}
