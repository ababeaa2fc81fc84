//! Fresh blinding: a random power of a fixed n-th power.
//!
//! Damgård, Jurik and Nielsen (2010): with `h = −y²` and `hs = hⁿ mod n²` public, `hs^α` for a random `α` of
//! half the bits of n replaces `rⁿ` for a random `r`: indistinguishable for anyone who cannot factor n
//! (under their assumption), and a short power of a fixed base.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rand::CryptoRng;
use rug::Integer;
use zeroize::Zeroizing;

use crate::{
    key::KeyBits,
    ring::{FixedBase, Ring, Window},
};

/// A source of blindings for one key, with a table that is filled by its first use.
pub(crate) struct Blinding<const K: usize> {
    ring: Arc<Ring<K>>,
    /// hs, at debt −1.
    base: Zeroizing<Vec<u64>>,
    exponent_limbs: usize,
    expected: u64,
    table: OnceLock<FixedBase<K>>,
}

impl<const K: usize> Blinding<K> {
    /// Few enough for a small table, enough for a column of a small job.
    pub(crate) const DEFAULT_EXPECTED: u64 = 500;

    /// Prepares for powers of `hs`, given modulo each of the ring's moduli squared.
    pub(crate) fn new(ring: Arc<Ring<K>>, hs: [&Integer; K], size: KeyBits) -> Self {
        let mut base = Zeroizing::new(ring.enter(hs));
        ring.lower(&mut base, 2);
        let exponent_limbs = size.bits() as usize / 2 / 64;
        Self { ring, base, exponent_limbs, expected: Self::DEFAULT_EXPECTED, table: OnceLock::new() }
    }

    /// The same with a table of its own, for about `expected` blindings.
    pub(crate) fn expecting(&self, expected: u64) -> Self {
        Self {
            ring: self.ring.clone(),
            base: self.base.clone(),
            exponent_limbs: self.exponent_limbs,
            expected,
            table: OnceLock::new(),
        }
    }

    /// A fresh blinding, at debt −1.
    pub(crate) fn draw(&self, rng: &mut dyn CryptoRng) -> Vec<u64> {
        let alpha: Zeroizing<Vec<u64>> =
            Zeroizing::new((0..self.exponent_limbs).map(|_| rng.next_u64()).collect());
        self.table.get_or_init(|| self.fill_table()).pow(&self.ring, &alpha)
    }

    fn fill_table(&self) -> FixedBase<K> {
        let bits = self.exponent_limbs * 64;
        let window = Window::for_powers(self.expected, bits, self.ring.width() * size_of::<u64>());
        FixedBase::new(&self.ring, &self.base, bits, window)
    }
}

impl<const K: usize> fmt::Debug for Blinding<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blinding").field("expected", &self.expected).finish_non_exhaustive()
    }
}
