//! Evaluation: how well scores predict labels.
//!
//! - [`Ranked`]: scores of two classes in order, from which the area under the ROC curve, Kolmogorov and Smirnov's statistic
//!   and the confusion counts at any threshold are read. Exact, ties included, for every number of partitions.
//! - [`binary`]: the metrics and tables of two classes; [`psi`]: how far scores of two sets of rows differ.
//! - [`Errors`]: metrics of a regression; [`Matches`]: of several classes.
//!
//! Nothing here goes over rows in one process: partitions sort, ranges of scores are merged where they lie, and what comes
//! back is a few numbers for each range.

#![warn(missing_docs)]

mod runs;
mod ranges;
mod ranked;
pub mod binary;
pub mod psi;
mod errors;
mod matches;

pub use errors::{CompareNumbers, CompareParams, Errors};
pub use matches::{CompareClasses, Matches};
pub use ranked::{Class, Found, Ks, Ranked, Wanted};

use tributary_core::kernel::Kernels;

/// Every kernel of this crate.
pub fn kernels() -> Kernels {
    Kernels::default()
        .fold::<runs::SortRuns>()
        .fold::<runs::CutRuns>()
        .fold::<ranges::MergeRange>()
        .fold::<ranges::LookUp>()
        .fold::<CompareNumbers>()
        .fold::<CompareClasses>()
}
