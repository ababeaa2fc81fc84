//! Binning: cut points of features, and how much each bin says about a label (weight of evidence, information value).
//!
//! From rows to a model, at a party that has the label:
//!
//! 1. cut points: [`SketchFeatures`] and [`MergeSketches`] for quantiles, [`FindRanges`] for equal widths, or given;
//!    [`Cuts`] says what a bin holds. Categorical columns get a bin for each value ([`Cuts::of_categories`]).
//! 2. [`AssignBins`] turns values into the numbers of bins.
//! 3. [`CountBins`] counts rows and events in each bin; for a party without the label, [`encrypted`] does.
//!    [`Pieces`] says which bins a party may show to others.
//! 4. [`FeatureMetrics`] is computed from counts alone, so it equals what the joined table in the clear would give.
//! 5. [`Model`] keeps it; [`AssignBins`] or [`AssignWoe`] apply it to rows.
//!
//! Everything up to the counts is exact and independent of partitions and engine; logarithms are of exact counts.
//!
//! ```
//! use tributary_binning::{BinCount, Cuts, FeatureMetrics};
//!
//! # fn main() -> tributary_core::Result<()> {
//! let cuts = Cuts::new(vec![18.0, 65.0, 99.0])?;
//! let rows = [(Some(17.0), 1), (Some(18.0), 0), (Some(40.0), 0), (Some(70.0), 1), (Some(120.0), 1), (None, 0)];
//!
//! let mut counts = vec![BinCount::default(); cuts.bins() + 1];
//! for (age, label) in rows {
//!     let count = &mut counts[usize::from(cuts.bin_of(age))];
//!     count.rows += 1;
//!     count.events += label;
//! }
//! let metrics = FeatureMetrics::new(&counts, cuts.bins(), 0.5)?;
//! assert_eq!(metrics.event_count, [1, 0, 2, 0]); // the last is the bin of missing values
//! assert_eq!(metrics.woe[0], 0.0); // a third of the events, and a third of the others
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod features;
mod cells;

mod summary;
mod quantiles;
mod sketch;
mod range;
mod cuts;
mod merge;
mod categories;

mod assign;
mod count;
mod coarse;
pub mod encrypted;

mod metrics;
pub mod model;

pub use assign::{AssignBins, AssignParams, AssignWoe, CutColumn, WoeColumn, WoeParams};
pub use categories::{CodeCategories, CodeParams, ListCategories, ListParams, TextCategories};
pub use cells::{BinColumn, cell_key, cell_of};
pub use coarse::{Coarse, JoinBins, JoinParams, JoinedBin, Pieces};
pub use count::{BinCount, CountBins, CountParams};
pub use cuts::Cuts;
pub use merge::{MergeParams, MergeSketches};
pub use metrics::FeatureMetrics;
pub use model::Model;
pub use quantiles::{Quantiles, quantiles};
pub use range::{FindRanges, Range, RangeParams};
pub use sketch::{Focus, Sketch, SketchFeatures, SketchParams};
pub use summary::{Bracket, Summary};

use tributary_core::kernel::Kernels;

/// Every kernel of this crate.
pub fn kernels() -> Kernels {
    Kernels::default()
        .fold::<SketchFeatures>()
        .fold::<MergeSketches>()
        .fold::<FindRanges>()
        .fold::<ListCategories>()
        .map::<CodeCategories>()
        .map::<AssignBins>()
        .map::<AssignWoe>()
        .map::<JoinBins>()
        .fold::<CountBins>()
        .map::<encrypted::EncryptLabels>()
        .map::<encrypted::DecryptCounts>()
        .fold::<encrypted::SumEncrypted>()
        .fold::<encrypted::AddEncrypted>()
        .fold::<encrypted::PackSums>()
}
