//! What a few repetitions say: the median, the least, and how far the middle half of them lies apart.
//!
//! Quartiles and not the extremes say what is noise: of many repetitions on a shared machine one is always an outlier, and
//! measuring longer must not make the result less certain.

/// A sample in short.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
}

impl Spread {
    /// Of one value at least.
    pub(crate) fn of(mut sample: Vec<f64>) -> Option<Self> {
        sample.sort_by(f64::total_cmp);
        let at = |share| quantile(&sample, share);
        Some(Self { min: at(0.0)?, q1: at(0.25)?, median: at(0.5)?, q3: at(0.75)? })
    }
}

/// Of a sorted sample, linear between neighbours.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    Some(low + (high - low) * place.fract())
}

/// The mean that fits ratios: twice and half as fast make 1. 1 of nothing.
pub(crate) fn geometric_mean(ratios: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = ratios.into_iter().fold((0.0, 0.0), |(sum, n), ratio| (sum + ratio.ln(), n + 1.0));
    if count == 0.0 { 1.0 } else { (sum / count).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_summarised() {
        let spread = Spread::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        assert_eq!(spread, Spread { min: 1.0, q1: 2.0, median: 3.0, q3: 4.0 });
        let even = Spread::of(vec![4.0, 1.0]).unwrap();
        assert_eq!((even.q1, even.median), (1.75, 2.5));
        let one = Spread::of(vec![7.0]).unwrap();
        assert_eq!(one, Spread { min: 7.0, q1: 7.0, median: 7.0, q3: 7.0 });
        assert_eq!(Spread::of(vec![]), None);
    }

    #[test]
    fn an_outlier_moves_neither_median_nor_quartiles() {
        let calm = Spread::of(vec![1.0, 1.0, 1.0, 1.0, 1.0]).unwrap();
        assert_eq!(Spread::of(vec![1.0, 1.0, 1.0, 1.0, 50.0]).unwrap(), calm);
    }

    #[test]
    fn twice_and_half_make_one() {
        assert!((geometric_mean([2.0, 0.5]) - 1.0).abs() < 1e-12);
        assert!((geometric_mean([4.0, 1.0]) - 2.0).abs() < 1e-12);
        assert_eq!(geometric_mean([]), 1.0);
    }
}
