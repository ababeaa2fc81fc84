//! Cores: what a job asks for, and what it becomes on one engine.
//!
//! Two front doors (the DAG's `cores` and `engine_run`; the older `task_cores`, `eggroll_run` and `spark_run`) fill one
//! [`CoreRequest`]; each engine's arithmetic from there to a [`Placement`] is a pure function in the engine's own crate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Role;

/// What a job asks for one task of one party. All optional: an engine knows its defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreRequest {
    /// The party's role; an arbiter's work is small and gets one core.
    pub role: Option<Role>,
    /// What the job says of cores.
    pub wish: Wish,
    /// Partitions of tables (`computing_partitions`).
    pub partitions: Option<u64>,
    /// The engines' own options, by their own names (`engine_run`; `eggroll_run` and `spark_run` together). All parties
    /// of a job may share them, so some may be meant for another engine.
    pub options: BTreeMap<String, String>,
    /// Cores the site has for this engine.
    pub site_cores: Option<u64>,
}

/// What a job says of cores, in one of the two ways that job files have. The ways differ in more than names: each has
/// its own rules for the cores of a whole job and for those of an arbiter, so an engine must know which one is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// The DAG of FATE 2, where a task's wishes are options.
    Dag {
        /// Cores of the whole job at this party (`conf.cores`).
        job_cores: Option<u64>,
    },
    /// The runtime conf of FATE 1.
    RuntimeConf {
        /// Cores of one task (`task_cores`).
        task_cores: Option<u64>,
        /// Tasks of the job that may run at once (`task_parallelism`).
        task_parallelism: Option<u64>,
    },
}

/// What one task gets on one engine. The engine enforces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Partitions of tables made without another wish.
    pub partitions: u32,
    /// Threads, or executors × cores, that really work for the task.
    pub cores: u32,
    /// Cores taken from the job's share while the task runs: `cores`, or 0 for an arbiter that books nothing.
    pub task_booked: u32,
    /// Cores booked for the whole job at this party. Not less than `task_booked`.
    pub job_booked: u32,
    /// Settings of the engine's executors, by the engine's own names.
    pub settings: BTreeMap<String, String>,
    /// How the numbers came about, a line each, for `explain`.
    pub reasons: Vec<String>,
    /// What the job says and has no effect here, a line each, for the one who runs the job.
    #[serde(default)]
    pub notes: Vec<String>,
}

impl CoreRequest {
    /// For one task of so many cores at a time.
    pub fn of_task_cores(cores: u64) -> Self {
        let wish = Wish::RuntimeConf { task_cores: Some(cores), task_parallelism: None };
        Self { wish, ..Self::default() }
    }

    /// Whether it is an arbiter that asks.
    pub fn is_arbiter(&self) -> bool {
        self.role.as_ref().is_some_and(|role| role.as_str() == "arbiter")
    }
}

impl Default for Wish {
    fn default() -> Self {
        Self::Dag { job_cores: None }
    }
}

impl Placement {
    /// Tasks of the job that can run at the same time.
    pub fn parallelism(&self) -> u32 {
        self.job_booked.checked_div(self.task_booked).map_or(u32::MAX, |n| n.max(1))
    }
}
