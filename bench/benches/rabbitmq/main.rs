//! What a broker between two sites costs, beside the bare client library on the same broker with the same guarantees (persistent messages, confirms,
//! acknowledgements): a table of a million rows of 260 bytes, and an empty message there and back. Real brokers, started here.

#![allow(clippy::expect_used)] // a bench has no caller to report an error to

mod bare;
#[path = "../pair/mod.rs"]
mod pair;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tributary_broker::{Endpoint, Login, Routes};
use tributary_core::settings::Secret;
use tributary_core::{PartyId, Result};
use tributary_rabbitmq::config::Notices;
use tributary_rabbitmq::{Config, Mode, QueueType, Rabbit};
use tributary_services::Service;
use tributary_wire::{KeyRing, Options, SecretKey, Wire};

use pair::{Pair, ROW_BYTES, ROWS, batch, runtime, schema};

static BROKERS: LazyLock<Service> = LazyLock::new(|| Service::start("rabbitmq", &[]));

fn config(own: &str, letter: &str, mode: Mode) -> Config {
    let (user, password) = (BROKERS.value("RABBITMQ_USER"), Secret::new(BROKERS.value("RABBITMQ_PASSWORD")));
    Config {
        own: own.parse().expect("an id"),
        host: "127.0.0.1".into(),
        port: BROKERS.port(&format!("RABBITMQ_{letter}_PORT")),
        user: user.clone(),
        password: password.clone(),
        vhost: "/".into(),
        tls: None,
        by_certificate: false,
        management: Endpoint {
            service: "RabbitMQ's management interface",
            url: format!("http://127.0.0.1:{}", BROKERS.port(&format!("RABBITMQ_{letter}_HTTP_PORT"))),
            login: Login::Password { user, password },
            ca: None,
            identity: None,
            patience: Duration::from_secs(20),
            settings: "the bench".into(),
        },
        mode,
        queue_type: QueueType::Classic,
        expires: Duration::from_secs(3600),
        away: Duration::from_secs(60),
        message_bytes: 1 << 20,
        notices: Notices::to(|_| ()),
    }
}

fn replication(partner: &str, letter: &str) -> Mode {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let port = BROKERS.port(&format!("RABBITMQ_{letter}_PORT"));
    std::fs::write(file.path(), format!("{partner}: {{host: 127.0.0.1, port: {port}}}\n"))
        .expect("it is written");
    Mode::Replication { routes: Routes::read(file.path()).expect("a route table"), writes: true, ca: None }
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
        false => [config("9999", "A", Mode::Client), config("10000", "A", Mode::Client)],
        true => {
            [config("9999", "A", replication("10000", "B")), config("10000", "B", replication("9999", "A"))]
        }
    };
    let [a, b] = configs.map(Rabbit::new);
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
    let mut group = c.benchmark_group("rabbitmq/table_1m_260b");
    group.sample_size(10).throughput(Throughput::Bytes((ROWS * ROW_BYTES) as u64));
    let (schema, runtime) = (schema(), runtime());
    let batch = batch(&schema);
    let piece = Bytes::from(vec![7; 256 << 10]);
    for joined in [false, true] {
        let mut bare = runtime.block_on(bare::Pair::new(&BROKERS, joined));
        group.bench_function(BenchmarkId::new("lapin", name(joined)), |b| {
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
    let mut group = c.benchmark_group("rabbitmq/round_trip");
    let runtime = runtime();
    for joined in [false, true] {
        let mut bare = runtime.block_on(bare::Pair::new(&BROKERS, joined));
        group.bench_function(BenchmarkId::new("lapin", name(joined)), |b| {
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
