//! The outputs of one task of one party.

use std::fs;

use serde_json::{Map, Value, json};
use tributary_component::{Metric, Model};
use tributary_core::{Result, ResultExt, Role};
use tributary_flow::record::{DataRecord, JobRecord, Records, TaskRecord};

/// The outputs of one task of one party.
#[derive(Debug, Clone)]
pub struct Results {
    records: Records,
    job: JobRecord,
    role: Role,
    task: String,
}

impl Results {
    pub(crate) fn new(records: Records, job: JobRecord, role: Role, task: &str) -> Self {
        Self { records, job, role, task: task.to_owned() }
    }

    /// The job.
    pub fn job(&self) -> &JobRecord {
        &self.job
    }

    /// Its metrics.
    pub fn metrics(&self) -> Result<Vec<Metric>> {
        self.records.metrics(&self.job.job, &self.role, &self.task)
    }

    /// Its models as JSON, by output key. A model that is not JSON is described by the sizes of its files in bytes.
    pub fn models(&self) -> Result<Map<String, Value>> {
        let models = self.records.models(&self.job.model, &self.role, &self.task)?;
        let shown = |model| match model {
            Model::Json(value) => value,
            Model::Bytes(bytes) => json!({"bytes": bytes.len()}),
            Model::Files(files) => {
                let files = files.into_iter().map(|(name, bytes)| (name, bytes.len().into()));
                json!({"files": files.collect::<Map<_, _>>()})
            }
        };
        Ok(models.into_iter().map(|(key, model)| (key, shown(model))).collect())
    }

    /// Names of its output tables, by output key.
    pub fn tables(&self) -> Result<DataRecord> {
        self.records.data(&self.job.job, &self.role, &self.task)
    }

    /// The cost of its last attempt: time, rows, bytes by slot.
    pub fn cost(&self) -> Result<TaskRecord> {
        self.records.task(&self.job.job, &self.role, &self.task)
    }

    /// All its attempts, the first one first.
    pub fn attempts(&self) -> Result<Vec<TaskRecord>> {
        self.records.attempts(&self.job.job, &self.role, &self.task)
    }

    /// Its log.
    pub fn log(&self) -> Result<String> {
        let path = self.records.log(&self.job.job, &self.role, &self.task)?;
        fs::read_to_string(&path).at(|| format!("read {}", path.display()))
    }
}
