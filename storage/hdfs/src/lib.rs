//! Tables in HDFS: name node, or a name service of several of which one is active; with or without Kerberos.
//!
//! An address is `hdfs://host:port/prefix/namespace/name`, or `hdfs://service/…` for a name service. Files are written under another
//! name and renamed, which is the one step of HDFS that is atomic and can be conditional: on that there is nothing at the new name, or on
//! that what is renamed is still where it was. From the second [`lock`] makes the conditions that HDFS lacks.
//!
//! **The client is `hdfs-native`**, which speaks Hadoop's protocols without Java. It loads Kerberos (`libgssapi_krb5`) when a cluster asks
//! for it. It needs tokio, so that the store brings threads of its own.
//!
//! A request that the name node surely has not carried out is repeated for as long as [`HdfsConfig::patience`] says. One whose answer was
//! lost is repeated too: each of ours names files that nobody else does, so that the second answer tells what became of the first request.

mod config;
mod error;
mod examine;
mod hadoop;
mod lock;
mod server;
mod store;
mod upload;

pub use config::{HdfsConfig, KEYS, Kerberos};
pub use store::HdfsBytes;

use std::sync::Arc;

use tributary_core::Result;
use tributary_table::Tables;

/// The tables of a site in HDFS. Asks the cluster nothing.
pub fn storage(config: &HdfsConfig) -> Result<Arc<Tables>> {
    Ok(Arc::new(Tables::new(Arc::new(HdfsBytes::new(config)?))))
}
