//! Brokers of a test, sites on them, and small values.

#![allow(dead_code, reason = "two test programs share it")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tributary_broker::{Admin, Endpoint, Login, Routes};
use tributary_core::computing::RowStream;
use tributary_core::federation::*;
use tributary_core::settings::Secret;
use tributary_core::{Field, JobHash, Layout, Party, PartyId, Result, TableSchema};
use tributary_rabbitmq::config::Notices;
use tributary_rabbitmq::{Config, Inspector, Mode, QueueType, Rabbit, Tls};
use tributary_services::Service;
use tributary_wire::{KeyRing, SecretKey, Wire};

pub static BROKERS: LazyLock<Service> = LazyLock::new(|| Service::start("rabbitmq", &[]));

/// One of the two brokers, with a virtual host of its own for the test.
#[derive(Clone, Debug)]
pub struct Broker {
    pub letter: &'static str,
    pub vhost: String,
}

impl Broker {
    /// A new virtual host, in which whoever made it may do everything.
    pub async fn new(letter: &'static str, test: &str) -> Self {
        let broker = Self { letter, vhost: format!("{test}-{:x}", std::process::id()) };
        broker.admin().put(&format!("/api/vhosts/{}", broker.vhost), &()).await.unwrap();
        broker
    }

    pub fn admin(&self) -> Admin {
        Admin::new(self.config("0").management).unwrap()
    }

    pub fn port(&self, which: &str) -> u16 {
        BROKERS.port(&format!("RABBITMQ_{}_{which}PORT", self.letter.to_uppercase()))
    }

    /// Calls rabbitmqctl.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let ctl = BROKERS.value(&format!("RABBITMQ_{}_CTL", self.letter.to_uppercase()));
        let done = std::process::Command::new(ctl).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{arguments:?}: {said}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    }

    pub fn pid(&self) -> String {
        BROKERS.value(&format!("RABBITMQ_{}_PID", self.letter.to_uppercase()))
    }

    /// A site on it that shares it with its partners.
    pub fn config(&self, own: &str) -> Config {
        let password = Secret::new(BROKERS.value("RABBITMQ_PASSWORD"));
        let user = BROKERS.value("RABBITMQ_USER");
        Config {
            own: own.parse().unwrap(),
            host: "127.0.0.1".into(),
            port: self.port(""),
            user: user.clone(),
            password: password.clone(),
            vhost: self.vhost.clone(),
            tls: None,
            by_certificate: false,
            management: Endpoint {
                service: "RabbitMQ's management interface",
                url: format!("http://127.0.0.1:{}", self.port("HTTP_")),
                login: Login::Password { user, password },
                ca: None,
                identity: None,
                patience: Duration::from_secs(20),
                settings: "federation.rabbitmq.host and mng_port".into(),
            },
            mode: Mode::Client,
            queue_type: QueueType::Classic,
            expires: Duration::from_secs(3600),
            away: Duration::from_secs(60),
            message_bytes: 1 << 20,
            notices: Notices::to(|_| ()),
        }
    }

    /// Names of its queues.
    pub async fn queues(&self) -> Vec<String> {
        #[derive(serde::Deserialize)]
        struct Listed {
            name: String,
        }
        let listed: Vec<Listed> =
            self.admin().get(&format!("/api/queues/{}?columns=name", self.vhost)).await.unwrap();
        listed.into_iter().map(|listed| listed.name).collect()
    }

    /// Waits until it has none.
    pub async fn is_empty(&self) {
        let empty = async {
            while !self.queues().await.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(60), empty).await.is_err() {
            panic!("{:?}", self.queues().await);
        }
    }

    pub fn certificates() -> PathBuf {
        BROKERS.value("RABBITMQ_CERTIFICATES").into()
    }
}

/// The same with TLS, checked by the authority of the tests.
pub fn with_tls(mut config: Config, broker: &Broker) -> Config {
    config.host = "localhost".into();
    config.port = broker.port("TLS_");
    config.tls = Some(Tls { ca: Some(Broker::certificates().join("ca.pem")), identity: None });
    config
}

/// A site with a broker of its own; the partners' brokers are these.
pub fn replicated(broker: &Broker, own: &str, partners: &[(&str, &Broker)]) -> Config {
    let route = |(party, broker): &(&str, &Broker)| {
        format!("'{party}': {{host: 127.0.0.1, port: {}, vhost: {}}}\n", broker.port(""), broker.vhost)
    };
    let mut config = broker.config(own);
    config.mode = replication(&partners.iter().map(route).collect::<String>());
    config
}

/// With a route table; certificates are checked by the authority of the tests.
pub fn replication(routes: &str) -> Mode {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), routes).unwrap();
    let ca = Some(Broker::certificates().join("ca.pem").display().to_string());
    Mode::Replication { routes: Routes::read(file.path()).unwrap(), writes: true, ca }
}

/// What is said to an operator.
#[derive(Clone, Debug, Default)]
pub struct Said(Arc<Mutex<Vec<String>>>);

impl Said {
    pub fn notices(&self) -> Notices {
        let said = self.0.clone();
        Notices::to(move |text| said.lock().unwrap().push(text.to_owned()))
    }

    pub fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

pub fn rabbit(config: Config) -> Arc<Rabbit> {
    Arc::new(Rabbit::new(config).unwrap())
}

pub fn inspector(config: Config) -> Inspector {
    Inspector::new(config).unwrap()
}

/// Networks of a suite.
pub type Networks = BTreeMap<PartyId, Arc<dyn Network>>;

pub struct Keys(pub Vec<(PartyId, SecretKey)>);

impl Keys {
    pub fn of(ids: &[&str]) -> Self {
        Self(ids.iter().map(|id| (id.parse().unwrap(), SecretKey::generate().unwrap())).collect())
    }

    pub fn ring(&self, own: SecretKey) -> KeyRing {
        self.0.iter().fold(KeyRing::new(own), |ring, (id, key)| ring.with(id.clone(), key.public()).unwrap())
    }
}

/// Sessions of a guest at the first site, 1, and a host at the second, 2.
pub async fn join(keys: &Keys, queues: [Arc<Rabbit>; 2], patience: Duration) -> [Arc<dyn Federation>; 2] {
    let mut secrets = keys.0.iter();
    let wires = queues.map(|queue| {
        let (_, secret) = secrets.next().unwrap();
        Wire::new(queue, keys.ring(secret.clone()), Default::default()).unwrap()
    });
    join_wires(wires, patience).await
}

/// The same over any wire.
pub async fn join_wires(wires: [Wire; 2], patience: Duration) -> [Arc<dyn Federation>; 2] {
    let parties = [Party::new("guest", "1").unwrap(), Party::new("host", "2").unwrap()];
    let mut joined = Vec::new();
    for (i, wire) in wires.into_iter().enumerate() {
        let spec = FederationSpec {
            session: "job.task.0".parse().unwrap(),
            own: parties[i].clone(),
            peers: vec![parties[1 - i].clone()],
            job_hash: JobHash::new([7; 32]),
            patience,
            carriage: Default::default(),
        };
        joined.push(wire.join(spec).await.unwrap());
    }
    joined.try_into().unwrap()
}

pub fn peer(federation: &Arc<dyn Federation>) -> &[Party] {
    &federation.spec().peers
}

pub fn message(text: &str) -> Body {
    let bytes = Bytes::copy_from_slice(text.as_bytes());
    Body::Message(MessageBody { name: "m".into(), version: 1, bytes })
}

pub async fn text(federation: &Arc<dyn Federation>, slot: &str) -> Result<String> {
    match federation.pull(&Slot::new(slot), &peer(federation)[0]).await? {
        Body::Message(body) => Ok(String::from_utf8(body.bytes.to_vec()).unwrap()),
        body => panic!("{body:?}"),
    }
}

/// Batches of numbers that never repeat.
struct Rows(TableSchema, u64);

const BATCH_ROWS: u64 = 16_384;

fn batch(schema: &TableSchema, from: u64) -> RecordBatch {
    let rows =
        (from..from + BATCH_ROWS).map(|row| row.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect::<UInt64Array>();
    RecordBatch::try_new(schema.arrow().clone(), vec![Arc::new(rows)]).unwrap()
}

#[async_trait]
impl RowSource for Rows {
    async fn open(&self) -> Result<RowStream> {
        let schema = self.0.clone();
        Ok(stream::iter(0..self.1).map(move |i| Ok(batch(&schema, i * BATCH_ROWS))).boxed())
    }
}

/// A table of so many MiB, about.
pub fn table(mib: u64) -> Body {
    let schema = TableSchema::new(None, vec![Field::new("v", DataType::UInt64)]).unwrap();
    let batches = mib * 8;
    let source = Box::new(Rows(schema.clone(), batches));
    Body::Table(TableBody { schema, layout: Layout::Loose(1), rows: batches * BATCH_ROWS, source })
}

/// Pulls a table, and checks each of its rows; `middle` happens after the first.
pub async fn check_table(
    federation: &Arc<dyn Federation>,
    slot: &str,
    mib: u64,
    middle: impl AsyncFnOnce(),
) -> Result<()> {
    let Body::Table(table) = federation.pull(&Slot::new(slot), &peer(federation)[0]).await? else {
        panic!("no table")
    };
    let mut rows = table.source.open().await?;
    let (mut next, mut middle) = (0u64, Some(middle));
    while let Some(batch) = rows.try_next().await? {
        let column = batch.column(0).as_any().downcast_ref::<UInt64Array>().unwrap();
        for value in column.values() {
            assert_eq!(*value, next.wrapping_mul(0x9e37_79b9_7f4a_7c15), "row {next}");
            next += 1;
        }
        if let Some(middle) = middle.take() {
            middle().await;
        }
    }
    assert_eq!(next, mib * 8 * BATCH_ROWS);
    Ok(())
}
