//! Guest and host count events under encryption, and get what counting in the clear gives.

#![allow(clippy::unwrap_used)] // helpers of tests

mod driver;

use std::sync::{Arc, LazyLock};

use arrow_array::builder::{ListBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, UInt64Array};
use arrow_schema::DataType;
use driver::{Parts, secret};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use tributary_binning::encrypted::{
    AddEncrypted, AddParams, DecryptCounts, DecryptParams, EncryptLabels, EncryptParams, LABEL, PackParams,
    PackSums, SumEncrypted, SumParams, packed_schema, packing, sum_schema,
};
use tributary_binning::{
    AssignBins, AssignParams, BinColumn, BinCount, CountBins, CountParams, CutColumn, Cuts, cell_key,
};
use tributary_core::{ErrorKind, Result};
use tributary_paillier::{Encrypt, Integer, KeyBits, Packing, SecretKey};

/// The small size, to be quick.
static KEY: LazyLock<SecretKey> =
    LazyLock::new(|| SecretKey::generate(KeyBits::Bits1024, &mut rand::rng()).unwrap());

fn public() -> Vec<u8> {
    KEY.public().to_bytes()
}

fn random_table(rows: usize, partitions: usize) -> Parts {
    let mut rng = ChaCha12Rng::seed_from_u64(3);
    let mut column = |missing: f64| {
        let mut value = || rng.random_bool(1.0 - missing).then(|| rng.random());
        (0..rows).map(|_| value()).collect::<Vec<Option<f64>>>()
    };
    let label = column(0.0).into_iter().map(|v| v.map(|v| f64::from(u8::from(v > 0.7)))).collect();
    Parts::of_numbers(&[("a", column(0.2)), ("b", column(0.0)), ("y", label)], partitions, 16)
}

fn columns() -> Vec<BinColumn> {
    ["a", "b"].map(|name| BinColumn { column: name.into(), bins: 5 }).to_vec()
}

fn binned(table: &Parts) -> Parts {
    let cuts = Cuts::new(vec![0.25, 0.5, 0.75, 1.0]).unwrap();
    let cut = |name: &str| CutColumn { column: name.into(), cuts: cuts.clone() };
    table.map::<AssignBins>(AssignParams { columns: vec![cut("a"), cut("b")] }, &[]).unwrap()
}

fn encrypt(table: &Parts) -> Result<Parts> {
    let params = EncryptParams { label: "y".into(), public_key: public() };
    table.map::<EncryptLabels>(params, &[secret(KEY.to_bytes().expose())])
}

fn sum(host: &Parts) -> Result<Parts> {
    host.fold::<SumEncrypted>(SumParams { columns: columns(), label: LABEL.into(), public_key: public() })
}

fn add(sums: &Parts) -> Parts {
    sums.by_key().fold::<AddEncrypted>(AddParams { public_key: public() }).unwrap()
}

fn packing_of(rows: usize) -> Packing {
    packing(rows as u64, KEY.public()).unwrap()
}

fn pack(sums: &Parts, packing: Packing) -> Parts {
    sums.fold::<PackSums>(PackParams { public_key: public(), packing }).unwrap()
}

fn decrypt(packed: &Parts, packing: Packing) -> Result<Parts> {
    let params = DecryptParams { public_key: public(), packing };
    packed.map::<DecryptCounts>(params, &[secret(KEY.to_bytes().expose())])
}

#[test]
fn encrypted_counts_equal_plain_counts() {
    for partitions in [1, 4] {
        let table = random_table(130, partitions);
        let host = binned(&table);
        let plain =
            host.fold::<CountBins>(CountParams { columns: columns(), label: Some("y".into()) }).unwrap();
        let expected = BinCount::read(&plain.rows(), &columns()).unwrap();

        let sums = add(&sum(&host.zip(&encrypt(&table).unwrap())).unwrap());
        let packed = pack(&sums, packing_of(130));
        assert_eq!(packed.rows().len(), 1, "ten cells share a ciphertext");
        let counted = decrypt(&packed, packing_of(130)).unwrap();
        assert_eq!(BinCount::read(&counted.rows(), &columns()).unwrap(), expected);
    }
}

/// Encrypted counts of cells 0, 1, … as they are before they are packed.
fn sums_of(counts: &[(u64, u64)]) -> Parts {
    let mut events = counts.iter().map(|(_, events)| Integer::from(*events));
    let bytes = KEY.encrypt_rows(&mut events, &mut rand::rng()).unwrap();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt64Array::from_iter_values((0..counts.len() as u32).map(|bin| cell_key(0, bin)))),
        Arc::new(UInt64Array::from_iter_values(counts.iter().map(|(rows, _)| *rows))),
        Arc::new(FixedSizeBinaryArray::try_from_iter(bytes.chunks(256)).unwrap()),
    ];
    Parts::cut(sum_schema(KEY.public()).unwrap(), columns, 1, 50)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Every count comes back from its slot, the largest beside the smallest, in as many ciphertexts as they fill.
    #[test]
    fn packed_counts_come_back_exactly(
        most in 1u64..1 << 40,
        fractions in prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), 0.0..1.0f64], 1..200),
    ) {
        let packing = packing_of(most as usize);
        let counts: Vec<(u64, u64)> =
            fractions.iter().map(|part| (most, ((most as f64 * part) as u64).min(most))).collect();
        let packed = pack(&sums_of(&counts), packing);
        prop_assert_eq!(packed.rows().len(), counts.len().div_ceil(packing.slots()));
        let found = decrypt(&packed, packing).unwrap();
        let column = BinColumn { column: "a".into(), bins: counts.len() as u32 };
        let found = BinCount::read(&found.rows(), &[column]).unwrap();
        let want: Vec<BinCount> = counts.iter().map(|(rows, events)| BinCount { rows: *rows, events: *events }).collect();
        prop_assert_eq!(&found[0], &want);
    }
}

#[test]
fn what_leaves_has_fresh_blinding() {
    let sums = sums_of(&[(9, 3), (9, 4)]);
    let bytes = |parts: &Parts| -> Vec<Vec<u8>> {
        let rows = parts.rows();
        let sums = rows.iter().flat_map(|rows| rows.column(2).as_fixed_size_binary().iter());
        sums.map(|sum| sum.unwrap().to_vec()).collect()
    };
    let [once, again] = [0; 2].map(|_| bytes(&pack(&sums, packing_of(9))));
    assert_eq!((once.len(), again.len()), (1, 1));
    assert!(once != again && !bytes(&sums).contains(&once[0]));
}

/// A guest that encrypts something else than labels spoils its own answer, and nothing else.
#[test]
fn labels_beyond_one_are_found_out_or_mixed_but_never_panic() {
    for wrong in [1 << 20, u64::MAX] {
        let packed = pack(&sums_of(&[(4, 1), (4, wrong), (4, 2)]), packing_of(4));
        assert_eq!(decrypt(&packed, packing_of(4)).err().unwrap().kind(), ErrorKind::Corrupt);
    }
}

#[test]
fn bytes_that_are_no_ciphertext_are_refused() {
    let table = random_table(8, 1);
    let labels = encrypt(&table).unwrap();
    let column: ArrayRef =
        Arc::new(FixedSizeBinaryArray::try_from_iter((0..8).map(|_| vec![0u8; 256])).unwrap());
    let forged = Parts::cut(labels.schema.clone(), vec![column], 1, 16);
    let error = sum(&binned(&table).zip(&forged)).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn ciphertexts_of_another_key_are_refused() {
    let table = random_table(8, 1);
    let host = binned(&table).zip(&encrypt(&table).unwrap());
    let other = SecretKey::generate(KeyBits::Bits1024, &mut rand::rng()).unwrap();
    let params = SumParams { columns: columns(), label: LABEL.into(), public_key: other.public().to_bytes() };
    assert_eq!(host.fold::<SumEncrypted>(params).err().unwrap().kind(), ErrorKind::InvalidInput);
    let params = EncryptParams { label: "y".into(), public_key: other.public().to_bytes() };
    assert!(table.map::<EncryptLabels>(params, &[secret(KEY.to_bytes().expose())]).is_err());
}

/// What a host sends: one ciphertext, and what it says is in it.
fn sent(cells: &[u64], rows: &[u64], plain: Integer) -> Parts {
    let list = |values: &[u64]| {
        let item = arrow_schema::Field::new_list_field(DataType::UInt64, false);
        let mut list = ListBuilder::new(UInt64Builder::new()).with_field(item);
        list.append_value(values.iter().map(|value| Some(*value)));
        Arc::new(list.finish()) as ArrayRef
    };
    let bytes = KEY.encrypt_rows(&mut [plain].into_iter(), &mut rand::rng()).unwrap();
    let sum = FixedSizeBinaryArray::try_from_iter([bytes].iter()).unwrap();
    let columns = vec![list(cells), list(rows), Arc::new(sum) as ArrayRef];
    Parts::cut(packed_schema(KEY.public()).unwrap(), columns, 1, 1)
}

#[test]
fn a_host_that_sends_impossible_counts_is_found_out() {
    let packing = packing_of(9);
    let cell = cell_key(3, 1);
    let two = packing.pack(&[1, 1]).unwrap();
    let many = vec![1; packing.slots() + 1];
    for (sent, why) in [
        (sent(&[cell], &[1], Integer::from(2)), "bin 1 of feature 3"),
        (sent(&[cell], &[1], Integer::from(-1)), "bin 1 of feature 3"),
        (sent(&[cell], &[9], two.clone()), "more than their cells"),
        (sent(&[cell], &[9], Integer::from(1) << 1000u32), "more than their cells"),
        (sent(&[cell, cell], &[9], two.clone()), "2 cells with 1 row counts"),
        (sent(&[], &[], Integer::new()), "0 cells"),
        (sent(&many, &many, Integer::new()), "cells with"),
    ] {
        let error = decrypt(&sent, packing).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(decrypt(&sent(&[cell, cell], &[9, 1], two), packing).is_ok());
}
