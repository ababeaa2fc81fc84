//! The Federation suite: sites that share a broker, over quorum queues too, and sites with a broker each.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tributary_conformance::federation::Factory;
use tributary_core::PartyId;
use tributary_core::federation::Network;
use tributary_rabbitmq::{Config, QueueType};
use tributary_wire::{Limits, Options, SecretKey, Wire};

use crate::setup::{Broker, Keys, Networks, rabbit, replicated};

const TABLE_ROWS: u64 = 400_000;
const PATIENCE: Duration = Duration::from_secs(8);

/// A virtual host for each case, so that cases see nothing of each other.
fn vhost() -> String {
    static CASES: AtomicU32 = AtomicU32::new(0);
    format!("suite-{}", CASES.fetch_add(1, Ordering::Relaxed))
}

fn networks(ids: &[PartyId], forged: &[PartyId], config: impl Fn(&str) -> Config) -> Networks {
    let keys = Keys::of(&ids.iter().map(PartyId::as_str).collect::<Vec<_>>());
    let network = |(id, secret): &(PartyId, SecretKey)| {
        let own = if forged.contains(id) { SecretKey::generate().unwrap() } else { secret.clone() };
        let options = Options::default().with_limits(Limits::default().with_table_rows(TABLE_ROWS));
        let wire = Wire::new(rabbit(config(id.as_str())), keys.ring(own), options).unwrap();
        (id.clone(), Arc::new(wire) as Arc<dyn Network>)
    };
    keys.0.iter().map(network).collect()
}

struct Shared(QueueType);

#[async_trait]
impl Factory for Shared {
    async fn networks(&self, ids: &[PartyId], forged: &[PartyId]) -> Networks {
        let broker = Broker::new("a", &vhost()).await;
        networks(ids, forged, |own| Config { queue_type: self.0, ..broker.config(own) })
    }
    fn patience(&self) -> Duration {
        PATIENCE
    }
    fn table_rows(&self) -> u64 {
        TABLE_ROWS
    }
}

/// The first site has the first broker, all others the second; those meet there.
struct Joined;

#[async_trait]
impl Factory for Joined {
    async fn networks(&self, ids: &[PartyId], forged: &[PartyId]) -> Networks {
        let vhost = vhost();
        let mut brokers = Vec::new();
        for (i, id) in ids.iter().enumerate() {
            brokers.push(Broker::new(if i == 0 { "a" } else { "b" }, &format!("{vhost}-{id}")).await);
        }
        let all: Vec<(&str, &Broker)> = ids.iter().map(PartyId::as_str).zip(&brokers).collect();
        networks(ids, forged, |own| {
            let (_, broker) = all.iter().find(|(id, _)| *id == own).unwrap();
            replicated(broker, own, &all)
        })
    }
    fn patience(&self) -> Duration {
        PATIENCE
    }
    fn table_rows(&self) -> u64 {
        TABLE_ROWS
    }
}

mod shared {
    use super::*;

    tributary_conformance::federation_suite!(Shared(QueueType::Classic));
}

mod quorum {
    use super::*;

    tributary_conformance::federation_suite!(Shared(QueueType::Quorum));
}

mod joined {
    use super::*;

    tributary_conformance::federation_suite!(Joined);
}
