//! Packed plaintexts: exact up to their bound, in the clear and under encryption.

use proptest::prelude::*;
use tributary_paillier::{Additive, Decrypt, Encrypt, Integer, Packing};

use crate::{HOST, OWNER, encrypt};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sums_of_packed_values_unpack_to_the_sums(
        terms in proptest::collection::vec(proptest::collection::vec(-(1i64 << 20) + 1..1 << 20, 7), 1..12),
    ) {
        let packing = Packing::for_sums(20, terms.len() as u64, 1022).unwrap();
        let mut packed = Integer::new();
        let mut want = vec![0i128; 7];
        for values in &terms {
            let values: Vec<i128> = values.iter().map(|value| i128::from(*value)).collect();
            packed += packing.pack(&values).unwrap();
            want.iter_mut().zip(&values).for_each(|(sum, value)| *sum += value);
        }
        prop_assert_eq!(packing.unpack(&packed, 7).unwrap(), want);
    }
}

/// All sign patterns of the largest values, summed as often as the bound allows, in every slot there is.
#[test]
fn the_largest_sums_stay_in_their_slots() {
    for (value_bits, terms) in [(1, 1), (1, 2), (7, 8), (20, 5), (52, 1_000_000), (62, u64::MAX), (126, 1)] {
        let packing = Packing::for_sums(value_bits, terms, HOST.plaintext_bits()).unwrap();
        let largest = (1i128 << value_bits) - 1;
        for pattern in
            [|_| 1, |_| -1, |i| if i % 2 == 0 { 1 } else { -1 }, |i| if i % 2 == 0 { -1 } else { 1 }]
                as [fn(usize) -> i128; 4]
        {
            let values: Vec<i128> = (0..packing.slots()).map(|i| pattern(i) * largest).collect();
            let packed = packing.pack(&values).unwrap() * terms;
            assert!(packed.significant_bits() <= HOST.plaintext_bits());
            let want: Vec<i128> = values.iter().map(|value| value * i128::from(terms)).collect();
            assert_eq!(
                packing.unpack(&packed, want.len()).unwrap(),
                want,
                "{value_bits} bits, {terms} terms"
            );
        }
    }
}

#[test]
fn slots_take_just_the_headroom_they_need() {
    let slot_bits = |terms| Packing::for_sums(40, terms, 2046).unwrap().slot_bits();
    assert_eq!([0, 1, 2, 3, 4, 5, 1 << 20, (1 << 20) + 1].map(slot_bits), [41, 41, 42, 43, 43, 44, 61, 62]);
    assert_eq!(Packing::for_sums(40, 1 << 20, 2046).unwrap().slots(), 33);
}

/// Beyond the bound a sum does leave its slot: the headroom is not more than it must be.
#[test]
fn twice_the_terms_overflow() {
    let packing = Packing::for_sums(7, 8, 1022).unwrap();
    let packed = packing.pack(&[127, 1]).unwrap() * 17u32;
    assert_ne!(packing.unpack(&packed, 2).unwrap(), [127 * 17, 17]);
}

#[test]
fn values_without_headroom_and_too_many_values_are_refused() {
    let packing = Packing::for_sums(7, 8, 33).unwrap();
    assert_eq!((packing.slot_bits(), packing.slots()), (11, 3));
    assert!(packing.pack(&[127, -127, 0]).is_ok());
    for values in [&[128][..], &[-128], &[i128::MIN], &[0, 0, 0, 0]] {
        assert!(packing.pack(values).is_err());
    }
}

#[test]
fn plaintexts_with_more_than_the_slots_are_refused() {
    let packing = Packing::for_sums(7, 8, 1022).unwrap();
    let packed = packing.pack(&[1, 2, 3]).unwrap();
    assert!(packing.unpack(&packed, 2).is_err());
    assert!(packing.unpack(&packed, 10_000).is_err());
    assert_eq!(packing.unpack(&packed, 4).unwrap(), [1, 2, 3, 0]);
    assert!(packing.unpack(&-(Integer::from(1) << 1000u32), 3).is_err());
}

#[test]
fn impossible_packings_are_refused_from_wherever_they_come() {
    for (value_bits, terms, plaintext_bits) in
        [(127, 1, 2046), (64, u64::MAX, 2046), (u32::MAX, 1, 2046), (20, 1, 20)]
    {
        assert!(Packing::for_sums(value_bits, terms, plaintext_bits).is_err());
    }
    let packing = Packing::for_sums(40, 1000, 2046).unwrap();
    let json = serde_json::to_string(&packing).unwrap();
    assert_eq!(serde_json::from_str::<Packing>(&json).unwrap(), packing);
    for bad in [
        r#"{"value_bits":9,"slot_bits":9,"slots":1}"#,
        r#"{"value_bits":9,"slot_bits":10,"slots":0}"#,
        r#"{"value_bits":9,"slot_bits":128,"slots":1}"#,
        r#"{"value_bits":9,"slot_bits":10,"slots":99999999}"#,
    ] {
        assert!(serde_json::from_str::<Packing>(bad).is_err());
    }
}

/// What a host does: rows of (gradient, hessian), summed per bin, packed, re-randomised, sent; and the
/// guest's reading.
#[test]
fn a_host_returns_many_sums_in_few_ciphertexts() {
    let packing = Packing::for_sums(60, 1000, HOST.plaintext_bits()).unwrap();
    let bins: Vec<[i128; 2]> = (0..17).map(|i| [i * 1_000_003 - 8_000_000, (1 << 60) - 1 - i]).collect();
    let sums: Vec<_> = bins.iter().map(|bin| encrypt(packing.pack(bin).unwrap())).collect();
    let mut packed = packing.pack_ciphertexts(&*HOST, &sums, 2).unwrap();
    assert_eq!(packed.len(), bins.len().div_ceil(packing.slots() / 2));
    packed.iter_mut().for_each(|packed| HOST.rerandomize(packed, &mut rand::rng()));

    let plains = OWNER.decrypt_rows(&HOST.encode_rows(&packed)).unwrap();
    assert_eq!(packing.unpack_all(&plains, bins.len(), 2).unwrap(), bins.concat());
    assert!(packing.unpack_all(&plains[1..], bins.len(), 2).is_err());
    assert!(packing.unpack_all(&plains, bins.len(), 0).is_err());
}

#[test]
fn ciphertexts_wider_than_a_plaintext_are_not_packed() {
    let packing = Packing::for_sums(60, 1000, HOST.plaintext_bits()).unwrap();
    assert!(packing.pack_ciphertexts(&*HOST, &[encrypt(1)], packing.slots() + 1).is_err());
    assert!(packing.pack_ciphertexts(&*HOST, &[encrypt(1)], 0).is_err());
    let for_longer_key = Packing::for_sums(60, 1000, 2046).unwrap();
    assert!(for_longer_key.pack_ciphertexts(&*HOST, &[encrypt(1)], 1).is_err());
}
