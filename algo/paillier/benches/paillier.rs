//! What encrypted statistics cost: per key, per row, per result, next to GMP doing the same the plain way.
//!
//! The seed is fixed, so that two runs time the same numbers. `TRIBUTARY_BENCH_BITS` adds a key size to 2048,
//! `TRIBUTARY_ARITHMETIC` keeps instructions from being used (see `arithmetic`); the group's name says which are.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

use std::{hint::black_box, time::Duration};

use criterion::{
    BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use rug::Integer;
use tributary_paillier::{
    Additive, Decrypt, Encrypt, KeyBits, Packing, PublicKey, SecretKey, Sums, WeightedSum,
};

/// Enough rows that a batch's fixed costs do not show.
const ROWS: usize = 256;

fn rng() -> ChaCha12Rng {
    ChaCha12Rng::seed_from_u64(7)
}

fn numbers(count: usize) -> impl Iterator<Item = Integer> {
    (0..count).map(|i| Integer::from(i as i64 * 7_919 - 1_000_000))
}

fn paillier(c: &mut Criterion) {
    let more = std::env::var("TRIBUTARY_BENCH_BITS").ok().map(|bits| bits.parse().expect("a number of bits"));
    for bits in [2048].into_iter().chain(more) {
        let size = KeyBits::try_from(bits).expect("an offered size");
        let owner = SecretKey::generate(size, &mut rng()).expect("a key").for_encryptions(1_000_000);
        let host = owner.public().for_encryptions(1_000_000);
        let arithmetic = tributary_paillier::arithmetic().expect("a known arithmetic");
        let mut group = c.benchmark_group(format!("paillier {bits} {arithmetic}"));
        group
            .sample_size(20)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2));
        keys(&mut group, size, &owner);
        rows(&mut group, &owner, &host);
        results(&mut group, &owner, &host);
        gmp(&mut group, bits);
    }
}

fn keys(group: &mut BenchmarkGroup<WallTime>, size: KeyBits, owner: &SecretKey) {
    let mut random = rng();
    group.bench_function("generate a key", |b| b.iter(|| SecretKey::generate(size, &mut random)));
    let encoded = owner.public().to_bytes();
    group.bench_function("read a public key", |b| b.iter(|| PublicKey::from_bytes(&encoded)));
    for expected in [500, 1_000_000] {
        let fresh = || owner.public().for_encryptions(expected);
        group.bench_function(format!("first encryption, of {expected}"), |b| {
            b.iter_batched(fresh, |key| key.encrypt_zero(&mut random), BatchSize::LargeInput);
        });
    }
}

fn rows(group: &mut BenchmarkGroup<WallTime>, owner: &SecretKey, host: &PublicKey) {
    let mut random = rng();
    let rows = owner.encrypt_rows(&mut numbers(ROWS), &mut random).expect("small numbers");
    let values = host.decode_rows(&rows).expect("valid rows");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("encrypt with the public key", |b| {
        b.iter(|| host.encrypt_rows(&mut numbers(ROWS), &mut random));
    });
    group.bench_function("encrypt with one's own key", |b| {
        b.iter(|| owner.encrypt_rows(&mut numbers(ROWS), &mut random));
    });
    group.bench_function("check and decode", |b| b.iter(|| host.decode_rows(&rows)));
    group.bench_function("encode", |b| b.iter(|| host.encode_rows(&values)));
    let mut sums = Sums::new(host.clone(), 32);
    group.bench_function("add into 32 sums", |b| {
        b.iter(|| values.iter().enumerate().for_each(|(i, value)| sums.add(i % 32, value)));
    });
    group.bench_function("add with a weight of 24 bits", |b| {
        let mut sum = WeightedSum::new(host.clone(), 24, 10_000).expect("24 bits");
        b.iter(|| {
            for (i, value) in values.iter().enumerate() {
                sum.add_vartime(i as i64 * 65_521 - (1 << 23), value).expect("24 bits");
            }
        });
    });
}

fn results(group: &mut BenchmarkGroup<WallTime>, owner: &SecretKey, host: &PublicKey) {
    let mut random = rng();
    let packing = Packing::for_sums(40, 1_000_000, host.plaintext_bits()).expect("slots of 61 bits");
    let value = host.encrypt(&Integer::from(-5), &mut random).expect("a small number");
    let full = vec![value.clone(); packing.slots()];
    group.throughput(Throughput::Elements(1));
    group.bench_function("decrypt", |b| b.iter(|| owner.decrypt(&value)));
    group.throughput(Throughput::Elements(packing.slots() as u64));
    group
        .bench_function("pack, per slot of 61 bits", |b| b.iter(|| packing.pack_ciphertexts(host, &full, 1)));
    group.throughput(Throughput::Elements(1));
    let mut working = value.clone();
    group.bench_function("re-randomise", |b| b.iter(|| host.rerandomize(&mut working, &mut random)));
    group.bench_function("re-randomise uniformly", |b| {
        b.iter(|| host.rerandomize_uniform(&mut working, &mut random));
    });
    group.bench_function("negate", |b| b.iter(|| host.negate(&mut working)));
    group.bench_function("scale by 24 bits", |b| b.iter(|| host.scale_vartime(&mut working, 0xaaaaaa)));
}

/// The textbook way, on numbers of the same sizes.
fn gmp(group: &mut BenchmarkGroup<WallTime>, bits: u32) {
    let number = |bits: u32, salt: u32| {
        let words: Vec<u32> =
            (1..=bits / 32).map(|i| (i + salt).wrapping_mul(0x9e37_79b9) | 1 << 31 | 1).collect();
        Integer::from_digits(&words, rug::integer::Order::Lsf)
    };
    let (n_squared, p_squared) = (number(2 * bits, 1), number(bits, 2));
    let (a, b_) = (number(2 * bits, 3) % &n_squared, number(2 * bits, 4) % &n_squared);
    let (n, p) = (number(bits, 5), number(bits / 2, 6));
    let mut product = a.clone();
    group.bench_function("gmp: one product", |b| {
        b.iter(|| {
            product *= black_box(&b_);
            product %= &n_squared;
        });
    });
    group.bench_function("gmp: r^n, as in a textbook encryption", |b| {
        b.iter(|| Integer::from(a.pow_mod_ref(&n, &n_squared).expect("positive")))
    });
    group.bench_function("gmp: decrypt with secure_pow_mod", |b| {
        b.iter(|| [&a, &b_].map(|c| Integer::from(c.secure_pow_mod_ref(&p, &p_squared))));
    });
}

criterion_group!(benches, paillier);
criterion_main!(benches);
