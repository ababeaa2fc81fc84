//! Gradients as integers: what is encrypted, and what sums are exact in.
//!
//! Each tree has a scale of its own, a power of two, so that the largest gradient has [`BITS`] bits: sums of integers do not depend on
//! their order, and the rounding of a gradient is below a billionth of the largest one. Scales stay with the guest; hosts
//! only know the bits.

use serde::{Deserialize, Serialize};
use tributary_core::{Error, Result};
use tributary_paillier::Packing;

use crate::objective::Gradients;

/// Bits of the largest gradient.
const BITS: i32 = 30;

/// The magnitude of a quantised gradient, in bits: one more, since rounding may reach the power of two itself.
pub const VALUE_BITS: u32 = BITS as u32 + 1;

/// Most rows of a training: sums of so many gradients fit 64 bits.
pub const MAX_ROWS: u64 = 1 << 31;

/// Powers of two that gradients are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scale {
    g: i32,
    h: i32,
}

/// Gradients as integers, a number for each row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quantised {
    /// First derivatives.
    pub g: Vec<i64>,
    /// Second derivatives.
    pub h: Vec<i64>,
}

impl Scale {
    /// The finest scale for these numbers.
    pub fn of(gradients: &Gradients) -> Self {
        Self { g: exponent(&gradients.g), h: exponent(&gradients.h) }
    }

    /// The nearest integers, ties to even.
    pub fn quantise(self, gradients: &Gradients) -> Quantised {
        let all = |values: &[f64], exponent: i32| {
            values.iter().map(|value| (value * power(exponent)).round_ties_even() as i64).collect()
        };
        Quantised { g: all(&gradients.g, self.g), h: all(&gradients.h, self.h) }
    }

    /// The number that a sum of first derivatives stands for.
    pub fn g(self, sum: i64) -> f64 {
        sum as f64 / power(self.g)
    }

    /// The number that a sum of second derivatives stands for.
    pub fn h(self, sum: i64) -> f64 {
        sum as f64 / power(self.h)
    }
}

/// How sums over at most so many rows share a plaintext. Host and guest find it for themselves. Errors: `InvalidInput` for more rows
/// than sums have room for.
pub fn packing(rows: u64, plaintext_bits: u32) -> Result<Packing> {
    if rows > MAX_ROWS {
        return Err(Error::invalid(format!("{rows} rows, at most {MAX_ROWS} can be trained on")));
    }
    Packing::for_sums(VALUE_BITS, rows.max(1), plaintext_bits)
        .map_err(|e| Error::invalid("sums of gradients do not fit the key").because(e))
}

/// So that the largest magnitude becomes one of [`BITS`] bits. Bounded, so that powers are normal numbers.
fn exponent(values: &[f64]) -> i32 {
    let most = values.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    if most == 0.0 {
        return 0;
    }
    // The exponent of a number from its bits: exact, where a logarithm is rounded.
    let above = ((most.to_bits() >> 52) & 0x7ff) as i32 - 1022;
    (BITS - above).clamp(-900, 900)
}

fn power(exponent: i32) -> f64 {
    2f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_quantised_to_nothing() {
        let zero = Gradients { g: vec![0.0, -0.0], h: vec![] };
        assert_eq!(Scale::of(&zero).quantise(&zero).g, [0, 0]);
    }

    proptest! {
        #[test]
        fn integers_fit_their_bits_and_are_near(values in prop::collection::vec(-1e12f64..1e12, 1..50)) {
            let gradients = Gradients { g: values.clone(), h: values.iter().map(|v| v.abs()).collect() };
            let scale = Scale::of(&gradients);
            let quantised = scale.quantise(&gradients);
            let most = values.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
            for (value, integer) in values.iter().zip(&quantised.g) {
                prop_assert!(integer.unsigned_abs() <= 1 << BITS);
                prop_assert!((scale.g(*integer) - value).abs() <= most * 2f64.powi(-BITS));
            }
            prop_assert!(most == 0.0 || quantised.h.iter().any(|h| *h >= 1 << (BITS - 1)));
        }
    }
}
