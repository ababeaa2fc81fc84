//! Powers of any base: with secret exponents, and with public ones in less time.

use super::{Ring, digits};

/// Bits of a secret exponent worked through at a time. With 5, reading the whole table takes longer than is
/// saved.
const WINDOW: usize = 4;

/// The most bits of a public exponent worked through at a time. With 7, filling the table takes what is saved.
const PUBLIC_WINDOW: usize = 6;

impl<const K: usize> Ring<K> {
    /// Raises `base`, at debt −1, to one exponent in each ring; the result has debt −1.
    ///
    /// The running time and the memory touched depend on `bits` alone: squarings and products come in a fixed
    /// order, and every lookup reads the whole table.
    pub(crate) fn pow(&self, base: &[u64], exponents: [&[u64]; K], bits: usize) -> Vec<u64> {
        let width = self.width();
        let mut table = self.unit();
        for i in 1..1 << WINDOW {
            table.extend_from_within((i - 1) * width..);
            self.multiply(&mut table[i * width..], base);
        }
        let mut acc = self.unit();
        let mut chosen = vec![0; width];
        for at in (0..bits.div_ceil(WINDOW)).rev().map(|i| i * WINDOW) {
            for _ in 0..WINDOW {
                self.square(&mut acc);
            }
            for (k, exponent) in exponents.iter().enumerate() {
                let lane = k * width / K..(k + 1) * width / K;
                let index = digits::window(exponent, at, WINDOW);
                let entries = table.chunks_exact(width).map(|entry| &entry[lane.clone()]);
                digits::select(entries, index, &mut chosen[lane.clone()]);
            }
            self.multiply(&mut acc, &chosen);
        }
        acc
    }

    /// As [`pow`](Self::pow), to one public exponent: the running time and the memory touched
    /// depend on it, though not on the base. A product for every seven bits or so, from a table of odd powers.
    pub(crate) fn pow_public(&self, base: &[u64], exponent: &[u64]) -> Vec<u64> {
        let width = self.width();
        let mut squared = base.to_vec();
        self.square(&mut squared);
        let mut odd = base.to_vec();
        for i in 1..1 << (PUBLIC_WINDOW - 1) {
            odd.extend_from_within((i - 1) * width..);
            self.multiply(&mut odd[i * width..], &squared);
        }
        let mut acc = self.unit();
        let mut end = 64 * exponent.len();
        while end > 0 {
            // the longest odd window that ends here, or a zero alone
            let size = PUBLIC_WINDOW.min(end);
            let window = digits::window(exponent, end - size, size);
            let size = match window {
                _ if window >> (size - 1) == 0 => 1,
                _ => size - window.trailing_zeros() as usize,
            };
            let window = digits::window(exponent, end - size, size);
            (0..size).for_each(|_| self.square(&mut acc));
            if window > 0 {
                self.multiply(&mut acc, &odd[window / 2 * width..][..width]);
            }
            end -= size;
        }
        acc
    }
}
