//! The jobs of a party and their status.

use tributary_core::{Error, ErrorKind, JobId, PartyId, Result, Role};
use tributary_flow::record::{JobRecord, Records, Standing};
use tributary_flow::spec::ModelRef;
use tributary_flow::status::Status;
use tributary_runtime::Home;

use crate::Results;

/// The id that means the latest job of a party.
pub const LATEST: &str = "latest";

/// The jobs of one party.
#[derive(Debug, Clone)]
pub struct Jobs {
    party: PartyId,
    records: Records,
}

impl Jobs {
    /// The jobs of a party, which may have none.
    pub fn of(home: &Home, party: &PartyId) -> Self {
        Self { party: party.clone(), records: Records::new(home.party(party)) }
    }

    /// Whose jobs they are.
    pub fn party(&self) -> &PartyId {
        &self.party
    }

    /// All jobs, latest first.
    pub fn list(&self) -> Result<Vec<JobRecord>> {
        self.records.jobs()
    }

    /// One job, by its id or [`LATEST`].
    pub fn find(&self, job_id: &str) -> Result<JobRecord> {
        match job_id {
            LATEST => {
                let none = || Error::new(ErrorKind::NotFound, format!("party {} has no jobs", self.party));
                self.list()?.into_iter().next().ok_or_else(none)
            }
            id => self.records.job(&JobId::new(id)?).map_err(|error| match error.kind() {
                ErrorKind::NotFound => {
                    let text = format!("party {} has no job {id}; see `tributary job list`", self.party);
                    Error::new(ErrorKind::NotFound, text)
                }
                _ => error,
            }),
        }
    }

    /// The status of its tasks, in the order of the job.
    pub fn tasks(&self, job: &JobRecord) -> Result<Vec<Standing>> {
        self.records.tasks(job, &self.party)
    }

    /// The name of its registered models, if any.
    pub fn models(&self, job: &JobRecord) -> Result<Option<ModelRef>> {
        self.records.model_name(job)
    }

    /// The outputs of one of its tasks in a role; the error suggests the nearest name, or the roles that the party has.
    pub fn results(&self, job_id: &str, role: &str, task: &str) -> Result<Results> {
        let (job, role) = (self.find(job_id)?, Role::new(role)?);
        let tasks = job.task_names();
        if !tasks.contains(&task) {
            let help = tributary_document::suggestion(task, tasks.iter().copied());
            let help = help.map_or(String::new(), |help| format!(" ({help})"));
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("job {} has no task {task:?}{help}", job.job),
            ));
        }
        let roles = job.roles(task, &self.party);
        if !roles.contains(&role.as_str()) {
            let does = match &roles[..] {
                [] => "has no part in it".to_string(),
                roles => format!("runs it as {} (-r {})", roles.join(" and "), roles[0]),
            };
            let text = format!(
                "party {} does not run task {task} of job {} as {role}; it {does}",
                self.party, job.job
            );
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        Ok(Results::new(self.records.clone(), job, role, task))
    }
}

/// A warning about the job for readers of its results; `None` if the job is done.
pub fn warning(job: &JobRecord) -> Option<String> {
    match (job.status, &job.error) {
        (Status::Success, _) => None,
        (Status::Running, _) => Some(format!("job {} is still running", job.job)),
        (status, None) => Some(format!("job {}: {status}", job.job)),
        (status, Some(why)) => Some(format!("job {}: {status}, because {why}", job.job)),
    }
}
