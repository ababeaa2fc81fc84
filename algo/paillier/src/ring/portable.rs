//! The product in plain 64-bit arithmetic, for every processor.
//!
//! One pass over the digits of `a`, reducing as it goes (Koç, Acar and Kaliski 1996, "CIOS"), for both halves
//! together. A spare word above the modulus makes R so large that results stay below 2m without a final
//! subtraction. The number of words is a constant so that the compiler unrolls; with slices of any length it
//! is a third slower.

use super::kernel::Root;

/// `acc · by / R` into `acc`, in each ring.
pub(super) fn multiply<const K: usize>(acc: &mut [u64], by: &[u64], roots: &[Root; K]) {
    let half = roots[0].digits.len();
    let elements = acc.chunks_exact_mut(2 * half).zip(by.chunks_exact(2 * half));
    for ((acc, by), root) in elements.zip(roots) {
        match half {
            9 => multiply_sized::<9>(acc, by, root),
            17 => multiply_sized::<17>(acc, by, root),
            25 => multiply_sized::<25>(acc, by, root),
            33 => multiply_sized::<33>(acc, by, root),
            49 => multiply_sized::<49>(acc, by, root),
            _ => unreachable!("no modulus has {half} words"),
        }
    }
}

/// `acc² / R` into `acc`, in each ring.
pub(super) fn square<const K: usize>(acc: &mut [u64], roots: &[Root; K]) {
    let half = roots[0].digits.len();
    for (acc, root) in acc.chunks_exact_mut(2 * half).zip(roots) {
        match half {
            9 => square_sized::<9>(acc, root),
            17 => square_sized::<17>(acc, root),
            25 => square_sized::<25>(acc, root),
            33 => square_sized::<33>(acc, root),
            49 => square_sized::<49>(acc, root),
            _ => unreachable!("no modulus has {half} words"),
        }
    }
}

fn multiply_sized<const L: usize>(acc: &mut [u64], by: &[u64], root: &Root) {
    let (a0, a1) = acc.split_at_mut(L);
    let (b0, b1) = by.split_at(L);
    let (mut low, mut high) = ([0; L], [0; L]);
    for (&x0, &x1) in a0.iter().zip(a1.iter()) {
        // low = (low + x0·b0 + q·m) / 2^64
        let q = shift_in::<L>(&mut low, x0, b0, root, 0);
        // high = (high + x0·b1 + x1·b0 − q + r·m) / 2^64
        let carry = add_row::<L>(&mut high, x0, b1);
        shift_in::<L>(&mut high, x1, b0, root, q);
        high[L - 1] += carry;
    }
    a0.copy_from_slice(&low);
    a1.copy_from_slice(&high);
}

/// As a product of `a` with itself, except that `a0·a1 + a1·a0` is one row, `a0·2a1`: there is room to double
/// it.
fn square_sized<const L: usize>(acc: &mut [u64], root: &Root) {
    let (a0, a1) = acc.split_at_mut(L);
    let (mut low, mut high, mut doubled) = ([0; L], [0; L], [0; L]);
    let mut carry = 0;
    for (doubled, x1) in doubled.iter_mut().zip(a1.iter()) {
        (*doubled, carry) = (x1 << 1 | carry, x1 >> 63);
    }
    for &x0 in a0.iter() {
        let q = shift_in::<L>(&mut low, x0, a0, root, 0);
        shift_in::<L>(&mut high, x0, &doubled, root, q);
    }
    a0.copy_from_slice(&low);
    a1.copy_from_slice(&high);
}

/// `t = (t + x·b − less + q·m) / 2^64` for the `q` that makes it whole, which is returned.
#[inline(always)]
fn shift_in<const L: usize>(t: &mut [u64; L], x: u64, b: &[u64], root: &Root, less: u64) -> u64 {
    let (b, m) = (&b[..L], &root.digits[..L]);
    let (first, mut product) = multiply_add(t[0], x, b[0], 0);
    let q = first.wrapping_sub(less).wrapping_mul(root.inverse);
    // a multiple of 2^64, and above -2^64, so not negative
    let zero = u128::from(q) * u128::from(m[0]) + u128::from(first) - u128::from(less);
    let mut reduction = (zero >> 64) as u64;
    for j in 1..L {
        let (word, carry) = multiply_add(t[j], x, b[j], product);
        product = carry;
        (t[j - 1], reduction) = multiply_add(word, q, m[j], reduction);
    }
    t[L - 1] = product + reduction;
    q
}

/// `t += x·b`, and the word carried out.
#[inline(always)]
fn add_row<const L: usize>(t: &mut [u64; L], x: u64, b: &[u64]) -> u64 {
    let b = &b[..L];
    let mut carry = 0;
    for j in 0..L {
        (t[j], carry) = multiply_add(t[j], x, b[j], carry);
    }
    carry
}

/// `t + x·y + carry`, low word first. Cannot overflow two words.
#[inline(always)]
fn multiply_add(t: u64, x: u64, y: u64, carry: u64) -> (u64, u64) {
    let sum = u128::from(t) + u128::from(x) * u128::from(y) + u128::from(carry);
    (sum as u64, (sum >> 64) as u64)
}
