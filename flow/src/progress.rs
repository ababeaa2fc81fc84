//! Reports the progress of one party's attempt at a task: to its log, to those who watch the job, to its records.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use tributary_component::{Level, Metric, Progress};
use tributary_core::{JobId, Party, Result};

use crate::event::{Event, Watcher};
use crate::log::TaskLog;
use crate::record::Records;

/// See the module.
pub(crate) struct TaskProgress {
    pub job: JobId,
    pub task: String,
    pub party: Party,
    pub records: Records,
    pub log: TaskLog,
    pub watcher: Watcher,
    pub metrics: Mutex<Vec<Metric>>,
}

impl TaskProgress {
    /// The metrics that the task has reported so far.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Progress for TaskProgress {
    fn line(&self, level: Level, text: &str) {
        self.log.line(level, text);
        let (task, party) = (self.task.clone(), self.party.clone());
        (self.watcher)(&Event::TaskNote { task, party, level, text: text.into() });
    }

    fn metric(&self, metric: Metric) {
        let (task, party) = (self.task.clone(), self.party.clone());
        (self.watcher)(&Event::TaskMetric { task, party, metric: metric.clone() });
        metric.add_to(&mut self.metrics.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn checkpoint(&self, state: &[u8]) -> Result<()> {
        self.records.write_checkpoint(&self.job, &self.party.role, &self.task, state)
    }
}

impl fmt::Debug for TaskProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "progress of {} at {}", self.task, self.party)
    }
}
