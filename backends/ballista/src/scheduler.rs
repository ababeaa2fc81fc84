//! The cluster's scheduler: Ballista's, with our policy and our codec, behind mutual TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use ballista_core::serde::protobuf::scheduler_grpc_server::SchedulerGrpcServer;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::create_scheduler;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;
use tonic::service::RoutesBuilder;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Status};
use tributary_core::error::{Error, ErrorKind, Result, ResultExt};

use crate::admission::Admission;
use crate::keys::{Identity, Keys};
use crate::node::Codec;
use crate::policy::Policy;
use crate::status;
use crate::submission::MOST_MESSAGE_BYTES;

/// Seconds without a heartbeat after which an executor counts as lost.
const EXECUTOR_TIMEOUT: u64 = 3;
/// Seconds that jobs wait for an executor when there is none.
const WITHOUT_EXECUTORS: u64 = 30;

/// Serves until `stop` is ready. `advertised` is the name or address under which executors reach the listener's port.
pub async fn serve(
    listener: TcpListener,
    advertised: &str,
    keys: &Keys,
    identity: Identity,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let address: SocketAddr = listener.local_addr().at(|| "serve as scheduler")?;
    let config = Arc::new(config(advertised, address.port(), keys, &identity));
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(failed)?;
    let scheduler =
        create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, config).await.map_err(failed)?;
    let mut routes = RoutesBuilder::from(status::routes(&scheduler, &identity));
    let service = SchedulerGrpcServer::new(Admission::new(scheduler))
        .max_decoding_message_size(MOST_MESSAGE_BYTES)
        .max_encoding_message_size(MOST_MESSAGE_BYTES);
    routes.add_service(InterceptedService::new(service, move |request| admit(&identity, request)));
    // Small messages go back and forth: waiting to fill packets would cost 40 ms each.
    let incoming = tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .tls_config(keys.server())
        .map_err(|e| Error::invalid("the keys of the cluster do not make a TLS server").because(e))?
        .add_routes(routes.routes())
        .serve_with_incoming_shutdown(incoming, stop)
        .await
        .map_err(|e| Error::new(ErrorKind::Io, format!("serve as scheduler on {address}")).because(e))
}

fn admit(identity: &Identity, request: Request<()>) -> Result<Request<()>, Status> {
    let agent = request.metadata().get("user-agent").and_then(|agent| agent.to_str().ok());
    match identity.refuse(agent.unwrap_or_default()) {
        Some(reason) => Err(Status::failed_precondition(reason)),
        None => Ok(request),
    }
}

fn config(advertised: &str, port: u16, keys: &Keys, identity: &Identity) -> SchedulerConfig {
    SchedulerConfig {
        external_host: advertised.to_owned(),
        bind_port: port,
        task_distribution: TaskDistributionPolicy::Custom(Arc::new(Policy)),
        executor_timeout_seconds: EXECUTOR_TIMEOUT,
        expire_dead_executor_interval_seconds: 1,
        executor_termination_grace_period: 0,
        no_executors_grace_period_seconds: WITHOUT_EXECUTORS,
        finished_job_data_clean_up_interval_seconds: 10,
        finished_job_state_clean_up_interval_seconds: 60,
        grpc_server_max_decoding_message_size: MOST_MESSAGE_BYTES as u32,
        grpc_server_max_encoding_message_size: MOST_MESSAGE_BYTES as u32,
        grpc_client_max_message_size: MOST_MESSAGE_BYTES as u32,
        override_physical_codec: Some(Codec::new(None)),
        override_create_grpc_client_endpoint: Some(keys.override_endpoints(identity)),
        use_tls: true,
        ..SchedulerConfig::default()
    }
}

fn failed(error: ballista_core::error::BallistaError) -> Error {
    Error::new(ErrorKind::Io, "start a scheduler").because(error)
}
