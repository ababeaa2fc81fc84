//! Computing on rayon over Arrow: what runs on a laptop, and the model of what every engine must give.
//!
//! A session is a pool of exactly the placed number of threads, a memory budget, and tables held as Arrow batches, in memory
//! and, if the engine was given a folder, on disk for what the budget has no room for. An
//! action pulls each partition through all its operations at once ([`tributary_partition`]); pipelines break only at
//! exchanges and at nodes that stand twice in a plan (`stages`).
//!
//! A kernel that says it works row by row may be split: several threads compute one partition, each with a
//! step of its own. That is how the encryption of one partition uses all cores. Where rows with equal keys stand beside each
//! other, what is kept or saved is `Loose`: a `Keyed` table promises that no key stands twice.
//!
//! ```
//! use std::sync::Arc;
//! use tributary_core::computing::{Engine, SessionSpec};
//! use tributary_core::placement::CoreRequest;
//! # fn example(storage: Arc<dyn tributary_core::storage::Storage>) -> tributary_core::Result<()> {
//! let engine = tributary_standalone::Standalone::new(tributary_core::kernel::Kernels::default(), storage);
//! let placement = engine.place(&CoreRequest::of_task_cores(2))?;
//! let id = "job-1.reader_0.0".parse()?;
//! let spec = SessionSpec { id, placement, memory_bytes: 1 << 30 };
//! let session = futures::executor::block_on(engine.open(spec))?;
//! # drop(session);
//! # Ok(())
//! # }
//! ```

pub mod config;
mod placement;
mod session;
mod run;
mod reader;
mod stages;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tributary_core::computing::{Computing, Engine, EngineInfo, SessionSpec, Spills};
use tributary_core::error::Result;
use tributary_core::kernel::Kernels;
use tributary_core::placement::{CoreRequest, Placement};
use tributary_core::storage::Storage;
use tributary_partition::disk::Disk;

pub use config::Config;
pub use session::Session;

/// The engine in this process.
pub struct Standalone {
    info: EngineInfo,
    kernels: Kernels,
    storage: Arc<dyn Storage>,
    disk: Option<Arc<Disk>>,
}

impl Standalone {
    /// An engine with these kernels, on this store. Its sessions fail where they need more than their memory.
    pub fn new(kernels: Kernels, storage: Arc<dyn Storage>) -> Self {
        Self { info: EngineInfo::new("standalone"), kernels, storage, disk: None }
    }

    /// Rows that memory has no room for go to files without a name in this folder, of all sessions together up to so many
    /// bytes. The folder is made when it is needed.
    #[must_use]
    pub fn spilling_to(mut self, folder: PathBuf, limit_bytes: u64) -> Self {
        self.info = self.info.spilling(Spills::Rows);
        self.disk = Some(Disk::new(folder, limit_bytes));
        self
    }

    /// Bytes on disk of what its sessions have no room for, now.
    pub fn spilled_bytes(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.used())
    }

    /// Bytes ever written there.
    pub fn spilled_bytes_ever(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.written())
    }

    /// As [`Engine::open`], as the type that says how much memory is in use.
    pub fn session(&self, spec: SessionSpec) -> Result<Session> {
        Session::open(spec, self.kernels.clone(), self.storage.clone(), self.disk.clone())
    }
}

#[async_trait]
impl Engine for Standalone {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn place(&self, request: &CoreRequest) -> Result<Placement> {
        placement::place(request)
    }

    async fn open(&self, spec: SessionSpec) -> Result<Arc<dyn Computing>> {
        Ok(Arc::new(self.session(spec)?))
    }
}

impl fmt::Debug for Standalone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standalone engine over {:?}", self.storage)
    }
}
