//! Bytes that no honest party sends are refused, and never panic.

use rug::{integer::Order, ops::Pow};
use tributary_paillier::{Additive, Decrypt, Error, Integer, PublicKey, SecretKey};

use crate::{HOST, OWNER, encrypt, factor, modulus, row};

fn encoded(value: &Integer, width: usize) -> Vec<u8> {
    let mut bytes = vec![0; width];
    value.write_digits(&mut bytes, Order::Msf);
    bytes
}

fn with_modulus(n: &Integer) -> Vec<u8> {
    let mut bytes = HOST.to_bytes();
    bytes[3..][..128].copy_from_slice(&encoded(n, 128));
    bytes
}

fn with_blinding_base(hs: &Integer) -> Vec<u8> {
    let mut bytes = HOST.to_bytes();
    bytes[3 + 128..].copy_from_slice(&encoded(hs, 256));
    bytes
}

#[test]
fn every_truncation_and_any_trailing_byte_is_refused() {
    let (public, secret, rows) = (HOST.to_bytes(), OWNER.to_bytes(), row(&encrypt(1)));
    for len in 0..public.len() {
        assert!(PublicKey::from_bytes(&public[..len]).is_err(), "public, {len} bytes");
    }
    for len in 0..secret.expose().len() {
        assert!(SecretKey::from_bytes(&secret.expose()[..len]).is_err(), "secret, {len} bytes");
    }
    for len in 1..rows.len() {
        assert!(matches!(HOST.decode_rows(&rows[..len]), Err(Error::RowBytes { .. })), "row, {len} bytes");
    }
    assert!(PublicKey::from_bytes(&[&public[..], &[0]].concat()).is_err());
    assert!(SecretKey::from_bytes(&[secret.expose(), &[0]].concat()).is_err());
    assert!(HOST.decode_rows(&[&rows[..], &[0]].concat()).is_err());
}

#[test]
fn no_rows_are_no_ciphertexts() {
    assert!(HOST.decode_rows(&[]).unwrap().is_empty());
    assert!(OWNER.decrypt_rows(&[]).unwrap().is_empty());
}

#[test]
fn bad_ciphertexts_are_refused_and_named() {
    let n = modulus(&HOST);
    let (p, n_squared) = (factor(&OWNER), n.clone().square());
    let q = Integer::from(&n / &p);
    let good = row(&encrypt(1));
    let largest = (Integer::from(1) << 2048u32) - Integer::from(1);
    let bad = [
        Integer::new(),
        n.clone(),
        Integer::from(&n * 12345u32),
        n_squared.clone(),
        Integer::from(&n_squared + 1u32),
        largest,
        p.clone(),
        q.clone(),
        Integer::from(&p * 7u32),
        p.clone().pow(3),
        Integer::from(&n_squared - &q),
    ];
    for value in bad {
        let rows = [&good[..], &encoded(&value, 256), &good].concat();
        for result in [HOST.decode_rows(&rows).map(|_| ()), OWNER.decrypt_rows(&rows).map(|_| ())] {
            assert!(matches!(result, Err(Error::Ciphertext { row: 1, .. })), "{value}");
        }
    }
}

#[test]
fn one_factor_in_each_of_two_rows_does_not_hide_either() {
    let p = factor(&OWNER);
    let q = modulus(&HOST) / &p;
    let rows = [encoded(&q, 256), encoded(&p, 256)].concat();
    assert!(matches!(HOST.decode_rows(&rows), Err(Error::Ciphertext { row: 0, .. })));
}

#[test]
fn the_edges_of_the_range_are_ciphertexts() {
    let largest = modulus(&HOST).square() - 1u32;
    let rows = [encoded(&Integer::from(1), 256), encoded(&largest, 256)].concat();
    let values = HOST.decode_rows(&rows).unwrap();
    assert_eq!(HOST.encode_rows(&values), rows);
    assert_eq!(OWNER.decrypt_rows(&rows).unwrap(), [0, 0]);
}

#[test]
fn moduli_of_the_wrong_shape_are_refused() {
    let n = modulus(&HOST);
    let mut short = n.clone();
    short.set_bit(1023, false);
    let mut root = (Integer::from(3) << 510u32) + Integer::from(0x1_0001);
    root.next_prime_mut();
    let mut prime = n.clone().next_prime();
    while prime.mod_u(4) != 1 {
        prime.next_prime_mut();
    }
    let small_factor = Integer::from(&n - n.mod_u(4 * 101)) + 101u32; // 1 modulo 4, and a multiple of 101
    assert!(small_factor.is_divisible_u(101) && small_factor.mod_u(4) == 1);
    let bad = [
        ("zero", Integer::new()),
        ("even", Integer::from(&n + 1u32)),
        ("3 modulo 4", Integer::from(&n + 2u32)),
        ("short", short),
        ("square", root.square()),
        ("prime", prime),
        ("small factor", small_factor),
    ];
    for (name, n) in bad {
        let refused = PublicKey::from_bytes(&with_modulus(&n));
        assert!(matches!(refused, Err(Error::PublicKey { .. })), "{name}");
    }
}

#[test]
fn blinding_bases_that_hide_nothing_are_refused() {
    let n = modulus(&HOST);
    let n_squared = n.clone().square();
    let p = factor(&OWNER);
    let bad = [
        Integer::new(),
        Integer::from(1),
        Integer::from(&n + 1u32),
        Integer::from(&n - 1u32),
        Integer::from(&n_squared - 1u32),
        n.clone(),
        p.clone(),
        Integer::from(&p * 3u32),
        n_squared.clone(),
        (Integer::from(1) << 2048u32) - Integer::from(1),
    ];
    for hs in bad {
        assert!(PublicKey::from_bytes(&with_blinding_base(&hs)).is_err(), "{hs}");
    }
    let odd = (2u32..).map(Integer::from).find(|x| x.jacobi(&n) == -1).unwrap();
    assert!(PublicKey::from_bytes(&with_blinding_base(&odd)).is_err());
}

#[test]
fn unknown_versions_and_sizes_are_refused() {
    for (at, value) in [(0, 0), (0, 2), (1, 0), (1, 0xff), (2, 1)] {
        let (mut public, mut secret) = (HOST.to_bytes(), OWNER.to_bytes().expose().to_vec());
        (public[at], secret[at]) = (value, value);
        assert!(PublicKey::from_bytes(&public).is_err());
        assert!(SecretKey::from_bytes(&secret).is_err());
    }
}

#[test]
fn secret_keys_with_broken_factors_are_refused() {
    let good = OWNER.to_bytes();
    let edit = |edit: fn(&mut Vec<u8>)| {
        let mut bytes = good.expose().to_vec();
        edit(&mut bytes);
        SecretKey::from_bytes(&bytes)
    };
    assert!(edit(|_| {}).is_ok());
    let broken: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.copy_within(3..67, 67),          // q = p
        |bytes| bytes[3] &= 0x7f,                      // p is short
        |bytes| bytes[66] ^= 2,                        // p is 1 modulo 4
        |bytes| bytes[66] = bytes[66].wrapping_add(4), // p is another number, hardly prime
        |bytes| bytes[3..131].fill(0xff),
    ];
    for (i, broken) in broken.into_iter().enumerate() {
        assert!(edit(broken).is_err(), "edit {i}");
    }
}
