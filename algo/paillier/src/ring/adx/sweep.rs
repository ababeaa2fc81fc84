//! One row of 8×8-word products with `mulx`, `adcx` and `adox`: a multiplication a cycle, two carry chains at once.
//!
//! Compilers keep one carry in flags, so this is assembly. It is the only `unsafe` of this kernel: the two functions here
//! are safe to call with a token that only detection gives, and check every length.
//!
//! A sweep multiplies 8 words of `a`, held in memory, with `b`, 8 words at a time. What is above the 8 words being summed
//! up waits in eight registers, whose roles move on by one with each word of `a`; after eight they are where they were.
#![allow(unsafe_code)]

use std::arch::asm;

/// Words that a sweep takes of its first factor. Each length is a multiple of it.
pub(super) const BLOCK: usize = 8;

/// Shows that this processor has BMI2 and ADX.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adx(());

/// The next word of `a` into rdx.
macro_rules! take {
    ($k:literal, $first:literal) => {
        concat!("mov rdx, [{a} + 8*", $k, "]\n")
    };
}

/// The multiple of m that clears the next word, into rdx and into `a`.
macro_rules! quotient {
    ($k:literal, $first:literal) => {
        concat!(
            "mov rdx, ",
            $first,
            "\n add rdx, [{t} + 8*",
            $k,
            "]\n imul rdx, [rsp + 8]\n mov [{a} + 8*",
            $k,
            "], rdx\n"
        )
    };
}

/// Adds `rdx · b[j]` in place, its low word by the carry of adcx and its high word by that of adox.
macro_rules! multiply_add {
    ($j:literal, $low:literal, $high:literal) => {
        concat!(
            "mulx {high}, {low}, [{b} + 8*",
            $j,
            "]\n adcx ",
            $low,
            ", {low}\n adox ",
            $high,
            ", {high}\n"
        )
    };
}

/// Adds `rdx · b[0..8]` to the eight registers and word k of t, which is then done; the first register becomes the last.
macro_rules! row {
    ($load:ident, $k:literal, $r0:literal $r1:literal $r2:literal $r3:literal $r4:literal $r5:literal $r6:literal $r7:literal) => {
        concat!(
            $load!($k, $r0),
            "xor {low:e}, {low:e}\n", // clears both carries
            "adox ",
            $r0,
            ", [{t} + 8*",
            $k,
            "]\n",
            multiply_add!("0", $r0, $r1),
            "mov [{t} + 8*",
            $k,
            "], ",
            $r0,
            "\n",
            multiply_add!("1", $r1, $r2),
            multiply_add!("2", $r2, $r3),
            multiply_add!("3", $r3, $r4),
            multiply_add!("4", $r4, $r5),
            multiply_add!("5", $r5, $r6),
            multiply_add!("6", $r6, $r7),
            "mulx ",
            $r0,
            ", {low}, [{b} + 8*7]\n adcx ",
            $r7,
            ", {low}\n mov {low:e}, 0\n adcx ",
            $r0,
            ", {low}\n adox ",
            $r0,
            ", {low}\n"
        )
    };
}

/// Eight rows, and on to the next eight words of b and t.
macro_rules! block {
    ($load:ident) => {
        concat!(
            row!($load, "0", "{r0}" "{r1}" "{r2}" "{r3}" "{r4}" "{r5}" "{r6}" "{r7}"),
            row!($load, "1", "{r1}" "{r2}" "{r3}" "{r4}" "{r5}" "{r6}" "{r7}" "{r0}"),
            row!($load, "2", "{r2}" "{r3}" "{r4}" "{r5}" "{r6}" "{r7}" "{r0}" "{r1}"),
            row!($load, "3", "{r3}" "{r4}" "{r5}" "{r6}" "{r7}" "{r0}" "{r1}" "{r2}"),
            row!($load, "4", "{r4}" "{r5}" "{r6}" "{r7}" "{r0}" "{r1}" "{r2}" "{r3}"),
            row!($load, "5", "{r5}" "{r6}" "{r7}" "{r0}" "{r1}" "{r2}" "{r3}" "{r4}"),
            row!($load, "6", "{r6}" "{r7}" "{r0}" "{r1}" "{r2}" "{r3}" "{r4}" "{r5}"),
            row!($load, "7", "{r7}" "{r0}" "{r1}" "{r2}" "{r3}" "{r4}" "{r5}" "{r6}"),
            "add {b}, 64\n add {t}, 64\n"
        )
    };
}

/// Keeps the carry, the inverse and the number of blocks on the stack, and clears the registers.
macro_rules! begin {
    () => {
        "push rdx\n push {r1}\n push {r0}\n\
         xor {r0:e}, {r0:e}\n xor {r1:e}, {r1:e}\n xor {r2:e}, {r2:e}\n xor {r3:e}, {r3:e}\n\
         xor {r4:e}, {r4:e}\n xor {r5:e}, {r5:e}\n xor {r6:e}, {r6:e}\n xor {r7:e}, {r7:e}"
    };
}

/// Adds the registers and the carry to t, and leaves the new carry in rdx.
macro_rules! end {
    () => {
        "pop {low}\n pop {low}\n pop rdx\n add rdx, -1\n\
         adc [{t}], {r0}\n adc [{t} + 8], {r1}\n adc [{t} + 16], {r2}\n adc [{t} + 24], {r3}\n\
         adc [{t} + 32], {r4}\n adc [{t} + 40], {r5}\n adc [{t} + 48], {r6}\n adc [{t} + 56], {r7}\n\
         sbb rdx, rdx\n neg rdx"
    };
}

/// Runs a sweep over the blocks of `b` and `t`, which begins with `carry` and leaves the new one there.
macro_rules! sweep {
    ($a:expr, $b:expr, $t:expr, $inverse:expr, $carry:ident, $($template:tt)+) => {
        asm!(
            begin!(),
            $($template)+,
            end!(),
            r0 = inout(reg) $b.len() / BLOCK => _,
            r1 = inout(reg) $inverse => _,
            r2 = out(reg) _,
            r3 = out(reg) _,
            r4 = out(reg) _,
            r5 = out(reg) _,
            r6 = out(reg) _,
            r7 = out(reg) _,
            low = out(reg) _,
            high = out(reg) _,
            a = in(reg) $a,
            b = inout(reg) $b.as_ptr() => _,
            t = inout(reg) $t.as_mut_ptr() => _,
            inout("rdx") $carry,
        )
    };
}

impl Adx {
    pub(crate) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("adx");
        found.then_some(Self(()))
    }

    /// `t += a·b`, and `carry`, 0 or 1, at word `b.len()`; returns the carry out of t.
    ///
    /// Panics unless a has [`BLOCK`] words, b a positive multiple of that, and t those of both.
    pub(super) fn add_product(self, t: &mut [u64], a: &[u64], b: &[u64], carry: u64) -> u64 {
        assert!(a.len() == BLOCK && !b.is_empty() && b.len().is_multiple_of(BLOCK));
        assert!(t.len() == a.len() + b.len() && carry <= 1);
        let mut carry_out = carry;
        // SAFETY: the processor has the instructions, because a value of this type exists only where it does. Reads a[0..8],
        // and for each block, as many times as there are, 8 words of b and of t from where the last ended; then 8 more of
        // t: all within the lengths just checked. Writes t alone, and three words of stack, which it takes back.
        unsafe {
            sweep!(a.as_ptr(), b, t, 0u64, carry_out, "2:", block!(take), "dec qword ptr [rsp]", "jnz 2b");
        }
        carry_out
    }

    /// `t += q·m` for the q that clears the first eight words of t, and `carry`, 0 or 1, at word `m.len()`; returns the
    /// carry out of t. `inverse` is −1/m modulo 2^64.
    ///
    /// Panics unless q has [`BLOCK`] words, m a positive multiple of that, and t those of both.
    pub(super) fn clear(self, t: &mut [u64], q: &mut [u64], m: &[u64], inverse: u64, carry: u64) -> u64 {
        assert!(q.len() == BLOCK && !m.is_empty() && m.len().is_multiple_of(BLOCK));
        assert!(t.len() == q.len() + m.len() && carry <= 1);
        let mut carry_out = carry;
        // SAFETY: as in `add_product`, with m in place of b; writes q[0..8] too, before it reads it.
        unsafe {
            sweep!(
                q.as_mut_ptr(),
                m,
                t,
                inverse,
                carry_out,
                block!(quotient),
                "dec qword ptr [rsp]",
                "jz 3f",
                "2:",
                block!(take),
                "dec qword ptr [rsp]",
                "jnz 2b",
                "3:"
            );
        }
        carry_out
    }
}

#[cfg(test)]
mod tests {
    use rug::{Integer, integer::Order};

    use super::*;

    fn number(words: &[u64]) -> Integer {
        Integer::from_digits(words, Order::Lsf)
    }

    #[test]
    fn sweeps_agree_with_gmp_also_where_every_carry_runs() {
        Adx::detect().into_iter().for_each(check);
    }

    fn check(adx: Adx) {
        let some = |salt: u64| move |i: u64| (i + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for blocks in 1..=6 {
            for fill in [&some(1) as &dyn Fn(u64) -> u64, &|_| u64::MAX, &|_| 0] {
                let words = |n: usize| (0..n as u64).map(fill).collect::<Vec<u64>>();
                let (a, b, before) = (words(8), words(8 * blocks), words(8 * blocks + 8));
                for carry in [0, 1] {
                    let mut t = before.clone();
                    let out = adx.add_product(&mut t, &a, &b, carry);
                    let at = |words: u64, i: usize| Integer::from(words) << (64 * i as u32);
                    let want = number(&a) * number(&b) + number(&before) + at(carry, b.len());
                    assert_eq!(number(&t) + at(out, t.len()), want, "{blocks} blocks");

                    let mut m = b.clone();
                    m[0] |= 1;
                    let inverse = Integer::from(m[0]).invert(&(Integer::from(1) << 64u32));
                    let inverse = inverse.map(|i| i.to_u64_wrapping().wrapping_neg());
                    let (mut t, mut q) = (before.clone(), [7; 8]);
                    let out = adx.clear(&mut t, &mut q, &m, inverse.unwrap_or(0), carry);
                    assert_eq!(t[..8], [0; 8]);
                    let want = number(&q) * number(&m) + number(&before) + at(carry, m.len());
                    assert_eq!(number(&t) + at(out, t.len()), want, "{blocks} blocks");
                }
            }
        }
    }
}
