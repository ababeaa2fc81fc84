//! Cut points: where the bins of a feature end.
//!
//! Bin i holds the values up to cut i and above cut i − 1. The last cut is the largest value that was seen; later data
//! may exceed it, so the last bin is open upwards (FATE puts the last boundary at infinity, for every method). Missing
//! values are a bin of their own, after the last.

use std::collections::BTreeSet;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use serde::{Deserialize, Serialize};
use tributary_core::{Error, Result};

use crate::quantiles::Quantiles;
use crate::range::Range;

/// Strictly ascending, finite cut points; none for a feature without values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Cuts(Vec<f64>);

impl Cuts {
    /// Most bins of a feature, so that a bin's number, the missing one's included, is a `UInt16`.
    pub const MAX_BINS: usize = 65_535;

    /// Most different values of a categorical feature.
    pub const MAX_CATEGORIES: usize = 4_096;

    /// Cut points chosen by hand. Errors: `InvalidInput` unless they are finite and rise, or if they are too many.
    pub fn new(points: Vec<f64>) -> Result<Self> {
        if points.len() > Self::MAX_BINS {
            return Err(Error::invalid(format!("{} cut points, at most {}", points.len(), Self::MAX_BINS)));
        }
        if let Some(i) = points.iter().position(|p| !p.is_finite()) {
            return Err(Error::invalid(format!("cut point {i} is {}, expected a finite number", points[i])));
        }
        if let Some(i) = points.windows(2).position(|w| w[0] >= w[1]) {
            return Err(Error::invalid(format!(
                "cut point {} does not exceed the one before it; sort them and name each once",
                i + 1
            )));
        }
        Ok(Self(points.into_iter().map(|point| point + 0.0).collect()))
    }

    /// Bins of nearly equal numbers of rows: the quantiles, each value once. Errors: `Bug` for quantiles that are not
    /// exact.
    pub fn of_quantiles(quantiles: &Quantiles) -> Result<Self> {
        if !quantiles.are_exact() {
            return Err(Error::bug("cut points of quantiles that are not exact; run the second pass"));
        }
        let mut points: Vec<f64> = quantiles.brackets.iter().map(|b| b.hi).collect();
        points.dedup();
        Self::new(points)
    }

    /// Bins of equal width. Fewer if the range is too narrow for so many numbers; one if all values are equal.
    pub fn equal_width(range: &Range, bins: usize) -> Result<Self> {
        Self::check_bins(bins)?;
        if range.count == 0 {
            return Ok(Self::default());
        }
        // In halves, since max − min may not be finite.
        let (start, width) = (range.min / 2.0, range.max / 2.0 - range.min / 2.0);
        let point = |k: usize| 2.0 * (start + width * (k as f64 / bins as f64));
        let mut points: Vec<f64> = (1..bins).map(point).filter(|p| *p < range.max).collect();
        points.dedup_by(|next, kept| *next <= *kept);
        points.push(range.max);
        Self::new(points)
    }

    /// A bin for each different value of categorical features, from the rows of [`SketchFeatures`] as they are, by feature.
    ///
    /// Errors: `InvalidInput` for values that are not integers, or for more than [`Cuts::MAX_CATEGORIES`] of them.
    ///
    /// [`SketchFeatures`]: crate::SketchFeatures
    pub fn of_categories(rows: &[RecordBatch], features: &[String]) -> Result<Vec<Self>> {
        let mut found = vec![BTreeSet::new(); features.len()];
        for rows in rows {
            let [feature, _, errors] = [0, 1, 2].map(|i| rows.column(i).as_primitive::<UInt64Type>());
            let lists = rows.column(3).as_list::<i32>();
            for i in 0..rows.num_rows() {
                let number = feature.value(i) as usize;
                let name =
                    features.get(number).ok_or_else(|| Error::bug("values of an unexpected feature"))?;
                let values = lists.value(i);
                let values = values.as_primitive::<Float64Type>().values();
                found[number]
                    .extend(values.iter().map(|value| category(*value, name)).collect::<Result<Vec<_>>>()?);
                if errors.value(i) > 0 || found[number].len() > Self::MAX_CATEGORIES {
                    return Err(Error::invalid(format!(
                        "column {name:?} has more than {} different values, too many for a category; bin it",
                        Self::MAX_CATEGORIES
                    )));
                }
            }
        }
        found.into_iter().map(|values| Self::new(values.into_iter().map(|v| v as f64).collect())).collect()
    }

    /// Errors: `InvalidInput` unless a number of bins is between 2 and [`Cuts::MAX_BINS`].
    pub(crate) fn check_bins(bins: usize) -> Result<()> {
        if (2..=Self::MAX_BINS).contains(&bins) {
            return Ok(());
        }
        Err(Error::invalid(format!("{bins} bins, expected between 2 and {}", Self::MAX_BINS)))
    }

    /// The cut points.
    pub fn points(&self) -> &[f64] {
        &self.0
    }

    /// Number of bins, without that of missing values.
    pub fn bins(&self) -> usize {
        self.0.len()
    }

    /// The bin of a value, or of a missing one: [`Cuts::bins`]. Without cut points every value is as good as missing.
    #[inline]
    pub fn bin_of(&self, value: Option<f64>) -> u16 {
        let bin = match value {
            Some(value) if !self.0.is_empty() => {
                self.0[..self.0.len() - 1].partition_point(|cut| *cut < value)
            }
            _ => self.0.len(),
        };
        bin as u16
    }
}

fn category(value: f64, name: &str) -> Result<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2⁵³
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Ok(value as i64);
    }
    Err(Error::invalid(format!("column {name:?} has values that are not integers, expected categories")))
}

impl TryFrom<Vec<f64>> for Cuts {
    type Error = Error;
    fn try_from(points: Vec<f64>) -> Result<Self> {
        Self::new(points)
    }
}

impl From<Cuts> for Vec<f64> {
    fn from(cuts: Cuts) -> Self {
        cuts.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(min: f64, max: f64) -> Range {
        Range { count: 2, missing: 0, min, max }
    }

    #[test]
    fn a_bin_ends_at_its_cut_and_the_last_is_open() {
        let cuts = Cuts::new(vec![-1.0, 0.0, 2.5]).unwrap();
        let expected = [
            (f64::NEG_INFINITY, 0),
            (-1.0, 0),
            (-0.5, 1),
            (-0.0, 1),
            (1e-300, 2),
            (2.5, 2),
            (f64::INFINITY, 2),
        ];
        for (value, bin) in expected {
            assert_eq!(cuts.bin_of(Some(value)), bin, "{value}");
        }
        assert_eq!(cuts.bin_of(None), 3);
        assert_eq!(Cuts::default().bin_of(Some(1.0)), 0);
    }

    #[test]
    fn cut_points_that_do_not_rise_or_end_are_refused() {
        for bad in [vec![1.0, 1.0], vec![2.0, 1.0], vec![0.0, -0.0], vec![f64::NAN], vec![f64::INFINITY]] {
            assert!(Cuts::new(bad.clone()).is_err(), "{bad:?}");
        }
        assert!(Cuts::new((0..65_536).map(f64::from).collect()).is_err());
        assert!(serde_json::from_str::<Cuts>("[2, 1]").is_err());
        assert_eq!(serde_json::from_str::<Cuts>("[1, 2.5]").unwrap().points(), [1.0, 2.5]);
    }

    #[test]
    fn equal_widths_end_at_the_maximum() {
        let points = |min, max, bins| Cuts::equal_width(&range(min, max), bins).unwrap().0;
        assert_eq!(points(0.0, 10.0, 4), [2.5, 5.0, 7.5, 10.0]);
        assert_eq!(points(3.0, 3.0, 10), [3.0]);
        assert_eq!(points(-f64::MAX, f64::MAX, 2), [0.0, f64::MAX]);
        assert_eq!(Cuts::equal_width(&Range::default(), 5).unwrap().bins(), 0);
        assert!(Cuts::equal_width(&range(0.0, 1.0), 1).is_err());
    }

    proptest! {
        #[test]
        fn equal_widths_are_cut_points_whatever_the_range(a: f64, b: f64, bins in 2usize..50) {
            prop_assume!(a.is_finite() && b.is_finite());
            let cuts = Cuts::equal_width(&range(a.min(b), a.max(b)), bins).unwrap();
            prop_assert!(cuts.bins() <= bins);
            prop_assert_eq!(cuts.points().last(), Some(&a.max(b)));
        }
    }
}
