//! What a site's configuration says to a cluster: the section `cluster`, which scheduler, executors and drivers share, and
//! for drivers `computing.spark` or `computing.eggroll`, which say how large it is and whose rules count its cores.

use std::path::{Path, PathBuf};

use tributary_core::error::Result;
use tributary_core::settings::{Key, Kind, Section};

use crate::placement::{Arithmetic, Cluster};

/// The keys of `computing.spark` and of `computing.eggroll`.
pub const KEYS: &[Key] = &[
    Key::new(
        "cores",
        Kind::Int { least: 1, most: 1 << 20 },
        "2",
        "Cores of all executors of the cluster together that this site gives to jobs.",
    ),
    Key::new("nodes", Kind::Int { least: 1, most: 65_536 }, "2", "Executors of the cluster."),
    Key::new(
        "memory",
        Kind::Bytes,
        "2GiB",
        "Memory that exchanges of one task may take in all executors together.",
    ),
];

/// The keys of `cluster`.
pub const CLUSTER_KEYS: &[Key] = &[
    Key::new("scheduler", Kind::Text, "127.0.0.1:50050", "Host and port of the cluster's scheduler."),
    Key::new(
        "keys",
        Kind::Path,
        "cluster/keys",
        "Folder of the cluster's certificates and key, as `tributary cluster keys` makes it; a relative path is under the home \
         folder.",
    ),
    Key::new(
        "store",
        Kind::Path,
        "cluster/store",
        "Folder in which driver and executors keep what sessions hold: the same medium at all of them. A relative path is under \
         the home folder.",
    ),
];

/// `computing.spark` or `computing.eggroll`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How large the cluster is, and how it counts cores.
    pub size: Cluster,
    /// Memory of one task.
    pub memory_bytes: u64,
}

/// `cluster`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// `host:port` of its scheduler.
    pub scheduler: String,
    /// Folder of its keys.
    pub keys: PathBuf,
    /// Folder of its store.
    pub store: PathBuf,
}

impl Config {
    /// Reads the section of the engine that counts so.
    pub fn from_section(section: &Section, arithmetic: Arithmetic) -> Result<Self> {
        let size = Cluster { arithmetic, nodes: section.get("nodes")?, cores: section.get("cores")? };
        Ok(Self { size, memory_bytes: section.get("memory")? })
    }
}

impl ClusterConfig {
    /// Reads the section; relative paths are under `home`.
    pub fn from_section(section: &Section, home: &Path) -> Result<Self> {
        Ok(Self {
            scheduler: section.get::<&str>("scheduler")?.to_owned(),
            keys: section.path_under("keys", home)?,
            store: section.path_under("store", home)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use tributary_core::settings::{Origin, Value};

    use super::*;

    #[test]
    fn a_section_becomes_a_cluster_of_its_size() {
        let mut section = Section::new("computing.eggroll", KEYS).unwrap();
        section.set("cores", Value::Int(64), Origin::Default);
        let config = Config::from_section(&section, Arithmetic::Eggroll).unwrap();
        assert_eq!(config.size, Cluster { arithmetic: Arithmetic::Eggroll, nodes: 2, cores: 64 });
        assert_eq!(config.memory_bytes, 2 << 30);
    }

    #[test]
    fn folders_of_a_cluster_are_under_the_home() {
        let section = Section::new("cluster", CLUSTER_KEYS).unwrap();
        let config = ClusterConfig::from_section(&section, Path::new("/home/site")).unwrap();
        assert_eq!(config.keys, Path::new("/home/site/cluster/keys"));
        assert_eq!(config.store, Path::new("/home/site/cluster/store"));
    }
}
