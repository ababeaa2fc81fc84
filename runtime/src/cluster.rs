//! The cluster: its engine for a site, and the parts that this machine takes in it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tributary_ballista::placement::{Arithmetic, Cluster};
use tributary_ballista::{
    Ballista, ClusterOptions, Host, Identity, Keys, executor, scheduler, status, sweep,
};
use tributary_core::bytestore::ByteStore;
use tributary_core::storage::{Storage, Sweep};
use tributary_core::{Error, ErrorKind, Result, ResultExt};
use tributary_file::FileStore;

use crate::home::{Compute, Home};
use crate::keys;
use crate::settings::Settings;

pub use tributary_ballista::keep_freed_memory;
pub use tributary_ballista::status::{ExecutorStatus, JobStatus, Status as ClusterStatus};

impl Home {
    /// Folder of the cluster's keys.
    pub fn cluster_keys(&self) -> Result<PathBuf> {
        Ok(self.folder().join(self.settings()?.text(keys::CLUSTER_KEYS)?))
    }

    fn cluster_store(&self, settings: &Settings) -> Result<Arc<dyn ByteStore>> {
        let folder = self.folder().join(settings.text(keys::CLUSTER_STORE)?);
        Ok(Arc::new(FileStore::open_scratch(&folder)?))
    }

    pub(crate) fn cluster_engine(
        &self,
        name: &str,
        settings: &Settings,
        storage: &Arc<dyn Storage>,
    ) -> Result<Compute> {
        let (arithmetic, cores, nodes, memory) = match name {
            "spark" => (Arithmetic::Spark, keys::SPARK_CORES, keys::SPARK_NODES, keys::SPARK_MEMORY),
            _ => (Arithmetic::Eggroll, keys::EGGROLL_CORES, keys::EGGROLL_NODES, keys::EGGROLL_MEMORY),
        };
        let number = |key| settings.number(key).map(|number| number as u32);
        let size = Cluster { arithmetic, nodes: number(nodes)?, cores: number(cores)? };
        let options = ClusterOptions {
            size,
            scheduler: settings.text(keys::SCHEDULER)?.to_owned(),
            keys: Keys::read(&self.folder().join(settings.text(keys::CLUSTER_KEYS)?)).at(|| {
                format!(
                    "{}: `tributary cluster keys` makes them, copies must be the same everywhere",
                    keys::CLUSTER_KEYS
                )
            })?,
            store: self.cluster_store(settings)?,
        };
        Ok(Compute {
            engine: Arc::new(Ballista::new(self.components().kernels(), storage.clone(), options)?),
            cores: size.cores,
            memory_bytes: settings.number(memory)?,
        })
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
        let settings = self.settings()?;
        let keys = Keys::read(&self.cluster_keys()?)?;
        let root = self.folder().to_owned();
        let open = move |address: &str| open_storage(&root, address);
        let store = self.cluster_store(&settings)?;
        let host = Host::new(self.components().kernels(), store, keys.cluster_key(), Box::new(open));
        let work = self.folder().join("cluster").join("work").join(format!("{}", std::process::id()));
        std::fs::create_dir_all(&work).at(|| format!("create {}", work.display()))?;
        let scheduler =
            options.scheduler.map_or_else(|| settings.text(keys::SCHEDULER).map(str::to_owned), Ok)?;
        let options = executor::ExecutorOptions {
            scheduler,
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
        let settings = self.settings()?;
        let configured = settings.text(keys::SCHEDULER)?;
        let keys = Keys::read(&self.cluster_keys()?)?;
        status::fetch(scheduler.unwrap_or(configured), &keys, &Identity::of(&self.components().kernels()))
            .await
    }

    /// Removes, or counts, what sessions left in the store that have not been heard of for `what.idle`; gives their number,
    /// nothing where this home takes part in no cluster.
    pub async fn sweep_cluster_store(&self, what: &Sweep) -> Result<Option<u64>> {
        let keys = self.cluster_keys()?;
        if !keys.is_dir() {
            return Ok(None);
        }
        let keys = Keys::read(&keys)?;
        sweep(&self.cluster_store(&self.settings()?)?, &keys.cluster_key(), what).await.map(Some)
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
    // Drivers name places without links, and the home of either may lie behind one.
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let root_without_links = real(root);
    let below = place.filter(|place| {
        place.components().all(|part| !matches!(part, std::path::Component::ParentDir))
            && real(place).starts_with(&root_without_links)
    });
    match below {
        Some(folder) => Ok(tributary_file::storage(folder)?),
        None => Err(Error::new(
            ErrorKind::Denied,
            format!("an executor of {} was asked for tables in {address}", root.display()),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_below_a_home_behind_a_link_are_opened_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::create_dir_all(real.join("parties/1/tables")).unwrap();
        std::fs::create_dir_all(folder.path().join("outside")).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        std::os::unix::fs::symlink(folder.path().join("outside"), real.join("out")).unwrap();
        let address = |below: &Path| format!("file://{}", below.display());
        for root in [&real, &link] {
            for named in [&real, &link] {
                open_storage(root, &address(&named.join("parties/1/tables"))).unwrap();
            }
            for bad in [folder.path().join("outside"), real.join("out"), link.join("../outside")] {
                assert_eq!(open_storage(root, &address(&bad)).unwrap_err().kind(), ErrorKind::Denied);
            }
            assert_eq!(open_storage(root, "s3://bucket/tables").unwrap_err().kind(), ErrorKind::Denied);
        }
    }
}
