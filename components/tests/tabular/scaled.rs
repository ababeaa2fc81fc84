//! `statistics` and `feature_scale`.

use serde_json::{Value, json};
use tributary_component::Stage;
use tributary_core::ErrorKind;

use super::{Columns, PARTITIONS, Run, column, label, model, output, texts, values};

/// 101 numbers, some missing.
fn number(row: usize) -> Option<f64> {
    (row % 10 != 3).then(|| 1e6 + ((row * row * 7 + row * 3) % 97) as f64 / 8.0)
}

fn tables(_: usize) -> Vec<(&'static str, Columns)> {
    let columns = vec![
        column("x", (0..101).map(number)),
        column("same", (0..101).map(|_| Some(2.5))),
        column("none", (0..101).map(|_| None)),
        texts("t", (0..101).map(|_| "text")),
        label((0..101).map(|row| row % 2)),
    ];
    vec![("input_data", columns)]
}

fn close(found: &Value, expected: f64, what: &str) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{what}: {found}"));
    assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found} {expected}");
}

const NAMES: [&str; 15] = [
    "count",
    "sum",
    "max",
    "min",
    "mean",
    "median",
    "std",
    "var",
    "coefficient_of_variation",
    "missing_count",
    "missing_ratio",
    "skewness",
    "kurtosis",
    "0%",
    "95%",
];

/// By plain formulas on the values.
fn expected(name: &str, ddof: f64, bias: bool) -> f64 {
    let mut values: Vec<f64> = (0..101).filter_map(number).collect();
    values.sort_by(f64::total_cmp);
    let n = values.len() as f64;
    let mean = 1e6 + values.iter().map(|v| v - 1e6).sum::<f64>() / n;
    let power = |p: i32| values.iter().map(|v| (v - mean).powi(p)).sum::<f64>() / n;
    let var = power(2) * n / (n - ddof);
    let rank = |percent: f64| values[((percent * n / 100.0).ceil() as usize).max(1) - 1];
    let (g1, g2) = (power(3) / power(2).powf(1.5), power(4) / power(2).powi(2) - 3.0);
    match (name, bias) {
        ("count", _) => n,
        ("sum", _) => mean * n,
        ("max", _) => values[values.len() - 1],
        ("min" | "0%", _) => values[0],
        ("mean", _) => mean,
        ("median", _) => rank(50.0),
        ("95%", _) => rank(95.0),
        ("std", _) => var.sqrt(),
        ("var", _) => var,
        ("coefficient_of_variation", _) => var.sqrt() / mean,
        ("missing_count", _) => 101.0 - n,
        ("missing_ratio", _) => (101.0 - n) / 101.0,
        ("skewness", true) => g1,
        ("skewness", false) => g1 * (n * (n - 1.0)).sqrt() / (n - 2.0),
        ("kurtosis", true) => g2,
        _ => (n - 1.0) / ((n - 2.0) * (n - 3.0)) * ((n + 1.0) * g2 + 6.0),
    }
}

#[test]
fn statistics_are_those_of_the_values() {
    for (partitions, ddof, bias) in [(1, 1, true), (2, 0, false), (7, 1, true)] {
        let parameters = json!({"metrics": NAMES, "ddof": ddof, "bias": bias});
        let outputs = Run { partitions, ..Run::new("statistics", parameters, &tables) }.alone();
        let summary = &model(&outputs)["data"]["metrics_summary"];
        for name in NAMES {
            close(&summary[name]["x"], expected(name, f64::from(ddof), bias), name);
        }
        assert_eq!((&summary["std"]["same"], &summary["skewness"]["same"]), (&json!(0.0), &json!(0.0)));
        assert_eq!((&summary["mean"]["none"], &summary["95%"]["none"]), (&Value::Null, &Value::Null));
        assert_eq!((&summary["count"]["none"], &summary["missing_ratio"]["none"]), (&json!(0), &json!(1.0)));
        assert_eq!(summary["mean"].as_object().unwrap().len(), 3, "no text, no label");
        let anonymous = json!({"guest_9999_x0": "x", "guest_9999_x1": "same", "guest_9999_x2": "none", "guest_9999_x3": "t"});
        assert_eq!(model(&outputs)["data"]["anonymous"], anonymous);
    }
}

#[test]
fn columns_are_left_out_by_either_name() {
    for (skip, use_anonymous) in [("same", false), ("guest_9999_x1", true)] {
        let parameters = json!({"metrics": "mean", "skip_col": [skip, ], "use_anonymous": use_anonymous});
        let outputs = Run::new("statistics", parameters, &tables).alone();
        let found = model(&outputs)["data"]["metrics_summary"]["mean"].as_object().unwrap().clone();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["x", "none"]);
    }
    let wrong = Run::new("statistics", json!({"skip_col": ["sane"]}), &tables).at(1).remove(0).unwrap_err();
    assert!(wrong.to_string().contains("skip_col: no feature \"sane\" (did you mean \"same\""), "{wrong}");
}

fn train(parameters: Value, partitions: u32) -> tributary_component::Outputs {
    let tables = |_: usize| -> Vec<(&'static str, Columns)> {
        let columns = vec![
            column("a", [Some(1.0), Some(2.0), None, Some(5.0), Some(4.0)]),
            column("b", [7.0; 5].map(Some)),
            label([0, 1, 0, 1, 1]),
        ];
        vec![("train_data", columns)]
    };
    Run { stage: Stage::Train, partitions, ..Run::new("feature_scale", parameters, &tables) }.alone()
}

fn predict(model: Value) -> tributary_core::Result<tributary_component::Outputs> {
    let tables = |_: usize| -> Vec<(&'static str, Columns)> {
        vec![("test_data", vec![column("b", [7.0, 8.0].map(Some)), column("a", [Some(-3.0), Some(9.0)])])]
    };
    let models = |_: usize| vec![("input_model", model.clone())];
    let run = Run { stage: Stage::Predict, models: &models, ..Run::new("feature_scale", json!({}), &tables) };
    run.at(1).remove(0)
}

fn near(found: &[Option<f64>], expected: &[Option<f64>]) {
    let same = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() < 1e-12,
        (a, b) => a == b,
    };
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(same), "{found:?} {expected:?}");
}

#[test]
fn columns_are_scaled_and_others_alike_by_the_model() {
    for partitions in PARTITIONS {
        let trained = train(json!({}), partitions);
        let table = output(&trained, "train_output_data").unwrap();
        let (mean, std) = (3.0, (10.0f64 / 3.0).sqrt());
        let scaled =
            [Some(1.0), Some(2.0), None, Some(5.0), Some(4.0)].map(|a| a.map(|a: f64| (a - mean) / std));
        near(&values(table, "a"), &scaled);
        near(&values(table, "b"), &[Some(0.0); 5]);
        near(&values(table, "y"), &[0.0, 1.0, 0.0, 1.0, 1.0].map(Some));
        assert_eq!(trained.recoded["train_output_data"], ["a", "b"]);
        let predicted = predict(model(&trained).clone()).unwrap();
        near(
            &values(output(&predicted, "test_output_data").unwrap(), "a"),
            &[Some(-6.0 / std), Some(6.0 / std)],
        );
    }
}

#[test]
fn a_range_is_kept_unless_it_is_not_strict() {
    let scaled = |parameters: Value| {
        let trained = train(parameters, 2);
        let predicted = predict(model(&trained).clone()).unwrap();
        let of = |outputs: &_, key: &str| values(output(outputs, key).unwrap(), "a");
        (of(&trained, "train_output_data"), of(&predicted, "test_output_data"))
    };
    let (train, test) = scaled(json!({"method": "min_max"}));
    near(&train, &[Some(0.0), Some(0.25), None, Some(1.0), Some(0.75)]);
    near(&test, &[Some(0.0), Some(1.0)]);
    let loose = json!({"method": "min_max", "strict_range": false, "feature_range": {"a": [-1, 1]}, "scale_col": ["a"]});
    near(&scaled(loose).1, &[Some(-3.0), Some(3.0)]);
    near(&scaled(json!({"method": "min_max", "scale_idx": [1]})).1, &[Some(-3.0), Some(9.0)]);
}

#[test]
fn a_model_that_is_none_is_refused() {
    for model in [
        json!({}),
        json!({"data": {"method": "standard", "scalers": {"a": {"mean": null, "std": 1}}}}),
        json!({"data": {"method": "standard", "scalers": {"a": {"mean": 0, "std": -1}}}}),
        json!({"data": {"method": "min_max", "scalers": {"a": {"min": 0, "max": 1, "feature_range": [1, 0], "strict_range": true}}}}),
    ] {
        assert_eq!(predict(model).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
