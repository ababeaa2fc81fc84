//! Files in an object store and in HDFS, real ones: uploaded from there, bound where they lie, and written there; no copy on this machine.

use serde_json::Value;

#[cfg(feature = "ballista")]
use crate::cluster::Up;
use crate::distant::{Far, HDFS, S3, sections};
use crate::site::{Site, example};

const STORES: [Far; 2] = [S3, HDFS];

/// A site with local tables that may read and write the servers.
fn site() -> Site {
    let site = Site::with_breast_tables();
    site.write("service_conf.yaml", &sections(&site, &[&S3, &HDFS]));
    site
}

fn at<'a>(command: &[&'a str], name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let party = if name.ends_with("host") { "10000" } else { "9999" };
    [command, &["-p", party, "-ns", "experiment", "-n", name], more].concat()
}

fn rows(site: &Site, name: &str, more: &[&str]) -> String {
    site.ok(&at(&["data", "download", "-o", "-"], name, more))
}

#[test]
fn a_table_goes_to_a_store_and_comes_back_uploaded_or_bound() {
    let site = site();
    STORES.iter().for_each(|far| goes_and_comes_back(&site, far));
    let unknown = site.fails(2, &at(&["table", "bind"], "none", &["--file", "gs://bucket/none.csv"]));
    assert!(
        unknown.contains("the party has no store for gs://") && unknown.contains("storage.gcs"),
        "{unknown}"
    );
}

fn goes_and_comes_back(site: &Site, far: &Far) {
    let expected = rows(site, "breast_guest", &[]);
    for name in ["guest.csv", "guest.parquet"] {
        let file = far.address(site, name);
        site.ok(&at(&["data", "download"], "breast_guest", &["-o", &file]));
        let taken = site.fails(4, &at(&["data", "download"], "breast_guest", &["-o", &file]));
        assert!(taken.contains("the file exists"), "{taken}");
        let written = site.ok(&at(&["data", "download"], "breast_guest", &["-o", &file, "--overwrite"]));
        assert!(written.contains(&format!("wrote {file}: 500 rows")), "{written}");
        let reading = ["--file", file.as_str(), "--label", "y", "--if-exists", "replace"];
        site.ok(&at(&["data", "upload"], "again", &reading));
        assert_eq!(rows(site, "again", &[]), expected);
        let bound = site.ok(&at(&["table", "bind"], "again", &reading));
        assert!(bound.contains("500 rows"), "{bound}");
        assert_eq!(rows(site, "again", &[]), expected);
        assert!(site.ok(&at(&["table", "verify"], "again", &[])).contains("is complete"));
    }
    let none = far.address(site, "none.csv");
    let missing = site.fails(3, &at(&["table", "bind"], "none", &["--file", &none]));
    assert!(missing.contains(&format!("there is no file {none}")), "{missing}");
    let pattern = far.address(site, "gu*.parquet");
    site.ok(&at(
        &["data", "upload"],
        "again",
        &["--file", &pattern, "--label", "y", "--if-exists", "replace"],
    ));
    assert_eq!(rows(site, "again", &[]), expected);
}

/// The tables of the example are files there that are bound.
fn with_bound_files(far: &Far) -> Site {
    let site = site();
    for (name, format, more) in
        [("breast_guest", "csv", &["--label", "y"][..]), ("breast_host", "parquet", &[])]
    {
        let file = far.address(&site, &format!("{name}.{format}"));
        site.ok(&at(&["data", "download"], name, &["-o", &file]));
        let reading = [&["--file", file.as_str(), "--if-exists", "replace"], more].concat();
        site.ok(&at(&["table", "bind"], name, &reading));
    }
    site
}

fn learned(site: &Site) -> (Vec<Value>, Value) {
    site.ok(&["run", "--quiet", "--job-id", "same", &example("breast/job.yaml").display().to_string()]);
    (site.metrics("9999", "guest", "binning_0"), site.model("10000", "host", "binning_0"))
}

#[test]
fn jobs_over_bound_files_give_what_they_give_over_uploaded_tables() {
    let expected = learned(&Site::with_breast_tables());
    for far in &STORES {
        assert_eq!(learned(&with_bound_files(far)), expected, "{}", far.name);
    }
}

/// The executors open the files, by their own configuration.
#[cfg(feature = "ballista")]
#[test]
fn executors_of_a_cluster_read_bound_files_themselves() {
    let expected = learned(&Site::with_breast_tables());
    for far in &STORES {
        let site = with_bound_files(far);
        let up = Up::start(&site);
        let conf = format!("{}{}", up.configuration(), sections(&site, &[far]));
        site.write("service_conf.yaml", &conf);
        assert_eq!(learned(&site), expected, "{}", far.name);
        up.end();
    }
}

fn each_format() -> impl Iterator<Item = (&'static Far, &'static str)> {
    const ALL: &[Far] = &STORES;
    ALL.iter().flat_map(|far| ["csv", "parquet"].map(|format| (far, format)))
}

#[test]
fn a_changed_file_is_an_error_and_never_other_rows() {
    let site = site();
    for (far, format) in each_format() {
        let file = far.address(&site, &format!("changing.{format}"));
        let download = at(&["data", "download"], "breast_guest", &["-o", &file, "--overwrite"]);
        site.ok(&download);
        site.ok(&at(&["table", "bind"], "changing", &["--file", &file, "--if-exists", "replace"]));
        site.ok(&[&download[..], &["--where", "y = 1"]].concat());
        for command in [&["data", "download", "-o", "-"][..], &["table", "verify"]] {
            let message = site.fails(1, &at(command, "changing", &[]));
            assert!(message.contains(&format!("changing.{format}: the file has changed")), "{message}");
            assert!(!message.contains("mean_radius"), "nothing was written: {message}");
        }
    }
}

#[test]
fn keys_of_folders_in_a_store_are_columns() {
    let site = site();
    for (far, format) in each_format() {
        let folder = far.address(&site, &format!("{format}-by-y"));
        for y in ["0", "1"] {
            let condition = format!("y = {y}");
            let file = format!("{folder}/y={y}/part-0.{format}");
            let more = ["-o", file.as_str(), "--where", &condition, "--columns", "id,mean_radius"];
            site.ok(&at(&["data", "download"], "breast_guest", &more));
        }
        let reading = ["--file", folder.as_str(), "--label", "y", "--if-exists", "replace"];
        site.ok(&at(&["table", "bind"], "by_y", &reading));
        let sorted = |text: String| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let expected = sorted(rows(&site, "breast_guest", &["--columns", "id,y,mean_radius"]));
        assert_eq!(sorted(rows(&site, "by_y", &["--columns", "id,y,mean_radius"])), expected, "{format}");
    }
}
