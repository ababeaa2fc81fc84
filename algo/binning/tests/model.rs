//! The model as JSON: FATE's keys, and hostile content refused.

#![allow(clippy::unwrap_used)] // helpers of tests

use proptest::prelude::*;
use serde_json::{Value, json};
use tributary_binning::Model;
use tributary_core::Result;

fn sample() -> Value {
    let by_bin = json!({"x": {"0": 0.25, "1": -1.5, "missing": 0.5}});
    let summary = json!({
        "event_count": {"x": {"0": 1, "1": 2, "missing": 1}},
        "non_event_count": {"x": {"0": 3, "1": 0, "missing": 1}},
        "event_rate": by_bin, "non_event_rate": by_bin, "woe": by_bin, "iv_array": by_bin,
        "is_monotonic": {"x": true},
        "iv": {"x": 0.75},
    });
    json!({
        "method": "quantile",
        "bin_col": ["x"],
        "category_col": ["c"],
        "adjustment_factor": 0.5,
        "split_pt_dict": {"x": [1.0, 2.5]},
        "bin_count_dict": {"x": 2},
        "woe_dict": by_bin,
        "metrics_summary": summary,
        "host_metrics_summary": {"host_10000": summary},
    })
}

fn load(model: Value) -> Result<Model, serde_json::Error> {
    serde_json::from_str(&model.to_string())
}

#[test]
fn a_model_survives_its_json() {
    let model = load(sample()).unwrap();
    assert_eq!(serde_json::to_value(&model).unwrap(), sample());
    assert_eq!(model.cuts().next().unwrap().1.points(), [1.0, 2.5]);
    assert_eq!(model.woe("x").unwrap(), [0.25, -1.5, 0.5]);
    assert!(model.woe("c").is_err());
}

#[test]
fn bins_may_be_read_in_any_order() {
    let mut model = sample();
    let points: Vec<f64> = (0..12).map(f64::from).collect();
    model["split_pt_dict"]["x"] = json!(points);
    model["bin_count_dict"]["x"] = json!(12);
    model["woe_dict"]["x"] = (0..12).rev().map(|bin| (bin.to_string(), json!(f64::from(bin)))).collect();
    let text = model.to_string();
    assert!(text.find("\"10\":").unwrap() < text.find("\"2\":").unwrap());
    assert_eq!(load(model).unwrap().woe("x").unwrap(), points);
    let twice = sample().to_string().replace(r#""0":0.25"#, r#""0":0.25,"0":0.25"#);
    assert!(serde_json::from_str::<Model>(&twice).is_err());
}

#[test]
fn a_host_s_model_has_no_metrics() {
    let mut model = sample();
    for key in ["woe_dict", "metrics_summary", "host_metrics_summary"] {
        model.as_object_mut().unwrap().remove(key);
    }
    assert!(load(model).unwrap().parts().metrics_summary.is_none());
}

#[test]
fn contradictions_are_refused() {
    let changes: [(&str, Value); 9] = [
        ("method", json!("other")),
        ("adjustment_factor", json!(0)),
        ("split_pt_dict", json!({})),
        ("split_pt_dict", json!({"x": [2.5, 1.0]})),
        ("bin_count_dict", json!({"x": 3})),
        ("woe_dict", json!({"x": {"0": 1.0}})),
        ("woe_dict", json!({"x": {"0": 1.0, "missing": 1.0}})),
        ("woe_dict", json!({"x": {"0": 1.0, "1": 1.0, "2": 1.0}})),
        ("extra", json!(1)),
    ];
    for (key, value) in changes {
        let mut model = sample();
        model[key] = value.clone();
        assert!(load(model).is_err(), "{key}: {value}");
    }
}

#[test]
fn more_bins_than_can_be_are_refused() {
    let many: serde_json::Map<String, Value> = (0..70_000).map(|i| (i.to_string(), json!(0.0))).collect();
    let mut model = sample();
    model["woe_dict"]["x"] = Value::Object(many);
    assert!(load(model).unwrap_err().to_string().contains("at most 65536 bins"));
}

/// Any finite numbers, as bits are drawn: of every size.
fn numbers() -> impl Strategy<Value = Vec<f64>> {
    let finite = any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |number| number.is_finite());
    prop::collection::vec(finite.prop_map(|number| number + 0.0), 1..20)
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

proptest! {
    #[test]
    fn a_model_is_read_back_to_the_bit(points in numbers(), woe in numbers()) {
        let mut points = points;
        points.sort_by(f64::total_cmp);
        points.dedup();
        let mut model = sample();
        model["bin_count_dict"]["x"] = json!(points.len());
        let woe: Vec<f64> = woe.into_iter().cycle().take(points.len()).collect();
        model["woe_dict"]["x"] = woe.iter().enumerate().map(|(bin, woe)| (bin.to_string(), json!(woe))).collect();
        model["split_pt_dict"]["x"] = json!(points);
        let written = serde_json::to_string(&load(model).unwrap()).unwrap();
        // As records and jobs read them: to a value first, and at once.
        let value: Value = serde_json::from_str(&written).unwrap();
        for read in [serde_json::from_value::<Model>(value).unwrap(), serde_json::from_str(&written).unwrap()] {
            prop_assert_eq!(bits(read.cuts().next().unwrap().1.points()), bits(&points));
            prop_assert_eq!(bits(&read.woe("x").unwrap()), bits(&woe));
        }
    }
}
