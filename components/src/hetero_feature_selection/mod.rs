//! `hetero_feature_selection`: drops columns by name, by information value, or by a statistic, and remembers which.
//!
//! Methods go one after the other, each over what is left. Statistics are a party's own. Information values are the guest's, of
//! its own columns and, under anonymous names, of the hosts': it tells each host which of its columns stay, and so
//! something of its label. A host releases nothing here: what the guest knows of its columns, binning released.

mod filter;
mod parameters;
mod values;

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tributary_core::federation::{FederationExt, Message, Slot};
use tributary_core::{Error, ErrorKind, Party, Result, Role, Table, TableSchema};

use self::filter::{Steps, Value as Known};
use self::parameters::{IvFilter, Method, Parameters, definition};
use self::values::Models;
use crate::columns::{Naming, features};
use tributary_component::definition::{Definition, Stage};
use tributary_component::output::Outputs;
use tributary_component::task::Task;
use tributary_component::{Assignment, Component, ParameterProblem};

/// The component.
#[derive(Debug)]
pub(crate) struct HeteroFeatureSelection(Definition);

impl Default for HeteroFeatureSelection {
    fn default() -> Self {
        Self(definition())
    }
}

/// Guest to a host: which of its measured columns stay; nothing if the guest leaves that to the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selected {
    /// Anonymous names.
    pub(crate) kept: Option<Vec<String>>,
}

impl Message for Selected {
    const NAME: &'static str = "selection.selected";
}

/// What training decided.
#[derive(Debug, Serialize, Deserialize)]
struct Model {
    /// Columns that stay, in the table's order; those that were not up for selection among them.
    selected: Vec<String>,
    /// Columns that go.
    dropped: Vec<String>,
    /// What each method left of the columns that were up for selection.
    steps: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Step {
    method: Method,
    selected: Vec<String>,
}

#[async_trait]
impl Component for HeteroFeatureSelection {
    fn definition(&self) -> &Definition {
        &self.0
    }

    fn check(&self, assignment: &Assignment<'_>) -> Result<Vec<ParameterProblem>> {
        match assignment.stage {
            Stage::Predict => Ok(Vec::new()),
            _ => parameters::problems(assignment),
        }
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
    let all: Vec<String> = features(table.schema()).map(|field| field.name.clone()).collect();
    let candidates =
        naming.chosen(("select_col", &parameters.select_col), ("", &None))?.unwrap_or_else(|| all.clone());
    let models = Models::of(task)?;
    let (mut left, mut steps) = (candidates.clone(), Vec::new());
    for method in &parameters.method {
        let before = left.clone();
        left = match method {
            Method::Manual => by_hand(&parameters, &naming, &candidates, &before)?,
            Method::Statistics => by_statistics(task, &parameters, &models, &before)?,
            Method::Iv => by_iv(task, &parameters, &models, table.schema(), &before).await?,
        };
        if left.is_empty() && parameters.keep_one {
            left.extend(before.first().cloned());
            task.warn(format!("no column is left, so {:?} stays", left));
        }
        steps.push(Step { method: *method, selected: left.clone() });
    }
    let dropped: Vec<String> = candidates.iter().filter(|name| !left.contains(name)).cloned().collect();
    let selected: Vec<String> = all.into_iter().filter(|name| !dropped.contains(name)).collect();
    task.note(format!("{} of {} columns stay", selected.len(), selected.len() + dropped.len()));
    let output = without(table, &dropped)?;
    let model = json!({
        "data": Model { selected, dropped, steps },
        "meta": {"model_type": "feature_selection", "method": parameters.method, "keep_one": parameters.keep_one},
    });
    Ok(Outputs::default().table("train_output_data", output).model("train_output_model", model))
}

fn predict(task: &Task) -> Result<Outputs> {
    let model: Model =
        serde_json::from_value(task.json_model("input_model")?["data"].clone()).map_err(|why| {
            Error::new(ErrorKind::Corrupt, "input_model is not a model of hetero_feature_selection")
                .because(why)
        })?;
    let table = task.table("test_data")?;
    let lacking = model.selected.iter().find(|name| table.schema().field(name).is_none());
    if let Some(lacking) = lacking {
        return Err(Error::invalid(format!("the model keeps column {lacking:?}, which the table lacks")));
    }
    Ok(Outputs::default().table("test_output_data", without(table, &model.dropped)?))
}

fn without(table: &Table, dropped: &[String]) -> Result<Table> {
    let dropped: BTreeSet<&str> = dropped.iter().map(String::as_str).collect();
    let names = table.schema().fields().iter().map(|field| field.name.as_str());
    table.select(names.filter(|name| !dropped.contains(name)))
}

fn by_hand(
    parameters: &Parameters,
    naming: &Naming<'_>,
    candidates: &[String],
    left: &[String],
) -> Result<Vec<String>> {
    let named = |key: &str, names: &[String]| {
        names.iter().map(|name| naming.column(key, name)).collect::<Result<Vec<_>>>()
    };
    let keep = named("manual_param.keep_col", &parameters.manual_param.keep_col)?;
    let filter_out = named("manual_param.filter_out_col", &parameters.manual_param.filter_out_col)?;
    let stays = |name: &&String| keep.contains(name) || left.contains(name) && !filter_out.contains(name);
    Ok(candidates.iter().filter(stays).cloned().collect())
}

fn by_statistics(
    task: &Task,
    parameters: &Parameters,
    models: &Models<'_>,
    left: &[String],
) -> Result<Vec<String>> {
    let steps = parameters.statistic_param.steps().map_err(Error::bug)?;
    let mut kept = left.to_vec();
    for (metric, steps) in steps {
        let known = models.statistics(&metric)?;
        let stays = judged(task, &steps, left, |column| known.get(column)?.as_f64());
        kept.retain(|column| stays.contains(column));
    }
    Ok(kept)
}

/// The columns that filters keep; those without a value go, and are noted.
fn judged(
    task: &Task,
    steps: &Steps,
    columns: &[String],
    value: impl Fn(&str) -> Option<f64>,
) -> BTreeSet<String> {
    let known = columns.iter().filter_map(|name| Some(Known { name: name.clone(), value: value(name)? }));
    let known: Vec<Known> = known.collect();
    let unknown: Vec<&str> =
        columns.iter().filter(|name| value(name).is_none()).map(String::as_str).collect();
    if !unknown.is_empty() {
        task.note(format!("the model says nothing about {}", unknown.join(", ")));
    }
    steps.keep(known).into_iter().collect()
}

async fn by_iv(
    task: &Task,
    parameters: &Parameters,
    models: &Models<'_>,
    schema: &TableSchema,
    left: &[String],
) -> Result<Vec<String>> {
    if !task.is_guest() {
        return told(task, models, schema, left).await;
    }
    let known = models.own_iv()?;
    let IvFilter { select_federated, .. } = parameters.iv_param;
    let steps = parameters.iv_param.steps().map_err(Error::bug)?;
    for host in task.others(&Role::host()) {
        let kept = match select_federated {
            true => Some(of_host(parameters, models, &host)?),
            false => None,
        };
        let message = Selected { kept };
        task.federation.push_message(&Slot::new("selected"), &[host], &message).await?;
    }
    let stays = judged(task, &steps, left, |column| known.get(column)?.as_f64());
    Ok(left.iter().filter(|column| stays.contains(*column)).cloned().collect())
}

/// The columns of a host that stay, under anonymous names.
fn of_host(parameters: &Parameters, models: &Models<'_>, host: &Party) -> Result<Vec<String>> {
    let known = models.host_iv(host)?;
    let values =
        known.iter().filter_map(|(name, value)| Some(Known { name: name.clone(), value: value.as_f64()? }));
    let values: Vec<Known> = values.collect();
    let best = values.iter().max_by(|a, b| a.value.total_cmp(&b.value)).map(|known| known.name.clone());
    let steps = parameters.iv_param.host_steps().map_err(Error::bug)?;
    let mut kept = steps.keep(values);
    if kept.is_empty() && parameters.keep_one {
        kept.extend(best);
    }
    Ok(kept)
}

/// At a host: the columns of those left that the guest keeps.
async fn told(
    task: &Task,
    models: &Models<'_>,
    schema: &TableSchema,
    left: &[String],
) -> Result<Vec<String>> {
    let guest = task.guest()?;
    let selected: Selected = task.federation.pull_message(&Slot::new("selected"), &guest).await?;
    let Some(kept) = selected.kept else { return Ok(left.to_vec()) };
    let own = models.anonymous()?;
    check_selected(&guest, &kept, |name| own.contains_key(name))?;
    let kept: BTreeSet<&str> = kept.iter().filter_map(|name| own.get(name)?.as_str()).collect();
    if let Some(gone) = kept.iter().find(|name| schema.field(name).is_none()) {
        return Err(Error::invalid(format!("the binning model has column {gone:?}, which the table lacks")));
    }
    Ok(left.iter().filter(|column| kept.contains(column.as_str())).cloned().collect())
}

/// What the guest sent must be columns that this party has.
pub(crate) fn check_selected(guest: &Party, kept: &[String], is_own: impl Fn(&str) -> bool) -> Result<()> {
    let mut seen = BTreeSet::new();
    match kept.iter().find(|name| !is_own(name) || !seen.insert(*name)) {
        None => Ok(()),
        Some(name) => {
            let name = tributary_core::Shown::new(name);
            Err(Error::new(
                ErrorKind::Corrupt,
                format!("{guest} keeps {name:?}, which is no column here, or named twice"),
            ))
        }
    }
}
