//! What the cases are made of: four parties of three sites, their sessions, and small values.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{join_all, try_join_all};
use serde::{Deserialize, Serialize};
use tributary_core::computing::End;
use tributary_core::federation::{Body, Federation, FederationSpec, Message, MessageBody, Network, Slot};
use tributary_core::{Error, ErrorKind, JobHash, Party, PartyId, SessionId};

use super::Factory;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note(pub Vec<u64>);

impl Message for Note {
    const NAME: &'static str = "suite.note";
    const MAX_BYTES: usize = 8 << 20;
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Other(pub Vec<u64>);

impl Message for Other {
    const NAME: &'static str = "suite.other";
}

pub(crate) fn party(role: &str, id: &str) -> Party {
    Party::new(role, id).unwrap()
}

/// Guest, two hosts, and an arbiter at the guest's site.
pub(crate) fn parties() -> [Party; 4] {
    [party("guest", "9999"), party("host", "10000"), party("host", "10001"), party("arbiter", "9999")]
}

pub(crate) fn sites() -> Vec<PartyId> {
    ["9999", "10000", "10001"].map(|id| PartyId::new(id).unwrap()).to_vec()
}

pub(crate) fn new_session() -> SessionId {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("suite-{}-{time}.case.{count}", std::process::id()).parse().unwrap()
}

pub(crate) fn spec(session: &SessionId, own: &Party, patience: Duration) -> FederationSpec {
    let peers = parties().into_iter().filter(|p| p != own).collect();
    FederationSpec {
        session: session.clone(),
        own: own.clone(),
        peers,
        job_hash: JobHash::new([7; 32]),
        patience,
        carriage: Default::default(),
    }
}

pub(crate) type Joined = Arc<dyn Federation>;

/// A session of all four.
pub(crate) async fn meet(factory: &impl Factory) -> [Joined; 4] {
    let networks = factory.networks(&sites(), &[]).await;
    meet_in(&networks, &new_session(), factory.patience()).await
}

/// The same over networks that are there.
pub(crate) async fn meet_in(
    networks: &BTreeMap<PartyId, Arc<dyn Network>>,
    session: &SessionId,
    patience: Duration,
) -> [Joined; 4] {
    let join = |own: Party| {
        let (network, spec) = (networks[&own.id].clone(), spec(session, &own, patience));
        async move { network.join(spec).await }
    };
    try_join_all(parties().map(join)).await.unwrap().try_into().unwrap()
}

pub(crate) async fn leave(all: &[Joined]) {
    for result in join_all(all.iter().map(|f| f.close(End::Done))).await {
        result.unwrap();
    }
}

pub(crate) fn own(federation: &Joined) -> Party {
    federation.spec().own.clone()
}

pub(crate) fn slot(name: &str) -> Slot {
    Slot::new(name)
}

pub(crate) fn message(bytes: &[u8]) -> Body {
    let bytes = Bytes::copy_from_slice(bytes);
    Body::Message(MessageBody { name: "suite.bytes".into(), version: 1, bytes })
}

pub(crate) fn check_error(error: Error, kind: ErrorKind, named: &[&str]) {
    let text = error.chain();
    assert_eq!(error.kind(), kind, "{text}");
    for name in named {
        assert!(text.contains(name), "{name:?} is not in {text:?}");
    }
}
