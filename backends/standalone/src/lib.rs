//! Computing on rayon over Arrow in memory: what runs on a laptop, and the model of what every engine must give.
//!
//! A session is a pool of exactly the placed number of threads, a memory budget, and tables held as Arrow batches. An
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
//! let id = tributary_core::SessionId::new("job-1.reader_0")?;
//! let spec = SessionSpec { id, placement, memory_bytes: 1 << 30 };
//! let session = futures::executor::block_on(engine.open(spec))?;
//! # drop(session);
//! # Ok(())
//! # }
//! ```

mod placement;
mod session;
mod run;
mod reader;
mod stages;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use tributary_core::computing::{Computing, Engine, EngineInfo, SessionSpec};
use tributary_core::error::Result;
use tributary_core::kernel::Kernels;
use tributary_core::placement::{CoreRequest, Placement};
use tributary_core::storage::Storage;

pub use session::Session;

/// The engine in this process.
pub struct Standalone {
    info: EngineInfo,
    kernels: Kernels,
    storage: Arc<dyn Storage>,
}

impl Standalone {
    /// An engine with these kernels, on this store.
    pub fn new(kernels: Kernels, storage: Arc<dyn Storage>) -> Self {
        Self { info: EngineInfo::new("standalone"), kernels, storage }
    }

    /// As [`Engine::open`], as the type that says how much memory is in use.
    pub fn session(&self, spec: SessionSpec) -> Result<Session> {
        Session::open(spec, self.kernels.clone(), self.storage.clone())
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
