//! The composition root: reads `service_conf.yaml` and builds the chosen engines. The only library that names them all.
//!
//! A new engine is one line in [`keys::CHOICES`] and one arm of a `match` in `home`.

#![warn(missing_docs)]

pub mod keys;
pub mod reference;
pub mod settings;

mod home;
#[cfg(feature = "ballista")]
mod cluster;

#[cfg(feature = "ballista")]
pub use cluster::{ClusterStatus, ExecutorSettings, ExecutorStatus, JobStatus, keep_freed_memory};
pub use home::{Compute, Home};
pub use settings::Settings;
