//! The engine on a cluster of real processes: a scheduler, and executors.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code: a failed expectation panics")]

mod nodes;
mod suite;
mod faults;
mod guarding;
