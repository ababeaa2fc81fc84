//! Values in slots: what is sent is what comes, once, and a wrong value names its sender.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::join;
use tributary_core::federation::{Body, Direction, FederationExt, Message, MessageBody};
use tributary_core::{ErrorKind, Field, Layout, Party, TableSchema};

use super::Factory;
use super::rows::{batch, every_type, pull_table, rows_of, table};
use super::setup::{Note, Other, check_error, leave, meet, message, own, parties, party, slot};

pub async fn a_message_arrives_as_it_was(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    for (i, size) in [0, 1, 100, 1_000_000].into_iter().enumerate() {
        let (slot, note) = (slot("note").tagged(i.to_string()), Note((0..size).collect()));
        guest.push_message(&slot, &[own(host)], &note).await.unwrap();
        assert_eq!(host.pull_message::<Note>(&slot, &own(guest)).await.unwrap(), note);
    }
    leave(&all).await;
}

pub async fn all_receivers_get_the_same_bytes(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, others @ ..] = &all;
    let (schema, to) = (every_type(), parties()[1..].to_vec());
    let rows = batch(&schema, 500);
    guest.push(&slot("bytes"), &to, message(b"\0\x01\xff")).await.unwrap();
    guest
        .push(&slot("table"), &to, table(&schema, Layout::Loose(1), std::slice::from_ref(&rows)))
        .await
        .unwrap();
    for other in others {
        match other.pull(&slot("bytes"), &own(guest)).await.unwrap() {
            Body::Message(body) => assert_eq!(body.bytes, &b"\0\x01\xff"[..]),
            body => panic!("{body:?}"),
        }
        let body = pull_table(other, &slot("table"), &own(guest)).await;
        assert_eq!(rows_of(&schema, &body).await, rows);
    }
    leave(&all).await;
}

pub async fn values_are_kept_until_they_are_pulled_in_any_order(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let at = |i: u64| slot("early").tagged(format!("iteration.{i}"));
    for i in 0..20 {
        guest.push_message(&at(i), &[own(host)], &Note(vec![i])).await.unwrap();
    }
    for i in (0..20).rev() {
        assert_eq!(host.pull_message::<Note>(&at(i), &own(guest)).await.unwrap(), Note(vec![i]));
    }
    leave(&all).await;
}

pub async fn slots_differ_by_name_tag_direction_and_peer(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, _] = &all;
    let slots = [slot("a"), slot("b"), slot("a").tagged("2"), slot("a@default")];
    for (i, slot) in slots.iter().enumerate() {
        guest.push_message(slot, &[own(host)], &Note(vec![i as u64])).await.unwrap();
        guest.push_message(slot, &[own(other)], &Note(vec![10 + i as u64])).await.unwrap();
        host.push_message(slot, &[own(guest)], &Note(vec![20 + i as u64])).await.unwrap();
    }
    for (i, slot) in slots.iter().enumerate() {
        let i = i as u64;
        assert_eq!(host.pull_message::<Note>(slot, &own(guest)).await.unwrap(), Note(vec![i]));
        assert_eq!(other.pull_message::<Note>(slot, &own(guest)).await.unwrap(), Note(vec![10 + i]));
        assert_eq!(guest.pull_message::<Note>(slot, &own(host)).await.unwrap(), Note(vec![20 + i]));
    }
    leave(&all).await;
}

pub async fn a_slot_is_used_once_in_each_direction(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, _] = &all;
    let (slot, note) = (slot("once"), Note(vec![1]));
    guest.push_message(&slot, &[own(host)], &note).await.unwrap();
    let again = guest.push_message(&slot, &[own(other), own(host)], &note).await.unwrap_err();
    check_error(again, ErrorKind::AlreadyExists, &["once@default", "host_10000"]);
    let twice = guest.push_message(&slot, &[own(other), own(other)], &note).await.unwrap_err();
    check_error(twice, ErrorKind::AlreadyExists, &["once@default", "host_10001"]);
    guest.push_message(&slot, &[own(other)], &note).await.unwrap();
    host.pull_message::<Note>(&slot, &own(guest)).await.unwrap();
    let again = host.pull_message::<Note>(&slot, &own(guest)).await.unwrap_err();
    check_error(again, ErrorKind::AlreadyExists, &["once@default", "guest_9999"]);
    leave(&all).await;
}

pub async fn what_is_no_peer_or_no_slot_is_refused(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let note = Note(vec![]);
    let stranger = party("host", "77");
    let push = guest.push_message(&slot("x"), &[own(host), stranger.clone()], &note).await.unwrap_err();
    check_error(push, ErrorKind::InvalidInput, &["host_77"]);
    check_error(guest.pull(&slot("x"), &stranger).await.unwrap_err(), ErrorKind::InvalidInput, &["host_77"]);
    check_error(
        guest.pull(&slot("x"), &own(guest)).await.unwrap_err(),
        ErrorKind::InvalidInput,
        &["guest_9999"],
    );
    check_error(guest.push_message(&slot("x"), &[], &note).await.unwrap_err(), ErrorKind::InvalidInput, &[]);
    let long = slot(&"x".repeat(5000));
    check_error(
        guest.push_message(&long, &[own(host)], &note).await.unwrap_err(),
        ErrorKind::InvalidInput,
        &[],
    );
    guest.push_message(&slot("x"), &[own(host)], &note).await.unwrap();
    leave(&all).await;
}

pub async fn another_kind_of_value_is_corrupt_and_names_peer_and_slot(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let schema = every_type();
    let to = [own(host)];
    guest.push_message(&slot("kind"), &to, &Other(vec![1])).await.unwrap();
    guest.push(&slot("table"), &to, table(&schema, Layout::Loose(1), &[batch(&schema, 3)])).await.unwrap();
    let short =
        MessageBody { name: Note::NAME.into(), version: Note::VERSION, bytes: Bytes::from_static(&[9, 1]) };
    guest.push(&slot("short"), &to, Body::Message(short)).await.unwrap();
    for name in ["kind", "table", "short"] {
        let error = host.pull_message::<Note>(&slot(name), &own(guest)).await.unwrap_err();
        check_error(error, ErrorKind::Corrupt, &["guest_9999", &format!("{name}@default"), "suite.note"]);
    }
    let long =
        MessageBody { name: Other::NAME.into(), version: Other::VERSION, bytes: vec![0; 70_000].into() };
    guest.push(&slot("long"), &to, Body::Message(long)).await.unwrap();
    let error = host.pull_message::<Other>(&slot("long"), &own(guest)).await.unwrap_err();
    check_error(error, ErrorKind::Corrupt, &["guest_9999", "long@default", "70000 bytes"]);
    leave(&all).await;
}

pub async fn a_pull_that_was_given_up_may_be_repeated(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let (slot, note) = (slot("late"), Note(vec![4]));
    assert!(host.pull(&slot, &own(guest)).now_or_never().is_none());
    let (pulled, pushed) = join(host.pull_message::<Note>(&slot, &own(guest)), async {
        assert_eq!(host.pull(&slot, &own(guest)).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        guest.push_message(&slot, &[own(host)], &note).await
    })
    .await;
    pushed.unwrap();
    assert_eq!(pulled.unwrap(), note);
    leave(&all).await;
}

pub async fn traffic_is_counted_by_slot_and_rounds(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, _] = &all;
    let to = [own(host), own(other)];
    guest.push(&slot("big"), &to, message(&[1; 300_000])).await.unwrap();
    guest.push(&slot("small"), &to[..1], message(b"x")).await.unwrap();
    for (peer, name) in [(host, "big"), (other, "big"), (host, "small")] {
        peer.pull(&slot(name), &own(guest)).await.unwrap();
    }
    host.push(&slot("back"), &[own(guest)], message(b"y")).await.unwrap();
    guest.pull(&slot("back"), &own(host)).await.unwrap();
    let sent = guest.traffic();
    let of = |name: &str, peer: &Party| {
        let same = |s: &&tributary_core::federation::SlotTraffic| s.slot == slot(name) && s.peer == *peer;
        let found = sent.slots.iter().find(same).unwrap();
        (found.direction, found.bytes, found.messages)
    };
    let (direction, bytes, messages) = of("big", &to[0]);
    assert_eq!(direction, Direction::Sent);
    assert!(
        (300_000..310_000).contains(&bytes) && (4..40).contains(&messages),
        "{bytes} bytes, {messages} frames"
    );
    assert_eq!(of("big", &to[1]).0, Direction::Sent);
    let (_, bytes, messages) = of("small", &to[0]);
    assert!((1..200).contains(&bytes) && messages == 1, "{bytes} bytes, {messages} frames");
    assert_eq!(of("back", &to[0]).0, Direction::Received);
    assert_eq!(sent.rounds, 1);
    let received = host.traffic();
    assert_eq!(received.bytes(Direction::Received), of("big", &to[0]).1 + of("small", &to[0]).1);
    assert_eq!(received.messages(Direction::Sent), 1);
    assert_eq!(received.rounds, 0);
    leave(&all).await;
}

pub async fn of_several_peers_the_one_that_sent_what_is_wrong_is_named(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, other, arbiter] = &all;
    for (right, wrong) in [(host, other), (other, host), (arbiter, other)] {
        let slot = slot("blame").tagged(format!("{} {}", own(right), own(wrong)));
        right.push_message(&slot, &[own(guest)], &Note(vec![1])).await.unwrap();
        wrong.push_message(&slot, &[own(guest)], &Other(vec![1])).await.unwrap();
        let error = guest.pull_message::<Note>(&slot, &own(wrong)).await.unwrap_err();
        let text = error.chain().replace(&slot.to_string(), "the slot");
        assert!(text.contains(&own(wrong).to_string()) && !text.contains(&own(right).to_string()), "{text}");
        assert_eq!(guest.pull_message::<Note>(&slot, &own(right)).await.unwrap(), Note(vec![1]));
    }
    leave(&all).await;
}

pub async fn text_that_a_peer_chose_is_escaped_and_cut_in_errors(factory: impl Factory) {
    let all = meet(&factory).await;
    let [guest, host, ..] = &all;
    let evil = format!("\u{1b}[2J\r\u{202e}{}", "x".repeat(240));
    let body = MessageBody { name: evil.chars().take(250).collect(), version: 1, bytes: Bytes::new() };
    guest.push(&slot("message"), &[own(host)], Body::Message(body)).await.unwrap();
    let of = arrow_schema::DataType::Float64;
    let list = std::sync::Arc::new(arrow_schema::Field::new(evil.repeat(100), of, true));
    let fields = vec![Field::new(evil.repeat(100), arrow_schema::DataType::List(list))];
    let schema = TableSchema::new(None, fields).unwrap();
    guest.push(&slot("table"), &[own(host)], table(&schema, Layout::Loose(1), &[])).await.unwrap();
    for name in ["message", "table"] {
        let error = host.pull_message::<Note>(&slot(name), &own(guest)).await.unwrap_err();
        let text = error.chain();
        assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}') && text.len() < 2000, "{text:?}");
        assert!(text.contains("guest_9999") && text.contains("\\u{1b}"), "{text}");
    }
    leave(&all).await;
}
