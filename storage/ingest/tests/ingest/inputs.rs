//! Where rows come from: patterns, compressed files, pipes; and files too large for one chunk.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;

use arrow_array::cast::AsArray;
use tributary_core::ErrorKind;
use tributary_ingest::{Duplicates, UploadOptions, ValueType};

use crate::site::Site;

fn gzip(text: &str) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(text.as_bytes()).unwrap();
    out.finish().unwrap()
}

#[test]
fn a_pattern_is_all_its_files_and_each_may_be_compressed() {
    let site = Site::new();
    site.file("part-3.csv", "id,x\nc,3\n");
    site.file("part-1.csv", gzip("\u{feff}id,x\na,1\n"));
    site.file("part-2.csv", zstd::encode_all(&b"id,x\nb,2\n"[..], 3).unwrap());
    let mut options = UploadOptions::new(Site::table(), [site.path("part-*.csv")]);
    options.scratch = site.path("scratch");
    site.upload(options).unwrap();
    assert_eq!(site.keys().concat(), ["a", "b", "c"]);
    assert_eq!(site.record().origin["file"], "part-1.csv and 2 more");
    assert_eq!(std::fs::read_dir(site.path("scratch")).unwrap().count(), 0);
}

#[test]
fn a_fault_in_a_compressed_file_is_reported_with_its_line() {
    let site = Site::new();
    let path = site.file("rows.csv.gz", gzip("id,x\na,1\nb\n"));
    let error = site.refused(UploadOptions::new(Site::table(), [path]));
    assert!(error.ends_with("rows.csv.gz:3: 1 values, expected 2"), "{error}");
}

#[test]
fn a_pipe_is_read_once_and_becomes_a_table() {
    let site = Site::new();
    let pipe = site.path("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let writer = std::thread::spawn({
        let pipe = pipe.clone();
        move || std::fs::write(pipe, "id,x\na,1\nb,2\n").unwrap()
    });
    site.upload(UploadOptions::new(Site::table(), [pipe])).unwrap();
    writer.join().unwrap();
    assert_eq!(site.keys().concat(), ["a", "b"]);
}

/// Several megabytes, so that many threads read it, with quoted values over several lines.
fn long_rows(rows: u64) -> String {
    let mut text = String::from("id,n,text\n");
    for i in 0..rows {
        match i % 7 {
            0 => writeln!(text, "r{i},{i},\"line one, \"\"{i}\"\"\nline two\""),
            1 => writeln!(text, "r{i},{i},\"\"\n"),
            _ => writeln!(text, "r{i},{i},plain {i}"),
        }
        .unwrap();
    }
    text
}

#[test]
fn a_file_that_many_threads_read_keeps_its_order_and_its_lines() {
    const ROWS: u64 = 200_000;
    let site = Site::new();
    let text = long_rows(ROWS);
    assert!(text.len() > 4 << 20);
    let mut options = site.options(&text);
    options.sort_bytes = 1 << 16; // ids are sorted on disk
    options.scratch = site.path("scratch");
    let summary = site.upload(options.clone()).unwrap();
    assert_eq!(summary.rows, ROWS);
    let keys = site.keys().concat();
    assert!(keys.iter().enumerate().all(|(i, key)| *key == format!("r{i}")));
    let parts = site.parts();
    let last = parts.last().unwrap().last().unwrap();
    let texts = last.column(2).as_string::<i32>();
    let row = (0..last.num_rows()).rfind(|row| texts.value(*row).contains("two")).unwrap();
    let number = last.column(1).as_primitive::<arrow_array::types::Int64Type>().value(row);
    assert_eq!(texts.value(row), format!("line one, \"{number}\"\nline two"));

    // the line of a fault far inside is that of the file
    let bad = text.replace(&format!("\nr{},", ROWS - 1), "\nbad\nr0,");
    let line = bad[..bad.find("\nbad\n").unwrap()].matches('\n').count() + 2;
    let (path, other) = (site.file("bad.csv", &bad), Site::new());
    let error = other.refused(UploadOptions::new(Site::table(), [&path]));
    assert!(error.ends_with(&format!("bad.csv:{line}: 1 values, expected 3")), "{error}");
    // and so is the line of a repeated id after a rejected row
    options.files = vec![path];
    options.max_rejects = 1;
    let error = other.refused(options.clone());
    let again = format!("bad.csv:{}: column 1 (\"id\"): the sample id already occurs", line + 1);
    assert!(error.contains(&again) && error.contains("--max-rejects 1"), "{error}");
    (options.max_rejects, options.duplicates) = (1, Duplicates::Last);
    let summary = other.upload(options).unwrap();
    assert_eq!((summary.rows, summary.rejected, summary.duplicates_dropped), (ROWS - 1, 1, 1));
    assert_eq!(other.keys().concat().last().unwrap(), "r0");
}

#[test]
fn a_wrong_value_in_row_nine_million_is_reported_before_anything_is_written() {
    let site = Site::new();
    let mut text = String::with_capacity(120 << 20);
    text.push_str("id,x\n");
    for i in 0..9_000_000 {
        writeln!(text, "{i},1").unwrap();
    }
    text.push_str("last,one\n");
    let mut options = site.options(&text);
    options.columns.entry("x".into()).or_default().value_type = Some(ValueType::Int32);
    options.scratch = site.path("scratch");
    let error = site.refused(options.clone());
    assert!(
        error.contains("table.csv:9000002: column 2 (\"x\"): text, expected an integer of 32 bits"),
        "{error}"
    );
    assert!(!site.store.was_begun(), "a write to the store was begun");
    // an inferred type depends on all rows, and its note names the place that decided
    options.columns.clear();
    let note = site.upload(options).unwrap().columns[0].note.clone().unwrap();
    assert!(note.contains("holds an integer (") && note.contains("table.csv:9000002)"), "{note}");
}

#[test]
fn a_line_of_a_terabyte_is_refused_without_reading_it() {
    let site = Site::new();
    for begin in ["id,x\na,1\nb,", "id,x\na,1\nb,\"\n"] {
        let path = site.file("long.csv", begin);
        // a sparse file takes no disk space, but hours to read
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let error = site.refused(UploadOptions::new(Site::table(), [path]));
        assert!(error.contains("long.csv:3: the row that begins here is longer than"), "{error}");
    }
}

#[test]
fn a_failure_to_create_a_temporary_file_is_reported() {
    let site = Site::new();
    let path = site.file("rows.csv.gz", gzip("id,x\na,1\n"));
    let mut options = UploadOptions::new(Site::table(), [path]);
    options.scratch = "/proc/nowhere".into();
    let error = site.upload(options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("make a temporary file in /proc/nowhere"), "{error}");
}
