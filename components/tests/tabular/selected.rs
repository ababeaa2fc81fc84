//! `hetero_feature_selection`.

use serde_json::{Value, json};
use tributary_component::Stage;
use tributary_core::{ErrorKind, Result, Table};

use super::{Columns, Run, column, label, model, output};

/// Columns `a` to `d`, and a label at the guest.
fn tables(place: usize) -> Vec<(&'static str, Columns)> {
    let mut columns: Columns = ["a", "b", "c", "d"].map(|name| column(name, [Some(1.0), Some(2.0)])).into();
    if place == 0 {
        columns.push(label([0, 1]));
    }
    vec![("train_data", columns)]
}

/// As binning and statistics leave them: of the guest, or of a host.
fn models(place: usize) -> Vec<(&'static str, Value)> {
    let of_host = |host: &str, numbers: [f64; 4]| {
        let iv = numbers.iter().enumerate().map(|(at, iv)| (format!("host_{host}_x{at}"), (*iv).into()));
        json!({"iv": Value::Object(iv.collect())})
    };
    let binning = match place {
        0 => json!({"data": {
            "bin_count_dict": {}, "metrics_summary": {"iv": {"a": 0.9, "b": 0.1, "c": 0.5}},
            "host_metrics_summary": {
                "host_10000": of_host("10000", [0.0, 0.7, 0.2, 0.7]), "host_10001": of_host("10001", [0.1, 0.1, 0.2, 0.0]),
            },
        }, "meta": {}}),
        host => {
            let party = format!("host_{}", 9_999 + host);
            let names = ["a", "b", "c", "d"].into_iter().enumerate();
            let names = names.map(|(at, name)| (format!("{party}_x{at}"), name.into()));
            json!({"data": {"bin_count_dict": {}}, "meta": {"anonymous": Value::Object(names.collect())}})
        }
    };
    let summary = json!({"mean": {"a": 3.0, "b": 1.0, "c": 2.0, "d": 0.0}, "std": {"a": 1.0, "b": 5.0, "c": 5.0, "d": 5.0}});
    let statistics = json!({"data": {"metrics_summary": summary}, "meta": {"model_type": "statistics"}});
    vec![("input_models", binning), ("input_models", statistics)]
}

fn run(parameters: Value, parties: usize) -> Vec<Result<tributary_component::Outputs>> {
    let run = Run::new("hetero_feature_selection", parameters, &tables);
    Run { stage: Stage::Train, models: &models, ..run }.at(parties)
}

fn names(table: &Table) -> Vec<String> {
    table.schema().fields().iter().map(|field| field.name.clone()).collect()
}

/// Columns that stay, by party.
fn kept(parameters: Value, parties: usize) -> Vec<String> {
    let outputs = run(parameters, parties).into_iter().map(Result::unwrap);
    outputs.map(|outputs| names(output(&outputs, "train_output_data").unwrap()).join(" ")).collect()
}

#[test]
fn columns_go_by_name_and_what_is_to_stay_stays() {
    assert_eq!(kept(json!({}), 1), ["a b c d y"]);
    assert_eq!(kept(json!({"manual_param": {"filter_out_col": ["b", "d"]}}), 1), ["a c y"]);
    let both = json!({
        "method": ["statistics", "manual"], "statistic_param": {"threshold": 2.5}, "manual_param": {"keep_col": ["d"]},
    });
    assert_eq!(kept(both, 1), ["a d y"]);
    let anonymous = json!({"use_anonymous": true, "manual_param": {"filter_out_col": ["guest_9999_x2"]}});
    assert_eq!(kept(anonymous, 1), ["a b d y"]);
    let error = run(json!({"manual_param": {"filter_out_col": ["e"]}}), 1).remove(0).unwrap_err().to_string();
    assert!(error.contains("manual_param.filter_out_col: no feature \"e\""), "{error}");
}

#[test]
fn statistics_of_each_party_are_its_own_and_all_filters_must_keep_a_column() {
    let two = json!({
        "method": "statistics",
        "statistic_param": {"metrics": ["mean", "std"], "threshold": [1, 2.0], "filter_type": ["threshold", "threshold"]},
    });
    assert_eq!(kept(two, 2), ["b c y", "b c"]);
    let top = json!({"method": "statistics", "statistic_param": {"filter_type": "top_k", "threshold": 1}, "select_col": ["b", "c"]});
    assert_eq!(kept(top, 2), ["a c d y", "a c d"], "columns that are not up for selection stay");
    let unknown = json!({"method": "statistics", "statistic_param": {"metrics": ["median"]}});
    let error = run(unknown, 1).remove(0).unwrap_err().to_string();
    assert!(error.contains("has no median; name it in that task's metrics"), "{error}");
}

#[test]
fn the_guest_selects_columns_of_hosts_by_their_information_values() {
    let parameters = |federated: bool| {
        json!({
            "method": "iv", "iv_param": {"threshold": 0.5, "host_filter_type": "top_k", "host_threshold": 2, "select_federated": federated},
        })
    };
    // Of equal values the first; the guest's d has none.
    assert_eq!(kept(parameters(true), 3), ["a c y", "b d", "a c"]);
    assert_eq!(kept(parameters(false), 3), ["a c y", "a b c d", "a b c d"]);
    let none = json!({"method": "iv", "iv_param": {"threshold": 9, "host_threshold": 9}});
    assert_eq!(kept(none.clone(), 3), ["a y", "d", "c"], "one column stays");
    let mut none = none;
    none["keep_one"] = false.into();
    assert_eq!(kept(none, 3), ["y", "", ""]);
}

#[test]
fn a_model_selects_the_same_columns_of_another_table() {
    let trained = run(json!({"manual_param": {"filter_out_col": ["b", "d"]}}), 1).remove(0).unwrap();
    let learned = model(&trained).clone();
    assert_eq!(learned["data"]["dropped"], json!(["b", "d"]));
    let predict = |columns: &[&'static str]| {
        let tables =
            |_: usize| vec![("test_data", columns.iter().map(|name| column(name, [Some(1.0)])).collect())];
        let models = |_: usize| vec![("input_model", learned.clone())];
        let run = Run::new("hetero_feature_selection", json!({}), &tables);
        Run { stage: Stage::Predict, models: &models, ..run }.at(1).remove(0)
    };
    let outputs = predict(&["d", "c", "x", "a"]).unwrap();
    assert_eq!(names(output(&outputs, "test_output_data").unwrap()), ["c", "x", "a"]);
    assert!(predict(&["a"]).unwrap_err().to_string().contains("keeps column \"c\", which the table lacks"));
}

#[test]
fn models_that_are_missing_or_of_another_kind_are_named() {
    let with = |method: &str, model: Option<Value>| {
        let models = |_: usize| model.iter().map(|model| ("input_models", model.clone())).collect::<Vec<_>>();
        let run = Run::new("hetero_feature_selection", json!({"method": method}), &tables);
        Run { stage: Stage::Train, models: &models, ..run }.at(1).remove(0).unwrap_err()
    };
    for (method, model, expected) in [
        ("iv", None, "needs a model of hetero_feature_binning"),
        ("statistics", None, "needs a model of statistics"),
        ("iv", Some(json!({"data": {}})), "takes models of hetero_feature_binning and of statistics"),
        (
            "iv",
            Some(json!({"data": {"bin_count_dict": {}, "metrics_summary": null}})),
            "has no information values",
        ),
    ] {
        let error = with(method, model);
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(expected), "{error}");
    }
}
