//! What the actions of a session share: its name and share of the cluster, what it holds, and which actions are in progress.

use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tributary_core::computing::{Handle, SessionSpec};
use tributary_core::error::{Error, Result};
use tributary_core::kernel::Kernels;
use tributary_core::layout::Layout;
use tributary_core::schema::TableSchema;
use tributary_core::storage::Storage;
use tributary_partition::cancel::Actions;

use crate::client::Client;
use crate::fragment::{Commit, Made};
use crate::items::{File, Items, Kept, Stretch};
use crate::placement::Executors;
use crate::seal::ClusterKey;
use crate::store::SessionStore;

/// What actions share, and streams outlive the session with.
pub(crate) struct State {
    pub(crate) spec: SessionSpec,
    /// What the session is called in the cluster. Its own id is not enough: all parties of an attempt have the same, and
    /// may use one cluster.
    pub(crate) name: String,
    pub(crate) executors: Executors,
    pub(crate) kernels: Kernels,
    pub(crate) client: Client,
    pub(crate) key: ClusterKey,
    pub(crate) store: SessionStore,
    pub(crate) storage: Arc<dyn Storage>,
    /// Where executors find the site's stores.
    pub(crate) stores: Vec<String>,
    pub(crate) items: Arc<Items>,
    pub(crate) leftovers: UnboundedSender<String>,
    pub(crate) actions: Actions,
}

impl State {
    /// Ends all actions, and frees what is held. `false` if that was done before.
    pub(crate) fn close(&self) -> bool {
        let first = self.actions.close();
        self.items.close();
        first
    }

    /// Held while an action runs.
    pub(crate) fn moved(&self, action: u64) -> Moved {
        let folder = self.store.moved_folder(action);
        Moved { store: self.store.clone(), folder, runtime: self.client.runtime().clone() }
    }

    /// Commits have been read.
    pub(crate) fn forget(&self, action: u64, partitions: usize) {
        for partition in 0..partitions as u32 {
            drop(self.leftovers.send(self.store.commit_place(action, partition)));
        }
    }

    /// Where the rows of each partition are, as the executors say.
    pub(crate) fn kept(&self, commits: Vec<Commit>) -> Result<Kept> {
        let part = |commit: Commit| match commit.made {
            Made::File(path) => Ok(vec![Stretch {
                file: File::new(path, &self.leftovers),
                rows: 0..commit.rows,
                bytes: commit.bytes,
                file_rows: commit.rows,
            }]),
            _ => Err(Error::bug("a kept partition that is no file")),
        };
        commits.into_iter().map(part).collect::<Result<_>>().map(Kept)
    }

    /// A handle on rows; `layout` is where they are.
    pub(crate) fn hold(&self, kept: Kept, schema: &TableSchema, layout: Layout) -> Result<Arc<Handle>> {
        let sizes = kept.sizes();
        self.items.hold_rows(Arc::new(kept), schema.clone(), layout, sizes)
    }
}

/// What an action's exchanges leave, removed when the action ends, however it does.
pub(crate) struct Moved {
    store: SessionStore,
    folder: String,
    runtime: tokio::runtime::Handle,
}

impl Drop for Moved {
    fn drop(&mut self) {
        let (store, folder) = (self.store.clone(), std::mem::take(&mut self.folder));
        // What a late task leaves after that goes with the session.
        self.runtime.spawn(async move { drop(store.delete_folder(&folder).await) });
    }
}
