//! Uploads as users meet them: what goes wrong, and what is left when it does.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use futures::TryStreamExt;
use futures::executor::block_on;
use tributary_core::storage::Storage;
use tributary_core::{ErrorKind, TableName};

use crate::site::{Site, binary, kill_at_moments, text};

const UPLOAD: [&str; 8] = ["data", "upload", "-p", "9999", "-ns", "n", "--name", "t"];

fn upload<'a>(file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&UPLOAD[..], &["--file", file], more].concat()
}

/// Rows whose second column is the same number in all of them.
fn rows(count: u32, number: u32) -> String {
    let mut csv = String::from("id,n,text\n");
    (0..count).for_each(|i| csv.push_str(&format!("r{i},{number},some words to fill a row with {i}\n")));
    csv
}

/// The number that all rows of the table have, and how many there are; none if there is no table.
fn stored(home: &Path) -> Option<(i64, u64)> {
    let storage = tributary_file::storage(&home.join("parties/9999/tables")).unwrap();
    let uri = storage.locate(&TableName::new("n", "t").unwrap()).unwrap();
    let table = match block_on(storage.open(&uri)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        table => table.unwrap(),
    };
    block_on(storage.verify(&table)).unwrap();
    let (mut numbers, mut count) = (std::collections::BTreeSet::new(), 0);
    for partition in 0..table.layout.partitions() {
        let batches: Vec<_> =
            block_on(async { storage.scan(&table, partition).await.unwrap().try_collect().await }).unwrap();
        for batch in batches {
            let column = batch.column(1).as_any().downcast_ref::<arrow_array::Int64Array>().unwrap();
            numbers.extend(column.values());
            count += batch.num_rows() as u64;
        }
    }
    assert_eq!(numbers.len(), 1, "a mixture of tables");
    Some((*numbers.first().unwrap(), count))
}

fn temporary_files(site: &Site) -> usize {
    std::fs::read_dir(site.home().join("parties/9999/tmp")).map_or(0, |entries| entries.count())
}

#[test]
fn killed_at_any_time_the_old_table_or_the_new_one_is_there_and_the_next_upload_works() {
    const ROWS: u32 = 30_000;
    const KILLS: u32 = 50;
    let site = Site::default();
    // compressed, so that there is a temporary file to be left
    let path = site.home().join("rows.csv.zst");
    let file = |number| {
        let packed = zstd::encode_all(rows(ROWS + number, number).as_bytes(), 1).unwrap();
        std::fs::write(&path, packed).unwrap();
    };
    let replace = ["--if-exists", "replace", "--partitions", "3"];
    file(0);
    let path = path.display().to_string();
    site.ok(&upload(&path, &replace));
    let mut last = 0;
    let start = |kill| {
        file(kill);
        site.command(&upload(&path, &replace)).stdout(Stdio::null()).spawn().unwrap()
    };
    kill_at_moments(KILLS, start, |kill, _| {
        let (number, count) = stored(site.home()).unwrap();
        assert!(number == last || number == i64::from(kill), "{number} after {last}, kill {kill}");
        assert_eq!(count, u64::from(ROWS) + number as u64);
        assert_eq!(temporary_files(&site), 0);
        last = number;
    });
    file(77);
    site.ok(&upload(&path, &replace));
    assert_eq!(stored(site.home()), Some((77, u64::from(ROWS) + 77)));
    let record = site.json(&["table", "query", "-p", "9999", "-ns", "n", "-n", "t", "--json"]);
    assert_eq!(record["rows"], ROWS + 77);
}

#[test]
fn of_two_uploads_of_one_name_at_once_one_is_stored() {
    for (more, allowed) in [(&[][..], [0, 4]), (&["--if-exists", "replace"], [0, 5])] {
        let site = Site::default();
        let files = [1, 2].map(|number| site.write(&format!("{number}.csv"), &rows(20_000 * number, number)));
        let start = |file: &String| {
            let mut command = site.command(&upload(file, more));
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let outputs = [start(&files[0]), start(&files[1])].map(|child| child.wait_with_output().unwrap());
        let codes = outputs.each_ref().map(|output| output.status.code().unwrap());
        let shown = outputs.each_ref().map(|output| text(&output.stderr)).join("");
        assert!(codes.contains(&0) && codes.iter().all(|code| allowed.contains(code)), "{codes:?} {shown}");
        let (number, count) = stored(site.home()).unwrap();
        assert_eq!(count, 20_000 * number as u64);
        if more.is_empty() {
            assert_eq!(codes[number as usize - 1], 0, "{shown}");
        }
    }
}

/// Runs a command below a limit of this many KiB for each file that it writes.
fn limited(site: &Site, kib: u32, arguments: &[&str]) -> Output {
    // a write beyond the limit is an error instead of a signal
    let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
    let mut command = Command::new("bash");
    command.args(["-c", &script, &binary().display().to_string()]).args(arguments);
    command.env("TRIBUTARY_HOME", site.home()).output().unwrap()
}

#[test]
fn a_disk_that_is_full_leaves_the_old_table() {
    let site = Site::default();
    let old = site.write("old.csv", &rows(100, 1));
    site.ok(&upload(&old, &[]));
    let mut csv = String::from("id,n\n");
    (0..200_000_u64).for_each(|i| csv.push_str(&format!("{:x},2\n", i.wrapping_mul(0x9E37_79B9_7F4A_7C15))));
    let new = site.write("new.csv", &csv);
    let output = limited(&site, 200, &upload(&new, &["--if-exists", "replace"]));
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("write partition") && message.contains("File too large"), "{message}");
    assert_eq!(stored(site.home()), Some((1, 100)));
    // what is compressed needs room before the table does
    let packed = site.home().join("new.csv.zst");
    std::fs::write(&packed, zstd::encode_all(csv.as_bytes(), 1).unwrap()).unwrap();
    let output = limited(&site, 200, &upload(&packed.display().to_string(), &["--if-exists", "replace"]));
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("to a temporary file in") && message.contains("File too large"), "{message}");
    assert_eq!((stored(site.home()), temporary_files(&site)), (Some((1, 100)), 0));
    site.ok(&upload(&new, &["--if-exists", "replace"]));
    assert_eq!(stored(site.home()), Some((2, 200_000)));
}

#[test]
fn no_permission_is_reported_with_the_path() {
    // root may do anything, so another user runs it then
    let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let allow = |name: &str, mode: u32| {
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow("", 0o755);
    let program = path("tributary");
    if std::fs::hard_link(binary(), &program).is_err() {
        std::fs::copy(binary(), &program).unwrap();
    }
    for (name, mode) in [("closed.csv", 0o000), ("open.csv", 0o644)] {
        std::fs::write(path(name), "id,n\na,1\n").unwrap();
        allow(name, mode);
    }
    for (name, mode) in [("home", 0o777), ("closed", 0o555)] {
        std::fs::create_dir(path(name)).unwrap();
        allow(name, mode);
    }
    let run = |home: &str, file: &str, more: &[&str]| {
        let mut command = Command::new(&program);
        let file = path(file).display().to_string();
        command.args(upload(&file, more)).env("TRIBUTARY_HOME", path(home)).current_dir(folder.path());
        if is_root {
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().unwrap();
        (output.status.code().unwrap(), text(&output.stderr))
    };
    let denied = |(code, message): (i32, String), path: &str| {
        assert_eq!(code, 1, "{message}");
        assert!(message.contains(path) && message.contains("Permission denied"), "{message}");
    };
    denied(run("home", "closed.csv", &[]), "closed.csv");
    denied(run("closed", "open.csv", &[]), "closed");
    let list = path("closed").join("bad.csv").display().to_string();
    denied(run("home", "open.csv", &["--reject-to", &list]), "bad.csv");
    assert_eq!(run("home", "open.csv", &[]).0, 0);
}

#[test]
fn standard_input_is_a_file_like_any_other_compressed_or_not() {
    let site = Site::default();
    let csv = rows(50_000, 3);
    let packed = zstd::encode_all(csv.as_bytes(), 1).unwrap();
    let parquet = site.home().join("rows.parquet").display().to_string();
    site.ok(&upload(&site.write("rows.csv", &csv), &[]));
    site.ok(&["data", "download", "-p", "9999", "-ns", "n", "-n", "t", "-o", &parquet]);
    let parquet = std::fs::read(&parquet).unwrap();
    for bytes in [csv.as_bytes(), &packed, &parquet] {
        let arguments = upload("-", &["--if-exists", "replace", "--json"]);
        let mut child =
            site.command(&arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(bytes).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(summary["rows"], 50_000);
        assert_eq!(stored(site.home()), Some((3, 50_000)));
        assert_eq!(temporary_files(&site), 0);
    }
    let message = site.fails(2, &upload("-", &["--if-exists", "replace"]));
    assert!(message.contains("standard input is empty"), "{message}");
}

#[test]
fn bad_input_has_its_exit_code_and_says_what_is_expected() {
    let site = Site::default();
    for (content, code, message) in [
        ("", 2, "is empty"),
        ("id,n\n", 2, "has a header, but no rows"),
        ("id,n\na,1\nb,2,3\n", 2, "bad.csv:3: 3 values, expected 2"),
        ("id,n\na,1\na,2\n", 2, "bad.csv:3: column 1 (\"id\"): the sample id already occurs at "),
        ("id,n\na,99999999999999999999\n", 2, "an integer beyond 64 bits"),
        ("id,n\na,\"1\n", 2, "a quote that is never closed"),
    ] {
        let file = site.write("bad.csv", content);
        let shown = site.fails(code, &upload(&file, &[]));
        assert!(shown.contains(message), "{shown}");
    }
    let file = site.write("good.csv", "id,n\na,1\nb,\n");
    for (more, message) in [
        (&["--label", "m"][..], "label \"m\": the file has no such column (did you mean \"n\"?)"),
        (&["--label", "n"], "good.csv:3: column 2 (\"n\"): the label is missing"),
        (&["--types", "n=date"], "good.csv:2: column 2 (\"n\"): an integer, expected a date like 2024-01-31"),
        (&["--types", "n=decimal(50,2)"], "expected 1 to 38 digits"),
        (&["--types", "n=strig"], "unknown type \"strig\" (known: int32"),
        (&["--delimiter", "::"], "expected one character"),
    ] {
        let shown = site.fails(2, &upload(&file, more));
        assert!(shown.contains(message), "{shown}");
    }
    let empty = site.home().join("empty");
    std::fs::create_dir(&empty).unwrap();
    assert!(
        site.fails(2, &upload(&empty.display().to_string(), &[])).contains("it has no Parquet or CSV files")
    );
    assert!(site.fails(3, &upload("no-such.csv", &[])).contains("no-such.csv"));
    assert!(site.fails(3, &upload("no-such-*.csv", &[])).contains("no file matches no-such-*.csv"));
    let conf = site.write("upload.json", r#"{"file": "x.csv", "head": true, "meta": {"lable_name": "y"}}"#);
    let shown = site.fails(2, &["data", "upload", "-p", "9999", "-c", &conf]);
    assert!(shown.contains("lable_name") && shown.contains("label_name"), "{shown}");
    assert_eq!(stored(site.home()), None);
    site.ok(&upload(&file, &[]));
    assert!(site.fails(4, &upload(&file, &[])).contains("--if-exists replace"));
}

#[test]
fn a_dry_run_shows_what_would_be_stored_and_stores_nothing() {
    let site = Site::default();
    let file = site.write("rows.csv", "id,n,c,d\na,1,red,2.50\nb,x,red,3\nc,3,blue,4.125\n");
    let bad = site.home().join("bad.csv").display().to_string();
    let more = [
        "--dry-run",
        "--types",
        "n=int32,c=category,d=decimal(6,2)",
        "--max-rejects",
        "2",
        "--reject-to",
        &bad,
    ];
    let shown = site.ok(&upload(&file, &more));
    assert!(shown.contains("would store n/t: 1 row in 4 partitions; nothing is stored"), "{shown}");
    let found = site.json(&upload(&file, &[&more[..], &["--json"]].concat()));
    assert_eq!((&found["rows"], &found["rejected"]), (&1.into(), &2.into()));
    assert_eq!(found["columns"][1]["purpose"], "Category");
    assert_eq!(found["preview"][0], serde_json::json!(["a", "1", "red", "2.50"]));
    assert_eq!(stored(site.home()), None);
    assert_eq!(std::fs::read_to_string(&bad).unwrap().lines().count(), 3);
    assert_eq!(site.json(&["table", "list", "-p", "9999", "--json"]).as_array().unwrap().len(), 0);
}
