//! The federation suite over the memory queue: as it is, and with every fault that a queue may have.
//!
//! Time does not advance while anything can be done, so waiting for a silent party takes no time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "test code: a failed expectation panics"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tributary_conformance::federation::Factory;
use tributary_core::PartyId;
use tributary_core::federation::Network;
use tributary_memory::Hub;
use tributary_wire::fault::{Faults, Faulty};
use tributary_wire::retry::Retrying;
use tributary_wire::{KeyRing, Limits, Options, Queue, SecretKey, Wire};

struct Memory {
    faults: Option<Faults>,
    retried: bool,
    options: Options,
}

#[async_trait]
impl Factory for Memory {
    async fn networks(&self, sites: &[PartyId], forged: &[PartyId]) -> BTreeMap<PartyId, Arc<dyn Network>> {
        tokio::time::pause();
        let hub: Arc<dyn Queue> = Arc::new(Hub::new());
        let queue = match self.faults {
            Some(faults) => Arc::new(Faulty::new(hub, faults, 7).unwrap()),
            None => hub,
        };
        let queue = match self.retried {
            true => Arc::new(Retrying::new(queue, self.patience()).unwrap()),
            false => queue,
        };
        let secrets: Vec<_> = sites.iter().map(|_| SecretKey::generate().unwrap()).collect();
        let limits = Limits::default().with_table_rows(self.table_rows());
        let network = |(site, secret): (&PartyId, &SecretKey)| {
            let own = if forged.contains(site) { SecretKey::generate().unwrap() } else { secret.clone() };
            let ring = sites
                .iter()
                .zip(&secrets)
                .fold(KeyRing::new(own), |ring, (id, key)| ring.with(id.clone(), key.public()).unwrap());
            let wire = Wire::new(queue.clone(), ring, self.options.clone().with_limits(limits)).unwrap();
            (site.clone(), Arc::new(wire) as Arc<dyn Network>)
        };
        sites.iter().zip(&secrets).map(network).collect()
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(10)
    }

    fn table_rows(&self) -> u64 {
        400_000
    }
}

mod plain {
    use super::*;

    tributary_conformance::federation_suite!(Memory {
        faults: None,
        retried: false,
        options: Options::default()
    });
}

/// At a rate at which the suite's tables take seconds of a clock that is not waited for.
mod throttled {
    use super::*;

    tributary_conformance::federation_suite!(Memory {
        faults: None,
        retried: false,
        options: Options::default().with_most_rate(Some(16 << 20))
    });
}

/// No memory at all, so every value goes through the disk, in short frames.
mod spilled {
    use super::*;

    tributary_conformance::federation_suite!(Memory {
        faults: None,
        retried: false,
        options: Options::default().with_memory_bytes(0).with_piece_bytes(20_000),
    });
}

/// What a queue is allowed to do must not be noticed at all; nor is what repeats failed calls.
mod repeated_and_overtaken {
    use super::*;

    tributary_conformance::federation_suite!(Memory {
        faults: Some(Faults {
            duplicate: 0.3,
            delay: 0.3,
            delay_by: Duration::from_millis(200),
            ..Faults::default()
        }),
        retried: true,
        options: Options::default(),
    });
}
