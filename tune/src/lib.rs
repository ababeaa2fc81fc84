//! Measures a site's computing engine over a grid of cores and partitions, and says which setting is best.
//!
//! It knows engines only as [`tributary_core::computing::Engine`]: what a number of cores becomes (threads, executors × cores)
//! is decided by the engine, in `place`. It uses no kernel of its own: an engine whose workers run elsewhere refuses a driver that
//! lists other kernels than they do, so only what every binary has can be measured everywhere.
//!
//! In reading order: a [`Grid`] says what to measure, an [`Operation`] what is run, [`Bench`] runs it, [`Findings`] hold the
//! [`Measurement`]s, [`Advice`] chooses among them; `text`, [`Picture`] and [`Comparison`] show them.
//!
//! ```
//! use std::sync::Arc;
//! use tributary_tune::{Advice, Bench, Grid, Operation, Options};
//! # fn main() -> tributary_core::Result<()> {
//! let components = tributary_components::all();
//! let engine = Arc::new(tributary_standalone::Standalone::new(components.kernels(), Arc::new(tributary_core::storage::Nowhere)));
//! let options = Options { cores: vec![1, 2], partitions: vec![1, 2], rows: 1000, repeat: 1, operations: vec![Operation::Map] };
//! let bench = Bench { engine, components, site_cores: 2, memory_bytes: 64 << 20, grid: Grid::new(options)? };
//! let findings = futures::executor::block_on(bench.run(&|_| {}, std::future::pending()))?;
//! assert_eq!(findings.measurements.len(), 4);
//! let advice = Advice::of(&findings, &*bench.engine);
//! assert!(advice.is_some());
//! # Ok(())
//! # }
//! ```
#![warn(missing_docs)]

pub mod text;

mod grid;
mod operation;
mod rows;
mod alone;
mod work;
mod statistics;
mod measurement;
mod run;
mod advice;
mod compare;
mod units;
mod picture;

pub use advice::Advice;
pub use compare::{Comparison, Pair, Verdict};
pub use grid::{Cell, Grid, Options};
pub use measurement::{Measurement, read_lines};
pub use operation::Operation;
pub use picture::{Format, Picture};
pub use run::{Bench, Ended, Findings, Progress, Unplaced};
