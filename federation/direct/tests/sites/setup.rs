//! Sites of a test: their keys, certificates, ports, nodes and networks; and small values.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::DataType;
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tributary_core::computing::RowStream;
use tributary_core::federation::*;
use tributary_core::{Field, JobHash, Layout, Party, PartyId, Result, TableSchema};
use tributary_direct::exchange::{self, Exchange};
use tributary_direct::{Config, Identity, Node, Options, Place, listen};
use tributary_wire::{Channel, KeyRing, SecretKey, Wire};

/// A site before it is started.
pub struct Site {
    pub id: PartyId,
    pub secret: SecretKey,
    pub identity: Identity,
    pub listener: Option<TcpListener>,
    pub address: String,
}

impl Site {
    pub fn new(id: &str) -> Self {
        let id: PartyId = id.parse().unwrap();
        let listener = listen("127.0.0.1", 0).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let identity = Identity::generate(&id, 30).unwrap();
        Self { id, secret: SecretKey::generate().unwrap(), identity, listener: Some(listener), address }
    }

    pub fn place(&self) -> Place {
        Place { address: Some(self.address.clone()), certificate: Some(self.identity.fingerprint()) }
    }

    /// Its port once more, as soon as what had it is gone.
    pub async fn listen_again(&mut self) {
        let (host, port) = self.address.rsplit_once(':').unwrap();
        let taken = async {
            loop {
                match listen(host, port.parse().unwrap()) {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        self.listener = Some(tokio::time::timeout(Duration::from_secs(30), taken).await.unwrap());
    }
}

/// What a site knows of these.
pub fn ring(own: SecretKey, sites: &[Site]) -> KeyRing {
    sites
        .iter()
        .fold(KeyRing::new(own), |ring, site| ring.with(site.id.clone(), site.secret.public()).unwrap())
}

/// Whether lines use TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    On,
    Off,
}

/// Short times, for sites that are to notice at once what is wrong.
pub fn hasty() -> Options {
    let second = Duration::from_secs(1);
    Options::default().with_away(second * 20).with_quiet(second / 5).with_greeting(second * 5)
}

/// How a site is set up that calls all others.
pub fn config(sites: &mut [Site], at: usize, tls: Tls, options: Options) -> Config {
    let listener = sites[at].listener.take();
    let own = &sites[at];
    Config {
        own: own.id.clone(),
        keys: ring(own.secret.clone(), sites),
        identity: (tls == Tls::On).then(|| own.identity.clone()),
        listener,
        peers: sites.iter().map(|site| (site.id.clone(), site.place())).collect(),
        exchange: None,
        options,
    }
}

pub fn start(config: Config) -> Arc<Node> {
    Arc::new(Node::start(config).unwrap())
}

/// How a site is set up that only calls the exchange, which is the last of `sites`.
pub fn behind(sites: &mut [Site], at: usize, options: Options) -> Config {
    let exchange = sites.last().unwrap();
    let (id, place) = (exchange.id.clone(), exchange.place());
    let mut config = config(sites, at, Tls::On, options);
    config.listener = None;
    config.peers.remove(&id);
    config.peers.values_mut().for_each(|peer| *peer = Place::default());
    config.exchange = Some((id, place));
    config
}

/// The exchange of these sites, which is the last of them.
pub fn start_exchange(sites: &mut [Site], folder: Option<&std::path::Path>, options: Options) -> Exchange {
    Exchange::start(exchange_config(sites, folder, options)).unwrap()
}

pub fn exchange_config(
    sites: &mut [Site],
    folder: Option<&std::path::Path>,
    options: Options,
) -> exchange::Config {
    let own = sites.last_mut().unwrap();
    let listener = own.listener.take();
    let (id, secret, identity) = (own.id.clone(), own.secret.clone(), own.identity.clone());
    let others = &sites[..sites.len() - 1];
    let place = |site: &Site| Place { address: None, certificate: Some(site.identity.fingerprint()) };
    exchange::Config {
        own: id,
        keys: ring(secret, sites),
        identity: Some(identity),
        listener,
        sites: others.iter().map(|site| (site.id.clone(), place(site))).collect(),
        exchanges: Default::default(),
        default: None,
        folder: folder.map(Into::into),
        held_bytes: 1 << 30,
        options,
    }
}

/// Sessions of a guest at the first site and a host at the second.
pub async fn join(sites: &[Site], nodes: [Arc<Node>; 2], patience: Duration) -> [Arc<dyn Federation>; 2] {
    let parties = [
        Party::new("guest", sites[0].id.as_str()).unwrap(),
        Party::new("host", sites[1].id.as_str()).unwrap(),
    ];
    let [guest, host] = nodes;
    let mut joined = Vec::new();
    for (i, node) in [guest, host].into_iter().enumerate() {
        let wire = Wire::new(node, ring(sites[i].secret.clone(), sites), Default::default()).unwrap();
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

/// Pulls a table, and checks each of its rows; returns its bytes.
pub async fn check_table(federation: &Arc<dyn Federation>, slot: &str, mib: u64) -> Result<u64> {
    let Body::Table(table) = federation.pull(&Slot::new(slot), &peer(federation)[0]).await? else {
        panic!("no table")
    };
    let mut rows = table.source.open().await?;
    let mut next = 0u64;
    while let Some(batch) = rows.try_next().await? {
        let column = batch.column(0).as_any().downcast_ref::<UInt64Array>().unwrap();
        for value in column.values() {
            assert_eq!(*value, next.wrapping_mul(0x9e37_79b9_7f4a_7c15), "row {next}");
            next += 1;
        }
    }
    assert_eq!(next, mib * 8 * BATCH_ROWS);
    Ok(next * 8)
}

/// A channel from one site to another.
pub fn channel(name: &str, from: &Site, to: &Site) -> Channel {
    Channel::named(name, from.id.clone(), to.id.clone()).unwrap()
}

/// Networks of a suite.
pub type Networks = BTreeMap<PartyId, Arc<dyn Network>>;
