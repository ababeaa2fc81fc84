//! What an executor runs fragments with: kernels, the site's stores, the store of sessions, and the cluster's key.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tributary_core::bytestore::ByteStore;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::kernel::Kernels;
use tributary_core::storage::{Storage, TableUri};
use tributary_partition::cancel::lock;

use crate::fragment::Fragment;
use crate::seal::ClusterKey;
use crate::store::SessionStore;

/// Opens a site's store by the address that it gives for other processes, with this process's own credentials. `Denied` for
/// places that are not this executor's business.
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

    /// The store of a table, which is one of these. Opened when it is first needed: an executor without the credentials of
    /// one store runs the jobs that use another.
    pub(crate) fn storage(&self, stores: &[String], table: &TableUri) -> Result<Arc<dyn Storage>> {
        let has = |address: &&String| {
            table.as_str().strip_prefix(address.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let address = stores.iter().find(has).ok_or_else(|| {
            let text = format!("table {table} is in no store of its site that executors can reach");
            Error::new(ErrorKind::Unsupported, text)
        })?;
        if let Some(found) = lock(&self.storages).get(address) {
            return Ok(found.clone());
        }
        let opened = (self.open_storage)(address)?;
        lock(&self.storages).insert(address.clone(), opened.clone());
        Ok(opened)
    }

    pub(crate) fn session_store(&self, fragment: &Fragment) -> SessionStore {
        SessionStore::new(self.store.clone(), self.key.clone(), &fragment.store)
    }
}
