//! `feature_scale`: columns scaled to one measure, and a model that scales others alike.
//!
//! Every party scales its own columns; nothing is exchanged. `standard`: (x − mean) / std, with the deviation of count − 1, as
//! FATE has it. `min_max`: the least value becomes one end of `feature_range`, the greatest the other.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tributary_core::kernel::{KernelCall, Kernels};
use tributary_core::{Error, ErrorKind, Result, Table};
use tributary_statistics::{MomentParams, Moments, Scale, ScaleColumn, ScaleParams, TakeMoments};

use crate::columns::Naming;
use tributary_component::definition::{Artifact, Definition, Kind, Parameter, Stage};
use tributary_component::output::Outputs;
use tributary_component::task::Task;
use tributary_component::{Assignment, Component, ParameterProblem};

/// The component.
#[derive(Debug)]
pub(crate) struct FeatureScale(Definition);

impl Default for FeatureScale {
    fn default() -> Self {
        let (train, predict) = ([Stage::Train], [Stage::Predict]);
        let range = || Kind::list(Kind::float(..));
        Self(
            Definition::new("feature_scale")
                .describe("Scales columns, and remembers how")
                .roles(["guest", "host"])
                .stages([Stage::Train, Stage::Predict])
                .parameter(
                    Parameter::choice("method", &["standard", "min_max"])
                        .default("standard")
                        .stages(train)
                        .describe("to mean 0 and deviation 1, or to a range"),
                )
                .parameter(
                    Parameter::new("feature_range", Kind::union([range(), Kind::map(range())]))
                        .default(json!([0.0, 1.0]))
                        .stages(train)
                        .describe("the range of min_max, or one for each column: {age: [0, 1]}"),
                )
                .parameter(
                    Parameter::list("scale_col", Kind::Text)
                        .stages(train)
                        .describe("columns to scale; all numeric ones otherwise"),
                )
                .parameter(
                    Parameter::list("scale_idx", Kind::int(0..))
                        .stages(train)
                        .describe("the same by position"),
                )
                .parameter(
                    Parameter::bool("strict_range")
                        .default(true)
                        .stages(train)
                        .describe("min_max keeps values of other tables within the range, too"),
                )
                .parameter(
                    Parameter::bool("use_anonymous")
                        .default(false)
                        .stages(train)
                        .describe("column names above are anonymous ones, as host_10000_x0"),
                )
                .input(Artifact::data("train_data").stages(train).describe("the table"))
                .input(
                    Artifact::data("test_data").stages(predict).describe("another table with these columns"),
                )
                .input(Artifact::model("input_model").stages(predict).describe("what training made"))
                .output(Artifact::data("train_output_data").stages(train).describe("the rows, scaled"))
                .output(Artifact::data("test_output_data").stages(predict).describe("the rows, scaled"))
                .output(Artifact::model("output_model").stages(train).describe("how each column is scaled")),
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    Standard,
    MinMax,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Ranges {
    All(Vec<f64>),
    ByColumn(BTreeMap<String, Vec<f64>>),
}

#[derive(Deserialize)]
struct Parameters {
    method: Method,
    feature_range: Ranges,
    scale_col: Option<Vec<String>>,
    scale_idx: Option<Vec<usize>>,
    strict_range: bool,
    use_anonymous: bool,
}

/// How one column is scaled.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum Scaler {
    Standard { mean: f64, std: f64 },
    MinMax { min: f64, max: f64, feature_range: (f64, f64), strict_range: bool },
}

/// What training found.
#[derive(Debug, Serialize, Deserialize)]
struct Model {
    method: Method,
    scalers: BTreeMap<String, Scaler>,
}

impl Scaler {
    fn column(&self, column: &str) -> ScaleColumn {
        let column = column.to_owned();
        // Values that are all equal: there is nothing to stretch.
        let over = |width: f64| if width == 0.0 { 1.0 } else { width.recip() };
        match *self {
            Self::Standard { mean, std } => {
                ScaleColumn { column, from: mean, factor: over(std), to: 0.0, bounds: None }
            }
            Self::MinMax { min, max, feature_range: (low, high), strict_range } => ScaleColumn {
                column,
                from: min,
                factor: (high - low) * over(max - min),
                to: low,
                bounds: strict_range.then_some((low, high)),
            },
        }
    }
}

/// The two ends of a range, ascending.
fn ends(range: &[f64]) -> Option<(f64, f64)> {
    match range {
        [low, high] if low < high && low.is_finite() && high.is_finite() => Some((*low, *high)),
        _ => None,
    }
}

impl Parameters {
    fn range(&self, naming: &Naming<'_>, column: &str) -> Result<(f64, f64)> {
        let range = match &self.feature_range {
            Ranges::All(range) => ends(range),
            Ranges::ByColumn(ranges) => {
                let given = ranges.iter().find(|(name, _)| naming.find(name).as_deref() == Some(column));
                given.map_or(Some((0.0, 1.0)), |(_, range)| ends(range))
            }
        };
        range.ok_or_else(|| Error::bug("a range that was checked"))
    }

    fn scaler(&self, naming: &Naming<'_>, column: &str, moments: &Moments) -> Result<Scaler> {
        if moments.count == 0 {
            return Err(Error::invalid(format!("column {column:?} has no values to scale by")));
        }
        Ok(match self.method {
            // One value has no deviation.
            Method::Standard => {
                let std = if moments.count > 1 { moments.deviation(1) } else { 0.0 };
                Scaler::Standard { mean: moments.mean(), std }
            }
            Method::MinMax => Scaler::MinMax {
                min: moments.min,
                max: moments.max,
                feature_range: self.range(naming, column)?,
                strict_range: self.strict_range,
            },
        })
    }
}

#[async_trait]
impl Component for FeatureScale {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        tributary_statistics::kernels()
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        if assignment.stage == Stage::Predict {
            return Ok(Vec::new());
        }
        let parameters: Parameters = assignment.parameters()?;
        let both = (parameters.scale_col.is_some() && parameters.scale_idx.is_some()).then(|| {
            ParameterProblem::of("scale_idx", "scale_col is given too, and both choose columns")
                .help("leave one of them out")
        });
        let problem =
            || ParameterProblem::of("feature_range", "a range is two numbers, the first below the second");
        let wrong = match &parameters.feature_range {
            Ranges::All(range) => {
                ends(range).is_none().then(|| problem().help("[0, 1]")).into_iter().collect()
            }
            Ranges::ByColumn(ranges) => {
                let wrong = ranges.iter().filter(|(_, range)| ends(range).is_none());
                wrong.map(|(column, _)| problem().key(column).help("[0, 1]")).collect::<Vec<_>>()
            }
        };
        Ok(both.into_iter().chain(wrong).collect())
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        match task.stage {
            Stage::Predict => predict(task),
            _ => train(task).await,
        }
    }
}

async fn train(task: &Task) -> Result<Outputs> {
    let parameters: Parameters = task.parameters()?;
    let table = task.table("train_data")?;
    let naming = Naming { own: &task.own, schema: table.schema(), use_anonymous: parameters.use_anonymous };
    let chosen = naming.chosen(("scale_col", &parameters.scale_col), ("scale_idx", &parameters.scale_idx))?;
    let columns = match chosen {
        Some(columns) => columns,
        None => naming.numbers_without("", &None)?,
    };
    if let Ranges::ByColumn(ranges) = &parameters.feature_range {
        // It may be another party's.
        for name in ranges.keys().filter(|name| naming.find(name).is_none()) {
            task.warn(format!(
                "feature_range: there is no feature {name:?} here, and nothing gets its range"
            ));
        }
    }
    let params = MomentParams { columns: columns.clone() };
    let moments = table.map(KernelCall::fold::<TakeMoments>(&params)?)?.collect().await?;
    let moments = Moments::read(&moments, columns.len())?;
    let scalers = columns.iter().zip(&moments);
    let scalers =
        scalers.map(|(name, moments)| Ok((name.clone(), parameters.scaler(&naming, name, moments)?)));
    let model = Model { method: parameters.method, scalers: scalers.collect::<Result<_>>()? };
    let scaled = scaled(table, &model)?;
    let names = model.scalers.keys().cloned().collect();
    let model = json!({"data": model, "meta": {"model_type": "scale"}});
    Ok(Outputs::default()
        .table("train_output_data", scaled)
        .recoded("train_output_data", names)
        .model("output_model", model))
}

fn predict(task: &Task) -> Result<Outputs> {
    let model = read_model(task.json_model("input_model")?)?;
    let scaled = scaled(task.table("test_data")?, &model)?;
    let names = model.scalers.into_keys().collect();
    Ok(Outputs::default().table("test_output_data", scaled).recoded("test_output_data", names))
}

fn scaled(table: &Table, model: &Model) -> Result<Table> {
    let columns = model.scalers.iter().map(|(column, scaler)| scaler.column(column)).collect();
    table.map(KernelCall::map::<Scale>(&ScaleParams { columns })?)
}

fn read_model(model: &Value) -> Result<Model> {
    let read: Model =
        serde_json::from_value(model.get("data").cloned().unwrap_or_default()).map_err(|why| {
            Error::new(ErrorKind::Corrupt, "input_model is not a model of feature_scale").because(why)
        })?;
    let bad = read.scalers.iter().find(|(_, scaler)| match scaler {
        Scaler::Standard { mean, std } => !(mean.is_finite() && std.is_finite() && *std >= 0.0),
        Scaler::MinMax { min, max, feature_range: (low, high), .. } => {
            !(min.is_finite() && max.is_finite() && ends(&[*low, *high]).is_some())
        }
    });
    match bad {
        None => Ok(read),
        Some((column, _)) => {
            Err(Error::new(ErrorKind::Corrupt, format!("input_model scales column {column:?} by no number")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_component::testing::problems;

    #[test]
    fn ranges_that_are_none_and_columns_chosen_twice_are_reported() {
        let check = |given: Value, expected: &[&str]| {
            let found = problems(&FeatureScale::default(), Stage::Train, &[("guest", "1")], given);
            assert_eq!(found, expected);
        };
        check(json!({"method": "min_max", "feature_range": {"a": [-1, 1]}}), &[]);
        check(
            json!({"scale_col": ["a"], "scale_idx": [0], "feature_range": [1, 0]}),
            &[
                "scale_idx: scale_col is given too, and both choose columns (leave one of them out)",
                "feature_range: a range is two numbers, the first below the second ([0, 1])",
            ],
        );
        check(
            json!({"feature_range": {"a": [0, 1], "b": [2]}}),
            &["feature_range/b: a range is two numbers, the first below the second ([0, 1])"],
        );
    }
}
