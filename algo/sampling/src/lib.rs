//! Rows by chance: parts of a table, samples of it, rows that are taken several times.
//!
//! What becomes of each row is a *mark*: a table of one column, [`MARK`], beside the rows it is about. Marks are drawn by one party
//! and sent to the others, whose rows are in the same order. They depend on a seed, ids, labels and row numbers, and not on
//! partitions.

#![warn(missing_docs)]

mod strata;
mod deal;
mod draw;
mod repeat;

pub use deal::{Share, deal};
pub use draw::{Draws, draw};
pub use repeat::{Ids, repeated};
pub use strata::{Stratum, strata};

use arrow_schema::DataType;
use tributary_core::kernel::Kernels;
use tributary_core::{Field, Result, TableSchema};

/// The column of marks.
pub const MARK: &str = ":mark";

/// The columns of a table of marks, which has no key.
pub fn mark_schema() -> Result<TableSchema> {
    TableSchema::new(None, vec![Field::new(MARK, DataType::UInt32)])
}

/// Every kernel of this crate.
pub fn kernels() -> Kernels {
    Kernels::default()
        .map::<strata::NameStrata>()
        .fold::<strata::CountStrata>()
        .map::<deal::Deal>()
        .map::<draw::Draw>()
        .fold::<repeat::Repeat>()
}
