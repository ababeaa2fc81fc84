//! What holds of ciphertexts, against the same on 128-bit integers.

use std::thread;

use proptest::prelude::*;
use tributary_paillier::{Additive, Decrypt, Encrypt, Integer, Sums};

use crate::{HOST, OWNER, encrypt, rng, row};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn sums_and_products_with_known_numbers_are_those_of_the_plaintexts(
        a: i64, b: i64, factor: i64, shift in 0u32..40,
    ) {
        let mut value = encrypt(a);
        HOST.add(&mut value, &encrypt(b));
        HOST.scale_vartime(&mut value, factor);
        HOST.add_plain(&mut value, &Integer::from(b)).unwrap();
        HOST.negate(&mut value);
        HOST.shift_left(&mut value, shift);
        HOST.rerandomize(&mut value, &mut rand::rng());
        let want = -((i128::from(a) + i128::from(b)) * i128::from(factor) + i128::from(b));
        prop_assert_eq!(OWNER.decrypt(&value), Integer::from(want) << shift);
    }

    #[test]
    fn rows_come_back_as_they_were(plains in proptest::collection::vec(any::<i128>(), 0..6)) {
        let mut integers = plains.iter().map(|plain| Integer::from(*plain));
        let rows = HOST.encrypt_rows(&mut integers, &mut rand::rng()).unwrap();
        prop_assert_eq!(rows.len(), plains.len() * HOST.row_bytes());
        prop_assert_eq!(OWNER.decrypt_rows(&rows).unwrap(), plains);
    }
}

#[test]
fn plaintexts_reach_just_to_half_of_n() {
    let n = crate::modulus(&HOST);
    let largest = Integer::from(&n - 1u32) >> 1u32;
    for plain in [largest.clone(), -largest.clone(), Integer::new()] {
        assert_eq!(OWNER.decrypt(&encrypt(plain.clone())), plain);
    }
    for plain in [largest + 1u32, n.clone(), -n] {
        assert!(HOST.encrypt(&plain, &mut rng()).is_err());
        assert!(OWNER.encrypt(&plain, &mut rng()).is_err());
        assert!(HOST.add_plain(&mut HOST.zero(), &plain).is_err());
    }
    let always = (Integer::from(1) << HOST.plaintext_bits()) - Integer::from(1);
    assert_eq!(OWNER.decrypt(&encrypt(always.clone())), always);
}

#[test]
fn scaling_by_the_extremes_is_exact() {
    for factor in [0, 1, -1, i64::MAX, i64::MIN] {
        let mut value = encrypt(-3);
        HOST.scale_vartime(&mut value, factor);
        assert_eq!(OWNER.decrypt(&value), -3 * i128::from(factor));
    }
}

#[test]
fn the_owner_makes_the_same_ciphertexts_as_the_public_key() {
    for plain in [0, 5, -5] {
        let plain = Integer::from(plain);
        let [own, public] = [OWNER.encrypt(&plain, &mut rng()), HOST.encrypt(&plain, &mut rng())];
        let (mut own, mut public) = (own.unwrap(), public.unwrap());
        assert_eq!(row(&own), row(&public));
        OWNER.rerandomize(&mut own, &mut rng());
        HOST.rerandomize(&mut public, &mut rng());
        assert_eq!(row(&own), row(&public));
        assert_eq!(OWNER.decrypt(&own), plain);
    }
}

#[test]
fn rerandomizing_changes_the_row_and_not_the_plaintext() {
    let value = encrypt(77);
    let (mut short, mut uniform, mut own) = (value.clone(), value.clone(), value.clone());
    HOST.rerandomize(&mut short, &mut rand::rng());
    HOST.rerandomize_uniform(&mut uniform, &mut rand::rng());
    OWNER.rerandomize(&mut own, &mut rand::rng());
    let rows = [value, short, uniform, own].map(|value| (OWNER.decrypt(&value), row(&value)));
    for (i, (plain, row)) in rows.iter().enumerate() {
        assert_eq!(*plain, 77);
        assert!(rows[..i].iter().all(|(_, other)| other != row));
    }
}

#[test]
fn encryptions_of_zero_are_all_different_and_none_is_trivial() {
    let zeros = [HOST.zero(), HOST.encrypt_zero(&mut rand::rng()), HOST.encrypt_zero(&mut rand::rng())];
    let rows = zeros.each_ref().map(row);
    assert!(rows[0] != rows[1] && rows[1] != rows[2] && rows[0] != rows[2]);
    assert!(zeros.iter().all(|zero| OWNER.decrypt(zero).is_zero()));
}

#[test]
fn long_sums_and_repeated_doubling_stay_exact() {
    let mut value = encrypt(1);
    for _ in 0..100 {
        let same = value.clone();
        HOST.add(&mut value, &same); // doubles what the arithmetic has to remember, too
    }
    assert_eq!(OWNER.decrypt(&value), Integer::from(1) << 100u32);
}

#[test]
fn sums_merge_in_any_order_and_an_empty_one_is_zero() {
    let plains = [4i64, -9, 2, 11, 5];
    let mut parts = [Sums::new(HOST.clone(), 4), Sums::new(HOST.clone(), 4)];
    for (i, plain) in plains.into_iter().enumerate() {
        parts[i % 2].add(i % 3, &encrypt(plain));
    }
    let [mut forwards, other] = parts.clone();
    forwards.merge(&other);
    let [other, mut backwards] = parts;
    backwards.merge(&other);
    for sums in [forwards.clone().into_inner(), backwards.into_inner(), forwards.release(&mut rand::rng())] {
        let plains: Vec<_> = sums.iter().map(|sum| OWNER.decrypt(sum)).collect();
        assert_eq!(plains, [15, -4, 2, 0]);
    }
}

#[test]
fn released_sums_do_not_show_which_were_empty() {
    let trivial = row(&HOST.zero());
    let sums = Sums::new(HOST.clone(), 3).release(&mut rand::rng());
    assert!(sums.iter().all(|sum| row(sum) != trivial));
}

#[test]
fn threads_share_one_key_and_its_table() {
    let owner = OWNER.for_encryptions(50);
    let host = owner.public().for_encryptions(50);
    thread::scope(|scope| {
        for plain in 0..4 {
            let (owner, host) = (&owner, &host);
            scope.spawn(move || {
                let plain = Integer::from(plain);
                let mut value = owner.encrypt(&plain, &mut rand::rng()).unwrap();
                host.rerandomize(&mut value, &mut rand::rng());
                assert_eq!(owner.decrypt(&value), plain);
            });
        }
    });
}
