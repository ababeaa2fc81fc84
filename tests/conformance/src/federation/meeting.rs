//! Who meets whom: parties of one session with one plan and the right keys, and no others.

use futures::future::join;
use tokio::time::Instant;
use tributary_core::federation::{FederationExt, FederationSpec};
use tributary_core::{ErrorKind, JobHash, Party, PartyId, SessionId};

use super::Factory;
use super::setup::{
    Note, check_error, leave, meet, meet_in, new_session, own, parties, party, sites, slot, spec,
};

pub async fn a_silent_party_is_named(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    guest.push_message(&slot("hello"), &[own(host)], &Note(vec![])).await.unwrap();
    let start = Instant::now();
    let error = guest.pull(&slot("answer"), &own(host)).await.unwrap_err();
    assert!(start.elapsed() >= factory.patience());
    check_error(error, ErrorKind::Timeout, &["host_10000", "answer@default"]);
    leave(&all).await;
}

pub async fn a_party_that_never_joins_is_named(factory: impl Factory) {
    let networks = factory.networks(&sites(), &[]).await;
    let guest = party("guest", "9999");
    let guest = networks[&guest.id].join(spec(&new_session(), &guest, factory.patience())).await.unwrap();
    let host = party("host", "10000");
    let pull = guest.pull(&slot("x"), &host).await.unwrap_err();
    check_error(pull, ErrorKind::Timeout, &["host_10000", "x@default", "join"]);
    let push = guest.push_message(&slot("x"), &[host], &Note(vec![])).await.unwrap_err();
    check_error(push, ErrorKind::Timeout, &["host_10000", "x@default", "join"]);
    leave(&[guest]).await;
}

pub async fn little_values_do_not_restart_patience(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    guest.push_message(&slot("hello"), &[own(host)], &Note(vec![])).await.unwrap();
    let (start, patience, from) = (Instant::now(), factory.patience(), own(host));
    let never = slot("never");
    let pull = async { (guest.pull(&never, &from).await.unwrap_err(), start.elapsed()) };
    let sends = async {
        for i in 0..3 {
            tokio::time::sleep(patience * 6 / 10).await;
            host.push_message(&slot("other").tagged(i.to_string()), &[own(guest)], &Note(vec![i]))
                .await
                .unwrap();
        }
    };
    let ((error, waited), ()) = join(pull, sends).await;
    check_error(error, ErrorKind::Timeout, &["host_10000", "never@default", "federation.least_rate"]);
    assert!(waited >= patience && waited < patience * 12 / 10, "{waited:?}");
    leave(&all).await;
}

pub async fn another_plan_is_refused_and_named(factory: impl Factory) {
    let networks = factory.networks(&sites(), &[]).await;
    let (session, patience) = (new_session(), factory.patience());
    let [guest, host, ..] = parties();
    let other = FederationSpec { job_hash: JobHash::new([0xcd; 32]), ..spec(&session, &host, patience) };
    let guest = networks[&guest.id].join(spec(&session, &guest, patience)).await.unwrap();
    let host = networks[&host.id].join(other).await.unwrap();
    let start = Instant::now();
    let (pull, push) = join(
        guest.pull(&slot("x"), &own(&host)),
        host.push_message(&slot("x"), &[own(&guest)], &Note(vec![])),
    )
    .await;
    check_error(
        pull.unwrap_err(),
        ErrorKind::Denied,
        &["host_10000", "another plan", "cdcd", "0707", "x@default"],
    );
    check_error(push.unwrap_err(), ErrorKind::Denied, &["guest_9999", "another plan", "cdcd", "0707"]);
    assert!(start.elapsed() < factory.patience());
    leave(&[guest, host]).await;
}

pub async fn parties_with_other_keys_than_registered_do_not_meet_and_are_named(factory: impl Factory) {
    let forged = PartyId::new("10000").unwrap();
    let networks = factory.networks(&sites(), &[forged]).await;
    let (session, start) = (new_session(), Instant::now());
    let join_as = |own: Party| {
        let (network, spec) = (networks[&own.id].clone(), spec(&session, &own, factory.patience()));
        async move { network.join(spec).await.unwrap() }
    };
    let [guest, host, ..] = parties();
    let (guest, host) = join(join_as(guest), join_as(host)).await;
    let (push, pull) = join(
        guest.push_message(&slot("x"), &[own(&host)], &Note(vec![])),
        host.pull(&slot("x"), &own(&guest)),
    )
    .await;
    // They wait at channels with different names: only a holder of the right key can compute them.
    check_error(push.unwrap_err(), ErrorKind::Timeout, &["host_10000", "compare", "10000 has key"]);
    check_error(pull.unwrap_err(), ErrorKind::Timeout, &["guest_9999", "compare", "9999 has key"]);
    assert!(start.elapsed() >= factory.patience());
    leave(&[guest, host]).await;
}

pub async fn a_site_without_a_key_is_not_joined(factory: impl Factory) {
    let networks = factory.networks(&sites(), &[]).await;
    let [guest, ..] = parties();
    let mut spec = spec(&new_session(), &guest, factory.patience());
    spec.peers.push(party("host", "77"));
    check_error(networks[&guest.id].join(spec).await.unwrap_err(), ErrorKind::Denied, &["77"]);
}

pub async fn one_site_has_two_roles(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, _, arbiter] = &all;
    let note = Note(vec![9999]);
    guest.push_message(&slot("x"), &[own(arbiter)], &note).await.unwrap();
    arbiter.push_message(&slot("x"), &[own(guest), own(host)], &note).await.unwrap();
    assert_eq!(arbiter.pull_message::<Note>(&slot("x"), &own(guest)).await.unwrap(), note);
    assert_eq!(guest.pull_message::<Note>(&slot("x"), &own(arbiter)).await.unwrap(), note);
    assert_eq!(host.pull_message::<Note>(&slot("x"), &own(arbiter)).await.unwrap(), note);
    leave(&all).await;
}

pub async fn jobs_and_tasks_whose_names_run_together_are_apart(factory: impl Factory) {
    let networks = factory.networks(&sites(), &[]).await;
    let unique = new_session().job;
    let texts = [format!("{unique}.a_b.0"), format!("{unique}_a.b.0"), format!("{unique}.a_b.1")];
    let mut sessions = Vec::new();
    for text in &texts {
        let session: SessionId = text.parse().unwrap();
        sessions.push(meet_in(&networks, &session, factory.patience()).await);
    }
    for (i, [guest, host, ..]) in sessions.iter().enumerate() {
        guest.push_message(&slot("x"), &[own(host)], &Note(vec![i as u64])).await.unwrap();
    }
    for (i, [guest, host, ..]) in sessions.iter().enumerate().rev() {
        assert_eq!(host.pull_message::<Note>(&slot("x"), &own(guest)).await.unwrap(), Note(vec![i as u64]));
    }
    for all in &sessions {
        leave(all).await;
    }
}
