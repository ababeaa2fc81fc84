//! What a partner asks of this party by offering a job: facts that the receiver of an offer finds out, and nothing of how.

use std::collections::BTreeSet;
use std::time::Duration;

use tributary_core::{Party, Role, TableName};

/// A job, as far as grants are about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Who offers the job, as its card says, and what it is in the job.
    pub initiator: Party,
    /// Who else takes part, this party aside; the initiator may be among them.
    pub others: Vec<Party>,
    /// The tasks in which this party takes part.
    pub tasks: Vec<TaskAsked>,
    /// The tables of this party that the job uses and does not make itself.
    pub tables: Vec<TableAsked>,
    /// Names of the models of this party that the job uses and does not train itself, versions aside.
    pub models: BTreeSet<String>,
    /// Cores of this site at the same time, as the job would be placed.
    pub cores: u32,
    /// When, as time since 1970.
    pub at: Duration,
}

/// A task of this party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskAsked {
    /// Its name in the job.
    pub name: String,
    /// What is computed.
    pub component: String,
    /// Which of its stages.
    pub stage: String,
    /// What this party is in it.
    pub role: Role,
}

/// A table of this party.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableAsked {
    /// Its name.
    pub table: TableName,
    /// How many rows it has; `None` where that is not known, and then no grant with a limit of rows covers it.
    pub rows: Option<u64>,
}

impl Request {
    /// Of a job that asks nothing yet.
    pub fn new(initiator: Party, at: Duration) -> Self {
        let (others, tasks, tables, models) = (Vec::new(), Vec::new(), Vec::new(), BTreeSet::new());
        Self { initiator, others, tasks, tables, models, cores: 0, at }
    }

    /// Adds a task.
    pub fn add_task(&mut self, name: &str, component: &str, stage: &str, role: Role) {
        let [name, component, stage] = [name, component, stage].map(str::to_owned);
        self.tasks.push(TaskAsked { name, component, stage, role });
    }

    /// Adds a table.
    pub fn add_table(&mut self, table: TableName, rows: Option<u64>) {
        self.tables.push(TableAsked { table, rows });
    }

    /// Every other party, once.
    pub(crate) fn partners(&self) -> BTreeSet<&Party> {
        self.others.iter().chain([&self.initiator]).collect()
    }
}
