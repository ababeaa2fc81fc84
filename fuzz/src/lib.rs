//! Damaged inputs for every decoder of bytes that come from outside: what users, files, peers and other programs hand in.
//!
//! A [`Target`] is a decoder and inputs that it takes. A run changes these at random, each input as a function of the target,
//! a number and an index ([`mutate::input`]), so that any of them can be made again. A decoder may refuse; it may not
//! panic, end the process, hang, take memory without bound, or report a bug of its own.
//!
//! No instrumentation and no coverage feedback, so that every stable toolchain runs it, in `cargo test` too; the seeds
//! replace what feedback would find: one for each form that a decoder knows. Inputs that found a fault are kept in
//! `fuzz/seeds/<target>` and are always tried first.

pub mod drive;
pub mod mutate;
pub mod targets;

pub use targets::{Target, find};
