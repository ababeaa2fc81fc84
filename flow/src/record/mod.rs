//! What a party remembers of its jobs: one folder a job, one a task, and the models by their own name.
//!
//! ```text
//! jobs/<job>/job.json                              the job as resolved, its times and how it ended
//! jobs/<job>/lock                                  held by the process that runs the job
//! jobs/<job>/coordinator.jsonl                     what was decided about the job, at the site of its coordinator
//! jobs/<job>/<role>/<task>/attempt_<n>.json        times, rows, traffic, error of each attempt
//! jobs/<job>/<role>/<task>/prepared_<n>.json       outputs of an attempt until it is decided whether they count
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

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tributary_core::{ErrorKind, JobId, Result, ResultExt, Role};

pub(crate) use file::private_folder;
pub use job::JobRecord;
pub(crate) use model::is_kept;
pub use outputs::DataRecord;
pub(crate) use outputs::TaskOutputs;
pub use task::{Standing, TaskRecord};

use file::checked;

use crate::claim::Claim;
use crate::log::TaskLog;
use crate::staged::Staged;

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

    /// The party's home.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Records that are going to be staged.
    pub(crate) fn staged(&self) -> Staged {
        Staged::under(&self.home)
    }

    /// A secret of this party, made when it is first needed: what is hashed with it tells nothing to others.
    pub(crate) fn salt(&self) -> Result<Vec<u8>> {
        let path = self.home.join("salt");
        private_folder(&self.home).at(|| format!("create {}", self.home.display()))?;
        // One process at a time looks and makes it.
        let _turn = Claim::take(&self.home)?;
        match file::read(&path, || "salt".to_owned()) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut salt = vec![0; 32];
                tributary_system::random::fill(&mut salt)?;
                file::write(&path, &salt)?;
                Ok(salt)
            }
            salt => salt,
        }
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

    /// Writes a record that another part of this crate keeps, whole and durable.
    pub(crate) fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        file::write_json(path, value)
    }

    /// Reads it back. `NotFound` says `what` was looked for.
    pub(crate) fn read_json<T: DeserializeOwned>(&self, path: &Path, what: impl Fn() -> String) -> Result<T> {
        file::read_json(path, what)
    }

    /// Removes it, if it is there.
    pub(crate) fn remove(&self, path: &Path) -> Result<()> {
        file::remove(path)
    }

    /// All files in the folders of a job's tasks: role, task, name.
    pub(crate) fn files_of_tasks(&self, job: &JobId) -> Result<Vec<(Role, String, String)>> {
        let (mut files, folder) = (Vec::new(), self.job_folder(job));
        for role in file::names_in(&folder)?.into_iter().filter(|role| folder.join(role).is_dir()) {
            let Ok(known) = Role::new(role.as_str()) else { continue };
            for task in file::names_in(&folder.join(&role))? {
                let names = file::names_in(&folder.join(&role).join(&task))?;
                files.extend(names.into_iter().map(|name| (known.clone(), task.clone(), name)));
            }
        }
        Ok(files)
    }
}
