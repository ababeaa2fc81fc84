//! Tables in object stores: S3 and compatibles, Azure, Google Cloud Storage; and files of others there.
//!
//! An address is the service's own: `s3://bucket/prefix/namespace/name`. The manifest is written with a condition on the entity
//! tag that was read, so that of two writers one wins, whatever machines they are on. Large parts go up in pieces while they
//! are made; a part is visible whole or not at all, because an object is.
//!
//! **The client is `object_store`**, the one that DataFusion uses. It needs tokio, which our engines do not have: a store brings
//! two threads of its own, and hands results to whoever polls.
//!
//! What the client repeats, it repeats with back-off for as long as [`Way::patience`] says. A request whose answer was lost
//! may have been done: a conditional one that then finds its own bytes in place has succeeded.

mod azure;
mod config;
mod error;
mod gcs;
mod notes;
mod s3;
mod store;
mod upload;

pub use azure::{AzureConfig, KEYS as AZURE_KEYS};
pub use config::Way;
pub use gcs::{GcsConfig, KEYS as GCS_KEYS, ServiceAccount};
pub use s3::{COPIED_AT_ONCE, KEYS as S3_KEYS, S3Config, S3Keys};
pub use store::ObjectBytes;

use std::sync::Arc;

use tributary_core::Result;
use tributary_table::Tables;

/// The tables of a site in S3, or a server that speaks its protocol. Asks the server nothing.
pub fn s3(config: &S3Config) -> Result<Arc<Tables>> {
    Ok(Arc::new(Tables::new(Arc::new(ObjectBytes::s3(config)?))))
}

/// The same in Azure Blob Storage.
pub fn azure(config: &AzureConfig) -> Result<Arc<Tables>> {
    Ok(Arc::new(Tables::new(Arc::new(ObjectBytes::azure(config)?))))
}

/// The same in Google Cloud Storage.
pub fn gcs(config: &GcsConfig) -> Result<Arc<Tables>> {
    Ok(Arc::new(Tables::new(Arc::new(ObjectBytes::gcs(config)?))))
}
