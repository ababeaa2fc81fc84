//! The cluster: its engine for a site, and the parts that this machine takes in it.

use std::fs::DirBuilder;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use tributary_ballista::placement::Arithmetic;
use tributary_ballista::{
    Ballista, ClusterConfig, ClusterOptions, Config, Identity, Keys, Resources, executor, scheduler, status,
    sweep,
};
use tributary_core::bytestore::ByteStore;
use tributary_core::settings::Section;
use tributary_core::storage::{Storage, Sweep};
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

    /// Serves as the cluster's scheduler until `stop` is ready. `ready` gets the port.
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

    /// Serves as an executor. It opens the stores of parties whose home is this one.
    pub async fn serve_executor(&self, options: ExecutorSettings) -> Result<()> {
        let cluster = self.cluster()?;
        let keys = Keys::read(&cluster.keys)?;
        let home = self.clone();
        let open = move |address: &str| open_store(&home, address);
        let store = store(&cluster)?;
        let resources =
            Resources::new(self.components().kernels(), store, keys.cluster_key(), Box::new(open));
        let work = self.folder().join("cluster").join("work").join(format!("{}", std::process::id()));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&work);
        made.at(|| format!("create {}", work.display()))?;
        let options = executor::ExecutorOptions {
            scheduler: options.scheduler.unwrap_or(cluster.scheduler),
            listen: options.listen,
            advertised: options.advertised,
            cores: options.cores,
            memory_bytes: options.memory_bytes,
        };
        let served = executor::serve(resources, keys, options, &work).await;
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

    /// Removes, or counts, what sessions left in the store that were idle for `what.idle`; returns their number, or nothing
    /// if this home takes part in no cluster.
    pub async fn sweep_cluster_store(&self, what: &Sweep) -> Result<Option<u64>> {
        let cluster = self.cluster()?;
        if !cluster.keys.is_dir() {
            return Ok(None);
        }
        let keys = Keys::read(&cluster.keys)?;
        sweep(&store(&cluster)?, &keys.cluster_key(), what).await.map(Some)
    }
}

/// The settings with which an executor starts.
#[derive(Debug, Clone)]
pub struct ExecutorSettings {
    /// `host:port`; else the configured one.
    pub scheduler: Option<String>,
    /// Address to listen on.
    pub listen: IpAddr,
    /// Name or address under which others reach it.
    pub advertised: String,
    /// Tasks at once.
    pub cores: u32,
    /// Bytes for shuffles; 0 for most of the machine's.
    pub memory_bytes: u64,
}

/// A driver names a store of its site. This executor opens it if its own configuration gives that store to a party, with the
/// credentials that it finds here: none are sent.
fn open_store(home: &Home, address: &str) -> Result<Arc<dyn Storage>> {
    let scheme = address.split_once("://").map_or("", |(scheme, _)| scheme);
    // The site's own party needs no folder on this machine.
    let own = home.settings()?.party_id()?;
    let mut failed = None;
    for party in home.parties()?.into_iter().chain([own]) {
        match home.store(&party, scheme) {
            Ok(Some(store)) if store.addresses().iter().any(|own| own == address) => return Ok(store),
            Ok(_) => {}
            Err(error) => failed = Some(error),
        }
    }
    let denied = Error::new(
        ErrorKind::Denied,
        format!(
            "an executor of {} was asked for tables in {address}, which is no store of a party there; give it the \
             configuration of its driver, and the same folders",
            home.folder().display()
        ),
    );
    Err(match failed {
        Some(why) => denied.because(why),
        None => denied,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn open(home: &Path, address: &str) -> std::result::Result<(), ErrorKind> {
        let home = Home::find(Some(home.to_owned()), None).unwrap();
        open_store(&home, address).map(drop).map_err(|error| error.kind())
    }

    #[test]
    fn an_executor_opens_the_stores_of_its_parties_only_whatever_links_lead_there() {
        let disk = tempfile::tempdir().unwrap();
        let disk = std::fs::canonicalize(disk.path()).unwrap();
        let (home, link, outside) = (disk.join("home"), disk.join("link"), disk.join("outside"));
        let tables = home.join("parties/9999/tables");
        for folder in [&tables, &outside, &home.join("parties/10000")] {
            std::fs::create_dir_all(folder).unwrap();
        }
        symlink(&home, &link).unwrap();
        symlink(&outside, home.join("parties/10000/tables")).unwrap();
        std::fs::write(home.join("service_conf.yaml"), "computing: {standalone: {cores: 1}}").unwrap();

        let address = |folder: &Path| format!("file://{}", folder.display());
        for home in [&home, &link] {
            assert_eq!(open(home, &address(&tables)), Ok(()), "{}", home.display());
            // a party's own folder may be elsewhere, which its operator decided
            assert_eq!(open(home, &address(&outside)), Ok(()), "{}", home.display());
            for denied in [
                address(&disk),
                address(&disk.join("none")),
                address(&tables.join("n")),
                address(home),
                format!("{}/../../../../outside", address(&tables)),
                "s3://tables".into(),
                "tables".into(),
            ] {
                assert_eq!(open(home, &denied), Err(ErrorKind::Denied), "{denied}");
            }
        }
        assert!(!disk.join("none").exists() && !home.join("parties/tables").exists(), "nothing was made");
    }
}
