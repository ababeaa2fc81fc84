//! The queue on real brokers, with every fault that a broker, a network or another user of it has. Brokers of their own, since these tests stop them; one
//! test at a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

#[path = "../broker/setup.rs"]
mod setup;

mod breaks;
mod ends;
mod refusals;
mod users;
mod wishes;

use std::sync::LazyLock;

/// One test at a time has the brokers.
static TURN: LazyLock<tokio::sync::Mutex<()>> = LazyLock::new(Default::default);
