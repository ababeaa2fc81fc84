//! Sites on loopback, each with a node, a port and keys of its own; and what goes wrong between them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

mod setup;

mod breaks;
mod relayed;
mod strangers;
mod suite;
