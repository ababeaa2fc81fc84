//! The crate from outside: laws, bounds, hostile bytes, and vectors computed elsewhere.
//!
//! One small key serves most tests; it is made once, from a fixed seed.

#![allow(clippy::expect_used)] // the lint does not know helpers of tests for tests

mod arithmetic;
mod hostile;
mod keys;
mod numbers;
mod packing;
mod vectors;
mod weighted;

use std::sync::LazyLock;

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use tributary_paillier::{Additive, Ciphertext, Encrypt, Integer, KeyBits, PublicKey, SecretKey};

/// A key of the smallest size, with small tables.
static OWNER: LazyLock<SecretKey> =
    LazyLock::new(|| SecretKey::generate(KeyBits::Bits1024, &mut rng()).expect("a key").for_encryptions(20));

static HOST: LazyLock<PublicKey> = LazyLock::new(|| OWNER.public().for_encryptions(20));

fn rng() -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(1)
}

fn encrypt(plain: impl Into<Integer>) -> Ciphertext {
    HOST.encrypt(&plain.into(), &mut rand::rng()).expect("a plaintext in range")
}

fn row(value: &Ciphertext) -> Vec<u8> {
    HOST.encode_rows(std::slice::from_ref(value))
}

/// n, read from the encoding.
fn modulus(key: &PublicKey) -> Integer {
    Integer::from_digits(&key.to_bytes()[3..][..key.size().bytes()], rug::integer::Order::Msf)
}

/// p, read from the encoding.
fn factor(key: &SecretKey) -> Integer {
    let half = key.public().size().bytes() / 2;
    Integer::from_digits(&key.to_bytes().expose()[3..][..half], rug::integer::Order::Msf)
}
