//! The composition root: reads `service_conf.yaml` and builds the chosen engines. The only library that names them all.
//!
//! A new engine is an entry of [`ENGINES`]; its keys are declared in its own crate.

#![warn(missing_docs)]

pub mod choice;
pub mod reference;
pub mod settings;

mod direct;
#[cfg(feature = "pulsar")]
mod pulsar;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod exchange;
mod engines;
mod examine;
mod read;
mod routes;
mod wired;
mod refer;
mod fate;
mod home;
mod media;
#[cfg(feature = "ballista")]
mod cluster;
#[cfg(test)]
mod tests;

#[cfg(feature = "ballista")]
pub use cluster::{ClusterStatus, ExecutorSettings, ExecutorStatus, JobStatus, keep_freed_memory};
pub use direct::Way;
pub use engines::ENGINES;
pub use examine::{Examined, Opened};
pub use home::{Compute, Home};
pub use settings::Settings;
pub use tributary_direct::Exchange;
