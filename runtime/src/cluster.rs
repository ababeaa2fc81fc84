//! The cluster: its engine for a site, and the parts that this machine takes in it.

use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tributary_ballista::placement::Arithmetic;
use tributary_ballista::{
    Ballista, ClusterConfig, ClusterOptions, Config, Host, Identity, Keys, executor, scheduler, status, sweep,
};
use tributary_core::bytestore::ByteStore;
use tributary_core::settings::Section;
use tributary_core::storage::Storage;
use tributary_core::{Error, ErrorKind, Result, ResultExt};
use tributary_file::FileStore;

use crate::choice::Ground;
use crate::engines::CLUSTER;
use crate::home::{Compute, Home};

pub use tributary_ballista::keep_freed_memory;
pub use tributary_ballista::status::{ExecutorStatus, JobStatus, Status as ClusterStatus};

/// The engine, as Spark.
pub(crate) fn spark(section: &Section, ground: &Ground<'_>) -> Result<Compute> {
    engine(Arithmetic::Spark, section, ground)
}

/// The engine, as EggRoll.
pub(crate) fn eggroll(section: &Section, ground: &Ground<'_>) -> Result<Compute> {
    engine(Arithmetic::Eggroll, section, ground)
}

fn engine(arithmetic: Arithmetic, section: &Section, ground: &Ground<'_>) -> Result<Compute> {
    let Config { size, memory_bytes } = Config::from_section(section, arithmetic)?;
    let shared = ground.settings.section(CLUSTER)?;
    let cluster = ClusterConfig::from_section(shared, ground.home)?;
    let keys = Keys::read(&cluster.keys).at(|| {
        format!(
            "{}: `tributary cluster keys` makes them, copies must be the same everywhere",
            shared.place("keys")
        )
    })?;
    let options = ClusterOptions { size, keys, store: store(&cluster)?, scheduler: cluster.scheduler };
    let engine = Ballista::new(ground.kernels.clone(), ground.storage.clone(), options)?;
    Ok(Compute { engine: Arc::new(engine), cores: size.cores, memory_bytes })
}

fn store(cluster: &ClusterConfig) -> Result<Arc<dyn ByteStore>> {
    Ok(Arc::new(FileStore::open_scratch(&cluster.store)?))
}

impl Home {
    /// Folder of the cluster's keys.
    pub fn cluster_keys(&self) -> Result<PathBuf> {
        Ok(self.cluster()?.keys)
    }

    fn cluster(&self) -> Result<ClusterConfig> {
        ClusterConfig::from_section(self.settings()?.section(CLUSTER)?, self.folder())
    }

    /// Serves as the cluster's scheduler until `stop` is ready. `ready` is told the port.
    pub async fn serve_scheduler(
        &self,
        listen: &str,
        advertised: &str,
        ready: impl FnOnce(u16),
        stop: impl Future<Output = ()>,
    ) -> Result<()> {
        let keys = Keys::read(&self.cluster_keys()?)?;
        let listener = tokio::net::TcpListener::bind(listen).await.at(|| format!("listen on {listen}"))?;
        ready(listener.local_addr().at(|| "listen")?.port());
        scheduler::serve(listener, advertised, &keys, Identity::of(&self.components().kernels()), stop).await
    }

    /// Serves as an executor. It opens the tables of parties whose home is this one.
    pub async fn serve_executor(&self, options: ExecutorSettings) -> Result<()> {
        let cluster = self.cluster()?;
        let keys = Keys::read(&cluster.keys)?;
        let root = self.folder().to_owned();
        let open = move |address: &str| open_storage(&root, address);
        let store = store(&cluster)?;
        let host = Host::new(self.components().kernels(), store, keys.cluster_key(), Box::new(open));
        let work = self.folder().join("cluster").join("work").join(format!("{}", std::process::id()));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&work)
            .at(|| format!("create {}", work.display()))?;
        let options = executor::ExecutorOptions {
            scheduler: options.scheduler.unwrap_or(cluster.scheduler),
            listen: options.listen,
            advertised: options.advertised,
            cores: options.cores,
            memory_bytes: options.memory_bytes,
        };
        let served = executor::serve(host, keys, options, &work).await;
        drop(std::fs::remove_dir_all(&work));
        served
    }

    /// Makes the keys of a new cluster.
    pub fn create_cluster_keys(&self) -> Result<PathBuf> {
        let folder = self.cluster_keys()?;
        Keys::create(&folder)?;
        Ok(folder)
    }
}

impl Home {
    /// What the cluster is doing, asked of the scheduler at `host:port`, else of the configured one.
    pub async fn cluster_status(&self, scheduler: Option<&str>) -> Result<ClusterStatus> {
        let cluster = self.cluster()?;
        let keys = Keys::read(&cluster.keys)?;
        status::fetch(
            scheduler.unwrap_or(&cluster.scheduler),
            &keys,
            &Identity::of(&self.components().kernels()),
        )
        .await
    }

    /// Removes what sessions left in the store that have not been heard of for `age`; gives their number.
    pub async fn sweep_cluster_store(&self, age: Duration) -> Result<u64> {
        let cluster = self.cluster()?;
        let keys = Keys::read(&cluster.keys)?;
        sweep(&store(&cluster)?, &keys.cluster_key(), age).await
    }
}

/// What an executor is told when it starts.
#[derive(Debug, Clone)]
pub struct ExecutorSettings {
    /// `host:port`; else the configured one.
    pub scheduler: Option<String>,
    /// Address to listen on.
    pub listen: IpAddr,
    /// Host under which others reach it.
    pub advertised: String,
    /// Tasks at once.
    pub cores: u32,
    /// Bytes for shuffles; 0 for most of the machine's.
    pub memory_bytes: u64,
}

/// A driver names the store of its site; this executor opens those below its own home only.
fn open_storage(root: &Path, address: &str) -> Result<Arc<dyn Storage>> {
    let place = address.strip_prefix("file://").map(Path::new);
    let below = place.filter(|place| {
        place.starts_with(root)
            && place.components().all(|part| !matches!(part, std::path::Component::ParentDir))
    });
    match below {
        Some(folder) => Ok(tributary_file::storage(folder)?),
        None => Err(Error::new(
            ErrorKind::Denied,
            format!("an executor of {} was asked for tables in {address}", root.display()),
        )),
    }
}
