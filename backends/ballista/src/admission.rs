//! What the scheduler is asked for: the requests that drivers and executors of this build make, and no others.
//!
//! A process that has a certificate of the cluster may speak to Ballista's scheduler, which would also plan SQL, read files that a
//! plan names, and change how it runs for a session. None of that has a use here, so all of it is refused: queries that are
//! not physical plans made of our fragments, settings that no driver sends, and calls that no process of ours makes.

use async_trait::async_trait;
use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpc;
use ballista_core::serde::protobuf::{
    CancelJobParams, CancelJobResult, CleanJobDataParams, CleanJobDataResult, CreateUpdateSessionParams,
    CreateUpdateSessionResult, ExecuteQueryParams, ExecuteQueryResult, ExecutorStoppedParams,
    ExecutorStoppedResult, GetJobMetricsParams, GetJobMetricsResult, GetJobStatusParams, GetJobStatusResult,
    HeartBeatParams, HeartBeatResult, PollWorkParams, PollWorkResult, RegisterExecutorParams,
    RegisterExecutorResult, RemoveSessionParams, RemoveSessionResult, UpdateTaskStatusParams,
    UpdateTaskStatusResult,
};
use tonic::{Request, Response, Status};

use crate::status::Server;
use crate::submission;

/// Ballista's scheduler behind the checks of this module.
pub(crate) struct Admission(Server);

impl Admission {
    pub(crate) fn new(scheduler: Server) -> Self {
        Self(scheduler)
    }
}

type Answer<T> = Result<Response<T>, Status>;

fn refused<T>(what: &str) -> Answer<T> {
    Err(Status::permission_denied(format!("refused: {what}, which no process of this cluster asks for")))
}

#[async_trait]
impl SchedulerGrpc for Admission {
    type ExecuteQueryPushStream = <Server as SchedulerGrpc>::ExecuteQueryPushStream;

    async fn execute_query_push(
        &self,
        request: Request<ExecuteQueryParams>,
    ) -> Answer<Self::ExecuteQueryPushStream> {
        submission::check(request.get_ref()).map_err(|e| Status::permission_denied(e.to_string()))?;
        SchedulerGrpc::execute_query_push(&self.0, request).await
    }

    async fn cancel_job(&self, request: Request<CancelJobParams>) -> Answer<CancelJobResult> {
        SchedulerGrpc::cancel_job(&self.0, request).await
    }

    async fn remove_session(&self, request: Request<RemoveSessionParams>) -> Answer<RemoveSessionResult> {
        SchedulerGrpc::remove_session(&self.0, request).await
    }

    async fn poll_work(&self, request: Request<PollWorkParams>) -> Answer<PollWorkResult> {
        SchedulerGrpc::poll_work(&self.0, request).await
    }

    async fn register_executor(
        &self,
        request: Request<RegisterExecutorParams>,
    ) -> Answer<RegisterExecutorResult> {
        SchedulerGrpc::register_executor(&self.0, request).await
    }

    async fn heart_beat_from_executor(&self, request: Request<HeartBeatParams>) -> Answer<HeartBeatResult> {
        SchedulerGrpc::heart_beat_from_executor(&self.0, request).await
    }

    async fn update_task_status(
        &self,
        request: Request<UpdateTaskStatusParams>,
    ) -> Answer<UpdateTaskStatusResult> {
        SchedulerGrpc::update_task_status(&self.0, request).await
    }

    async fn executor_stopped(
        &self,
        request: Request<ExecutorStoppedParams>,
    ) -> Answer<ExecutorStoppedResult> {
        SchedulerGrpc::executor_stopped(&self.0, request).await
    }

    async fn execute_query(&self, _: Request<ExecuteQueryParams>) -> Answer<ExecuteQueryResult> {
        refused("a query without a stream of its status")
    }

    async fn create_update_session(
        &self,
        _: Request<CreateUpdateSessionParams>,
    ) -> Answer<CreateUpdateSessionResult> {
        refused("a change of a session's settings")
    }

    async fn get_job_status(&self, _: Request<GetJobStatusParams>) -> Answer<GetJobStatusResult> {
        refused("the status of a single job")
    }

    async fn get_job_metrics(&self, _: Request<GetJobMetricsParams>) -> Answer<GetJobMetricsResult> {
        refused("the metrics of a single job")
    }

    async fn clean_job_data(&self, _: Request<CleanJobDataParams>) -> Answer<CleanJobDataResult> {
        refused("the removal of a job's data")
    }
}
