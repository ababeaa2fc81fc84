//! An executor: Ballista's, with our kernels behind it, and in front of it mutual TLS.
//!
//! Ballista's own server for tasks has no TLS. It listens on a loopback address that it does not advertise, and a gate in
//! front of it admits peers that have a certificate of the cluster. Other processes of this machine could reach it past the
//! gate: they cannot seal a fragment, and plans of anything else are refused.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use arrow_flight::flight_service_server::FlightServiceServer;
use ballista_core::error::BallistaError;
use ballista_core::extension::SessionConfigExt;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_executor::flight_service::BallistaFlightService;
use ballista_executor::shutdown::Shutdown;
use datafusion::prelude::SessionConfig;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tributary_core::error::{Error, ErrorKind, Result, ResultExt};
use tributary_system::random;

use crate::execution::Execution;
use crate::gate;
use crate::keys::{Identity, Keys};
use crate::node::Codec;
use crate::resources::Resources;
use crate::submission::MOST_MESSAGE_BYTES;

/// Where and how large an executor is.
#[derive(Debug, Clone)]
pub struct ExecutorOptions {
    /// `host:port` of the scheduler.
    pub scheduler: String,
    /// Address to listen on, for the scheduler and for other executors.
    pub listen: IpAddr,
    /// Name or address under which they reach it.
    pub advertised: String,
    /// Tasks at once.
    pub cores: u32,
    /// Bytes for shuffles of all tasks, beyond which they spill; 0 for most of the machine's.
    pub memory_bytes: u64,
}

/// Serves until the process is asked to end, or the scheduler refuses it. `folder` is for shuffles.
pub async fn serve(
    resources: Arc<Resources>,
    keys: Keys,
    options: ExecutorOptions,
    folder: &Path,
) -> Result<()> {
    let identity = Identity::of(&resources.kernels);
    let inner = inner_address()?;
    // Found free by listening: the one for tasks is then taken over by the gate, the other by the server of shuffles.
    let tasks =
        TcpListener::bind((options.listen, 0)).await.at(|| format!("listen on {}", options.listen))?;
    let blocks =
        TcpListener::bind((options.listen, 0)).await.at(|| format!("listen on {}", options.listen))?;
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    let (tasks_port, blocks_port) = (port(&tasks).at(|| "listen")?, port(&blocks).at(|| "listen")?);
    let (scheduler_host, scheduler_port) = host_and_port(&options.scheduler)?;
    let gate = gate::serve(tasks, SocketAddr::new(inner, tasks_port), &keys)?;
    let endpoints = keys.override_endpoints(&identity);
    let session = {
        let endpoints = endpoints.clone();
        move || {
            SessionConfig::new_with_ballista()
                .with_ballista_use_tls(true)
                .with_ballista_override_create_grpc_client_endpoint(endpoints.clone())
        }
    };
    let config = ExecutorProcessConfig {
        bind_host: inner.to_string(),
        external_host: Some(options.advertised.clone()),
        port: blocks_port,
        grpc_port: tasks_port,
        scheduler_host,
        scheduler_port,
        scheduler_connect_timeout_seconds: 30,
        vcores: options.cores as usize,
        work_dir: Some(folder.display().to_string()),
        executor_heartbeat_interval_seconds: 1,
        job_data_ttl_seconds: 600,
        job_data_clean_up_interval_seconds: 60,
        grpc_max_decoding_message_size: MOST_MESSAGE_BYTES as u32,
        grpc_max_encoding_message_size: MOST_MESSAGE_BYTES as u32,
        memory_pool_size: Some(options.memory_bytes).filter(|bytes| *bytes > 0),
        override_execution_engine: Some(Arc::new(Execution::new())),
        override_config_producer: Some(Arc::new(session)),
        override_physical_codec: Some(Codec::new(Some(resources))),
        override_create_grpc_client_endpoint: Some(endpoints),
        override_arrow_flight_service: Some(Arc::new(block_server(blocks, &keys)?)),
        ..Default::default()
    };
    let ended = start_executor_process(Arc::new(config)).await;
    gate.abort();
    ended.map_err(|e| ended_by(&options.scheduler, e))
}

fn ended_by(scheduler: &str, error: BallistaError) -> Error {
    let text = error.to_string();
    let kind = if text.contains("refused:") { ErrorKind::Denied } else { ErrorKind::Unavailable };
    Error::new(kind, format!("an executor of the scheduler at {scheduler} ended: {text}"))
}

/// A loopback address that is unlikely to be anybody else's: the port on it must be free as well.
fn inner_address() -> Result<IpAddr> {
    let mut drawn = [0u8; 3];
    random::fill(&mut drawn)?;
    let [a, b, c] = drawn;
    Ok(IpAddr::V4(Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))))
}

fn host_and_port(address: &str) -> Result<(String, u16)> {
    let parts = address.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    parts.ok_or_else(|| Error::invalid(format!("scheduler address {address:?}, expected host:port")))
}

/// The server that other executors fetch their blocks of shuffles from.
fn block_server(
    listener: TcpListener,
    keys: &Keys,
) -> Result<
    impl Fn(String, SocketAddr, Shutdown, ballista_core::utils::GrpcServerConfig) -> BlockServer + use<>,
> {
    let tls = keys.server();
    let listener = std::sync::Mutex::new(Some(listener));
    Ok(move |folder: String, _: SocketAddr, mut shutdown: Shutdown, _| {
        let listener = tributary_partition::cancel::lock(&listener).take();
        let tls = tls.clone();
        tokio::spawn(async move {
            let listener = listener
                .ok_or_else(|| BallistaError::General("the server of blocks was started before".into()))?;
            let service = FlightServiceServer::new(BallistaFlightService::new(folder))
                .max_decoding_message_size(MOST_MESSAGE_BYTES)
                .max_encoding_message_size(MOST_MESSAGE_BYTES);
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let mut server = Server::builder().tls_config(tls).map_err(BallistaError::TonicError)?;
            let serving = server.add_service(service).serve_with_incoming_shutdown(incoming, shutdown.recv());
            serving.await.map_err(BallistaError::TonicError)
        })
    })
}

type BlockServer = tokio::task::JoinHandle<std::result::Result<(), BallistaError>>;
