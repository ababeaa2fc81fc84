//! Whole uploads: partitions, duplicates, several files, existing tables, crashes, cancelling, deleting.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{self, Either};
use proptest::prelude::*;
use tributary_catalog::delete;
use tributary_core::ErrorKind;
use tributary_core::layout::Layout;
use tributary_ingest::{Duplicates, Existing, Pass, Progress, SampleId, UploadOptions, upload};

use crate::site::Site;

#[test]
fn rows_are_cut_in_file_order_into_parts_of_nearly_equal_length() {
    let site = Site::new();
    let mut options = site.options("id,x\na,1\nb,2\nc,3\nd,4\ne,5\n");
    options.partitions = Some(3);
    let summary = site.upload(options).unwrap();
    assert_eq!(site.keys(), [vec!["a"], vec!["b", "c"], vec!["d", "e"]]);
    assert_eq!((summary.rows, summary.partitions, summary.duplicates_dropped), (5, 3, 0));
    let record = site.record();
    assert_eq!((record.rows, record.layout, record.engine.as_str()), (5, Layout::Loose(3), "memory"));
    assert_eq!(record.schema, site.stored().schema);
    assert_eq!(record.origin["file"], "table.csv");
    assert_eq!(record.preview[4], [Some("e".to_owned()), Some("5".to_owned())]);
}

#[test]
fn there_may_be_more_partitions_than_rows() {
    let site = Site::new();
    let mut options = site.options("id,x\na,1\nb,2\n");
    options.partitions = Some(5);
    site.upload(options).unwrap();
    assert_eq!(site.keys().concat(), ["a", "b"]);
    assert_eq!(site.keys().len(), 5);
}

#[test]
fn the_preview_is_bounded_and_can_be_switched_off() {
    let site = Site::new();
    let mut text = String::from("id,x\n");
    (0..300).for_each(|i| text.push_str(&format!("{i},{}\n", "y".repeat(1000))));
    let mut options = site.options(&text);
    options.preview_rows = 1000;
    site.upload(options.clone()).unwrap();
    let preview = site.record().preview;
    assert_eq!(preview.len(), 100);
    assert_eq!(preview[99][0].as_deref(), Some("99"));
    assert_eq!(preview[0][1].as_ref().unwrap().chars().count(), 201);

    options.preview_rows = 0;
    options.if_exists = Existing::Replace;
    site.upload(options).unwrap();
    assert!(site.record().preview.is_empty());
}

#[test]
fn duplicates_are_refused_or_the_first_or_last_is_kept() {
    let text = "id,x\na,1\nb,2\na,3\nc,4\nb,5\na,6\n";
    for (rule, keys, firsts) in
        [(Duplicates::First, ["a", "b", "c"], "1 2 4"), (Duplicates::Last, ["c", "b", "a"], "4 5 6")]
    {
        let site = Site::new();
        let mut options = site.options(text);
        (options.duplicates, options.partitions) = (rule, Some(2));
        let summary = site.upload(options).unwrap();
        assert_eq!(site.keys().concat(), keys);
        assert_eq!((summary.rows, summary.duplicates_dropped), (3, 3));
        let shown: Vec<String> = site.record().preview.iter().map(|row| row[1].clone().unwrap()).collect();
        assert_eq!(shown.join(" "), firsts);
    }
    let site = Site::new();
    let error = site.refused(site.options(text));
    assert!(error.contains("table.csv:4: column 1 (\"id\")"), "{error}");
    assert!(error.contains("already occurs at table.csv:2 (3 such rows in all)"), "{error}");
}

#[test]
fn several_files_are_one_table_if_their_headers_agree() {
    let site = Site::new();
    let first = site.file("1.csv", "id,x\na,1\nb,2");
    let second = site.file("2.csv", "\u{feff}id,x\r\nc,3\r\n");
    let third = site.file("3.csv", "id,x\n");
    let mut options = UploadOptions::new(Site::table(), [&first, &second, &third]);
    options.partitions = Some(2);
    site.upload(options.clone()).unwrap();
    assert_eq!(site.keys(), [vec!["a"], vec!["b", "c"]]);
    assert_eq!(site.record().origin["file"], "1.csv and 2 more");

    options.if_exists = Existing::Replace;
    site.file("2.csv", "id,z\nc,3\n");
    let error = site.upload(options.clone()).unwrap_err().to_string();
    assert!(error.ends_with("2.csv:1: column 2 is \"z\", expected \"x\""), "{error}");
    site.file("2.csv", "id,x\nb,3\n");
    let error = site.upload(options).unwrap_err().to_string();
    assert!(
        error.contains("2.csv:2: ") && error.contains("already occurs at") && error.contains("1.csv:3"),
        "{error}"
    );
}

#[test]
fn an_existing_table_is_refused_or_replaced() {
    let site = Site::new();
    let mut options = site.options("id,x\na,1\n");
    site.upload(options.clone()).unwrap();
    let error = site.upload(options.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    site.file("table.csv", "id,z\nb,text\n");
    options.if_exists = Existing::Replace;
    site.upload(options).unwrap();
    assert_eq!(site.keys().concat(), ["b"]);
    assert_eq!(site.record().schema.fields()[0].name, "z");
}

#[test]
fn after_a_crash_between_table_and_record_the_table_can_be_replaced_or_deleted() {
    let site = Site::new();
    let mut options = site.options("id,x\na,1\n");
    let crash = |options: &UploadOptions| {
        site.records.refuses.store(true, Ordering::Relaxed);
        let error = site.upload(options.clone()).unwrap_err();
        assert!(error.to_string().contains("is at memory://experiment/table, but not recorded"), "{error}");
    };
    crash(&options);
    let error = site.upload(options.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("left by an interrupted upload"), "{error}");
    block_on(delete(&site.storage, &site.meta, &Site::table())).unwrap();

    crash(&options);
    options.if_exists = Existing::Replace;
    site.upload(options.clone()).unwrap();
    assert_eq!(site.record().rows, 1);

    // an interrupted replacement: the record is old, the rows are new, and the next replacement repairs it
    site.file("table.csv", "id,x\na,1\nb,2\n");
    crash(&options);
    assert_eq!((site.record().rows, site.stored().rows()), (1, 2));
    site.upload(options).unwrap();
    assert_eq!(site.record().rows, 2);
}

#[test]
fn a_failed_write_leaves_nothing() {
    let site = Site::new();
    site.store.refuses_parts.store(true, Ordering::Relaxed);
    let error = site.refused(site.options("id,x\na,1\nb,2\n"));
    assert!(error.ends_with("the disk is full"), "{error}");
}

#[test]
fn a_file_that_changes_between_the_passes_is_refused() {
    let site = Site::new();
    let options = site.options("id,x\na,1\nb,2\n");
    let path = options.files[0].clone();
    let report = move |progress: Progress| {
        if progress.pass == Pass::Write && progress.rows == 0 {
            std::fs::write(&path, "id,x\na,1\n").unwrap();
        }
    };
    let error = block_on(upload(&site.storage, &site.meta, options, report)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().ends_with("changed while it was read; try again"), "{error}");
    assert_eq!(site.store.leftovers(), 0);
}

#[test]
fn a_table_is_deleted_with_its_record_and_only_once() {
    let site = Site::new();
    site.upload(site.options("id,x\na,1\n")).unwrap();
    let delete = || block_on(delete(&site.storage, &site.meta, &Site::table()));
    // the record cannot be removed now: the next attempt finds no rows, and continues
    site.records.refuses.store(true, Ordering::Relaxed);
    assert_eq!(delete().unwrap_err().kind(), ErrorKind::Unavailable);
    delete().unwrap();
    let error = delete().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "delete table experiment/table: there is no such table");
    site.upload(site.options("id,x\na,1\n")).unwrap();
}

#[test]
fn progress_counts_rows_and_bytes_of_both_passes() {
    let site = Site::new();
    let mut text = String::from("id,x\n");
    (0..10_000).for_each(|i| text.push_str(&format!("{i},{i}\n")));
    let seen = Arc::new(Mutex::new(Vec::<Progress>::new()));
    let sink = seen.clone();
    let report = move |progress| sink.lock().unwrap().push(progress);
    block_on(upload(&site.storage, &site.meta, site.options(&text), report)).unwrap();
    let seen = seen.lock().unwrap();
    for pass in [Pass::Check, Pass::Write] {
        let of_stage: Vec<&Progress> = seen.iter().filter(|progress| progress.pass == pass).collect();
        assert!(
            of_stage.windows(2).all(|pair| pair[0].rows <= pair[1].rows && pair[0].bytes <= pair[1].bytes)
        );
        let last = of_stage.last().unwrap();
        assert_eq!((last.rows, last.total_bytes), (10_000, text.len() as u64));
        assert!(last.bytes <= last.total_bytes && last.bytes + 10 > last.total_bytes, "{last:?}");
    }
}

#[test]
fn an_upload_whose_future_is_dropped_stops_and_leaves_nothing() {
    let site = Site::new();
    let mut text = String::from("id,x\n");
    (0..50_000).for_each(|i| text.push_str(&format!("{i},{i}\n")));
    let reports = Arc::new(AtomicU64::new(0));
    let (begun, wait) = std::sync::mpsc::channel();
    let (go_on, gate) = std::sync::mpsc::channel::<()>();
    let (count, gate) = (reports.clone(), Mutex::new(gate));
    let report = move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        // the first report holds the upload until the test has dropped it
        if begun.send(()).is_ok() {
            gate.lock().unwrap().recv().ok();
        }
    };
    let (storage, meta, options) = (site.storage.clone(), site.meta.clone(), site.options(&text));
    let running = async move { upload(&storage, &meta, options, report).await }.boxed();
    let started = block_on(future::select(running, future::ready(())));
    let Either::Right((_, running)) = started else { panic!("the upload cannot be done already") };
    wait.recv().unwrap();
    drop(running);
    drop(go_on);
    // the upload's thread drops its report, and with it its end of the channel, when it ends
    while wait.recv().is_ok() {}
    assert_eq!(site.store.leftovers(), 0);
    assert!(block_on(site.meta.get(&Site::table())).unwrap().is_none());
    assert!(reports.load(Ordering::Relaxed) < 5, "the upload continued");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_kept_row_comes_once_in_order_for_any_split(
        ids in proptest::collection::vec(0u32..3000, 1..9000),
        partitions in 1u32..9,
        last in any::<bool>(),
    ) {
        let site = Site::new();
        let mut text = String::from("id,x\n");
        for (row, id) in ids.iter().enumerate() {
            text.push_str(&format!("p{id},{row}\n"));
        }
        let mut options = site.options(&text);
        options.partitions = Some(partitions);
        options.duplicates = if last { Duplicates::Last } else { Duplicates::First };
        let summary = site.upload(options.clone()).unwrap();

        let mut seen = std::collections::HashSet::new();
        let rows: Vec<u32> = if last { ids.iter().rev().copied().collect() } else { ids.clone() };
        let mut expected: Vec<String> =
            rows.iter().filter(|id| seen.insert(**id)).map(|id| format!("p{id}")).collect();
        if last {
            expected.reverse();
        }
        prop_assert_eq!(summary.duplicates_dropped, (ids.len() - expected.len()) as u64);
        prop_assert_eq!(site.keys().concat(), expected);
        let lengths: Vec<usize> = site.keys().iter().map(Vec::len).collect();
        prop_assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1);

        options.sample_id = SampleId::Made;
        options.if_exists = Existing::Replace;
        site.upload(options).unwrap();
        prop_assert_eq!(site.stored().rows(), ids.len() as u64);
    }
}
