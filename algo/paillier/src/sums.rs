//! Many sums at once: one per bin of a histogram, or per row of a vector.

use rand::CryptoRng;

use crate::scheme::{Additive, Encrypt};

/// A row of encrypted sums, all zero at first.
///
/// Adding allocates once per sum and never after. Sums of parts of the rows merge, in any order, to the same
/// plaintexts. What leaves for another party goes through [`release`](Self::release).
#[derive(Clone, Debug)]
pub struct Sums<K: Additive> {
    key: K,
    sums: Vec<Option<K::Ciphertext>>,
}

impl<K: Additive> Sums<K> {
    /// `len` sums of nothing.
    pub fn new(key: K, len: usize) -> Self {
        Self { key, sums: vec![None; len] }
    }

    /// Adds `value` into sum `at`. Panics if there is none. Cost: one product; a copy the first time.
    pub fn add(&mut self, at: usize, value: &K::Ciphertext) {
        match &mut self.sums[at] {
            Some(sum) => self.key.add(sum, value),
            empty => *empty = Some(value.clone()),
        }
    }

    /// Adds `other`'s sums into the sums at the same places. Panics if it has more.
    pub fn merge(&mut self, other: &Self) {
        for (at, value) in other.sums.iter().enumerate() {
            if let Some(value) = value {
                self.add(at, value);
            }
        }
    }

    /// The sums as [`into_inner`](Self::into_inner), none where nothing was added.
    pub fn into_parts(self) -> Vec<Option<K::Ciphertext>> {
        self.sums
    }

    /// The sums as they are, for more computing at this party. Not for another party to see: the blinding of
    /// each is the product of its rows', and a sum of nothing shows as such.
    pub fn into_inner(self) -> Vec<K::Ciphertext> {
        let Self { key, sums } = self;
        sums.into_iter().map(|sum| sum.unwrap_or_else(|| key.zero())).collect()
    }
}

impl<K: Additive + Encrypt<Public = K>> Sums<K> {
    /// The sums with fresh blinding, for another party.
    pub fn release(self, rng: &mut dyn CryptoRng) -> Vec<K::Ciphertext> {
        let Self { key, sums } = self;
        let release = |sum: Option<K::Ciphertext>| {
            let mut sum = sum.unwrap_or_else(|| key.zero());
            key.rerandomize(&mut sum, rng);
            sum
        };
        sums.into_iter().map(release).collect()
    }
}
