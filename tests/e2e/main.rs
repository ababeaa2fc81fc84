//! Whole jobs, and everything else that a user types, through the binary.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

mod site;

mod apart;
mod bind;
mod binning_jobs;
mod boosting;
mod breast;
#[cfg(feature = "ballista")]
mod cluster;
mod config;
mod databases;
mod documents;
mod distant;
mod doctor;
mod download;
mod elsewhere;
mod far;
mod fate1;
mod files;
mod gc;
mod grants;
mod guides;
mod init;
mod interop;
mod jobs;
mod large_jobs;
mod limits;
mod line;
mod merging;
mod peers;
mod pulsar;
#[cfg(feature = "rabbitmq")]
mod rabbitmq;
mod sites;
mod stores;
mod tables;
mod tabular;
mod tune;
mod uploads;
mod words;
