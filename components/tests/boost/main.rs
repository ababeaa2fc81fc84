//! Encrypted boosting of several parties equals boosting in the clear on the joined table: the same divisions, weights and predictions, to
//! the bit.

#![allow(clippy::panic, clippy::unwrap_used)] // helpers of tests

mod exact;
mod parties;
mod plain;
mod protocol;
#[path = "../support/mod.rs"]
mod support;
mod tables;
