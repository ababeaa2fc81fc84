//! All sites of a job in one process, each with a node, a port on loopback and keys of its own: the line as it is between machines, for
//! trials and tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_core::federation::Network;
use tributary_core::{Error, PartyId, Result};
use tributary_wire::{KeyRing, SecretKey, Wire};

use crate::config::{Config, Options, Place, listen};
use crate::node::Node;
use crate::tls::Identity;

/// How one of the sites uses its lines.
#[derive(Debug, Clone)]
pub struct Site {
    /// Of its sessions.
    pub sessions: tributary_wire::Options,
    /// Of its lines.
    pub lines: Options,
    /// Whether its lines are encrypted by TLS: the same at all.
    pub tls: bool,
}

/// One network for each site, on ports that are free, with fresh keys and certificates that they know of each other.
///
/// ```
/// # fn main() -> tributary_core::Result<()> {
/// use tributary_direct::{Options, Site, networks};
/// let site = Site { sessions: Default::default(), lines: Options::default(), tls: true };
/// let networks = networks([("9999".parse()?, site.clone()), ("10000".parse()?, site)].into())?;
/// assert_eq!(networks[&"9999".parse()?].name(), "direct");
/// # Ok(())
/// # }
/// ```
pub fn networks(sites: BTreeMap<PartyId, Site>) -> Result<BTreeMap<PartyId, Arc<dyn Network>>> {
    let mut secrets = BTreeMap::new();
    let mut identities = BTreeMap::new();
    let mut listeners = BTreeMap::new();
    let mut peers = BTreeMap::new();
    for id in sites.keys() {
        let (identity, listener) = (Identity::generate(id, 1)?, listen("127.0.0.1", 0)?);
        let address =
            listener.local_addr().map_err(|e| Error::bug("a port without an address").because(e))?;
        let place = Place { address: Some(address.to_string()), certificate: Some(identity.fingerprint()) };
        peers.insert(id.clone(), place);
        identities.insert(id.clone(), identity);
        listeners.insert(id.clone(), listener);
        secrets.insert(id.clone(), SecretKey::generate()?);
    }
    let publics: Vec<_> = secrets.iter().map(|(id, secret)| (id.clone(), secret.public())).collect();
    let network = |(id, site): (PartyId, Site)| {
        let secret = secrets.remove(&id).ok_or_else(|| Error::bug("a site without a key"))?;
        let ring =
            publics.iter().try_fold(KeyRing::new(secret), |ring, (id, key)| ring.with(id.clone(), *key))?;
        let config = Config {
            own: id.clone(),
            keys: ring.clone(),
            identity: identities.remove(&id).filter(|_| site.tls),
            listener: listeners.remove(&id),
            peers: peers.clone(),
            exchange: None,
            options: site.lines,
        };
        let wire = Wire::new(Arc::new(Node::new(config)?), ring, site.sessions)?;
        Ok((id, Arc::new(wire) as Arc<dyn Network>))
    };
    sites.into_iter().map(network).collect()
}
