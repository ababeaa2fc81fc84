//! Parties in one process: their sessions, and how they meet.

#![allow(dead_code)] // no test uses them all

use std::sync::Arc;
use std::time::Duration;

use tributary_core::computing::{Computing, Engine, SessionSpec};
use tributary_core::federation::{Federation, FederationSpec};
use tributary_core::storage::Nowhere;
use tributary_core::{JobHash, Party, PartyId, Role, SessionId};
use tributary_standalone::Standalone;

const SESSION: &str = "job.task_0.0";

/// A guest and so many hosts.
pub fn parties(hosts: usize) -> Vec<Party> {
    let host = |i: usize| Party { role: Role::host(), id: PartyId::new(format!("{}", 10_000 + i)).unwrap() };
    let guest = Party { role: Role::guest(), id: PartyId::new("9999").unwrap() };
    std::iter::once(guest).chain((0..hosts).map(host)).collect()
}

/// A session of a party's engine.
pub async fn session(partitions: u32) -> Arc<dyn Computing> {
    let engine = Standalone::new(tributary_components::all().kernels(), Arc::new(Nowhere));
    let mut placement = engine.place(&Default::default()).unwrap();
    placement.partitions = partitions;
    let spec = SessionSpec { id: SESSION.parse::<SessionId>().unwrap(), placement, memory_bytes: 1 << 28 };
    engine.open(spec).await.unwrap()
}

/// The parties' ends of one attempt.
pub async fn meet(parties: &[Party]) -> Vec<Arc<dyn Federation>> {
    let sites: Vec<PartyId> = parties.iter().map(|party| party.id.clone()).collect();
    let networks = tributary_memory::networks(&sites).unwrap();
    let mut sessions = Vec::new();
    for own in parties {
        let peers = parties.iter().filter(|peer| *peer != own).cloned().collect();
        let (session, patience) = (SESSION.parse::<SessionId>().unwrap(), Duration::from_secs(60));
        let (own, job_hash) = (own.clone(), JobHash::new([7; 32]));
        let spec = FederationSpec {
            session,
            own: own.clone(),
            peers,
            job_hash,
            patience,
            carriage: Default::default(),
        };
        sessions.push(networks[&own.id].join(spec).await.unwrap());
    }
    sessions
}
