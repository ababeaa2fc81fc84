//! Keys that hide are proved; no other key, no other context and no damaged proof passes.

use std::sync::LazyLock;

use super::*;
use crate::{KeyBits, prime::random_prime};
use proptest::prelude::*;

static OWNER: LazyLock<SecretKey> =
    LazyLock::new(|| SecretKey::generate(KeyBits::Bits1024, &mut rand::rng()).unwrap());

static PROVEN: LazyLock<ProvenKey> = LazyLock::new(|| ProvenKey::new(&OWNER, b"session 1").unwrap());

/// p and 2p + 1 are prime, and their product has 1024 bits.
static SOPHIE_GERMAIN: LazyLock<Integer> = LazyLock::new(|| {
    let digits = "902d6138dff36749fb66a51c94069bc306ac3142a101e8a556b0579d4142ecc1\
                  bbdccaf4f74d158b5dbc479ecf7b64d3d1df5ba387111b3a454e39879cbe4737";
    Integer::from_str_radix(digits, 16).unwrap()
});

#[test]
fn a_proven_key_opens_in_its_context_alone() {
    for size in [KeyBits::Bits1024, KeyBits::Bits2048, KeyBits::Bits3072] {
        let owner = SecretKey::generate(size, &mut rand::rng()).unwrap();
        let proven = ProvenKey::new(&owner, b"session 1").unwrap();
        assert_eq!(proven.open(b"session 1").unwrap(), *owner.public());
        for other in [&b""[..], b"session 2", b"session 1 "] {
            assert!(matches!(proven.open(other), Err(Error::PublicKey { .. })), "{size}");
        }
    }
}

#[test]
fn a_proof_of_one_key_is_none_of_another() {
    let other = SecretKey::generate(KeyBits::Bits1024, &mut rand::rng()).unwrap();
    let swapped = ProvenKey { key: other.public().to_bytes(), roots: PROVEN.roots.clone() };
    assert!(swapped.open(b"session 1").is_err());
    // another hs makes another key
    let mut key = PROVEN.key.clone();
    let hs = OWNER.public().hs().clone().square() % OWNER.public().n().clone().square();
    hs.write_digits(&mut key[3 + 128..], Order::Msf);
    assert!(PublicKey::from_bytes(&key).is_ok());
    assert!(ProvenKey { key, roots: PROVEN.roots.clone() }.open(b"session 1").is_err());
}

/// A key of these factors, and the nearest thing to a proof that its owner can make: a root of every number that has one.
fn forged(factors: &[Integer], context: &[u8]) -> (PublicKey, ProvenKey, usize) {
    let n: Integer = factors.iter().product();
    let hs = Integer::from(-9).pow_mod(&n, &n.clone().square()).unwrap();
    let public = PublicKey::checked(n.clone(), hs, KeyBits::Bits1024).unwrap();
    let phi: Integer = factors.iter().enumerate().fold(Integer::from(1), |phi, (i, factor)| {
        // a factor that occurs twice adds itself, not one less
        phi * if factors[..i].contains(factor) { factor.clone() } else { Integer::from(factor - 1u32) }
    });
    let mut exponent = phi.clone();
    let mut common = Integer::from(exponent.gcd_ref(&n));
    while common != 1 {
        exponent /= &common;
        common = Integer::from(exponent.gcd_ref(&n));
    }
    let power = n.clone().invert(&exponent).unwrap();
    let key = public.to_bytes();
    let (mut roots, mut found) = (Vec::new(), 0);
    for number in numbers(&key, &n, context) {
        let root = number.clone().pow_mod(&power, &n).unwrap();
        found += usize::from(root.clone().pow_mod(&n, &n).unwrap() == number);
        let mut bytes = vec![0; 128];
        root.write_digits(&mut bytes, Order::Msf);
        roots.extend(bytes);
    }
    (public, ProvenKey { key, roots }, found)
}

#[test]
fn a_key_with_q_twice_p_and_one_blinds_nothing_and_is_refused() {
    let p = SOPHIE_GERMAIN.clone();
    let q = Integer::from(2 * &p) + 1u32;
    let (public, forged, found) = forged(&[p, q.clone()], b"session");

    // what it is for: rⁿ is 1 or −1 modulo q², so that a blinded value shows what was blinded
    let q_squared = q.square();
    let known = Integer::from(1234567) % &q_squared;
    let mut value = public.blind(&Integer::from(0), &known);
    public.rerandomize_uniform(&mut value, &mut rand::rng());
    let seen = public.number(&value) % &q_squared;
    assert!(seen == known || seen == Integer::from(&q_squared - &known));

    assert!(matches!(forged.open(b"session"), Err(Error::PublicKey { .. })));
    assert_eq!(found, 0, "a number has a root with a chance of 1 in p");
}

#[test]
fn moduli_with_a_square_are_refused() {
    let (p, q) = loop {
        let (p, q) = (
            random_prime(352, &mut rand::rng(), |_| true),
            random_prime(320, &mut rand::rng(), |_| true).next_prime(),
        );
        if q.mod_u(4) == 1 && (Integer::from(&p * &p) * &q).significant_bits() == 1024 {
            break (p, q);
        }
    };
    let (_, forged, found) = forged(&[p.clone(), p, q], b"session");
    assert!(matches!(forged.open(b"session"), Err(Error::PublicKey { .. })));
    assert_eq!(found, 0);
}

#[test]
fn the_owner_of_an_honest_key_makes_what_the_forger_makes() {
    let bytes = OWNER.to_bytes();
    let [p, q] = [3..67, 67..131].map(|at| Integer::from_digits(&bytes.expose()[at], Order::Msf));
    let (public, forged, found) = forged(&[p, q], b"session");
    assert_eq!(found, ROOTS);
    assert_eq!(forged.open(b"session").unwrap(), public);
}

#[test]
fn roots_beyond_n_are_refused() {
    let mut roots = PROVEN.roots.clone();
    let larger = Integer::from_digits(&roots[..128], Order::Msf) + OWNER.public().n();
    if larger.significant_bits() <= 1024 {
        larger.write_digits(&mut roots[..128], Order::Msf);
        assert!(ProvenKey { key: PROVEN.key.clone(), roots }.open(b"session 1").is_err());
    }
    let zeros = vec![0; PROVEN.roots.len()];
    assert!(ProvenKey { key: PROVEN.key.clone(), roots: zeros }.open(b"session 1").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn damaged_proofs_are_refused(at in 0usize..1024, flip in 1u8..) {
        let mut roots = PROVEN.roots.clone();
        roots[at] ^= flip;
        let damaged = ProvenKey { key: PROVEN.key.clone(), roots };
        prop_assert!(damaged.open(b"session 1").is_err());
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(
        key in prop::collection::vec(any::<u8>(), 0..600), roots in prop::collection::vec(any::<u8>(), 0..1100),
    ) {
        for proven in [ProvenKey { key, roots: roots.clone() }, ProvenKey { key: PROVEN.key.clone(), roots }] {
            prop_assert!(proven.open(b"session 1").is_err());
        }
    }
}
