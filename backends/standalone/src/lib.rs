//! Computing on rayon over Arrow: what runs on a laptop, and the model of what every engine must give.
//!
//! A session is a pool of exactly the placed number of threads, a memory budget, and tables held as Arrow batches, in memory
//! and, if the engine was given a folder, on disk for what the budget has no room for. An
//! action pulls each partition through all its operations at once ([`tributary_partition`]); pipelines break only at
//! exchanges and at nodes that occur twice in a plan (`breaks`).
//!
//! A kernel that says it works row by row may be split: several threads compute one partition, each with a
//! step of its own. That is how the encryption of one partition uses all cores. Where rows with equal keys stand beside each
//! other, what is kept or saved is `Loose`: a `Keyed` table promises that no key occurs twice.
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
mod engine;
mod placement;
mod session;
mod reader;
mod run;
mod breaks;
mod state;

pub use config::Config;
pub use engine::Standalone;
pub use session::Session;
