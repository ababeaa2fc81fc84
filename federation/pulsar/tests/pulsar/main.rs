//! The queue on real clusters: the Federation suite at one cluster and between two, and what a cluster, a line or another user can do to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

mod setup;

mod contract;
mod faults;
mod joined;
mod suite;
mod tls;
