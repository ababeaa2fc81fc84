//! GF(2^128): polynomials over GF(2) modulo x^128 + x^7 + x^2 + x + 1. Bit i of a number is the coefficient of x^i.
//!
//! This is GCM's field with bits in the plain order, so that a sum is an exclusive or of machine words and nothing is
//! ever reflected. The instruction for carry-less products is used where the processor has it, chosen once a process;
//! both ways take the same time for all operands.

#[cfg(target_arch = "x86_64")]
mod clmul;
mod portable;

use std::fmt;
use std::ops::{Add, AddAssign, Mul};
use std::sync::OnceLock;

use zeroize::Zeroize;

/// An element. Never prints, because most are secret.
#[derive(Clone, Copy, Default, PartialEq, Eq, Zeroize)]
#[repr(transparent)]
pub struct Gf128(pub u128);

impl Gf128 {
    /// Bytes of an element.
    pub const BYTES: usize = 16;

    /// Zero.
    pub const ZERO: Self = Self(0);

    /// From bytes, the lowest coefficients first. Every value is an element.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_le_bytes(bytes))
    }

    /// As [`Gf128::from_bytes`].
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }
}

impl fmt::Debug for Gf128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gf128(<redacted>)")
    }
}

// In this field a sum is an exclusive or.
#[expect(clippy::suspicious_arithmetic_impl)]
impl Add for Gf128 {
    type Output = Self;

    #[inline]
    fn add(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
}

#[expect(clippy::suspicious_op_assign_impl)]
impl AddAssign for Gf128 {
    #[inline]
    fn add_assign(&mut self, other: Self) {
        self.0 ^= other.0;
    }
}

impl Mul for Gf128 {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Arithmetic::best().multiply(self, other)
    }
}

/// The environment variable that keeps instructions from being used, for tests and measurements, as it does in
/// encryption. Only `portable` says something here.
const LIMIT: &str = "TRIBUTARY_ARITHMETIC";

/// Steps that a coefficient of [`filter`] looks back.
pub(crate) const MEMORY: usize = 4;

/// What multiplies.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arithmetic {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Clmul(clmul::Clmul),
}

impl Arithmetic {
    /// The quickest that this processor has, and that the environment allows.
    pub(crate) fn best() -> Self {
        static BEST: OnceLock<Arithmetic> = OnceLock::new();
        *BEST.get_or_init(|| match std::env::var(LIMIT).is_ok_and(|limit| limit == "portable") {
            true => Self::Portable,
            false => Self::all().pop().unwrap_or(Self::Portable),
        })
    }

    /// Everything that this processor has the instructions for, the slowest first.
    fn all() -> Vec<Self> {
        let portable = [Self::Portable].into_iter();
        #[cfg(target_arch = "x86_64")]
        let portable = portable.chain(clmul::Clmul::detect().map(Self::Clmul));
        portable.collect()
    }

    fn multiply(self, a: Gf128, b: Gf128) -> Gf128 {
        match self {
            Self::Portable => Gf128(portable::multiply(a.0, b.0)),
            #[cfg(target_arch = "x86_64")]
            Self::Clmul(clmul) => Gf128(clmul.multiply(a.0, b.0)),
        }
    }

    /// Adds `factor` times each of `from` to `to`.
    fn add_scaled(self, to: &mut [Gf128], from: &[Gf128], factor: Gf128) {
        match self {
            Self::Portable => portable::add_scaled(to, from, factor),
            #[cfg(target_arch = "x86_64")]
            Self::Clmul(clmul) => clmul.add_scaled(to, from, factor),
        }
    }

    /// See [`filter`].
    pub(crate) fn filter<const W: usize>(
        self,
        state: &mut [[Gf128; W]; MEMORY],
        values: &mut [[Gf128; W]],
        coefficients: &[[Gf128; MEMORY]],
    ) {
        match self {
            Self::Portable => portable::filter(state, values, coefficients),
            #[cfg(target_arch = "x86_64")]
            Self::Clmul(clmul) => clmul.filter(state, values, coefficients),
        }
    }
}

/// Adds `factor` times each of `from` to the one of `to` at the same place. As many as the shorter has.
pub fn add_scaled(to: &mut [Gf128], from: &[Gf128], factor: Gf128) {
    Arithmetic::best().add_scaled(to, from, factor);
}

/// `value[t] += Σ coefficients[t][j] · value[t − 1 − j]`, in place and for `W` vectors with the same coefficients.
/// `state` holds the last values, the latest first, and goes from one stretch of a vector to the next.
pub(crate) fn filter<const W: usize>(
    state: &mut [[Gf128; W]; MEMORY],
    values: &mut [[Gf128; W]],
    coefficients: &[[Gf128; MEMORY]],
) {
    Arithmetic::best().filter(state, values, coefficients);
}

#[cfg(test)]
mod tests;
