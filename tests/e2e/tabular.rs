//! The jobs of the examples that prepare rows, and that measure scores, as they stand there.

use serde_json::Value;

use crate::site::{Site, example};

fn run(site: &Site, job: &str) {
    site.ok(&["run", "--quiet", &example(job).display().to_string()]);
}

/// Shown rows of an output table: names of columns after the id, and rows.
fn shown(site: &Site, party: &str, role: &str, task: &str, key: &str) -> (Vec<String>, Value) {
    let all = site.json(&["output", "data", "-p", party, "-r", role, "-tn", task, "--json"]);
    let table = all[key][0].clone();
    let fields = table["metadata"]["fields"].as_array().unwrap().clone();
    (fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect(), table)
}

fn rows_of(site: &Site, party: &str, role: &str, task: &str, key: &str) -> u64 {
    shown(site, party, role, task, key).1["total"].as_u64().unwrap()
}

fn ids(table: &Value) -> Vec<&str> {
    table["data"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap()).collect()
}

#[test]
fn rows_are_parted_scaled_sampled_and_united_alike_at_both_parties() {
    let site = Site::with_breast_tables();
    run(&site, "breast/prepare.yaml");
    for (task, key, rows) in [
        ("split_0", "train_output_data", 302),
        ("split_0", "test_output_data", 129),
        ("sample_0", "output_data", 43),
        ("union_0", "output_data", 431),
    ] {
        let (_, guest) = shown(&site, "9999", "guest", task, key);
        let (_, host) = shown(&site, "10000", "host", task, key);
        assert_eq!((&guest["total"], &host["total"]), (&rows.into(), &rows.into()), "{task} {key}");
        assert_eq!(ids(&guest), ids(&host), "{task} {key}");
    }
    let split = site.metrics("9999", "guest", "split_0");
    let events = split.iter().find(|metric| metric["name"] == "1_summary").unwrap();
    assert_eq!(events["data"]["original_count"], 163);
    assert_eq!(events["data"]["train_count"].as_u64().unwrap(), 114);
    let statistics = site.model("10000", "host", "statistics_0");
    assert_eq!(statistics["data"]["metrics_summary"]["count"].as_object().unwrap().len(), 20);
    let scaled = site.model("9999", "guest", "scale_0");
    assert_eq!(scaled["data"]["scalers"].as_object().unwrap().len(), 10);
    // The same draw again, whatever else.
    let drawn = |site: &Site| ids(&shown(site, "10000", "host", "sample_0", "output_data").1).join(" ");
    let first = drawn(&site);
    assert_eq!(rows_of(&site, "9999", "guest", "scale_1", "test_output_data"), 129);
    site.write("service_conf.yaml", "computing: {standalone: {cores: 3}}\n");
    let text = std::fs::read_to_string(example("breast/prepare.yaml")).unwrap();
    let text = text.replacen("dag:\n", "dag:\n  conf: {computing_partitions: 7, cores: 3}\n", 1);
    site.ok(&["run", "--quiet", &site.write("again.yaml", &text)]);
    // An intersection has another order each time, and so the same rows come in another one.
    let sorted = |rows: &str| {
        let mut ids: Vec<String> = rows.split(' ').map(str::to_owned).collect();
        ids.sort();
        ids
    };
    assert_eq!(sorted(&drawn(&site)), sorted(&first));
}

#[test]
fn parts_of_an_intersection_are_aligned_for_what_comes_after() {
    let site = Site::with_breast_tables();
    let text = std::fs::read_to_string(example("breast/job.yaml")).unwrap();
    let text = text.replace(
        "    binning_0:\n",
        "    split_0:\n      component_ref: data_split\n      stage: default\n      inputs: {data: {input_data: {task_output_artifact: \
         {producer_task: psi_0, output_artifact_key: output_data}}}}\n    binning_0:\n",
    );
    let text = text.replace(
        "              output_artifact_key: output_data\n              producer_task: psi_0",
        "              output_artifact_key: train_output_data\n              producer_task: split_0",
    );
    site.ok(&["run", "--quiet", &site.write("job.yaml", &text)]);
    let model = site.model("9999", "guest", "binning_0");
    let host = &model["data"]["host_metrics_summary"]["host_10000"];
    let events = |counts: &Value| -> u64 {
        let bins = counts.as_object().unwrap().values().next().unwrap().as_object().unwrap();
        bins.values().map(|count| count.as_u64().unwrap()).sum()
    };
    let total = events(&host["event_count"]) + events(&host["non_event_count"]);
    assert_eq!(total, 345, "all rows to train are measured, and no other");
}

#[test]
fn columns_are_selected_by_statistics_and_information_values_at_all_parties() {
    let site = Site::with_breast_tables();
    run(&site, "breast/select.yaml");
    let iv = site.model("9999", "guest", "binning_0")["data"].clone();
    let of = |summary: &Value| -> Vec<(String, f64)> {
        summary["iv"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, iv)| (name.clone(), iv.as_f64().unwrap()))
            .collect()
    };
    let varying = |party: &str, role: &str| {
        let model = site.model(party, role, "statistics_0");
        let deviations = model["data"]["metrics_summary"]["std"].as_object().unwrap().clone();
        let varying = deviations.into_iter().filter(|(_, deviation)| deviation.as_f64().unwrap() >= 0.01);
        varying.map(|(name, _)| name).collect::<Vec<_>>()
    };
    let guest = varying("9999", "guest");
    let mut expected = of(&iv["metrics_summary"]);
    expected.retain(|(name, iv)| *iv >= 0.5 && guest.contains(name));
    let (mut columns, _) = shown(&site, "9999", "guest", "selection_0", "train_output_data");
    columns.retain(|name| name != "y");
    columns.sort_unstable();
    assert_eq!(columns, expected.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
    assert!((1..10).contains(&columns.len()), "{columns:?}");

    let mut best = of(&iv["host_metrics_summary"]["host_10000"]);
    best.sort_by(|a, b| b.1.total_cmp(&a.1));
    let names = site.model("10000", "host", "binning_0")["meta"]["anonymous"].clone();
    let host = varying("10000", "host");
    let best = best[..5].iter().map(|(name, _)| names[name.as_str()].as_str().unwrap().to_owned());
    let mut best: Vec<String> = best.filter(|name| host.contains(name)).collect();
    best.sort_unstable();
    let (mut columns, _) = shown(&site, "10000", "host", "selection_0", "train_output_data");
    columns.sort_unstable();
    assert_eq!(columns, best);
}

#[test]
fn scores_are_measured_as_scikit_learn_measures_them() {
    let site = Site::default();
    let file = example("scores/scores.csv").display().to_string();
    let upload =
        ["data", "upload", "-p", "9999", "-ns", "experiment", "-n", "scores", "--label", "label", "--file"];
    site.ok(&[&upload[..], &[&file]].concat());
    run(&site, "scores/job.yaml");
    let metric = &site.metrics("9999", "guest", "eval_0")[0];
    assert_eq!((&metric["name"], &metric["type"]), (&"evaluation".into(), &"evaluation".into()));
    assert_eq!(metric["groups"], serde_json::json!([{"name": "default", "index": null}]));
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(example("scores/expected.json")).unwrap()).unwrap();
    for set in ["train_set", "test_set"] {
        let entries = metric["data"]["reader_0"][set].as_array().unwrap();
        let flat = entries.iter().flat_map(|entry| entry.as_array().cloned().unwrap_or(vec![entry.clone()]));
        let numbers: Vec<Value> = flat.filter(|entry| entry["val"].is_number()).collect();
        let compared = numbers.iter().filter_map(|entry| {
            let name = entry["metric"].as_str().unwrap();
            Some((name, entry["val"].as_f64().unwrap(), expected[set].get(name)?.as_f64().unwrap()))
        });
        let mut count = 0;
        for (name, found, wanted) in compared {
            assert!((found - wanted).abs() < 1e-9, "{name} of {set}: {found} {wanted}");
            count += 1;
        }
        assert_eq!(count, 6, "{numbers:?}");
        assert_eq!(numbers.iter().any(|entry| entry["metric"] == "total_psi"), set == "test_set");
    }
    let page = site.home().join("page.html").display().to_string();
    let report = ["job", "report", "latest", "-p", "9999", "-o", &page];
    site.ok(&report);
    let shown = std::fs::read_to_string(&page).unwrap();
    for part in [
        "<svg",
        "ROC",
        "Lift",
        "Gain",
        "Precision and recall",
        "Stability",
        "eval_0",
        "train_set of reader_0",
    ] {
        assert!(shown.contains(part), "{part}");
    }
    let shown = site.fails(4, &report);
    assert!(
        shown.contains("page.html: the file exists; choose another name") && shown.contains("--overwrite"),
        "{shown}"
    );
    site.ok(&[&report[..], &["--overwrite"]].concat());
    let text = std::fs::read_to_string(example("scores/job.yaml")).unwrap();
    let message =
        site.fails(2, &["run", "--quiet", &site.write("job.yaml", &text.replace("[auc,", "[aud,"))]);
    assert!(message.contains("did you mean \"auc\"?"), "{message}");
}
