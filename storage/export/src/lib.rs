//! Tables out: [`export`] writes a stored table as CSV, Parquet or Arrow IPC, in the order of its rows, in bounded memory.
//!
//! CSV is RFC 4180 in UTF-8, and what `data upload` reads back as the same values:
//! - numbers are the shortest text that is read as the same number; `NaN`, `inf` and `-inf` as they are called
//! - dates are `2024-01-31`, times `2024-01-31T12:30:00.5`, followed by `Z` where the column has a zone; truth is `true`, `false`
//! - bytes are hex; lists have no form in CSV and are refused
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
mod text;

pub use csv::CsvOptions;
pub use export::{ColumnSummary, ExportOptions, Format, Stop, Summary, export};
pub use sink::{IfFileExists, Sink};
