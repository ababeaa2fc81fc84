//! What a party remembers of its jobs: one folder a job, one a task, and the models by their own name.
//!
//! ```text
//! jobs/<job>/job.json                         the job as resolved, its times and how it ended
//! jobs/<job>/lock                             held by the process that runs the job
//! jobs/<job>/<role>/<task>/task.json          attempt, times, rows, traffic, error
//! jobs/<job>/<role>/<task>/{metrics,data}.json
//! jobs/<job>/<role>/<task>/task.log           what the task said, a line each
//! models/<model id>/<version>/job.json        whose models these are
//! models/<model id>/<version>/<role>/<task>/<key>.json
//! ```
//!
//! Every file is whole or absent: written beside its place, then renamed. Names come from jobs, so each is checked before
//! it becomes part of a path.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tributary_component::Metric;
use tributary_core::federation::Traffic;
use tributary_core::{Error, ErrorKind, JobId, Party, PartyId, Result, ResultExt, Role, TableName};

use crate::claim::Claim;
use crate::event::TaskReport;
use crate::scheduler::Outcome;
use crate::spec::JobSpec;
use crate::staged::Staged;

/// Names the job that a folder of models belongs to.
const OWNER: &str = "job.json";

/// A party's records, under its home folder.
#[derive(Debug, Clone)]
pub struct Records {
    home: PathBuf,
}

/// One task of one party, as recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Name in the job.
    pub task: String,
    /// Its component.
    pub component: String,
    /// Who ran it.
    pub party: Party,
    /// From 0.
    pub attempt: u32,
    /// How it ended: `success`, `failed`, `canceled`.
    pub status: String,
    /// Milliseconds since 1970.
    pub started_ms: u64,
    /// Milliseconds since 1970.
    pub ended_ms: u64,
    /// Rows of all output tables.
    pub rows: u64,
    /// Jobs that its computing engine ran for it: tables taken in, plans run.
    #[serde(default)]
    pub actions: u64,
    /// What went between the parties.
    pub traffic: Traffic,
    /// Why it failed.
    pub error: Option<String>,
}

/// How one party's part of a task stands.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Name in the job.
    pub task: String,
    /// Whose part.
    pub party: Party,
    /// As its last attempt ended. Before any did: `running` or `waiting`; and where the job is over, the job's own
    /// status or `not started`.
    pub status: String,
    /// The last attempt that ended.
    pub record: Option<TaskRecord>,
}

/// Output tables of a task: by output key.
pub type DataRecord = Vec<(String, TableName)>;

/// What a task of a party came to.
pub(crate) struct TaskOutputs<'a> {
    /// Id and version under which models are registered.
    pub model: (&'a str, &'a str),
    /// By output key.
    pub models: &'a [(String, Value)],
    pub metrics: &'a [Metric],
    pub data: &'a DataRecord,
}

/// A job of this party, as recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job.
    pub job: JobId,
    /// Models are registered under this name.
    pub model_id: String,
    /// And this version.
    pub model_version: String,
    /// `running`, `success`, `failed`, `canceled`.
    pub status: String,
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
    /// The job as all parties agreed on it.
    pub spec: Value,
}

/// The status of a job that has begun and not ended.
pub(crate) const RUNNING: &str = "running";

impl JobRecord {
    /// Whether it takes a table from outside itself, or one of its own tasks makes it.
    pub fn uses(&self, table: &TableName) -> bool {
        let own = |task: &String| table.namespace == format!("{}_{task}", self.job);
        self.tables.contains(table)
            || self.spec["tasks"].as_object().is_some_and(|tasks| tasks.keys().any(own))
    }

    /// The record of a job whose process is gone, though the record says that it runs.
    fn killed(self) -> Self {
        let why = "its process ended early: killed, or the machine stopped";
        Self { status: Outcome::Failed.as_str().into(), error: Some(why.into()), ..self }
    }
}

impl TaskRecord {
    /// The record of a report, made at `ended_ms`.
    pub(crate) fn of(report: &TaskReport, traffic: Traffic, ended_ms: u64) -> Self {
        Self {
            task: report.task.clone(),
            component: report.component.clone(),
            party: report.party.clone(),
            attempt: report.attempt,
            status: report.status.into(),
            started_ms: ended_ms.saturating_sub(report.elapsed.as_millis() as u64),
            ended_ms,
            rows: report.rows,
            actions: report.actions,
            traffic,
            error: report.error.clone(),
        }
    }
}

impl Outcome {
    /// As FATE's clients know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Cancelled => "canceled",
        }
    }
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

    /// Takes a job's folder and the name of its models for it, for as long as the claim lives. `AlreadyExists` if another
    /// job has either.
    pub(crate) fn claim(&self, job: &JobId, model: (&str, &str)) -> Result<Claim> {
        let (folder, models) = (self.job_folder(job), self.home.join("models"));
        let models = models.join(checked(model.0)?).join(checked(model.1)?);
        let exists = |what: String| Err(Error::new(ErrorKind::AlreadyExists, what));
        private_folder(&models).at(|| format!("create {}", models.display()))?;
        // One job at a time asks whose a name is and takes it.
        let _turn = Claim::take(&models)?;
        match read_json::<JobId>(&models.join(OWNER), || "the job of a model".into()) {
            Ok(other) if other != *job && !self.is_free(&models, &other)? => {
                let name = format!("{}#{}", model.0, model.1);
                return exists(format!(
                    "models {name} are those of job {other}; choose another model_version"
                ));
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        private_folder(&self.home.join("jobs")).at(|| format!("create {}", folder.display()))?;
        match fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                return exists(format!("job {job} exists; choose another id"));
            }
            other => other.at(|| format!("create {}", folder.display()))?,
        }
        let claim = Claim::take(&folder)?;
        write_json(&models.join(OWNER), job)?;
        Ok(claim)
    }

    /// `InvalidInput` for two tasks whose folders would be one, on a disk that takes upper and lower case for the same. The
    /// job is claimed.
    pub(crate) fn check_case(&self, job: &JobId, tasks: &[String]) -> Result<()> {
        let folder = self.job_folder(job);
        let folds = Claim::path_in(&folder).with_file_name("LOCK").exists();
        match same_but_for_case(tasks).filter(|_| folds) {
            None => Ok(()),
            Some((a, b)) => Err(Error::invalid(format!(
                "tasks {a:?} and {b:?}: the disk of {} takes upper and lower case for the same; rename one of them",
                folder.display()
            ))),
        }
    }

    /// Whether a job's name for models can go to another one: it runs no more, and no model was registered under it.
    fn is_free(&self, models: &Path, owner: &JobId) -> Result<bool> {
        Ok(!has_models(models)? && !Claim::is_held(&self.job_folder(owner))?)
    }

    /// Records a job.
    pub fn write_job(&self, record: &JobRecord) -> Result<()> {
        write_json(&self.job_folder(&record.job).join("job.json"), record)
    }

    /// A recorded job. One that was killed is told as failed, whatever its file says.
    pub fn job(&self, job: &JobId) -> Result<JobRecord> {
        let folder = self.job_folder(job);
        let read = || read_json::<JobRecord>(&folder.join("job.json"), || format!("job {job}"));
        let record = read()?;
        if record.status != RUNNING || Claim::is_held(&folder)? {
            return Ok(record);
        }
        // Again, because it may have ended in between: the end is recorded before the claim is let go.
        let record = read()?;
        Ok(if record.status == RUNNING { record.killed() } else { record })
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
        Ok(self.jobs()?.into_iter().filter(|job| job.status == RUNNING).collect())
    }

    /// The jobs of this party that run now and use a table, see [`JobRecord::uses`].
    pub fn readers(&self, table: &TableName) -> Result<Vec<JobId>> {
        let readers = self.running()?.into_iter().filter(|job| job.uses(table));
        Ok(readers.map(|job| job.job).collect())
    }

    /// Records a task of one party.
    pub fn write_task(&self, job: &JobId, record: &TaskRecord) -> Result<()> {
        write_json(&self.task_folder(job, &record.party.role, &record.task)?.join("task.json"), record)
    }

    /// A recorded task.
    pub fn task(&self, job: &JobId, role: &Role, task: &str) -> Result<TaskRecord> {
        let file = self.task_folder(job, role, task)?.join("task.json");
        read_json(&file, || format!("task {task} of {role} in job {job}"))
    }

    /// How all tasks of a job stand at a party, in the order of the job.
    pub fn tasks(&self, job: &JobRecord, own: &PartyId) -> Result<Vec<Standing>> {
        let unread = |e| Error::new(ErrorKind::Corrupt, format!("the record of job {}", job.job)).because(e);
        let spec = JobSpec::deserialize(&job.spec).map_err(unread)?;
        let tasks = spec.levels.iter().flatten().filter_map(|name| spec.tasks.get(name));
        let parts = tasks.flat_map(|task| task.parties.iter().map(|part| (&task.name, &part.party)));
        parts
            .filter(|(_, party)| party.id == *own)
            .map(|(task, party)| self.standing(job, task, party))
            .collect()
    }

    fn standing(&self, job: &JobRecord, task: &str, party: &Party) -> Result<Standing> {
        let record = match self.task(&job.job, &party.role, task) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let begun = self.task_folder(&job.job, &party.role, task)?.is_dir();
        let status = match (&record, begun) {
            (Some(record), _) => record.status.as_str(),
            (None, true) => job.status.as_str(),
            (None, false) if job.status == RUNNING => "waiting",
            (None, false) => "not started",
        };
        let status = status.to_owned();
        Ok(Standing { task: task.to_owned(), party: party.clone(), status, record })
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

    /// The name under which a job's models are registered, as `id#version`; none if it registered none.
    pub fn model_name(&self, job: &JobRecord) -> Result<Option<String>> {
        let (id, version) = (checked(&job.model_id)?, checked(&job.model_version)?);
        let folder = self.home.join("models").join(id).join(version);
        Ok(has_models(&folder)?.then(|| format!("{id}#{version}")))
    }

    /// All names under which models are registered, as `id#version`.
    pub(crate) fn model_names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for id in names_in(&self.home.join("models"))? {
            let folder = self.home.join("models").join(&id);
            for version in names_in(&folder)? {
                if has_models(&folder.join(&version))? {
                    names.push(format!("{id}#{version}"));
                }
            }
        }
        names.sort();
        Ok(names)
    }

    fn model_folder(&self, model: (&str, &str), role: &Role, task: &str) -> Result<PathBuf> {
        let (id, version) = (checked(model.0)?, checked(model.1)?);
        Ok(self.home.join("models").join(id).join(version).join(role.as_str()).join(checked(task)?))
    }

    /// Stages what a task of a party came to, to be recorded together with the other parties' parts: models, registered
    /// under (model id, model version), metrics, and the names of output tables.
    pub(crate) fn stage(
        &self,
        staged: &mut Staged,
        job: &JobId,
        (role, task): (&Role, &str),
        outputs: &TaskOutputs<'_>,
    ) -> Result<()> {
        for (key, value) in outputs.models {
            let file = format!("{}.json", checked(key)?);
            staged.add(self.model_folder(outputs.model, role, task)?.join(file), value)?;
        }
        let folder = self.task_folder(job, role, task)?;
        staged.add(folder.join("metrics.json"), outputs.metrics)?;
        staged.add(folder.join("data.json"), outputs.data)
    }

    /// A registered model. `NotFound` names what was looked for.
    pub fn model(&self, model: (&str, &str), role: &Role, task: &str, key: &str) -> Result<Value> {
        let file = self.model_folder(model, role, task)?.join(format!("{}.json", checked(key)?));
        read_json(&file, || format!("model {key} of task {task} of {role} under {}#{}", model.0, model.1))
    }

    /// All models of one task, by output key.
    pub fn models(&self, model: (&str, &str), role: &Role, task: &str) -> Result<Vec<(String, Value)>> {
        let folder = self.model_folder(model, role, task)?;
        let names = names_in(&folder)?;
        let mut keys: Vec<String> =
            names.iter().filter_map(|name| Some(name.strip_suffix(".json")?.to_string())).collect();
        keys.sort();
        keys.into_iter().map(|key| Ok((key.clone(), self.model(model, role, task, &key)?))).collect()
    }
}

fn same_but_for_case(names: &[String]) -> Option<(&str, &str)> {
    let mut seen = std::collections::BTreeMap::new();
    names.iter().find_map(|name| Some((seen.insert(name.to_lowercase(), name.as_str())?, name.as_str())))
}

/// Whether models are registered in the folder of a name: a file in the folder of a task in that of a role.
fn has_models(folder: &Path) -> Result<bool> {
    let folders = |above: &Path| -> Result<Vec<PathBuf>> {
        let below = names_in(above)?.into_iter().map(|name| above.join(name));
        Ok(below.filter(|path| path.is_dir()).collect())
    };
    for role in folders(folder)? {
        for task in folders(&role)? {
            if names_in(&task)?.iter().any(|name| name.ends_with(".json")) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Names of what is in a folder; none if there is no such folder.
fn names_in(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::from(e).at(format!("list {}", path.display()))),
    };
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// A name that becomes part of a path.
fn checked(name: &str) -> Result<&str> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '#');
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(fits) {
        return Err(Error::invalid(format!("name {name:?} must be letters, digits, '_', '-', '.' or '#'")));
    }
    Ok(name)
}

/// Makes a folder that only its owner can read.
pub(crate) fn private_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    let bytes = serde_json::to_vec_pretty(value).map_err(|e| Error::bug("encode a record").because(e))?;
    let folder = path.parent().ok_or_else(|| Error::bug("a record has a folder"))?;
    let write = || -> std::io::Result<()> {
        private_folder(folder)?;
        let beside = path.with_extension("json.new");
        let mut file =
            fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_data()?;
        fs::rename(&beside, path)
    };
    write().at(|| format!("write {}", path.display()))
}

fn read_json<T: DeserializeOwned>(path: &Path, what: impl Fn() -> String) -> Result<T> {
    let bytes = fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("no {} in {}", what(), path.display()))
        }
        _ => Error::from(e).at(format!("read {}", path.display())),
    })?;
    serde_json::from_slice(&bytes).map_err(|e| {
        Error::new(ErrorKind::Corrupt, format!("{} is not {}", path.display(), what())).because(e)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_model(records: &Records, role: &Role, task: &str, key: &str, value: &Value) {
        let models = [(key.to_owned(), value.clone())];
        let outputs = TaskOutputs { model: ("m", "0"), models: &models, metrics: &[], data: &Vec::new() };
        let mut staged = Staged::default();
        records.stage(&mut staged, &JobId::new("j").unwrap(), (role, task), &outputs).unwrap();
        staged.publish().unwrap();
        staged.keep();
    }

    #[test]
    fn a_model_is_found_under_the_name_it_was_registered_by() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let value = serde_json::json!({"x": [1, 2]});
        write_model(&records, &Role::host(), "binning_0", "output_model", &value);
        assert_eq!(records.model(("m", "0"), &Role::host(), "binning_0", "output_model").unwrap(), value);
        let missing = records.model(("m", "1"), &Role::host(), "binning_0", "output_model").unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(missing.to_string().contains("m#1"), "{missing}");
    }

    fn job(id: &str, status: &str) -> JobRecord {
        JobRecord {
            job: JobId::new(id).unwrap(),
            model_id: "m".into(),
            model_version: "0".into(),
            status: status.into(),
            started_ms: 1,
            ended_ms: None,
            tables: Vec::new(),
            error: None,
            spec: Value::Null,
        }
    }

    #[test]
    fn a_job_that_is_recorded_as_running_and_nobody_holds_has_failed() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let running = job("a", RUNNING);
        let claim = records.claim(&running.job, ("m", "0")).unwrap();
        records.write_job(&running).unwrap();
        assert_eq!(records.job(&running.job).unwrap().status, RUNNING);
        drop(claim);
        for record in [records.job(&running.job).unwrap(), records.jobs().unwrap().remove(0)] {
            assert_eq!(record.status, "failed");
            assert!(record.error.unwrap().contains("killed"));
        }
        records.write_job(&job("a", "success")).unwrap();
        let ended = records.job(&running.job).unwrap();
        assert_eq!((ended.status.as_str(), ended.error), ("success", None), "it ended before it let go");
    }

    #[test]
    fn a_running_job_uses_what_it_takes_and_what_its_tasks_make() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let taken = TableName::new("n", "taken").unwrap();
        let spec = serde_json::json!({"tasks": {"psi_0": {}}});
        let running = JobRecord { tables: vec![taken.clone()], spec, ..job("a", RUNNING) };
        let claim = records.claim(&running.job, ("m", "0")).unwrap();
        records.write_job(&running).unwrap();
        let own = TableName::new("a_psi_0", "output_data").unwrap();
        for table in [&taken, &own] {
            assert_eq!(records.readers(table).unwrap(), std::slice::from_ref(&running.job));
        }
        assert_eq!(records.readers(&TableName::new("n", "other").unwrap()).unwrap(), []);
        drop(claim);
        assert_eq!(records.running().unwrap().len(), 0, "its process is gone");
    }

    #[test]
    fn a_name_for_models_is_free_again_once_its_job_is_gone_without_any() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let claim = |id: &str| records.claim(&JobId::new(id).unwrap(), ("m", "0"));
        let refused = |id: &str, by: &str| {
            let error = claim(id).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            assert!(error.to_string().contains(&format!("those of job {by}")), "{error}");
        };
        let first = claim("a").unwrap();
        refused("b", "a");
        drop(first);
        let third = claim("c").unwrap();
        write_model(&records, &Role::guest(), "t", "k", &Value::Null);
        refused("d", "c");
        drop(third);
        refused("e", "c");
        assert_eq!(records.model_names().unwrap(), ["m#0"]);
    }

    #[test]
    fn tasks_that_differ_in_case_only_are_refused_where_case_folds() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::new(home.path());
        let id = JobId::new("a").unwrap();
        let _claim = records.claim(&id, ("m", "0")).unwrap();
        let tasks = ["psi", "Psi", "other"].map(String::from);
        records.check_case(&id, &tasks).unwrap();
        // what a disk that folds case shows
        fs::hard_link(records.job_folder(&id).join("lock"), records.job_folder(&id).join("LOCK")).unwrap();
        let error = records.check_case(&id, &tasks).unwrap_err();
        assert!(error.to_string().contains("\"psi\" and \"Psi\""), "{error}");
        records.check_case(&id, &tasks[1..]).unwrap();
    }

    #[test]
    fn a_name_that_leaves_the_folder_is_refused() {
        let records = Records::new("/nowhere");
        for bad in ["..", "a/b", ""] {
            assert!(records.model((bad, "0"), &Role::host(), "t", "k").is_err());
            assert!(records.model(("m", "0"), &Role::host(), bad, "k").is_err());
        }
    }
}
