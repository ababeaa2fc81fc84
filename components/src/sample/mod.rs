//! `sample`: some rows of a table, or rows drawn again and again.
//!
//! With `hetero_sync` the guest draws and every host takes the same rows; a fraction for each label then shows hosts something of
//! the labels of rows that are left out, and the guest is told so. Without `replace` rows are drawn as `data_split` draws
//! them.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use async_trait::async_trait;
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::{Map, json};
use tributary_core::kernel::Kernels;
use tributary_core::schema::Purpose;
use tributary_core::{Error, ErrorKind, Party, Result, Table};
use tributary_sampling::{Draws, Ids, Share, Stratum, deal, draw, repeated, strata};

use crate::marks;
use tributary_component::definition::{Artifact, Definition, Kind, Parameter, above};
use tributary_component::output::{Metric, Outputs};
use tributary_component::release::different_ids;
use tributary_component::task::Task;
use tributary_component::{Assignment, Component, ParameterProblem};

/// The component.
#[derive(Debug)]
pub(crate) struct Sample(Definition);

impl Default for Sample {
    fn default() -> Self {
        let frac = Kind::union([Kind::float(above(0.0)), Kind::map(Kind::float(above(0.0)))]);
        Self(
            Definition::new("sample")
                .describe("Draws rows, the same ones at all parties")
                .roles(["guest", "host"])
                .parameter(Parameter::bool("replace").default(false).describe("a row may be drawn several times"))
                .parameter(
                    Parameter::new("frac", frac)
                        .describe("the share of rows, or one for each label: {0: 0.1, 1: 1.0}; labels left out keep all rows"),
                )
                .parameter(Parameter::int("n", 1..).describe("the number of rows, in place of frac"))
                .parameter(Parameter::int("random_state", 0..).describe("the same rows each time; otherwise others"))
                .parameter(
                    Parameter::bool("hetero_sync")
                        .default(true)
                        .describe("the guest draws for all; otherwise each party by itself"),
                )
                .input(Artifact::data("input_data").describe("rows; aligned ones, from psi, with hetero_sync"))
                .output(Artifact::data("output_data").describe("the rows that were drawn")),
        )
    }
}

#[derive(Deserialize)]
struct Parameters {
    replace: bool,
    frac: Option<Fraction>,
    n: Option<u64>,
    random_state: Option<u64>,
    hetero_sync: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Fraction {
    Of(f64),
    ByLabel(BTreeMap<String, f64>),
}

impl Fraction {
    fn greatest(&self) -> f64 {
        match self {
            Self::Of(fraction) => *fraction,
            Self::ByLabel(fractions) => fractions.values().copied().fold(0.0, f64::max),
        }
    }
}

#[async_trait]
impl Component for Sample {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        tributary_sampling::kernels()
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        let Parameters { replace, frac, n, hetero_sync, .. } = assignment.parameters()?;
        let both = (frac.is_some() && n.is_some()).then(|| {
            ParameterProblem::of("n", "frac is given too, and both say how many rows")
                .help("leave one of them out")
        });
        let greatest = frac.as_ref().map_or(0.0, Fraction::greatest);
        let too_many = (greatest > 1.0 && !replace).then(|| {
            let message = format!("{greatest} of the rows are more than all, and no row is drawn twice");
            ParameterProblem::of("frac", message).help("set replace, or a fraction up to 1")
        });
        let alone = (hetero_sync && assignment.parties.len() < 2).then(|| {
            ParameterProblem::of("hetero_sync", "needs at least two parties").help("hetero_sync: false")
        });
        let guest = hetero_sync.then(|| assignment.expect_one_guest()).flatten().filter(|_| alone.is_none());
        Ok(both.into_iter().chain(too_many).chain(alone).chain(guest).collect())
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let parameters: Parameters = task.parameters()?;
        let (rows, ranges) = marks::numbered(task.table("input_data")?).await?;
        let told = marks::are_told(task, parameters.hetero_sync);
        let mut by_label = Map::new();
        let most = rows.count().await?.saturating_mul(MOST_TIMES);
        let times = match told {
            true => {
                let times = marks::pulled(task, &ranges).await?;
                if parameters.replace {
                    expect_at_most(most, &times, &task.guest()?).await?;
                }
                times
            }
            false => {
                let wanted = Wanted::of(&rows, &parameters).await?;
                wanted.expect_at_most(most)?;
                if wanted.label.is_some() {
                    by_label.extend(wanted.of_strata.iter().map(|(of, count)| {
                        (of.value.clone(), json!({"original_count": of.rows, "sampled_count": count}))
                    }));
                }
                let times = wanted.times(&rows, &parameters).await?;
                if parameters.hetero_sync {
                    if wanted.label.is_some() && task.parties.len() > 1 {
                        task.warn("hosts see which rows are left out, and with a fraction for each label that shows labels");
                    }
                    marks::tell(task, &times).await?;
                }
                times
            }
        };
        let sampled = match parameters.replace {
            true => repeated(&rows, &times, ids(task))?.keep_rows().await?,
            false => marks::marked(&rows, &times, TAKEN).await?,
        };
        let count = sampled.count().await?;
        if told {
            let rows = different_ids(&sampled).await?;
            task.release("input_data", &task.guest()?).expect_common_rows("rows of a sample", rows)?;
        }
        let mut summary = json!({"original_count": rows.count().await?, "sampled_count": count});
        if !by_label.is_empty() {
            summary["by_label"] = by_label.into();
        }
        let metric = Metric::one_off("summary", None, summary);
        Ok(Outputs::default().table("output_data", sampled).metric(metric))
    }
}

/// A host's rows keep their ids: its limits count rows behind a number by them, and who draws rows must not make one look like
/// several.
fn ids(task: &Task) -> Ids {
    if task.is_guest() { Ids::Renew } else { Ids::Keep }
}

/// A sample has at most so many times more rows than the table: who draws them decides how much memory they take at all parties.
const MOST_TIMES: u64 = 100;

/// `Corrupt` if the guest's marks repeat more rows than any honest one may.
async fn expect_at_most(most: u64, marks: &Table, guest: &Party) -> Result<()> {
    let (mut all, mut rows) = (0u64, marks.read().await?);
    while let Some(batch) = rows.try_next().await? {
        all += batch
            .column(0)
            .as_primitive::<UInt32Type>()
            .values()
            .iter()
            .map(|mark| u64::from(*mark))
            .sum::<u64>();
        if all > most {
            let text =
                format!("{guest} repeats rows to more than {most}, {MOST_TIMES} times as many as there are");
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
    }
    Ok(())
}

/// The mark of rows that are drawn without replacing them.
const TAKEN: u32 = 0;

/// How many rows are to be drawn of each stratum.
struct Wanted {
    label: Option<String>,
    of_strata: Vec<(Stratum, u64)>,
}

impl Wanted {
    async fn of(rows: &Table, parameters: &Parameters) -> Result<Self> {
        let count = rows.count().await?;
        let whole = |wanted| {
            let of = Stratum { value: String::new(), rows: count };
            Self { label: None, of_strata: vec![(of, wanted)] }
        };
        let drawn = |of: u64, fraction: f64| (of as f64 * fraction).round() as u64;
        match (&parameters.frac, parameters.n) {
            (_, Some(n)) if n > count && !parameters.replace => Err(Error::invalid(format!(
                "n is {n}, and the table has {count} rows; set replace to draw rows several times"
            ))),
            (None, Some(n)) => Ok(whole(n)),
            (Some(Fraction::Of(fraction)), _) => Ok(whole(drawn(count, *fraction))),
            (Some(Fraction::ByLabel(fractions)), _) => {
                let label = rows.schema().with_purpose(&Purpose::Label).map(|field| field.name.clone());
                let label = label.ok_or_else(|| {
                    Error::invalid("a fraction for each label needs a label, and the table has none")
                })?;
                let strata = strata(rows, &label).await?;
                let has = |value: &str| strata.iter().any(|stratum| is_value(&stratum.value, value));
                if let Some(unknown) = fractions.keys().find(|value| !has(value)) {
                    return Err(Error::invalid(format!("frac: no row has the label {unknown:?}")));
                }
                let fraction = |of: &Stratum| {
                    let given = fractions.iter().find(|(value, _)| is_value(&of.value, value));
                    given.map_or(1.0, |(_, fraction)| *fraction)
                };
                let of_strata = strata.iter().map(|of| (of.clone(), drawn(of.rows, fraction(of)))).collect();
                Ok(Self { label: Some(label), of_strata })
            }
            (None, None) => Ok(whole(count)),
        }
    }

    /// `InvalidInput` for more rows than a sample may have.
    fn expect_at_most(&self, most: u64) -> Result<()> {
        let all = self.of_strata.iter().fold(0u64, |all, (_, draws)| all.saturating_add(*draws));
        match all <= most {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "a sample of {all} rows, at most {most}: {MOST_TIMES} times as many as the table has; lower n or frac"
            ))),
        }
    }

    /// How often each row is taken, with `replace`; otherwise its mark.
    async fn times(&self, rows: &Table, parameters: &Parameters) -> Result<Table> {
        let (label, seed) = (self.label.as_deref(), marks::seed(parameters.random_state));
        let strata = self.of_strata.iter().cloned();
        match parameters.replace {
            true => {
                draw(rows, label, &strata.map(|(of, draws)| Draws { of, draws }).collect::<Vec<_>>(), seed)
                    .await
            }
            false => {
                let shares: Vec<Share> = strata.map(|(of, size)| Share { of, sizes: vec![size] }).collect();
                deal(rows, label, &shares, seed).await?.keep().await
            }
        }
    }
}

/// Whether a value of a label is the one that a job names: `1` and `1.0` are one number.
fn is_value(value: &str, named: &str) -> bool {
    let numbers = value.parse::<f64>().ok().zip(named.parse::<f64>().ok());
    value == named || numbers.is_some_and(|(value, named)| value == named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use tributary_component::definition::Stage;
    use tributary_component::testing::problems;

    #[test]
    fn contradictions_are_reported_before_the_job_runs() {
        let check = |parties: &[(&str, &str)], given: Value, expected: &[&str]| {
            assert_eq!(problems(&Sample::default(), Stage::Default, parties, given), expected);
        };
        let both = [("guest", "1"), ("host", "2")];
        check(&both, json!({}), &[]);
        check(&both, json!({"frac": {"0": 0.5}, "random_state": 7}), &[]);
        check(
            &both,
            json!({"frac": 1.5, "n": 3}),
            &[
                "n: frac is given too, and both say how many rows (leave one of them out)",
                "frac: 1.5 of the rows are more than all, and no row is drawn twice (set replace, or a fraction up to 1)",
            ],
        );
        check(&both[..1], json!({"n": 3}), &["hetero_sync: needs at least two parties (hetero_sync: false)"]);
        check(&both[..1], json!({"n": 3, "hetero_sync": false}), &[]);
    }
}
