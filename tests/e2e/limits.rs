//! What a host releases, whatever a guest's jobs ask: the guest is the attacker here.

use std::fmt::Write as _;

use crate::site::Site;

const ROWS: usize = 200;
/// Numbers below it have eight bits: that many labels distinguish all rows.
const BITS: usize = 8;

/// A host whose column has another value in every row, and a guest whose label is a bit of the row's number.
fn site(conf: &str) -> Site {
    let site = Site::default();
    site.write("parties/10000/service_conf.yaml", conf);
    upload_host(&site, "values", &[]);
    for bit in 0..BITS {
        let mut csv = String::from("id,y\n");
        (0..ROWS).for_each(|row| writeln!(csv, "r{row:03},{}", row >> bit & 1).unwrap());
        upload(&site, "9999", &format!("bit_{bit}"), &csv, &["--label", "y"]);
    }
    site
}

fn upload(site: &Site, party: &str, name: &str, csv: &str, more: &[&str]) {
    let file = site.write(&format!("{name}.csv"), csv);
    let table = ["data", "upload", "-p", party, "-ns", "n", "-n", name, "--file", &file];
    site.ok(&[&table[..], more].concat());
}

/// The value of a row: another order than that of the rows.
fn value(row: usize) -> usize {
    row * 37 % ROWS
}

fn upload_host(site: &Site, name: &str, more: &[&str]) {
    let mut csv = String::from("id,v\n");
    (0..ROWS).for_each(|row| writeln!(csv, "r{row:03},{}.5", value(row)).unwrap());
    upload(site, "10000", name, &csv, more);
}

/// A job that measures the host's column once for each of these bits.
fn job(site: &Site, host: &str, bits: impl Iterator<Item = usize>, parameters: &str) -> String {
    let from = |task: String| {
        format!("{{task_output_artifact: {{producer_task: {task}, output_artifact_key: output_data}}}}")
    };
    let (mut guest, mut at_host, mut tasks) = (String::new(), String::new(), String::new());
    for bit in bits {
        writeln!(guest, "        reader_{bit}: {{parameters: {{namespace: n, name: bit_{bit}}}}}").unwrap();
        writeln!(at_host, "        reader_{bit}: {{parameters: {{namespace: n, name: {host}}}}}").unwrap();
        let (read, common) = (from(format!("reader_{bit}")), from(format!("psi_{bit}")));
        writeln!(tasks, "    reader_{bit}: {{component_ref: reader}}").unwrap();
        writeln!(tasks, "    psi_{bit}: {{component_ref: psi, inputs: {{data: {{input_data: {read}}}}}}}")
            .unwrap();
        writeln!(tasks, "    binning_{bit}:\n      component_ref: hetero_feature_binning").unwrap();
        writeln!(tasks, "      inputs: {{data: {{train_data: {common}}}}}").unwrap();
        writeln!(tasks, "      parameters: {{he_param: {{key_length: 1024}}, {parameters}}}").unwrap();
    }
    let party = |role: &str, id: &str| format!("{{role: {role}, party_id: ['{id}']}}");
    let (g, h) = (party("guest", "9999"), party("host", "10000"));
    site.write(
        "job.yaml",
        &format!(
            "dag:\n  stage: train\n  parties:\n  - {g}\n  - {h}\n  party_tasks:\n    guest_9999:\n      parties: [{g}]\n      tasks:\n{guest}    \
             host_10000:\n      parties: [{h}]\n      tasks:\n{at_host}  tasks:\n{tasks}schema_version: 2.2.0\n"
        ),
    )
}

/// The same job with another task.
fn with_task(site: &Site, path: &str, name: &str, task: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let task =
        format!("    {name}:\n      component_ref: hetero_feature_binning\n      {task}\nschema_version");
    site.write("job.yaml", &text.replace("schema_version", &task))
}

fn input(key: &str, task: &str, output: &str) -> String {
    format!("{key}: {{task_output_artifact: {{producer_task: {task}, output_artifact_key: {output}}}}}")
}

/// Rows of each bin of the host's column, as the guest learned them from a job's task.
fn rows_of_bins(site: &Site, task: &str) -> Vec<u64> {
    let summary = site.model("9999", "guest", task)["data"]["host_metrics_summary"]["host_10000"].clone();
    let numbers = |what: &str| {
        let bins = summary[what]["host_10000_x0"].as_object().unwrap().clone();
        bins.values().map(|n| n.as_u64().unwrap()).collect::<Vec<_>>()
    };
    numbers("event_count").iter().zip(numbers("non_event_count")).map(|(a, b)| a + b).collect()
}

fn cuts(site: &Site, task: &str) -> Vec<f64> {
    let model = site.model("10000", "host", task);
    model["data"]["split_pt_dict"]["v"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn a_job_that_asks_for_every_rank_is_refused_before_it_runs_with_its_place() {
    let site = site("");
    let path = job(&site, "values", 0..BITS, "n_bins: 65535");
    let message = site.fails(2, &["run", "--quiet", &path]);
    let line =
        std::fs::read_to_string(&path).unwrap().lines().position(|l| l.contains("n_bins")).unwrap() + 1;
    for expected in [
        format!("job.yaml:{line}:"),
        "dag.tasks.binning_0.parameters.n_bins: host_10000 releases at most 100 bins of a column, got 65535"
            .into(),
        "the operator of party 10000 may raise limits.max_bins".into(),
        "the job asks parties 8 times to release more than their limits allow".into(),
    ] {
        assert!(message.contains(&expected), "{expected} in {message}");
    }
    assert!(!site.home().join("parties/10000/jobs").exists(), "nothing ran");
    assert!(site.fails(2, &["explain", &path]).contains("limits.max_bins"));
    // Where no other party learns about the host's columns, it may cut them as finely as it is asked to.
    site.ok(&["run", "--quiet", &job(&site, "values", 0..1, "n_bins: 65535, local_only: true")]);
}

#[test]
fn bins_of_few_rows_are_merged_and_no_series_of_jobs_gets_beyond_the_budget() {
    let site = site("");
    let refused = "[known here only: column \"v\" of table n/";
    let message = site.fails(1, &["run", "--quiet", &job(&site, "values", 0..BITS, "n_bins: 40")]);
    for expected in
        ["host_10000 gives partner 9999 no more than 200 numbers about a column", "limits.numbers", refused]
    {
        assert!(message.contains(expected), "{expected} in {message}");
    }
    let shown = site.json(&["limits", "show", "-p", "10000", "--json"]);
    let used = &shown["released"][0];
    assert_eq!((used["table"].as_str(), used["partner"].as_str()), (Some("n/values"), Some("9999")));
    assert_eq!(used["columns"]["v"]["numbers"], 200, "five tasks of forty bins");
    // In another job, under another name of the table, and stored again under one.
    let alone = |host: &str| site.fails(1, &["run", "--quiet", &job(&site, host, 7..8, "n_bins: 10")]);
    assert!(alone("values").contains(refused));
    site.ok(&["table", "rename", "-p", "10000", "-ns", "n", "-n", "values", "--to-name", "renamed"]);
    assert!(alone("renamed").contains(refused));
    upload_host(&site, "again", &[]);
    assert!(alone("again").contains(refused));
    let text = site.ok(&["limits", "show", "-p", "10000"]);
    assert!(
        text.contains("n/values") && text.contains("limits.numbers") && text.contains("default"),
        "{text}"
    );

    let reset = ["limits", "reset", "-p", "10000", "--table", "n/again"];
    assert!(site.ok(&["limits", "reset", "-p", "10000"]).contains("confirm with --yes"), "it only shows");
    let message = site.fails(2, &["limits", "reset", "-p", "10000", "--table", "again"]);
    assert!(message.contains("expected NAMESPACE/NAME"), "{message}");
    assert!(
        site.fails(3, &[&reset[..], &["--yes", "--partner", "8"]].concat()).contains("nothing of that kind")
    );
    site.ok(&["limits", "reset", "-p", "10000", "--yes"]);
    site.ok(&["run", "--quiet", &job(&site, "again", 7..8, "n_bins: 100")]);
    let rows = rows_of_bins(&site, "binning_7");
    assert_eq!((rows.iter().sum::<u64>(), rows.len()), (ROWS as u64, 33));
    assert!(rows.iter().all(|rows| *rows >= 5), "{rows:?}");
    assert_eq!(cuts(&site, "binning_7").len(), 33, "the host's model has the merged bins");
}

#[test]
fn added_rows_another_name_and_another_upload_forget_no_budget() {
    let site = site("");
    for _ in 0..5 {
        site.ok(&["run", "--quiet", &job(&site, "values", 7..8, "n_bins: 40")]);
    }
    let refused = |host: &str| {
        let message = site.fails(1, &["run", "--quiet", &job(&site, host, 7..8, "n_bins: 40")]);
        assert!(message.contains("no more than 200 numbers about a column"), "{host}: {message}");
    };
    let more = site.write("more.csv", "id,v\nx1,0.5\n");
    let add = ["data", "upload", "-p", "10000", "-ns", "n", "--file", &more, "--if-exists", "merge"];
    let rename = |from: &str, to: &str| {
        site.ok(&["table", "rename", "-p", "10000", "-ns", "n", "-n", from, "--to-name", to])
    };
    // Rows are added and the table renamed, twice, before anything else is booked.
    site.ok(&[&add[..], &["-n", "values"]].concat());
    rename("values", "second");
    let more = site.write("more.csv", "id,v\nx2,0.5\n");
    assert_eq!(more, add[7]);
    site.ok(&[&add[..], &["-n", "second"]].concat());
    rename("second", "third");
    refused("third");
    // The rows that a name got, under a name of their own.
    upload_host(&site, "third", &["--if-exists", "replace", "--partitions", "3"]);
    site.ok(&["table", "delete", "-p", "10000", "-ns", "n", "-n", "third"]);
    upload_host(&site, "fourth", &["--partitions", "3"]);
    refused("fourth");
    // Bound where it is.
    let file = site.home().join("third.csv").display().to_string();
    let bind = ["table", "bind", "-p", "10000", "-ns", "n", "--file", &file, "-n"];
    site.ok(&[&bind[..], &["fourth", "--if-exists", "replace"]].concat());
    rename("fourth", "fifth");
    refused("fifth");
    site.ok(&[&bind[..], &["unknown"]].concat());
    refused("unknown");
}

#[test]
fn two_ways_to_cut_a_column_show_no_fewer_rows_together() {
    let site = site("limits: {numbers: 1000}");
    let mut all = Vec::new();
    for bins in [9, 10, 11, 23] {
        site.ok(&["run", "--quiet", &job(&site, "values", 0..1, &format!("n_bins: {bins}"))]);
        let cuts = cuts(&site, "binning_0");
        assert_eq!(rows_of_bins(&site, "binning_0").len(), cuts.len());
        all.extend(cuts);
    }
    all.sort_by(f64::total_cmp);
    all.dedup();
    let rows = |low: f64, high: f64| {
        (0..ROWS).filter(|row| (value(*row) as f64 + 0.5 > low) && (value(*row) as f64 + 0.5 <= high)).count()
    };
    for pair in all.windows(2) {
        assert!(rows(pair[0], pair[1]) >= 5, "{pair:?} of {all:?}");
    }
    assert!(all.len() > 12, "later jobs may add cuts: {all:?}");
}

#[test]
fn tasks_that_measure_a_column_at_once_all_end_and_all_count() {
    let site = site("limits: {numbers: 100}");
    site.ok(&["run", "--quiet", &job(&site, "values", 0..4, "n_bins: 10")]);
    let shown = site.json(&["limits", "show", "-p", "10000", "--json"]);
    assert_eq!(shown["released"][0]["columns"]["v"]["numbers"], 40);
    assert_eq!(shown["limits"]["numbers"]["value"], 100);
    assert!(
        shown["limits"]["numbers"]["set_by"].as_str().unwrap().contains("parties/10000/service_conf.yaml:1:")
    );
    assert_eq!(shown["limits"]["max_bins"]["set_by"], "default");
}

#[test]
fn a_party_that_is_not_known_has_no_limits_to_show() {
    let site = site("");
    for command in [&["limits", "show"][..], &["limits", "reset", "--yes"], &["table", "list"]] {
        let message = site.fails(3, &[command, &["-p", "1000"]].concat());
        assert!(message.contains("no party 1000 in ") && message.contains("known: 10000, 9999"), "{message}");
        assert!(!site.home().join("parties/1000").exists());
    }
    // This site's own party may ask before it has anything.
    site.write("service_conf.yaml", "party_id: '7'");
    site.ok(&["limits", "show"]);
    site.ok(&["run", "--quiet", &job(&site, "values", 0..1, "n_bins: 4")]);
    assert!(site.ok(&["limits", "show", "-p", "10000"]).contains("numbers about all columns"));
}

#[test]
fn a_host_refuses_small_bins_and_cuts_of_the_job_if_its_limits_say_so() {
    let refuses = site("limits: {small_bins: refuse, cuts_from_job: refuse}");
    let message = refuses.fails(1, &["run", "--quiet", &job(&refuses, "values", 0..1, "n_bins: 100")]);
    assert!(
        message.contains("[known here only: column \"v\" has a bin of 2]")
            && message.contains("limits.small_bins"),
        "{message}"
    );
    let given = "method: manual, split_pt_dict: {v: [50, 53, 199]}";
    let at_host = |site: &Site| {
        let path = job(site, "values", 0..1, "n_bins: 3");
        let text = std::fs::read_to_string(&path).unwrap();
        let reader = "        reader_0: {parameters: {namespace: n, name: values}}\n";
        let text = text.replace(reader, &format!("{reader}        binning_0: {{parameters: {{{given}}}}}\n"));
        site.write("job.yaml", &text)
    };
    let message = refuses.fails(2, &["run", "--quiet", &at_host(&refuses)]);
    assert!(
        message.contains("split_pt_dict: host_10000 takes no cut points for its columns from a job"),
        "{message}"
    );

    // Points for all parties: the host has no column of such a name, and is not asked for anything.
    let of_guest = refuses.write("bit_0.csv", &{
        let mut csv = String::from("id,w,y\n");
        (0..ROWS).for_each(|row| writeln!(csv, "r{row:03},{row},{}", row & 1).unwrap());
        csv
    });
    let table = ["-p", "9999", "-ns", "n", "-n", "bit_0", "--label", "y", "--if-exists", "replace"];
    refuses.ok(&[&["data", "upload", "--file", &of_guest][..], &table].concat());
    let points = "method: manual, split_pt_dict: {w: [50, 100, 199]}";
    refuses.ok(&["run", "--quiet", &job(&refuses, "values", 0..1, points)]);
    assert_eq!(refuses.model("9999", "guest", "binning_0")["data"]["bin_count_dict"]["w"], 3);
    let points = "method: manual, split_pt_dict: {w: [50, 100, 199], v: [50, 199]}";
    let message = refuses.fails(2, &["run", "--quiet", &job(&refuses, "values", 0..1, points)]);
    assert!(message.contains("takes no cut points for its columns from a job (v)"), "{message}");
    // An anonymous name is known to the task only.
    let points = "method: manual, use_anonymous: true, split_pt_dict: {host_10000_x0: [50, 199]}";
    let message = refuses.fails(1, &["run", "--quiet", &job(&refuses, "values", 0..1, points)]);
    assert!(message.contains("binning_0") && message.contains("from a job (v)"), "{message}");

    let by_itself = site("");
    by_itself.ok(&["run", "--quiet", &at_host(&by_itself)]);
    let own = cuts(&by_itself, "binning_0");
    assert!(own.len() == 3 && own[0] > 60.0 && own[0] < 70.0, "a third of the rows: {own:?}");
    let log = by_itself.ok(&["output", "log", "-p", "10000", "-r", "host", "-tn", "binning_0"]);
    assert!(log.contains("the job's cut points are not taken"), "{log}");

    let used = site("limits: {cuts_from_job: use}");
    used.ok(&["run", "--quiet", &at_host(&used)]);
    assert_eq!(cuts(&used, "binning_0"), [50.0, 199.0], "between 50 and 53 are three rows");
}

#[test]
fn ids_are_looked_up_within_the_limits_of_both_parties() {
    let psi = |site: &Site| {
        let text = std::fs::read_to_string(job(site, "values", 0..1, "n_bins: 2")).unwrap();
        let end = text.find("    binning_0:\n").unwrap();
        site.write("job.yaml", &format!("{}schema_version: 2.2.0\n", &text[..end]))
    };
    // A table of fewer than a thousand rows counts as one of a thousand.
    let few = site("limits: {ids_per_row: 1}");
    for _ in 0..5 {
        few.ok(&["run", "--quiet", &psi(&few)]);
    }
    let message = few.fails(1, &["run", "--quiet", &psi(&few)]);
    for expected in [
        "host_10000 gives partner 9999 no more than answers for 1000 ids in a table",
        "[known here only: table n/values]",
        "limits.ids_per_row",
    ] {
        assert!(message.contains(expected), "{expected} in {message}");
    }
    let shown = few.json(&["limits", "show", "-p", "10000", "--json"]);
    assert_eq!(shown["released"][0]["ids"], 1000);

    // The guest is asked as well: the host learns which of its ids are common.
    let guest = site("");
    guest.write("parties/9999/service_conf.yaml", "limits: {ids_per_row: 0}");
    let message = guest.fails(1, &["run", "--quiet", &psi(&guest)]);
    assert!(message.contains("guest_9999 gives partner 10000 no more than answers for 0 ids"), "{message}");

    // One id is a question about one person.
    let one = site("");
    upload(&one, "9999", "bit_0", "id,y\nr001,1\n", &["--label", "y", "--if-exists", "replace"]);
    let message = one.fails(1, &["run", "--quiet", &psi(&one)]);
    assert!(
        message.contains("host_10000 needs at least 2 ids of guest_9999, and there are fewer"),
        "{message}"
    );
    assert_eq!(
        one.json(&["limits", "show", "-p", "10000", "--json"])["released"].as_array().unwrap().len(),
        0
    );
    upload(&one, "9999", "bit_0", "id,y\nr001,1\nx,0\n", &["--label", "y", "--if-exists", "replace"]);
    let message = one.fails(1, &["run", "--quiet", &psi(&one)]);
    assert!(
        message.contains("at least 2 common rows, and there are fewer")
            && message.contains("limits.min_common_rows"),
        "{message}"
    );
    assert_eq!(
        one.json(&["limits", "show", "-p", "10000", "--json"])["released"][0]["ids"],
        2,
        "booked for good"
    );
}

#[test]
fn cuts_of_a_job_are_not_measured_through_a_model_or_a_transformed_table() {
    let hidden = "method: manual, split_pt_dict: {v: [50, 53, 199]}, transform_method: bin_idx";
    let model = input("input_model", "binning_0", "output_model");
    let predict = format!(
        "stage: predict\n      inputs: {{data: {{{}}}, model: {{{model}}}}}",
        input("test_data", "psi_0", "output_data")
    );
    let again = format!(
        "inputs: {{data: {{{}}}}}\n      parameters: {{n_bins: 4, he_param: {{key_length: 1024}}}}",
        input("train_data", "binning_0", "train_output_data")
    );
    for (limits, unmeasured, more, expected) in [
        ("", "skip_metrics: true", &predict, "those of input_model are from one"),
        ("limits: {cuts_from_job: refuse}", "skip_metrics: true", &predict, "limits.cuts_from_job"),
        ("", "skip_metrics: true", &again, "measure the column before it is transformed"),
        ("", "local_only: true", &again, "[known here only: column \"v\"]"),
        ("limits: {cuts_from_job: use}", "local_only: true", &again, "[known here only: column \"v\"]"),
    ] {
        let site = site(limits);
        let path = job(&site, "values", 0..1, &format!("{hidden}, {unmeasured}"));
        let message = site.fails(1, &["run", "--quiet", &with_task(&site, &path, "more_0", more)]);
        assert!(message.contains(expected), "{expected} in {message}");
        let released = &site.json(&["limits", "show", "-p", "10000", "--json"])["released"][0];
        assert_eq!(released["columns"].get("v"), None, "nothing left: {released}");
    }
}

/// What a prediction by a model of `binning_1` shows of the host's column.
fn bins_of_prediction(site: &Site, path: &str, model: &str) -> String {
    let data = input("test_data", "psi_0", "output_data");
    let task = format!("stage: predict\n      inputs: {{data: {{{data}}}, model: {{input_model: {model}}}}}");
    with_task(site, path, "more_0", &task)
}

#[test]
fn a_model_of_a_few_chosen_rows_does_not_choose_where_a_column_is_cut() {
    let site = site("");
    // Two rows: trained on them alone, a column would be cut at the smaller one.
    upload(&site, "9999", "bit_1", "id,y\nr007,0\nr100,1\n", &["--label", "y", "--if-exists", "replace"]);
    let trained = "{task_output_artifact: {producer_task: binning_1, output_artifact_key: output_model}}";
    let train = |bins: u32| job(&site, "values", 0..2, &format!("n_bins: {bins}, skip_metrics: true"));
    site.ok(&["run", "--quiet", &bins_of_prediction(&site, &train(2), trained)]);
    assert_eq!(cuts(&site, "binning_0").len(), 2);
    assert_eq!(cuts(&site, "binning_1").len(), 1, "merged");
    let ranking = site.metrics("9999", "guest", "more_0");
    assert_eq!(ranking[0]["data"][0]["bins"], 1, "{ranking:?}");

    // A model that was made before its party asked for so many rows is not measured by.
    site.write("parties/10000/service_conf.yaml", "limits: {min_rows: 1}");
    let conf = |text: String, key: &str| {
        site.write("job.yaml", &text.replace("  parties:\n", &format!("  conf: {{{key}}}\n  parties:\n")))
    };
    let job_file = |path: String| std::fs::read_to_string(path).unwrap();
    site.ok(&["run", "--quiet", &conf(job_file(train(2)), "model_id: few, model_version: '0'")]);
    assert_eq!(cuts(&site, "binning_1").len(), 2);
    site.write("parties/10000/service_conf.yaml", "");
    let few = "{model_warehouse: {model_id: few, model_version: '0', producer_task: binning_1, output_artifact_key: output_model}}";
    let message = site.fails(1, &["run", "--quiet", &bins_of_prediction(&site, &train(2), few)]);
    for expected in
        ["fewer than 5 rows when they were cut", "input_model may have had 1", "train the model again"]
    {
        assert!(message.contains(expected), "{expected} in {message}");
    }
}

#[test]
fn rows_that_a_guest_repeats_do_not_choose_where_a_column_is_cut() {
    let site = site("limits: {numbers: 1000}");
    let run = |bins: &str| {
        site.ok(&["run", "--quiet", &job(&site, "values", 0..1, bins)]);
        cuts(&site, "binning_0")
    };
    let (measured, unmeasured) = ("n_bins: 4", "n_bins: 4, skip_metrics: true");
    let expected = run(measured);
    let mut csv = String::from("sid,id,y\n");
    (0..2 * ROWS).for_each(|n| writeln!(csv, "{n},r{:03},{}", n % ROWS, n % 2).unwrap());
    (0..9 * ROWS).for_each(|n| writeln!(csv, "again-{n},r007,{}", n % 2).unwrap());
    upload(&site, "9999", "bit_0", &csv, &["--label", "y", "--match-id", "id", "--if-exists", "replace"]);
    assert_eq!(run(measured), expected);
    assert_eq!(run(unmeasured), expected);
    // Of rows that are for nobody else's eyes, each counts.
    assert_ne!(run("n_bins: 4, local_only: true"), expected);
}

#[test]
fn rows_that_a_guest_repeats_make_numbers_count_more() {
    let site = site("");
    let mut csv = String::from("sid,id,y\n");
    (0..5 * ROWS).for_each(|n| writeln!(csv, "{n},r{:03},{}", n % ROWS, n / ROWS % 2).unwrap());
    upload(&site, "9999", "bit_0", &csv, &["--label", "y", "--match-id", "id", "--if-exists", "replace"]);
    site.ok(&["run", "--quiet", &job(&site, "values", 0..1, "n_bins: 10")]);
    let shown = site.json(&["limits", "show", "-p", "10000", "--json"]);
    assert_eq!(shown["released"][0]["columns"]["v"]["numbers"], 30, "ten bins, each counts as three");
    let log = site.ok(&["output", "log", "-p", "10000", "-r", "host", "-tn", "binning_0"]);
    assert!(log.contains("a number about a bin counts as 3"), "{log}");
}
