//! What a party remembers of its jobs: one folder a job, one a task, and the models by their own name.
//!
//! ```text
//! jobs/<job>/job.json                              the job as resolved, its times and how it ended
//! jobs/<job>/lock                                  held by the process that runs the job
//! jobs/<job>/<role>/<task>/attempt_<n>.json        times, rows, traffic, error of each attempt
//! jobs/<job>/<role>/<task>/{metrics,data}.json     of the attempt that succeeded
//! jobs/<job>/<role>/<task>/checkpoint              where another attempt can continue; until one succeeds
//! jobs/<job>/<role>/<task>/task.log                what the task reported, a line each
//! models/<model id>/<version>/job.json             the job that owns these models
//! models/<model id>/<version>/<role>/<task>/<key>.json, <key>.bin or <key>/
//! ```
//!
//! Names come from jobs, so each is checked before it becomes part of a path.

mod file;
mod job;
mod model;
mod outputs;
mod task;

use std::path::PathBuf;

use tributary_core::{JobId, Result, Role};

pub(crate) use file::private_folder;
pub use job::JobRecord;
pub use outputs::DataRecord;
pub(crate) use outputs::TaskOutputs;
pub use task::{Standing, TaskRecord};

use file::checked;

use crate::log::TaskLog;

/// A party's records, under its home folder.
#[derive(Debug, Clone)]
pub struct Records {
    home: PathBuf,
}

impl Records {
    /// The records under a party's home.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into() }
    }

    /// A job's folder.
    pub fn job_folder(&self, job: &JobId) -> PathBuf {
        self.home.join("jobs").join(job.as_str())
    }

    /// A task's folder.
    pub fn task_folder(&self, job: &JobId, role: &Role, task: &str) -> Result<PathBuf> {
        Ok(self.job_folder(job).join(role.as_str()).join(checked(task)?))
    }

    /// Where a task's log is.
    pub fn log(&self, job: &JobId, role: &Role, task: &str) -> Result<PathBuf> {
        Ok(TaskLog::path_in(&self.task_folder(job, role, task)?))
    }
}
