//! What FATE 1 calls job parameters, as far as they concern cores: taken in `dag.conf` under their own names.
//!
//! A job that says one of them is counted by FATE 1's rules, as it was when it was a runtime conf; a job cannot be
//! counted by the rules of both. `task_parallelism` alone changes nothing: FATE 2's own client writes it into DAGs, and
//! its server does not look at it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tributary_document::{Item, Keys};

use super::conf::{MOST, free_map};

/// Cores as FATE 1 asks for them, for every party and task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RuntimeConf {
    /// Cores of a task.
    pub task_cores: Option<u32>,
    /// Tasks of the job at the same time.
    pub task_parallelism: Option<u32>,
    /// `eggroll_run` and `spark_run` together; each engine knows its own.
    pub options: Map<String, Value>,
}

impl RuntimeConf {
    /// None if the job says nothing in this way; `cores` is what it says in the other.
    pub(super) fn read(keys: &mut Keys<'_>, cores: &Item<'_>, notes: &mut Vec<String>) -> Option<Self> {
        let [task_cores, eggroll_run, spark_run, task_parallelism] =
            ["task_cores", "eggroll_run", "spark_run", "task_parallelism"].map(|name| keys.take(name));
        if ![&task_cores, &eggroll_run, &spark_run].iter().any(|item| item.is_given()) {
            if task_parallelism.is_given() {
                let without = "without task_cores, eggroll_run or spark_run";
                notes.push(format!("dag.conf.task_parallelism has no effect {without}"));
            }
            return None;
        }
        if cores.is_given() {
            cores.problem(
                "counts cores by the rules of FATE 2, and task_cores, eggroll_run and spark_run by those of FATE 1; say \
                 cores and task.engine_run, or task_cores and task_parallelism",
            );
        }
        Some(Self {
            task_cores: task_cores.int_in(1..=MOST),
            task_parallelism: task_parallelism.int_in(1..=MOST),
            options: [eggroll_run, spark_run].iter().filter_map(free_map).flatten().collect(),
        })
    }
}
