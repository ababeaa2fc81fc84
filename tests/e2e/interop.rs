//! Tables exchanged with pandas, DuckDB and Spark themselves: what they write is bound here, what comes out is read by them,
//! and every value and type is compared. Uploaded, it is the same as bound.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::site::{Site, text, top};

/// The environment that `scripts/python.sh` makes; it says where.
fn python() -> PathBuf {
    let output = Command::new(top().join("scripts/python.sh")).arg("--find").output().unwrap();
    let found = text(&output.stdout);
    assert!(
        output.status.success(),
        "no Python with pandas, DuckDB and Spark: run scripts/python.sh, as `make test` does\n{}",
        text(&output.stderr)
    );
    found.trim().into()
}

fn exchange(python: &Path, command: &str, folder: &Path) -> String {
    let script = top().join("tests/e2e/interop/exchange.py");
    let output = Command::new(python).arg(script).arg(command).arg(folder).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", text(&output.stderr));
    said
}

/// A file that was uploaded, and then added to itself, has the rows that it has where it is bound.
fn check_upload(site: &Site, name: &str, file: &str) {
    let uploaded = format!("{name}-uploaded");
    let rows = |name: &str| {
        let table = ["-p", "1", "-ns", "exchange", "-n", name];
        site.ok(&[&["data", "download"], &table[..], &["-o", "-", "--null", "<missing>"]].concat())
    };
    let upload = ["data", "upload", "-p", "1", "-ns", "exchange", "-n", &uploaded, "--file", file];
    for more in [&[][..], &["--if-exists", "merge", "--duplicates", "last"]] {
        site.ok(&[&upload[..], more].concat());
        assert!(rows(&uploaded) == rows(name), "{name} {more:?}");
    }
}

#[test]
fn tables_of_pandas_duckdb_and_spark_bind_here_and_ours_open_there() {
    let (site, python) = (Site::default(), python());
    let folder = site.home().join("exchange");
    exchange(&python, "write", &folder);

    let entries =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> =
        entries.filter_map(|name| name.strip_suffix(".expected.json").map(str::to_owned)).collect();
    names.sort();
    assert_eq!(names.len(), 9, "{names:?}");
    for name in &names {
        let (file, spark) = (folder.join(format!("{name}.parquet")), folder.join(name));
        let file = if file.exists() { file } else { spark }.display().to_string();
        let table = ["-p", "1", "-ns", "exchange", "-n", name.as_str()];
        site.ok(&[&["table", "bind"], &table[..], &["--file", &file, "--partitions", "3"]].concat());
        site.ok(&[&["table", "verify"], &table[..]].concat());
        for format in ["arrow", "parquet"] {
            let back = folder.join(format!("{name}.back.{format}")).display().to_string();
            site.ok(&[&["data", "download"], &table[..], &["-o", &back]].concat());
        }
        check_upload(&site, name, &file);
    }

    // A stored table's own folder, as the store's page says it is opened.
    let file = folder.join("stored.csv").display().to_string();
    let table = ["-p", "1", "-ns", "exchange", "-n", "stored"];
    site.ok(&[&["data", "upload"], &table[..], &["--file", &file, "--nulls", "NA"]].concat());
    let current = site.home().join("parties/1/tables/exchange/stored/current");
    std::os::unix::fs::symlink(&current, folder.join("stored")).unwrap();

    let said = exchange(&python, "check", &folder);
    assert!(said.contains("42 comparisons"), "{said}");
}
