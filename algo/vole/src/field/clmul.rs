//! Products with the instruction for carry-less products (PCLMULQDQ).
//!
//! The `unsafe` here: the calls of code compiled for that instruction, allowed by a token that only detection gives.
//! Numbers go in and out of vector registers by value.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Gf128, MEMORY};

/// Shows that this processor has PCLMULQDQ.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clmul(());

/// x^7 + x^2 + x + 1, which x^128 is.
const POLYNOMIAL: i64 = 0x87;

impl Clmul {
    pub(super) fn detect() -> Option<Self> {
        is_x86_feature_detected!("pclmulqdq").then_some(Self(()))
    }

    pub(super) fn multiply(self, a: u128, b: u128) -> u128 {
        // SAFETY: a value of this type exists only where the instruction was detected.
        unsafe { multiply(a, b) }
    }

    pub(super) fn add_scaled(self, to: &mut [Gf128], from: &[Gf128], factor: Gf128) {
        // SAFETY: as above.
        unsafe { add_scaled(to, from, factor) }
    }

    pub(super) fn filter<const W: usize>(
        self,
        state: &mut [[Gf128; W]; MEMORY],
        values: &mut [[Gf128; W]],
        coefficients: &[[Gf128; MEMORY]],
    ) {
        // SAFETY: as above.
        unsafe { filter(state, values, coefficients) }
    }
}

/// A product of 256 bits that is not reduced yet: lower half, upper half, and what belongs between them.
#[derive(Clone, Copy)]
struct Wide {
    low: __m128i,
    middle: __m128i,
    high: __m128i,
}

#[target_feature(enable = "pclmulqdq")]
#[inline]
fn load(x: u128) -> __m128i {
    _mm_set_epi64x((x >> 64) as i64, x as i64)
}

#[target_feature(enable = "pclmulqdq")]
#[inline]
fn store(x: __m128i) -> u128 {
    let high = _mm_cvtsi128_si64(_mm_unpackhi_epi64(x, x));
    u128::from(high as u64) << 64 | u128::from(_mm_cvtsi128_si64(x) as u64)
}

#[target_feature(enable = "pclmulqdq")]
#[inline]
fn add(a: __m128i, b: __m128i) -> __m128i {
    _mm_xor_si128(a, b)
}

#[target_feature(enable = "pclmulqdq")]
#[inline]
fn nothing() -> Wide {
    let zero = _mm_setzero_si128();
    Wide { low: zero, middle: zero, high: zero }
}

#[target_feature(enable = "pclmulqdq")]
#[inline]
fn gather(to: Wide, a: __m128i, b: __m128i) -> Wide {
    let middle = add(_mm_clmulepi64_si128::<0x01>(a, b), _mm_clmulepi64_si128::<0x10>(a, b));
    Wide {
        low: add(to.low, _mm_clmulepi64_si128::<0x00>(a, b)),
        middle: add(to.middle, middle),
        high: add(to.high, _mm_clmulepi64_si128::<0x11>(a, b)),
    }
}

/// Modulo the field's polynomial, word by word from above.
#[target_feature(enable = "pclmulqdq")]
#[inline]
fn reduce(x: Wide) -> __m128i {
    let polynomial = _mm_set_epi64x(0, POLYNOMIAL);
    let low = add(x.low, _mm_slli_si128::<8>(x.middle));
    let high = add(x.high, _mm_srli_si128::<8>(x.middle));
    let from_top = _mm_clmulepi64_si128::<0x01>(high, polynomial);
    let rest = add(high, _mm_srli_si128::<8>(from_top));
    let low = add(low, _mm_slli_si128::<8>(from_top));
    add(low, _mm_clmulepi64_si128::<0x00>(rest, polynomial))
}

#[target_feature(enable = "pclmulqdq")]
fn multiply(a: u128, b: u128) -> u128 {
    store(reduce(gather(nothing(), load(a), load(b))))
}

#[target_feature(enable = "pclmulqdq")]
fn add_scaled(to: &mut [Gf128], from: &[Gf128], factor: Gf128) {
    let factor = load(factor.0);
    for (to, from) in to.iter_mut().zip(from) {
        to.0 ^= store(reduce(gather(nothing(), load(from.0), factor)));
    }
}

#[target_feature(enable = "pclmulqdq")]
fn filter<const W: usize>(
    state: &mut [[Gf128; W]; MEMORY],
    values: &mut [[Gf128; W]],
    coefficients: &[[Gf128; MEMORY]],
) {
    let mut past = [[_mm_setzero_si128(); W]; MEMORY];
    for (past, state) in past.iter_mut().zip(state.iter()) {
        for (past, state) in past.iter_mut().zip(state) {
            *past = load(state.0);
        }
    }
    for (value, coefficients) in values.iter_mut().zip(coefficients) {
        let mut now = [_mm_setzero_si128(); W];
        for w in 0..W {
            // The latest value last: it is what the next step waits for.
            let mut sum = nothing();
            for j in (0..MEMORY).rev() {
                sum = gather(sum, load(coefficients[j].0), past[j][w]);
            }
            now[w] = add(load(value[w].0), reduce(sum));
            value[w].0 = store(now[w]);
        }
        past.rotate_right(1);
        past[0] = now;
    }
    for (state, past) in state.iter_mut().zip(past) {
        for (state, past) in state.iter_mut().zip(past) {
            state.0 = store(past);
        }
    }
}
