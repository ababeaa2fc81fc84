//! What a host's kernel takes beside plain loops that do the same additions, and nothing else, on the same ciphertexts.
//!
//! The seed is fixed, so that two runs time the same numbers. `TRIBUTARY_ARITHMETIC` keeps instructions from being used.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt16Array};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use tributary_boost::columns::Binned;
use tributary_boost::encrypted::{AddEncrypted, AddParams, Cells, Sharing, gradient_schema};
use tributary_boost::quantise::packing;
use tributary_core::kernel::{FoldKernel, PartContext};
use tributary_core::{Field, TableSchema};
use tributary_paillier::{Additive, Encrypt, Integer, KeyBits, SecretKey, Sums};

const ROWS: usize = 4_096;
const COLUMNS: usize = 30;
const BINS: usize = 33;

/// The bin of a row in a column.
fn bin(row: usize, column: usize) -> usize {
    (row.wrapping_mul(2_654_435_761) >> (column % 16)) % BINS
}

fn sums(c: &mut Criterion) {
    let owner = SecretKey::generate(KeyBits::Bits2048, &mut ChaCha12Rng::seed_from_u64(7)).expect("a key");
    let key = owner.public().clone();
    let mut numbers = (0..ROWS).map(|row| Integer::from(row as i64 * 7_919));
    let bytes =
        owner.encrypt_rows(&mut numbers, &mut ChaCha12Rng::seed_from_u64(8)).expect("numbers that fit");
    let packing = packing(ROWS as u64, key.plaintext_bits()).expect("few rows");
    let sharing = Sharing { packing, pairs: true, packs: true };

    let mut fields: Vec<Field> =
        (0..COLUMNS).map(|column| Field::new(format!("x{column}"), DataType::UInt16)).collect();
    fields.push(Field::new("node", DataType::UInt16));
    fields.extend_from_slice(gradient_schema(&key, sharing).expect("a schema").fields());
    let schema = TableSchema::new(None, fields).expect("a schema");
    let mut columns: Vec<ArrayRef> = (0..COLUMNS)
        .map(|column| {
            let bins = UInt16Array::from_iter_values((0..ROWS).map(|row| bin(row, column) as u16));
            Arc::new(bins) as ArrayRef
        })
        .collect();
    columns.push(Arc::new(UInt16Array::from(vec![0; ROWS])));
    let encrypted =
        FixedSizeBinaryArray::try_new(key.row_bytes() as i32, Buffer::from_vec(bytes.clone()), None);
    columns.push(Arc::new(encrypted.expect("whole rows")));
    let rows: RecordBatch = schema.batch(columns).expect("columns that fit");

    let cells = Cells::new((0..(COLUMNS * BINS) as u32).collect()).to_blob();
    let params = AddParams {
        columns: Binned { bins: vec![BINS as u32; COLUMNS] },
        nodes: 1,
        sums: (COLUMNS * BINS) as u32,
        public_key: key.to_bytes(),
        sharing,
    };
    let kernel = AddEncrypted::open(params, &schema, &[cells]).expect("a kernel");

    let arithmetic = tributary_paillier::arithmetic().expect("a known arithmetic");
    let mut group = c.benchmark_group(format!("sums 2048 {arithmetic}"));
    group.throughput(Throughput::Elements((ROWS * COLUMNS) as u64));
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    let decoded = key.decode_rows(&bytes).expect("ciphertexts");
    group.bench_function("plain additions", |b| {
        b.iter(|| {
            let mut sums = Sums::new(key.clone(), COLUMNS * BINS);
            for column in 0..COLUMNS {
                for (row, value) in decoded.iter().enumerate() {
                    sums.add(column * BINS + bin(row, column), value);
                }
            }
            black_box(sums)
        })
    });
    group.bench_function("kernel, with decoding", |b| {
        b.iter(|| {
            let part = PartContext { partition: 0, partitions: 1, first_row: None };
            let mut sums = kernel.start(part).expect("a state");
            kernel.fold(&mut sums, &rows, &mut Vec::new()).expect("sums");
            black_box(sums)
        })
    });
}

criterion_group!(benches, sums);
criterion_main!(benches);
