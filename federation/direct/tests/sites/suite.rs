//! The Federation suite with each site a node of its own: over lines, and through an exchange.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tributary_conformance::federation::Factory;
use tributary_core::PartyId;
use tributary_core::federation::Network;
use tributary_direct::{Config, Exchange, Node, Options as Times};
use tributary_wire::retry::Retrying;
use tributary_wire::{Limits, Options, Queue, SecretKey, Wire};

use crate::setup::{Networks, Site, Tls, behind, config, ring, start, start_exchange};

const TABLE_ROWS: u64 = 400_000;

/// A network of each site, from how it is set up. Those that are forged hold another key than others know.
fn networks(
    sites: &mut [Site],
    ids: &[PartyId],
    forged: &[PartyId],
    config: impl Fn(&mut [Site], usize) -> Config,
    wrap: impl Fn(Arc<Node>) -> Arc<dyn Queue>,
) -> Networks {
    let mut network = |at: usize| {
        let id = ids[at].clone();
        let mut config = config(sites, at);
        if forged.contains(&id) {
            config.keys = ring(SecretKey::generate().unwrap(), sites);
        }
        let keys = config.keys.clone();
        let options = Options::default().with_limits(Limits::default().with_table_rows(TABLE_ROWS));
        let wire = Wire::new(wrap(start(config)), keys, options).unwrap();
        (id, Arc::new(wire) as Arc<dyn Network>)
    };
    (0..ids.len()).map(&mut network).collect()
}

/// Every site calls every other one.
struct Direct(Tls);

/// The same, behind what repeats failed calls.
struct Retried;

/// All sites call an exchange, and listen to nobody.
struct Relayed;

#[async_trait]
impl Factory for Direct {
    async fn networks(&self, ids: &[PartyId], forged: &[PartyId]) -> Networks {
        let mut sites: Vec<Site> = ids.iter().map(|id| Site::new(id.as_str())).collect();
        networks(
            &mut sites,
            ids,
            forged,
            |sites, at| config(sites, at, self.0, Times::default()),
            |node| node,
        )
    }
    fn patience(&self) -> Duration {
        PATIENCE
    }
    fn table_rows(&self) -> u64 {
        TABLE_ROWS
    }
}

#[async_trait]
impl Factory for Retried {
    async fn networks(&self, ids: &[PartyId], forged: &[PartyId]) -> Networks {
        let mut sites: Vec<Site> = ids.iter().map(|id| Site::new(id.as_str())).collect();
        let config = |sites: &mut [Site], at| config(sites, at, Tls::Off, Times::default());
        networks(&mut sites, ids, forged, config, |node| Arc::new(Retrying::new(node, PATIENCE).unwrap()))
    }
    fn patience(&self) -> Duration {
        PATIENCE
    }
    fn table_rows(&self) -> u64 {
        TABLE_ROWS
    }
}

#[async_trait]
impl Factory for Relayed {
    async fn networks(&self, ids: &[PartyId], forged: &[PartyId]) -> Networks {
        let mut sites: Vec<Site> =
            ids.iter().map(|id| Site::new(id.as_str())).chain([Site::new("exchange")]).collect();
        let exchange: Exchange = start_exchange(&mut sites, None, Times::default());
        // It serves until the process of the test ends.
        std::mem::forget(exchange);
        networks(&mut sites, ids, forged, |sites, at| behind(sites, at, Times::default()), |node| node)
    }
    fn patience(&self) -> Duration {
        PATIENCE
    }
    fn table_rows(&self) -> u64 {
        TABLE_ROWS
    }
}

const PATIENCE: Duration = Duration::from_secs(4);

mod over_tls {
    use super::*;

    tributary_conformance::federation_suite!(Direct(Tls::On));
}

mod without_tls {
    use super::*;

    tributary_conformance::federation_suite!(Direct(Tls::Off));
}

mod retried {
    use super::*;

    tributary_conformance::federation_suite!(Retried);
}

mod through_an_exchange {
    use super::*;

    tributary_conformance::federation_suite!(Relayed);
}
