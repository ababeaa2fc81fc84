//! What a site takes from its peers, and names that could be taken for each other.

use crate::site::{Site, example};

fn psi(site: &Site) -> String {
    let job = std::fs::read_to_string(example("breast/job.yaml")).unwrap();
    site.write("job.yaml", &job)
}

#[test]
fn a_table_beyond_the_limit_of_one_party_fails_the_task_and_names_who_sent_it() {
    let site = Site::with_breast_tables();
    site.write("parties/9999/service_conf.yaml", "federation: {table_rows: 10}\n");
    let shown = site.fails(1, &["run", "--quiet", &psi(&site)]);
    for part in ["host_10000 sent", "at most 10 are taken here", "federation.table_rows"] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    site.write("parties/9999/service_conf.yaml", "federation: {table_rows: 1000000}\n");
    site.ok(&["run", "--quiet", &psi(&site)]);
}

fn toy(site: &Site, name: &str, task: &str) -> String {
    let job = std::fs::read_to_string(example("toy/job.yaml")).unwrap();
    site.write(name, &job.replace("toy_0:", &format!("{task}:")))
}

/// Their outputs would have the same names if names were put together without care.
#[test]
fn jobs_whose_id_and_task_run_together_do_not_share_a_table() {
    let site = Site::with_breast_tables();
    let job = |name: &str, task: &str| {
        let job = std::fs::read_to_string(example("breast/job.yaml")).unwrap();
        site.write(name, &job.replace("psi_0", task))
    };
    site.ok(&["run", "--quiet", "--job-id", "x", &job("one.yaml", "a_b")]);
    site.ok(&["run", "--quiet", "--job-id", "x_a", &job("two.yaml", "b")]);
    let of = |job: &str, task: &str| {
        let arguments = ["output", "data-table", "-p", "10000", "-r", "host", "-j", job, "-tn", task];
        site.json(&arguments)["output_data"][0]["namespace"].as_str().unwrap().to_owned()
    };
    assert_eq!((of("x", "a_b").as_str(), of("x_a", "b").as_str()), ("x.a_b", "x_a.b"));
}

#[test]
fn names_that_are_too_long_are_refused_when_the_job_is_read() {
    let site = Site::default();
    let (most, long) = ("t".repeat(63), "t".repeat(64));
    site.ok(&["run", "--quiet", "--job-id", &"j".repeat(64), &toy(&site, "most.yaml", &most)]);
    for command in [&["run"][..], &["explain"]] {
        let shown = site.fails(2, &[command, &[&toy(&site, "long.yaml", &long)]].concat());
        assert!(shown.contains("dag.tasks.ttt") && shown.contains("must be 1 to 63"), "{shown}");
    }
    let shown = site.fails(2, &["run", "--job-id", &"j".repeat(65), &toy(&site, "most.yaml", &most)]);
    assert!(shown.contains("must be 1 to 64"), "{shown}");
}

#[test]
fn what_a_log_holds_does_not_drive_the_terminal() {
    let site = Site::default();
    site.ok(&["run", "--quiet", "--job-id", "j", &toy(&site, "toy.yaml", "t")]);
    let log = site.home().join("parties/9999/jobs/j/guest/t/task.log");
    let text = std::fs::read_to_string(&log).unwrap();
    std::fs::write(&log, text + "0 a \u{1b}[2J\u{9b}\u{202e}b\n").unwrap();
    let shown = site.ok(&["output", "log", "-p", "9999", "-r", "guest", "-j", "j", "-tn", "t"]);
    assert!(shown.contains("0 a \\u{1b}[2J\\u{9b}\\u{202e}b"), "{shown:?}");
}
