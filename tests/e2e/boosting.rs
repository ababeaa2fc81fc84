//! Trees that two sites train, as a user trains and applies them.

use serde_json::Value;

use crate::site::{Site, example};

fn run(site: &Site, id: &str, job: &str) {
    site.ok(&["run", "--quiet", "--job-id", id, job]);
}

/// Ids of the rows that are shown of a task's table, and their values in a column.
fn column(site: &Site, key: &str, name: &str) -> Vec<(String, String)> {
    let shown = site.json(&["output", "data", "-p", "9999", "-tn", "sbt_0", "--json"]);
    let table = &shown[key][0];
    assert_eq!(table["total"], 431, "{shown}");
    let fields = table["metadata"]["fields"].as_array().unwrap();
    let at = 1 + fields.iter().position(|field| field["name"] == name).unwrap();
    let text = |cell: &Value| cell.as_str().unwrap().to_owned();
    table["data"].as_array().unwrap().iter().map(|row| (text(&row[0]), text(&row[at]))).collect()
}

#[test]
fn trees_of_two_sites_are_trained_shown_and_applied() {
    let site = Site::with_breast_tables();
    run(&site, "boost-1", &example("breast/boost.yaml").display().to_string());
    let (guest, host) = (site.model("9999", "guest", "sbt_0"), site.model("10000", "host", "sbt_0"));
    assert_eq!(guest["trees"].as_array().unwrap().len(), 3);
    assert_eq!(guest["parts"]["id"], host["parts"]["id"]);
    let nodes: Vec<&Value> = guest["trees"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|tree| tree["nodes"].as_array().unwrap())
        .collect();
    let of_host = nodes.iter().filter(|node| node["sitename"] == "host_10000").count();
    assert!(of_host > 0, "the host's columns predict best: {guest}");
    assert!(!guest.to_string().contains("worst_"), "the guest does not know the host's columns");
    assert!(host.to_string().contains("worst_"));
    let losses = site.metrics("9999", "guest", "sbt_0");
    let loss = losses.iter().find(|metric| metric["name"] == "sbt_loss").unwrap();
    assert_eq!(loss["step_axis"], "iterations");

    let trained = column(&site, "train_output_data", "predict_score");
    let job = std::fs::read_to_string(example("breast/boost-predict.yaml")).unwrap();
    let job = job.replace("${model_id}", "boost-1").replace("${model_version}", "0");
    run(&site, "predict-1", &site.write("predict.yaml", &job));
    // The order of common rows is drawn for each intersection, and a hundred of them are shown.
    let predicted = column(&site, "test_output_data", "predict_score");
    let both = trained.iter().filter(|row| predicted.iter().any(|(id, _)| *id == row.0));
    assert!(both.clone().count() > 0 && both.clone().all(|row| predicted.contains(row)));
}

#[test]
fn a_host_that_trains_no_trees_refuses_the_job_before_it_runs() {
    let site = Site::with_breast_tables();
    site.write("parties/10000/service_conf.yaml", "limits: {gradient_sums: 0}\n");
    let said = site.fails(2, &["run", "--quiet", &example("breast/boost.yaml").display().to_string()]);
    assert!(said.contains("limits.gradient_sums") && said.contains("num_trees"), "{said}");
}
