//! CSV: the one crate that knows the format for reading.
//!
//! From bytes to values in three steps, each on its own: [`mod@block`] cuts files into blocks of whole records, so that many threads
//! can read one file; [`Records`] are the records of a block; a [`BatchBuilder`] makes columns of a [`ValueType`] each of their
//! cells. Which columns there are, what to do with bad rows and where the files come from is the business of whoever reads.
//!
//! A [`Part`] is rows that were looked at and stay in their files: a part of a table that is bound to them. Its files are known again by
//! size, time of change, and digest of their first and last 64 KiB; one that changed since is an error, never other rows.
//!
//! What is not as RFC 4180 has it is an error with its line, and so is a value that is not of its column's type; nothing is guessed,
//! and nothing is rounded but by a float type that was asked for. Messages never show a value.

#![warn(missing_docs)]

pub mod block;
mod local;
mod records;
mod value_type;
mod value;
mod kind;
mod builder;
mod batch;
mod part;
mod rows;

pub use batch::{BATCH_BYTES, BATCH_ROWS, BatchBuilder, Column, Misfit};
pub use kind::{Kind, is_nan, kind_of};
pub use local::Local;
pub use part::{Csv, Part, Span};
pub use records::{Dialect, Fault, Quoting, Records};
pub use value::float64;
pub use value_type::{Digits, ValueType};

/// For a value that has bytes of another encoding.
pub const NOT_TEXT: &str = "text that is not UTF-8; save the file as UTF-8";

/// Whether a cell stands for a missing value.
#[inline]
pub fn is_null(cell: &str, spellings: &[String]) -> bool {
    match spellings {
        [only] => only == cell,
        several => several.iter().any(|spelling| spelling == cell),
    }
}
