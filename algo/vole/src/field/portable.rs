//! Products without the instruction for them: integer products of numbers with holes, into which carries fall.
//!
//! Each operand is split into five numbers that have every fifth bit. A column of their product has at most 13 ones, so
//! that its carries stay below the next column that counts, four bits on; and time does not depend on what is multiplied.

use super::{Gf128, MEMORY};

/// Every fifth bit, from the lowest.
const HOLES: u64 = 0x1084_2108_4210_8421;

pub(super) fn multiply(a: u128, b: u128) -> u128 {
    let (low, high) = wide(a, b);
    reduce(low, high)
}

pub(super) fn add_scaled(to: &mut [Gf128], from: &[Gf128], factor: Gf128) {
    for (to, from) in to.iter_mut().zip(from) {
        to.0 ^= multiply(from.0, factor.0);
    }
}

pub(super) fn filter<const W: usize>(
    state: &mut [[Gf128; W]; MEMORY],
    values: &mut [[Gf128; W]],
    coefficients: &[[Gf128; MEMORY]],
) {
    for (value, coefficients) in values.iter_mut().zip(coefficients) {
        for w in 0..W {
            let (mut low, mut high) = (0, 0);
            for (coefficient, earlier) in coefficients.iter().zip(state.iter()) {
                let (l, h) = wide(coefficient.0, earlier[w].0);
                (low, high) = (low ^ l, high ^ h);
            }
            value[w].0 ^= reduce(low, high);
        }
        state.rotate_right(1);
        state[0] = *value;
    }
}

/// The product of two polynomials as two halves (Karatsuba).
fn wide(a: u128, b: u128) -> (u128, u128) {
    let (a0, a1, b0, b1) = (a as u64, (a >> 64) as u64, b as u64, (b >> 64) as u64);
    let (low, high) = (carry_less(a0, b0), carry_less(a1, b1));
    let middle = carry_less(a0 ^ a1, b0 ^ b1) ^ low ^ high;
    (low ^ middle << 64, high ^ middle >> 64)
}

fn carry_less(a: u64, b: u64) -> u128 {
    let with_holes = |x: u64| -> [u64; 5] { std::array::from_fn(|i| x & HOLES << i) };
    let (a, b) = (with_holes(a), with_holes(b));
    let mut product = 0;
    for column in 0..5 {
        let mut sum = 0;
        for i in 0..5 {
            sum ^= u128::from(a[i]) * u128::from(b[(column + 5 - i) % 5]);
        }
        product ^= sum & (FIFTHS << column);
    }
    product
}

/// Every fifth bit of 128, from the lowest.
const FIFTHS: u128 = {
    let (mut mask, mut bit) = (0u128, 0);
    while bit < 128 {
        mask |= 1 << bit;
        bit += 5;
    }
    mask
};

/// Modulo the field's polynomial.
fn reduce(low: u128, high: u128) -> u128 {
    // What is shifted out of the upper half comes back by the same rule; at most seven bits, so once is enough.
    let over = high >> 127 ^ high >> 126 ^ high >> 121;
    let high = high ^ over;
    low ^ high ^ high << 1 ^ high << 2 ^ high << 7
}
