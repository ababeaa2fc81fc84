//! Private set intersection on one core: the two kernels of elliptic curves, per row; and of vector oblivious linear evaluation
//! the seeds' expansion and the kernels that ask and answer. Fixed ids, so that runs compare. `TRIBUTARY_ARITHMETIC=portable`
//! leaves out the instruction for carry-less products.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

use std::hint::black_box;

use std::sync::Arc;

use arrow_array::{BinaryArray, RecordBatch};
use arrow_schema::DataType;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tributary_core::computing::Blob;
use tributary_core::kernel::{FoldKernel, PartContext};
use tributary_core::{Field, TableSchema, layout};
use tributary_psi::Secret;
use tributary_psi::rr22::{
    Answer, Answering, Ask, BucketsParams, DIGEST, Offer, Pieces, Plan, SENT, order_key, sent_schema,
};
use tributary_vole::{Code, ReceiverSeed, SenderSeed, Stream};

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

/// One bucket of so many ids at both sides, with its seeds.
fn bucket(ids: u64) -> (BucketsParams, TableSchema, RecordBatch, Blob, Blob) {
    let plan = Plan { salt: [7; 32], pair: 0, asked: ids, held: ids, buckets: 1 };
    let (offer, message) = Offer::new().expect("an offer");
    let (mut answering, message) = Answering::new(plan.clone(), &message).expect("choices");
    let (opening, message) = offer.open(plan.clone(), &message).expect("an opening");
    let message = answering.open(&message).expect("a set-up");
    let mut asking = opening.finish(&message).expect("a session");
    let (wished, message) = asking.wish(0..1).expect("a wish");
    let (answer, message) = answering.seeds(0..1, &message).expect("seeds");
    let ask = asking.seeds(wished, &message).expect("seeds");
    let mut random = vec![0; ids as usize];
    Stream::new(1).fill(&mut random);
    let mut digests: Vec<[u8; 16]> = random.iter().map(|number| number.to_le_bytes()).collect();
    digests.sort_by_key(|digest| layout::hash_bytes(digest));
    let schema = TableSchema::new(None, vec![Field::new(DIGEST, DataType::Binary)]).expect("a schema");
    let rows = schema.batch(vec![Arc::new(BinaryArray::from_iter_values(digests))]).expect("rows");
    (BucketsParams { plan, buckets: 0..1 }, schema, rows, ask[0].clone(), answer[0].clone())
}

fn run<K: FoldKernel<Params = BucketsParams>>(
    params: &BucketsParams,
    schema: &TableSchema,
    rows: &RecordBatch,
    blobs: &[Blob],
) -> Vec<RecordBatch> {
    let kernel = K::open(params.clone(), schema, blobs).expect("a kernel");
    let part = PartContext { partition: 0, partitions: 1, first_row: None };
    let (mut state, mut out) = (kernel.start(part).expect("a state"), Vec::<RecordBatch>::new());
    kernel.fold(&mut state, rows, &mut out).expect("a fold");
    kernel.finish(state, &mut out).expect("an end");
    out
}

fn rr22(c: &mut Criterion) {
    let ids = 1 << 18;
    let (params, schema, rows, ask, answer) = bucket(ids);
    let made = run::<Ask>(&params, &schema, &rows, std::slice::from_ref(&ask));
    let mut pieces = Pieces::of(1, params.plan.ask_bytes());
    for batch in &made {
        let sent = batch.column_by_name(SENT).expect("a column").clone();
        pieces.add(&sent_schema().expect("a schema").batch(vec![sent]).expect("rows")).expect("pieces");
    }
    let asked = pieces.finish().expect("all pieces").concat();
    let blobs = [order_key().expect("a key"), answer.clone(), Blob::Plain(asked.into())];
    let mut group = c.benchmark_group("rr22");
    group.throughput(Throughput::Elements(ids));
    let receiver = ReceiverSeed::from_bytes(ask.bytes()).expect("a seed");
    let sender = SenderSeed::from_bytes(answer.bytes()).expect("a seed");
    group.bench_function("expand_receiver", |b| b.iter(|| black_box(receiver.expand(Code::new(1)))));
    group.bench_function("expand_sender", |b| b.iter(|| black_box(sender.expand(Code::new(1)))));
    group.bench_function("ask", |b| {
        b.iter(|| black_box(run::<Ask>(&params, &schema, &rows, std::slice::from_ref(&ask))));
    });
    group.bench_function("answer", |b| b.iter(|| black_box(run::<Answer>(&params, &schema, &rows, &blobs))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10);
    targets = psi, rr22
}
criterion_main!(benches);
