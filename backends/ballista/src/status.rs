//! What a cluster is doing: executors, cores, jobs, stages, rows. Asked of the scheduler, over the same mutual TLS as all else.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use ballista_core::serde::protobuf::{job_status, task_status};
use ballista_scheduler::scheduler_server::SchedulerServer;
use ballista_scheduler::state::execution_stage::ExecutionStage;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tower_service::Service;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_system::clock::since_1970;

use crate::keys::{Identity, Keys};

const PATH: &str = "/tributary/status";

/// A moment in a cluster's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// What scheduler and executors have in common.
    pub cluster: String,
    /// By id.
    pub executors: Vec<ExecutorStatus>,
    /// Running and waiting ones, in the order in which they came.
    pub jobs: Vec<JobStatus>,
}

/// One executor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutorStatus {
    /// Drawn when it started.
    pub id: String,
    /// Where others reach it.
    pub address: String,
    /// Tasks at once.
    pub cores: u32,
    /// Tasks now.
    pub busy: u32,
    /// Seconds since its last heartbeat.
    pub silent_seconds: u64,
}

/// One cluster job: an action of a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// The scheduler's name for it.
    pub id: String,
    /// Session, action, and the executors × cores that the session was placed on.
    pub name: String,
    /// `queued`, `running`, …
    pub state: String,
    /// Stages done.
    pub stages_done: usize,
    /// Stages in all.
    pub stages: usize,
    /// Tasks at work.
    pub tasks: usize,
    /// Rows that its stages gave so far.
    pub rows: u64,
}

pub(crate) type Server = SchedulerServer<LogicalPlanNode, PhysicalPlanNode>;

pub(crate) fn routes(scheduler: &Server, identity: &Identity) -> Router {
    let (scheduler, identity) = (scheduler.clone(), identity.to_string());
    Router::new().route(
        PATH,
        get(move || async move {
            match status(&scheduler, identity).await {
                Ok(status) => Ok(axum::Json(status)),
                Err(error) => Err((axum::http::StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
            }
        }),
    )
}

async fn status(scheduler: &Server, cluster: String) -> ballista_core::error::Result<Status> {
    let mut busy: BTreeMap<String, u32> = BTreeMap::new();
    let mut jobs = Vec::new();
    for (id, job) in scheduler.state.task_manager.get_running_job_cache().iter() {
        let graph = job.execution_graph.read().await;
        let (mut tasks, mut rows) = (0, 0);
        for stage in graph.stages().values() {
            rows += rows_of(stage);
            let ExecutionStage::Running(stage) = stage else { continue };
            for task in &stage.task_infos {
                if let task_status::Status::Running(running) = &task.task_status {
                    *busy.entry(running.executor_id.clone()).or_default() += 1;
                    tasks += 1;
                }
            }
        }
        jobs.push((
            graph.start_time(),
            JobStatus {
                id: id.to_string(),
                name: graph.job_name().to_owned(),
                state: state(&graph.status().status).to_owned(),
                stages_done: graph.completed_stages(),
                stages: graph.stages().len(),
                tasks,
                rows,
            },
        ));
    }
    jobs.sort_by(|a, b| (a.0, &a.1.id).cmp(&(b.0, &b.1.id)));
    let now = since_1970();
    let mut executors: Vec<ExecutorStatus> = Vec::new();
    for (metadata, heard, _) in scheduler.state.executor_manager.get_executors_state().await? {
        executors.push(ExecutorStatus {
            address: format!("{}:{}", metadata.host, metadata.grpc_port),
            cores: metadata.specification.vcores,
            busy: busy.get(&metadata.id).copied().unwrap_or(0),
            silent_seconds: heard.map_or(Duration::ZERO, |heard| now.saturating_sub(heard)).as_secs(),
            id: metadata.id,
        });
    }
    executors.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(Status { cluster, executors, jobs: jobs.into_iter().map(|(_, job)| job).collect() })
}

fn rows_of(stage: &ExecutionStage) -> u64 {
    let metrics = match stage {
        ExecutionStage::Running(stage) => stage.stage_metrics.as_deref(),
        ExecutionStage::Successful(stage) => Some(stage.stage_metrics.as_slice()),
        _ => None,
    };
    // The first is the node that ends the stage.
    metrics.and_then(|metrics| metrics.first()).and_then(|metrics| metrics.output_rows()).unwrap_or(0) as u64
}

fn state(status: &Option<job_status::Status>) -> &'static str {
    match status {
        Some(job_status::Status::Running(_)) => "running",
        Some(job_status::Status::Successful(_)) => "done",
        Some(job_status::Status::Failed(_)) => "failed",
        _ => "queued",
    }
}

/// Asks the scheduler at `host:port`. `Unavailable` if it is not there, or does not know these keys.
pub async fn fetch(scheduler: &str, keys: &Keys, identity: &Identity) -> Result<Status> {
    let away = || Error::new(ErrorKind::Unavailable, format!("ask the scheduler at {scheduler}"));
    let endpoint = keys.endpoint(scheduler, identity)?;
    let mut channel = endpoint.connect().await.map_err(|e| away().because(e))?;
    let request = http::Request::get(format!("https://{scheduler}{PATH}"))
        .body(tonic::body::Body::empty())
        .map_err(|e| Error::invalid(format!("scheduler address {scheduler:?}")).because(e))?;
    let ready = std::future::poll_fn(|context| channel.poll_ready(context)).await;
    ready.map_err(|e| away().because(e))?;
    let response = channel.call(request).await.map_err(|e| away().because(e))?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|e| away().because(e.to_string()))?.to_bytes();
    if !status.is_success() {
        return Err(away().because(format!("{status}: {}", String::from_utf8_lossy(&body))));
    }
    serde_json::from_slice(&body).map_err(|e| {
        Error::new(ErrorKind::Corrupt, format!("the status of the scheduler at {scheduler} does not decode"))
            .because(e)
    })
}
