//! Weight of evidence and information value, from counts.
//!
//! With eᵢ and nᵢ events and non-events in bin i, and totals E and N: event_rate = eᵢ/E, non_event_rate = nᵢ/N, woe =
//! ln(event_rate / non_event_rate), iv_array = (event_rate − non_event_rate) · woe, iv = their sum over all bins. Where one
//! of the two counts of a bin is zero, the adjustment factor is added to *both* before they become rates, as in FATE 1
//! (FATE 2.2 adds the factor to the rate and leaves the first bin out of the sum, which is not followed). A bin without
//! rows says nothing: its rates and its weight of evidence are 0, and it adds nothing to the information value. The bin of
//! missing values, which is the last if there is one, counts in all of this, except in whether the weight of evidence is
//! monotonic.

use tributary_core::{Error, ErrorKind, Result};

use crate::count::BinCount;

/// Metrics of one feature; vectors have an entry for each bin.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMetrics {
    /// eᵢ.
    pub event_count: Vec<u64>,
    /// nᵢ.
    pub non_event_count: Vec<u64>,
    /// eᵢ/E, adjusted.
    pub event_rate: Vec<f64>,
    /// nᵢ/N, adjusted.
    pub non_event_rate: Vec<f64>,
    /// Weight of evidence.
    pub woe: Vec<f64>,
    /// Each bin's part of the information value.
    pub iv_array: Vec<f64>,
    /// Whether woe never falls or never rises from bin to bin, the one of missing values aside.
    pub is_monotonic: bool,
    /// Information value.
    pub iv: f64,
}

impl FeatureMetrics {
    /// `counts` has one entry for each of `bins` bins, and one more for missing values; that one is left out if no value
    /// is missing.
    ///
    /// Errors: `InvalidInput` without any event or any non-event, or for a factor that is not positive; `Corrupt` for
    /// counts that no data has.
    pub fn new(counts: &[BinCount], bins: usize, adjustment_factor: f64) -> Result<Self> {
        if !(adjustment_factor.is_finite() && adjustment_factor > 0.0) {
            return Err(Error::invalid(format!(
                "an adjustment factor of {adjustment_factor}, expected a positive number"
            )));
        }
        if counts.len() != bins + 1 || counts.iter().any(|c| c.events > c.rows) {
            return Err(Error::new(ErrorKind::Corrupt, "bin counts are not counts of this feature's bins"));
        }
        let occurring = if counts[bins].rows == 0 { bins } else { bins + 1 };
        let (event_count, non_event_count): (Vec<u64>, Vec<u64>) =
            counts[..occurring].iter().map(|c| (c.events, c.rows - c.events)).unzip();
        let pairs = || event_count.iter().zip(&non_event_count);
        let (events, non_events): (Vec<f64>, Vec<f64>) =
            pairs().map(|(events, non_events)| adjusted(*events, *non_events, adjustment_factor)).unzip();
        let event_rate = rates(&events, total(&event_count, "1")?);
        let non_event_rate = rates(&non_events, total(&non_event_count, "0")?);
        let both = || event_rate.iter().zip(&non_event_rate);
        let woe: Vec<f64> = both().map(|(event, non_event)| woe(*event, *non_event)).collect();
        let iv_array: Vec<f64> = both().zip(&woe).map(|((e, n), woe)| (e - n) * woe).collect();
        let is_monotonic = is_monotonic(&events[..bins], &non_events[..bins]);
        let iv = iv_array.iter().sum();
        Ok(Self { event_count, non_event_count, event_rate, non_event_rate, woe, iv_array, is_monotonic, iv })
    }
}

/// Events and non-events of a bin as they become rates.
fn adjusted(events: u64, non_events: u64, adjustment_factor: f64) -> (f64, f64) {
    let one_is_zero = (events == 0) != (non_events == 0);
    let added = if one_is_zero { adjustment_factor } else { 0.0 };
    (events as f64 + added, non_events as f64 + added)
}

/// Both rates are positive, or both are 0: a bin without rows.
fn woe(event_rate: f64, non_event_rate: f64) -> f64 {
    if event_rate == 0.0 { 0.0 } else { (event_rate / non_event_rate).ln() }
}

fn rates(adjusted: &[f64], total: u64) -> Vec<f64> {
    adjusted.iter().map(|count| count / total as f64).collect()
}

fn total(counts: &[u64], label: &str) -> Result<u64> {
    match counts.iter().try_fold(0u64, |sum, count| sum.checked_add(*count)) {
        None => Err(Error::new(ErrorKind::Corrupt, "bin counts exceed 64 bits in sum")),
        Some(0) => Err(Error::invalid(format!(
            "no row has label {label}; weight of evidence and information value need both classes"
        ))),
        Some(total) => Ok(total),
    }
}

/// Of bins that have rows. Compares quotients by products, which rounding does not disturb: equal weights of evidence are
/// equal here.
fn is_monotonic(events: &[f64], non_events: &[f64]) -> bool {
    let bins: Vec<(f64, f64)> = events.iter().copied().zip(non_events.iter().copied()).collect();
    let bins: Vec<(f64, f64)> = bins.into_iter().filter(|(events, _)| *events > 0.0).collect();
    let products = || bins.windows(2).map(|pair| (pair[1].0 * pair[0].1, pair[0].0 * pair[1].1));
    products().all(|(next, last)| next >= last) || products().all(|(next, last)| next <= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(of: &[(u64, u64)]) -> Vec<BinCount> {
        of.iter().map(|(events, others)| BinCount { rows: events + others, events: *events }).collect()
    }

    #[test]
    fn a_worked_example() {
        let metrics = FeatureMetrics::new(&counts(&[(2, 6), (0, 2), (6, 0), (0, 0)]), 3, 0.5).unwrap();
        assert_eq!(metrics.event_rate, [0.25, 0.0625, 0.8125]);
        assert_eq!(metrics.non_event_rate, [0.75, 0.3125, 0.0625]);
        let expected = [(1.0f64 / 3.0).ln(), 0.2f64.ln(), 13f64.ln()];
        assert_eq!(metrics.woe, expected);
        assert_eq!(metrics.iv, -0.5 * expected[0] - 0.25 * expected[1] + 0.75 * expected[2]);
        assert!(!metrics.is_monotonic);
    }

    #[test]
    fn a_bin_without_rows_adds_nothing_wherever_it_is() {
        let filled = [(4, 2), (0, 2), (1, 5)];
        let of = |bins: &[(u64, u64)]| {
            FeatureMetrics::new(&counts(&[bins, &[(0, 0)]].concat()), bins.len(), 0.5).unwrap()
        };
        let without = of(&filled);
        for at in 0..=filled.len() {
            let mut bins = filled.to_vec();
            bins.insert(at, (0, 0));
            let with = of(&bins);
            assert_eq!(
                [with.event_rate[at], with.non_event_rate[at], with.woe[at], with.iv_array[at]],
                [0.0; 4]
            );
            assert!((with.iv - without.iv).abs() < 1e-15);
            assert_eq!(with.is_monotonic, without.is_monotonic);
        }
        assert!(of(&[(1, 4), (0, 0), (2, 3), (0, 0), (3, 2)]).is_monotonic);
    }

    #[test]
    fn missing_values_are_a_bin_that_does_not_break_monotony() {
        let rising = [(1, 4), (2, 3), (3, 2)];
        let without = FeatureMetrics::new(&counts(&[&rising[..], &[(0, 0)]].concat()), 3, 0.5).unwrap();
        let with = FeatureMetrics::new(&counts(&[&rising[..], &[(1, 9)]].concat()), 3, 0.5).unwrap();
        assert!(without.is_monotonic && with.is_monotonic);
        assert_eq!((without.woe.len(), with.woe.len()), (3, 4));
    }

    #[test]
    fn counts_without_both_classes_or_that_cannot_be_are_refused() {
        let kind = |of: &[(u64, u64)]| FeatureMetrics::new(&counts(of), 1, 0.5).unwrap_err().kind();
        assert_eq!(kind(&[(3, 0), (0, 0)]), ErrorKind::InvalidInput);
        assert_eq!(kind(&[(0, 3), (0, 0)]), ErrorKind::InvalidInput);
        assert_eq!(kind(&[(1, 3)]), ErrorKind::Corrupt);
        let impossible = [BinCount { rows: 1, events: 2 }, BinCount::default()];
        assert_eq!(FeatureMetrics::new(&impossible, 1, 0.5).unwrap_err().kind(), ErrorKind::Corrupt);
        assert!(FeatureMetrics::new(&counts(&[(1, 1), (0, 0)]), 1, 0.0).is_err());
    }
}
