//! Numbers as digits: between 64-bit limbs and a kernel's radix, and windows of exponents.

use rug::{Integer, integer::Order};
use subtle::ConstantTimeEq;

/// Cuts little-endian `limbs` into digits of `radix` bits, zeros after the last. `out` must have room for
/// all.
pub(super) fn split(limbs: &[u64], radix: u32, out: &mut [u64]) {
    let mask = u64::MAX >> (64 - radix);
    let (mut buffer, mut filled) = (0u128, 0);
    let mut limbs = limbs.iter();
    for digit in out {
        if filled < radix {
            buffer |= u128::from(*limbs.next().unwrap_or(&0)) << filled;
            filled += 64;
        }
        *digit = buffer as u64 & mask;
        buffer >>= radix;
        filled -= radix;
    }
}

/// The number with these digits of `radix` bits.
pub(super) fn join(digits: &[u64], radix: u32) -> Integer {
    let mut limbs = Vec::with_capacity(digits.len() + 1);
    let (mut buffer, mut filled) = (0u128, 0);
    for digit in digits {
        buffer |= u128::from(*digit) << filled;
        filled += radix;
        if filled >= 64 {
            limbs.push(buffer as u64);
            buffer >>= 64;
            filled -= 64;
        }
    }
    limbs.push(buffer as u64);
    Integer::from_digits(&limbs, Order::Lsf)
}

/// `t −= by & mask`, borrowing from the words of t beyond those of `by`; modulo 2^64 to the words of t. For a
/// mask that is not zero the radix is 64.
pub(super) fn subtract(t: &mut [u64], by: &[u64], mask: u64) {
    let (low, high) = t.split_at_mut(by.len());
    let mut borrow = false;
    for (t, by) in low.iter_mut().zip(by) {
        let (rest, first) = t.overflowing_sub(*by & mask);
        let (rest, second) = rest.overflowing_sub(u64::from(borrow));
        (*t, borrow) = (rest, first | second);
    }
    for t in high {
        (*t, borrow) = t.overflowing_sub(u64::from(borrow));
    }
}

/// `t += word`, modulo 2^64 to the words of t.
pub(super) fn add_word(t: &mut [u64], word: u64) {
    let mut carry = word;
    for t in t {
        let (sum, over) = t.overflowing_add(carry);
        (*t, carry) = (sum, u64::from(over));
    }
}

/// `width` bits of a little-endian number from bit `at` on; zeros beyond its end.
pub(super) fn window(limbs: &[u64], at: usize, width: usize) -> usize {
    let limb = |i: usize| u128::from(limbs.get(i).copied().unwrap_or(0));
    let pair = limb(at / 64) | limb(at / 64 + 1) << 64;
    (pair >> (at % 64)) as usize & ((1 << width) - 1)
}

/// Copies entry `index` to `out`, reading all of them in the same way.
pub(super) fn select<'a>(entries: impl Iterator<Item = &'a [u64]>, index: usize, out: &mut [u64]) {
    out.fill(0);
    for (i, entry) in entries.enumerate() {
        let mask = u64::from(i.ct_eq(&index).unwrap_u8()).wrapping_neg();
        for (out, word) in out.iter_mut().zip(entry) {
            *out |= word & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_what_was_split_gives_the_number() {
        for radix in [52, 64] {
            for bits in [0u32, 1, 51, 52, 53, 64, 104, 511, 512] {
                let number = (Integer::from(1) << bits) - 1u32;
                let mut digits = [0; 10];
                split(&number.to_digits::<u64>(Order::Lsf), radix, &mut digits);
                assert!(digits.iter().all(|digit| radix == 64 || digit >> radix == 0));
                assert_eq!(join(&digits, radix), number, "{bits} bits, radix {radix}");
            }
        }
    }

    #[test]
    fn windows_cross_limbs_and_end_in_zeros() {
        let limbs = [0xf << 60, 0b101];
        assert_eq!([58, 60, 62, 64, 66, 128, 500].map(|at| window(&limbs, at, 6)), [60, 31, 23, 5, 1, 0, 0]);
    }

    #[test]
    fn selecting_finds_the_entry() {
        let entries = [[1, 2], [3, 4], [5, 6]];
        let mut out = [9, 9];
        select(entries.iter().map(|entry| &entry[..]), 1, &mut out);
        assert_eq!(out, [3, 4]);
    }
}
