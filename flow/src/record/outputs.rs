//! The results of a party's task, recorded together with the other parties' parts: models, metrics, names of tables.

use std::path::Path;

use tributary_component::{Metric, Model};
use tributary_core::{Error, JobId, Result, Role, TableName};

use super::Records;
use super::file::{checked, encoded, read_json};
use super::model::is_kept;
use crate::spec::ModelRef;
use crate::staged::Staged;

/// Output tables of a task: by output key.
pub type DataRecord = Vec<(String, TableName)>;

/// The results of a party's task.
pub(crate) struct TaskOutputs<'a> {
    /// The name under which models are registered.
    pub name: &'a ModelRef,
    /// By output key.
    pub models: &'a [(String, Model)],
    pub metrics: &'a [Metric],
    pub data: &'a DataRecord,
}

impl Records {
    /// Stages the results of a party's task.
    pub(crate) fn stage(
        &self,
        staged: &mut Staged,
        job: &JobId,
        (role, task): (&Role, &str),
        outputs: &TaskOutputs<'_>,
    ) -> Result<()> {
        let models = self.model_folder(outputs.name, role, task)?;
        for (key, model) in outputs.models {
            stage_model(staged, &models, key, model)?;
        }
        let folder = self.task_folder(job, role, task)?;
        let mut json = |name: &str, value: &[u8]| staged.add(&folder.join(name), value);
        json("metrics.json", &encoded(outputs.metrics)?)?;
        json("data.json", &encoded(outputs.data)?)
    }

    /// A task's metrics.
    pub fn metrics(&self, job: &JobId, role: &Role, task: &str) -> Result<Vec<Metric>> {
        let file = self.task_folder(job, role, task)?.join("metrics.json");
        read_json(&file, || format!("metrics of task {task} of {role} in job {job}"))
    }

    /// A task's output tables.
    pub fn data(&self, job: &JobId, role: &Role, task: &str) -> Result<DataRecord> {
        let file = self.task_folder(job, role, task)?.join("data.json");
        read_json(&file, || format!("output tables of task {task} of {role} in job {job}"))
    }
}

fn stage_model(staged: &mut Staged, folder: &Path, key: &str, model: &Model) -> Result<()> {
    let key = lasting(key)?;
    match model {
        Model::Json(value) => staged.add(&folder.join(format!("{key}.json")), &encoded(value)?),
        Model::Bytes(bytes) => staged.add(&folder.join(format!("{key}.bin")), bytes),
        Model::Files(files) => files
            .iter()
            .try_for_each(|(name, bytes)| staged.add(&folder.join(key).join(lasting(name)?), bytes)),
    }
}

/// A name that no file has only for as long as it is written.
fn lasting(name: &str) -> Result<&str> {
    match is_kept(checked(name)?) {
        true => Ok(name),
        false => Err(Error::invalid(format!(
            "a model or file of one is named {name:?}; .new and .old are not its own"
        ))),
    }
}
