//! Products modulo m², where m is the modulus n of a public key or a pair of its primes.
//!
//! Why not GMP's `mul` and `mod`: an element of Z/m² is kept as two halves, `low + high·m`, so that one
//! product modulo m² is three half-size products and two half-size Montgomery reductions, instead of a
//! full-size product and a full-size division:
//!
//! ```text
//! (a0 + a1·m)(b0 + b1·m) = a0·b0 + (a0·b1 + a1·b0)·m                  modulo m²
//! a0·b0 = R·low − q·m  for the Montgomery quotient q, hence
//! (a · b)/R = low + m·high,   high = (a0·b1 + a1·b0 − q)/R            modulo m²
//! ```
//!
//! Measured for a 2048-bit n on a Zen 4 core: 4.4 µs with GMP, 4.4 µs with the portable kernel, 2.3 µs with
//! the one for ADX, 0.7 µs with the one for AVX-512 IFMA, which are the reason to have this module. A square
//! takes 0.8 to 0.9 of that. All kernels do a fixed sequence of operations, whatever the numbers are.
//!
//! **Debt.** Every product divides by R. Rather than convert each number in and out, a number remembers how
//! many powers of R it lacks: `value = words · R^debt`. Entering costs 1, a product costs 1, and
//! [`Ring::lower`] pays all debts at once, in as many products as the debt has bits set. Debt −1 is what is
//! elsewhere called Montgomery form: products of such numbers keep it.
//!
//! `K` rings of the same size are worked through in step: one for public work, two (p and q) for the owner of
//! a key. The vector kernel needs that to keep its pipelines full on numbers as small as p.

mod kernel;

#[cfg(target_arch = "x86_64")]
mod adx;
#[cfg(target_arch = "x86_64")]
mod ifma;
mod portable;

mod digits;
mod fixed_base;
mod power;

use std::{array, fmt};

use rug::{Integer, integer::Order};
use zeroize::Zeroize;

use crate::{error::Result, wiped::Wiped};
use kernel::{Kernel, Root, Shape};

pub(crate) use fixed_base::{FixedBase, Window};

/// The name of the kernel in use. Errors: `Parameters` if the environment names an unknown one.
pub(crate) fn arithmetic() -> Result<&'static str> {
    Ok(Kernel::best()?.name())
}

/// The most words of an element of any ring: 2 halves of 64 words, or twice that of half the size.
const MAX_WIDTH: usize = 128;

/// Powers of R kept to pay debts with: more than a debt has bits. See [`Ring::lower`].
const DEBT_BITS: usize = 48;

struct Modulus {
    m: Wiped,
    m_squared: Wiped,
}

/// `K` rings Z/m² of the same size. An element is `K · 2 · half` words; each half is below 2m or R, whichever
/// is less.
pub(crate) struct Ring<const K: usize> {
    moduli: [Modulus; K],
    roots: [Root; K],
    kernel: Kernel,
    shape: Shape,
    /// Elements R^(2^i + 1): a product with one lowers a debt by 2^i.
    lowering: Vec<u64>,
}

impl<const K: usize> Ring<K> {
    /// Moduli must be odd, and all of one of the sizes 512, 1024, 1536, 2048 or 3072 bits.
    /// Errors: `Parameters` if the environment names an unknown kernel.
    pub(crate) fn new(moduli: [Integer; K]) -> Result<Self> {
        Ok(Self::with_kernel(moduli, Kernel::best()?))
    }

    fn with_kernel(moduli: [Integer; K], kernel: Kernel) -> Self {
        let shape = Shape::new(kernel, moduli[0].significant_bits());
        let roots = array::from_fn(|k| Root::new(&moduli[k], shape));
        let moduli = moduli.map(Modulus::new);
        let mut ring = Self { moduli, roots, kernel, shape, lowering: Vec::new() };
        ring.lowering = ring.powers_of_r();
        ring
    }

    /// Words of an element.
    pub(crate) fn width(&self) -> usize {
        K * 2 * self.shape.half
    }

    pub(crate) fn modulus(&self, k: usize) -> &Integer {
        &self.moduli[k].m
    }

    pub(crate) fn modulus_squared(&self, k: usize) -> &Integer {
        &self.moduli[k].m_squared
    }

    /// `acc · by / R` into `acc`: debts add up, and one more.
    pub(crate) fn multiply(&self, acc: &mut [u64], by: &[u64]) {
        self.kernel.multiply(acc, by, &self.roots, self.shape);
    }

    /// `acc² / R` into `acc`, in less time than a product.
    pub(crate) fn square(&self, acc: &mut [u64]) {
        self.kernel.square(acc, &self.roots, self.shape);
    }

    /// Announces that `words` will be a factor soon.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
    pub(crate) fn prefetch(&self, words: &[u64]) {
        #[cfg(target_arch = "x86_64")]
        ifma::prefetch(words);
    }

    /// Lowers the debt of `acc` by `by`, which is below 2^[`DEBT_BITS`].
    pub(crate) fn lower(&self, acc: &mut [u64], by: u64) {
        debug_assert!(by >> DEBT_BITS == 0, "debt {by} was left to grow");
        for (i, power) in self.lowering.chunks_exact(self.width()).enumerate() {
            if by >> i & 1 == 1 {
                self.multiply(acc, power);
            }
        }
    }

    /// The element 1 at debt 0. A product with it raises a debt by one.
    pub(crate) fn one(&self) -> Vec<u64> {
        self.linear([&Integer::ZERO; K])
    }

    /// The element 1 at debt −1.
    pub(crate) fn unit(&self) -> Vec<u64> {
        let mut unit = self.one();
        self.lower(&mut unit, 1);
        unit
    }

    /// The elements `1 + high·m` at debt 0, for `high` in `0..m`.
    pub(crate) fn linear(&self, high: [&Integer; K]) -> Vec<u64> {
        self.element(array::from_fn(|k| (Integer::from(1), high[k].clone())))
    }

    /// Numbers in `0..m²`, at debt 1.
    pub(crate) fn enter(&self, values: [&Integer; K]) -> Vec<u64> {
        let mut words = vec![0; self.width()];
        for (element, value) in words.chunks_exact_mut(2 * self.shape.half).zip(values) {
            let limbs = value.to_digits::<u64>(Order::Lsf);
            digits::split(&limbs, self.shape.radix, element);
        }
        self.enter_split(&mut words);
        words
    }

    /// Numbers at debt 0, each in `0..m²`.
    pub(crate) fn leave(&self, words: &[u64]) -> [Integer; K] {
        array::from_fn(|k| {
            let element = &words[k * 2 * self.shape.half..][..2 * self.shape.half];
            let (low, high) = element.split_at(self.shape.half);
            let [low, high] = [low, high].map(|half| digits::join(half, self.shape.radix));
            (high * &*self.moduli[k].m + low) % &*self.moduli[k].m_squared
        })
    }

    /// Finishes entering, from each number split into digits over the room of both halves: it is
    /// `low + high·R`, so `low / R` is one product and `high` is then added.
    fn enter_split(&self, words: &mut [u64]) {
        let Shape { digits, half, radix } = self.shape;
        let mut high = [0; MAX_WIDTH];
        for (k, element) in words.chunks_exact_mut(2 * half).enumerate() {
            high[k * half..][..2 * half - digits].copy_from_slice(&element[digits..]);
            element[digits..].fill(0);
        }
        self.multiply(words, &self.one());
        for (k, element) in words.chunks_exact_mut(2 * half).enumerate() {
            let mut carry = 0;
            for (word, high) in element[..half].iter_mut().zip(&high[k * half..]) {
                let sum = u128::from(*word) + u128::from(*high) + carry;
                *word = sum as u64 & self.shape.mask();
                carry = sum >> radix;
            }
            // Only where R is not far above m: the low half was at most m, and what was added is below it. An m
            // taken from it is one more in the high half.
            let (low, high) = element.split_at_mut(half);
            let above = u64::from(carry != 0);
            digits::subtract(low, &self.roots[k].digits, above.wrapping_neg());
            digits::add_word(high, above);
        }
    }

    fn element(&self, values: [(Integer, Integer); K]) -> Vec<u64> {
        let mut words = vec![0; self.width()];
        let halves = words.chunks_exact_mut(self.shape.half);
        for (half, value) in halves.zip(values.into_iter().flat_map(|(low, high)| [low, high])) {
            let limbs = value.to_digits::<u64>(Order::Lsf);
            digits::split(&limbs, self.shape.radix, half);
        }
        words
    }

    fn powers_of_r(&self) -> Vec<u64> {
        let width = self.width();
        let mut powers = self.element(array::from_fn(|k| {
            let r_squared = (Integer::from(1) << (2 * self.shape.r_bits())) % self.modulus_squared(k);
            let (high, low) = r_squared.div_rem(self.modulus(k).clone());
            (low, high)
        }));
        for i in 1..DEBT_BITS {
            powers.extend_from_within((i - 1) * width..);
            self.square(&mut powers[i * width..]);
        }
        powers
    }
}

impl Ring<1> {
    /// A big-endian number below m², at debt 1, without allocating beyond the element itself.
    pub(crate) fn enter_row(&self, row: &[u8], words: &mut [u64]) {
        let mut limbs = [0; MAX_WIDTH];
        for (limb, bytes) in limbs.iter_mut().zip(row.rchunks(8)) {
            *limb = bytes.iter().fold(0, |limb, byte| limb << 8 | u64::from(*byte));
        }
        words.fill(0);
        digits::split(&limbs[..row.len().div_ceil(8)], self.shape.radix, words);
        self.enter_split(words);
    }
}

impl Modulus {
    fn new(m: Integer) -> Self {
        let m_squared = Integer::from(m.square_ref());
        Self { m: m.into(), m_squared: m_squared.into() }
    }
}

impl<const K: usize> Drop for Ring<K> {
    fn drop(&mut self) {
        self.lowering.zeroize();
    }
}

impl<const K: usize> fmt::Debug for Ring<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("kernel", &self.kernel)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
