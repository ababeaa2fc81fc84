//! What a line between two sites costs, beside a bare tonic stream of the same bytes: a table of a million rows of 260 bytes,
//! and an empty message there and back. Both sides are nodes of this process on loopback; the line does what the stream
//! does not: rows are encoded, sealed, opened and checked.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

#[path = "../pair/mod.rs"]
mod pair;
mod tonic;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tributary_core::{PartyId, Result};
use tributary_direct::exchange::{self, Exchange};
use tributary_direct::{Config, Identity, Node, Options as Times, Place, listen};
use tributary_wire::{KeyRing, Options, SecretKey, Wire};

use pair::{Pair, ROW_BYTES, ROWS, batch, runtime, schema};

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

async fn over_lines(tls: bool) -> Result<Pair> {
    let mut sites = [site("9999")?, site("10000")?];
    let wires = [start(&mut sites, 0, tls)?, start(&mut sites, 1, tls)?];
    Pair::join(wires, Box::new(())).await
}

async fn relayed() -> Result<Pair> {
    let mut sites = [site("9999")?, site("10000")?, site("exchange")?];
    let exchange = start_exchange(&mut sites)?;
    let wires = [start_behind(&mut sites, 0)?, start_behind(&mut sites, 1)?];
    Pair::join(wires, Box::new(exchange)).await
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
        let mut pair = runtime.block_on(over_lines(tls)).expect("the sites meet");
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
        let mut pair = runtime.block_on(over_lines(tls)).expect("the sites meet");
        group.bench_function(BenchmarkId::new("line", name(tls)), |b| {
            b.iter_custom(|count| {
                let start = std::time::Instant::now();
                runtime.block_on(pair.round_trips(count)).expect("the messages arrive");
                start.elapsed()
            })
        });
    }
    let mut pair = runtime.block_on(relayed()).expect("the sites meet");
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
