//! Parquet: the one crate that knows the format.
//!
//! [`write_rows`] and [`PartFile`] are for the parts of *our* tables, which a manifest describes.
//!
//! [`Files`] are files of *other* programs (pandas, DuckDB, Spark): one file, several, or a folder of them, as rows of a
//! [`TableSchema`](tributary_core::TableSchema). Their types become:
//!
//! | theirs | ours |
//! |---|---|
//! | integers of 8 and 16 bits | `Int32`; unsigned ones as they are |
//! | floats of 16 bits | `Float32` |
//! | text, large text, enumerations, JSON, UUIDs | `Utf8` |
//! | categories: text that Arrow writes as a dictionary (pandas, polars) | `Utf8`, with the purpose of a category |
//! | bytes | `Binary`, or `FixedSizeBinary` where all have one width |
//! | timestamps in milliseconds, nanoseconds, or as INT96 | `Timestamp` in microseconds |
//! | decimals of up to 38 digits | `Decimal128` |
//! | a column of nulls only, without a type | `Utf8` |
//! | times of day, intervals, wider decimals, lists, structs, maps | refused by name, unless the column is left out |
//!
//! Nothing is rounded: a value that does not fit is an error with file, column and row. The zone of a timestamp is UTC, as
//! in the format; the name of a zone in a writer's own metadata is not read.
//!
//! **Files are not trusted.** Everything that the decoder relies on is checked first (see `guard`): lengths, counts, depths,
//! sizes of pages, each and in sum; a panic of the decoder is caught. The decoder reads page by page, so that memory is one
//! page for each column, whatever the size of a row group; of a distant file some pieces are on their way. A file is recognised by size,
//! modification time, and its medium's entity tag, else the digest of its footer ([`Stamp`](tributary_system::Stamp)); a changed file is an error.
//!
//! ```no_run
//! use tributary_core::{KeyType, TableSchema};
//! use tributary_parquet::Files;
//!
//! # fn main() -> tributary_core::Result<()> {
//! let files = Files::open(&["people.parquet"])?;
//! let field = files.field("age")?;
//! let schema = TableSchema::keyed("id", KeyType::Utf8, vec![field])?;
//! for span in files.spans(0..files.groups()) {
//!     for rows in span.rows(&schema)? {
//!         println!("{} rows", rows?.num_rows());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod bound;
mod column;
mod convert;
mod encode;
mod files;
mod footer;
mod guard;
mod int96;
mod keys;
mod pages;
mod pandas;
mod part;
mod scan;
mod rows;
mod unfold;

pub use bound::Parquet;
pub use column::Column;
pub use encode::{Written, check_schema, digest_of, write_rows};
pub use files::{FileAbout, Files, Group, Location};
pub use pandas::Index;
pub use part::PartFile;
pub use rows::{Checked, Misfit, Rows, Span};
