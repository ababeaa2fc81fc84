//! Cores: what a job asks for, and what it becomes on one engine.
//!
//! Two front doors (the DAG's `cores` and `engine_run`, the older `task_cores`, `eggroll_run` and `spark_run`) fill one
//! [`CoreRequest`]; each engine's arithmetic from there to a [`Placement`] is a pure function in the engine's own crate.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::Role;

/// What a job asks for one task of one party. All optional: an engine knows its defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreRequest {
    /// The party's role; an arbiter's work is small and gets one core.
    pub role: Option<Role>,
    /// Cores of the whole job at this party (`conf.cores`).
    pub job_cores: Option<u64>,
    /// Cores of one task (`task_cores` of the older conf, `engine_run.cores` of the DAG).
    pub task_cores: Option<u64>,
    /// Tasks of the job that may run at once (`task_parallelism`).
    pub task_parallelism: Option<u64>,
    /// Partitions of tables (`computing_partitions`).
    pub partitions: Option<u64>,
    /// The engine's own options, by their own names (`engine_run`, `eggroll_run`, `spark_run`).
    pub options: BTreeMap<String, String>,
    /// Cores the site has for this engine.
    pub site_cores: Option<u64>,
}

/// What one task gets on one engine. The engine enforces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Partitions of tables made without another wish.
    pub partitions: u32,
    /// Threads, or executors × cores, that really work for the task.
    pub cores: u32,
    /// Cores taken from the job's share while the task runs. 0 for an arbiter.
    pub task_booked: u32,
    /// Cores booked for the whole job at this party. 0 for an arbiter.
    pub job_booked: u32,
    /// Settings of the engine's executors, by the engine's own names.
    pub settings: BTreeMap<String, String>,
    /// How the numbers came about, a line each, for `explain`.
    pub reasons: Vec<String>,
}

impl Placement {
    /// Tasks of the job that fit beside each other.
    pub fn parallelism(&self) -> u32 {
        self.job_booked.checked_div(self.task_booked).map_or(u32::MAX, |n| n.max(1))
    }
}
