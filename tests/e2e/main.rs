//! Whole jobs, and everything else that a user types, through the binary.

mod site;

mod breast;
#[cfg(feature = "ballista")]
mod cluster;
mod jobs;
mod tables;
mod tune;
