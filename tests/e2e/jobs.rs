//! Jobs as users meet them: secure addition, mistakes, failures, time-outs, Ctrl-C.

use std::process::Stdio;

use crate::site::{Site, example, text, wait_until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

fn toy() -> String {
    example("toy/job.yaml").display().to_string()
}

#[test]
fn secure_addition_finds_the_sum_and_reports_what_it_cost() {
    let site = Site::default();
    let summary = site.ok(&["run", &toy()]);
    assert!(summary.contains("toy_0") && summary.contains("done in"), "{summary}");
    let result = &site.metrics("9999", "guest", "toy_0")[0]["data"];
    assert_eq!(result["secure_sum"], result["expected"]);
    let cost = site.json(&["output", "cost", "-p", "9999", "-tn", "toy_0"]);
    let slots: Vec<&str> = cost["traffic"]["slots"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["slot"]["name"].as_str().unwrap())
        .collect();
    assert!(slots.contains(&"shares") && slots.contains(&"share_sum"), "{slots:?}");
}

#[test]
fn results_in_a_role_that_the_party_does_not_have_name_the_one_that_it_has() {
    let site = Site::default();
    site.ok(&["run", "--quiet", &toy()]);
    for what in ["metric", "model", "data", "data-table", "cost", "log"] {
        let message = site.fails(3, &["output", what, "-p", "10000", "-tn", "toy_0"]);
        assert!(message.contains("as guest; it runs it as host (-r host)"), "{what}: {message}");
    }
}

#[test]
fn events_come_as_json_lines_and_the_report_is_the_last() {
    let site = Site::default();
    let output = site.ok(&["run", "--json", &toy()]);
    let events: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[0]["event"], "job_started");
    assert_eq!(events.last().unwrap()["event"], "job_ended");
    assert_eq!(events.last().unwrap()["outcome"], "success");
}

#[test]
fn all_mistakes_of_a_job_are_reported_at_once_with_their_places() {
    let site = Site::default();
    let job = site.write(
        "job.yaml",
        "dag:\n  parties:\n  - {role: guest, party_id: ['9999']}\n  - {role: host, party_id: ['10000']}\n  tasks:\n    \
         toy_0:\n      component_ref: toy_exmple\n    toy_1:\n      component_ref: toy_example\n      parameters: {data_nun: 5, partition: none}\n\
         schema_version: 2.2.0\n",
    );
    let message = site.fails(2, &["run", &job]);
    for expected in [
        "job.yaml:7:7",
        "did you mean \"toy_example\"?",
        "did you mean \"data_num\"?",
        "partition",
        "problems to fix",
    ] {
        assert!(message.contains(expected), "{expected} in {message}");
    }
    assert!(!site.home().join("parties").exists(), "nothing ran");
}

#[test]
fn parameters_that_contradict_each_other_are_reported_with_all_other_mistakes() {
    let site = Site::default();
    let text = std::fs::read_to_string(example("breast/job.yaml")).unwrap();
    let text = text.replace("method: quantile", "method: manual\n        he_param: {key_length: 1500}");
    let text = text.replace("name: breast_host, ", "name: a/b, ");
    let text = text.replace("dependent_tasks: [reader_0]", "dependent_tasks: [reader_1]");
    let message = site.fails(2, &["run", &site.write("job.yaml", &text)]);
    let binning = "dag.tasks.binning_0.parameters";
    for expected in [
        "job.yaml:25:24: dag.party_tasks.host_10000.tasks.reader_0.parameters.name: table name \"a/b\""
            .to_string(),
        "job.yaml:34:25: dag.tasks.psi_0.dependent_tasks[0]: unknown task \"reader_1\"".to_string(),
        format!("job.yaml:53:7: {binning}.split_pt_dict: method manual needs cut points of each column"),
        format!("job.yaml:55:20: {binning}.he_param.key_length: expected 1024, 2048 or 3072 bits, got 1500"),
        "4 problems to fix".to_string(),
    ] {
        assert!(message.contains(&expected), "{expected} in {message}");
    }
}

#[test]
fn what_a_job_needs_is_looked_up_at_every_party_before_it_begins() {
    let site = Site::default();
    let file = example("breast/guest.csv").display().to_string();
    site.ok(&[
        "data",
        "upload",
        "-p",
        "9999",
        "-ns",
        "experiment",
        "-n",
        "breast_gest",
        "--label",
        "y",
        "--file",
        &file,
    ]);
    let job = example("breast/job.yaml").display().to_string();
    for command in [&["run", "--job-id", "mine"][..], &["explain"]] {
        let message = site.fails(3, &[command, &[&job]].concat());
        for expected in [
            "job.yaml:18:24: dag.party_tasks.guest_9999.tasks.reader_0.parameters.name: party 9999 has no table \
             experiment/breast_guest (did you mean \"experiment/breast_gest\"?",
            "party 10000 has no table experiment/breast_host (this party has no tables yet",
            "tributary data upload --party 10000 --namespace experiment --name breast_host --file FILE",
            "error: the job needs 2 things that are not there",
        ] {
            assert!(message.contains(expected), "{expected} in {message}");
        }
        assert_eq!(message.contains("standalone"), command == ["explain"], "placements: {message}");
    }
    for party in ["9999", "10000"] {
        assert_eq!(site.json(&["job", "list", "-p", party, "--json"]).as_array().unwrap().len(), 0);
        assert!(!site.home().join("parties").join(party).join("jobs").exists(), "nothing is recorded");
    }
    site.upload("9999", "breast_guest", &["--label", "y"]);
    site.upload("10000", "breast_host", &[]);
    site.ok(&["run", "--quiet", "--job-id", "mine", &job]);
}

#[test]
fn an_output_of_another_job_is_looked_up_too() {
    let site = Site::with_breast_tables();
    let job = example("breast/job.yaml").display().to_string();
    site.ok(&["run", "--quiet", "--job-id", "first", &job]);
    let text = std::fs::read_to_string(&job).unwrap();
    let take = |job: &str, output: &str| {
        let from =
            format!("data_warehouse: {{job_id: {job}, producer_task: psi_0, output_artifact_key: {output}}}");
        let old = "task_output_artifact:\n              output_artifact_key: output_data\n              producer_task: psi_0";
        assert!(text.contains(old));
        site.write("job.yaml", &text.replace(old, &from))
    };
    site.ok(&["run", "--quiet", &take("first", "output_data")]);
    let message = site.fails(3, &["run", &take("fist", "output_data")]);
    assert!(
        message.contains("party 10000 has no output_data of task psi_0 of job fist as host"),
        "{message}"
    );
    let message = site.fails(3, &["run", &take("first", "output")]);
    assert!(message.contains("party 9999 has no output of task psi_0 of job first as guest"), "{message}");
}

#[test]
fn a_failure_names_task_party_cause_and_log() {
    let site = Site::with_breast_tables();
    let text = std::fs::read_to_string(example("breast/job.yaml")).unwrap();
    let job =
        site.write("job.yaml", &text.replace("n_bins: 10", "n_bins: 10\n        bin_col: [mean_radius]"));
    let message = site.fails(2, &["run", &job]);
    for expected in ["binning_0 of host_10000", "bin_col: no feature \"mean_radius\""] {
        assert!(message.contains(expected), "{expected} in {message}");
    }
    let log = message.lines().find_map(|l| l.trim().strip_prefix("log ")).unwrap().trim();
    assert!(std::fs::read_to_string(log).unwrap().contains("no feature"));

    let jobs = site.json(&["job", "list", "-p", "9999", "--json"]);
    assert_eq!(jobs[0]["status"], "failed");
    let shown = site.json(&["job", "show", "-p", "10000", "--json"]);
    assert!(text_of(&shown["job"]["error"]).contains("binning_0 of host_10000"), "{shown}");
    let statuses: Vec<&str> =
        shown["tasks"].as_array().unwrap().iter().map(|task| text_of(&task["status"])).collect();
    assert_eq!(statuses, ["success", "success", "failed"]);
    assert!(site.ok(&["job", "show", "-p", "10000"]).contains("no feature"));
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn ids_that_have_nothing_in_common_are_reported_at_once() {
    let site = Site::default();
    site.upload("9999", "breast_guest", &["--label", "y"]);
    let other = std::fs::read_to_string(example("breast/host.csv")).unwrap().replace("\np", "\nq");
    let file = site.write("host.csv", &other);
    site.ok(&["data", "upload", "-p", "10000", "-ns", "experiment", "-n", "breast_host", "--file", &file]);
    let message = site.fails(2, &["run", "--quiet", &example("breast/job.yaml").display().to_string()]);
    assert!(message.contains("no id is in common") && message.contains("psi_0"), "{message}");
}

/// A job that takes much longer than any test waits: shares of a hundred million values.
fn long_job(site: &Site, conf: &str) -> String {
    let text = std::fs::read_to_string(toy()).unwrap();
    let text = text.replace("data_num: 1000", "data_num: 60000000").replacen(
        "dag:\n",
        &format!("dag:\n  conf: {conf}\n"),
        1,
    );
    site.write("long.yaml", &text)
}

#[test]
fn a_time_out_is_honoured_and_tried_again_as_often_as_allowed() {
    let site = Site::default();
    let job = long_job(&site, "{auto_retries: 1, task: {timeout: 1}}");
    let message = site.fails(5, &["run", &job]);
    assert!(message.contains("not done after 1 s"), "{message}");
    assert!(message.contains("attempt 1 follows"), "{message}");
    assert_eq!(site.json(&["output", "cost", "-p", "9999", "-tn", "toy_0"])["attempt"], 1);
}

#[test]
fn ctrl_c_ends_a_job_cleanly() {
    let site = Site::default();
    let job = long_job(&site, "{}");
    let child = site.command(&["run", &job]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let records = site.home().join("parties/9999/jobs");
    wait_until("the job begins", || records.exists());
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert_eq!(site.json(&["job", "list", "-p", "9999", "--json"])[0]["status"], "canceled");
    let tables = site.json(&["table", "list", "-p", "9999", "--json"]);
    assert_eq!(tables.as_array().unwrap().len(), 0, "a stopped job leaves no table");
}

#[test]
fn a_job_whose_process_is_killed_is_shown_as_failed_and_the_next_one_runs() {
    let site = Site::default();
    let conf = "{model_id: mine, model_version: '1'}";
    let job = long_job(&site, conf);
    let mut child = site.command(&["run", "--quiet", &job]).spawn().unwrap();
    let latest = |party: &str| site.json(&["job", "list", "-p", party, "--json"])[0].clone();
    wait_until("the job begins", || {
        assert_eq!(child.try_wait().unwrap(), None);
        ["9999", "10000"].iter().all(|party| latest(party)["status"] == "running")
    });
    let running = site.json(&["job", "show", "-p", "9999", "--json"]);
    assert!(["running", "waiting"].contains(&text_of(&running["tasks"][0]["status"])), "{running}");
    for command in ["run", "explain"] {
        let refused = site.fails(4, &[command, &job]);
        assert!(refused.contains("models mine#1 are those of job"), "{command}: {refused}");
    }

    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    for party in ["9999", "10000"] {
        assert_eq!(latest(party)["status"], "failed");
        assert!(text_of(&latest(party)["error"]).contains("killed"), "{}", latest(party));
    }
    assert!(site.ok(&["job", "list", "-p", "9999"]).contains("its process ended early"));
    let shown = site.ok(&["job", "show", "-p", "9999"]);
    for expected in ["status   failed", "killed", "toy_0"] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    let message = site.fails(3, &["output", "metric", "-p", "9999", "-tn", "toy_0"]);
    assert!(message.contains("failed, because its process ended"), "{message}");

    let next = std::fs::read_to_string(toy()).unwrap();
    let next = site.write("next.yaml", &next.replacen("dag:\n", &format!("dag:\n  conf: {conf}\n"), 1));
    site.ok(&["run", "--quiet", &next]);
    assert_eq!(latest("9999")["status"], "success");
    assert_eq!(site.json(&["job", "list", "-p", "9999", "--json"])[1]["status"], "failed");
}

#[test]
fn a_job_id_is_used_once_and_the_first_job_keeps_its_tables() {
    let site = Site::default();
    site.ok(&["run", "--quiet", "--job-id", "mine", &toy()]);
    let before = site.json(&["table", "list", "-p", "9999", "--json"]);
    assert!(site.fails(4, &["run", "--job-id", "mine", &toy()]).contains("job mine exists"));
    assert_eq!(site.json(&["table", "list", "-p", "9999", "--json"]), before);
    assert_eq!(site.json(&["job", "list", "-p", "9999", "--json"])[0]["status"], "success");
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_job() {
    let site = Site::default();
    let mut child = site
        .command(&["run", "--json", &toy()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(site.json(&["job", "list", "-p", "9999", "--json"])[0]["status"], "success");
}

#[test]
fn explain_shows_what_each_task_gets_and_why() {
    let site = Site::default();
    site.write("service_conf.yaml", "computing: {standalone: {cores: 8}}\n");
    let text = std::fs::read_to_string(toy()).unwrap();
    let job = text.replacen("dag:\n", "dag:\n  conf: {cores: 6, task: {engine_run: {cores: 3}}}\n", 1);
    let job = site.write("job.yaml", &job);
    let placed = site.json(&["explain", "--json", &job]);
    assert_eq!(placed["tasks"][0]["placement"]["cores"], 3);
    assert_eq!(placed["job_cores"]["guest_9999"], 6);
    assert!(site.ok(&["explain", &job]).contains("standalone"));
    assert!(site.ok(&["explain", &job]).contains("engine_run.cores is 3"));
    let with =
        |conf: &str| site.write("job.yaml", &text.replacen("dag:\n", &format!("dag:\n  conf: {conf}\n"), 1));
    let message = site.fails(2, &["explain", &with("{task: {engine_run: {num-executor: 3}}}")]);
    assert!(message.contains("(did you mean \"num-executors\"?)") && message.contains("toy_0"), "{message}");
    let message = site.fails(2, &["explain", &with("{task: {engine_run: {cores: 9}}}")]);
    assert!(message.contains("standalone of this site has at most 8"), "{message}");
}

#[test]
fn a_job_is_counted_by_the_rules_whose_names_it_uses() {
    let site = Site::default();
    site.write("service_conf.yaml", "computing: {standalone: {cores: 8}}\n");
    let text = std::fs::read_to_string(toy()).unwrap();
    let placed = |conf: &str| {
        let job = site.write("job.yaml", &text.replacen("dag:\n", &format!("dag:\n  conf: {conf}\n"), 1));
        let placed = site.json(&["explain", "--json", &job]);
        (placed["tasks"][0]["placement"]["cores"].as_u64(), placed["job_cores"]["guest_9999"].as_u64())
    };
    assert_eq!(placed("{task: {engine_run: {cores: 3}}}"), (Some(3), Some(4)));
    assert_eq!(placed("{task_cores: 3}"), (Some(3), Some(3)));
    assert_eq!(placed("{task_cores: 3, task_parallelism: 2}"), (Some(3), Some(6)));
    assert_eq!(placed("{eggroll_run: {eggroll.session.processors.per.node: 2}}"), (Some(2), Some(2)));
}

#[test]
fn an_option_of_another_engine_is_reported_when_the_job_runs_and_when_it_is_explained() {
    let site = Site::default();
    let text = std::fs::read_to_string(toy()).unwrap();
    let conf = "dag:\n  conf: {task: {engine_run: {num-executors: 3, cores: 1}}}\n";
    let job = site.write("job.yaml", &text.replacen("dag:\n", conf, 1));
    let note = "note: option num-executors has no effect on engine standalone";
    assert!(site.ok(&["explain", &job]).contains(note));
    let output = site.run(&["run", "--quiet", &job]);
    let said = crate::site::text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let said: Vec<&str> = said.lines().filter(|line| line.contains("num-executors")).collect();
    assert_eq!(said.len(), 2, "once for each party: {said:?}");
}

#[test]
fn a_wrong_configuration_is_reported_before_anything_runs() {
    let site = Site::default();
    site.write("parties/10000/service_conf.yaml", "default_engines: {computing: balista}\n");
    let message = site.fails(2, &["run", &toy()]);
    assert!(message.contains("service_conf.yaml:1:"), "{message}");
    assert!(message.contains("balista"), "{message}");
}

#[test]
fn a_full_disk_of_one_party_leaves_nothing_at_the_other() {
    let site = Site::with_breast_tables();
    let text = std::fs::read_to_string(example("breast/job.yaml")).unwrap();
    let text = text.replacen("\ndag:\n", "\ndag:\n  conf: {model_id: m, model_version: '1'}\n", 1);
    let job = site.write("job.yaml", &text);
    // Where the host's model is written before it gets its name, the disk is full.
    let folder = site.home().join("parties/10000/models/m/1/host/binning_0");
    std::fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("output_model.json.new")).unwrap();

    let message = site.fails(1, &["run", "--quiet", "--job-id", "first", &job]);
    assert!(
        message.contains("binning_0 of host_10000") && message.contains("output_model.json"),
        "{message}"
    );
    let task = ["-p", "9999", "-r", "guest", "-tn", "binning_0"];
    assert_eq!(site.json(&[&["output", "model"], &task[..]].concat())["data"], serde_json::json!({}));
    site.fails(3, &[&["output", "metric"], &task[..]].concat());
    let names = |party: &str| {
        let tables = site.json(&["table", "list", "-p", party, "--json"]);
        tables.as_array().unwrap().iter().map(|t| t["table"]["namespace"].to_string()).collect::<Vec<_>>()
    };
    for party in ["9999", "10000"] {
        assert!(!names(party).iter().any(|namespace| namespace.contains("binning_0")), "{:?}", names(party));
    }
    // with room on the disk, the same names are free
    site.ok(&["run", "--quiet", "--job-id", "second", &job]);
    site.ok(&[&["output", "model"], &task[..]].concat());
}
