//! Bad rows of Parquet files; and Parquet files in folders, through pipes, compressed, or for an existing table.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use tributary_core::ErrorKind;
use tributary_ingest::{Duplicates, Existing, SampleId, UploadOptions, ValueType};

use crate::parquet_files::{file, integers, numbers};
use crate::site::Site;

fn text(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// Ten rows in row groups of three; good ones are a, f, i and the second h.
fn rows(site: &Site) -> PathBuf {
    let some = |text: &'static str| Some(text);
    let ids = [
        some("a"),
        None,
        some(""),
        some("d"),
        some("e"),
        some("f"),
        some("g"),
        some("h"),
        some("h"),
        some("i"),
    ];
    let y: Vec<Option<f64>> = [0.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0, 3e9, 1.0, 0.0].map(Some).to_vec();
    let mut y_with_gap = y;
    y_with_gap[4] = None;
    let w: Vec<Option<f64>> = [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -0.5, 1.0, 1.0, 1.0].map(Some).to_vec();
    let x = Int64Array::from_iter_values((0..9).chain([1 << 40]));
    let columns = vec![
        ("x", Arc::new(x) as ArrayRef),
        ("id", text(&ids)),
        ("y", numbers(y_with_gap)),
        ("w", numbers(w)),
    ];
    file(site, "rows.parquet", columns)
}

fn options(site: &Site, most: u64) -> UploadOptions {
    let mut options = UploadOptions::new(Site::table(), [rows(site)]);
    options.sample_id = SampleId::Column("id".into());
    (options.label, options.weight) = (Some("y".into()), Some("w".into()));
    (options.max_rejects, options.reject_to) = (most, Some(site.path("bad.csv")));
    options
}

/// Place, column and reason of each bad row.
fn list(site: &Site) -> Vec<[String; 3]> {
    let mut reader = csv::Reader::from_path(site.path("bad.csv")).unwrap();
    let records = reader.records().map(|record| {
        let record = record.unwrap();
        assert!(record[0].ends_with("rows.parquet") && record[4].is_empty());
        [1, 2, 3].map(|i| record[i].to_owned())
    });
    records.collect()
}

#[test]
fn bad_rows_are_left_out_and_listed_by_their_numbers() {
    let site = Site::new();
    let mut all = options(&site, 7);
    all.columns.entry("x".into()).or_default().value_type = Some(ValueType::Int32);
    let summary = site.upload(all.clone()).unwrap();
    assert_eq!((summary.rows, summary.rejected), (3, 7));
    assert_eq!(site.keys().concat(), ["a", "f", "h"]);
    let expected = [
        ["2", "id", "the sample id is missing"],
        ["3", "id", "the sample id is missing"],
        ["4", "y", "it is not a whole number"],
        ["5", "y", "the label is missing"],
        ["7", "w", "the weight is negative"],
        ["8", "y", "it does not fit Int32"],
        ["10", "x", "it does not fit Int32"],
    ];
    assert_eq!(list(&site), expected);
    let x: Vec<i32> = site
        .parts()
        .concat()
        .iter()
        .flat_map(|batch| batch.column(3).as_primitive::<Int32Type>().values().to_vec())
        .collect();
    assert_eq!(x, [0, 5, 8]);

    let other = Site::new();
    let error = other.refused(options(&other, 5));
    let begin = "6 rows are bad, listed in bad.csv, and nothing is stored (--max-rejects 5); the first: ";
    assert!(error.contains(begin), "{error}");
    assert!(error.ends_with("rows.parquet: row 2, column \"id\": the sample id is missing"), "{error}");
    let mut no_list = options(&other, 3);
    no_list.reject_to = None;
    let error = other.refused(no_list.clone());
    assert!(
        error.contains("more than 3 rows are bad (--max-rejects 3): rows.parquet: row 5, column \"y\""),
        "{error}"
    );
    no_list.max_rejects = 0;
    let error = other.refused(no_list);
    assert!(error.ends_with("rows.parquet: row 2, column \"id\": the sample id is missing"), "{error}");
    assert!(!other.store.was_begun(), "it is found before anything is written");
}

#[test]
fn repeated_ids_are_bad_rows_too_unless_a_rule_decides() {
    let site = Site::new();
    let ids = || ("id", integers([1, 2, 3, 2, 4, 1, 5]));
    let mut options = UploadOptions::new(Site::table(), [file(&site, "rows.parquet", vec![ids()])]);
    (options.max_rejects, options.reject_to) = (2, Some(site.path("bad.csv")));
    let summary = site.upload(options.clone()).unwrap();
    assert_eq!((summary.rows, summary.rejected, summary.duplicates_dropped), (5, 2, 0));
    let reason = "the sample id already occurs in an earlier row";
    assert_eq!(list(&site), [["4", "id", reason], ["6", "id", reason]]);
    (options.duplicates, options.if_exists) = (Duplicates::Last, Existing::Replace);
    let summary = site.upload(options.clone()).unwrap();
    assert_eq!((summary.rejected, summary.duplicates_dropped), (0, 2));
    assert_eq!(site.keys().concat(), ["3", "2", "4", "1", "5"]);
    options.reject_to = Some(site.path("rows.parquet"));
    let error = site.upload(options).unwrap_err().to_string();
    assert!(
        error.contains("the list of bad rows would overwrite") && error.contains("rows.parquet, which"),
        "{error}"
    );
}

#[test]
fn a_value_that_does_not_fit_is_found_before_anything_is_written() {
    let site = Site::new();
    let times = TimestampNanosecondArray::from(vec![Some(1000), None, Some(2000), Some(2001), Some(5)]);
    let path = file(&site, "rows.parquet", vec![("id", integers(0..5)), ("t", Arc::new(times))]);
    let mut options = UploadOptions::new(Site::table(), [path]);
    let error = site.refused(options.clone());
    assert!(error.contains("rows.parquet: row 4, column \"t\": it has nanoseconds"), "{error}");
    assert!(!site.store.was_begun());
    (options.max_rejects, options.partitions) = (2, Some(2));
    let summary = site.upload(options).unwrap();
    assert_eq!((summary.rows, summary.rejected), (3, 2));
    assert_eq!(site.keys(), [vec!["0"], vec!["1", "2"]]);
}

#[test]
fn every_row_bad_is_no_table() {
    let site = Site::new();
    let path = file(&site, "rows.parquet", vec![("id", text(&[None, Some(""), None, None]))]);
    let mut options = UploadOptions::new(Site::table(), [path]);
    options.max_rejects = 10;
    assert!(site.refused(options).contains("every row is bad, so nothing is stored"));
}

#[test]
fn a_folder_is_its_parquet_files_by_name() {
    let site = Site::new();
    std::fs::create_dir(site.path("out")).unwrap();
    site.file("out/_SUCCESS", "");
    file(&site, "out/part-1.parquet", vec![("id", integers([3, 4]))]);
    file(&site, "out/part-0.parquet", vec![("id", integers([1, 2]))]);
    site.upload(UploadOptions::new(Site::table(), [site.path("out")])).unwrap();
    assert_eq!(site.keys().concat(), ["1", "2", "3", "4"]);
    assert_eq!(site.record().origin["file"], "part-0.parquet and 1 more");
    let other = Site::new();
    std::fs::create_dir(other.path("in")).unwrap();
    other.file("in/a.csv", "id\n1\n");
    file(&other, "in/b.parquet", vec![("id", integers([3, 4]))]);
    let error = other.refused(UploadOptions::new(Site::table(), [other.path("in")]));
    assert!(error.contains("\"a.csv\" is CSV, but \"b.parquet\" is Parquet"), "{error}");
}

#[test]
fn pipes_and_compressed_files_may_hold_parquet() {
    let site = Site::new();
    let path = file(&site, "rows.parquet", vec![("id", integers([1, 2, 2, 4]))]);
    let bytes = std::fs::read(&path).unwrap();
    let pipe = site.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let packed = site.file("rows.parquet.zst", zstd::encode_all(&bytes[..], 1).unwrap());
    for source in [pipe.clone(), packed] {
        let writer = (source == pipe).then(|| {
            let (pipe, bytes) = (pipe.clone(), bytes.clone());
            std::thread::spawn(move || std::fs::write(pipe, bytes).unwrap())
        });
        let mut options = UploadOptions::new(Site::table(), [&source]);
        options.scratch = site.path("scratch");
        (options.duplicates, options.if_exists) = (Duplicates::First, Existing::Replace);
        let summary = site.upload(options).unwrap();
        if let Some(writer) = writer {
            writer.join().unwrap();
        }
        assert_eq!((summary.rows, summary.duplicates_dropped), (3, 1));
        assert_eq!(site.keys().concat(), ["1", "2", "4"]);
        assert_eq!(std::fs::read_dir(site.path("scratch")).unwrap().count(), 0);
        assert_eq!(site.record().origin["file"], source.file_name().unwrap().to_str().unwrap());
    }
    // its place is reported with the name that was given
    let mut options = UploadOptions::new(Site::table(), [site.path("rows.parquet.zst")]);
    options.if_exists = Existing::Replace;
    let error = site.upload(options).unwrap_err().to_string();
    assert!(
        error.contains("rows.parquet.zst: row 3, column \"id\": the sample id already occurs at"),
        "{error}"
    );
}

#[test]
fn rows_are_added_to_a_table_with_its_types() {
    let site = Site::new();
    site.upload(site.options("id,x,t\na,1.5,2024-01-31\n")).unwrap();
    let day = Some(19_753);
    let days: ArrayRef = Arc::new(arrow_array::Date32Array::from(vec![day, day, None]));
    let new = |name: &str, x: ArrayRef| {
        let ids = text(&[Some("b"), Some("a"), Some("c")]);
        let path = file(&site, name, vec![("t", days.clone()), ("x", x), ("id", ids)]);
        let mut options = UploadOptions::new(Site::table(), [path]);
        options.if_exists = Existing::Merge;
        options
    };
    let mut options = new("rows.parquet", integers([7, 8, 9]));
    let error = site.upload(options.clone()).unwrap_err().to_string();
    let expected = "rows.parquet: row 2, column \"id\": the table has the sample id already, in its row 1";
    assert!(error.contains(expected), "{error}");
    options.duplicates = Duplicates::Last;
    let summary = site.upload(options).unwrap();
    let merged = summary.merged.unwrap();
    assert_eq!((merged.kept, merged.replaced, merged.added), (0, 1, 3));
    assert_eq!(site.keys().concat(), ["b", "a", "c"]);
    let x: Vec<f64> = site
        .parts()
        .concat()
        .iter()
        .flat_map(|batch| batch.column(1).as_primitive::<Float64Type>().values().to_vec())
        .collect();
    assert_eq!(x, [7.0, 8.0, 9.0]);
    assert!(site.stored().schema.fields()[1].nullable);
    for (values, expected) in [
        (text(&[Some("1"), None, None]), "column \"x\" is Utf8, expected Float64"),
        (
            integers([1, 2, (1 << 53) + 1]),
            "rows.parquet: row 3, column \"x\": it has more digits than a Float64 holds",
        ),
    ] {
        let error = site.upload(new("rows.parquet", values)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn times_of_a_zone_can_be_shown() {
    let site = Site::new();
    let times = TimestampMicrosecondArray::from(vec![1_000_000]).with_timezone("UTC");
    let path = file(&site, "rows.parquet", vec![("id", integers([1])), ("t", Arc::new(times))]);
    site.upload(UploadOptions::new(Site::table(), [path])).unwrap();
    assert_eq!(site.record().preview, [[Some("1".to_owned()), Some("1970-01-01T00:00:01Z".to_owned())]]);
}

#[test]
fn ids_may_be_generated_for_files_without_possible_faults() {
    let site = Site::new();
    let path = file(&site, "rows.parquet", vec![("x", integers([1, 2, 3, 4]))]);
    let mut options = UploadOptions::new(Site::table(), [path]);
    (options.sample_id, options.max_rejects) = (SampleId::Made, 1);
    let summary = site.upload(options).unwrap();
    assert_eq!((summary.rows, summary.rejected), (4, 0));
    assert!(site.keys().concat()[3].ends_with('3'));
    assert_eq!(site.parts().concat().iter().map(|batch| batch.column(1).len()).sum::<usize>(), 4);
}
