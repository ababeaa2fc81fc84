//! Tables out: [`export`] writes a stored table as CSV, Parquet or Arrow IPC, in the order of its rows, in bounded memory.
//!
//! CSV is RFC 4180 in UTF-8, and what `data upload` reads back as the same values:
//! - values are written as `tributary-text` has them; NaN is read as a missing value, an infinite number where the type is given
//! - lists have no form in CSV and are refused
//! - a missing value is nothing, or what the caller chooses, and a text that would be mistaken for one is refused
//!
//! Batches are encoded on several threads and written in order; reading is one thread's work at a time, because rows of a
//! partition come one after another. It takes a quarter of the time, so that four threads are as fast as it gets.
//!
//! A file is written under a passing name beside its place, and takes it when it is whole.

#![warn(missing_docs)]

mod csv;
mod export;
mod ordered;
mod sink;

pub use csv::{CsvOptions, Formulas};
pub use export::{ColumnSummary, ExportOptions, Format, Stop, Summary, export};
pub use sink::{IfFileExists, Sink};
