//! How sessions end: failed, vanished, done; what the others see, and what can still be had.

use futures::future::{join, join3};
use tokio::time::Instant;
use tributary_core::ErrorKind;
use tributary_core::Layout;
use tributary_core::computing::End;
use tributary_core::federation::FederationExt;

use super::Factory;
use super::rows::{batch, every_type, pull_table, rows_of, table};
use super::setup::{Note, check_error, leave, meet, own, slot};

pub async fn a_party_that_failed_is_reported_at_once(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, arbiter] = &all;
    let start = Instant::now();
    host.push_message(&slot("before"), &[own(guest)], &Note(vec![3])).await.unwrap();
    let (after, name) = (slot("after"), own(host));
    let (pending, unmet) = (guest.pull(&after, &name), other.pull(&after, &name));
    let (pending, unmet, closed) = join3(pending, unmet, async {
        // By now the others wait, and have met.
        host.push_message(&slot("before"), &[own(other)], &Note(vec![])).await.unwrap();
        host.close(End::Failed).await
    })
    .await;
    closed.unwrap();
    for error in [pending.unwrap_err(), unmet.unwrap_err()] {
        check_error(error, ErrorKind::Cancelled, &["host_10000", "failed", "after@default"]);
    }
    let push = guest.push_message(&slot("x"), &[own(arbiter), own(host)], &Note(vec![])).await.unwrap_err();
    check_error(push, ErrorKind::Cancelled, &["host_10000", "failed"]);
    assert_eq!(guest.pull_message::<Note>(&slot("before"), &own(host)).await.unwrap(), Note(vec![3]));
    assert!(start.elapsed() < factory.patience());
    leave(&all).await;
}

pub async fn a_party_that_vanished_is_reported_at_once(factory: impl Factory) {
    let [guest, host, other, arbiter] = meet(&factory).await;
    guest.push_message(&slot("x"), &[own(&host)], &Note(vec![])).await.unwrap();
    host.pull(&slot("x"), &own(&guest)).await.unwrap();
    let (start, name) = (Instant::now(), own(&host));
    drop(host);
    check_error(
        guest.pull(&slot("y"), &name).await.unwrap_err(),
        ErrorKind::Cancelled,
        &["host_10000", "failed"],
    );
    assert!(start.elapsed() < factory.patience());
    leave(&[guest, other, arbiter]).await;
}

pub async fn what_was_sent_before_a_close_can_be_pulled_after_it(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    let rows = batch(&schema, 5000);
    guest
        .push(&slot("last"), &[own(host)], table(&schema, Layout::Loose(2), std::slice::from_ref(&rows)))
        .await
        .unwrap();
    guest.close(End::Done).await.unwrap();
    let body = pull_table(host, &slot("last"), &own(guest)).await;
    assert_eq!(rows_of(&schema, &body).await, rows);
    let start = Instant::now();
    let never = host.pull(&slot("never"), &own(guest)).await.unwrap_err();
    check_error(never, ErrorKind::Cancelled, &["guest_9999", "never@default"]);
    // It will never be pulled, which is no fault of its sender.
    host.push_message(&slot("thanks"), &[own(guest)], &Note(vec![])).await.unwrap();
    assert!(start.elapsed() < factory.patience());
    leave(&all).await;
}

pub async fn after_its_close_a_session_refuses_everything(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let start = Instant::now();
    guest.push_message(&slot("y"), &[own(host)], &Note(vec![])).await.unwrap();
    let (pending, closed) = join(host.pull(&slot("x"), &own(guest)), host.close(End::Done)).await;
    closed.unwrap();
    check_error(pending.unwrap_err(), ErrorKind::Cancelled, &["closed"]);
    let pull = host.pull(&slot("y"), &own(guest)).await.unwrap_err();
    check_error(pull, ErrorKind::Cancelled, &["closed"]);
    let push = host.push_message(&slot("z"), &[own(guest)], &Note(vec![])).await.unwrap_err();
    check_error(push, ErrorKind::Cancelled, &["closed"]);
    host.close(End::Failed).await.unwrap();
    assert!(start.elapsed() < factory.patience());
    leave(&all).await;
}
