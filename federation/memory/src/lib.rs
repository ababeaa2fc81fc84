//! The in-process queue: for jobs all of whose parties run in one process, and the model that other queues are compared with.
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
pub use tributary_wire::Options;

/// One network for each site, all on one new [`Hub`], with fresh keys that they know of each other. Make them once a job
/// run; a site that has several roles in it uses its network for each.
pub fn networks(sites: &[PartyId]) -> Result<BTreeMap<PartyId, Arc<dyn Network>>> {
    networks_with(sites, &Options::default())
}

/// As [`networks`], with other limits for each session, or another folder for what exceeds its memory.
pub fn networks_with(sites: &[PartyId], options: &Options) -> Result<BTreeMap<PartyId, Arc<dyn Network>>> {
    let secrets: BTreeMap<&PartyId, SecretKey> =
        sites.iter().map(|site| Ok((site, SecretKey::generate()?))).collect::<Result<_>>()?;
    let publics: Vec<(&PartyId, PublicKey)> =
        secrets.iter().map(|(site, key)| (*site, key.public())).collect();
    let hub = Arc::new(Hub::new());
    let network = |(site, secret): (&PartyId, SecretKey)| {
        let mut all = publics.iter();
        let ring = all.try_fold(KeyRing::new(secret), |ring, (id, key)| ring.with((*id).clone(), *key))?;
        let wire = Wire::new(hub.clone(), ring, options.clone())?;
        Ok((site.clone(), Arc::new(wire) as Arc<dyn Network>))
    };
    secrets.into_iter().map(network).collect()
}
