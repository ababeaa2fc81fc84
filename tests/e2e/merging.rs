//! Rows added to tables by commands that are killed, and by several at once.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use arrow_array::Int64Array;
use futures::TryStreamExt;
use futures::executor::block_on;
use tributary_core::TableName;
use tributary_core::storage::Storage;

use crate::site::{Site, kill_at_moments, text};

const TABLE: [&str; 6] = ["-p", "9999", "-ns", "n", "--name", "t"];

fn merge<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["data", "upload"], &TABLE[..], &["--file", file, "--if-exists", "merge"], more].concat()
}

/// Rows of one upload: its number is in their ids and in the second column.
fn rows(site: &Site, number: i64, count: u64) -> String {
    let mut csv = String::from("id,n,text\n");
    (0..count)
        .for_each(|i| csv.push_str(&format!("{number}-{i},{number},some words to fill a row with {i}\n")));
    site.write(&format!("{number}.csv"), &csv)
}

/// How many rows the table has of each upload; every byte of it was looked at.
fn stored(home: &Path) -> BTreeMap<i64, u64> {
    let storage = tributary_file::storage(&home.join("parties/9999/tables")).unwrap();
    let uri = storage.locate(&TableName::new("n", "t").unwrap()).unwrap();
    let table = block_on(storage.open(&uri)).unwrap();
    block_on(storage.verify(&table)).unwrap();
    let mut counts = BTreeMap::new();
    for partition in 0..table.layout.partitions() {
        let batches: Vec<_> =
            block_on(async { storage.scan(&table, partition).await.unwrap().try_collect().await }).unwrap();
        for batch in &batches {
            let numbers = batch.column(1).as_any().downcast_ref::<Int64Array>().unwrap();
            numbers.values().iter().for_each(|number| *counts.entry(*number).or_default() += 1);
        }
    }
    counts
}

#[test]
fn killed_at_any_time_the_old_table_or_the_one_with_all_rows_is_there_and_the_next_merge_works() {
    const ROWS: u64 = 4000;
    const KILLS: u32 = 50;
    let site = Site::default();
    site.ok(&merge(&rows(&site, 0, 20_000), &["--partitions", "3"]));
    let file = rows(&site, 100, ROWS);
    site.ok(&merge(&file, &[]));
    let mut expected = BTreeMap::from([(0, 20_000), (100, ROWS)]);
    let start = |kill: u32| {
        let file = rows(&site, (1000 + kill).into(), ROWS);
        site.command(&merge(&file, &[])).stdout(Stdio::null()).spawn().unwrap()
    };
    kill_at_moments(KILLS, start, |kill, was_killed| {
        let found = stored(site.home());
        if found != expected {
            expected.insert((1000 + kill).into(), ROWS);
            assert_eq!(found, expected, "kill {kill}: a mixture");
        } else {
            assert!(was_killed, "kill {kill}: acknowledged rows are not there");
        }
    });
    site.ok(&merge(&rows(&site, 77, 10), &[]));
    expected.insert(77, 10);
    assert_eq!(stored(site.home()), expected);
    let record = site.json(&[&["table", "query", "--json"], &TABLE[..]].concat());
    assert_eq!(record["rows"], expected.values().sum::<u64>());
    assert_eq!(record["layout"]["Loose"], 3);
}

#[test]
fn of_merges_at_once_all_acknowledged_rows_are_there() {
    const WRITERS: i64 = 3;
    let site = Site::default();
    site.ok(&merge(&rows(&site, 0, 3000), &[]));
    let mut expected = BTreeMap::from([(0, 3000)]);
    let mut conflicts = 0;
    for round in 1..=6 {
        let numbers: Vec<i64> = (1..=WRITERS).map(|writer| round * 10 + writer).collect();
        let files: Vec<String> = numbers.iter().map(|number| rows(&site, *number, 1000)).collect();
        let start = |file: &String| {
            let mut command = site.command(&merge(file, &["--json"]));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<_> = files.iter().map(start).collect();
        for (number, child) in numbers.iter().zip(children) {
            let output = child.wait_with_output().unwrap();
            let message = text(&output.stderr);
            match output.status.code() {
                Some(0) => drop(expected.insert(*number, 1000)),
                Some(5) => {
                    let expected =
                        "the table changed while rows were added; nothing was stored, run it again";
                    assert!(message.contains(expected), "{message}");
                    conflicts += 1;
                }
                code => panic!("{code:?}: {message}"),
            }
        }
        assert_eq!(stored(site.home()), expected, "round {round}");
        let record = site.json(&[&["table", "query", "--json"], &TABLE[..]].concat());
        assert_eq!(record["rows"], expected.values().sum::<u64>(), "the record is that of the last one");
    }
    assert!(conflicts > 0, "no two were at it at once");
}

#[test]
fn what_became_of_the_rows_is_reported() {
    let site = Site::default();
    let file = site.write("rows.csv", "id,n\na,1\nb,2\n");
    site.ok(&merge(&file, &[]));
    let more = site.write("more.csv", "id,n\nb,3\nc,4\n");
    let shown = site.fails(2, &merge(&more, &[]));
    assert!(
        shown.contains("more.csv:2: column 1 (\"id\"): the table has the sample id already, in its row 2"),
        "{shown}"
    );
    let shown = site.ok(&merge(&more, &["--duplicates", "last", "--dry-run"]));
    assert!(shown.contains("1 rows of the table kept, 1 replaced, 2 rows of the files added"), "{shown}");
    // an upload file says it too
    let conf = format!(
        r#"{{"file": {more:?}, "head": true, "namespace": "n", "name": "t", "if_exists": "merge", "duplicates": "first", "meta": {{}}}}"#
    );
    let conf = site.write("upload.json", &conf);
    let summary = site.json(&["data", "upload", "-p", "9999", "-c", &conf, "--json"]);
    assert_eq!(summary["merged"], serde_json::json!({"kept": 2, "replaced": 0, "added": 1}));
    assert_eq!((&summary["rows"], &summary["duplicates_dropped"]), (&3.into(), &1.into()));

    let parquet = site.home().join("rows.parquet").display().to_string();
    site.ok(&[&["data", "download"], &TABLE[..], &["-o", &parquet]].concat());
    let bound = ["-p", "9999", "-ns", "n", "--name", "bound", "--file"];
    site.ok(&[&["table", "bind"], &bound[..], &[&parquet]].concat());
    let arguments = [&["data", "upload"], &bound[..], &[&more, "--if-exists", "merge"]].concat();
    let shown = site.fails(2, &arguments);
    assert!(shown.contains("the table is bound to files elsewhere, which merging would copy"), "{shown}");
}
