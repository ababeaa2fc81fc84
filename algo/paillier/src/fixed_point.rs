//! Real numbers as integers at a scale that the protocol fixes.
//!
//! A ciphertext carries no exponent: one in the clear, as other systems send it, shows the size of each
//! number. Both parties know the scale from the protocol instead, and a product of two numbers has the scale
//! of [`FixedPoint::times`].

use rug::Integer;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Signed numbers below 2^`integer_bits` in magnitude, in steps of 2^-`fraction_bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct FixedPoint {
    integer_bits: u32,
    fraction_bits: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    integer_bits: u32,
    fraction_bits: u32,
}

impl TryFrom<Raw> for FixedPoint {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self> {
        Self::new(raw.integer_bits, raw.fraction_bits)
    }
}

impl FixedPoint {
    /// The most bits a number may have in all, so that it fits an `i128` with room for products and sums.
    pub const MAX_BITS: u32 = 120;

    /// Errors: `Parameters` unless there are 1 to [`MAX_BITS`](Self::MAX_BITS) bits in all.
    pub fn new(integer_bits: u32, fraction_bits: u32) -> Result<Self> {
        match integer_bits.checked_add(fraction_bits) {
            Some(1..=Self::MAX_BITS) => Ok(Self { integer_bits, fraction_bits }),
            _ => Err(Error::Parameters {
                what: "fixed-point numbers",
                reason: format!(
                    "{integer_bits} integer and {fraction_bits} fraction bits, expected 1 to {} in all",
                    Self::MAX_BITS
                ),
            }),
        }
    }

    /// The magnitude of encoded numbers, in bits: each is below 2^`value_bits`.
    pub fn value_bits(self) -> u32 {
        self.integer_bits + self.fraction_bits
    }

    /// The bits after the point.
    pub fn fraction_bits(self) -> u32 {
        self.fraction_bits
    }

    /// The encoding that products of numbers in `self` and in `other` have. Errors: `Parameters` if too wide.
    pub fn times(self, other: Self) -> Result<Self> {
        Self::new(self.integer_bits + other.integer_bits, self.fraction_bits + other.fraction_bits)
    }

    /// The nearest step, ties to even. Errors: `Number` for what is not finite or too large.
    pub fn encode(self, number: f64) -> Result<i128> {
        if !number.is_finite() {
            return Err(Error::Number {
                reason: "it is not finite; impute or drop such rows before encrypting",
            });
        }
        let scaled = (number * power_of_two(self.fraction_bits)).round_ties_even();
        if scaled.abs() >= power_of_two(self.value_bits()) {
            return Err(Error::Number {
                reason: "it is larger than the protocol's integer bits allow; scale the data or allow more",
            });
        }
        Ok(scaled as i128)
    }

    /// The number that an encoded one, or a sum of such, stands for; rounded if it has more than 53 bits.
    pub fn decode(self, encoded: i128) -> f64 {
        encoded as f64 / power_of_two(self.fraction_bits)
    }

    /// As [`decode`](Self::decode), for a decrypted sum of at most `terms` numbers. Errors: `Unpack` if no
    /// such sum is that large.
    pub fn decode_sum(self, sum: &Integer, terms: u64) -> Result<f64> {
        let bound = Integer::from(terms) << self.value_bits();
        sum.to_i128()
            .filter(|_| sum.cmp_abs(&bound).is_le())
            .map(|sum| self.decode(sum))
            .ok_or(Error::Unpack { reason: "it is larger than any sum of that many numbers" })
    }
}

/// Exact: exponents stay far inside those of an `f64`.
fn power_of_two(exponent: u32) -> f64 {
    2f64.powi(exponent as i32)
}
