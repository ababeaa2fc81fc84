//! CSV files: bytes to blocks, blocks to records, records to what columns are and to batches.

mod block;
mod records;
mod source;
mod survey;
mod builder;
mod batches;

pub(crate) use batches::{Batches, Cells, preview};
pub(crate) use source::{Mark, NOT_TEXT, Place, Rows, Source};
pub(crate) use survey::{Ids, Survey, survey};
