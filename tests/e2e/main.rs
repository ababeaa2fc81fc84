//! Whole jobs, and everything else that a user types, through the binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

mod site;

mod bind;
mod breast;
#[cfg(feature = "ballista")]
mod cluster;
mod config;
mod download;
mod interop;
mod jobs;
mod limits;
mod merging;
mod peers;
mod tables;
mod tune;
mod uploads;
