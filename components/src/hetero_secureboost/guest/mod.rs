//! The guest: it has the label, chooses divisions, and knows the shape of trees.

mod train;
mod tree;
mod sums;

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use tributary_boost::walk::score_schema;
use tributary_boost::{Objective, Targets};
use tributary_core::{Error, Layout, Result, Role, Table};

use super::columns::BinnedRows;
use super::model::{GuestModel, read_guest};
use super::{Scope, aligned, aligned_if_given, frame, hyper, rows, walk};
use tributary_component::output::Outputs;
use tributary_component::task::Task;

pub(super) use train::{Trained, fit, sampled, sharing};

/// Trains, and predicts the rows that were trained and validated on.
pub(super) async fn train(task: &Task) -> Result<Outputs> {
    let scope = Scope::of(task, "train_data");
    let (table, validate) = (aligned(task, "train_data")?, aligned_if_given(task, "validate_data")?);
    let warm = match super::optional(task, "warm_start_model") {
        Some(_) => Some(read_guest("warm_start_model", task.json_model("warm_start_model")?)?),
        None => None,
    };
    let Trained { model, scores, validated } = fit(&scope, table, validate, warm).await?;
    let mut frames = vec![predicted(task, table, &scores, &model, "train_set").await?];
    if let Some((table, scores)) = validate.zip(validated) {
        frames.push(predicted(task, table, &scores, &model, "validate_set").await?);
    }
    let predictions = if frames.len() == 1 { frames.swap_remove(0) } else { Table::concat(&frames)? };
    let model = model.to_json(&task.own, &hyper(task))?;
    Ok(Outputs::default().table("train_output_data", predictions).model("output_model", model))
}

/// Predicts by a model.
pub(super) async fn predict(task: &Task) -> Result<Outputs> {
    let (scope, table) = (Scope::of(task, "test_data"), aligned(task, "test_data")?);
    let model = read_guest("input_model", task.json_model("input_model")?)?;
    expect_hosts(task, &model)?;
    let rows = BinnedRows::keep(&model.columns.assign(table)?).await?;
    let trees = model.trees.len();
    let scores = walk::scores(&scope, "predict", &rows, &model, 0..trees, None).await?;
    let predictions = frame::frame(table, &scores, &model, "test_set")?;
    Ok(Outputs::default().table("test_output_data", predictions))
}

/// `InvalidInput` unless the task's hosts are those of a model.
fn expect_hosts(task: &Task, model: &GuestModel) -> Result<()> {
    let here = task.others(&Role::host());
    let missing = model.hosts.iter().find(|host| !here.contains(&host.party));
    match missing {
        None if here.len() == model.hosts.len() => Ok(()),
        Some(host) => Err(Error::invalid(format!(
            "the model has divisions of {}, which does not take part",
            host.party
        ))),
        None => Err(Error::invalid(format!(
            "the model is of {} hosts, {} take part",
            model.hosts.len(),
            here.len()
        ))),
    }
}

/// The prediction of a table by scores that are known.
async fn predicted(
    task: &Task,
    table: &Table,
    scores: &[Vec<f64>],
    model: &GuestModel,
    set: &str,
) -> Result<Table> {
    let Layout::Rows(ranges) = table.layout() else { return Err(Error::bug("rows without an order")) };
    let columns = scores.iter().map(|scores| Arc::new(Float64Array::from(scores.clone())) as ArrayRef);
    let scores = rows::table(task, &score_schema(scores.len())?, columns.collect(), ranges).await?;
    frame::frame(table, &scores, model, set)
}

/// What is known of rows, and what their table calls the classes: 0 and 1, or -1 and 1.
pub(super) async fn targets(table: &Table, objective: Objective) -> Result<(Targets, Vec<f64>)> {
    let mut targets = rows::targets(table).await?;
    let signs = objective == Objective::Binary
        && targets.labels.contains(&-1.0)
        && targets.labels.iter().all(|label| label.abs() == 1.0);
    if signs {
        targets.labels.iter_mut().for_each(|label| *label = f64::from(u8::from(*label > 0.0)));
    }
    targets.check(objective)?;
    let classes = match objective {
        Objective::Squares => Vec::new(),
        Objective::Binary if signs => vec![-1.0, 1.0],
        _ => (0..objective.outputs().max(2)).map(|class| class as f64).collect(),
    };
    Ok((targets, classes))
}
