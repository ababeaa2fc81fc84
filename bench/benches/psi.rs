//! The two kernels of private set intersection on one core, per row. Fixed ids and secret, so that runs compare.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tributary_psi::Secret;

fn psi(c: &mut Criterion) {
    let secret = Secret::from_uniform_bytes(&[7; 64]).expect("a secret");
    let mut group = c.benchmark_group("psi");
    for rows in [1_000, 10_000] {
        let ids: Vec<String> = (0..rows).map(|i| format!("customer-{i:09}")).collect();
        let points = secret.mask_ids(ids.iter().map(String::as_bytes));
        group.throughput(Throughput::Elements(rows));
        group.bench_function(BenchmarkId::new("mask_ids", rows), |b| {
            b.iter(|| black_box(secret.mask_ids(ids.iter().map(String::as_bytes))));
        });
        group.bench_function(BenchmarkId::new("mask_points", rows), |b| {
            b.iter(|| black_box(secret.mask_points(&points, 0)));
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = psi
}
criterion_main!(benches);
