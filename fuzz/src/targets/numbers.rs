//! What the algorithms send: points, messages of an intersection, keys, ciphertexts.

use std::sync::LazyLock;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tributary_core::Result;
use tributary_paillier::{Additive, Encrypt, Integer, KeyBits, PublicKey, SecretKey};
use tributary_psi::{Point, Secret};

use super::judge;

static SECRET: LazyLock<Result<Secret>> = LazyLock::new(|| Secret::from_uniform_bytes(&[7; 64]));

pub(super) fn points() -> Vec<Vec<u8>> {
    let ids = [&b"a"[..], b"b", b"c"];
    let masked = SECRET.as_ref().map(|secret| secret.mask_ids(ids.into_iter())).unwrap_or_default();
    vec![masked.concat(), vec![0; 32], vec![0xff; 64]]
}

pub(super) fn point(bytes: &[u8]) {
    let Ok(secret) = &*SECRET else { return };
    let (points, _) = bytes.as_chunks();
    let points: &[Point] = points;
    judge(secret.mask_points(&points[..points.len().min(64)], 0));
}

pub(super) fn psi_message(bytes: &[u8]) {
    judge(tributary_psi::rr22::fuzzing::message(bytes));
}

/// A key of the smallest size: the checks are the same. Never used for anything else.
static KEY: LazyLock<Option<SecretKey>> =
    LazyLock::new(|| SecretKey::generate(KeyBits::Bits1024, &mut ChaCha8Rng::seed_from_u64(1)).ok());

pub(super) fn public_keys() -> Vec<Vec<u8>> {
    KEY.iter().map(|key| key.public().to_bytes()).collect()
}

pub(super) fn public_key(bytes: &[u8]) {
    if let Ok(key) = PublicKey::from_bytes(bytes) {
        assert_eq!(key.to_bytes(), bytes, "a key has one encoding");
    }
}

pub(super) fn secret_keys() -> Vec<Vec<u8>> {
    KEY.iter().map(|key| key.to_bytes().expose().to_vec()).collect()
}

pub(super) fn secret_key(bytes: &[u8]) {
    drop(SecretKey::from_bytes(bytes));
}

pub(super) fn ciphertexts() -> Vec<Vec<u8>> {
    let Some(key) = &*KEY else { return Vec::new() };
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let numbers = [0, 1, -5].map(Integer::from);
    let rows: Vec<_> = numbers.iter().filter_map(|number| key.encrypt(number, &mut rng).ok()).collect();
    vec![key.public().encode_rows(&rows), key.public().encode_rows(&[key.public().zero()])]
}

pub(super) fn ciphertext(bytes: &[u8]) {
    let Some(key) = &*KEY else { return };
    let Ok(rows) = key.public().decode_rows(bytes) else { return };
    assert_eq!(key.public().encode_rows(&rows), bytes, "a ciphertext has one encoding");
}
