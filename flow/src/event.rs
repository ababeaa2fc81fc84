//! What happens in a job, for those who watch it: bars, lines, JSON, later the board.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tributary_component::{Level, Metric};
use tributary_core::placement::Placement;
use tributary_core::{ErrorKind, JobId, Party, PartyId};

use crate::agent::Part;
use crate::scheduler::Outcome;
use crate::spec::ModelRef;
use crate::status::Status;

/// Takes events as they happen. Must not block.
pub type Watcher = std::sync::Arc<dyn Fn(&Event) + Send + Sync>;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The job begins.
    JobStarted {
        /// Its id.
        job: JobId,
        /// Its tasks in order, each with its component and parties.
        tasks: Vec<(String, String, Vec<Party>)>,
        /// What the job says that has no effect on a party's engine.
        notes: Vec<String>,
    },
    /// The job cannot begin yet.
    JobWaiting {
        /// Why.
        reason: String,
    },
    /// A party's site is waited for, and has not been heard of.
    PartyMissing {
        /// Whose site.
        party: PartyId,
        /// For how long.
        seconds: u64,
    },
    /// The operator of another site ends the job.
    Stopped {
        /// Whose site.
        party: PartyId,
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
        /// Which party.
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
        /// Which party.
        party: Party,
        /// How much it matters.
        level: Level,
        /// Where it is.
        text: String,
    },
    /// A running task reports a metric.
    TaskMetric {
        /// Which task.
        task: String,
        /// Which party.
        party: Party,
        /// What it measured.
        metric: Metric,
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
    JobEnded(JobReport),
}

/// How one party's attempt at a task went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// Which task.
    pub task: String,
    /// Its component.
    pub component: String,
    /// Which party.
    pub party: Party,
    /// From 0.
    pub attempt: u32,
    /// How it ended.
    pub status: Status,
    /// How long it took.
    #[serde(with = "seconds")]
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
    /// What other sites may learn of that.
    #[serde(skip)]
    pub told: Option<String>,
}

impl TaskReport {
    /// A part that has just ended well, with nothing to show yet.
    pub(crate) fn of(part: &Part, component: &str, elapsed: Duration) -> Self {
        Self {
            task: part.task.clone(),
            component: component.to_owned(),
            party: part.party.clone(),
            attempt: part.attempt,
            status: Status::Success,
            elapsed,
            rows: 0,
            actions: 0,
            bytes_sent: 0,
            bytes_received: 0,
            rounds: 0,
            models: Vec::new(),
            error: None,
            told: None,
        }
    }
}

/// How a job went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobReport {
    /// Its id.
    pub job: JobId,
    /// How it ended.
    pub outcome: Outcome,
    /// Models are registered under this name.
    #[serde(flatten)]
    pub model: ModelRef,
    /// How long it took.
    #[serde(with = "seconds")]
    pub elapsed: Duration,
    /// Every attempt of every party, in the order they ended.
    pub tasks: Vec<TaskReport>,
    /// What failed first: task, party, cause and where its log is.
    pub failure: Option<Failure>,
}

/// The failure that ended a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Which task; empty if the job could not begin, or its coordinator was not heard of.
    pub task: String,
    /// The party that failed first; none if the task could not even start.
    pub party: Option<Party>,
    /// Why, down to the last reason.
    pub cause: String,
    /// What kind of failure.
    pub kind: ErrorKind,
    /// Path of the task's log.
    pub log: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.party {
            Some(party) => write!(f, "task {} of {party}: {}", self.task, self.cause),
            None if self.task.is_empty() => f.write_str(&self.cause),
            None => write!(f, "task {}: {}", self.task, self.cause),
        }
    }
}

/// A duration as seconds.
mod seconds {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::try_from_secs_f64(f64::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use tributary_core::placement::Placement;

    use super::*;

    fn task(error: Option<&str>) -> TaskReport {
        TaskReport {
            task: "psi_0".into(),
            component: "psi".into(),
            party: Party::new("host", "10000").unwrap(),
            attempt: 1,
            status: error.map_or(Status::Success, |_| Status::Failed),
            elapsed: Duration::from_millis(1250),
            rows: 7,
            actions: 3,
            bytes_sent: 1,
            bytes_received: 2,
            rounds: 4,
            models: vec!["output_model".into()],
            error: error.map(Into::into),
            told: None,
        }
    }

    fn every_event() -> Vec<Event> {
        let (name, party) = ("psi_0".to_owned(), Party::new("host", "10000").unwrap());
        let job = JobId::new("j").unwrap();
        let failure = Failure {
            task: name.clone(),
            party: Some(party.clone()),
            cause: "no".into(),
            kind: ErrorKind::NotFound,
            log: "/log".into(),
        };
        let report = |outcome, failure| JobReport {
            job: job.clone(),
            outcome,
            model: ModelRef::new("m", "0"),
            elapsed: Duration::from_secs(2),
            tasks: vec![task(None), task(Some("no"))],
            failure,
        };
        let tasks = vec![(name.clone(), "psi".into(), vec![party.clone()])];
        let (started, waits) = (party.clone(), "waits for cores".to_owned());
        let placement = Placement {
            partitions: 4,
            cores: 2,
            task_booked: 2,
            job_booked: 4,
            settings: [("a".to_owned(), "b".to_owned())].into(),
            reasons: vec!["why".into()],
            notes: vec!["what".into()],
        };
        vec![
            Event::JobStarted { job: job.clone(), tasks, notes: vec!["note".into()] },
            Event::JobWaiting { reason: waits.clone() },
            Event::PartyMissing { party: party.id.clone(), seconds: 30 },
            Event::Stopped { party: party.id.clone() },
            Event::TaskWaiting { task: name.clone(), reason: waits },
            Event::TaskStarted { task: name.clone(), party: started, attempt: 0, placement },
            Event::TaskNote {
                task: name.clone(),
                party: party.clone(),
                level: Level::Info,
                text: "half".into(),
            },
            Event::TaskMetric { task: name.clone(), party, metric: Metric::step("loss", "trees", 1, 0.1, 5) },
            Event::TaskEnded(task(None)),
            Event::TaskRetried { task: name, attempt: 1, error: "no".into() },
            Event::JobEnded(report(Outcome::Failed, Some(failure))),
            Event::JobEnded(report(Outcome::Cancelled, None)),
        ]
    }

    #[test]
    fn every_event_is_read_back_as_it_was_written() {
        for event in every_event() {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event, "{text}");
        }
    }
}
