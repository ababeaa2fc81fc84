//! A host: adds up what it cannot read, by the bins of its columns, and keeps its divisions to itself.

mod train;
mod level;

use tributary_core::Result;

use super::columns::BinnedRows;
use super::model::read_host;
use super::{Scope, aligned, aligned_if_given, hyper, optional, walk};
use tributary_component::output::Outputs;
use tributary_component::task::Task;

pub(super) use train::fit;

/// Takes part in a training.
pub(super) async fn train(task: &Task) -> Result<Outputs> {
    let scope = Scope::of(task, "train_data");
    let (table, validate) = (aligned(task, "train_data")?, aligned_if_given(task, "validate_data")?);
    let warm = match optional(task, "warm_start_model") {
        Some(_) => Some(read_host("warm_start_model", task.json_model("warm_start_model")?)?),
        None => None,
    };
    let model = fit(&scope, table, validate, warm).await?;
    Ok(Outputs::default().model("output_model", model.to_json(&task.own, &hyper(task))?))
}

/// Takes part in a prediction.
pub(super) async fn predict(task: &Task) -> Result<Outputs> {
    let (scope, table) = (Scope::of(task, "test_data"), aligned(task, "test_data")?);
    let model = read_host("input_model", task.json_model("input_model")?)?;
    model.release_answers(task, "test_data", table, 0).await?;
    let rows = BinnedRows::keep(&model.columns.assign(table)?).await?;
    walk::answer(&scope, "predict", &rows, &model).await?;
    Ok(Outputs::default())
}
