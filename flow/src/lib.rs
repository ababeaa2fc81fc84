//! Job control: from a job file to tasks on the sites' engines and their recorded results.
//!
//! In reading order: [`spec`] reads and checks a job; [`agent`] is what a coordinator may ask of a site, [`site_agent`] does it at a
//! site, and the [`coordinator`] performs what the [`scheduler`] decides. [`remote`] brings requests to agents at other sites. At a site, [`place`] turns requests into placements,
//! `lookup` sees whether all that a job needs is there, `limits` compares what it asks the site to release, `cores` counts
//! what jobs have booked, `executor` runs one party's part of one attempt at a task, `prepared` keeps its outputs until it is decided
//! whether they count. [`store`] is what a coordinator remembers, [`event`] reports what happens, [`record`] is what stays, with a
//! `claim` on it while the job runs, and the [`ledger`] records what was released. [`leftovers`] cleans up after jobs that were
//! killed. This crate knows contracts and components, and no engine.

pub mod spec;
pub mod agent;
pub mod site_agent;
pub mod coordinator;
pub mod remote;
pub mod scheduler;
pub mod place;
pub mod store;
pub mod event;
pub mod record;
pub mod ledger;
pub mod leftovers;
pub mod status;

mod claim;
mod clock;
mod cores;
mod executor;
mod fault;
mod limits;
mod log;
mod lookup;
mod metered;
mod prepared;
mod sources;
mod progress;
mod staged;

pub use clock::new_job_id;
pub use coordinator::Coordinator;
pub use lookup::{models as models_of, tables as tables_of};
pub use site_agent::SiteAgent;
