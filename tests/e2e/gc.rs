//! `tributary gc`: what was left and is old goes, what is in use or young stays.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::site::{Site, example, kill_at_moments};

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

/// All files below a folder, links aside.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let below = entries.map(|entry| entry.unwrap().path());
    let below = below.filter(|path| !path.is_symlink());
    below.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Output tables of a party's jobs that are stored, and those that a record names.
fn outputs(site: &Site, party: &str) -> (Vec<String>, Vec<String>) {
    let home = site.home().join("parties").join(party);
    let (mut stored, mut recorded) = (Vec::new(), Vec::new());
    for manifest in files(&tables(site, party)).iter().filter(|path| path.ends_with("_manifest.json")) {
        let table =
            manifest.parent().unwrap().strip_prefix(tables(site, party)).unwrap().display().to_string();
        stored.extend(Some(table).filter(|table| !table.starts_with("experiment/")));
    }
    for record in files(&home.join("jobs")).iter().filter(|path| path.ends_with("data.json")) {
        let data: Value = serde_json::from_slice(&fs::read(record).unwrap()).unwrap();
        let names = data.as_array().unwrap().iter().map(|output| &output[1]);
        let text = |name: &Value| {
            format!("{}/{}", name["namespace"].as_str().unwrap(), name["name"].as_str().unwrap())
        };
        recorded.extend(names.map(text).filter(|table| !table.starts_with("experiment/")));
    }
    (stored, recorded)
}

#[test]
fn a_killed_job_leaves_no_records_on_their_way_and_no_tables_that_none_names() {
    let site = Site::with_breast_tables();
    let job = example("breast/job.yaml").display().to_string();
    let start = |number: u32| {
        let id = format!("killed-{number}");
        let command = ["run", "--quiet", "--job-id", &id, &job];
        site.command(&command).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn()
    };
    let mut jobs = Vec::new();
    kill_at_moments(8, |number| start(number).unwrap(), |number, was_killed| jobs.push((number, was_killed)));
    let parties = ["9999", "10000"];
    let is_recorded = |number: u32| {
        let home = site.home().join("parties/9999/jobs").join(format!("killed-{number}"));
        home.join("job.json").is_file() && home.join("guest/psi_0").is_dir()
    };
    // What a kill leaves at moments that are seldom met: a table that is stored and not recorded, records on their way.
    let last = jobs.iter().rev().find(|(number, killed)| *killed && is_recorded(*number));
    let id = last.map_or_else(|| begin_and_kill(&site, &job), |(number, _)| format!("killed-{number}"));
    let home = site.home().join("parties/9999");
    let (from, to) = (tables(&site, "9999").join("experiment/breast_guest"), tables(&site, "9999"));
    let to = to.join(format!("{id}.psi_0/guest.output_data.0"));
    if !to.exists() && !home.join(format!("jobs/{id}/guest/psi_0/data.json")).exists() {
        for file in files(&from) {
            let to = to.join(file.strip_prefix(&from).unwrap());
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, to).unwrap();
        }
    }
    let model = home.join(format!("models/{id}/0/guest/binning_0"));
    fs::create_dir_all(&model).unwrap();
    let on_their_way =
        [home.join(format!("jobs/{id}/guest/psi_0/metrics.json.new")), model.join("output_model.json.old")];
    on_their_way.iter().for_each(|path| fs::write(path, "{").unwrap());

    let before = fs::read(home.join(format!("jobs/{id}/job.json"))).unwrap();
    site.ok(&["gc", "--older-than", "3600"]);
    assert!(on_their_way.iter().all(|path| path.exists()), "too young");
    for file in parties.iter().flat_map(|party| files(&site.home().join("parties").join(party))) {
        make_older(&file, DAY * 2);
    }
    let counted = site.json(&["gc", "--dry-run", "--json"]);
    assert!(on_their_way.iter().all(|path| path.exists()));
    assert!(counted["parties"][1]["files"].as_u64().unwrap() >= 2, "{counted}");
    site.ok(&["gc"]);
    for party in parties {
        let left = files(&site.home().join("parties").join(party));
        // A job that was killed before it was decided whether its outputs count can be continued, and stays as it is.
        let is_open = |path: &PathBuf| {
            let of_job =
                path.ancestors().find(|above| above.parent().is_some_and(|jobs| jobs.ends_with("jobs")));
            let is_prepared = |other: &&PathBuf| {
                other.file_name().is_some_and(|name| name.to_string_lossy().starts_with("prepared_"))
            };
            left.iter().filter(is_prepared).any(|other| of_job.is_some_and(|job| other.starts_with(job)))
        };
        let is_left = |path: &&PathBuf| {
            path.extension().is_some_and(|end| end == "new" || end == "old") && !is_open(path)
        };
        assert_eq!(left.iter().find(is_left), None);
        let (stored, recorded) = outputs(&site, party);
        assert!(
            stored.iter().all(|table| recorded.contains(table)),
            "{party}: {stored:?}, recorded {recorded:?}"
        );
        assert!(
            recorded.iter().all(|table| stored.contains(table)),
            "{party}: {stored:?}, recorded {recorded:?}"
        );
    }
    assert_eq!(fs::read(home.join(format!("jobs/{id}/job.json"))).unwrap(), before);
    site.ok(&["run", "--quiet", "--job-id", "next", &job]);
}

/// A job that was killed once its first tasks had begun.
fn begin_and_kill(site: &Site, job: &str) -> String {
    let mut child = site.command(&["run", "--quiet", "--job-id", "begun", job]).spawn().unwrap();
    crate::site::wait_until("the job begins", || {
        site.home().join("parties/9999/jobs/begun/guest/psi_0").is_dir()
    });
    child.kill().unwrap();
    child.wait().unwrap();
    "begun".to_owned()
}
