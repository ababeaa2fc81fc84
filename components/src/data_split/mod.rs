//! `data_split`: the rows of a table in up to three parts, to train, validate and test.
//!
//! With `hetero_sync` the guest draws and every host takes the same rows. Drawn by a hash of seed and id, so that the same
//! `random_state` gives the same parts for any number of partitions.

mod sizes;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tributary_core::kernel::Kernels;
use tributary_core::schema::Purpose;
use tributary_core::{Error, Result, Table};
use tributary_sampling::{Share, Stratum, deal, strata};

use self::sizes::{Size, Sizes};
use crate::marks;
use tributary_component::definition::{Artifact, Definition, Kind, Parameter};
use tributary_component::output::{Metric, Outputs};
use tributary_component::release::different_ids;
use tributary_component::task::Task;
use tributary_component::{Assignment, Component, ParameterProblem};

/// Output keys of the parts, by mark.
const PARTS: [&str; 3] = ["train_output_data", "validate_output_data", "test_output_data"];

/// The component.
#[derive(Debug)]
pub(crate) struct DataSplit(Definition);

impl Default for DataSplit {
    fn default() -> Self {
        let size = |name| Parameter::new(name, Kind::union([Kind::int(0..), Kind::float(0.0..=1.0)]));
        let definition = Definition::new("data_split")
            .describe("Splits rows into parts to train, validate and test, the same ones at all parties")
            .roles(["guest", "host"])
            .parameter(size("train_size").describe("a share such as 0.7, or a number of rows"))
            .parameter(size("validate_size").describe("the same; what is not given takes the rest"))
            .parameter(size("test_size").describe("the same; 0.8, 0.2 and 0 if nothing is given"))
            .parameter(
                Parameter::bool("stratified")
                    .default(false)
                    .describe("the same shares of each value of the label"),
            )
            .parameter(
                Parameter::int("random_state", 0..).describe("the same parts each time; otherwise others"),
            )
            .parameter(
                Parameter::bool("hetero_sync")
                    .default(true)
                    .describe("the guest draws for all; otherwise each party by itself"),
            )
            .input(Artifact::data("input_data").describe("rows; aligned ones, from psi, with hetero_sync"));
        let parts = PARTS.iter().fold(definition, |definition, part| {
            definition.output(Artifact::data(part).optional().describe("the part, if it has rows"))
        });
        Self(parts)
    }
}

#[derive(Deserialize)]
struct Parameters {
    train_size: Option<Size>,
    validate_size: Option<Size>,
    test_size: Option<Size>,
    stratified: bool,
    random_state: Option<u64>,
    hetero_sync: bool,
}

impl Parameters {
    fn sizes(&self) -> Sizes {
        Sizes([self.train_size, self.validate_size, self.test_size])
    }
}

#[async_trait]
impl Component for DataSplit {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        tributary_sampling::kernels()
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        let parameters: Parameters = assignment.parameters()?;
        let sizes = parameters.sizes().problem().map(|(key, text)| ParameterProblem::of(key, text));
        let guest = parameters.hetero_sync.then(|| assignment.expect_one_guest()).flatten();
        Ok(sizes.into_iter().chain(guest).collect())
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let parameters: Parameters = task.parameters()?;
        let (rows, ranges) = marks::numbered(task.table("input_data")?).await?;
        let told = marks::are_told(task, parameters.hetero_sync);
        let mut metrics = Vec::new();
        let marks = match told {
            true => marks::pulled(task, &ranges).await?,
            false => {
                let (shares, label) = shares(&rows, &parameters).await?;
                metrics.extend(shares.iter().filter(|_| label.is_some()).map(stratum_summary));
                let marks =
                    deal(&rows, label.as_deref(), &shares, marks::seed(parameters.random_state)).await?;
                let marks = marks.keep().await?;
                if parameters.hetero_sync {
                    marks::tell(task, &marks).await?;
                }
                marks
            }
        };
        let mut outputs = Outputs::default();
        let mut counts = Vec::new();
        for (mark, key) in (0..).zip(PARTS) {
            let part = marks::marked(&rows, &marks, mark).await?;
            let count = part.count().await?;
            counts.push(count);
            if count == 0 {
                continue;
            }
            if told {
                let rows = different_ids(&part).await?;
                task.release("input_data", &task.guest()?).expect_common_rows("rows of a part", rows)?;
            }
            outputs = outputs.table(key, part);
        }
        task.note(format!("{} rows to train, {} to validate, {} to test", counts[0], counts[1], counts[2]));
        let summary = json!({
            "original_count": rows.count().await?, "train_count": counts[0], "validate_count": counts[1], "test_count": counts[2],
        });
        let outputs = outputs.metric(Metric::one_off("summary", Some("data_split"), summary));
        Ok(metrics.into_iter().fold(outputs, Outputs::metric))
    }
}

/// How many rows of each stratum go to each part, and the column that tells strata apart.
async fn shares(rows: &Table, parameters: &Parameters) -> Result<(Vec<Share>, Option<String>)> {
    let count = rows.count().await?;
    let sizes = parameters.sizes().resolve(count)?;
    if !parameters.stratified {
        let of = Stratum { value: String::new(), rows: count };
        return Ok((vec![Share { of, sizes: sizes[..2].to_vec() }], None));
    }
    let label = rows.schema().with_purpose(&Purpose::Label).map(|field| field.name.clone());
    let label =
        label.ok_or_else(|| Error::invalid("stratified parts need a label, and the table has none"))?;
    let strata = strata(rows, &label).await?;
    let parts = sizes::of_strata(sizes, &strata.iter().map(|stratum| stratum.rows).collect::<Vec<_>>());
    let shares = strata.into_iter().zip(parts);
    Ok((shares.map(|(of, sizes)| Share { of, sizes: sizes[..2].to_vec() }).collect(), Some(label)))
}

fn stratum_summary(Share { of, sizes }: &Share) -> Metric {
    let rest = of.rows - sizes.iter().sum::<u64>();
    let counts: Value = json!({
        "original_count": of.rows, "train_count": sizes[0], "validate_count": sizes[1], "test_count": rest,
    });
    Metric::one_off(&format!("{}_summary", of.value), Some("data_split"), counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tributary_component::definition::Stage;
    use tributary_component::testing::problems;

    #[test]
    fn shares_that_are_more_or_less_than_all_are_reported_before_the_job_runs() {
        let check = |given: Value, expected: &[&str]| {
            let parties = [("guest", "1"), ("host", "2")];
            assert_eq!(problems(&DataSplit::default(), Stage::Default, &parties, given), expected);
        };
        check(json!({}), &[]);
        check(json!({"train_size": 0.7, "test_size": 0.3}), &[]);
        check(json!({"train_size": 100}), &[]);
        check(
            json!({"train_size": 0.7, "validate_size": 0.2, "test_size": 0.2}),
            &["test_size: the parts are 1.1 of all rows together, expected 1"],
        );
    }
}
