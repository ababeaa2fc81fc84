//! The job files of FATE's guides to the DAG and to jobs, as they stand there, but for their ellipses.

use std::path::PathBuf;

use crate::site::{Site, top};

/// The example of a training, and of the prediction after it.
fn guide(name: &str) -> String {
    let path: PathBuf = top().join("tests/e2e/guides").join(name);
    std::fs::read_to_string(path).unwrap()
}

/// A site with the tables that the guides name.
fn site() -> Site {
    let site = Site::with_breast_tables();
    for (party, table) in [("9999", "guest"), ("10000", "host")] {
        let name = format!("breast_hetero_{table}");
        let from = format!("breast_{table}");
        site.ok(&["table", "rename", "-p", party, "-ns", "experiment", "-n", &from, "--to-name", &name]);
    }
    site
}

fn run(site: &Site, id: &str, job: &str) {
    site.ok(&["run", "--quiet", "--job-id", id, &site.write(&format!("{id}.yaml"), job)]);
}

fn auc(site: &Site, set: &str) -> f64 {
    let evaluation = &site.metrics("9999", "guest", "eval_0")[0]["data"]["sbt_0"];
    let entry = &evaluation[set][0];
    assert_eq!(entry["metric"], "auc", "{evaluation}");
    entry["val"].as_f64().unwrap()
}

#[test]
fn the_guides_training_and_its_prediction_run() {
    let site = site();
    run(&site, "train", &guide("train.yaml"));
    assert!(auc(&site, "train_set") > 0.9);
    let evaluated = site.fails(3, &["output", "metric", "-p", "10000", "-r", "host", "-tn", "eval_0"]);
    assert!(evaluated.contains("eval_0"), "the task is the guest's alone: {evaluated}");
    let predict = guide("predict.yaml")
        .replace("${train_task model_id}", "train")
        .replace("${train_task model_version}", "'0'");
    run(&site, "predict", &predict);
    let shown = site.json(&["output", "data", "-p", "9999", "-tn", "sbt_0", "--json"]);
    assert_eq!(shown["test_output_data"][0]["total"], 431);
}

#[test]
fn what_the_guides_say_about_conf_stages_and_outputs_holds() {
    let site = site();
    site.write("service_conf.yaml", "computing: {standalone: {cores: 4}}\n");
    let (train, conf) = (
        guide("train.yaml"),
        "  conf: {scheduler_party_id: '9999', priority: 2, auto_retries: 2, cores: 4}\n",
    );
    // The guide has engine_run, timeout and provider beside conf, not in it.
    let task = "  task: {engine_run: {cores: 2}, timeout: 3600, provider: 'fate:2.0.1@local'}\n";
    let alias = "      outputs: {model: {output_model: {output_artifact_key_alias: trees, output_artifact_type_alias: json}}}\n";
    let boost = "      component_ref: hetero_secureboost\n";
    let all = train
        .replacen("dag:\n", &format!("dag:\n{conf}{task}"), 1)
        .replace(boost, &format!("{boost}{alias}"));
    run(&site, "conf", &all);
    assert!(auc(&site, "train_set") > 0.9);
    let folds = train
        .replace("train_data:", "cv_data:")
        .replace("train_output_data", "cv_output_datas")
        .replace(boost, &format!("{boost}      stage: cross_validation\n"))
        .replace("        max_depth: 3\n", "        max_depth: 3\n        cv_param: {n_splits: 3}\n");
    run(&site, "folds", &folds);
    let folds = &site.metrics("9999", "guest", "eval_0")[0]["data"]["sbt_0"];
    assert_eq!(folds.as_object().unwrap().keys().collect::<Vec<_>>(), ["fold_0", "fold_1", "fold_2"]);
}
