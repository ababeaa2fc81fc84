//! `evaluation`: its shapes; the values are tested beside scikit-learn's in `tributary-evaluation`.

use serde_json::{Value, json};

use super::{Columns, PARTITIONS, Run, column, label, metric, texts};

fn predictions(rows: usize, shift: usize, sets: &[&'static str]) -> Columns {
    let score = |row: usize| ((row * 37 + shift) % 101) as f64 / 101.0;
    vec![
        label((0..rows).map(|row| i32::from((row * 37 + shift) % 101 > 40 + row % 30))),
        column("predict_score", (0..rows).map(|row| Some(score(row)))),
        column("predict_result", (0..rows).map(|row| Some(f64::from(score(row) > 0.5)))),
        texts("type", (0..rows).map(|row| sets[row % sets.len()])),
    ]
}

fn evaluated(parameters: Value, partitions: u32) -> Value {
    let tables = |_: usize| -> Vec<(&'static str, Columns)> {
        vec![
            ("input_datas", predictions(300, 0, &["train_set", "test_set"])),
            ("input_datas", predictions(200, 5, &["validate_set"])),
        ]
    };
    let outputs = Run { partitions, ..Run::new("evaluation", parameters, &tables) }.alone();
    metric(&outputs, "evaluation").clone()
}

fn names(entries: &Value) -> Vec<String> {
    let name = |entry: &Value| match entry {
        Value::Array(pair) => {
            pair.iter().map(|one| one["metric"].as_str().unwrap()).collect::<Vec<_>>().join("+")
        }
        one => one["metric"].as_str().unwrap().to_owned(),
    };
    entries.as_array().unwrap().iter().map(name).collect()
}

#[test]
fn each_set_of_each_input_is_measured_under_the_task_that_made_it() {
    let first = evaluated(json!({}), 1);
    assert_eq!(first.as_object().unwrap().keys().collect::<Vec<_>>(), ["task_0", "task_1"]);
    assert_eq!(first["task_0"].as_object().unwrap().keys().collect::<Vec<_>>(), ["test_set", "train_set"]);
    let all = [
        "auc",
        "ks+ks_table",
        "confusion_matrix",
        "gain",
        "lift",
        "biclass_precision_table",
        "biclass_recall_table",
        "biclass_accuracy_table",
        "fscore_table",
    ];
    assert_eq!(names(&first["task_1"]["validate_set"]), all);
    let table = &first["task_0"]["train_set"][3]["val"];
    assert_eq!(table["gainx"].as_array().unwrap().len(), 100);
    assert_eq!(table["gainx"][0].as_array().unwrap().len(), 2, "of label 0 and of label 1");
    for partitions in PARTITIONS {
        assert_eq!(evaluated(json!({}), partitions), first, "{partitions} partitions");
    }
}

#[test]
fn named_metrics_come_in_their_order_and_one_alone_is_one_number() {
    let metrics = json!({"metrics": ["mse", "psi", "multi_accuracy", "auc", "ks"]});
    let found = evaluated(metrics, 2);
    assert_eq!(names(&found["task_0"]["train_set"]), ["mse", "multi_accuracy", "auc", "ks+ks_table"]);
    let others = ["mse", "psi_table+total_psi", "multi_accuracy", "auc", "ks+ks_table"];
    assert_eq!(names(&found["task_1"]["validate_set"]), others);
    let only = evaluated(json!({"metrics": ["auc"]}), 2);
    let entries = only["task_0"]["test_set"].as_array().unwrap();
    assert_eq!((entries.len(), entries[0].as_object().unwrap().len()), (1, 2));
    assert!((0.5..1.0).contains(&entries[0]["val"].as_f64().unwrap()));
    assert_eq!(
        names(&evaluated(json!({"default_eval_setting": "regression"}), 2)["task_0"]["test_set"]).len(),
        4
    );
}

#[test]
fn a_metric_that_one_class_leaves_undefined_is_null() {
    let tables = |_: usize| -> Vec<(&'static str, Columns)> {
        vec![("input_datas", vec![label([1, 1, 1]), column("predict_score", [0.1, 0.6, 0.7].map(Some))])]
    };
    let run = Run::new("evaluation", json!({"metrics": ["auc", "ks", "binary_recall", "lift"]}), &tables);
    let found = metric(&run.alone(), "evaluation")["task_0"]["origin"].clone();
    assert_eq!((&found[0]["val"], &found[1][0]["val"]), (&Value::Null, &Value::Null));
    assert_eq!(found[2]["val"], json!(2.0 / 3.0));
    let psi = Run::new("evaluation", json!({"metrics": ["psi"]}), &tables).at(1).remove(0);
    assert!(psi.unwrap_err().to_string().contains("two sets of rows, got one"));
}

#[test]
fn predictions_without_a_label_are_left_out() {
    let tables = |_: usize| -> Vec<(&'static str, Columns)> {
        let scores = |scores: [f64; 2]| column("predict_score", scores.map(Some));
        vec![
            ("input_datas", vec![scores([0.2, 0.7])]),
            ("input_datas", vec![label([0, 1]), scores([0.2, 0.7])]),
        ]
    };
    let outputs = Run::new("evaluation", json!({"metrics": ["auc"]}), &tables).alone();
    let found = metric(&outputs, "evaluation").as_object().unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["task_1"]);
}

#[test]
fn columns_may_have_other_names_and_missing_ones_are_named() {
    let tables = |_: usize| -> Vec<(&'static str, Columns)> {
        vec![(
            "input_datas",
            vec![column("truth", [0.0, 1.0].map(Some)), column("guess", [0.2, 0.7].map(Some))],
        )]
    };
    let named = json!({"metrics": ["auc"], "predict_column_name": "guess", "label_column_name": "truth"});
    let outputs = Run::new("evaluation", named, &tables).alone();
    assert_eq!(metric(&outputs, "evaluation")["task_0"]["origin"][0]["val"], 1.0);
    let error = Run::new("evaluation", json!({}), &tables).at(1).remove(0).unwrap_err();
    assert!(
        error.to_string().contains("no column \"predict_score\"; the table has id, truth, guess"),
        "{error}"
    );
}
