//! Powers of one base from a table: one product a window of the exponent, and no squarings.

use zeroize::Zeroize;

use super::{Ring, digits};

/// How much table to spend on a base.
///
/// With windows of `w` bits an exponent of `e` bits costs ⌈e/w⌉ products; the table has ⌈e/w⌉·2^w entries,
/// and costs about as many products to fill. For `k` powers the best `w` makes `⌈e/w⌉ · (2^w + k)` least,
/// within [`MAX_TABLE_BYTES`](Self::MAX_TABLE_BYTES). For 2048-bit keys (e = 1024, entries of 640 bytes): k =
/// 20 takes w = 4 and 2.6 MB, k = 500 takes w = 7 and 12 MB, k = 10⁴ and more takes w = 8 and 21 MB.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Window(usize);

impl Window {
    /// Where a larger table stops paying: one of 37 MB encrypts 6 % faster, after 25 ms more to fill it.
    const MAX_TABLE_BYTES: usize = 24 << 20;

    pub(crate) fn for_powers(powers: u64, exponent_bits: usize, entry_bytes: usize) -> Self {
        let windows = |w: usize| exponent_bits.div_ceil(w);
        let cost = |w: &usize| windows(*w) as u128 * ((1u128 << w) + u128::from(powers));
        let best =
            (2..16).filter(|w| windows(*w) * (entry_bytes << w) <= Self::MAX_TABLE_BYTES).min_by_key(cost);
        Self(best.unwrap_or(1))
    }

    pub(crate) fn bits(self) -> usize {
        self.0
    }
}

/// A table of powers of one base in each of `K` rings.
pub(crate) struct FixedBase<const K: usize> {
    window: usize,
    width: usize,
    table: Vec<u64>,
}

impl<const K: usize> FixedBase<K> {
    /// Prepares exponents of up to `exponent_bits` bits for `base`, which is at debt −1.
    pub(crate) fn new(ring: &Ring<K>, base: &[u64], exponent_bits: usize, window: Window) -> Self {
        let (window, width) = (window.bits(), ring.width());
        let windows = exponent_bits.div_ceil(window);
        let mut table = Vec::with_capacity(windows * (width << window));
        let (unit, mut base) = (ring.unit(), base.to_vec());
        for _ in 0..windows {
            table.extend_from_slice(&unit);
            for _ in 1..1 << window {
                table.extend_from_within(table.len() - width..);
                let last = table.len() - width;
                ring.multiply(&mut table[last..], &base);
            }
            ring.multiply(&mut base, &table[table.len() - width..]);
        }
        base.zeroize();
        Self { window, width, table }
    }

    /// The base to the power of `exponent` (little-endian limbs), at debt −1.
    ///
    /// As many products for every exponent, but *which* entries are read depends on it: see the crate's docs.
    pub(crate) fn pow(&self, ring: &Ring<K>, exponent: &[u64]) -> Vec<u64> {
        let entry = |i: usize| {
            let index = i << self.window | digits::window(exponent, i * self.window, self.window);
            &self.table[index * self.width..][..self.width]
        };
        let windows = self.table.len() / (self.width << self.window);
        let mut power = entry(0).to_vec();
        for i in 1..windows {
            ring.prefetch(entry((i + 1) % windows));
            ring.multiply(&mut power, entry(i));
        }
        power
    }
}

impl<const K: usize> Drop for FixedBase<K> {
    fn drop(&mut self) {
        self.table.zeroize();
    }
}
