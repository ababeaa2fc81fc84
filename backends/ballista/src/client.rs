//! The driver's connection to the cluster's scheduler: submits jobs, waits for their end, cancels those that are not wanted any more.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ballista_core::serde::protobuf::job_status::Status;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use ballista_core::serde::protobuf::{CancelJobParams, ExecuteQueryParams, RemoveSessionParams};
use ballista_core::version::insert_version_header;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use tokio::runtime::{Handle, Runtime};
use tonic::transport::Channel;
use tributary_core::error::{Error, ErrorKind, Result};

use crate::keys::{Identity, Keys};
use crate::placement::Executors;
use crate::submission::{self, MOST_MESSAGE_BYTES, job_name};
use crate::{status, wire};

/// How long a driver goes on looking for a scheduler that is gone, in the middle of a job.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_TRIES: Duration = Duration::from_millis(250);
/// A job that was just submitted may not be listed yet.
const TRIES_TO_CANCEL: u32 = 50;
const BETWEEN_TRIES_TO_CANCEL: Duration = Duration::from_millis(20);

/// See the module. Clones share a connection.
#[derive(Clone)]
pub(crate) struct Client {
    runtime: Arc<Background>,
    scheduler: SchedulerGrpcClient<Channel>,
    address: Arc<str>,
    keys: Keys,
    identity: Identity,
}

/// The thread that connections live on, as long as the engine or a session of it does.
struct Background {
    handle: Handle,
    runtime: Option<Runtime>,
}

impl Background {
    fn start() -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cluster")
            .enable_all()
            .build()
            .map_err(|e| Error::new(ErrorKind::Exhausted, "start a thread for the cluster").because(e))?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }
}

impl Drop for Background {
    /// Without waiting: the last session may be dropped by asynchronous code, or by this very thread.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "scheduler at {}", self.address)
    }
}

impl Client {
    /// Connects when it is first needed, and again whenever the connection was lost.
    pub(crate) fn new(address: &str, keys: &Keys, identity: Identity) -> Result<Self> {
        let runtime = Arc::new(Background::start()?);
        let _entered = runtime.handle.enter();
        let scheduler = SchedulerGrpcClient::new(keys.endpoint(address, &identity)?.connect_lazy())
            .max_decoding_message_size(MOST_MESSAGE_BYTES)
            .max_encoding_message_size(MOST_MESSAGE_BYTES);
        let (address, keys) = (address.into(), keys.clone());
        Ok(Self { scheduler, address, keys, identity, runtime: runtime.clone() })
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime.handle
    }

    /// Runs a job to its end. Dropping the future cancels it. What was done before a scheduler was lost stays done.
    pub(crate) async fn run(
        &self,
        session: &str,
        number: u64,
        executors: Executors,
        plan: Arc<dyn ExecutionPlan>,
    ) -> Result<()> {
        let name = job_name(session, number, executors);
        let job = submission::job(session, &name, plan)?;
        let since = Instant::now();
        loop {
            match self.attempt(&name, job.clone()).await {
                Err(Lost::Connection(error)) if since.elapsed() >= PATIENCE => return Err(error),
                Err(Lost::Connection(_)) => self.pause().await,
                Err(Lost::Job(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
    }

    /// A pause that needs no timer of the caller's runtime.
    async fn pause(&self) {
        drop(self.runtime().spawn(tokio::time::sleep(BETWEEN_TRIES)).await);
    }

    async fn attempt(&self, name: &str, params: ExecuteQueryParams) -> Result<(), Lost> {
        let (wanted, gone) = tokio::sync::oneshot::channel::<()>();
        let (client, name) = (self.clone(), name.to_owned());
        let job = self.runtime().spawn(async move { client.follow(&name, params, gone).await });
        let ended = job.await;
        drop(wanted);
        ended.unwrap_or_else(|e| Err(Lost::Job(Error::bug("a job's watcher ended").because(e))))
    }

    /// Submits and follows a job until it ends, or until it is not wanted any more.
    async fn follow(
        mut self,
        name: &str,
        params: ExecuteQueryParams,
        mut gone: tokio::sync::oneshot::Receiver<()>,
    ) -> Result<(), Lost> {
        let mut request = tonic::Request::new(params);
        insert_version_header(request.metadata_mut());
        let lost = |status: tonic::Status| self_lost(&self.address, status);
        let mut scheduler = self.scheduler.clone();
        let mut events = scheduler.execute_query_push(request).await.map_err(lost)?.into_inner();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                _ = &mut gone => {
                    self.cancel(name).await;
                    return Err(Lost::Job(tributary_partition::cancel::cancelled()));
                }
            };
            let event = event.ok_or_else(|| {
                let text = format!("the scheduler at {} went away in the middle of a job", self.address);
                Lost::Connection(Error::new(ErrorKind::Unavailable, text))
            })?;
            let status = event.map_err(lost)?.status;
            let Some(status) = status else { continue };
            match status.status {
                Some(Status::Successful(_)) => return Ok(()),
                Some(Status::Failed(failed)) => return Err(Lost::Job(wire::incoming(&failed.error))),
                _ => {}
            }
        }
    }

    /// The scheduler reports a job's id only at its end, and cancels by id: so it is asked which job has this name.
    async fn cancel(&mut self, name: &str) {
        for _ in 0..TRIES_TO_CANCEL {
            // A scheduler that cannot be reached cannot cancel the job either.
            let Ok(status) = status::fetch(&self.address, &self.keys, &self.identity).await else { return };
            if let Some(job) = status.jobs.into_iter().find(|job| job.name == name) {
                drop(self.scheduler.cancel_job(CancelJobParams { job_id: job.id }).await);
                return;
            }
            tokio::time::sleep(BETWEEN_TRIES_TO_CANCEL).await;
        }
    }

    /// Lets the scheduler forget the session.
    pub(crate) fn forget(&self, session: &str) {
        let (mut scheduler, session_id) = (self.scheduler.clone(), session.to_string());
        self.runtime().spawn(async move {
            drop(scheduler.remove_session(RemoveSessionParams { session_id }).await);
        });
    }
}

/// Why an attempt ended.
enum Lost {
    /// The scheduler could not be reached, or went away: it forgot the job.
    Connection(Error),
    /// The job itself failed.
    Job(Error),
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self::Job(error)
    }
}

fn self_lost(address: &str, status: tonic::Status) -> Lost {
    use tonic::Code;
    let text = format!("the scheduler at {address}: {}", status.message());
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded => {
            Lost::Connection(Error::new(ErrorKind::Unavailable, text).because(status))
        }
        Code::FailedPrecondition | Code::Unauthenticated | Code::PermissionDenied => {
            Lost::Job(Error::new(ErrorKind::Denied, text))
        }
        _ => Lost::Job(wire::incoming(status.message()).at(format!("ask the scheduler at {address}"))),
    }
}
