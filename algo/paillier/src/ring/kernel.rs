//! Which arithmetic a ring uses: chosen once a process, from what the processor has.

use std::sync::OnceLock;

use rug::{Integer, integer::Order};
use zeroize::Zeroize;

#[cfg(target_arch = "x86_64")]
use super::{adx, ifma};
use super::{digits, portable};
use crate::error::{Error, Result};

/// The environment variable that keeps instructions from being used, for tests and measurements: `portable`, `adx` or
/// `avx512`. The best that it allows and the processor has is used.
const LIMIT: &str = "TRIBUTARY_ARITHMETIC";

/// What computes. Later ones are faster.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kernel {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Adx(adx::Adx),
    #[cfg(target_arch = "x86_64")]
    Ifma(ifma::Ifma),
}

impl Kernel {
    /// Every kernel that this processor has the instructions for, the slowest first.
    pub(super) fn all() -> Vec<Self> {
        let portable = [Self::Portable].into_iter();
        #[cfg(target_arch = "x86_64")]
        let portable =
            portable.chain(adx::Adx::detect().map(Self::Adx)).chain(ifma::Ifma::detect().map(Self::Ifma));
        portable.collect()
    }

    /// The fastest that may be used. Errors: `Parameters` if the environment names another limit than there is.
    pub(super) fn best() -> Result<Self> {
        static LIMITED: OnceLock<Option<String>> = OnceLock::new();
        match LIMITED.get_or_init(|| std::env::var(LIMIT).ok().filter(|limit| !limit.is_empty())) {
            None => Ok(Self::within("avx512")),
            Some(limit) if ["portable", "adx", "avx512"].contains(&&**limit) => Ok(Self::within(limit)),
            Some(limit) => Err(Error::Parameters {
                what: "arithmetic",
                reason: format!("{LIMIT} is {limit:?}, expected portable, adx or avx512"),
            }),
        }
    }

    fn within(limit: &str) -> Self {
        let rank = |name: &str| ["portable", "adx", "avx512"].iter().position(|known| *known == name);
        let allowed = |kernel: &Self| rank(kernel.name()) <= rank(limit);
        Self::all().into_iter().rfind(allowed).unwrap_or(Self::Portable)
    }

    /// As in the environment variable.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Self::Adx(_) => "adx",
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(_) => "avx512",
        }
    }

    /// `acc · by / R` into `acc`, in each ring.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
    pub(super) fn multiply<const K: usize>(
        self,
        acc: &mut [u64],
        by: &[u64],
        roots: &[Root; K],
        shape: Shape,
    ) {
        match self {
            Self::Portable => portable::multiply(acc, by, roots),
            #[cfg(target_arch = "x86_64")]
            Self::Adx(adx) => adx.multiply(acc, by, roots),
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(ifma) => ifma.multiply(acc, by, roots, shape.digits),
        }
    }

    /// `acc² / R` into `acc`, in each ring.
    #[cfg_attr(not(target_arch = "x86_64"), expect(unused_variables))]
    pub(super) fn square<const K: usize>(self, acc: &mut [u64], roots: &[Root; K], shape: Shape) {
        match self {
            Self::Portable => portable::square(acc, roots),
            #[cfg(target_arch = "x86_64")]
            Self::Adx(adx) => adx.square(acc, roots),
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(ifma) => ifma.square(acc, roots, shape.digits),
        }
    }
}

/// How numbers are laid out for a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shape {
    /// Bits in a word.
    pub radix: u32,
    /// Words of a half that are in use; R is 2^(radix · digits), and at least m.
    pub digits: usize,
    /// Words of a half, with padding.
    pub half: usize,
}

impl Shape {
    /// Room for halves below 2m, which stay so if R is at least 8m; or, for ADX, below R.
    pub fn new(kernel: Kernel, bits: u32) -> Self {
        match kernel {
            Kernel::Portable => {
                let digits = bits as usize / 64 + 1;
                Self { radix: 64, digits, half: digits }
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Adx(_) => {
                let digits = bits as usize / 64;
                Self { radix: 64, digits, half: digits }
            }
            #[cfg(target_arch = "x86_64")]
            Kernel::Ifma(_) => {
                let digits = (bits as usize + 3).div_ceil(52);
                Self { radix: 52, digits, half: digits.next_multiple_of(8) }
            }
        }
    }

    pub fn mask(self) -> u64 {
        u64::MAX >> (64 - self.radix)
    }

    pub fn r_bits(self) -> u32 {
        self.radix * self.digits as u32
    }
}

/// A modulus m as a kernel needs it.
pub(super) struct Root {
    /// m, padded to a half.
    pub digits: Vec<u64>,
    /// −1/m modulo 2^radix.
    pub inverse: u64,
}

impl Root {
    pub fn new(m: &Integer, shape: Shape) -> Self {
        let mut digits = vec![0; shape.half];
        let limbs = m.to_digits::<u64>(Order::Lsf);
        digits::split(&limbs, shape.radix, &mut digits);
        // Newton: each round doubles the low bits that are right, from the 3 that m itself gives
        let inverse = (0..5).fold(limbs[0], |inverse, _| {
            inverse.wrapping_mul(2u64.wrapping_sub(limbs[0].wrapping_mul(inverse)))
        });
        Self { digits, inverse: inverse.wrapping_neg() & shape.mask() }
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        self.digits.zeroize();
        self.inverse.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_keeps_faster_kernels_from_being_used() {
        assert_eq!(Kernel::within("portable").name(), "portable");
        let all = Kernel::all();
        for kernel in &all {
            assert_eq!(Kernel::within(kernel.name()).name(), kernel.name());
        }
        assert_eq!(Kernel::within("avx512").name(), all[all.len() - 1].name());
    }
}
