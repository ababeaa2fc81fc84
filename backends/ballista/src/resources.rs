//! What an executor runs fragments with: kernels, the site's stores, the store of sessions, and the cluster's key.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tributary_core::bytestore::ByteStore;
use tributary_core::error::Result;
use tributary_core::kernel::Kernels;
use tributary_core::storage::{Nowhere, Storage};
use tributary_partition::cancel::lock;

use crate::fragment::Fragment;
use crate::seal::ClusterKey;
use crate::store::SessionStore;

/// Opens a site's store by the address that it gives for other processes. `Denied` for places that are not this
/// executor's business.
pub type OpenStorage = dyn Fn(&str) -> Result<Arc<dyn Storage>> + Send + Sync;

/// See the module.
pub struct Resources {
    pub(crate) kernels: Kernels,
    pub(crate) store: Arc<dyn ByteStore>,
    pub(crate) key: ClusterKey,
    open_storage: Box<OpenStorage>,
    storages: Mutex<HashMap<String, Arc<dyn Storage>>>,
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "executor over {}", self.store.base())
    }
}

impl Resources {
    /// An executor with these kernels. `store` is the same that drivers keep their sessions in.
    pub fn new(
        kernels: Kernels,
        store: Arc<dyn ByteStore>,
        key: ClusterKey,
        open_storage: Box<OpenStorage>,
    ) -> Arc<Self> {
        Arc::new(Self { kernels, store, key, open_storage, storages: Mutex::default() })
    }

    pub(crate) fn storage(&self, address: Option<&str>) -> Result<Arc<dyn Storage>> {
        let Some(address) = address else { return Ok(Arc::new(Nowhere)) };
        if let Some(found) = lock(&self.storages).get(address) {
            return Ok(found.clone());
        }
        let opened = (self.open_storage)(address)?;
        lock(&self.storages).insert(address.to_owned(), opened.clone());
        Ok(opened)
    }

    pub(crate) fn session_store(&self, fragment: &Fragment) -> SessionStore {
        SessionStore::new(self.store.clone(), self.key.clone(), &fragment.store)
    }
}
