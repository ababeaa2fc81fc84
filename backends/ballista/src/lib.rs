//! Computing on a cluster: a scheduler and executors of Apache DataFusion Ballista, in processes of their own.
//!
//! What is Ballista's: which executor does what when, shuffles between executors, and doing again what a lost executor had.
//! What is ours: what a stage of Ballista's does ([`fragment`](crate)), with the same code for one partition as the engine in one process;
//! where rows go ([`routing`](crate)); and where they are kept, a store that driver and executors share
//! ([`store`](crate)). The driver, which is the process of the task, gives the cluster physical plans of one kind of node, and
//! learns what was made of each partition from commits in that store: neither rows nor results pass through the scheduler.
//!
//! One action is one cluster job, and another one before it for each piece of work that must be kept first
//! ([`action`](crate)).

mod engine;
pub mod config;
pub mod placement;
mod seal;
mod keys;
mod fragment;
mod wire;
mod routing;
mod rows;
mod bundles;
mod store;
mod resources;
mod stop;
mod task;
mod node;
mod execution;
mod submission;
mod policy;
mod client;
mod items;
mod state;
mod action;
mod reader;
mod session;
mod gate;
mod admission;
mod malloc;
pub mod status;
pub mod scheduler;
pub mod executor;

pub use config::{ClusterConfig, Config};
pub use engine::{Ballista, ClusterOptions};
pub use keys::{Identity, Keys};
pub use malloc::keep_freed_memory;
pub use resources::{OpenStorage, Resources};
pub use seal::ClusterKey;
pub use store::sweep;
