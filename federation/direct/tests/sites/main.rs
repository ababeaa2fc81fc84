//! Sites on loopback, each with a node, a port and keys of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

mod setup;

mod suite;
