//! Ballista's execution in an executor, and what it lacks: a task that is cancelled stops.
//!
//! Ballista drops the future of a cancelled task, but the work is done by futures that it started and does not hold on to. So
//! each task gets a stop of its own, which the fragments in it listen to.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::client::BallistaClient;
use ballista_core::client_pool::{BallistaClientPool, PooledClient};
use ballista_core::extension::BallistaConfigGrpcEndpoint;
use ballista_core::serde::protobuf::{
    RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport,
};
use ballista_core::utils::GrpcClientConfig;
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;
use tributary_partition::cancel::lock;

use crate::node::FragmentNode;
use crate::stop::{Stop, StopGuard};

/// Idle connections to one executor that are kept.
const IDLE_EACH: usize = 8;

/// See the module.
pub(crate) struct Execution(DefaultExecutionEngine);

impl Execution {
    pub(crate) fn new() -> Self {
        Self(DefaultExecutionEngine::with_client_pool(Arc::new(Connections::default())))
    }
}

impl ExecutionEngine for Execution {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        partitions: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        folder: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let stop = Stop::default();
        let listening = plan.transform(|node| {
            Ok(match node.downcast_ref::<FragmentNode>() {
                Some(fragment) => Transformed::yes(fragment.listening(&stop)),
                None => Transformed::no(node),
            })
        })?;
        let plan = listening.data;
        let inner =
            self.0.create_query_stage_exec(job_id, stage_id, task_id, partitions, plan, folder, config)?;
        Ok(Arc::new(Stoppable { inner, stop }))
    }
}

/// Stops its fragments when its work ends, or is dropped.
struct Stoppable {
    inner: Arc<dyn QueryStageExecutor>,
    stop: Stop,
}

impl fmt::Debug for Stoppable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stoppable task")
    }
}

impl fmt::Display for Stoppable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stoppable task")
    }
}

#[async_trait]
impl QueryStageExecutor for Stoppable {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let _guard = StopGuard(self.stop.clone());
        self.inner.execute_query_stage(task_id, context).await
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.inner.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.inner.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.inner.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.inner.collect_column_stats()
    }
}

/// Connections to other executors, for blocks of shuffles: a handshake costs more than a small block.
#[derive(Clone, Default)]
struct Connections(Arc<Mutex<Idle>>);

type Idle = HashMap<(String, u16), Vec<BallistaClient>>;

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connections to executors")
    }
}

#[async_trait]
impl BallistaClientPool for Connections {
    async fn acquire(
        &self,
        host: &str,
        port: u16,
        config: &GrpcClientConfig,
        endpoint: Option<Arc<BallistaConfigGrpcEndpoint>>,
    ) -> ballista_core::error::Result<PooledClient> {
        let place = (host.to_owned(), port);
        let idle = lock(&self.0).get_mut(&place).and_then(Vec::pop);
        let client = match idle {
            Some(client) => client,
            None => {
                BallistaClient::try_new(
                    host,
                    port,
                    config.max_message_size,
                    config.use_tls,
                    endpoint,
                    config.io_retries_times,
                    config.io_retry_wait_time_ms,
                    config.initial_connection_window_size,
                    config.initial_stream_window_size,
                )
                .await?
            }
        };
        let connections = self.clone();
        let give_back = move |client| {
            let mut all = lock(&connections.0);
            let idle = all.entry(place).or_default();
            if idle.len() < IDLE_EACH {
                idle.push(client);
            }
        };
        Ok(PooledClient::new(client, Box::new(give_back)))
    }

    async fn evict_idle(&self) {
        lock(&self.0).clear();
    }
}
