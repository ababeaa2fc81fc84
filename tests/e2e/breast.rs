//! The main job, compared with a computation by another program on the plain joined tables.

use crate::site::{Site, example};
use serde_json::Value;

fn expected(job: &str) -> Value {
    let text = std::fs::read_to_string(example("breast/expected_iv.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[job].clone()
}

fn run(site: &Site, job: &str) {
    site.ok(&["run", "--quiet", &example("breast").join(job).display().to_string()]);
}

/// Values by bin, in the order of the bins.
fn by_bin(summary: &Value, what: &str, column: &str) -> Vec<f64> {
    let bins = summary[what][column].as_object().unwrap_or_else(|| panic!("no {what} of {column}"));
    (0..bins.len()).map(|bin| bins[&bin.to_string()].as_f64().unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Counts exactly, IV and WOE to 1e-12.
fn check_column(summary: &Value, name: &str, expected: &Value) {
    for counts in ["event_count", "non_event_count"] {
        assert_eq!(by_bin(summary, counts, name), numbers(&expected[counts]), "{counts} of {name}");
    }
    for values in ["woe", "iv_array"] {
        for (found, wanted) in by_bin(summary, values, name).iter().zip(numbers(&expected[values])) {
            assert!(
                (found - wanted).abs() <= 1e-12 * wanted.abs().max(1.0),
                "{values} of {name}: {found} {wanted}"
            );
        }
    }
    let (found, wanted) = (summary["iv"][name].as_f64().unwrap(), expected["iv"].as_f64().unwrap());
    assert!((found - wanted).abs() <= 1e-12 * wanted.abs().max(1.0), "iv of {name}: {found} {wanted}");
    assert_eq!(summary["is_monotonic"][name], expected["is_monotonic"], "{name}");
}

fn check_host(site: &Site, host: &str, file: &str, expected: &Value) {
    let model = site.model("9999", "guest", "binning_0");
    let summary = &model["data"]["host_metrics_summary"][format!("host_{host}")];
    let own = site.model(host, "host", "binning_0");
    let columns: Vec<&str> =
        own["data"]["bin_col"].as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    assert_eq!(columns.len(), expected["files"][file].as_object().unwrap().len());
    for (position, column) in columns.iter().enumerate() {
        let wanted = &expected["files"][file][*column];
        check_column(summary, &format!("host_{host}_x{position}"), wanted);
        assert_eq!(
            numbers(&own["data"]["split_pt_dict"][*column]),
            numbers(&wanted["split_points"]),
            "{column}"
        );
    }
    assert!(own["data"]["metrics_summary"].is_null(), "a host learns no metrics");
}

fn check_guest(site: &Site, expected: &Value) {
    let model = site.model("9999", "guest", "binning_0");
    for (column, wanted) in expected["files"]["guest.csv"].as_object().unwrap() {
        check_column(&model["data"]["metrics_summary"], column, wanted);
        assert_eq!(
            numbers(&model["data"]["split_pt_dict"][column]),
            numbers(&wanted["split_points"]),
            "{column}"
        );
    }
}

#[test]
fn bins_counts_and_information_values_equal_those_of_the_plain_join() {
    let (site, expected) = (Site::with_breast_tables(), expected("job.yaml"));
    run(&site, "job.yaml");
    let psi = site.metrics("9999", "guest", "psi_0");
    assert_eq!(psi[0]["data"]["intersect_count"], expected["rows"]);
    check_guest(&site, &expected);
    check_host(&site, "10000", "host.csv", &expected);
    let ranking = &site.metrics("9999", "guest", "binning_0")[0];
    let ivs: Vec<f64> =
        ranking["data"].as_array().unwrap().iter().map(|r| r["iv"].as_f64().unwrap()).collect();
    assert_eq!(ivs.len(), 30);
    assert!(ivs.is_sorted_by(|a, b| a >= b));
}

#[test]
fn two_hosts_share_no_more_than_what_all_three_have() {
    let (site, expected) = (Site::default(), expected("job-two-hosts.yaml"));
    site.upload("9999", "breast_guest", &["--label", "y"]);
    site.upload("10000", "breast_host_a", &[]);
    site.upload("10001", "breast_host_b", &[]);
    run(&site, "job-two-hosts.yaml");
    for (party, role) in [("9999", "guest"), ("10000", "host"), ("10001", "host")] {
        let summary = &site.metrics(party, role, "psi_0")[0];
        assert_eq!(summary["data"]["intersect_count"], expected["rows"], "{role} {party}");
    }
    check_guest(&site, &expected);
    check_host(&site, "10000", "host_a.csv", &expected);
    check_host(&site, "10001", "host_b.csv", &expected);
}

#[test]
fn results_do_not_depend_on_cores_or_partitions() {
    let site = Site::with_breast_tables();
    let job = std::fs::read_to_string(example("breast/job.yaml")).unwrap();
    let mut first = None;
    for (cores, partitions) in [(1, 1), (2, 2), (3, 7)] {
        site.write("service_conf.yaml", &format!("computing: {{standalone: {{cores: {cores}}}}}\n"));
        let conf = format!(
            "dag:\n  conf: {{computing_partitions: {partitions}, cores: {cores}, task: {{engine_run: {{cores: {cores}}}}}}}\n"
        );
        let job = site.write("job.yaml", &job.replacen("dag:\n", &conf, 1));
        site.ok(&["run", "--quiet", &job]);
        let model = site.model("9999", "guest", "binning_0")["data"].clone();
        let first = first.get_or_insert_with(|| model.clone());
        assert_eq!(*first, model, "{cores} cores, {partitions} partitions");
    }
}

#[test]
fn results_do_not_depend_on_memory() {
    let (site, expected) = (Site::with_breast_tables(), expected("job.yaml"));
    site.write("service_conf.yaml", "computing: {standalone: {memory: 64KiB, spill_folder: rows}}\n");
    run(&site, "job.yaml");
    check_guest(&site, &expected);
    check_host(&site, "10000", "host.csv", &expected);
    let left = std::fs::read_dir(site.home().join("rows")).unwrap();
    assert_eq!(left.count(), 0, "rows went to disk, and left a file");
}

#[test]
fn a_predict_job_bins_new_rows_with_the_trained_model() {
    let site = Site::with_breast_tables();
    let summary = site.ok(&[
        "run",
        "--quiet",
        "--job-id",
        "train-1",
        &example("breast/job.yaml").display().to_string(),
    ]);
    assert!(summary.contains("models: train-1#0"), "{summary}");
    let trained = site.model("9999", "guest", "binning_0");
    let text = std::fs::read_to_string(example("breast/predict.yaml")).unwrap();
    let text = text.replace("${model_id}", "train-1").replace("${model_version}", "0");
    let text = text.replace(
        "parameters:\n        method: quantile",
        "parameters:\n        transform_method: bin_idx\n        method: quantile",
    );
    let job = site.write("predict.yaml", &text);
    let summary = site.ok(&["run", "--quiet", &job]);
    assert!(!summary.contains("models:"), "a job that trains nothing names no models: {summary}");
    let listed = site.ok(&["job", "list", "-p", "9999"]);
    assert_eq!(listed.matches("#0").count(), 1, "{listed}");

    let cuts = numbers(&trained["data"]["split_pt_dict"]["mean_radius"]);
    let shown = site.json(&["output", "data", "-p", "9999", "-tn", "binning_0", "--json"]);
    let table = &shown["test_output_data"][0];
    assert_eq!(table["total"], 431);
    let bins: Vec<usize> = column(table, "mean_radius").iter().map(|v| v.parse().unwrap()).collect();
    let psi = site.json(&["output", "data", "-p", "9999", "-tn", "psi_0", "--json"]);
    let values: Vec<f64> =
        column(&psi["output_data"][0], "mean_radius").iter().map(|v| v.parse().unwrap()).collect();
    let wanted: Vec<usize> =
        values.iter().map(|v| cuts.iter().take(cuts.len() - 1).filter(|c| *c < v).count()).collect();
    assert_eq!(bins, wanted);

    let other = site.write("predict.yaml", &text.replace("train-1", "train-2"));
    let message = site.fails(3, &["run", "--quiet", &other]);
    for party in ["9999", "10000"] {
        let expected = format!(
            "binning_0.inputs.model.input_model.model_warehouse: party {party} has no models train-2#0"
        );
        assert!(message.contains(&expected), "{message}");
    }
    assert!(message.contains("did you mean \"train-1#0\"?"), "{message}");
    let other = site.write(
        "predict.yaml",
        &text.replace("output_artifact_key: output_model", "output_artifact_key: model"),
    );
    let message = site.fails(3, &["run", "--quiet", &other]);
    assert!(
        message.contains("models train-1#0 of party 9999 have no model of task binning_0 as guest"),
        "{message}"
    );
}

/// A column of a displayed table, by name.
fn column(table: &Value, name: &str) -> Vec<String> {
    let fields = table["metadata"]["fields"].as_array().unwrap();
    let at = 1 + fields.iter().position(|f| f["name"] == name).unwrap();
    table["data"].as_array().unwrap().iter().map(|row| row[at].as_str().unwrap().to_string()).collect()
}

#[test]
fn rows_are_in_the_same_order_at_every_party() {
    let site = Site::with_breast_tables();
    run(&site, "job.yaml");
    let ids = |party: &str, role: &str| {
        let shown = site.json(&["output", "data", "-p", party, "-r", role, "-tn", "psi_0", "--json"]);
        let rows = shown["output_data"][0]["data"].as_array().unwrap().clone();
        rows.iter().map(|row| row[0].as_str().unwrap().to_string()).collect::<Vec<_>>()
    };
    let (guest, host) = (ids("9999", "guest"), ids("10000", "host"));
    assert_eq!(guest.len(), 100);
    assert_eq!(guest, host);
    assert!(!guest.is_sorted(), "the order shows nothing about the ids");
}
