//! Tasks as recorded: one record for each attempt of a party, and where another attempt can continue.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tributary_core::federation::{Direction, Traffic};
use tributary_core::{Error, ErrorKind, JobId, Party, PartyId, Result, Role};

use super::file::{names_in, read, read_json, remove, write, write_json};
use super::{JobRecord, Records};
use crate::event::TaskReport;
use crate::status::Status;

/// One attempt of one party at a task, as recorded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Name in the job.
    pub task: String,
    /// Its component.
    pub component: String,
    /// The party that ran it.
    pub party: Party,
    /// From 0.
    pub attempt: u32,
    /// How it ended.
    pub status: Status,
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

/// The status of one party's part of a task.
#[derive(Debug, Clone, Serialize)]
pub struct Standing {
    /// Name in the job.
    pub task: String,
    /// Whose part.
    pub party: Party,
    /// As its last attempt ended. Before any did: `running` or `waiting`; and where the job is over, the job's own
    /// status or `not started`.
    pub status: Status,
    /// The last attempt that ended.
    pub record: Option<TaskRecord>,
}

impl TaskRecord {
    /// The record of a report, made at `ended_ms`.
    pub(crate) fn of(report: &TaskReport, traffic: Traffic, ended_ms: u64) -> Self {
        Self {
            task: report.task.clone(),
            component: report.component.clone(),
            party: report.party.clone(),
            attempt: report.attempt,
            status: report.status,
            started_ms: ended_ms.saturating_sub(report.elapsed.as_millis() as u64),
            ended_ms,
            rows: report.rows,
            actions: report.actions,
            traffic,
            error: report.error.clone(),
        }
    }

    /// The report that it was made of, as far as it is recorded.
    pub(crate) fn report(self) -> TaskReport {
        TaskReport {
            task: self.task,
            component: self.component,
            party: self.party,
            attempt: self.attempt,
            status: self.status,
            elapsed: Duration::from_millis(self.ended_ms.saturating_sub(self.started_ms)),
            rows: self.rows,
            actions: self.actions,
            bytes_sent: self.traffic.bytes(Direction::Sent),
            bytes_received: self.traffic.bytes(Direction::Received),
            rounds: self.traffic.rounds,
            models: Vec::new(),
            error: self.error,
            told: None,
        }
    }
}

impl Records {
    /// Records an attempt at a task.
    pub fn write_task(&self, job: &JobId, record: &TaskRecord) -> Result<()> {
        let folder = self.task_folder(job, &record.party.role, &record.task)?;
        write_json(&folder.join(format!("attempt_{}.json", record.attempt)), record)
    }

    /// All attempts at a task that ended, the first one first.
    pub fn attempts(&self, job: &JobId, role: &Role, task: &str) -> Result<Vec<TaskRecord>> {
        let folder = self.task_folder(job, role, task)?;
        let number = |name: &String| name.strip_prefix("attempt_")?.strip_suffix(".json")?.parse().ok();
        let mut numbers: Vec<u32> = names_in(&folder)?.iter().filter_map(number).collect();
        numbers.sort_unstable();
        let what = |n: u32| move || format!("attempt {n} at task {task} of {role} in job {job}");
        numbers.iter().map(|n| read_json(&folder.join(format!("attempt_{n}.json")), what(*n))).collect()
    }

    /// The last attempt at a task that ended.
    pub fn task(&self, job: &JobId, role: &Role, task: &str) -> Result<TaskRecord> {
        self.attempts(job, role, task)?.pop().ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                format!("no attempt at task {task} of {role} in job {job} has ended"),
            )
        })
    }

    /// The status of all tasks of a job at a party, in the order of the job.
    pub fn tasks(&self, job: &JobRecord, own: &PartyId) -> Result<Vec<Standing>> {
        let spec = job.read_spec()?;
        let tasks = spec.levels.iter().flatten().filter_map(|name| spec.tasks.get(name));
        let parts = tasks.flat_map(|task| task.parties.iter().map(|part| (&task.name, &part.party)));
        parts
            .filter(|(_, party)| party.id == *own)
            .map(|(task, party)| self.standing(job, task, party))
            .collect()
    }

    fn standing(&self, job: &JobRecord, task: &str, party: &Party) -> Result<Standing> {
        let record = self.attempts(&job.job, &party.role, task)?.pop();
        let begun = self.task_folder(&job.job, &party.role, task)?.is_dir();
        let status = match (&record, begun) {
            (Some(record), _) => record.status,
            (None, true) => job.status,
            (None, false) if job.status == Status::Running => Status::Waiting,
            (None, false) => Status::NotStarted,
        };
        Ok(Standing { task: task.to_owned(), party: party.clone(), status, record })
    }

    /// Keeps the state from which another attempt can continue, in place of an earlier one. Durable when it
    /// returns.
    pub fn write_checkpoint(&self, job: &JobId, role: &Role, task: &str, state: &[u8]) -> Result<()> {
        write(&self.task_folder(job, role, task)?.join(CHECKPOINT), state)
    }

    /// The state that an earlier attempt handed over.
    pub fn checkpoint(&self, job: &JobId, role: &Role, task: &str) -> Result<Option<Bytes>> {
        let file = self.task_folder(job, role, task)?.join(CHECKPOINT);
        match read(&file, || format!("checkpoint of task {task} of {role} in job {job}")) {
            Ok(state) => Ok(Some(state.into())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes the state of a task that has succeeded.
    pub fn remove_checkpoint(&self, job: &JobId, role: &Role, task: &str) -> Result<()> {
        remove(&self.task_folder(job, role, task)?.join(CHECKPOINT))
    }
}

const CHECKPOINT: &str = "checkpoint";

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(number: u32, error: Option<&str>) -> TaskRecord {
        TaskRecord {
            task: "t".into(),
            component: "c".into(),
            party: Party::new("guest", "1").unwrap(),
            attempt: number,
            status: error.map_or(Status::Success, |_| Status::Failed),
            started_ms: 1,
            ended_ms: 2,
            rows: 0,
            actions: 0,
            traffic: Traffic::default(),
            error: error.map(Into::into),
        }
    }

    #[test]
    fn every_attempt_keeps_its_record() {
        let home = tempfile::tempdir().unwrap();
        let (records, job) = (Records::new(home.path()), JobId::new("a").unwrap());
        let missing = records.task(&job, &Role::guest(), "t").unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        for number in 0..=10 {
            let error = format!("reason {number}");
            records.write_task(&job, &attempt(number, (number < 10).then_some(&error))).unwrap();
        }
        let attempts = records.attempts(&job, &Role::guest(), "t").unwrap();
        assert_eq!(attempts.iter().map(|a| a.attempt).collect::<Vec<_>>(), (0..=10).collect::<Vec<_>>());
        assert_eq!(attempts[3].error.as_deref(), Some("reason 3"));
        assert_eq!(records.task(&job, &Role::guest(), "t").unwrap().status, Status::Success);
    }

    #[test]
    fn a_checkpoint_is_the_last_one_written_until_it_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let (records, job) = (Records::new(home.path()), JobId::new("a").unwrap());
        let read = || records.checkpoint(&job, &Role::guest(), "t").unwrap();
        assert_eq!(read(), None);
        for state in [&b"first"[..], b"second"] {
            records.write_checkpoint(&job, &Role::guest(), "t", state).unwrap();
        }
        assert_eq!(read().as_deref(), Some(&b"second"[..]));
        for _ in 0..2 {
            records.remove_checkpoint(&job, &Role::guest(), "t").unwrap();
        }
        assert_eq!(read(), None);
    }
}
