//! Jobs as recorded: each at every party that takes part in it, and held by the process that runs it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tributary_core::{Error, ErrorKind, JobHash, JobId, PartyId, Result, ResultExt, TableName, TaskName};

use super::file::{names_in, private_folder, read_json, write_json};
use super::model::{OWNER, has_models};
use super::{Records, model};
use crate::claim::Claim;
use crate::spec::{JobSpec, ModelRef};
use crate::status::Status;

/// A job of this party, as recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job.
    pub job: JobId,
    /// The name of the models that it registers.
    #[serde(flatten)]
    pub model: ModelRef,
    /// Its status.
    pub status: Status,
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// Milliseconds since 1970; unknown of a job whose process was killed.
    pub ended_ms: Option<u64>,
    /// Why it failed.
    #[serde(default)]
    pub error: Option<String>,
    /// Tables of this party that it takes from outside itself.
    #[serde(default)]
    pub tables: Vec<TableName>,
    /// What all parties agreed on.
    #[serde(default)]
    pub hash: Option<JobHash>,
    /// The job as all parties agreed on it.
    pub spec: Value,
}

impl JobRecord {
    /// The record of a job whose process has ended, although the record says that the job runs.
    fn killed(self) -> Self {
        let why = "its process ended early: killed, or the machine stopped";
        Self { status: Status::Failed, error: Some(why.into()), ..self }
    }

    /// The job as all parties agreed on it.
    pub(crate) fn read_spec(&self) -> Result<JobSpec> {
        let unread = |e| Error::new(ErrorKind::Corrupt, format!("the record of job {}", self.job)).because(e);
        JobSpec::deserialize(&self.spec).map_err(unread)
    }

    /// Whether it takes a table from outside itself, or one of its own tasks makes it.
    pub fn uses(&self, table: &TableName) -> bool {
        let mut tasks = self.task_names().into_iter().filter_map(|task| TaskName::new(task).ok());
        self.tables.contains(table)
            || tasks.any(|task| table.namespace == TableName::namespace_of(&self.job, &task))
    }

    /// The roles in which a party runs a task.
    pub fn roles(&self, task: &str, party: &PartyId) -> Vec<&str> {
        let parties = self.spec["tasks"][task]["parties"].as_array().into_iter().flatten();
        let own = parties.map(|entry| &entry["party"]).filter(|entry| entry["party_id"] == party.as_str());
        own.filter_map(|entry| entry["role"].as_str()).collect()
    }

    /// Names of its tasks, in alphabetic order.
    pub fn task_names(&self) -> Vec<&str> {
        let tasks = self.spec["tasks"].as_object();
        tasks.map(|tasks| tasks.keys().map(String::as_str).collect()).unwrap_or_default()
    }
}

impl Records {
    /// Takes a job's folder and the name of its models for it, for as long as the claim lives. `AlreadyExists` if another
    /// job has either. A job that was interrupted is continued by one with the same `hash`.
    pub(crate) fn claim(&self, job: &JobId, model: &ModelRef, hash: Option<&JobHash>) -> Result<Claim> {
        let (folder, models) = (self.job_folder(job), model::folder(&self.home, model)?);
        private_folder(&models).at(|| format!("create {}", models.display()))?;
        // One job at a time asks who owns a name and takes it.
        let _turn = Claim::take(&models)?;
        self.expect_free(model, Some(job))?;
        private_folder(&folder).at(|| format!("create {}", folder.display()))?;
        let text = || format!("job {job} exists; choose another id");
        let taken = || Err(Error::new(ErrorKind::AlreadyExists, text()));
        let Some(claim) = Claim::try_take(&folder)? else { return taken() };
        if !self.may_begin(job, hash)? {
            return taken();
        }
        write_json(&models.join(OWNER), job)?;
        Ok(claim)
    }

    /// Whether a job that this process has claimed is not recorded yet, or was interrupted and has this hash.
    fn may_begin(&self, job: &JobId, hash: Option<&JobHash>) -> Result<bool> {
        match read_json::<JobRecord>(&self.job_folder(job).join("job.json"), || format!("job {job}")) {
            Ok(record) => {
                Ok(record.status == Status::Running && hash.is_some() && record.hash.as_ref() == hash)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Gives back the folder of a job that did not begin. The folder of its models stays: others may be about to take it.
    pub(crate) fn leave(&self, job: &JobId) -> Result<()> {
        let folder = self.job_folder(job);
        if folder.join("job.json").exists() {
            return Ok(());
        }
        fs::remove_dir_all(&folder).at(|| format!("remove {}", folder.display()))
    }

    /// `AlreadyExists` if models of this name are those of another job.
    pub(crate) fn expect_free(&self, model: &ModelRef, job: Option<&JobId>) -> Result<()> {
        let models = model::folder(&self.home, model)?;
        match read_json::<JobId>(&models.join(OWNER), || "the job of a model".into()) {
            Ok(other) if Some(&other) != job && !self.is_free(&models, &other)? => {
                let text = format!("models {model} are those of job {other}; choose another model_version");
                Err(Error::new(ErrorKind::AlreadyExists, text))
            }
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// `InvalidInput` for two tasks whose folders would be one, on a disk that treats upper and lower case as the same. The
    /// job is claimed.
    pub(crate) fn check_case(&self, job: &JobId, tasks: &[String]) -> Result<()> {
        let folder = self.job_folder(job);
        let folds = Claim::path_in(&folder).with_file_name("LOCK").exists();
        match same_but_for_case(tasks).filter(|_| folds) {
            None => Ok(()),
            Some((a, b)) => Err(Error::invalid(format!(
                "tasks {a:?} and {b:?}: the disk of {} treats upper and lower case as the same; rename one of them",
                folder.display()
            ))),
        }
    }

    /// Whether a job's name for models can go to another job: its job has ended, and no model was registered under it.
    fn is_free(&self, models: &Path, owner: &JobId) -> Result<bool> {
        let open = Claim::is_held(&self.job_folder(owner))? || !self.all_prepared(owner)?.is_empty();
        Ok(!has_models(models)? && !open)
    }

    /// Records a job.
    pub fn write_job(&self, record: &JobRecord) -> Result<()> {
        write_json(&self.job_folder(&record.job).join("job.json"), record)
    }

    /// A recorded job. One that was killed is shown as failed, whatever its file says.
    pub fn job(&self, job: &JobId) -> Result<JobRecord> {
        let folder = self.job_folder(job);
        let read = || read_json::<JobRecord>(&folder.join("job.json"), || format!("job {job}"));
        let record = read()?;
        if record.status != Status::Running || Claim::is_held(&folder)? {
            return Ok(record);
        }
        // Again, because it may have ended in between: the end is recorded before the claim is released.
        let record = read()?;
        Ok(if record.status == Status::Running { record.killed() } else { record })
    }

    /// All recorded jobs, latest first.
    pub fn jobs(&self) -> Result<Vec<JobRecord>> {
        let names = names_in(&self.home.join("jobs"))?.into_iter().filter_map(|name| JobId::new(name).ok());
        // A folder without a record is a job that is just beginning.
        let found = names
            .map(|job| self.job(&job))
            .filter(|r| r.as_ref().err().map(Error::kind) != Some(ErrorKind::NotFound));
        let mut jobs: Vec<JobRecord> = found.collect::<Result<_>>()?;
        jobs.sort_by_key(|job| std::cmp::Reverse(job.started_ms));
        Ok(jobs)
    }

    /// The jobs of this party that run now.
    pub fn running(&self) -> Result<Vec<JobRecord>> {
        Ok(self.jobs()?.into_iter().filter(|job| job.status == Status::Running).collect())
    }

    /// The jobs of this party that run now and use a table, see [`JobRecord::uses`].
    pub fn readers(&self, table: &TableName) -> Result<Vec<JobId>> {
        let readers = self.running()?.into_iter().filter(|job| job.uses(table));
        Ok(readers.map(|job| job.job).collect())
    }
}

fn same_but_for_case(names: &[String]) -> Option<(&str, &str)> {
    let mut seen = BTreeMap::new();
    names.iter().find_map(|name| Some((seen.insert(name.to_lowercase(), name.as_str())?, name.as_str())))
}

#[cfg(test)]
mod tests {
    use tributary_component::Model;
    use tributary_core::Role;

    use super::*;
    use crate::record::TaskOutputs;

    fn models() -> ModelRef {
        ModelRef::new("m", "0")
    }

    fn job(id: &str, status: Status) -> JobRecord {
        JobRecord {
            job: JobId::new(id).unwrap(),
            model: models(),
            status,
            started_ms: 1,
            ended_ms: None,
            tables: Vec::new(),
            error: None,
            hash: None,
            spec: Value::Null,
        }
    }

    #[test]
    fn a_job_that_is_recorded_as_running_and_that_no_process_holds_has_failed() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let running = job("a", Status::Running);
        let claim = records.claim(&running.job, &models(), None).unwrap();
        records.write_job(&running).unwrap();
        assert_eq!(records.job(&running.job).unwrap().status, Status::Running);
        drop(claim);
        for record in [records.job(&running.job).unwrap(), records.jobs().unwrap().remove(0)] {
            assert_eq!(record.status, Status::Failed);
            assert!(record.error.unwrap().contains("killed"));
        }
        records.write_job(&job("a", Status::Success)).unwrap();
        let ended = records.job(&running.job).unwrap();
        assert_eq!(
            (ended.status, ended.error),
            (Status::Success, None),
            "it ended before it released the claim"
        );
    }

    #[test]
    fn a_name_for_models_is_free_again_once_its_job_is_gone_without_any() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let claim = |id: &str| records.claim(&JobId::new(id).unwrap(), &models(), None);
        let refused = |id: &str, by: &str| {
            let error = claim(id).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            assert!(error.to_string().contains(&format!("those of job {by}")), "{error}");
        };
        let first = claim("a").unwrap();
        refused("b", "a");
        drop(first);
        let third = claim("c").unwrap();
        let (name, model) = (models(), [("k".to_owned(), Model::Json(Value::Null))]);
        let outputs = TaskOutputs { name: &name, models: &model, metrics: &[], data: &Vec::new() };
        let mut staged = records.staged();
        records.stage(&mut staged, &JobId::new("c").unwrap(), (&Role::guest(), "t"), &outputs).unwrap();
        staged.publish().unwrap();
        refused("d", "c");
        drop(third);
        refused("e", "c");
        assert_eq!(records.model_names().unwrap(), ["m#0"]);
    }

    #[test]
    fn a_running_job_uses_what_it_takes_and_what_its_tasks_make() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let taken = TableName::new("n", "taken").unwrap();
        let spec = serde_json::json!({"tasks": {"psi_0": {}}});
        let running = JobRecord { tables: vec![taken.clone()], spec, ..job("a", Status::Running) };
        let claim = records.claim(&running.job, &models(), None).unwrap();
        records.write_job(&running).unwrap();
        let namespace = TableName::namespace_of(&running.job, &TaskName::new("psi_0").unwrap());
        let own = TableName::new(namespace, "output_data").unwrap();
        for table in [&taken, &own] {
            assert_eq!(records.readers(table).unwrap(), std::slice::from_ref(&running.job));
        }
        assert_eq!(records.readers(&TableName::new("n", "other").unwrap()).unwrap(), []);
        drop(claim);
        assert_eq!(records.running().unwrap().len(), 0, "its process is gone");
    }

    #[test]
    fn tasks_that_differ_in_case_only_are_refused_where_case_folds() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let id = JobId::new("a").unwrap();
        let _claim = records.claim(&id, &models(), None).unwrap();
        let tasks = ["psi", "Psi", "other"].map(String::from);
        records.check_case(&id, &tasks).unwrap();
        // what a disk that folds case shows
        fs::hard_link(records.job_folder(&id).join("lock"), records.job_folder(&id).join("LOCK")).unwrap();
        let error = records.check_case(&id, &tasks).unwrap_err();
        assert!(error.to_string().contains("\"psi\" and \"Psi\""), "{error}");
        records.check_case(&id, &tasks[1..]).unwrap();
    }
}
