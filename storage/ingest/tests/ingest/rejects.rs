//! Bad rows that are left out, counted and listed.

use std::path::Path;

use tributary_core::ErrorKind;
use tributary_ingest::{Duplicates, UploadOptions, ValueType};

use crate::site::Site;

/// Good rows are a, g, h and i; the first b is bad, so that the second may stay.
const ROWS: &[u8] = b"id,y,x\n\
    a,0,1\n\
    b,0\n\
    ,1,1\n\
    \"d\",\"\",\"two\nlines\"\n\
    e,1,\"say \"\"x\"\"\"\r\n\
    f,1,\xE9\n\
    b,1,2\n\
    g,1,3\n\
    a,1,4\n\
    h,1,5\n";

fn options(site: &Site, most: u64) -> UploadOptions {
    let mut options = site.options(ROWS);
    options.label = Some("y".into());
    options.columns.entry("x".into()).or_default().value_type = Some(ValueType::Float64);
    options.max_rejects = most;
    options.reject_to = Some(site.path("bad.csv"));
    options
}

/// The list of bad rows, without the name of the scratch folder.
fn list(path: &Path) -> Vec<[String; 4]> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    assert_eq!(reader.byte_headers().unwrap(), vec!["file", "line", "column", "reason", "row"]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let records = reader.byte_records().map(|record| {
        let record = record.unwrap();
        assert!(text(&record[0]).ends_with("table.csv"));
        [1, 2, 3, 4].map(|i| text(&record[i]))
    });
    records.collect()
}

#[test]
fn bad_rows_are_left_out_and_listed_unchanged_with_their_places() {
    let site = Site::new();
    let summary = site.upload(options(&site, 6)).unwrap();
    assert_eq!((summary.rows, summary.rejected, summary.duplicates_dropped), (4, 6, 0));
    assert_eq!(site.keys().concat(), ["a", "b", "g", "h"]);
    assert_eq!(
        list(&site.path("bad.csv")),
        [
            ["3", "", "2 values, expected 3", "b,0"],
            ["4", "id", "the sample id is missing", ",1,1"],
            ["5", "y", "the label is missing", "\"d\",\"\",\"two\nlines\""],
            ["7", "x", "text, expected a number", "e,1,\"say \"\"x\"\"\""],
            ["8", "x", "text that is not UTF-8; save the file as UTF-8", "f,1,\u{fffd}"],
            ["11", "id", "the sample id already occurs in an earlier row", "a,1,4"],
        ]
    );
    let raw = std::fs::read(site.path("bad.csv")).unwrap();
    assert!(raw.windows(5).any(|bytes| bytes == b"f,1,\xE9"), "its bytes are those of the file");
}

#[test]
fn with_one_bad_row_too_many_nothing_is_stored_but_all_are_listed() {
    let site = Site::new();
    for (most, begin) in [
        (
            5,
            "upload experiment/table: 6 rows are bad, listed in bad.csv, and nothing is stored (--max-rejects 5)",
        ),
        (
            0,
            "upload experiment/table: 5 rows are bad, listed in bad.csv, and nothing is stored (--max-rejects 0)",
        ),
    ] {
        let error = site.refused(options(&site, most));
        assert!(error.starts_with(begin), "{error}");
        assert!(error.ends_with("the first: table.csv:3: 2 values, expected 3"), "{error}");
    }
    // ids are not compared if there are too many bad rows anyway
    assert_eq!(list(&site.path("bad.csv")).len(), 5);
}

#[test]
fn without_a_list_the_first_row_too_many_ends_it() {
    let site = Site::new();
    let mut options = options(&site, 2);
    options.reject_to = None;
    let error = site.refused(options.clone());
    assert_eq!(
        error,
        "upload experiment/table: more than 2 rows are bad (--max-rejects 2): table.csv:5: column 2 (\"y\"): the \
         label is missing"
    );
    options.max_rejects = 10;
    let summary = site.upload(options).unwrap();
    assert_eq!((summary.rows, summary.rejected), (4, 6));
}

#[test]
fn duplicates_that_a_rule_decides_are_no_bad_rows() {
    let site = Site::new();
    let mut options = options(&site, 5);
    options.duplicates = Duplicates::Last;
    let summary = site.upload(options).unwrap();
    assert_eq!((summary.rows, summary.rejected, summary.duplicates_dropped), (4, 5, 1));
    assert_eq!(site.keys().concat(), ["b", "g", "a", "h"]);
}

#[test]
fn faults_of_a_file_are_refused_even_if_bad_rows_are_allowed() {
    let site = Site::new();
    let mut options = site.options("id,x\na,1\nb,\"2\n");
    options.max_rejects = 100;
    assert!(site.refused(options).contains("table.csv:3: column 2 (\"x\"): a quote that is never closed"));
    let mut options = site.options("id,x\na,1\nb,inf\n");
    options.max_rejects = 100;
    assert!(site.refused(options).contains("table.csv:3: column 2 (\"x\"): an infinite number"));
    let mut options = site.options("id,x\na\nb\n");
    options.max_rejects = 100;
    assert!(site.refused(options).contains("every row is bad"));
}

#[test]
fn the_list_never_overwrites_what_is_uploaded() {
    let site = Site::new();
    let mut options = site.options("id,x\na,1\n");
    std::fs::hard_link(site.path("table.csv"), site.path("other.csv")).unwrap();
    for list in ["table.csv", "other.csv"] {
        options.reject_to = Some(site.path(list));
        assert!(
            site.refused(options.clone())
                .contains("the list of bad rows would overwrite table.csv, which is uploaded")
        );
    }
    options.reject_to = Some(site.path("no/such/folder.csv"));
    let error = site.upload(options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("write bad rows to "), "{error}");
}

#[test]
fn there_is_a_list_also_when_no_row_is_bad() {
    let site = Site::new();
    let mut options = site.options("id,x\na,1\n");
    options.reject_to = Some(site.path("bad.csv"));
    site.upload(options).unwrap();
    assert_eq!(list(&site.path("bad.csv")).len(), 0);
}
