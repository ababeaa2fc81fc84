//! Guest and host count events under encryption, and get what counting in the clear gives.

#![allow(clippy::unwrap_used)] // helpers of tests

mod driver;

use std::sync::{Arc, LazyLock};

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, FixedSizeBinaryArray};
use driver::{Parts, secret};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use tributary_binning::encrypted::{
    AddEncrypted, AddParams, DecryptCounts, DecryptParams, EncryptLabels, EncryptParams, LABEL, SumEncrypted,
    SumParams, sum_schema,
};
use tributary_binning::{
    AssignBins, AssignParams, BinColumn, BinCount, CountBins, CountParams, CutColumn, Cuts, cell_key,
};
use tributary_core::{ErrorKind, Result};
use tributary_paillier::{Encrypt, Integer, KeyBits, SecretKey};

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

fn decrypt(sums: &Parts) -> Result<Parts> {
    sums.map::<DecryptCounts>(DecryptParams { public_key: public() }, &[secret(KEY.to_bytes().expose())])
}

#[test]
fn encrypted_counts_equal_plain_counts() {
    for partitions in [1, 4] {
        let table = random_table(130, partitions);
        let host = binned(&table);
        let plain = host.fold::<CountBins>(CountParams { columns: columns(), label: "y".into() }).unwrap();
        let expected = BinCount::read(&plain.rows(), &columns()).unwrap();

        let sums = add(&sum(&host.zip(&encrypt(&table).unwrap())).unwrap());
        let counted = decrypt(&sums).unwrap();
        assert_eq!(BinCount::read(&counted.rows(), &columns()).unwrap(), expected);
    }
}

#[test]
fn what_leaves_has_fresh_blinding() {
    let table = random_table(20, 1);
    let sums = sum(&binned(&table).zip(&encrypt(&table).unwrap())).unwrap();
    let bytes = |parts: &Parts| -> Vec<Vec<u8>> {
        let rows = parts.rows();
        let sums = rows.iter().flat_map(|rows| rows.column(2).as_fixed_size_binary().iter());
        sums.map(|sum| sum.unwrap().to_vec()).collect()
    };
    let (inside, once, again) = (bytes(&sums), bytes(&add(&sums)), bytes(&add(&sums)));
    assert!(once.iter().all(|sum| !inside.contains(sum) && !again.contains(sum)));
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

#[test]
fn a_host_that_sends_impossible_counts_is_found_out() {
    let events = [2, -1].map(Integer::from);
    let bytes = KEY.encrypt_rows(&mut events.into_iter(), &mut rand::rng()).unwrap();
    for bad in bytes.chunks(256) {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(arrow_array::UInt64Array::from(vec![cell_key(0, 1)])),
            Arc::new(arrow_array::UInt64Array::from(vec![1])),
            Arc::new(FixedSizeBinaryArray::try_from_iter([bad].iter()).unwrap()),
        ];
        let sent = Parts::cut(sum_schema(KEY.public()).unwrap(), columns, 1, 1);
        let error = decrypt(&sent).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("row 0"), "{error}");
    }
}
