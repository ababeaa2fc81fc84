//! Who gets a core next: a session never works on more executors, or on more cores of one, than it was placed on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::{AvailableVcores, job_status, task_status};
use ballista_core::serde::scheduler::TaskKey;
use ballista_scheduler::cluster::{BoundTask, DistributionPolicy};
use ballista_scheduler::state::execution_graph::{TaskDescription, create_task_info};
use ballista_scheduler::state::execution_stage::{ExecutionStage, RunningStage};
use ballista_scheduler::state::task_manager::JobInfoCache;

use crate::placement::Executors;

/// The scheduler knows a job by its name, which is therefore where a session and its share of the cluster travel. (Its own
/// idea of a session is another one for each job.)
pub(crate) fn job_name(session: &str, action: u64, share: Executors) -> String {
    format!("{session} action {action} on {}x{}", share.count, share.cores)
}

fn share_of(job_name: &str) -> Option<(&str, Executors)> {
    let (session, rest) = job_name.split_once(" action ")?;
    let (count, cores) = rest.split_once(" on ")?.1.split_once('x')?;
    Some((session, Executors { count: count.parse().ok()?, cores: cores.parse().ok()? }))
}

/// Cores at work for one session, by executor.
#[derive(Debug, Default)]
struct AtWork(BTreeMap<String, u32>);

impl AtWork {
    /// How many more cores of an executor the session may have.
    fn room(&self, share: Executors, executor: &str) -> u32 {
        match self.0.get(executor) {
            Some(cores) => share.cores.saturating_sub(*cores),
            None if self.0.len() < share.count as usize => share.cores,
            None => 0,
        }
    }

    fn add(&mut self, executor: &str) {
        *self.0.entry(executor.to_owned()).or_default() += 1;
    }
}

/// See the module. Jobs are served in the order in which they came; a job without a share of ours gets nothing.
#[derive(Debug, Default)]
pub(crate) struct Policy;

#[async_trait]
impl DistributionPolicy for Policy {
    async fn bind_tasks(
        &self,
        mut budgets: Vec<&mut AvailableVcores>,
        running_jobs: Arc<HashMap<JobId, JobInfoCache>>,
    ) -> datafusion::error::Result<Vec<BoundTask>> {
        let mut at_work: HashMap<String, AtWork> = HashMap::new();
        let mut jobs: Vec<(u64, &JobId, &JobInfoCache)> = Vec::new();
        for (id, job) in running_jobs.iter() {
            let graph = job.execution_graph.read().await;
            let Some((session, _)) = share_of(graph.job_name()) else { continue };
            count(at_work.entry(session.to_owned()).or_default(), graph.stages());
            if matches!(job.status, Some(job_status::Status::Running(_))) {
                jobs.push((graph.start_time(), id, job));
            }
        }
        jobs.sort_by_key(|(start, id, _)| (*start, id.as_str()));
        let mut bound = Vec::new();
        for (_, id, job) in jobs {
            let mut graph = job.execution_graph.write().await;
            let (name, session) = (graph.job_name().to_owned(), graph.session_id().to_owned());
            let Some((session_name, share)) = share_of(&name) else { continue };
            let at_work = at_work.entry(session_name.to_owned()).or_default();
            let mut full = Vec::new();
            while let Some(stage) = graph.fetch_running_stage(&full) {
                full.push(stage.stage_id);
                while let Some(budget) = choose(&mut budgets, at_work, share) {
                    let Some(task) = bind(stage, &session, id, &budget.executor_id) else { break };
                    budget.vcores -= 1;
                    at_work.add(&budget.executor_id);
                    bound.push((budget.executor_id.clone(), task));
                }
            }
        }
        Ok(bound)
    }

    fn name(&self) -> &str {
        "a share of executors and cores for each session"
    }
}

fn count(at_work: &mut AtWork, stages: &HashMap<usize, ExecutionStage>) {
    for stage in stages.values() {
        let ExecutionStage::Running(stage) = stage else { continue };
        for task in &stage.task_infos {
            if let task_status::Status::Running(running) = &task.task_status {
                at_work.add(&running.executor_id);
            }
        }
    }
}

/// The executor with the most free cores among those where the session may have one more, so that work spreads.
fn choose<'a>(
    budgets: &'a mut [&mut AvailableVcores],
    at_work: &AtWork,
    share: Executors,
) -> Option<&'a mut AvailableVcores> {
    let fits = |budget: &&mut &mut AvailableVcores| {
        budget.vcores > 0 && at_work.room(share, &budget.executor_id) > 0
    };
    let most = budgets.iter_mut().filter(fits).max_by_key(|budget| budget.vcores)?;
    Some(&mut **most)
}

/// One partition of a stage, as a task for an executor.
fn bind(stage: &mut RunningStage, session: &str, job: &JobId, executor: &str) -> Option<TaskDescription> {
    let partitions = stage.pending.next_slice(1);
    let partition = *partitions.first()?;
    let task_id = stage.task_infos.len();
    let mut info = create_task_info(executor.to_owned(), task_id);
    info.global_input_partition_ids = partitions.clone();
    info.vcores_consumed = 1;
    stage.task_infos.push(info);
    Some(TaskDescription {
        session_id: session.to_owned(),
        key: TaskKey { job_id: job.clone(), stage_id: stage.stage_id, task_id },
        stage_attempt_num: stage.stage_attempt_num,
        task_attempt: stage.task_failure_numbers.get(partition).copied().unwrap_or(0),
        global_input_partition_ids: partitions,
        vcores_consumed: 1,
        plan: stage.plan.clone(),
        session_config: stage.session_config.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_travels_in_the_name_of_a_job() {
        let share = Executors { count: 3, cores: 2 };
        let session = "job-1.psi_0.0-0123456789abcdef";
        assert_eq!(share_of(&job_name(session, 7, share)), Some((session, share)));
        for other in ["", "a job", "x on 3x2", "x action 1 on 3", "x action 1 on 3x", "x action 1 on ax2"] {
            assert_eq!(share_of(other), None);
        }
    }

    #[test]
    fn a_session_gets_no_more_than_its_share() {
        let share = Executors { count: 2, cores: 2 };
        let mut free = [("a", 4), ("b", 3), ("c", 9)]
            .map(|(id, vcores)| AvailableVcores { executor_id: id.into(), vcores });
        let mut at_work = AtWork::default();
        at_work.add("a");
        let mut given = Vec::new();
        loop {
            let mut budgets: Vec<&mut AvailableVcores> = free.iter_mut().collect();
            let Some(budget) = choose(&mut budgets, &at_work, share) else { break };
            budget.vcores -= 1;
            at_work.add(&budget.executor_id);
            given.push(budget.executor_id.clone());
        }
        given.sort();
        assert_eq!(given, ["a", "c", "c"], "one more of a, and two of one other executor");
    }
}
