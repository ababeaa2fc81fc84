//! What a user may say about a selection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;
use tributary_component::Assignment;
use tributary_component::definition::{Artifact, Definition, Kind, Parameter, ParameterProblem, Stage};
use tributary_core::Result;

use super::filter::{Filter, Steps};
use crate::statistics::Statistic;

const TYPES: &[&str] = &["threshold", "top_k", "top_percentile"];

/// A list of filters: numbers, how each is meant, and whether high ones are wanted.
fn filters(prefix: [&'static str; 3]) -> [Parameter; 3] {
    let threshold = Kind::union([Kind::int(0..), Kind::float(..)]);
    [
        Parameter::list(prefix[0], Kind::Choice(TYPES))
            .default(json!(["threshold"]))
            .describe("what the number is"),
        Parameter::list(prefix[1], threshold)
            .default(json!([1.0]))
            .describe("a bound, a number of columns, or a share"),
        Parameter::list(prefix[2], Kind::Bool).default(json!([true])).describe("keep high values"),
    ]
}

/// The published description.
pub(super) fn definition() -> Definition {
    let (train, predict) = ([Stage::Train], [Stage::Predict]);
    let own = ["filter_type", "threshold", "take_high"];
    let hosts = ["host_filter_type", "host_threshold", "host_take_high"];
    let iv = Parameter::list("metrics", Kind::Choice(&["iv"]))
        .default(json!(["iv"]))
        .describe("the information value");
    let federated =
        Parameter::bool("select_federated").default(true).describe("the guest selects hosts' columns too");
    let statistic =
        Parameter::list("metrics", Kind::Text).default(json!(["mean"])).describe("statistics of the model");
    let columns = |name| Parameter::list(name, Kind::Text).default(json!([]));
    Definition::new("hetero_feature_selection")
        .describe("Drops columns by name, information value or statistics")
        .roles(["guest", "host"])
        .stages([Stage::Train, Stage::Predict])
        .parameter(
            Parameter::list("method", Kind::Choice(&["manual", "iv", "statistics"]))
                .default(json!(["manual"]))
                .stages(train)
                .describe("one after the other"),
        )
        .parameter(
            Parameter::list("select_col", Kind::Text)
                .stages(train)
                .describe("columns that may be dropped; all otherwise"),
        )
        .parameter(
            Parameter::record(
                "iv_param",
                [iv].into_iter().chain(filters(own)).chain(filters(hosts)).chain([federated]),
            )
            .default(json!({}))
            .stages(train)
            .describe("for iv"),
        )
        .parameter(
            Parameter::record("statistic_param", [statistic].into_iter().chain(filters(own)))
                .default(json!({}))
                .stages(train)
                .describe("for statistics"),
        )
        .parameter(
            Parameter::record(
                "manual_param",
                [
                    columns("keep_col").describe("columns that stay, whatever an earlier method says"),
                    columns("filter_out_col").describe("columns that go"),
                ],
            )
            .default(json!({}))
            .stages(train)
            .describe("for manual"),
        )
        .parameter(
            Parameter::bool("keep_one").default(true).stages(train).describe("never drop the last column"),
        )
        .parameter(
            Parameter::bool("use_anonymous")
                .default(false)
                .stages(train)
                .describe("column names above are anonymous ones, as host_10000_x0"),
        )
        .input(Artifact::data("train_data").stages(train).describe("the table"))
        .input(
            Artifact::model("input_models")
                .multi()
                .optional()
                .stages(train)
                .describe("of hetero_feature_binning for iv, of statistics for statistics"),
        )
        .input(Artifact::data("test_data").stages(predict).describe("another table with these columns"))
        .input(Artifact::model("input_model").stages(predict).describe("what training made"))
        .output(Artifact::data("train_output_data").stages(train).describe("the columns that stay"))
        .output(Artifact::data("test_output_data").stages(predict).describe("the columns that stay"))
        .output(Artifact::model("train_output_model").stages(train).describe("which columns stay"))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Method {
    Manual,
    Iv,
    Statistics,
}

#[derive(Deserialize)]
pub(super) struct Parameters {
    pub method: Vec<Method>,
    pub select_col: Option<Vec<String>>,
    pub iv_param: IvFilter,
    pub statistic_param: StatisticFilter,
    pub manual_param: Manual,
    pub keep_one: bool,
    pub use_anonymous: bool,
}

#[derive(Deserialize)]
pub(super) struct Manual {
    pub keep_col: Vec<String>,
    pub filter_out_col: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Threshold,
    TopK,
    TopPercentile,
}

#[derive(Deserialize)]
pub(super) struct IvFilter {
    filter_type: Vec<Type>,
    threshold: Vec<f64>,
    take_high: Vec<bool>,
    host_filter_type: Vec<Type>,
    host_threshold: Vec<f64>,
    host_take_high: Vec<bool>,
    pub select_federated: bool,
}

#[derive(Deserialize)]
pub(super) struct StatisticFilter {
    metrics: Vec<String>,
    filter_type: Vec<Type>,
    threshold: Vec<f64>,
    take_high: Vec<bool>,
}

/// The n-th of a list, or its only one.
fn nth<T: Copy>(list: &[T], n: usize) -> Option<T> {
    if let [only] = list { Some(*only) } else { list.get(n).copied() }
}

/// Lists side by side; one of one is repeated. An error says which lengths do not agree.
fn side_by_side(
    types: &[Type],
    thresholds: &[f64],
    highs: &[bool],
    least: usize,
) -> Result<Vec<(Filter, bool)>, String> {
    let lengths = [types.len(), thresholds.len(), highs.len()];
    let count = lengths.into_iter().max().unwrap_or(0).max(least);
    if lengths.iter().any(|length| *length != 1 && *length != count) {
        return Err(format!("lists of {lengths:?} items, expected one length, or one item"));
    }
    let step = |n: usize| {
        let (kind, number) = (nth(types, n).ok_or("no filter")?, nth(thresholds, n).ok_or("no threshold")?);
        let filter = match kind {
            Type::Threshold if number.is_finite() => Filter::Threshold(number),
            Type::TopK if number >= 1.0 && number.fract() == 0.0 => Filter::TopK(number as usize),
            Type::TopPercentile if (0.0..=1.0).contains(&number) => Filter::TopPercentile(number),
            Type::TopK => return Err(format!("top_k of {number}, expected a whole number of at least 1")),
            Type::TopPercentile => return Err(format!("top_percentile of {number}, expected 0 to 1")),
            Type::Threshold => return Err(format!("a threshold of {number}")),
        };
        Ok((filter, nth(highs, n).ok_or("no take_high")?))
    };
    (0..count).map(step).collect()
}

impl IvFilter {
    /// For the guest's columns.
    pub(super) fn steps(&self) -> Result<Steps, String> {
        side_by_side(&self.filter_type, &self.threshold, &self.take_high, 1).map(Steps)
    }

    /// For hosts' columns.
    pub(super) fn host_steps(&self) -> Result<Steps, String> {
        side_by_side(&self.host_filter_type, &self.host_threshold, &self.host_take_high, 1).map(Steps)
    }
}

impl StatisticFilter {
    /// By statistic.
    pub(super) fn steps(&self) -> Result<BTreeMap<String, Steps>, String> {
        let all = side_by_side(&self.filter_type, &self.threshold, &self.take_high, self.metrics.len())?;
        if self.metrics.len() != 1 && self.metrics.len() != all.len() {
            return Err(format!(
                "{} metrics and {} filters, expected as many, or one",
                self.metrics.len(),
                all.len()
            ));
        }
        let mut steps: BTreeMap<String, Steps> = BTreeMap::new();
        for (n, step) in all.into_iter().enumerate() {
            let metric = self.metrics.get(n).or(self.metrics.first()).ok_or("no metric")?;
            steps.entry(metric.clone()).or_default().0.push(step);
        }
        Ok(steps)
    }
}

/// What contradicts or is not possible, whatever the table.
pub(super) fn problems(assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
    let parameters: Parameters = assignment.parameters()?;
    let has = |method| parameters.method.contains(&method);
    let mut found = Vec::new();
    if has(Method::Iv) {
        let wrong = [parameters.iv_param.steps().err(), parameters.iv_param.host_steps().err()];
        found.extend(wrong.into_iter().flatten().map(|text| ParameterProblem::of("iv_param", text)));
        found.extend(assignment.expect_one_guest());
    }
    if has(Method::Statistics) {
        let wrong = parameters.statistic_param.steps().err();
        found.extend(wrong.map(|text| ParameterProblem::of("statistic_param", text)));
        let unknown = parameters.statistic_param.metrics.iter().enumerate();
        let unknown = unknown.filter(|(_, name)| Statistic::read(name).is_none());
        found.extend(unknown.map(|(at, name)| {
            ParameterProblem::of("statistic_param", format!("no statistic {name:?}")).key("metrics").index(at)
        }));
    }
    let Manual { keep_col, filter_out_col } = &parameters.manual_param;
    let both = keep_col.iter().enumerate().filter(|(_, name)| filter_out_col.contains(name));
    found.extend(both.map(|(at, name)| {
        let problem = ParameterProblem::of("manual_param", format!("{name:?} is in filter_out_col, too"));
        problem.key("keep_col").index(at)
    }));
    Ok(found)
}
