//! Which task runs when: a state machine that takes changes and returns actions. It starts nothing itself, knows no time
//! and no engine, and so is tested by feeding it changes.
//!
//! A task starts once everything it needs has ended well and every one of its parties has the cores it books. Ready tasks
//! are tried in the order of the job; one that does not fit waits without holding up those behind it. The first failure
//! that no retry repairs cancels what still runs and ends the job.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use tributary_core::Party;

use crate::status::Status;

/// What the scheduler needs to know about a task.
#[derive(Debug, Clone)]
pub struct TaskNode {
    /// Name in the job.
    pub name: String,
    /// Indices of the tasks that must end well before.
    pub needs: BTreeSet<usize>,
    /// Cores booked at each party while it runs.
    pub cores: BTreeMap<Party, u32>,
    /// How often it may be tried again after a failure.
    pub retries: u32,
}

/// The state of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// Not yet; for this reason.
    Waiting(Reason),
    /// This attempt runs.
    Running(u32),
    /// Ended well.
    Done,
    /// Every attempt failed.
    Failed,
    /// Stopped, or never started, because the job ended.
    Cancelled,
}

/// Why a task waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// For these tasks.
    Tasks(Vec<String>),
    /// For cores at a party.
    Cores {
        /// Which party.
        party: Party,
        /// Cores the task books there.
        wanted: u32,
        /// Cores the job has left there.
        free: u32,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tasks(names) => write!(f, "waits for {}", names.join(", ")),
            Self::Cores { party, wanted, free } => {
                write!(f, "waits for {wanted} cores at {party}, {free} of the job's cores are free there")
            }
        }
    }
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The job begins.
    Begin,
    /// A task's attempt ended well at all parties.
    Succeeded(usize),
    /// A task's attempt failed; whether another try could help.
    Failed {
        /// Which task.
        task: usize,
        /// Whether the cause may go away.
        retryable: bool,
    },
    /// A task's attempt was lost with the process of a party: it did not fail, and another one is due.
    Lost(usize),
    /// The job is stopped.
    Cancel,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start this attempt (from 0) of a task at all its parties.
    Start {
        /// Which task.
        task: usize,
        /// Which attempt, from 0.
        attempt: u32,
    },
    /// Stop a running task.
    Stop(usize),
    /// The job is over.
    End(Outcome),
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Every task ended well.
    #[serde(rename = "success")]
    Success,
    /// A task failed.
    #[serde(rename = "failed")]
    Failed,
    /// It was stopped.
    #[serde(rename = "canceled")]
    Cancelled,
}

impl From<Outcome> for Status {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Failed => Self::Failed,
            Outcome::Cancelled => Self::Canceled,
        }
    }
}

/// The state of one job.
#[derive(Debug)]
pub struct Scheduler {
    tasks: Vec<TaskNode>,
    states: Vec<TaskState>,
    /// How often each task has failed.
    failures: Vec<u32>,
    /// The number of each task's next attempt.
    next: Vec<u32>,
    free: BTreeMap<Party, u32>,
    ended: bool,
}

impl Scheduler {
    /// A job not yet begun. `cores`: what the job has at each party. Needs must be acyclic, and each task must fit alone.
    pub fn new(tasks: Vec<TaskNode>, cores: BTreeMap<Party, u32>) -> Self {
        let states = vec![TaskState::Waiting(Reason::Tasks(Vec::new())); tasks.len()];
        let (failures, next) = (vec![0; tasks.len()], vec![0; tasks.len()]);
        Self { tasks, states, failures, next, free: cores, ended: false }
    }

    /// Continues a job that was interrupted: these tasks are done, and those have had attempts up to this one. Before it begins.
    pub fn resume(&mut self, done: &[usize], tried: &[(usize, u32)]) {
        for task in done {
            self.states[*task] = TaskState::Done;
        }
        for (task, last) in tried {
            self.next[*task] = last + 1;
        }
    }

    /// The state of each task.
    pub fn states(&self) -> &[TaskState] {
        &self.states
    }

    /// Takes a change. One of a task that does not run has no effect: it came late.
    pub fn on(&mut self, change: Change) -> Vec<Action> {
        if self.ended {
            return Vec::new();
        }
        match change {
            Change::Begin => self.advance(),
            Change::Cancel => self.end(Outcome::Cancelled),
            Change::Succeeded(task) if self.stop(task, TaskState::Done) => self.advance(),
            Change::Failed { task, retryable } => {
                if !self.stop(task, TaskState::Failed) {
                    return Vec::new();
                }
                self.failures[task] += 1;
                match retryable && self.failures[task] <= self.tasks[task].retries {
                    true => self.start(task),
                    false => self.end(Outcome::Failed),
                }
            }
            Change::Lost(task) if self.stop(task, TaskState::Failed) => self.start(task),
            Change::Lost(_) => Vec::new(),
            Change::Succeeded(_) => Vec::new(),
        }
    }

    /// Ends a task and gives its cores back to the job, if it runs.
    fn stop(&mut self, task: usize, state: TaskState) -> bool {
        let Some(TaskState::Running(_)) = self.states.get(task) else { return false };
        self.states[task] = state;
        for (party, cores) in &self.tasks[task].cores {
            *self.free.entry(party.clone()).or_default() += cores;
        }
        true
    }

    fn start(&mut self, task: usize) -> Vec<Action> {
        let attempt = self.next[task];
        self.next[task] += 1;
        for (party, cores) in &self.tasks[task].cores {
            let free = self.free.entry(party.clone()).or_default();
            *free = free.saturating_sub(*cores);
        }
        self.states[task] = TaskState::Running(attempt);
        vec![Action::Start { task, attempt }]
    }

    fn advance(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for task in 0..self.tasks.len() {
            if !matches!(self.states[task], TaskState::Waiting(_)) {
                continue;
            }
            match self.blocked(task) {
                Some(reason) => self.states[task] = TaskState::Waiting(reason),
                None => actions.extend(self.start(task)),
            }
        }
        if self.states.iter().all(|s| *s == TaskState::Done) {
            self.ended = true;
            actions.push(Action::End(Outcome::Success));
        }
        actions
    }

    fn blocked(&self, task: usize) -> Option<Reason> {
        let node = &self.tasks[task];
        let open = node.needs.iter().filter(|need| self.states[**need] != TaskState::Done);
        let open: Vec<String> = open.map(|need| self.tasks[*need].name.clone()).collect();
        if !open.is_empty() {
            return Some(Reason::Tasks(open));
        }
        node.cores.iter().find_map(|(party, wanted)| {
            let free = self.free.get(party).copied().unwrap_or(0);
            (free < *wanted).then(|| Reason::Cores { party: party.clone(), wanted: *wanted, free })
        })
    }

    fn end(&mut self, outcome: Outcome) -> Vec<Action> {
        self.ended = true;
        let mut actions = Vec::new();
        for (task, state) in self.states.iter_mut().enumerate() {
            if matches!(state, TaskState::Running(_)) {
                actions.push(Action::Stop(task));
            }
            if matches!(state, TaskState::Running(_) | TaskState::Waiting(_)) {
                *state = TaskState::Cancelled;
            }
        }
        actions.push(Action::End(outcome));
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest() -> Party {
        Party::new("guest", "9999").unwrap()
    }

    fn node(name: &str, needs: &[usize], cores: u32, retries: u32) -> TaskNode {
        let cores = BTreeMap::from([(guest(), cores)]);
        TaskNode { name: name.into(), needs: needs.iter().copied().collect(), cores, retries }
    }

    fn scheduler(tasks: Vec<TaskNode>, cores: u32) -> Scheduler {
        Scheduler::new(tasks, BTreeMap::from([(guest(), cores)]))
    }

    fn start(task: usize, attempt: u32) -> Action {
        Action::Start { task, attempt }
    }

    #[test]
    fn a_diamond_runs_its_middle_side_by_side() {
        let tasks = vec![
            node("a", &[], 2, 0),
            node("b", &[0], 2, 0),
            node("c", &[0], 2, 0),
            node("d", &[1, 2], 2, 0),
        ];
        let mut job = scheduler(tasks, 4);
        assert_eq!(job.on(Change::Begin), [start(0, 0)]);
        assert_eq!(job.states()[3], TaskState::Waiting(Reason::Tasks(vec!["b".into(), "c".into()])));
        assert_eq!(job.on(Change::Succeeded(0)), [start(1, 0), start(2, 0)]);
        assert_eq!(job.on(Change::Succeeded(2)), []);
        assert_eq!(job.on(Change::Succeeded(1)), [start(3, 0)]);
        assert_eq!(job.on(Change::Succeeded(3)), [Action::End(Outcome::Success)]);
    }

    #[test]
    fn a_task_waits_for_cores_and_says_so_while_a_smaller_one_passes() {
        let tasks = vec![node("a", &[], 3, 0), node("b", &[], 3, 0), node("c", &[], 1, 0)];
        let mut job = scheduler(tasks, 4);
        assert_eq!(job.on(Change::Begin), [start(0, 0), start(2, 0)]);
        let TaskState::Waiting(reason) = &job.states()[1] else { panic!("b runs") };
        assert_eq!(
            reason.to_string(),
            "waits for 3 cores at guest_9999, 1 of the job's cores are free there"
        );
        assert_eq!(job.on(Change::Succeeded(0)), [start(1, 0)]);
    }

    #[test]
    fn a_failure_is_tried_again_as_often_as_allowed_and_then_ends_the_job() {
        let failed = Change::Failed { task: 0, retryable: true };
        let mut job = scheduler(vec![node("a", &[], 1, 1), node("b", &[], 1, 0), node("c", &[0], 1, 0)], 4);
        job.on(Change::Begin);
        assert_eq!(job.on(failed), [start(0, 1)]);
        assert_eq!(job.on(failed), [Action::Stop(1), Action::End(Outcome::Failed)]);
        assert_eq!(job.states(), [TaskState::Failed, TaskState::Cancelled, TaskState::Cancelled]);
        assert_eq!(job.on(Change::Succeeded(1)), [], "what comes late changes nothing");
    }

    #[test]
    fn an_attempt_that_is_lost_is_repeated_and_is_no_failure() {
        let mut job = scheduler(vec![node("a", &[], 1, 1), node("b", &[0], 1, 0)], 1);
        job.on(Change::Begin);
        for attempt in 1..=3 {
            assert_eq!(job.on(Change::Lost(0)), [start(0, attempt)]);
        }
        assert_eq!(job.on(Change::Failed { task: 0, retryable: true }), [start(0, 4)]);
        assert_eq!(job.on(Change::Failed { task: 0, retryable: true }), [Action::End(Outcome::Failed)]);
    }

    #[test]
    fn a_job_that_was_interrupted_continues_after_its_last_settled_task() {
        let mut job = scheduler(vec![node("a", &[], 1, 0), node("b", &[0], 1, 0)], 1);
        job.resume(&[0], &[(0, 2), (1, 4)]);
        assert_eq!(job.on(Change::Begin), [start(1, 5)]);
        assert_eq!(job.on(Change::Succeeded(1)), [Action::End(Outcome::Success)]);
        let mut done = scheduler(vec![node("a", &[], 1, 0)], 1);
        done.resume(&[0], &[(0, 0)]);
        assert_eq!(done.on(Change::Begin), [Action::End(Outcome::Success)]);
    }

    #[test]
    fn a_failure_that_cannot_go_away_is_not_tried_again() {
        let mut job = scheduler(vec![node("a", &[], 1, 5)], 1);
        job.on(Change::Begin);
        assert_eq!(job.on(Change::Failed { task: 0, retryable: false }), [Action::End(Outcome::Failed)]);
    }

    #[test]
    fn cores_are_given_back_with_every_end() {
        let mut job = scheduler(vec![node("a", &[], 2, 3), node("b", &[0], 2, 0)], 2);
        job.on(Change::Begin);
        for attempt in 1..=3 {
            assert_eq!(job.on(Change::Failed { task: 0, retryable: true }), [start(0, attempt)]);
        }
        assert_eq!(job.on(Change::Succeeded(0)), [start(1, 0)]);
        assert_eq!(job.on(Change::Cancel), [Action::Stop(1), Action::End(Outcome::Cancelled)]);
    }
}
