//! What happens in a job, for whoever watches: bars, lines, JSON, later the board.

use std::fmt;
use std::time::Duration;

use serde::Serialize;
use tributary_core::placement::Placement;
use tributary_core::{ErrorKind, JobId, Party};

use crate::scheduler::Outcome;

/// Takes events as they happen. Must not block.
pub type Watcher = std::sync::Arc<dyn Fn(&Event) + Send + Sync>;

/// One thing that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The job begins.
    JobStarted {
        /// Its id.
        job: JobId,
        /// Its tasks in order, each with its component and parties.
        tasks: Vec<(String, String, Vec<Party>)>,
        /// What the job says and has no effect on a party's engine.
        notes: Vec<String>,
    },
    /// A task cannot start yet.
    TaskWaiting {
        /// Which task.
        task: String,
        /// Why.
        reason: String,
    },
    /// One party begins an attempt at a task.
    TaskStarted {
        /// Which task.
        task: String,
        /// Who.
        party: Party,
        /// From 0.
        attempt: u32,
        /// The cores and partitions it got.
        placement: Placement,
    },
    /// A running task says where it is.
    TaskNote {
        /// Which task.
        task: String,
        /// Who.
        party: Party,
        /// Where it is.
        text: String,
    },
    /// One party's attempt ended.
    TaskEnded(TaskReport),
    /// A failed task is tried again.
    TaskRetried {
        /// Which task.
        task: String,
        /// The attempt to come, from 0.
        attempt: u32,
        /// Why the last one failed.
        error: String,
    },
    /// The job is over.
    JobEnded(Report),
}

/// How one party's attempt at a task went.
#[derive(Debug, Clone, Serialize)]
pub struct TaskReport {
    /// Which task.
    pub task: String,
    /// Its component.
    pub component: String,
    /// Who.
    pub party: Party,
    /// From 0.
    pub attempt: u32,
    /// `success`, `failed` or `canceled`.
    pub status: &'static str,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Rows of its output tables.
    pub rows: u64,
    /// Jobs that its computing engine ran for it: tables taken in, plans run.
    pub actions: u64,
    /// Bytes it sent to other parties.
    pub bytes_sent: u64,
    /// Bytes it got from other parties.
    pub bytes_received: u64,
    /// Network round trips.
    pub rounds: u64,
    /// Output keys of the models it registered.
    pub models: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// How a job went.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Its id.
    pub job: JobId,
    /// How it ended.
    #[serde(serialize_with = "outcome")]
    pub outcome: Outcome,
    /// Models are registered under this id.
    pub model_id: String,
    /// And this version.
    pub model_version: String,
    /// How long it took.
    #[serde(serialize_with = "seconds")]
    pub elapsed: Duration,
    /// Every attempt of every party, in the order they ended.
    pub tasks: Vec<TaskReport>,
    /// What failed first: task, party, cause and where its log is.
    pub failure: Option<Failure>,
}

/// The failure that ended a job.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// Which task.
    pub task: String,
    /// Who failed first; nobody if the task could not even start.
    pub party: Option<Party>,
    /// Why, down to the last reason.
    pub cause: String,
    /// What kind of failure.
    #[serde(skip)]
    pub kind: ErrorKind,
    /// Path of the task's log.
    pub log: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.party {
            Some(party) => write!(f, "task {} of {party}: {}", self.task, self.cause),
            None => write!(f, "task {}: {}", self.task, self.cause),
        }
    }
}

fn seconds<S: serde::Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.as_secs_f64())
}

fn outcome<S: serde::Serializer>(outcome: &Outcome, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(outcome.as_str())
}
