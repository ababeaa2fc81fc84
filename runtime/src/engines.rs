//! The engines: a new one is an entry of [`ENGINES`] with the few lines that make it, and a cargo feature if it is not for all.
//!
//! Keys are declared in the engine's own crate; what is here is where they go together. FATE calls its local store and its
//! federation in one process `standalone`, hence these aliases.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

#[cfg(any(feature = "object", feature = "hdfs"))]
use tributary_core::bytestore::ByteStore;
use tributary_core::federation::Network;
use tributary_core::meta::StorageMeta;
use tributary_core::settings::{Key, Kind, Section};
use tributary_core::storage::Storage;
use tributary_core::{PartyId, Result, ResultExt};

use crate::choice::{
    CHOSEN, Choice, Comes, Contract, Engine, Joining, Known, Open, Owner, Part, Store, Transport,
    with_feature,
};

/// Id of this site.
pub(crate) const PARTY_ID: &str = "party_id";
/// How long to wait for a silent peer, in the section `federation`.
pub(crate) const PATIENCE: &str = "patience";
/// The section of what all transports have in common.
pub(crate) const FEDERATION: &str = "federation";
/// The transport that has no other end outside of this process.
pub(crate) const IN_PROCESS: &str = "memory";
/// The transport of lines between sites.
pub(crate) const DIRECT: &str = "direct";
/// The section of what a party releases.
pub(crate) const LIMITS: &str = "limits";
/// The section of an exchange.
pub(crate) const EXCHANGE: &str = "exchange";
/// The section that all processes of a cluster share.
pub(crate) const CLUSTER: &str = "cluster";

/// All engines and sections.
pub static ENGINES: Known = Known {
    choices: &[
        Choice {
            contract: Contract::Computing,
            name: "standalone",
            aliases: &[],
            description: "all cores of this machine, in process",
            engine: with_feature!(
                "standalone",
                Engine { keys: &[tributary_standalone::config::KEYS], open: Open::Computing(standalone) }
            ),
        },
        Choice {
            contract: Contract::Computing,
            name: "spark",
            aliases: &[],
            description: "a cluster of Apache DataFusion Ballista; cores as FATE counts them on Spark: executors × cores each",
            engine: with_feature!(
                "ballista",
                Engine {
                    keys: &[tributary_ballista::config::KEYS],
                    open: Open::Computing(crate::cluster::spark)
                }
            ),
        },
        Choice {
            contract: Contract::Computing,
            name: "eggroll",
            aliases: &[],
            description: "the same cluster; cores as FATE counts them on EggRoll: cores of a node × nodes",
            engine: with_feature!(
                "ballista",
                Engine {
                    keys: &[tributary_ballista::config::KEYS],
                    open: Open::Computing(crate::cluster::eggroll)
                }
            ),
        },
        Choice {
            contract: Contract::Storage,
            name: "file",
            aliases: &["standalone"],
            description: "Parquet files in a local folder",
            engine: Comes::Always(Engine {
                keys: &[tributary_file::config::KEYS],
                open: Open::Storage(Store { scheme: "file", is_used: file_is_used, open: file, files: None }),
            }),
        },
        Choice {
            contract: Contract::Storage,
            name: "s3",
            aliases: &[],
            description: "Parquet objects in a bucket of S3, or of a server that speaks its protocol",
            engine: with_feature!(
                "object",
                Engine {
                    keys: &[tributary_object::S3_KEYS],
                    open: Open::Storage(Store {
                        scheme: "s3",
                        is_used: s3_is_used,
                        open: s3,
                        files: Some(s3_files)
                    }),
                }
            ),
        },
        Choice {
            contract: Contract::Storage,
            name: "azure",
            aliases: &[],
            description: "Parquet objects in a container of Azure Blob Storage",
            engine: with_feature!(
                "object",
                Engine {
                    keys: &[tributary_object::AZURE_KEYS],
                    open: Open::Storage(Store {
                        scheme: "az",
                        is_used: azure_is_used,
                        open: azure,
                        files: Some(azure_files)
                    }),
                }
            ),
        },
        Choice {
            contract: Contract::Storage,
            name: "gcs",
            aliases: &[],
            description: "Parquet objects in a bucket of Google Cloud Storage",
            engine: with_feature!(
                "object",
                Engine {
                    keys: &[tributary_object::GCS_KEYS],
                    open: Open::Storage(Store {
                        scheme: "gs",
                        is_used: gcs_is_used,
                        open: gcs,
                        files: Some(gcs_files)
                    }),
                }
            ),
        },
        Choice {
            contract: Contract::Storage,
            name: "hdfs",
            aliases: &[],
            description: "Parquet files in a folder of HDFS; see [docs/hdfs.md](hdfs.md)",
            engine: with_feature!(
                "hdfs",
                Engine {
                    keys: &[tributary_hdfs::KEYS],
                    open: Open::Storage(Store {
                        scheme: "hdfs",
                        is_used: hdfs_is_used,
                        open: hdfs,
                        files: Some(hdfs_files),
                    }),
                }
            ),
        },
        Choice {
            contract: Contract::Storage,
            name: "postgresql",
            aliases: &["postgres"],
            description: "tables in a PostgreSQL database, and tables and views of other programs there",
            engine: with_feature!(
                "sql",
                Engine {
                    keys: &[tributary_sql::POSTGRESQL_KEYS, tributary_sql::COMMON],
                    open: Open::Storage(Store {
                        scheme: "postgresql",
                        is_used: sql_is_used,
                        open: postgresql,
                        files: None,
                    }),
                }
            ),
        },
        Choice {
            contract: Contract::Storage,
            name: "mysql",
            aliases: &["mariadb"],
            description: "the same in MySQL or MariaDB",
            engine: with_feature!(
                "sql",
                Engine {
                    keys: &[tributary_sql::MYSQL_KEYS, tributary_sql::COMMON],
                    open: Open::Storage(Store {
                        scheme: "mysql",
                        is_used: sql_is_used,
                        open: mysql,
                        files: None
                    }),
                }
            ),
        },
        Choice {
            contract: Contract::StorageMeta,
            name: "sqlite",
            aliases: &[],
            description: "what the party knows of its tables, in one SQLite file",
            engine: Comes::Always(Engine {
                keys: &[tributary_meta::config::KEYS],
                open: Open::StorageMeta(sqlite),
            }),
        },
        Choice {
            contract: Contract::StorageMeta,
            name: "postgresql",
            aliases: &["postgres"],
            description: "the same in a PostgreSQL database, which all servers of a site may share",
            engine: Comes::Always(Engine {
                keys: &[tributary_meta::config::POSTGRESQL_KEYS, tributary_meta::config::COMMON],
                open: Open::StorageMeta(postgresql_meta),
            }),
        },
        Choice {
            contract: Contract::StorageMeta,
            name: "mysql",
            aliases: &["mariadb"],
            description: "the same in a MySQL or MariaDB database",
            engine: Comes::Always(Engine {
                keys: &[tributary_meta::config::MYSQL_KEYS, tributary_meta::config::COMMON],
                open: Open::StorageMeta(mysql_meta),
            }),
        },
        Choice {
            contract: Contract::Federation,
            name: IN_PROCESS,
            aliases: &["standalone"],
            description: "all parties in one process (`tributary run`)",
            engine: Comes::Always(Engine {
                keys: &[tributary_memory::config::KEYS],
                open: Open::Federation(Transport { networks: memory, broker: None }),
            }),
        },
        Choice {
            contract: Contract::Federation,
            name: DIRECT,
            aliases: &["osx", "rollsite"],
            description: "lines between sites over one port each, or through an exchange (`tributary run --party`, `tributary agent`)",
            engine: Comes::Always(Engine {
                keys: &[tributary_memory::config::KEYS, tributary_direct::config::KEYS],
                open: Open::Federation(Transport { networks: crate::direct::networks, broker: None }),
            }),
        },
        Choice {
            contract: Contract::Federation,
            name: "rabbitmq",
            aliases: &[],
            description: "a RabbitMQ broker between sites, or one at each of them; see [docs/rabbitmq.md](rabbitmq.md)",
            engine: with_feature!(
                "rabbitmq",
                Engine {
                    keys: &[tributary_memory::config::KEYS, tributary_rabbitmq::config::KEYS],
                    open: Open::Federation(Transport {
                        networks: crate::rabbitmq::networks,
                        broker: Some(crate::rabbitmq::broker),
                    }),
                }
            ),
        },
        Choice {
            contract: Contract::Federation,
            name: "pulsar",
            aliases: &[],
            description: "an Apache Pulsar cluster between sites, or one at each of them; see [docs/pulsar.md](pulsar.md)",
            engine: with_feature!(
                "pulsar",
                Engine {
                    keys: &[tributary_memory::config::KEYS, tributary_pulsar::config::KEYS],
                    open: Open::Federation(Transport {
                        networks: crate::pulsar::networks,
                        broker: Some(crate::pulsar::broker),
                    }),
                }
            ),
        },
    ],
    parts: PARTS,
};

/// The sections beside those of engines.
pub(crate) const PARTS: &[Part] = &[
    Part { path: "", description: "the site", keys: Comes::Always(&[SITE]) },
    Part {
        path: CHOSEN,
        description: "an engine for each contract; see [engines](#engines)",
        keys: Comes::Always(&[CHOICES]),
    },
    Part {
        path: FEDERATION,
        description: "what is taken from other parties, and how long it is waited for, on every engine",
        keys: Comes::Always(&[FEDERATION_KEYS, tributary_memory::config::LIMIT_KEYS]),
    },
    Part {
        path: LIMITS,
        description: "what a party releases to its partners, whatever a job asks",
        keys: Comes::Always(&[tributary_core::limits::KEYS]),
    },
    Part {
        path: EXCHANGE,
        description: "an exchange (`tributary exchange`), through which sites are reached that do not see each other",
        keys: Comes::Always(&[tributary_direct::config::EXCHANGE_KEYS]),
    },
    Part {
        path: CLUSTER,
        description: "the cluster, where computing is `spark` or `eggroll`: for drivers, scheduler and executors",
        keys: with_feature!("ballista", &[tributary_ballista::config::CLUSTER_KEYS] as &[&[Key]]),
    },
];

const SITE: &[Key] = &[Key::new(
    PARTY_ID,
    Kind::Id,
    "9999",
    "Id of this site; commands that need a party and are given none use it.",
)];

/// A key for each contract, which are read as names of engines.
const CHOICES: &[Key] = &[
    Key::new("computing", Kind::Text, "standalone", "Which engine computes."),
    Key::new(
        "storage",
        Kind::Text,
        "file",
        "Which engine keeps new tables; those that other stores of the party have stay there.",
    ),
    Key::new("storage_meta", Kind::Text, "sqlite", "Which engine keeps what a party knows of its tables."),
    Key::new("federation", Kind::Text, "memory", "How values reach the other parties."),
];

const FEDERATION_KEYS: &[Key] = &[Key::new(
    PATIENCE,
    Kind::Seconds,
    "3600",
    "How long a task waits for a silent party before it fails and names it. A party that computes for longer between two messages \
     counts as silent.",
)];

#[cfg(feature = "standalone")]
fn standalone(section: &Section, ground: &crate::choice::Ground<'_>) -> Result<crate::home::Compute> {
    let config = tributary_standalone::Config::from_section(section, ground.home)?;
    let (cores, memory_bytes) = (config.cores, config.task_memory_bytes(ground.parties));
    let disk_bytes = config.disk_bytes(ground.parties);
    let engine = tributary_standalone::Standalone::new(ground.kernels.clone(), ground.storage.clone())
        .spilling_to(config.spill_folder, disk_bytes);
    Ok(crate::home::Compute { engine: Arc::new(engine), cores, memory_bytes })
}

fn file_is_used(section: &Section, owner: &Owner<'_>) -> Result<bool> {
    Ok(tributary_file::Config::from_section(section, owner.home)?.path.is_dir())
}

fn file(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn Storage>> {
    let tables = tributary_file::storage(&tributary_file::Config::from_section(section, owner.home)?.path)?;
    Ok(Arc::new(tables.with_media(owner.media.clone())))
}

#[cfg(feature = "object")]
fn s3_is_used(section: &Section, _: &Owner<'_>) -> Result<bool> {
    tributary_object::S3Config::is_given(section)
}

#[cfg(feature = "object")]
fn s3(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn Storage>> {
    let config = tributary_object::S3Config::from_section(section, owner.party.as_str(), owner.home)?;
    Ok(Arc::new(tributary_object::s3(&config)?.with_media(owner.media.clone())))
}

#[cfg(feature = "object")]
fn s3_files(section: &Section, owner: &Owner<'_>, place: &str) -> Result<Arc<dyn ByteStore>> {
    let config = tributary_object::S3Config::from_section(section, owner.party.as_str(), owner.home)?;
    Ok(Arc::new(tributary_object::ObjectBytes::s3(&config.elsewhere(place))?))
}

#[cfg(feature = "object")]
fn azure_is_used(section: &Section, _: &Owner<'_>) -> Result<bool> {
    tributary_object::AzureConfig::is_given(section)
}

#[cfg(feature = "object")]
fn azure(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn Storage>> {
    let config = tributary_object::AzureConfig::from_section(section, owner.party.as_str(), owner.home)?;
    Ok(Arc::new(tributary_object::azure(&config)?.with_media(owner.media.clone())))
}

#[cfg(feature = "object")]
fn azure_files(section: &Section, owner: &Owner<'_>, place: &str) -> Result<Arc<dyn ByteStore>> {
    let config = tributary_object::AzureConfig::from_section(section, owner.party.as_str(), owner.home)?;
    Ok(Arc::new(tributary_object::ObjectBytes::azure(&config.elsewhere(place))?))
}

#[cfg(feature = "object")]
fn gcs_is_used(section: &Section, _: &Owner<'_>) -> Result<bool> {
    tributary_object::GcsConfig::is_given(section)
}

#[cfg(feature = "object")]
fn gcs(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn Storage>> {
    let config = tributary_object::GcsConfig::from_section(section, owner.party.as_str(), owner.home)?;
    Ok(Arc::new(tributary_object::gcs(&config)?.with_media(owner.media.clone())))
}

#[cfg(feature = "object")]
fn gcs_files(section: &Section, owner: &Owner<'_>, place: &str) -> Result<Arc<dyn ByteStore>> {
    let config = tributary_object::GcsConfig::from_section(section, owner.party.as_str(), owner.home)?;
    Ok(Arc::new(tributary_object::ObjectBytes::gcs(&config.elsewhere(place))?))
}

#[cfg(feature = "hdfs")]
fn hdfs_is_used(section: &Section, _: &Owner<'_>) -> Result<bool> {
    tributary_hdfs::HdfsConfig::is_given(section)
}

#[cfg(feature = "hdfs")]
fn hdfs(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn Storage>> {
    let config = tributary_hdfs::HdfsConfig::from_section(section, owner.party.as_str(), owner.home)?;
    Ok(Arc::new(tributary_hdfs::storage(&config)?.with_media(owner.media.clone())))
}

#[cfg(feature = "hdfs")]
fn hdfs_files(section: &Section, owner: &Owner<'_>, place: &str) -> Result<Arc<dyn ByteStore>> {
    let config = tributary_hdfs::HdfsConfig::from_section(section, owner.party.as_str(), owner.home)?;
    Ok(Arc::new(tributary_hdfs::HdfsBytes::new(&config.elsewhere(place))?))
}

#[cfg(feature = "sql")]
fn sql_is_used(section: &Section, _: &Owner<'_>) -> Result<bool> {
    tributary_sql::Config::is_given(section)
}

#[cfg(feature = "sql")]
fn postgresql(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn Storage>> {
    sql(tributary_sql::Product::PostgreSql, section, owner)
}

#[cfg(feature = "sql")]
fn mysql(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn Storage>> {
    sql(tributary_sql::Product::MySql, section, owner)
}

#[cfg(feature = "sql")]
fn sql(product: tributary_sql::Product, section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn Storage>> {
    let config = tributary_sql::Config::from_section(product, section, owner.party.as_str(), owner.home)?;
    Ok(tributary_sql::SqlTables::new(&config)?)
}

fn sqlite(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn StorageMeta>> {
    Ok(tributary_meta::open(&tributary_meta::Config::from_section(section, owner.home)?.path)?)
}

fn postgresql_meta(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn StorageMeta>> {
    let server = tributary_meta::config::server(tributary_meta::Product::PostgreSql, section, owner.home)?;
    Ok(tributary_meta::shared(server, owner.party.as_str()))
}

fn mysql_meta(section: &Section, owner: &Owner<'_>) -> Result<Arc<dyn StorageMeta>> {
    let server = tributary_meta::config::server(tributary_meta::Product::MySql, section, owner.home)?;
    Ok(tributary_meta::shared(server, owner.party.as_str()))
}

fn memory(
    parties: &BTreeMap<PartyId, Joining<'_>>,
    home: &Path,
) -> Result<BTreeMap<PartyId, Arc<dyn Network>>> {
    let options = |(party, joining): (&PartyId, &Joining<'_>)| {
        let common = joining.settings.section(FEDERATION)?;
        let options = tributary_memory::Options::from_sections(common, joining.section, home)?;
        if let Some(folder) = &options.folder {
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.at(|| format!("create {}", folder.display()))
                .at(|| joining.section.place("spill_folder"))?;
        }
        Ok((party.clone(), options))
    };
    tributary_memory::networks_with(parties.iter().map(options).collect::<Result<_>>()?)
}
