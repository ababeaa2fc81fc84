//! Files in: [`upload`] turns CSV or Parquet files into a stored table and the site's record of it, [`dry_run`] tells what it would
//! do, [`bind()`] makes a table of files that stay where they are.
//!
//! CSV files are read twice. The first pass looks at every row, on all cores: it finds what each column is, and whatever is wrong,
//! so that row nine million does not surprise a table that is half written. The second writes the partitions, several at
//! once, each worker starting at a mark that the first pass left. Both stream: memory does not grow with the files, except for
//! a bit for each row that is left out, and a mark a megabyte. What can be read only once (a pipe, gzip, zstd) is copied to a
//! temporary file without a name before. Of Parquet files, whose types are known, the first pass reads what can be wrong: ids, labels,
//! weights, and values that become those of another type. Rows may be added to a table that is there ([`Existing::Merge`]).
//!
//! What values of a CSV file may be:
//! - a cell that is one of the null spellings (by default the empty one) is missing, quoted or not; among numbers, times and truth
//!   values so is a cell of nothing or spaces, among numbers `NaN`
//! - a column of integers is `Int64`, of numbers `Float64`, where that gives back every value as it is written; else it stays text,
//!   and a note says why: leading zeros, plus signs, more digits than a double keeps
//! - infinite numbers, and integers beyond 64 bits, are refused, with their place, unless a type is given
//! - `true`/`false` in any case, ISO dates, and ISO times with or without a zone have types of their own
//! - all else is text, exactly as written; so are ids
//!
//! ```
//! use tributary_core::TableName;
//! use tributary_ingest::{UploadOptions, ValueType};
//!
//! # fn main() -> tributary_core::Result<()> {
//! let mut options = UploadOptions::new(TableName::new("experiment", "breast_guest")?, ["guest.csv"]);
//! options.label = Some("y".into());
//! options.columns.entry("stage".into()).or_default().value_type = Some(ValueType::Text);
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
mod grown;
mod input;
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
pub use options::{ColumnOptions, Duplicates, Existing, Header, SampleId, UploadOptions};
pub use progress::{Progress, Stage};
pub use summary::{ColumnSummary, Decimal, DryRun, Extent, Merged, Role, Summary};
pub use tributary_csv::{Digits, Quoting, ValueType};
pub use upload::{dry_run, upload};
