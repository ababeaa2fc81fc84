//! What the actions of a session share: what it holds, its threads, its memory, and which actions are in progress.

use std::sync::Arc;

use tributary_core::computing::{Blob, Handle, SessionSpec};
use tributary_core::error::{Error, Result};
use tributary_core::kernel::Kernels;
use tributary_core::layout::Layout;
use tributary_core::schema::TableSchema;
use tributary_core::storage::Storage;
use tributary_partition::batches::Held;
use tributary_partition::cancel::Actions;
use tributary_partition::disk::Disk;
use tributary_partition::items::Items;
use tributary_partition::memory::{Hold, Memory};
use tributary_partition::pool::Pool;

/// A blob with its share of the budget.
pub(crate) struct HeldBlob {
    pub(crate) blob: Blob,
    pub(crate) _share: Hold,
}

/// What actions share, and streams outlive the session with.
pub(crate) struct State {
    pub(crate) spec: SessionSpec,
    pub(crate) kernels: Kernels,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) items: Arc<Items<Held, HeldBlob>>,
    pub(crate) pool: Pool,
    pub(crate) actions: Actions,
}

impl State {
    pub(crate) fn open(
        spec: SessionSpec,
        kernels: Kernels,
        storage: Arc<dyn Storage>,
        disk: Option<Arc<Disk>>,
    ) -> Result<Self> {
        if spec.placement.cores == 0 {
            return Err(Error::invalid(format!("open session {} on 0 cores, expected at least 1", spec.id)));
        }
        let (id, budget) = (spec.id.clone(), spec.memory_bytes);
        Ok(Self {
            memory: match disk {
                Some(disk) => Memory::spilling(id.clone(), budget, disk),
                None => Memory::new(id.clone(), budget),
            },
            items: Items::new(id.clone()),
            pool: Pool::new(&id, spec.placement.cores)?,
            actions: Actions::new(id),
            spec,
            kernels,
            storage,
        })
    }

    /// Ends all actions, and frees what is held.
    pub(crate) fn close(&self) {
        self.actions.close();
        self.items.close();
        self.pool.dismiss();
    }

    /// A handle on rows; `layout` is where they are.
    pub(crate) fn hold(&self, held: Arc<Held>, schema: &TableSchema, layout: Layout) -> Result<Arc<Handle>> {
        let sizes = held.sizes();
        self.items.hold_rows(held, schema.clone(), layout, sizes)
    }
}
