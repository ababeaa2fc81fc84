//! Binning on one core, per value. Fixed values, so that runs compare.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

use std::hint::black_box;
use std::sync::Arc;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, UInt16Array};
use arrow_schema::DataType;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use tributary_binning::encrypted::{LABEL, SumEncrypted, SumParams, label_schema};
use tributary_binning::{BinColumn, Cuts, Sketch, Summary};
use tributary_core::kernel::{FoldKernel, PartContext};
use tributary_core::{Field, TableSchema};
use tributary_paillier::{Additive, Encrypt, Integer, KeyBits, SecretKey};

const VALUES: usize = 1_000_000;

fn sketch(values: &[f64]) -> Summary {
    let mut sketch = Sketch::default();
    values.iter().for_each(|value| sketch.push(*value));
    sketch.finish()
}

fn binning(c: &mut Criterion) {
    let mut rng = ChaCha12Rng::seed_from_u64(7);
    let distinct: Vec<f64> = (0..VALUES).map(|_| rng.random()).collect();
    let ties: Vec<f64> = (0..VALUES).map(|_| f64::from(rng.random_range(0..100u8))).collect();
    let mut group = c.benchmark_group("binning");
    group.throughput(Throughput::Elements(VALUES as u64));
    group.bench_function("sketch/distinct", |b| b.iter(|| black_box(sketch(&distinct))));
    group.bench_function("sketch/100 values", |b| b.iter(|| black_box(sketch(&ties))));
    let cuts = Cuts::new((1..=10).map(|k| f64::from(k) / 10.0).collect()).expect("cut points");
    group.bench_function("assign/10 bins", |b| {
        b.iter_batched_ref(
            || vec![0u16; VALUES],
            |bins| bins.iter_mut().zip(&distinct).for_each(|(bin, value)| *bin = cuts.bin_of(Some(*value))),
            BatchSize::LargeInput,
        );
    });
}

const ROWS: usize = 800;
const FEATURES: usize = 10;

/// A batch of a host: bin numbers of ten features, and encrypted labels.
fn encrypted(c: &mut Criterion) {
    let mut rng = ChaCha12Rng::seed_from_u64(7);
    let owner = SecretKey::generate(KeyBits::Bits2048, &mut rng).expect("a key");
    let mut labels = (0..ROWS).map(|row| Integer::from(row % 2));
    let labels = owner.encrypt_rows(&mut labels, &mut rng).expect("labels");
    let width = owner.public().row_bytes();
    let labels = FixedSizeBinaryArray::try_from_iter(labels.chunks(width)).expect("a column");

    let columns: Vec<BinColumn> =
        (0..FEATURES).map(|i| BinColumn { column: format!("x{i}"), bins: 11 }).collect();
    let bins = columns.iter().map(|c| Field::new(&c.column, DataType::UInt16));
    let label = label_schema(owner.public()).expect("a schema").fields()[0].clone();
    let schema = TableSchema::new(None, bins.chain([label]).collect()).expect("a schema");
    let mut column = || Arc::new((0..ROWS).map(|_| rng.random_range(0..10u16)).collect::<UInt16Array>());
    let mut arrays: Vec<ArrayRef> = (0..FEATURES).map(|_| column() as ArrayRef).collect();
    arrays.push(Arc::new(labels));
    let rows = schema.batch(arrays).expect("a batch");

    let params = SumParams { columns, label: LABEL.into(), public_key: owner.public().to_bytes() };
    let kernel = SumEncrypted::open(params, &schema, &[]).expect("a kernel");
    let part = PartContext { partition: 0, partitions: 1, first_row: None };
    let mut group = c.benchmark_group("binning");
    group.throughput(Throughput::Elements((ROWS * FEATURES) as u64));
    group.bench_function("sum_encrypted/2048 bits", |b| {
        b.iter_batched_ref(
            || kernel.start(part).expect("a state"),
            |state| kernel.fold(state, &rows, &mut Vec::new()).expect("sums"),
            BatchSize::LargeInput,
        );
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = binning, encrypted
}
criterion_main!(benches);
