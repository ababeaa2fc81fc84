//! CSV: the one crate that knows the format for reading.
//!
//! From bytes to values in three steps, each on its own: [`mod@block`] cuts files into blocks of whole records, so that many
//! threads can read one file; [`Records`] are the records of a block; a [`BatchBuilder`] makes columns of a [`ValueType`]
//! each of their cells. Columns, bad rows and the origin of the files are the caller's business.
//!
//! A [`Part`] is a set of checked rows that stay in their files, wherever those are: a part of a bound table. Files are recognised by size,
//! modification time, and their medium's entity tag, else the digest of their first and last 64 KiB; a changed file is an error and never gives
//! other rows.
//!
//! A violation of RFC 4180 is an error with its line, and so is a value that is not of its column's type. Nothing is
//! guessed, and only a requested float type rounds. Messages never show a value.

#![warn(missing_docs)]

pub mod block;
mod file;
mod records;
mod value_type;
mod value;
mod kind;
mod builder;
mod batch;
mod part;
mod rows;

pub use batch::{BATCH_BYTES, BATCH_ROWS, BatchBuilder, Column, Misfit};
pub use file::stamp;
pub use kind::{Kind, is_nan, kind_of};
pub use part::{Csv, Part, Span};
pub use records::{Dialect, Fault, Quoting, Records};
pub use value::float64;
pub use value_type::{Digits, ValueType};

/// The message for a value with bytes of another encoding.
pub const NOT_TEXT: &str = "text that is not UTF-8; save the file as UTF-8";

/// Whether a cell means a missing value.
#[inline]
pub fn is_null(cell: &str, spellings: &[String]) -> bool {
    match spellings {
        [only] => only == cell,
        several => several.iter().any(|spelling| spelling == cell),
    }
}
