//! Job control: from a job file to tasks on the sites' engines and their recorded results.
//!
//! In reading order: [`spec`] reads and checks a job, [`place`] turns its requests into placements, [`lookup`] sees whether all it
//! needs is there, [`scheduler`] decides what runs when, `executor` runs one attempt at one task of one party and `attempt` all of
//! its parties, [`run`] performs a whole job in this process, [`event`] reports what happens, and [`record`] is what stays, with a
//! `claim` on it while the job runs. `limits` compares what a job asks a party to release before it begins, and the [`ledger`]
//! records what was released. This crate knows contracts and components, and no engine.

pub mod spec;
pub mod place;
pub mod lookup;
pub mod scheduler;
pub mod run;
pub mod event;
pub mod record;
pub mod ledger;
pub mod status;

mod attempt;
mod claim;
mod clock;
mod executor;
mod limits;
mod log;
mod metered;
mod sources;
mod progress;
mod staged;

pub use clock::new_job_id;
pub use run::Job;
