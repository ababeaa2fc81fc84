//! Computing on a cluster: a scheduler and executors of Apache DataFusion Ballista, in processes of their own.
//!
//! What is Ballista's: which executor does what when, shuffles between executors, and doing again what a lost executor had.
//! What is ours: what a stage does ([`fragment`](crate)), with the same code for one partition as the engine in one process;
//! where rows go ([`routing`](crate)); and where they are kept, a store that driver and executors share
//! ([`store`](crate)). The driver, which is the process of the task, gives the cluster physical plans of one kind of node, and
//! learns what was made of each partition from commits in that store: neither rows nor results pass through the scheduler.
//!
//! One action is one cluster job, and another one before it for each piece of work that must be kept first
//! ([`action`](crate)).

pub mod config;
pub mod placement;
mod hex;
mod seal;
mod keys;
mod fragment;
mod node;
mod wire;
mod routing;
mod rows;
mod bundles;
mod store;
mod host;
mod task;
mod stages;
mod policy;
mod client;
mod items;
mod action;
mod session;
mod gate;
mod malloc;
pub mod status;
pub mod scheduler;
pub mod executor;

use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use tributary_core::bytestore::ByteStore;
use tributary_core::computing::{Computing, Engine, EngineInfo, SessionSpec, Spills};
use tributary_core::error::{Error, Result};
use tributary_core::kernel::Kernels;
use tributary_core::placement::{CoreRequest, Placement};
use tributary_core::storage::Storage;

pub use config::{ClusterConfig, Config};
pub use host::{Host, OpenStorage};
pub use keys::{Identity, Keys};
pub use malloc::keep_freed_memory;
pub use seal::ClusterKey;
pub use store::sweep;

use crate::client::Client;
use crate::items::Items;
use crate::placement::Executors;
use crate::session::{Driver, Session};
use crate::store::SessionStore;

/// Where a cluster is.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How large it is, and how it counts cores.
    pub size: placement::Cluster,
    /// `host:port` of its scheduler.
    pub scheduler: String,
    /// What proves that driver, scheduler and executors belong together.
    pub keys: Keys,
    /// What they keep sessions in.
    pub store: Arc<dyn ByteStore>,
}

/// The engine: the driver's side of a cluster.
pub struct Ballista {
    info: EngineInfo,
    kernels: Kernels,
    storage: Arc<dyn Storage>,
    cluster: ClusterOptions,
    client: Client,
}

impl Ballista {
    /// The cluster's engine for a site with this store. Connects with the first session.
    pub fn new(kernels: Kernels, storage: Arc<dyn Storage>, cluster: ClusterOptions) -> Result<Self> {
        let identity = Identity::of(&kernels);
        let client = Client::new(&cluster.scheduler, &cluster.keys, identity)?;
        let info = EngineInfo::new(cluster.size.arithmetic.name())
            .in_other_processes()
            .spilling(Spills::Tables)
            .storing_what_is_read()
            .cancelling_within(Duration::from_secs(2));
        Ok(Self { info, kernels, storage, cluster, client })
    }
}

#[async_trait]
impl Engine for Ballista {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn place(&self, request: &CoreRequest) -> Result<Placement> {
        placement::place(&self.cluster.size, request)
    }

    async fn open(&self, spec: SessionSpec) -> Result<Arc<dyn Computing>> {
        let (leftovers, removed) = session::leftovers();
        let key = self.cluster.keys.cluster.clone();
        let nonce = getrandom::u64()
            .map_err(|e| Error::bug("the system gives no random numbers").because(e.to_string()))?;
        let name = format!("{}-{nonce:016x}", spec.id);
        let driver = Driver {
            executors: Executors::of(&spec.placement)?,
            kernels: self.kernels.clone(),
            client: self.client.clone(),
            store: SessionStore::new(self.cluster.store.clone(), key.clone(), &name),
            storage: self.storage.clone(),
            storage_address: self.storage.address().ok(),
            items: Items::new(spec.id.clone()),
            running: Mutex::new(Some(Vec::new())),
            key,
            leftovers,
            name,
            spec,
        };
        Ok(Arc::new(Session::open(driver, removed).await?))
    }
}

impl fmt::Debug for Ballista {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} over {:?}", self.client, self.storage)
    }
}
