//! CSV files: bytes to blocks, blocks to records, records to what columns are and to batches.

mod block;
mod records;
mod source;
mod origin;
mod survey;
mod builder;
mod batches;
mod again;
mod prepare;

pub(crate) use prepare::prepare;
pub(crate) use source::{NOT_TEXT, Place};
