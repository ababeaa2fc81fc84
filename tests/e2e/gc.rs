//! `tributary gc`: what was left and is old goes, what is in use or young stays.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::site::Site;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn tables(site: &Site, party: &str) -> PathBuf {
    site.home().join("parties").join(party).join("tables")
}

/// What an upload leaves when its process is killed.
fn plant(folder: &Path, age: Duration) -> PathBuf {
    let attempt = folder.join("_snapshots/00112233445566778899aabbccddeeff");
    fs::create_dir_all(&attempt).unwrap();
    let part = attempt.join("part-00000-0123456789abcdef.parquet");
    fs::write(&part, "PAR1").unwrap();
    make_older(&part, age);
    part
}

fn make_older(path: &Path, age: Duration) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(file.metadata().unwrap().modified().unwrap() - age).unwrap();
}

fn parts(folder: &Path) -> usize {
    fs::read_dir(folder.join("_snapshots")).unwrap().count()
}

#[test]
fn what_is_old_goes_after_a_dry_run_that_only_counts_it() {
    let site = Site::with_breast_tables();
    let table = tables(&site, "9999").join("experiment/breast_guest");
    let (old, young) = (plant(&table, DAY * 2), plant(&tables(&site, "10000").join("n/t"), DAY / 2));
    let before = site.ok(&["table", "verify", "-p", "9999", "-ns", "experiment", "--name", "breast_guest"]);

    let counted = site.json(&["gc", "--dry-run", "--json"]);
    assert_eq!(counted["dry_run"], true);
    assert_eq!(counted["parties"][0]["party"], "10000");
    assert_eq!(counted["parties"][0]["files"], 0);
    assert_eq!((&counted["parties"][1]["files"], &counted["parties"][1]["bytes"]), (&1.into(), &4.into()));
    assert!(old.exists());

    let said = site.ok(&["gc"]);
    assert!(said.contains("party 9999: removed 1 file (4 B)"), "{said}");
    assert!(said.contains("party 10000: removed 0 files"), "{said}");
    assert!(!old.exists() && young.exists());
    let after = site.ok(&["table", "verify", "-p", "9999", "-ns", "experiment", "--name", "breast_guest"]);
    assert_eq!(after, before);
    site.ok(&["gc", "--older-than", "3600"]);
    assert!(!young.exists());
    assert!(site.fails(2, &["gc", "--older-than", "10"]).contains("300"));
}

#[test]
fn a_replaced_table_and_a_table_that_cannot_be_read() {
    let site = Site::default();
    site.upload("9999", "breast_guest", &["--label", "y"]);
    site.upload("9999", "breast_guest", &["--label", "y", "--if-exists", "replace"]);
    let table = tables(&site, "9999").join("experiment/breast_guest");
    assert_eq!(parts(&table), 2, "the replaced one may be read");
    site.ok(&["gc"]);
    assert_eq!(parts(&table), 2);
    for part in fs::read_dir(table.join("_snapshots")).unwrap() {
        for file in fs::read_dir(part.unwrap().path()).unwrap() {
            make_older(&file.unwrap().path(), DAY * 2);
        }
    }
    make_older(&table.join("_manifest.json"), DAY * 2);
    site.ok(&["gc"]);
    assert_eq!(parts(&table), 1);
    site.ok(&["table", "verify", "-p", "9999", "-ns", "experiment", "--name", "breast_guest"]);

    fs::write(table.join("_manifest.json"), "{}").unwrap();
    let said = site.fails(1, &["gc"]);
    assert!(said.contains("not cleaned up") && said.contains("experiment/breast_guest"), "{said}");
    assert_eq!(parts(&table), 1);
}

#[test]
fn a_home_without_parties_has_nothing_to_clean_up() {
    let site = Site::default();
    assert!(site.ok(&["gc"]).contains("no party"));
    assert_eq!(site.json(&["gc", "--json"])["parties"].as_array().unwrap().len(), 0);
}
