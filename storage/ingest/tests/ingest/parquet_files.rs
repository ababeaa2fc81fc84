//! Parquet files of other programs as tables.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Float64Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow_schema::DataType;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use tributary_core::Purpose;
use tributary_ingest::{Duplicates, Extent, Header, SampleId, UploadOptions, ValueType};

use crate::site::Site;

pub type Column<'a> = (&'a str, ArrayRef);

/// A file with row groups of three rows.
pub fn file(site: &Site, name: &str, columns: Vec<Column<'_>>) -> PathBuf {
    let rows =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true))).unwrap();
    let path = site.path(name);
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(3)).build();
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    path
}

pub fn integers(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

pub fn numbers(values: Vec<Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from(values))
}

fn options(paths: &[PathBuf]) -> UploadOptions {
    UploadOptions::new(Site::table(), paths)
}

#[test]
fn columns_keep_their_types_and_rows_their_order() {
    let site = Site::new();
    let price = Decimal128Array::from(vec![Some(150), None, Some(-5), Some(0), Some(7)]);
    let path = file(
        &site,
        "rows.parquet",
        vec![
            ("number", integers(10..15)),
            ("y", numbers(vec![Some(0.0), Some(1.0), Some(1.0), Some(0.0), Some(1.0)])),
            ("price", Arc::new(price.with_precision_and_scale(10, 2).unwrap())),
            ("kind", Arc::new(StringArray::from(vec!["a", "b", "a", "b", "a"]))),
            ("other", integers(0..5)),
        ],
    );
    let mut options = options(&[path]);
    (options.label, options.partitions) = (Some("y".into()), Some(2));
    options.skip = vec!["other".into()];
    options.columns.entry("kind".into()).or_default().value_type = Some(ValueType::Category);
    let summary = site.upload(options).unwrap();
    assert_eq!((summary.rows, summary.partitions), (5, 2));
    assert_eq!(site.keys(), [vec!["10", "11"], vec!["12", "13", "14"]]);
    let schema = site.stored().schema;
    let types: Vec<DataType> = schema.fields().iter().map(|field| field.data_type.clone()).collect();
    assert_eq!(types, [DataType::Int32, DataType::Decimal128(10, 2), DataType::Utf8]);
    assert_eq!(schema.field("y").unwrap().purpose, Purpose::Label);
    assert_eq!(schema.field("kind").unwrap().purpose, Purpose::Category);
    assert!(!schema.field("y").unwrap().nullable && schema.field("price").unwrap().nullable);
    let last = site.parts()[1].last().unwrap().clone();
    assert_eq!(last.column(1).as_primitive::<Int32Type>().values().last(), Some(&1));
    let first = &site.parts()[0][0];
    let price = first.column(2).as_primitive::<Decimal128Type>();
    assert_eq!((price.value(0), price.is_null(1)), (150, true));
    let price = &summary.columns[1];
    assert_eq!((price.nulls, price.distinct), (Some(1), Some(4)));
    assert_eq!(price.extent.as_ref().map(Extent::texts), Some(("-0.05".into(), "1.50".into())));
    assert_eq!(site.record().preview[1], [Some("11".into()), Some("1".into()), None, Some("b".into())]);
    assert_eq!(site.record().origin["file"], "rows.parquet");
}

#[test]
fn ids_are_compared_over_all_files() {
    let site = Site::new();
    let x = |n: usize| numbers((0..n).map(|i| Some(i as f64)).collect());
    let one = file(&site, "1.parquet", vec![("id", integers([1, 2, 3, 4])), ("x", x(4))]);
    let two = file(&site, "2.parquet", vec![("id", integers([5, 6, 7, 4, 1])), ("x", x(5))]);
    let error = site.refused(options(&[one.clone(), two.clone()]));
    assert!(error.contains("2.parquet: row 4, column \"id\": the sample id already occurs at "), "{error}");
    assert!(error.contains("1.parquet: row 4 (2 such rows in all)"), "{error}");
    for (rule, expected) in [
        (Duplicates::First, ["1", "2", "3", "4", "5", "6", "7"]),
        (Duplicates::Last, ["2", "3", "5", "6", "7", "4", "1"]),
    ] {
        let site = Site::new();
        let mut options = options(&[one.clone(), two.clone()]);
        (options.duplicates, options.partitions, options.sort_bytes) = (rule, Some(3), 1);
        let summary = site.upload(options).unwrap();
        assert_eq!((summary.rows, summary.duplicates_dropped), (7, 2));
        assert_eq!(site.keys().concat(), expected);
    }
    let mut options = options(&[site.path("*.parquet")]);
    options.sample_id = SampleId::Made;
    site.upload(options).unwrap();
    let keys = site.keys().concat();
    assert_eq!((keys.len(), keys[8].strip_suffix('8')), (9, keys[0].strip_suffix('0')));
}

#[test]
fn missing_and_invalid_values_are_reported_with_file_row_and_column() {
    let site = Site::new();
    let text = |values: Vec<Option<&str>>| Arc::new(StringArray::from(values)) as ArrayRef;
    let path = file(
        &site,
        "rows.parquet",
        vec![
            ("id", text(vec![Some("a"), Some("b"), Some("c"), Some("d"), Some("e")])),
            ("gap", text(vec![Some("a"), Some("b"), None, Some("d"), Some("e")])),
            ("blank", text(vec![Some("a"), Some("b"), Some("c"), Some(""), Some("e")])),
            ("w", numbers(vec![Some(1.0), Some(1.0), Some(1.0), Some(1.0), Some(-0.5)])),
            ("half", numbers(vec![Some(1.0), Some(0.0), Some(1.0), Some(0.5), Some(1.0)])),
            ("nan", numbers(vec![Some(1.0), None, Some(f64::NAN), Some(0.5), Some(1.0)])),
        ],
    );
    let check = |change: fn(&mut UploadOptions), expected: &str| {
        let mut options = options(std::slice::from_ref(&path));
        change(&mut options);
        let error = site.refused(options);
        assert!(error.contains(expected), "{error}");
    };
    check(
        |o| o.sample_id = SampleId::Column("gap".into()),
        "row 3, column \"gap\": the sample id is missing",
    );
    check(
        |o| o.sample_id = SampleId::Column("blank".into()),
        "rows.parquet: row 4, column \"blank\": the sample id is missing",
    );
    check(|o| o.label = Some("gap".into()), "column \"gap\" is ");
    check(|o| o.label = Some("half".into()), "row 4, column \"half\": ");
    check(|o| o.weight = Some("w".into()), "rows.parquet: row 5, column \"w\": the weight is negative");
    check(
        |o| o.columns.entry("gap".into()).or_default().value_type = Some(ValueType::Date),
        "column \"gap\" is ",
    );
    check(|o| o.label = Some("lable".into()), "label \"lable\": the file has no such column");
    check(|o| o.delimiter = b';', "(--delimiter) is for CSV files");
    check(|o| o.header = Header::Numbered, "(--no-header) is for CSV files");
    check(|o| o.nulls.push("NA".into()), "is for CSV files");
    let csv = site.file("rows.csv", "id,x\na,1\n");
    let error = site.refused(options(&[csv, path.clone()]));
    assert!(
        error.contains("is Parquet, but rows.csv is not; all files of a table must have one format"),
        "{error}"
    );
    let bytes = std::fs::read(&path).unwrap();
    let cut = site.file("cut.parquet", &bytes[..bytes.len() - 10]);
    assert!(site.refused(options(&[cut])).contains("cut.parquet"));
    // NaN is kept: the file's own type has it
    let mut kept = options(&[path]);
    kept.partitions = Some(1);
    site.upload(kept).unwrap();
    let read: Vec<f64> = site.parts()[0]
        .iter()
        .flat_map(|batch| batch.column(5).as_primitive::<Float64Type>().values().to_vec())
        .collect();
    assert!(read[2].is_nan());
}

#[test]
fn times_with_a_zone_are_shown_in_utc() {
    let site = Site::new();
    let times = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]).with_timezone("UTC");
    let path = file(&site, "rows.parquet", vec![("id", integers(0..2)), ("seen", Arc::new(times))]);
    site.upload(options(&[path])).unwrap();
    let shown = |id: &str, time: Option<&str>| vec![Some(id.to_owned()), time.map(str::to_owned)];
    assert_eq!(site.record().preview, [shown("0", Some("1970-01-01T00:00:01.5Z")), shown("1", None)]);
}

/// A file as pandas writes it: its index columns come last, and the metadata name them.
fn pandas(site: &Site, name: &str, columns: Vec<Column<'_>>, noted: &str) -> PathBuf {
    let rows = RecordBatch::try_from_iter(columns).unwrap();
    let noted = KeyValue::new("pandas".to_owned(), noted.to_owned());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![noted])).build();
    let path = site.path(name);
    let mut writer =
        ArrowWriter::try_new(File::create(&path).unwrap(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    path
}

#[test]
fn the_index_of_pandas_has_the_ids() {
    let text = || Arc::new(StringArray::from(vec!["a", "b"])) as ArrayRef;
    let check = |index: &str, noted: &str, expected: (&str, &str, usize), note: &str| {
        let site = Site::new();
        let ids = if index == "__index_level_0__" { integers([7, 9]) } else { text() };
        let columns = vec![("age", integers([30, 40])), ("name", text()), (index, ids)];
        let path = pandas(&site, "a.parquet", columns, noted);
        let summary = site.upload(options(&[path])).unwrap();
        let role = &summary.roles[0];
        assert_eq!((role.column.as_str(), role.why.as_str(), summary.columns.len()), expected);
        let notes = summary.notes.join("; ");
        assert!(if note.is_empty() { notes.is_empty() } else { notes.contains(note) }, "{notes}");
    };
    let index = "pandas' index, as the file says";
    check("key", r#"{"index_columns": ["key"]}"#, ("key", index, 2), "");
    check(
        "__index_level_0__",
        r#"{"index_columns": ["__index_level_0__"]}"#,
        ("age", "the first column", 1),
        "is left out",
    );
    let several = r#"{"index_columns": ["key", "name"]}"#;
    check("key", several, ("age", "the first column", 2), "several columns (\"key\", \"name\")");
    let range = r#"{"index_columns": [{"kind": "range", "start": 0}]}"#;
    check("key", range, ("age", "the first column", 2), "");
    check("key", "no JSON", ("age", "the first column", 2), "");
    // a given id takes precedence
    let site = Site::new();
    let columns = vec![("age", integers([30, 40])), ("key", text())];
    let mut options = options(&[pandas(&site, "a.parquet", columns, r#"{"index_columns": ["key"]}"#)]);
    options.sample_id = SampleId::Column("age".into());
    assert_eq!(site.upload(options).unwrap().roles[0].why, "as given");
}

#[test]
fn categories_of_other_programs_stay_categories() {
    let site = Site::new();
    let kinds: DictionaryArray<Int32Type> = ["red", "blue", "red"].into_iter().collect();
    let columns = || -> Vec<Column<'_>> {
        vec![
            ("id", integers([1, 2, 3])),
            ("kind", Arc::new(kinds.clone())),
            ("text", Arc::new(StringArray::from(vec!["a"; 3]))),
        ]
    };
    let path = file(&site, "a.parquet", columns());
    site.upload(options(&[path])).unwrap();
    let purposes = |site: &Site| {
        site.stored().schema.fields().iter().map(|field| field.purpose.clone()).collect::<Vec<_>>()
    };
    assert_eq!(purposes(&site), [Purpose::Category, Purpose::Value]);
    let site = Site::new();
    let mut options = options(&[file(&site, "a.parquet", columns())]);
    options.columns.entry("kind".into()).or_default().value_type = Some(ValueType::Text);
    site.upload(options).unwrap();
    assert_eq!(purposes(&site), [Purpose::Value, Purpose::Value]);
}

#[test]
fn pages_that_decompress_beyond_the_bound_are_refused() {
    let site = Site::new();
    let path = file(&site, "a.parquet", vec![("id", integers(0..100)), ("x", integers(0..100))]);
    let mut options = options(&[path]);
    options.max_unpacked = Some(100);
    let error = site.refused(options);
    assert!(error.contains("a.parquet decompresses to more than 100 bytes"), "{error}");
}
