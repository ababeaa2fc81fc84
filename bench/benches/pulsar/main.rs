//! What a Pulsar cluster between two sites costs, beside the bare client library at the same cluster with the same guarantees (persistent messages,
//! receipts, acknowledgements): a table of a million rows of 260 bytes, and an empty message there and back. Real clusters, started here.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

mod bare;
#[path = "../pair/mod.rs"]
mod pair;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tributary_broker::{Login, Routes};
use tributary_core::settings::Secret;
use tributary_core::{PartyId, Result};
use tributary_pulsar::{Config, Pulsar};
use tributary_services::Service;
use tributary_wire::{KeyRing, Options, SecretKey, Wire};

use pair::{Pair, ROW_BYTES, ROWS, batch, runtime, schema};

static CLUSTERS: LazyLock<Service> = LazyLock::new(|| Service::start("pulsar", &[("PULSAR_JIT", "4")]));

fn config(cluster: &str, routes: Option<Routes>) -> Config {
    Config {
        host: "127.0.0.1".into(),
        port: CLUSTERS.port(&format!("PULSAR_{cluster}_PORT")),
        http_port: CLUSTERS.port(&format!("PULSAR_{cluster}_HTTP_PORT")),
        tls: false,
        http_tls: false,
        ca: None,
        login: Login::Token(Secret::new(CLUSTERS.value("PULSAR_TOKEN"))),
        cluster: cluster.to_lowercase(),
        tenant: "bench".into(),
        namespace: "tributary".into(),
        routes,
        topic_ttl: Duration::from_secs(3600),
        message_bytes: 1 << 20,
        away: Duration::from_secs(60),
    }
}

/// The partner's cluster.
fn routes(partner: &str, cluster: &str) -> Routes {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let port = CLUSTERS.port(&format!("PULSAR_{cluster}_PORT"));
    std::fs::write(file.path(), format!("{partner}: {{host: 127.0.0.1, port: {port}}}\n"))
        .expect("it is written");
    Routes::read(file.path()).expect("a route table")
}

async fn pair(joined: bool) -> Result<Pair> {
    let (guest, host): (PartyId, PartyId) = ("9999".parse()?, "10000".parse()?);
    let secrets = [SecretKey::generate()?, SecretKey::generate()?];
    let keys = |own: &SecretKey| {
        KeyRing::new(own.clone())
            .with(guest.clone(), secrets[0].public())?
            .with(host.clone(), secrets[1].public())
    };
    let configs = match joined {
        false => [config("A", None), config("A", None)],
        true => [config("A", Some(routes("10000", "B"))), config("B", Some(routes("9999", "A")))],
    };
    let [of_guest, of_host] = configs;
    let (a, b) = (Pulsar::new(guest.clone(), of_guest), Pulsar::new(host.clone(), of_host));
    let wires = [
        Wire::new(Arc::new(a?), keys(&secrets[0])?, Options::default())?,
        Wire::new(Arc::new(b?), keys(&secrets[1])?, Options::default())?,
    ];
    Pair::join(wires, Box::new(())).await
}

fn name(joined: bool) -> &'static str {
    if joined { "joined" } else { "shared" }
}

fn tables(c: &mut Criterion) {
    let mut group = c.benchmark_group("pulsar/table_1m_260b");
    group.sample_size(10).throughput(Throughput::Bytes((ROWS * ROW_BYTES) as u64));
    let (schema, runtime) = (schema(), runtime());
    // The bare client's ends say farewell when they are dropped, and need it.
    let _inside = runtime.enter();
    let batch = batch(&schema);
    let piece = Bytes::from(vec![7; 256 << 10]);
    for joined in [false, true] {
        let mut bare = runtime.block_on(bare::Pair::new(&CLUSTERS, joined));
        group.bench_function(BenchmarkId::new("pulsar", name(joined)), |b| {
            b.iter(|| runtime.block_on(bare.transfer(&piece, ROWS * ROW_BYTES / piece.len())))
        });
        let mut pair = runtime.block_on(pair(joined)).expect("the sites meet");
        group.bench_function(BenchmarkId::new("tributary", name(joined)), |b| {
            b.iter(|| runtime.block_on(pair.send_table(&schema, &batch)).expect("the table arrives"))
        });
    }
    group.finish();
}

fn round_trips(c: &mut Criterion) {
    let mut group = c.benchmark_group("pulsar/round_trip");
    let runtime = runtime();
    let _inside = runtime.enter();
    for joined in [false, true] {
        let mut bare = runtime.block_on(bare::Pair::new(&CLUSTERS, joined));
        group.bench_function(BenchmarkId::new("pulsar", name(joined)), |b| {
            b.iter_custom(|count| {
                let start = std::time::Instant::now();
                runtime.block_on(async {
                    for _ in 0..count {
                        bare.round_trip().await;
                    }
                });
                start.elapsed()
            })
        });
        let mut pair = runtime.block_on(pair(joined)).expect("the sites meet");
        group.bench_function(BenchmarkId::new("tributary", name(joined)), |b| {
            b.iter_custom(|count| {
                let start = std::time::Instant::now();
                runtime.block_on(pair.round_trips(count)).expect("the messages arrive");
                start.elapsed()
            })
        });
    }
    group.finish();
}

criterion_group!(benches, tables, round_trips);
criterion_main!(benches);
