//! What federation costs inside one process: a small job from joining to closing, and a table of 64 MB on its way, sealed,
//! opened and validated as it would be behind a broker.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::{Builder, Runtime};
use tributary_core::computing::{End, RowStream};
use tributary_core::federation::*;
use tributary_core::{Field, JobHash, Layout, Party, Result, TableSchema};

const COLUMNS: usize = 8;
const TABLE_BYTES: usize = 64_000_000;

struct Rows(Vec<RecordBatch>);

#[async_trait]
impl RowSource for Rows {
    async fn open(&self) -> Result<RowStream> {
        Ok(stream::iter(self.0.clone()).map(Ok).boxed())
    }
}

fn schema() -> TableSchema {
    let fields = (0..COLUMNS).map(|i| Field::new(format!("v{i}"), DataType::UInt64)).collect();
    TableSchema::new(None, fields).expect("columns have names of their own")
}

/// 64 MB in batches of 8192 rows, as engines give them.
fn batches(schema: &TableSchema) -> Vec<RecordBatch> {
    let rows = TABLE_BYTES / 8 / COLUMNS;
    let column =
        |i: usize| Arc::new((0..rows as u64).map(|r| r * i as u64).collect::<UInt64Array>()) as ArrayRef;
    let columns = (0..COLUMNS).map(column).collect();
    let all = RecordBatch::try_new(schema.arrow().clone(), columns).expect("columns have equal lengths");
    (0..rows).step_by(8192).map(|at| all.slice(at, 8192.min(rows - at))).collect()
}

async fn pair(session: &str) -> Result<(Arc<dyn Federation>, Arc<dyn Federation>)> {
    let (guest, host) = (Party::new("guest", "9999")?, Party::new("host", "10000")?);
    let networks = tributary_memory::networks(&[guest.id.clone(), host.id.clone()])?;
    let spec = |own: &Party, peer: &Party| -> Result<FederationSpec> {
        let (own, peers) = (own.clone(), vec![peer.clone()]);
        Ok(FederationSpec {
            session: format!("{session}.bench.0").parse()?,
            own,
            peers,
            job_hash: JobHash::new([7; 32]),
            patience: Duration::from_secs(60),
            carriage: Default::default(),
        })
    };
    let joined = networks[&guest.id].join(spec(&guest, &host)?).await?;
    Ok((joined, networks[&host.id].join(spec(&host, &guest)?).await?))
}

async fn small_job() -> Result<()> {
    let (guest, host) = pair("small").await?;
    let (to_host, to_guest) = (guest.spec().peers.clone(), host.spec().peers.clone());
    for i in 0..4 {
        let slot = Slot::new("x").tagged(i.to_string());
        let body = || {
            Body::Message(MessageBody { name: "m".into(), version: 1, bytes: Bytes::from_static(&[1; 100]) })
        };
        guest.push(&slot, &to_host, body()).await?;
        host.pull(&slot, &to_guest[0]).await?;
        host.push(&slot, &to_guest, body()).await?;
        guest.pull(&slot, &to_host[0]).await?;
    }
    guest.close(End::Done).await?;
    host.close(End::Done).await
}

async fn send_table(schema: TableSchema, batches: Vec<RecordBatch>) -> Result<usize> {
    let (guest, host) = pair("table").await?;
    let slot = Slot::new("table");
    let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
    let source = Box::new(Rows(batches));
    let body = Body::Table(TableBody { schema, layout: Layout::Loose(1), rows, source });
    let (sender, sent_slot) = (guest.clone(), slot.clone());
    let push = tokio::spawn(async move { sender.push(&sent_slot, &sender.spec().peers, body).await });
    let mut received = 0;
    if let Body::Table(table) = host.pull(&slot, &host.spec().peers[0]).await? {
        let mut rows = table.source.open().await?;
        while let Some(batch) = rows.try_next().await? {
            received += batch.num_rows();
        }
    }
    push.await.expect("pushing does not panic")?;
    guest.close(End::Done).await?;
    host.close(End::Done).await?;
    Ok(received)
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = if threads == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.worker_threads(threads).enable_time().build().expect("a runtime starts")
}

fn federation(c: &mut Criterion) {
    let mut group = c.benchmark_group("federation/memory");
    let one = runtime(1);
    group.bench_function("small_job", |b| b.iter(|| one.block_on(small_job()).expect("the job runs")));
    let schema = schema();
    let batches = batches(&schema);
    group.sample_size(10).throughput(Throughput::Bytes(TABLE_BYTES as u64));
    for threads in [1, 2] {
        let runtime = runtime(threads);
        group.bench_function(BenchmarkId::new("table_64mb", threads), |b| {
            b.iter(|| {
                runtime.block_on(send_table(schema.clone(), batches.clone())).expect("the table arrives")
            })
        });
    }
    group.finish();
}

criterion_group!(benches, federation);
criterion_main!(benches);
