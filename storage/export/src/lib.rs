//! Tables out: [`export`] writes a stored table as CSV, Parquet or Arrow IPC, in the order of its rows, in bounded memory.
//!
//! CSV is RFC 4180 in UTF-8, and `data upload` reads it back as the same values:
//! - values are written by `tributary-text`; NaN is read as a missing value, an infinite number where the type is given
//! - lists have no form in CSV and are refused
//! - a missing value is empty, or a text that the caller chooses; a value with the same text is refused
//!
//! Batches are encoded on several threads and written in order; only one thread reads at a time, because the rows of a
//! partition come in order. Reading takes a quarter of the time, so more than four threads gain nothing.
//!
//! A file is written under a temporary name in the same folder, and renamed when it is complete; an object of a store appears when it is.
//! Of a table some columns and rows may go out alone ([`Selection`], [`Filter`]); others are not read.

#![warn(missing_docs)]

mod csv;
mod export;
mod filter;
mod ordered;
mod selection;
mod sink;

pub use csv::{CsvOptions, Formulas};
pub use export::{ColumnSummary, ExportOptions, Format, Stop, Summary, export, preview};
pub use filter::Filter;
pub use selection::Selection;
pub use sink::{IfFileExists, Sink};
