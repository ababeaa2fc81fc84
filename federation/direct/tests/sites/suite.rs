//! The Federation suite with each site a node of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tributary_conformance::federation::Factory;
use tributary_core::PartyId;
use tributary_core::federation::Network;
use tributary_direct::Options as Times;
use tributary_wire::{Limits, Options, SecretKey, Wire};

use crate::setup::{Site, Tls, ring, start};

/// Every site calls every other one.
struct Direct(Tls);

const TABLE_ROWS: u64 = 400_000;

#[async_trait]
impl Factory for Direct {
    async fn networks(&self, ids: &[PartyId], forged: &[PartyId]) -> BTreeMap<PartyId, Arc<dyn Network>> {
        let mut sites: Vec<Site> = ids.iter().map(|id| Site::new(id.as_str())).collect();
        let network = |at: usize| {
            let id = sites[at].id.clone();
            let known = sites[at].secret.clone();
            if forged.contains(&id) {
                sites[at].secret = SecretKey::generate().unwrap();
            }
            let held = std::mem::replace(&mut sites[at].secret, known);
            let keys = ring(held.clone(), &sites);
            let known = std::mem::replace(&mut sites[at].secret, held);
            let node = start(&mut sites, at, self.0, Times::default());
            sites[at].secret = known;
            let options = Options::default().with_limits(Limits::default().with_table_rows(TABLE_ROWS));
            (id, Arc::new(Wire::new(node, keys, options).unwrap()) as Arc<dyn Network>)
        };
        (0..ids.len()).map(network).collect()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(4)
    }

    fn table_rows(&self) -> u64 {
        TABLE_ROWS
    }
}

mod over_tls {
    use super::*;

    tributary_conformance::federation_suite!(Direct(Tls::On));
}

mod without_tls {
    use super::*;

    tributary_conformance::federation_suite!(Direct(Tls::Off));
}
