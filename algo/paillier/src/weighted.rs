//! Sums of ciphertexts times known integers: an encrypted vector times a plain one.
//!
//! Multiplying each ciphertext by its weight costs about 1.5 products a *bit* of the weight. Here a weight is
//! cut into signed digits of `w` bits, each row adds its ciphertext into one bucket a *digit*, and the
//! buckets are weighed once at the end (Pippenger 1976). Known to gain when many rows meet few columns, which
//! is what regression does.

use crate::{
    error::{Error, Result},
    scheme::Additive,
    sums::Sums,
};

/// One encrypted sum of `weight · ciphertext`.
#[derive(Clone, Debug)]
pub struct WeightedSum<K: Additive + Clone> {
    key: K,
    weight_bits: u32,
    digit_bits: u32,
    /// Per digit position, then per digit 1..=2^(w−1): rows with that digit, and rows with its negative.
    positive: Sums<K>,
    negative: Sums<K>,
}

impl<K: Additive + Clone> WeightedSum<K> {
    /// A sum for weights of at most `weight_bits` bits of magnitude (1 to 63), over about `rows` rows.
    ///
    /// The digits' size makes `⌈bits/w⌉ · (rows + 2·2^w)` products least, with `w` from 2 to 8; buckets are
    /// allocated as they are met, at most `⌈bits/w⌉ · 2^w` of them. Errors: `Parameters`.
    pub fn new(key: K, weight_bits: u32, rows: u64) -> Result<Self> {
        if !(1..=63).contains(&weight_bits) {
            let reason = format!("weights of {weight_bits} bits, expected 1 to 63");
            return Err(Error::Parameters { what: "weighted sum", reason });
        }
        let products = |w: &u32| u128::from(positions(weight_bits, *w)) * (u128::from(rows) + (2 << w));
        let digit_bits = (2..=8).min_by_key(products).unwrap_or(2);
        let buckets = (positions(weight_bits, digit_bits) as usize) << (digit_bits - 1);
        let sums = Sums::new(key.clone(), buckets);
        Ok(Self { key, weight_bits, digit_bits, positive: sums.clone(), negative: sums })
    }

    /// Adds `weight · value`, in a time that depends on the weight. Errors: `Number` if the weight has more
    /// bits than agreed. Cost: one product a digit that is not zero.
    pub fn add_vartime(&mut self, weight: i64, value: &K::Ciphertext) -> Result<()> {
        if weight.unsigned_abs() >> self.weight_bits != 0 {
            return Err(Error::Number { reason: "a weight has more bits than the sum was set up for" });
        }
        let half = 1i128 << (self.digit_bits - 1);
        let mut rest = i128::from(weight);
        let mut first_bucket = 0;
        while rest != 0 {
            let digit = (rest + half - 1).rem_euclid(2 * half) - half + 1;
            let sums = if digit < 0 { &mut self.negative } else { &mut self.positive };
            if digit != 0 {
                sums.add(first_bucket + digit.unsigned_abs() as usize - 1, value);
            }
            rest = (rest - digit) >> self.digit_bits;
            first_bucket += half as usize;
        }
        Ok(())
    }

    /// Adds the rows of `other`, a sum over other rows with the same parameters. Panics if they differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!((self.weight_bits, self.digit_bits), (other.weight_bits, other.digit_bits));
        self.positive.merge(&other.positive);
        self.negative.merge(&other.negative);
    }

    /// The sum. Not re-randomised.
    pub fn finish(self) -> K::Ciphertext {
        let Self { key, digit_bits, positive, negative, .. } = self;
        let mut sum = weigh(&key, negative.into_inner(), digit_bits);
        key.negate(&mut sum);
        key.add(&mut sum, &weigh(&key, positive.into_inner(), digit_bits));
        sum
    }
}

/// Digit positions: two bits more than the weight has, since digits from −(2^(w−1) − 1) to 2^(w−1) reach a
/// third of what their bits would.
fn positions(weight_bits: u32, digit_bits: u32) -> u32 {
    (weight_bits + 2).div_ceil(digit_bits)
}

/// Σ digit · 2^(w·position) · bucket. Running sums weigh a position's buckets by their digits with two
/// additions each.
fn weigh<K: Additive>(key: &K, buckets: Vec<K::Ciphertext>, digit_bits: u32) -> K::Ciphertext {
    let mut total = key.zero();
    for position in buckets.rchunks(1 << (digit_bits - 1)) {
        key.shift_left(&mut total, digit_bits);
        let mut running = key.zero();
        for bucket in position.iter().rev() {
            key.add(&mut running, bucket);
            key.add(&mut total, &running);
        }
    }
    total
}
