//! From a job's wishes for cores to a placement: the arithmetic that engines share.
//!
//! Each engine's own arithmetic is a pure function in its crate. It is written on a [`Draft`], which does what all engines do
//! alike; [`nodes`] is FATE's rule for engines whose tasks work on all nodes.

#![warn(missing_docs)]

mod draft;
pub mod nodes;
mod vocabulary;

pub use draft::{Books, Draft, Terms};
