//! A site that moves to a distant store, a real one: its old tables stay where they are, its new ones go there, jobs read and write both.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

#[cfg(feature = "ballista")]
use crate::cluster::Up;
use crate::distant::{Far, HDFS, S3, S3_SERVER, sections};
use crate::site::{Site, example, kill_at_moments};

fn moves_to(site: &Site, stores: &[&Far]) -> String {
    format!("default_engines: {{storage: {}}}\n{}", stores[0].name, sections(site, stores))
}

/// The guest's table was there before the move, the host's came after it.
fn moved_between_uploads(stores: &[&Far]) -> Site {
    let site = Site::default();
    site.upload("9999", "breast_guest", &["--label", "y"]);
    let conf = moves_to(&site, stores);
    site.write("service_conf.yaml", &conf);
    site.upload("10000", "breast_host", &[]);
    site
}

fn engines(site: &Site, party: &str) -> Vec<(String, String)> {
    let list = site.json(&["table", "list", "--party", party, "--json"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let row = |r: &Value| (text(&r["table"]["name"]), text(&r["engine"]));
    list.as_array().unwrap().iter().map(row).collect()
}

fn learned(site: &Site) -> Vec<Value> {
    let mut all = site.metrics("9999", "guest", "binning_0");
    all.push(site.model("9999", "guest", "binning_0"));
    all.push(site.model("10000", "host", "binning_0"));
    all
}

fn run(site: &Site) -> Vec<Value> {
    site.ok(&["run", "--quiet", "--job-id", "one", &example("breast/job.yaml").display().to_string()]);
    learned(site)
}

fn download(site: &Site, party: &str, name: &str) -> Vec<u8> {
    let file = site.home().join("downloaded.csv");
    let at = ["--party", party, "--namespace", "experiment", "--name", name];
    let to = file.display().to_string();
    site.ok(&[&["data", "download"], at.as_slice(), &["--output", &to]].concat());
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    bytes
}

#[test]
fn a_site_that_moves_to_s3_keeps_its_old_tables_and_its_jobs_give_the_same() {
    a_site_that_moves_keeps_its_old_tables(&S3);
}

#[test]
fn a_site_that_moves_to_hdfs_keeps_its_old_tables_and_its_jobs_give_the_same() {
    a_site_that_moves_keeps_its_old_tables(&HDFS);
}

fn a_site_that_moves_keeps_its_old_tables(far: &Far) {
    let stays = Site::with_breast_tables();
    let expected = run(&stays);

    let site = moved_between_uploads(&[far]);
    assert_eq!(run(&site), expected);
    let of_guest = engines(&site, "9999");
    assert!(of_guest.contains(&("breast_guest".into(), "file".into())), "{of_guest:?}");
    assert!(
        of_guest.iter().filter(|(_, engine)| engine == far.name).count() >= 2,
        "its outputs: {of_guest:?}"
    );
    assert!(engines(&site, "10000").iter().all(|(_, engine)| engine == far.name));
    assert!(!site.home().join("parties/10000/tables").exists(), "the host has no local tables");
    for (party, name) in [("9999", "breast_guest"), ("10000", "breast_host")] {
        assert_eq!(download(&site, party, name), download(&stays, party, name), "{name}");
    }
}

#[test]
fn tables_in_s3_are_like_others() {
    tables_of_a_distant_store_are_like_others(&S3);
}

#[test]
fn tables_in_hdfs_are_like_others() {
    tables_of_a_distant_store_are_like_others(&HDFS);
}

fn tables_of_a_distant_store_are_like_others(far: &Far) {
    let site = moved_between_uploads(&[far]);
    let at = |name| ["--party", "10000", "--namespace", "experiment", "--name", name];
    let table =
        |verb: &[&str], name, more: &[&str]| site.ok(&[&["table"], verb, at(name).as_slice(), more].concat());
    let rows = download(&site, "10000", "breast_host");
    assert!(table(&["preview"], "breast_host", &["--rows", "3"]).lines().count() >= 4);
    assert!(table(&["verify"], "breast_host", &[]).contains("is complete"));
    assert!(table(&["query"], "breast_host", &[]).contains(&format!("{}://", far.name)));
    table(&["rename"], "breast_host", &["--to-name", "renamed"]);
    assert_eq!(download(&site, "10000", "renamed"), rows);
    site.upload("10000", "breast_host", &[]);
    site.upload("10000", "breast_host", &["--if-exists", "replace"]);
    assert_eq!(download(&site, "10000", "breast_host"), rows);
    table(&["delete"], "renamed", &[]);
    site.fails(3, &[&["table", "verify"], at("renamed").as_slice()].concat());
    let swept = site.ok(&["gc"]);
    assert!(!swept.contains("error"), "{swept}");
    assert_eq!(download(&site, "10000", "breast_host"), rows);
}

#[test]
fn a_table_goes_from_store_to_store_and_comes_back_the_same() {
    let site = moved_between_uploads(&[&S3, &HDFS]);
    let rows = download(&site, "9999", "breast_guest");
    let copy = |from: &str, to: &str, store: &str| {
        let (from, to) = (format!("experiment/{from}"), format!("experiment/{to}"));
        site.json(&["table", "copy", &from, &to, "--store", store, "--party", "9999", "--json"])
    };
    let query = |name: &str| {
        let at = ["--party", "9999", "--namespace", "experiment", "--name", name, "--json"];
        site.json(&[&["table", "query"], at.as_slice()].concat())
    };
    assert_eq!(copy("breast_guest", "far", "s3")["engine"], "s3");
    assert_eq!(copy("far", "far_too", "s3")["engine"], "s3");
    assert_eq!(copy("far_too", "farther", "hdfs")["engine"], "hdfs");
    assert_eq!(copy("farther", "near", "file")["engine"], "file");
    let original = query("breast_guest");
    for name in ["far", "far_too", "farther", "near"] {
        let found = query(name);
        for key in ["schema", "layout", "rows", "preview"] {
            assert_eq!(found[key], original[key], "{key} of {name}");
        }
        assert_eq!(download(&site, "9999", name), rows, "{name}");
    }
    let taken = ["table", "copy", "experiment/near", "experiment/far", "--party", "9999"];
    assert!(site.fails(4, &taken).contains("exists"));
    let none =
        [&taken[..2], &["experiment/near", "experiment/x", "--store", "azure", "--party", "9999"]].concat();
    assert!(site.fails(2, &none).contains("no store \"azure\", only "));
}

/// Whatever a killed copy left, the next one is whole.
#[test]
fn a_copy_that_is_killed_may_be_begun_again() {
    const KILLS: u32 = 8;
    let site = Site::default();
    site.write("service_conf.yaml", &sections(&site, &[&S3, &HDFS]));
    let csv: String = (0..20_000).map(|row| format!("r{row},{row},text {row}\n")).collect();
    let file = site.write("rows.csv", &format!("id,n,t\n{csv}"));
    let at = |name| ["--party", "9999", "--namespace", "experiment", "--name", name];
    site.ok(
        &[&["data", "upload"], at("original").as_slice(), &["--file", &file, "--partitions", "4"]].concat()
    );
    let rows = download(&site, "9999", "original");
    for store in ["file", "s3", "hdfs"] {
        let copy = [
            "table",
            "copy",
            "experiment/original",
            "experiment/copy",
            "--store",
            store,
            "--party",
            "9999",
            "--quiet",
        ];
        let gone = || site.ok(&[&["table", "delete"], at("copy").as_slice()].concat());
        let start = |_| site.command(&copy).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        kill_at_moments(KILLS, start, |_, was_killed| {
            let known = engines(&site, "9999").iter().any(|(name, _)| name == "copy");
            assert!(known || was_killed, "{store}");
            if !known {
                site.ok(&copy);
            }
            assert_eq!(download(&site, "9999", "copy"), rows, "{store}");
            gone();
        });
    }
    let swept = site.ok(&["gc"]);
    assert!(!swept.contains("error"), "{swept}");
    assert_eq!(download(&site, "9999", "original"), rows);
}

#[test]
fn secrets_of_a_store_are_shown_nowhere() {
    let site = moved_between_uploads(&[&S3]);
    let secret = S3_SERVER.value("S3_SECRET_KEY");
    for arguments in [&["config", "show"][..], &["config", "show", "--json"]] {
        let shown = site.ok(arguments);
        assert!(shown.contains("storage.s3.secret_access_key") && !shown.contains(&secret), "{shown}");
    }
    let conf = moves_to(&site, &[&S3]);
    // a key that is wrong, and one that is not there
    site.write("service_conf.yaml", &conf.replace("access_key_id: tributary", "access_key_id: hunter2"));
    let denied = site.fails(
        1,
        &[
            "data",
            "download",
            "--party",
            "10000",
            "--namespace",
            "experiment",
            "--name",
            "breast_host",
            "--output",
            "-",
        ],
    );
    assert!(denied.contains("refuses the credentials"), "{denied}");
    assert!(!denied.contains(&secret) && !denied.contains("hunter2"), "{denied}");
    site.write("service_conf.yaml", &conf.replace("file:secret", "${TRIBUTARY_NO_SUCH_VARIABLE}"));
    let missing = site.fails(
        2,
        &["table", "verify", "--party", "10000", "--namespace", "experiment", "--name", "breast_host"],
    );
    assert!(
        missing.contains("storage.s3.secret_access_key") && missing.contains("TRIBUTARY_NO_SUCH_VARIABLE"),
        "{missing}"
    );
    let files = files_below(site.home());
    assert!(
        files.iter().all(|(path, bytes)| path.ends_with("secret") || !contains(bytes, &secret)),
        "in a file"
    );
}

fn files_below(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files_below(&path)),
            false => found.push((path.clone(), std::fs::read(&path).unwrap_or_default())),
        }
    }
    found
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[cfg(feature = "ballista")]
#[test]
fn executors_of_a_cluster_read_and_write_s3_themselves() {
    executors_of_a_cluster_read_and_write_it_themselves(&S3);
}

#[cfg(feature = "ballista")]
#[test]
fn executors_of_a_cluster_read_and_write_hdfs_themselves() {
    executors_of_a_cluster_read_and_write_it_themselves(&HDFS);
}

/// The executors find the stores, and the keys, in their own configuration.
#[cfg(feature = "ballista")]
fn executors_of_a_cluster_read_and_write_it_themselves(far: &Far) {
    let stays = Site::with_breast_tables();
    let expected = run(&stays);
    let site = moved_between_uploads(&[far]);
    let up = Up::start(&site);
    let storage = format!("{{computing: spark, storage: {}}}", far.name);
    let cluster = up.configuration().replace("{computing: spark}", &storage);
    site.write("service_conf.yaml", &format!("{cluster}{}", sections(&site, &[far])));
    assert_eq!(run(&site), expected);
    assert!(engines(&site, "10000").iter().all(|(_, engine)| engine == far.name));
    up.end();
}
