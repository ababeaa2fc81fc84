//! Statistics of columns: their moments and extremes in one pass, and values scaled by them.
//!
//! Moments are central and kept about the mean of what was seen, and those of parts are merged (Pébay, SAND2008-6212): neither many
//! rows nor a mean far from zero costs digits, and partitions change a result by rounding only. Quantiles are those of
//! binning, which are exact.

#![warn(missing_docs)]

mod moments;
mod scale;

pub use moments::{Bias, MomentParams, Moments, TakeMoments};
pub use scale::{Scale, ScaleColumn, ScaleParams};

use tributary_core::kernel::Kernels;

/// Every kernel of this crate.
pub fn kernels() -> Kernels {
    Kernels::default().fold::<TakeMoments>().map::<Scale>()
}
