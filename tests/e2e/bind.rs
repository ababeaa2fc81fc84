//! Tables that lie elsewhere, and tables that a job reads while somebody wants them gone.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::site::{Site, example};

fn arguments<'a>(command: &[&'a str], party: &'a str, name: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [command, &["-p", party, "-ns", "experiment", "-n", name], more].concat()
}

/// The example's tables as Parquet files beside the home, and bound in place of uploads.
fn with_bound_tables() -> Site {
    let (source, site) = (Site::with_breast_tables(), Site::default());
    for (party, name, more) in
        [("9999", "breast_guest", &["--label", "y"][..]), ("10000", "breast_host", &[])]
    {
        let file = site.home().join(name).with_extension("parquet").display().to_string();
        source.ok(&arguments(&["data", "download"], party, name, &["-o", &file]));
        site.ok(&arguments(&["table", "bind"], party, name, &[&["--file", file.as_str()], more].concat()));
    }
    site
}

#[test]
fn a_job_over_bound_tables_gives_what_it_gives_over_uploaded_ones() {
    let job = example("breast/job.yaml").display().to_string();
    let results = [Site::with_breast_tables(), with_bound_tables()].map(|site| {
        site.ok(&["run", "--quiet", "--job-id", "same", &job]);
        (site.metrics("9999", "guest", "binning_0"), site.model("10000", "host", "binning_0"))
    });
    assert!(results[0] == results[1]);
}

#[test]
fn a_bound_table_is_looked_at_checked_renamed_and_deleted_like_any_other() {
    let site = with_bound_tables();
    let schema = site.json(&arguments(&["table", "schema"], "9999", "breast_guest", &["--json"]));
    assert_eq!(
        (&schema[0]["purpose"], &schema[1]["purpose"], &schema[1]["type"]),
        (&"key".into(), &"label".into(), &"Int32".into())
    );
    let preview =
        site.json(&arguments(&["table", "preview"], "9999", "breast_guest", &["--json", "--rows", "3"]));
    assert_eq!(preview.as_array().unwrap().len(), 3);
    let verified = site.json(&arguments(&["table", "verify"], "9999", "breast_guest", &["--json"]));
    assert_eq!((&verified["rows"], &verified["recorded"]), (&500.into(), &true.into()));
    let message = site
        .fails(2, &arguments(&["table", "rename"], "9999", "breast_guest", &["--to-name", "breast_guest"]));
    assert!(message.contains("both names are the same"), "{message}");
    site.ok(&arguments(&["table", "rename"], "9999", "breast_guest", &["--to-name", "patients"]));
    site.fails(3, &arguments(&["table", "query"], "9999", "breast_guest", &[]));

    let file = site.home().join("breast_guest.parquet");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole).unwrap(); // the same bytes, but who can tell
    for command in [&["data", "download", "-o", "-"][..], &["table", "verify"]] {
        let message = site.fails(1, &arguments(command, "9999", "patients", &[]));
        assert!(message.contains("breast_guest.parquet: the file is not the one it was"), "{message}");
        assert!(!message.contains("mean_radius"), "nothing was written: {message}");
    }
    site.ok(&arguments(&["table", "delete"], "9999", "patients", &[]));
    assert_eq!(fs::read(&file).unwrap(), whole, "the file is not ours");
}

#[test]
fn what_cannot_be_bound_is_named() {
    let site = Site::default();
    let csv = example("breast/guest.csv").display().to_string();
    let message = site.fails(2, &arguments(&["table", "bind"], "1", "t", &["--file", &csv]));
    assert!(message.contains("guest.csv") && message.contains("not a Parquet file"), "{message}");
    site.fails(3, &arguments(&["table", "bind"], "1", "t", &["--file", "no-such.parquet"]));
    let message = site.fails(
        2,
        &arguments(&["table", "bind"], "1", "t", &["--folder", &example("breast").display().to_string()]),
    );
    assert!(message.contains("does not end in .parquet"), "{message}");
    assert_eq!(site.json(&["table", "list", "-p", "1", "--json"]).as_array().unwrap().len(), 0);
}

/// A job that has begun and gets no further.
struct Halted(Child);

impl Halted {
    fn start(site: &Site) -> Self {
        let job = example("breast/job.yaml").display().to_string();
        let child = site.command(&["run", "--quiet", "--job-id", "reading", &job]).spawn().unwrap();
        let begun =
            |party: &str| site.home().join("parties").join(party).join("jobs/reading/job.json").exists();
        let began = Instant::now();
        while !begun("9999") || !begun("10000") {
            assert!(began.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
        let halted = Self(child);
        halted.signal(Signal::SIGSTOP);
        halted
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
    }
}

#[test]
fn a_table_that_a_job_reads_stays_until_its_end() {
    let site = Site::with_breast_tables();
    let mut job = Halted::start(&site);
    for command in [&["table", "delete"][..], &["table", "rename", "--to-name", "other"]] {
        let message = site.fails(5, &arguments(command, "9999", "breast_guest", &[]));
        assert!(
            message.contains("job reading of party 9999 reads table experiment/breast_guest"),
            "{message}"
        );
    }
    site.fails(5, &arguments(&["table", "delete"], "9999", "breast_guest", &["--wait", "1"]));
    // a table that it does not read
    site.upload("9999", "breast_host", &[]);
    site.ok(&arguments(&["table", "delete"], "9999", "breast_host", &[]));

    let waiting = arguments(&["table", "delete"], "9999", "breast_guest", &["--wait", "120"]);
    let waiting = site.command(&waiting).stderr(std::process::Stdio::piped()).spawn().unwrap();
    job.signal(Signal::SIGCONT);
    assert_eq!(job.0.wait().unwrap().code(), Some(0), "the job had its table to its end");
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!(waited.status.code(), Some(0));
    site.fails(3, &arguments(&["table", "query"], "9999", "breast_guest", &[]));
}

#[test]
fn a_killed_job_holds_no_table() {
    let site = Site::with_breast_tables();
    let mut job = Halted::start(&site);
    site.fails(5, &arguments(&["table", "delete"], "9999", "breast_guest", &[]));
    job.signal(Signal::SIGKILL);
    job.0.wait().unwrap();
    site.ok(&arguments(&["table", "delete"], "9999", "breast_guest", &[]));
}
