//! Every value against scikit-learn's: `vectors/make.py` wrote them.

use futures::executor::block_on;
use serde_json::Value;
use tributary_core::kernel::KernelCall;
use tributary_evaluation::binary::{Column, Measured, Metric, measure};
use tributary_evaluation::{CompareClasses, CompareNumbers, CompareParams, Errors, Matches, Ranked};

use super::{PARTITIONS, classes, table};

fn cases(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../vectors/scikit-learn.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Equal to 1e-9, or both undefined.
fn check(found: f64, expected: &Value, what: &str) {
    match expected.as_f64() {
        Some(expected) => {
            assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{what}: {found} {expected}")
        }
        None => assert!(found.is_nan(), "{what}: {found}, expected none"),
    }
}

fn params() -> CompareParams {
    CompareParams { predicted: "score".into(), label: "label".into() }
}

fn column(table: &Measured, wanted: &str) -> Vec<f64> {
    let Measured::Table(_, columns) = table else { panic!("{table:?} is no table") };
    match columns.iter().find(|(name, _)| *name == wanted) {
        Some((_, Column::Numbers(values))) => values.clone(),
        other => panic!("{wanted}: {other:?}"),
    }
}

#[test]
fn metrics_of_two_classes_are_scikit_learn_s() {
    let metrics = [
        Metric::Auc,
        Metric::Ks,
        Metric::BinaryAccuracy,
        Metric::BinaryPrecision,
        Metric::BinaryRecall,
        Metric::BinaryF1Score,
    ];
    for case in cases("binary") {
        for partitions in PARTITIONS {
            let rows = block_on(table(&numbers(&case["scores"]), &numbers(&case["labels"]), partitions));
            let ranked = block_on(Ranked::of(&rows, "score", "label")).unwrap();
            for measured in block_on(measure(&ranked, &metrics)).unwrap().iter().flatten() {
                if let Measured::Number(metric, found) = measured {
                    check(
                        *found,
                        &case[metric],
                        &format!("{metric} of {}, {partitions} partitions", case["name"]),
                    );
                }
            }
        }
    }
}

#[test]
fn tables_by_threshold_are_scikit_learn_s() {
    for case in cases("binary") {
        let rows = block_on(table(&numbers(&case["scores"]), &numbers(&case["labels"]), 3));
        let ranked = block_on(Ranked::of(&rows, "score", "label")).unwrap();
        let measured = block_on(measure(&ranked, &[Metric::FscoreTable])).unwrap();
        let (scores, thresholds) = (column(&measured[0][0], "f_score"), column(&measured[0][0], "threshold"));
        for expected in case["by_threshold"].as_array().unwrap() {
            let threshold = expected["threshold"].as_f64().unwrap();
            let at = thresholds.iter().position(|t| *t == threshold).unwrap();
            check(scores[at], &expected["f1"], &format!("f1 of {} at {threshold}", case["name"]));
        }
    }
}

#[test]
fn metrics_of_several_classes_are_scikit_learn_s() {
    let integers = |value: &Value| -> Vec<i32> { numbers(value).into_iter().map(|n| n as i32).collect() };
    for case in cases("multi") {
        for partitions in PARTITIONS {
            let rows =
                block_on(classes(&integers(&case["predicted"]), &integers(&case["labels"]), partitions));
            let call = KernelCall::fold::<CompareClasses>(&params()).unwrap();
            let matches = Matches::read(&block_on(rows.map(call).unwrap().collect()).unwrap()).unwrap();
            for metric in ["multi_accuracy", "multi_precision", "multi_recall", "multi_f1_score"] {
                check(matches.share(), &case[metric], metric);
            }
        }
    }
}

#[test]
fn metrics_of_a_regression_are_scikit_learn_s() {
    for case in cases("regression") {
        for partitions in PARTITIONS {
            let rows = block_on(table(&numbers(&case["predicted"]), &numbers(&case["labels"]), partitions));
            let call = KernelCall::fold::<CompareNumbers>(&params()).unwrap();
            let errors = Errors::read(&block_on(rows.map(call).unwrap().collect()).unwrap()).unwrap();
            let found = [
                ("mae", errors.mae()),
                ("mse", errors.mse()),
                ("rmse", errors.rmse()),
                ("r2_score", errors.r2_score()),
            ];
            for (metric, found) in found {
                check(found, &case[metric], &format!("{metric} of {}", case["name"]));
            }
        }
    }
}
