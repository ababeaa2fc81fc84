//! Random integers, and random primes of the shape that the blinding needs: 3 modulo 4.
//!
//! A prime is the first in a run from a random start, sieved by all primes below 2¹⁶ before GMP tests a
//! candidate: 36 tests on average for 1024 bits instead of 350. (A run favours primes after long gaps a
//! little; the loss of entropy is far below one bit: Brandt and Damgård, CRYPTO '92.)

use std::sync::LazyLock;

use rand::CryptoRng;
use rug::{
    Integer,
    integer::{IsPrime, Order},
};
use zeroize::Zeroizing;

/// Candidates in a run. The chance that none of them is prime is below one per cent at 1536 bits.
const RUN: usize = 4096;

/// GMP's measure: 24 of these are one Baillie–PSW test, the rest are Miller–Rabin rounds. Ample for random
/// candidates (FIPS 186-5, appendix B.3).
pub(crate) const PRIME_TEST_REPS: u32 = 28;

/// The product of all primes below 2¹⁶, to find out at once whether a number has one of them as a factor.
pub(crate) static SMALL_PRIMES_PRODUCT: LazyLock<Integer> =
    LazyLock::new(|| Integer::from(Integer::primorial(u32::from(u16::MAX))));

/// The odd primes below 2¹⁶.
static SMALL_PRIMES: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let mut composite = vec![false; 1 << 16];
    let mut primes = Vec::new();
    for i in (3..1 << 16).step_by(2) {
        if !composite[i] {
            primes.push(i as u32);
            for multiple in (i * i..1 << 16).step_by(2 * i) {
                composite[multiple] = true;
            }
        }
    }
    primes
});

/// A uniform integer of at most `bits` bits; a multiple of 8.
pub(crate) fn random_bits(bits: u32, rng: &mut dyn CryptoRng) -> Integer {
    let mut bytes = Zeroizing::new(vec![0; bits as usize / 8]);
    rng.fill_bytes(&mut bytes);
    Integer::from_digits(&bytes, Order::Lsf)
}

/// A random prime of exactly `bits` bits, 3 modulo 4, at least 3/4 of the power of two above it, so that the
/// product of two has exactly twice the bits; and one that `accept`s, which is asked before the number is known to be
/// prime, because that costs much more.
pub(crate) fn random_prime(bits: u32, rng: &mut dyn CryptoRng, accept: impl Fn(&Integer) -> bool) -> Integer {
    loop {
        let mut start = random_bits(bits, rng);
        start.set_bit(bits - 1, true).set_bit(bits - 2, true).set_bit(0, true).set_bit(1, true);
        let fits = |number: &Integer| number.significant_bits() == bits && accept(number);
        if let Some(prime) = first_prime(start, fits) {
            return prime;
        }
    }
}

/// The first prime that fits among the next [`RUN`] numbers in steps of four.
fn first_prime(start: Integer, fits: impl Fn(&Integer) -> bool) -> Option<Integer> {
    let composite = sieve(&start);
    let mut candidate = start;
    let mut at = 0;
    for step in (0..RUN).filter(|step| !composite[*step]) {
        candidate += 4 * (step - at) as u32;
        at = step;
        if fits(&candidate) && candidate.is_probably_prime(PRIME_TEST_REPS) != IsPrime::No {
            return Some(candidate);
        }
    }
    None
}

/// Which of `start + 4·step` have a small factor.
fn sieve(start: &Integer) -> Vec<bool> {
    let mut composite = vec![false; RUN];
    for &prime in SMALL_PRIMES.iter() {
        // start + 4·step ≡ 0 at step ≡ −start / 4
        let quarter = if prime % 4 == 3 { (prime + 1) / 4 } else { (3 * prime + 1) / 4 };
        let first = u64::from(prime - start.mod_u(prime)) * u64::from(quarter) % u64::from(prime);
        for step in (first as usize..RUN).step_by(prime as usize) {
            composite[step] = true;
        }
    }
    composite
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sieve_finds_exactly_the_small_factors() {
        let start = (Integer::from(1) << 200u32) + 3u32;
        for (step, composite) in sieve(&start).into_iter().enumerate() {
            let candidate = Integer::from(&start + 4 * step as u32);
            let divided = SMALL_PRIMES.iter().any(|prime| candidate.is_divisible_u(*prime));
            assert_eq!(composite, divided, "step {step}");
        }
    }

    #[test]
    fn the_product_has_every_small_prime() {
        assert!(SMALL_PRIMES.iter().all(|prime| SMALL_PRIMES_PRODUCT.is_divisible_u(*prime)));
    }

    #[test]
    fn primes_have_their_size_and_residue() {
        for bits in [512, 1024] {
            let prime = random_prime(bits, &mut rand::rng(), |_| true);
            assert_eq!((prime.significant_bits(), prime.mod_u(4)), (bits, 3));
            assert!(prime.get_bit(bits - 2));
        }
    }
}
