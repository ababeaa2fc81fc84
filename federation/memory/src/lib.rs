//! The in-process queue: for jobs whose parties all run in one process, and the model that other queues are compared with.
//!
//! Values are sealed here as anywhere else. It costs little, and a party in this process then behaves to the last frame as
//! it would behind a broker.
//!
//! ```
//! # fn main() -> tributary_core::Result<()> {
//! let networks = tributary_memory::networks(&["9999".parse()?, "10000".parse()?])?;
//! assert_eq!(networks[&"9999".parse()?].name(), "memory");
//! # Ok(())
//! # }
//! ```

mod hub;

use std::collections::BTreeMap;
use std::sync::Arc;

use tributary_core::federation::Network;
use tributary_core::{PartyId, Result};
use tributary_wire::{KeyRing, PublicKey, SecretKey, Wire};

pub use hub::Hub;
pub use tributary_wire::{Limits, Options, config};

/// One network for each site, all on one new [`Hub`], with fresh keys that they know of each other. Make them once for each
/// run of a job; a site that has several roles in it uses its network for each.
pub fn networks(sites: &[PartyId]) -> Result<BTreeMap<PartyId, Arc<dyn Network>>> {
    networks_with(sites.iter().map(|site| (site.clone(), Options::default())).collect())
}

/// As [`networks`], with each site's own settings for its sessions.
pub fn networks_with(sites: BTreeMap<PartyId, Options>) -> Result<BTreeMap<PartyId, Arc<dyn Network>>> {
    let secrets: Vec<SecretKey> = sites.keys().map(|_| SecretKey::generate()).collect::<Result<_>>()?;
    let publics: Vec<(PartyId, PublicKey)> =
        sites.keys().cloned().zip(secrets.iter().map(SecretKey::public)).collect();
    let hub = Arc::new(Hub::new());
    let network = |((site, options), secret): ((PartyId, Options), SecretKey)| {
        let mut all = publics.iter();
        let ring = all.try_fold(KeyRing::new(secret), |ring, (id, key)| ring.with(id.clone(), *key))?;
        let wire = Wire::new(hub.clone(), ring, options)?;
        Ok((site, Arc::new(wire) as Arc<dyn Network>))
    };
    sites.into_iter().zip(secrets).map(network).collect()
}
