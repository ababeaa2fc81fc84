//! CSV files: bytes to records, records to rows of known places, rows to what columns are and to batches.

mod records;
mod source;
mod survey;
mod builder;
mod batches;

pub(crate) use batches::{Batches, Cells, Extents, preview};
pub(crate) use source::{Place, Source};
pub(crate) use survey::{Survey, survey};
