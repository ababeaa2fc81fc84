//! `evaluation`: how well predictions fit labels, by the metrics and in the shapes of FATE.
//!
//! Each input is measured under the name of the task that made it, in groups by its column `type` (`train_set`, `test_set`).
//! A party evaluates its own rows; nothing is exchanged. Every value is computed over all rows, partitions apart: see
//! [`tributary_evaluation`].

mod names;
mod sets;
mod shapes;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, Value};
use tributary_core::kernel::{KernelCall, Kernels};
use tributary_core::schema::Purpose;
use tributary_core::{Error, Result, Table};
use tributary_evaluation::{
    CompareClasses, CompareNumbers, CompareParams, Errors, Matches, Ranked, binary, psi,
};

use self::names::{ALL, Name, Setting};
use self::sets::Set;
use self::shapes::{entry, number};
use tributary_component::Component;
use tributary_component::definition::{Artifact, Definition, Kind, Parameter};
use tributary_component::output::{Metric, Outputs};
use tributary_component::task::Task;

/// The component.
#[derive(Debug)]
pub(crate) struct Evaluation(Definition);

impl Default for Evaluation {
    fn default() -> Self {
        Self(
            Definition::new("evaluation")
                .describe("Measures how well predictions fit labels")
                .roles(["guest", "host"])
                .parameter(
                    Parameter::choice("default_eval_setting", &["binary", "multi", "regression"])
                        .default("binary")
                        .describe("which metrics, unless some are named"),
                )
                .parameter(Parameter::list("metrics", Kind::Choice(&ALL)).describe("what to measure"))
                .parameter(Parameter::text("predict_column_name").describe(
                    "column of predictions; predict_score otherwise, and predict_result of several classes",
                ))
                .parameter(
                    Parameter::text("label_column_name")
                        .describe("column of labels; otherwise label, or else the one uploaded as label"),
                )
                .input(Artifact::data("input_datas").multi().describe("predictions, beside labels")),
        )
    }
}

/// The column of labels that a prediction has.
const LABEL: &str = "label";

#[derive(Deserialize)]
struct Parameters {
    default_eval_setting: Setting,
    metrics: Option<Vec<Name>>,
    predict_column_name: Option<String>,
    label_column_name: Option<String>,
}

impl Parameters {
    fn names(&self) -> Vec<Name> {
        self.metrics.clone().unwrap_or_else(|| self.default_eval_setting.names())
    }

    /// The columns that a metric compares.
    fn columns(&self, table: &Table, otherwise: &str) -> CompareParams {
        CompareParams {
            predicted: self.predict_column_name.clone().unwrap_or_else(|| otherwise.to_owned()),
            label: self.label(table).unwrap_or_else(|| LABEL.to_owned()),
        }
    }

    /// The column of labels: the one given, that of a prediction, or the table's own.
    fn label(&self, table: &Table) -> Option<String> {
        let schema = table.schema();
        let found = || schema.field(LABEL).or_else(|| schema.with_purpose(&Purpose::Label));
        self.label_column_name.clone().or_else(|| found().map(|field| field.name.clone()))
    }
}

#[async_trait]
impl Component for Evaluation {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn kernels(&self) -> Kernels {
        // Groups are listed by a kernel of binning.
        tributary_evaluation::kernels().and(tributary_binning::kernels())
    }

    async fn run(&self, task: &Task) -> Result<Outputs> {
        let parameters: Parameters = task.parameters()?;
        let names = parameters.names();
        // What a prediction of rows without a label gives; a table that is no prediction at all is refused below.
        let is_bare = |set: &Set| {
            let predicted = parameters.predict_column_name.as_deref().unwrap_or("predict_score");
            parameters.label(&set.table).is_none() && set.table.schema().field(predicted).is_some()
        };
        let (bare, mut sets): (Vec<Set>, Vec<Set>) = sets::of(task).await?.into_iter().partition(is_bare);
        for set in &bare {
            task.warn(format!("{} has no label, so nothing of it is measured", set.name()));
        }
        if names.iter().any(|name| name.needs_order()) {
            for set in &mut sets {
                let CompareParams { predicted, label } = parameters.columns(&set.table, "predict_score");
                let rows = set.table.select([&predicted, &label])?;
                set.ranked = Some(Ranked::of(&rows, &predicted, &label).await.map_err(|e| e.at(set.name()))?);
            }
        }
        let mut stability = stability(&names, &sets).await?;
        let mut data: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
        for (at, set) in sets.iter().enumerate() {
            let measured = measure(task, &parameters, &names, set, stability.remove(&at)).await?;
            let groups = data.entry(&set.producer).or_default();
            groups.insert(set.group.clone(), measured.into());
        }
        let data = data.into_iter().map(|(producer, groups)| (producer.to_owned(), groups.into()));
        let data = Value::Object(data.collect());
        Ok(Outputs::default().metric(Metric::one_off("evaluation", Some("evaluation"), data)))
    }
}

/// How far each set's scores are from those of the first one that a model was trained on, by the set's place.
async fn stability(names: &[Name], sets: &[Set]) -> Result<BTreeMap<usize, Value>> {
    let mut all = BTreeMap::new();
    if !names.contains(&Name::Psi) || sets.is_empty() {
        return Ok(all);
    }
    let first = sets.iter().position(|set| set.group == "train_set").unwrap_or_default();
    let Some(Set { ranked: Some(earlier), .. }) = sets.get(first).filter(|_| sets.len() > 1) else {
        return Err(Error::invalid(
            "psi compares the scores of two sets of rows, got one; give evaluation both, as two inputs or by the column type",
        ));
    };
    for (at, set) in sets.iter().enumerate().filter(|(at, _)| *at != first) {
        if let Some(later) = &set.ranked {
            all.insert(at, entry(psi::measure(earlier, later).await?));
        }
    }
    Ok(all)
}

/// The entries of one set, in the order of the names.
async fn measure(
    task: &Task,
    parameters: &Parameters,
    names: &[Name],
    set: &Set,
    stability: Option<Value>,
) -> Result<Vec<Value>> {
    let of_two: Vec<binary::Metric> = names.iter().filter_map(Name::binary).collect();
    let mut of_two = match &set.ranked {
        Some(ranked) => {
            if !ranked.has_both_classes() && !of_two.is_empty() {
                task.warn(format!(
                    "{}: all rows have one label, so auc, ks and lift say nothing",
                    set.name()
                ));
            }
            binary::measure(ranked, &of_two).await?.into_iter()
        }
        None => Vec::new().into_iter(),
    };
    let errors = errors(parameters, names, set).await?;
    let matches = matches(parameters, names, set).await?;
    let measured = names.iter().filter_map(|name| match (name, errors, matches) {
        (Name::Psi, ..) => stability.clone(),
        (Name::Rmse, Some(errors), _) => Some(number(name.text(), errors.rmse())),
        (Name::Mae, Some(errors), _) => Some(number(name.text(), errors.mae())),
        (Name::Mse, Some(errors), _) => Some(number(name.text(), errors.mse())),
        (Name::R2Score, Some(errors), _) => Some(number(name.text(), errors.r2_score())),
        (name, _, Some(matches)) if name.is_multi() => Some(number(name.text(), matches.share())),
        _ => of_two.next().map(entry),
    });
    Ok(measured.collect())
}

async fn errors(parameters: &Parameters, names: &[Name], set: &Set) -> Result<Option<Errors>> {
    if !names.iter().any(|name| name.is_regression()) {
        return Ok(None);
    }
    let call = KernelCall::fold::<CompareNumbers>(&parameters.columns(&set.table, "predict_score"))?;
    let rows = set.table.map(call)?.collect().await.map_err(|e| e.at(set.name()))?;
    Errors::read(&rows).map(Some)
}

async fn matches(parameters: &Parameters, names: &[Name], set: &Set) -> Result<Option<Matches>> {
    if !names.iter().any(|name| name.is_multi()) {
        return Ok(None);
    }
    let call = KernelCall::fold::<CompareClasses>(&parameters.columns(&set.table, "predict_result"))?;
    let rows = set.table.map(call)?.collect().await.map_err(|e| e.at(set.name()))?;
    Matches::read(&rows).map(Some)
}
