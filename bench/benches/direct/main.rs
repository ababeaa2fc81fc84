//! What a line between two sites costs, beside a bare tonic stream of the same bytes: a table of a million rows of 260 bytes,
//! and an empty message there and back. Both sides are nodes of this process on loopback; the line does what the stream
//! does not: rows are encoded, sealed, opened and checked.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

mod tonic;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int32Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::runtime::{Builder, Runtime};
use tributary_core::computing::RowStream;
use tributary_core::federation::*;
use tributary_core::{Field, JobHash, Layout, Party, PartyId, Result, TableSchema};
use tributary_direct::exchange::{self, Exchange};
use tributary_direct::{Config, Identity, Node, Options as Times, Place, listen};
use tributary_wire::{KeyRing, Options, SecretKey, Wire};

const ROWS: usize = 1_000_000;
const ROW_BYTES: usize = 260;
const BATCH_ROWS: usize = 8192;

struct Rows(RecordBatch);

#[async_trait]
impl RowSource for Rows {
    async fn open(&self) -> Result<RowStream> {
        let batch = self.0.clone();
        let starts = (0..ROWS).step_by(BATCH_ROWS);
        Ok(stream::iter(starts).map(move |at| Ok(batch.slice(0, BATCH_ROWS.min(ROWS - at)))).boxed())
    }
}

fn schema() -> TableSchema {
    let mut fields: Vec<Field> = (0..32).map(|i| Field::new(format!("v{i}"), DataType::UInt64)).collect();
    fields.push(Field::new("w", DataType::Int32));
    TableSchema::new(None, fields).expect("columns have names of their own")
}

fn batch(schema: &TableSchema) -> RecordBatch {
    let column = |i: u64| {
        Arc::new((0..BATCH_ROWS as u64).map(|r| r.wrapping_mul(i + 1)).collect::<UInt64Array>()) as ArrayRef
    };
    let mut columns: Vec<ArrayRef> = (0..32).map(column).collect();
    columns.push(Arc::new((0..BATCH_ROWS as i32).collect::<Int32Array>()));
    RecordBatch::try_new(schema.arrow().clone(), columns).expect("columns have equal lengths")
}

/// A site before it is started.
struct Site {
    id: PartyId,
    secret: SecretKey,
    identity: Identity,
    place: Place,
    listener: Option<std::net::TcpListener>,
}

fn site(id: &str) -> Result<Site> {
    let id: PartyId = id.parse()?;
    let listener = listen("127.0.0.1", 0)?;
    let identity = Identity::generate(&id, 30)?;
    let address = listener.local_addr().expect("it has an address").to_string();
    let place = Place { address: Some(address), certificate: Some(identity.fingerprint()) };
    Ok(Site { id, secret: SecretKey::generate()?, identity, place, listener: Some(listener) })
}

fn start(sites: &mut [Site], at: usize, tls: bool) -> Result<Wire> {
    let keys = keys(sites, at)?;
    let peers: BTreeMap<PartyId, Place> =
        sites.iter().map(|site| (site.id.clone(), site.place.clone())).collect();
    let config = Config {
        own: sites[at].id.clone(),
        keys: keys.clone(),
        identity: tls.then(|| sites[at].identity.clone()),
        listener: sites[at].listener.take(),
        peers,
        exchange: None,
        options: Times::default(),
    };
    Wire::new(Arc::new(Node::start(config)?), keys, Options::default())
}

/// The same, with nothing but a line to the exchange, which is the last of `sites`.
fn start_behind(sites: &mut [Site], at: usize) -> Result<Wire> {
    let exchange = sites.last().map(|site| (site.id.clone(), site.place.clone()));
    let keys = keys(sites, at)?;
    let mut peers: BTreeMap<PartyId, Place> =
        sites.iter().map(|site| (site.id.clone(), Place::default())).collect();
    exchange.iter().for_each(|(id, _)| drop(peers.remove(id)));
    let identity = Some(sites[at].identity.clone());
    let own = sites[at].id.clone();
    let config = Config {
        own,
        keys: keys.clone(),
        identity,
        listener: None,
        peers,
        exchange,
        options: Times::default(),
    };
    Wire::new(Arc::new(Node::start(config)?), keys, Options::default())
}

fn start_exchange(sites: &mut [Site]) -> Result<Exchange> {
    let keys = keys(sites, sites.len() - 1)?;
    let place = |site: &Site| Place { address: None, certificate: site.place.certificate };
    let served = sites[..sites.len() - 1].iter().map(|site| (site.id.clone(), place(site))).collect();
    let own = sites.last_mut().expect("an exchange is among them");
    Exchange::start(exchange::Config {
        own: own.id.clone(),
        keys,
        identity: Some(own.identity.clone()),
        listener: own.listener.take(),
        sites: served,
        exchanges: Default::default(),
        default: None,
        folder: None,
        held_bytes: 0,
        options: Times::default(),
    })
}

fn keys(sites: &[Site], at: usize) -> Result<KeyRing> {
    let own = KeyRing::new(sites[at].secret.clone());
    sites.iter().try_fold(own, |ring, site| ring.with(site.id.clone(), site.secret.public()))
}

struct Pair {
    _exchange: Option<Exchange>,
    guest: Arc<dyn Federation>,
    host: Arc<dyn Federation>,
    count: u64,
}

impl Pair {
    async fn new(tls: bool) -> Result<Self> {
        let mut sites = [site("9999")?, site("10000")?];
        let wires = [start(&mut sites, 0, tls)?, start(&mut sites, 1, tls)?];
        Self::join(wires, None).await
    }

    async fn relayed() -> Result<Self> {
        let mut sites = [site("9999")?, site("10000")?, site("exchange")?];
        let exchange = start_exchange(&mut sites)?;
        let wires = [start_behind(&mut sites, 0)?, start_behind(&mut sites, 1)?];
        Self::join(wires, Some(exchange)).await
    }

    async fn join(wires: [Wire; 2], exchange: Option<Exchange>) -> Result<Self> {
        let (guest, host) = (Party::new("guest", "9999")?, Party::new("host", "10000")?);
        let spec = |own: &Party, peer: &Party| -> Result<FederationSpec> {
            let (own, peers) = (own.clone(), vec![peer.clone()]);
            let (session, job_hash) = ("job.bench.0".parse()?, JobHash::new([7; 32]));
            Ok(FederationSpec { session, own, peers, job_hash, patience: Duration::from_secs(60) })
        };
        let (a, b) = (wires[0].join(spec(&guest, &host)?).await?, wires[1].join(spec(&host, &guest)?).await?);
        let mut pair = Self { _exchange: exchange, guest: a, host: b, count: 0 };
        pair.round_trips(1).await?;
        Ok(pair)
    }

    fn slot(&mut self) -> Slot {
        self.count += 1;
        Slot::new("x").tagged(self.count.to_string())
    }

    async fn send_table(&mut self, schema: &TableSchema, batch: &RecordBatch) -> Result<()> {
        let slot = self.slot();
        let source = Box::new(Rows(batch.clone()));
        let body = Body::Table(TableBody {
            schema: schema.clone(),
            layout: Layout::Loose(1),
            rows: ROWS as u64,
            source,
        });
        let (sender, sent_slot) = (self.guest.clone(), slot.clone());
        let push = tokio::spawn(async move { sender.push(&sent_slot, &sender.spec().peers, body).await });
        let mut received = 0;
        if let Body::Table(table) = self.host.pull(&slot, &self.host.spec().peers[0]).await? {
            let mut rows = table.source.open().await?;
            while let Some(batch) = rows.try_next().await? {
                received += batch.num_rows();
            }
        }
        push.await.expect("pushing does not panic")?;
        assert_eq!(received, ROWS);
        Ok(())
    }

    /// So many empty messages there and back, one after the other.
    async fn round_trips(&mut self, count: u64) -> Result<()> {
        let body = || Body::Message(MessageBody { name: "m".into(), version: 1, bytes: Bytes::new() });
        let slots: Vec<Slot> = (0..count).map(|_| self.slot()).collect();
        let (host, there) = (self.host.clone(), slots.clone());
        let answers = tokio::spawn(async move {
            let guest = &host.spec().peers[0];
            for slot in &there {
                host.pull(slot, guest).await?;
                host.push(slot, std::slice::from_ref(guest), body()).await?;
            }
            Result::Ok(())
        });
        let host = self.guest.spec().peers[0].clone();
        for slot in &slots {
            self.guest.push(slot, std::slice::from_ref(&host), body()).await?;
            self.guest.pull(slot, &host).await?;
        }
        answers.await.expect("answering does not panic")
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime starts")
}

fn name(tls: bool) -> &'static str {
    if tls { "tls" } else { "plain" }
}

fn tables(c: &mut Criterion) {
    let mut group = c.benchmark_group("direct/table_1m_260b");
    group.sample_size(10).throughput(Throughput::Bytes((ROWS * ROW_BYTES) as u64));
    let (schema, runtime) = (schema(), runtime());
    let batch = batch(&schema);
    let piece = Bytes::from(vec![7; 64 << 10]);
    for tls in [false, true] {
        let mut bare = runtime.block_on(tonic::connect(tls));
        group.bench_function(BenchmarkId::new("tonic", name(tls)), |b| {
            b.iter(|| {
                runtime.block_on(tonic::transfer(
                    &mut bare,
                    std::iter::repeat_n(piece.clone(), ROWS * ROW_BYTES / piece.len()),
                ))
            })
        });
        let mut pair = runtime.block_on(Pair::new(tls)).expect("the sites meet");
        group.bench_function(BenchmarkId::new("line", name(tls)), |b| {
            b.iter(|| runtime.block_on(pair.send_table(&schema, &batch)).expect("the table arrives"))
        });
    }
    group.finish();
}

fn round_trips(c: &mut Criterion) {
    let mut group = c.benchmark_group("direct/round_trip");
    let runtime = runtime();
    for tls in [false, true] {
        let mut bare = runtime.block_on(tonic::connect(tls));
        group.bench_function(BenchmarkId::new("tonic", name(tls)), |b| {
            b.iter_custom(|count| {
                let start = std::time::Instant::now();
                runtime.block_on(async {
                    for _ in 0..count {
                        tonic::round_trip(&mut bare).await;
                    }
                });
                start.elapsed()
            })
        });
        let mut pair = runtime.block_on(Pair::new(tls)).expect("the sites meet");
        group.bench_function(BenchmarkId::new("line", name(tls)), |b| {
            b.iter_custom(|count| {
                let start = std::time::Instant::now();
                runtime.block_on(pair.round_trips(count)).expect("the messages arrive");
                start.elapsed()
            })
        });
    }
    let mut pair = runtime.block_on(Pair::relayed()).expect("the sites meet");
    group.bench_function(BenchmarkId::new("exchange", name(true)), |b| {
        b.iter_custom(|count| {
            let start = std::time::Instant::now();
            runtime.block_on(pair.round_trips(count)).expect("the messages arrive");
            start.elapsed()
        })
    });
    group.finish();
}

criterion_group!(benches, tables, round_trips);
criterion_main!(benches);
