//! `statistics`: numbers about each party's own columns. Nothing is exchanged; the model is for the party itself, and for
//! `hetero_feature_selection`.
//!
//! A percentile, and the median with it, is a value of the data: that of rank ⌈p·count/100⌉, exactly. FATE approximates it within
//! `relative_error`.

mod metrics;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tributary_binning::{Quantiles, quantiles};
use tributary_core::kernel::{KernelCall, Kernels};
use tributary_core::{Error, Result, Table};
use tributary_statistics::{Bias, MomentParams, Moments, TakeMoments};

use self::metrics::NAMES;
pub(crate) use self::metrics::Statistic;
use crate::columns::{Naming, anonymous, features};
use tributary_component::definition::{Artifact, Definition, Kind, Parameter};
use tributary_component::output::{Metric, Outputs};
use tributary_component::task::Task;
use tributary_component::{Assignment, Component, ParameterProblem};

/// The component.
#[derive(Debug)]
pub(crate) struct Statistics(Definition);

impl Default for Statistics {
    fn default() -> Self {
        Self(
            Definition::new("statistics")
                .describe("Computes statistics of each party's own columns")
                .roles(["guest", "host"])
                .parameter(
                    Parameter::list("metrics", Kind::Text)
                        .default(json!(["mean", "std", "min", "max"]))
                        .describe(metrics::ABOUT),
                )
                .parameter(
                    Parameter::int("ddof", 0..)
                        .default(1)
                        .describe("subtracted from the count in var and std"),
                )
                .parameter(
                    Parameter::bool("bias")
                        .default(true)
                        .describe("false: skewness and kurtosis are corrected for the number of values"),
                )
                .parameter(
                    Parameter::float(
                        "relative_error",
                        (std::ops::Bound::Excluded(0.0), std::ops::Bound::Included(1.0)),
                    )
                    .default(0.001)
                    .describe("allowed error of percentiles; they are exact here"),
                )
                .parameter(Parameter::list("skip_col", Kind::Text).describe("columns to leave out"))
                .parameter(
                    Parameter::bool("use_anonymous")
                        .default(false)
                        .describe("names in skip_col are anonymous ones, as host_10000_x0"),
                )
                .input(Artifact::data("input_data").describe("the table"))
                .output(Artifact::model("output_model").describe("the statistics by column")),
        )
    }
}

#[derive(Deserialize)]
struct Parameters {
    metrics: Vec<String>,
    ddof: u64,
    bias: bool,
    skip_col: Option<Vec<String>>,
    use_anonymous: bool,
}

#[async_trait]
impl Component for Statistics {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        tributary_statistics::kernels()
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        let parameters: Parameters = assignment.parameters()?;
        let names = parameters.metrics.iter().enumerate();
        let unknown = names.filter(|(_, name)| Statistic::read(name).is_none());
        let problem = |(at, name): (usize, &String)| {
            let problem = ParameterProblem::of("metrics", format!("no statistic {name:?}")).index(at);
            match tributary_document::suggestion(name, NAMES) {
                Some(help) => problem.help(help),
                None => problem.help(metrics::ABOUT),
            }
        };
        Ok(unknown.map(problem).collect())
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let parameters: Parameters = task.parameters()?;
        let table = task.table("input_data")?;
        let schema = table.schema();
        let naming = Naming { own: &task.own, schema, use_anonymous: parameters.use_anonymous };
        let columns = naming.numbers_without("skip_col", &parameters.skip_col)?;
        let statistics = parameters
            .metrics
            .iter()
            .map(|name| Statistic::read(name).ok_or_else(|| Error::bug("a statistic that was checked")));
        let statistics: Vec<Statistic> = statistics.collect::<Result<_>>()?;
        let taken = Taken::of(table, &columns, &statistics).await?;
        let bias = if parameters.bias { Bias::Keep } else { Bias::Correct };
        let mut summary = Map::new();
        for (name, statistic) in parameters.metrics.iter().zip(&statistics) {
            let values = columns.iter().enumerate();
            let values = values
                .map(|(at, column)| (column.clone(), taken.value(at, *statistic, parameters.ddof, bias)));
            summary.insert(name.clone(), values.collect::<Map<_, _>>().into());
        }
        let names: BTreeMap<String, &str> = features(schema)
            .enumerate()
            .map(|(at, field)| (anonymous(&task.own, at), field.name.as_str()))
            .collect();
        let model = json!({
            "data": {"metrics_summary": summary, "anonymous": names},
            "meta": {
                "model_type": "statistics", "metrics": parameters.metrics, "ddof": parameters.ddof, "bias": parameters.bias,
            },
        });
        let rows = by_column(&columns, &parameters.metrics, &model["data"]["metrics_summary"]);
        let metric = Metric::one_off("statistics", Some("custom"), rows);
        Ok(Outputs::default().model("output_model", model).metric(metric))
    }
}

/// The same as a table with a row for each column.
fn by_column(columns: &[String], metrics: &[String], summary: &Value) -> Value {
    let row = |column: &String| {
        let values = metrics.iter().map(|metric| (metric.clone(), summary[metric][column].clone()));
        let name = ("column".to_owned(), column.clone().into());
        Value::Object(std::iter::once(name).chain(values).collect())
    };
    columns.iter().map(row).collect()
}

/// What is known of all columns.
struct Taken {
    moments: Vec<Moments>,
    /// Percentiles, where any are asked for.
    quantiles: Vec<Quantiles>,
}

impl Taken {
    async fn of(table: &Table, columns: &[String], statistics: &[Statistic]) -> Result<Self> {
        let params = MomentParams { columns: columns.to_vec() };
        let moments = table.map(KernelCall::fold::<TakeMoments>(&params)?)?.collect().await?;
        let moments = Moments::read(&moments, columns.len())?;
        let ranked = statistics.iter().any(|statistic| statistic.percent().is_some()) && !columns.is_empty();
        let quantiles = if ranked { quantiles(table, columns, 100).await? } else { Vec::new() };
        Ok(Self { moments, quantiles })
    }

    /// Null where a column has no values to say it.
    fn value(&self, column: usize, statistic: Statistic, ddof: u64, bias: Bias) -> Value {
        let moments = &self.moments[column];
        match statistic.percent() {
            Some(0) => json!(moments.min),
            Some(percent) => {
                let brackets = &self.quantiles[column].brackets;
                json!(brackets.get(percent as usize - 1).map(|bracket| bracket.hi))
            }
            None => statistic.of(moments, ddof, bias),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_component::definition::Stage;
    use tributary_component::testing::problems;

    #[test]
    fn an_unknown_statistic_is_reported_with_the_nearest_one() {
        let given = json!({"metrics": ["mean", "medain", "95%", "101%"]});
        let found = problems(&Statistics::default(), Stage::Default, &[("guest", "1")], given);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found[0].starts_with("metrics/1: no statistic \"medain\" (did you mean \"median\""),
            "{found:?}"
        );
        assert!(found[1].starts_with("metrics/3: no statistic \"101%\""), "{found:?}");
    }
}
