//! The outputs of a party's part of an attempt that ended well, until it is decided whether they count.
//!
//! They are durable before the agent says that the part has ended, and the list of them is the last file written. So the verdict can
//! be carried out by another process than the one that prepared them, and more than once.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tributary_core::federation::Traffic;
use tributary_core::{ErrorKind, JobId, Result, TableName};

use crate::agent::Part;
use crate::event::TaskReport;
use crate::record::Records;
use crate::staged::{Staged, flush};

/// See the module.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Prepared {
    /// How the part went.
    pub report: TaskReport,
    /// What went between the parties.
    pub traffic: Traffic,
    /// Tables that were stored for it, and are removed with it.
    pub tables: Vec<TableName>,
    /// Models, metrics and names of output tables.
    pub staged: Staged,
}

/// What the name of a part's file begins with.
pub(crate) const PREPARED: &str = "prepared_";

impl Records {
    fn prepared_path(&self, part: &Part) -> Result<PathBuf> {
        let folder = self.task_folder(&part.job, &part.party.role, &part.task)?;
        Ok(folder.join(format!("{PREPARED}{}.json", part.attempt)))
    }

    /// Writes down what was prepared. Durable when it returns.
    pub(crate) fn write_prepared(&self, part: &Part, prepared: &Prepared) -> Result<()> {
        let path = self.prepared_path(part)?;
        prepared.staged.flush()?;
        self.write_json(&path, prepared)?;
        path.parent().map_or(Ok(()), flush)
    }

    /// What a part has prepared and is not settled yet.
    pub(crate) fn prepared(&self, part: &Part) -> Result<Option<Prepared>> {
        match self.read_json::<Prepared>(&self.prepared_path(part)?, || format!("the outputs of {part}")) {
            Ok(prepared) => Ok(Some(Prepared { staged: prepared.staged.at_home(self.home()), ..prepared })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets what was prepared: it is settled.
    pub(crate) fn remove_prepared(&self, part: &Part) -> Result<()> {
        self.remove(&self.prepared_path(part)?)
    }

    /// All parts of a job that are prepared and not settled.
    pub(crate) fn all_prepared(&self, job: &JobId) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for (role, task, name) in self.files_of_tasks(job)? {
            let attempt = name.strip_prefix(PREPARED).and_then(|name| name.strip_suffix(".json"));
            let Some(attempt) = attempt.and_then(|attempt| attempt.parse().ok()) else { continue };
            let path = self.task_folder(job, &role, &task)?.join(&name);
            let prepared: Prepared = self.read_json(&path, || format!("the outputs of task {task}"))?;
            parts.push(Part { job: job.clone(), task, party: prepared.report.party, attempt });
        }
        Ok(parts)
    }
}
