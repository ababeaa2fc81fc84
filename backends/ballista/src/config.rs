//! Where a cluster is, and how large.

use std::sync::Arc;

use tributary_core::bytestore::ByteStore;

use crate::keys::Keys;
use crate::placement;

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
