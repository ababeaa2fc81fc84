//! Files in: [`upload`] turns CSV or Parquet files into a stored table and the site's record of it, [`dry_run`] reports what
//! an upload would do, [`bind()`] makes a table of files that stay where they are, [`look()`] shows what a file's columns could be.
//!
//! CSV files are read twice. The first pass looks at every row, on all cores: it infers the type of each column and finds
//! all errors, so that an error in row nine million is found before the table is written. The second pass writes the
//! partitions, several at once; each worker starts at a mark of the first pass. Both stream: memory does not grow with the
//! files, except for a bit for each row that is left out, and a mark per megabyte. Input that can be read only once (a pipe,
//! gzip, zstd) is first copied to a temporary file without a name. Parquet files have known types, so the first pass reads
//! only columns that can have errors: ids, labels, weights, and values that change their type. Rows may be added to an
//! existing table ([`Existing::Merge`]).
//!
//! The values of a CSV file:
//! - a cell that is one of the null spellings (by default the empty one) is missing, quoted or not; in columns of numbers,
//!   times and truth values so is an empty cell or one of spaces, in columns of numbers also `NaN`
//! - a column of integers is `Int64`, of numbers `Float64`, if that keeps every value as it is written; otherwise it
//!   stays text, and a note says why: leading zeros, plus signs, more digits than a double keeps
//! - infinite numbers, and integers beyond 64 bits, are refused, with their place, unless a type is given
//! - `true`/`false` in any case, ISO dates, and ISO times with or without a zone have types of their own
//! - everything else, and every id, is text exactly as written
//!
//! ```
//! use tributary_core::TableName;
//! use tributary_ingest::{UploadOptions, ValueType};
//!
//! # fn main() -> tributary_core::Result<()> {
//! let mut options = UploadOptions::new(TableName::new("experiment", "breast_guest")?, ["guest.csv"]);
//! options.label = Some("y".into());
//! options.columns.entry("pass".into()).or_default().value_type = Some(ValueType::Text);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod bind;
mod columns;
mod conf;
mod content;
mod csv;
mod duplicates;
mod given;
mod grown;
mod input;
mod look;
mod old;
mod options;
mod parquet;
mod progress;
mod rejects;
mod rowset;
mod sketch;
mod sorter;
mod stats;
mod summary;
mod upload;

pub use bind::{Binding, bind};
pub use conf::from_fate;
pub use given::Given;
pub use look::{Look, LookedColumn, look};
pub use options::{ColumnOptions, Duplicates, Existing, Header, SampleId, UploadOptions};
pub use progress::{Pass, Progress};
pub use summary::{ColumnSummary, Decimal, DryRun, Extent, Merged, Role, Summary};
pub use tributary_csv::{Digits, Quoting, ValueType};
pub use upload::{dry_run, upload};
