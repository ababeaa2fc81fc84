//! Gradient-based one-side sampling (Ke et al. 2017, "LightGBM", section 3): the rows with the largest gradients, and some of the others,
//! which then count for all of them.
//!
//! Which of the others is decided by a hash of the row's number and the tree: the same for every number of partitions, and in an attempt
//! that goes on where another ended.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::objective::Gradients;

/// How many rows are taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// Part of all rows: those with the largest gradients.
    pub top: f64,
    /// Part of all rows: some of the others.
    pub other: f64,
}

/// Which rows are taken, and their gradients, those of the others made larger. `tree`: of the whole training.
pub fn sample(rates: Rates, gradients: &Gradients, tree: u64) -> (Vec<bool>, Gradients) {
    let rows = gradients.g.len();
    let part = |rate: f64| ((rows as f64 * rate).round() as usize).min(rows);
    let mut order: Vec<usize> = (0..rows).collect();
    // Ties by number, so that the order is one.
    order.sort_by(|a, b| gradients.g[*b].abs().total_cmp(&gradients.g[*a].abs()).then(a.cmp(b)));
    let (top, rest) = order.split_at(part(rates.top));
    let mut rest: Vec<(u64, usize)> =
        rest.iter().map(|row| (xxh3_64_with_seed(&(*row as u64).to_le_bytes(), tree), *row)).collect();
    rest.sort_unstable();
    rest.truncate(part(rates.other));
    let factor = (1.0 - rates.top) / rates.other;

    let mut factors = vec![None; rows];
    top.iter().for_each(|row| factors[*row] = Some(1.0));
    rest.iter().for_each(|(_, row)| factors[*row] = Some(factor));
    let taken = |values: &[f64]| {
        values.iter().zip(&factors).filter_map(|(value, factor)| Some(value * (*factor)?)).collect()
    };
    let taken = Gradients { g: taken(&gradients.g), h: taken(&gradients.h) };
    (factors.iter().map(Option::is_some).collect(), taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_gradients_are_taken_and_some_others_count_for_all() {
        let g: Vec<f64> = (0..1000).map(|i| f64::from(i % 500) - 250.0).collect();
        let gradients = Gradients { h: vec![1.0; 1000], g };
        let rates = Rates { top: 0.2, other: 0.1 };
        let (taken, sampled) = sample(rates, &gradients, 3);
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 300);
        assert_eq!(sampled.h.iter().filter(|h| **h == 1.0).count(), 200);
        assert!((sampled.h.iter().sum::<f64>() - 1000.0).abs() < 1e-6);
        let largest = (0..1000).filter(|row| gradients.g[*row].abs() > 202.0);
        assert!(largest.clone().count() > 100 && largest.clone().all(|row| taken[row]));
        assert_eq!(sample(rates, &gradients, 3).0, taken);
        assert_ne!(sample(rates, &gradients, 4).0, taken);
    }
}
