//! The Federation suite, each site with a queue of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tributary_conformance::federation::Factory;
use tributary_core::PartyId;
use tributary_core::federation::Network;
use tributary_pulsar::{Config, Pulsar};
use tributary_wire::{KeyRing, Limits, Options, SecretKey, Wire};

use crate::setup::{CLUSTERS, config, routes};

const TABLE_ROWS: u64 = 400_000;

/// How each site is set up.
struct At(fn(&PartyId, &[PartyId]) -> Config);

#[async_trait]
impl Factory for At {
    async fn networks(&self, sites: &[PartyId], forged: &[PartyId]) -> BTreeMap<PartyId, Arc<dyn Network>> {
        let secrets: Vec<_> = sites.iter().map(|_| SecretKey::generate().unwrap()).collect();
        let limits = Limits::default().with_table_rows(TABLE_ROWS);
        let network = |(site, secret): (&PartyId, &SecretKey)| {
            let own = if forged.contains(site) { SecretKey::generate().unwrap() } else { secret.clone() };
            let ring = sites
                .iter()
                .zip(&secrets)
                .fold(KeyRing::new(own), |ring, (id, key)| ring.with(id.clone(), key.public()).unwrap());
            let queue = Arc::new(Pulsar::new(site.clone(), (self.0)(site, sites)).unwrap());
            let wire = Wire::new(queue, ring, Options::default().with_limits(limits)).unwrap();
            (site.clone(), Arc::new(wire) as Arc<dyn Network>)
        };
        sites.iter().zip(&secrets).map(network).collect()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn table_rows(&self) -> u64 {
        TABLE_ROWS
    }
}

mod at_one_cluster {
    use super::*;

    tributary_conformance::federation_suite!(At(|_, _| config("A", "suite")));
}

/// The first site at one cluster, the others at the other.
fn at_two(own: &PartyId, sites: &[PartyId]) -> Config {
    let cluster = |site: &PartyId| if *site == sites[0] { "A" } else { "B" };
    let entry = |site: &PartyId| {
        let (cluster, port) = (cluster(site), CLUSTERS.port(&format!("PULSAR_{}_PORT", cluster(site))));
        format!("{site}: {{host: 127.0.0.1, port: {port}, cluster: {}}}\n", cluster.to_lowercase())
    };
    let table: String = sites.iter().filter(|site| *site != own).map(entry).collect();
    Config { routes: Some(routes(&table)), ..config(cluster(own), "joined") }
}

mod at_two_clusters {
    use super::*;

    tributary_conformance::federation_suite!(At(at_two));
}
