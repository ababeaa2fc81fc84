//! Sites of a test: their keys, certificates, ports, and nodes.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;

use tributary_core::PartyId;
use tributary_direct::{Config, Identity, Node, Options, Place, listen};
use tributary_wire::{KeyRing, SecretKey};

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

/// A node that calls all other sites.
pub fn start(sites: &mut [Site], at: usize, tls: Tls, options: Options) -> Arc<Node> {
    let own = &mut sites[at];
    let listener = own.listener.take();
    let (id, secret, identity) = (own.id.clone(), own.secret.clone(), own.identity.clone());
    let peers: BTreeMap<PartyId, Place> = sites.iter().map(|site| (site.id.clone(), site.place())).collect();
    let config = Config {
        own: id,
        keys: ring(secret, sites),
        identity: (tls == Tls::On).then_some(identity),
        listener,
        peers,
        exchange: None,
        options,
    };
    Arc::new(Node::start(config).unwrap())
}
