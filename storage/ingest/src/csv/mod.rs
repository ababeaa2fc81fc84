//! CSV files: from records to column types, and to batches.

mod source;
mod origin;
mod infer;
mod survey;
mod batches;
mod bound;
mod again;
mod prepare;

pub(crate) use prepare::prepare;
pub(crate) use source::{BYTE_ORDER_MARK, CsvFiles, Place};
