//! Which parameters of a binning contradict, need or exclude one another: all that can be said without a table.
//!
//! Three things stay for the task, because only the table shows it: whether a column exists, whether a name and a
//! position mean the same one, and whether the guest has a label.

use std::collections::BTreeMap;

use tributary_binning::Cuts;
use tributary_core::{Result, Role};

use super::Measuring;
use super::parameters::{Method, TrainParameters, Transform};
use crate::columns::repeated;
use tributary_component::definition::{ParameterProblem as Problem, Stage};
use tributary_component::{Ask, Asked, Assignment};

/// Every such mistake of one party.
pub(super) fn problems(assignment: &Assignment<'_>) -> Result<Vec<Problem>> {
    // What a prediction needs beyond its own two parameters is in the model.
    if assignment.stage == Stage::Predict {
        return Ok(Vec::new());
    }
    let parameters: TrainParameters = assignment.parameters()?;
    let mut found = match parameters.method {
        Method::Manual => by_hand(&parameters),
        Method::Quantile | Method::Bucket => exclusive(&parameters.bin_col, &parameters.bin_idx, "bin"),
    };
    if parameters.method != Method::Manual
        && parameters.split_pt_dict.as_ref().is_some_and(|points| !points.is_empty())
    {
        let problem =
            Problem::of("split_pt_dict", "is for method manual; the others find cut points themselves");
        found.push(problem.help("write method: manual, or leave split_pt_dict out"));
    }
    found.extend(exclusive(&parameters.category_col, &parameters.category_idx, "category"));
    found.extend(named_twice(&parameters));
    found.extend(measuring(&parameters, assignment));
    Ok(found)
}

/// What a host is asked to release: nothing unless its columns are measured with the guest of another site.
pub(super) fn asks(assignment: &Assignment<'_>) -> Result<Vec<Asked>> {
    if assignment.stage == Stage::Predict || assignment.is_guest() || !assignment.has_partners() {
        return Ok(Vec::new());
    }
    let parameters: TrainParameters = assignment.parameters()?;
    if Measuring::of(parameters.skip_metrics, parameters.local_only) != Measuring::AllColumns {
        return Ok(Vec::new());
    }
    Ok(vec![match parameters.method {
        // Only the table shows how many bins the points of its columns make.
        Method::Manual => Asked { ask: Ask::Cuts(parameters.with_points()), parameter: "split_pt_dict" },
        _ => Asked { ask: Ask::Bins(parameters.n_bins.into()), parameter: "n_bins" },
    }])
}

/// Columns are chosen by name or by position.
fn exclusive(names: &Option<Vec<String>>, positions: &Option<Vec<usize>>, what: &str) -> Vec<Problem> {
    let both = names.is_some() && positions.is_some();
    let problem = || {
        Problem::of(&format!("{what}_idx"), format!("{what}_col is given too, and both choose columns"))
            .help("leave one of them out")
    };
    both.then(problem).into_iter().collect()
}

/// Cut points chosen by hand: present, usable, and of the columns that are to be binned.
fn by_hand(parameters: &TrainParameters) -> Vec<Problem> {
    let Some(points) = parameters.split_pt_dict.as_ref().filter(|points| !points.is_empty()) else {
        let problem = Problem::of("split_pt_dict", "method manual needs cut points of each column");
        return vec![problem.help("{age: [30, 60], height: [1.5, 1.75, 2]}")];
    };
    let unusable = points.iter().filter_map(|(column, points)| {
        let why = Cuts::new(points.clone()).err()?;
        Some(Problem::of("split_pt_dict", why.to_string()).key(column))
    });
    let by_position = parameters.bin_idx.is_some().then(|| {
        Problem::of("bin_idx", "method manual bins the columns of split_pt_dict, by name")
            .help("leave bin_idx out")
    });
    unusable.chain(by_position).chain(without_points(parameters, points)).collect()
}

/// Names without cut points. Cut points without a name are another party's.
fn without_points(parameters: &TrainParameters, points: &BTreeMap<String, Vec<f64>>) -> Vec<Problem> {
    let Some(names) = &parameters.bin_col else { return Vec::new() };
    let without_points = names.iter().enumerate().filter(|(_, name)| !points.contains_key(*name));
    let without_points = without_points.map(|(at, name)| {
        Problem::of("bin_col", format!("split_pt_dict has no cut points of {name:?}")).index(at)
    });
    without_points.collect()
}

/// A column that is to be binned twice, or binned and a category.
fn named_twice(parameters: &TrainParameters) -> Vec<Problem> {
    let by_hand = parameters.split_pt_dict.as_ref().filter(|_| parameters.method == Method::Manual);
    let names: Vec<&String> = match (&parameters.bin_col, by_hand) {
        (Some(names), _) => names.iter().collect(),
        (None, points) => points.into_iter().flat_map(BTreeMap::keys).collect(),
    };
    let by_name = twice(&names, &parameters.category_col.iter().flatten().collect::<Vec<_>>(), "col");
    let binned: Vec<&usize> = parameters.bin_idx.iter().flatten().collect();
    let by_position = twice(&binned, &parameters.category_idx.iter().flatten().collect::<Vec<_>>(), "idx");
    by_name.into_iter().chain(by_position).collect()
}

fn twice<T: Ord + Copy + std::fmt::Debug>(binned: &[T], categories: &[T], how: &str) -> Option<Problem> {
    let at = repeated(binned.iter().chain(categories))?;
    let (key, index, item) = match at.checked_sub(binned.len()) {
        None => ("bin", at, binned[at]),
        Some(index) => ("category", index, categories[index]),
    };
    Some(Problem::of(&format!("{key}_{how}"), format!("column {item:?} is named twice")).index(index))
}

/// What is measured, with which parties, and under which key.
fn measuring(parameters: &TrainParameters, assignment: &Assignment<'_>) -> Vec<Problem> {
    let without_metrics = parameters.skip_metrics
        && parameters.transform_method == Some(Transform::Woe)
        && assignment.is_guest();
    let without_metrics = without_metrics.then(|| {
        Problem::of("transform_method", "woe comes from the metrics, which skip_metrics leaves out")
            .help("write bin_idx, or leave skip_metrics out")
    });
    let key_length = parameters.he_param.key_length;
    let no_key = parameters.he_param.bits().err().map(|_| {
        let message = format!("expected 1024, 2048 or 3072 bits, got {key_length}");
        Problem::of("he_param", message).key("key_length")
    });
    let measure = Measuring::of(parameters.skip_metrics, parameters.local_only);
    let needs_guest = measure == Measuring::AllColumns && assignment.count(&Role::host()) > 0;
    let no_guest = needs_guest.then(|| assignment.expect_one_guest()).flatten();
    without_metrics.into_iter().chain(no_key).chain(no_guest).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::HeteroFeatureBinning;
    use super::*;
    use tributary_component::testing::problems;

    const BOTH: [(&str, &str); 2] = [("guest", "1"), ("host", "2")];

    fn check(given: Value, expected: &[&str]) {
        let component = HeteroFeatureBinning::default();
        assert_eq!(problems(&component, Stage::Train, &BOTH, given.clone()), expected, "{given}");
    }

    #[test]
    fn cut_points_by_hand_are_there_and_usable() {
        let lacking = "split_pt_dict: method manual needs cut points of each column \
                       ({age: [30, 60], height: [1.5, 1.75, 2]})";
        check(json!({"method": "manual"}), &[lacking]);
        check(json!({"method": "manual", "split_pt_dict": {}}), &[lacking]);
        check(json!({"method": "manual", "split_pt_dict": {"a": [1, 2.5], "b": [0]}}), &[]);
        check(
            json!({"method": "manual", "split_pt_dict": {"a": [2, 1], "b": [1, 1], "c": [1]}}),
            &[
                "split_pt_dict/a: cut point 1 does not exceed the one before it; sort them and name each once",
                "split_pt_dict/b: cut point 1 does not exceed the one before it; sort them and name each once",
            ],
        );
    }

    #[test]
    fn cut_points_without_method_manual_are_refused() {
        let expected = "split_pt_dict: is for method manual; the others find cut points themselves \
                        (write method: manual, or leave split_pt_dict out)";
        for given in
            [json!({"method": "quantile", "split_pt_dict": {"a": [1]}}), json!({"split_pt_dict": {"a": [1]}})]
        {
            check(given, &[expected]);
        }
        check(json!({"method": "bucket", "split_pt_dict": {}}), &[]);
    }

    #[test]
    fn cut_points_by_hand_are_those_of_the_columns_named() {
        let given = |columns: Value| json!({"method": "manual", "split_pt_dict": {"a": [1], "b": [1]}, "bin_col": columns});
        check(given(json!(["b", "a"])), &[]);
        check(given(json!(["a"])), &[]);
        check(given(json!(["a", "c"])), &["bin_col/1: split_pt_dict has no cut points of \"c\""]);
        check(
            json!({"method": "manual", "split_pt_dict": {"a": [1]}, "bin_idx": [0]}),
            &["bin_idx: method manual bins the columns of split_pt_dict, by name (leave bin_idx out)"],
        );
    }

    #[test]
    fn columns_are_chosen_once_and_in_one_way() {
        check(json!({"bin_col": ["a"], "category_idx": [1]}), &[]);
        check(
            json!({"bin_col": ["a"], "bin_idx": [0], "category_col": ["b"], "category_idx": [1]}),
            &[
                "bin_idx: bin_col is given too, and both choose columns (leave one of them out)",
                "category_idx: category_col is given too, and both choose columns (leave one of them out)",
            ],
        );
        check(json!({"bin_col": ["a", "b", "a"]}), &["bin_col/2: column \"a\" is named twice"]);
        check(
            json!({"bin_col": ["a"], "category_col": ["b", "a"]}),
            &["category_col/1: column \"a\" is named twice"],
        );
        check(json!({"bin_idx": [3, 4], "category_idx": [4]}), &["category_idx/0: column 4 is named twice"]);
        check(
            json!({"method": "manual", "split_pt_dict": {"a": [1]}, "category_col": ["a"]}),
            &["category_col/0: column \"a\" is named twice"],
        );
    }

    #[test]
    fn a_key_has_a_size_that_there_is() {
        for bits in [1024, 2048, 3072] {
            check(json!({"he_param": {"kind": "paillier", "key_length": bits}}), &[]);
        }
        check(
            json!({"he_param": {"key_length": 1500}}),
            &["he_param/key_length: expected 1024, 2048 or 3072 bits, got 1500"],
        );
    }

    #[test]
    fn weights_of_evidence_need_metrics_where_there_are_any() {
        let given = json!({"transform_method": "woe", "skip_metrics": true});
        check(
            given.clone(),
            &["transform_method: woe comes from the metrics, which skip_metrics leaves out \
               (write bin_idx, or leave skip_metrics out)"],
        );
        let at_host = [("host", "2"), ("guest", "1")];
        let component = HeteroFeatureBinning::default();
        let none = Vec::<String>::new();
        assert_eq!(problems(&component, Stage::Train, &at_host, given.clone()), none, "values stay there");
        assert_eq!(problems(&component, Stage::Predict, &BOTH, given), none, "the model has them");
    }

    #[test]
    fn hosts_are_measured_with_one_guest() {
        let hosts = [("host", "1"), ("host", "2")];
        let check = |given: Value, expected: &[&str]| {
            let component = HeteroFeatureBinning::default();
            assert_eq!(problems(&component, Stage::Train, &hosts, given), expected);
        };
        check(json!({}), &[": expected one guest, got 0"]);
        check(json!({"local_only": true}), &[]);
        check(json!({"skip_metrics": true}), &[]);
    }
}
