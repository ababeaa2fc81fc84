//! The engine: the driver's side of a cluster.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tributary_core::bytestore::ByteStore;
use tributary_core::computing::{Computing, Engine, EngineInfo, SessionSpec, Spills};
use tributary_core::error::Result;
use tributary_core::kernel::Kernels;
use tributary_core::placement::{CoreRequest, Placement};
use tributary_core::storage::Storage;
use tributary_partition::cancel::Actions;
use tributary_system::random;

use crate::client::Client;
use crate::items::Items;
use crate::keys::{Identity, Keys};
use crate::placement::{self, Executors};
use crate::session::Session;
use crate::state::State;
use crate::store::SessionStore;

/// Where a cluster is, its keys and its store opened.
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

/// See the module.
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
        let (leftovers, removed) = tokio::sync::mpsc::unbounded_channel();
        let key = self.cluster.keys.cluster.clone();
        let name = format!("{}-{:016x}", spec.id, random::u64()?);
        let state = State {
            executors: Executors::of(&spec.placement)?,
            kernels: self.kernels.clone(),
            client: self.client.clone(),
            store: SessionStore::new(self.cluster.store.clone(), key.clone(), &name),
            storage: self.storage.clone(),
            stores: self.storage.addresses(),
            items: Items::new(spec.id.clone()),
            actions: Actions::new(spec.id.clone()),
            key,
            leftovers,
            name,
            spec,
        };
        Ok(Arc::new(Session::open(state, removed).await?))
    }
}

impl fmt::Debug for Ballista {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} over {:?}", self.client, self.storage)
    }
}
