//! What a cluster, a line to it, or another of its users can do to two sites: nothing is lost, nothing wrong is delivered, nothing hangs, and the
//! error of what cannot go on says what to change.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Mutex;
use tributary_broker::Login;
use tributary_core::settings::Secret;
use tributary_core::{ErrorKind, Result};
use tributary_pulsar::{Config, Pulsar};
use tributary_services::{Cable, Faults};
use tributary_wire::{Channel, Queue};

use crate::setup::{CLUSTERS, channel, config, fresh, queue};

/// Tests that kill cluster B, or that are at its cable, one at a time.
pub static ALONE: Mutex<()> = Mutex::const_new(());

/// Long enough for a cluster to start again on a machine that is busy.
fn patient(cluster: &str) -> Config {
    Config { away: Duration::from_secs(240), ..config(cluster, "faults") }
}

/// Frames that differ: a number, and then bytes of it.
pub fn frame(number: u32) -> Bytes {
    number.to_le_bytes().repeat(5_000).into()
}

pub async fn send(queue: &Pulsar, channel: &Channel, count: u32) -> Result<()> {
    for number in 0..count {
        queue.send(channel, &[frame(number)]).await?;
    }
    queue.flush(channel).await
}

async fn both_open(a: &Pulsar, b: &Pulsar, channel: &Channel) {
    a.open(channel).await.unwrap();
    b.open(channel).await.unwrap();
}

/// Receives until every frame has come; some may come twice.
pub async fn check(queue: &Pulsar, channel: &Channel, count: u32) -> u32 {
    let mut missing: std::collections::BTreeSet<u32> = (0..count).collect();
    let mut again = 0;
    while !missing.is_empty() {
        let delivery = queue.receive(channel).await.unwrap();
        let number = u32::from_le_bytes(delivery.frame[..4].try_into().unwrap());
        assert_eq!(delivery.frame, frame(number));
        again += u32::from(!missing.remove(&number));
        queue.acknowledge(channel, delivery.receipt).await.unwrap();
    }
    again
}

/// Two sites at cluster B, one of them behind a cable; a channel between them.
async fn over(faults: Faults, name: &str) -> (Cable, [Arc<Pulsar>; 2], Channel) {
    let (near, far) = (CLUSTERS.port("PULSAR_B_CABLE_PORT"), CLUSTERS.port("PULSAR_B_BEHIND_PORT"));
    let cable = Cable::between(near, &format!("127.0.0.1:{far}"), faults).await;
    let (a, b) = (queue("1", Config { port: near, ..patient("B") }), queue("2", patient("B")));
    let channel = channel(&fresh(name));
    both_open(&a, &b, &channel).await;
    (cable, [a, b], channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_cut_again_and_again_loses_nothing() {
    let _alone = ALONE.lock().await;
    let faults = Faults { cut_after: Some(3 << 20), ..Faults::default() };
    for reads in [false, true] {
        let (cable, [a, b], channel) = over(faults, "cut").await;
        let (from, to) = if reads { (&b, &a) } else { (&a, &b) };
        let sends = send(from, &channel, 500);
        let (sent, _) = tokio::join!(sends, check(to, &channel, 500));
        sent.unwrap();
        assert!(cable.connections() > 2, "{}", cable.connections());
        b.remove(&channel).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_is_late_or_slow_loses_nothing() {
    let _alone = ALONE.lock().await;
    for faults in [
        Faults { delay: Duration::from_millis(50), ..Faults::default() },
        Faults { rate: Some(500_000), ..Faults::default() },
    ] {
        let (cable, [a, b], channel) = over(faults, "late").await;
        let (sent, again) = tokio::join!(send(&a, &channel, 100), check(&b, &channel, 100));
        sent.unwrap();
        assert_eq!(again, 0, "{faults:?} with {} connections", cable.connections());
        b.remove(&channel).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_falls_silent_is_given_up_for_another() {
    let _alone = ALONE.lock().await;
    let (cable, [a, b], channel) = over(Faults::default(), "silent").await;
    send(&a, &channel, 10).await.unwrap();
    cable.set_silent(true);
    let sends = tokio::spawn({
        let (a, channel) = (a.clone(), channel.clone());
        async move { send(&a, &channel, 50).await }
    });
    let before = cable.connections();
    while cable.connections() == before {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    cable.set_silent(false);
    check(&b, &channel, 50).await;
    sends.await.unwrap().unwrap();
    b.remove(&channel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_started_again_in_mid_transfer_loses_nothing() {
    let _alone = ALONE.lock().await;
    for signal in ["TERM", "KILL"] {
        let (a, b) = (queue("1", patient("B")), queue("2", patient("B")));
        let channel = channel(&fresh("restart"));
        both_open(&a, &b, &channel).await;
        let sends = tokio::spawn({
            let (a, channel) = (a.clone(), channel.clone());
            async move { send(&a, &channel, 2_000).await }
        });
        // Something has come, and comes again because it is not acknowledged.
        b.receive(&channel).await.unwrap();
        let pid = CLUSTERS.value("PULSAR_B_PID");
        let killed = Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap();
        assert!(killed.success());
        let again = tokio::task::spawn_blocking(move || {
            while std::path::Path::new(&format!("/proc/{pid}/cmdline")).exists() && !is_dead(&pid) {
                std::thread::sleep(Duration::from_millis(50));
            }
            CLUSTERS.start_again();
        });
        check(&b, &channel, 2_000).await;
        sends.await.unwrap().unwrap();
        again.await.unwrap();
        b.remove(&channel).await.unwrap();
    }
}

fn is_dead(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_acknowledged_comes_again_to_the_next_process() {
    let (a, b) = (queue("1", config("A", "faults")), queue("2", config("A", "faults")));
    let channel = channel(&fresh("again"));
    both_open(&a, &b, &channel).await;
    for number in 0..3 {
        a.send(&channel, &[frame(number)]).await.unwrap();
        a.flush(&channel).await.unwrap();
    }
    let first = b.receive(&channel).await.unwrap();
    b.receive(&channel).await.unwrap();
    b.acknowledge(&channel, first.receipt).await.unwrap();
    // Frames are acknowledged in the background: until the cluster knows, the first may come again too.
    drop(b);
    let next = queue("2", config("A", "faults"));
    next.open(&channel).await.unwrap();
    let mut came = std::collections::BTreeSet::new();
    while !(came.contains(&1) && came.contains(&2)) {
        let delivery = next.receive(&channel).await.unwrap();
        came.insert(u32::from_le_bytes(delivery.frame[..4].try_into().unwrap()));
        next.acknowledge(&channel, delivery.receipt).await.unwrap();
    }
    next.remove(&channel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_waits_for_a_slow_reader() {
    let (a, b) = (queue("1", config("A", "faults")), queue("2", config("A", "faults")));
    let channel = channel(&fresh("slow"));
    both_open(&a, &b, &channel).await;
    let count = (200 << 20) / 20_000;
    let mut sends = tokio::spawn({
        let (a, channel) = (a.clone(), channel.clone());
        async move { send(&a, &channel, count).await }
    });
    let early = tokio::time::timeout(Duration::from_secs(8), &mut sends).await;
    assert!(early.is_err(), "200 MiB were taken although nobody reads");
    check(&b, &channel, count).await;
    sends.await.unwrap().unwrap();
    b.remove(&channel).await.unwrap();
}

/// Why a site cannot open a channel.
async fn refused(config: Config) -> (ErrorKind, String) {
    let error = queue("1", config).open(&channel(&fresh("refused"))).await.unwrap_err();
    (error.kind(), error.chain())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_is_refused_and_a_missing_permission_are_told_apart() {
    let token = |token: &str| Login::Token(Secret::new(token.into()));
    let password =
        |password: &str| Login::Password { user: "tributary".into(), password: Secret::new(password.into()) };
    for login in [token("hunter2.a.b"), password("hunter2"), Login::None] {
        let (kind, said) = refused(Config { login, ..config("A", "faults") }).await;
        assert_eq!(kind, ErrorKind::Denied, "{said}");
        assert!(
            said.contains("login refused") && said.contains("token") && !said.contains("hunter"),
            "{said}"
        );
    }
    let login = token(&CLUSTERS.value("PULSAR_STRANGER"));
    let (kind, said) = refused(Config { login, ..config("A", "faults") }).await;
    assert_eq!(kind, ErrorKind::Denied, "{said}");
    assert!(said.contains("not permitted"), "{said}");

    let login = password(&CLUSTERS.value("PULSAR_PASSWORD"));
    let site = queue("1", Config { login, ..config("A", "faults") });
    let channel = channel(&fresh("password"));
    site.open(&channel).await.unwrap();
    site.send(&channel, &[frame(1)]).await.unwrap();
    site.flush(&channel).await.unwrap();
    site.remove(&channel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_make_topics_and_not_use_them_is_told_so() {
    let site = queue("1", config("A", "faults"));
    let channel = channel(&fresh("permission"));
    site.open(&channel).await.unwrap();
    // Its channels are made by somebody else, whose login it does not have.
    let login = Login::Token(Secret::new(CLUSTERS.value("PULSAR_STRANGER")));
    let error =
        tributary_pulsar::Operator::new(crate::setup::id("1"), Config { login, ..config("A", "faults") })
            .unwrap();
    let error = tributary_core::federation::Broker::look(&error).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    site.remove(&channel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_not_there_is_reported_when_it_is_too_long() {
    let away = Duration::from_secs(1);
    let (kind, said) = refused(Config { http_port: 1, away, ..config("A", "faults") }).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(said.contains("mng_port"), "{said}");

    let site = queue("1", Config { port: 1, away, ..config("A", "faults") });
    let channel = channel(&fresh("nowhere"));
    site.open(&channel).await.unwrap();
    site.send(&channel, &[frame(1)]).await.unwrap();
    for error in [site.flush(&channel).await.unwrap_err(), site.receive(&channel).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("host, port and tls"), "{error}");
    }
    site.remove(&channel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_who_reads_is_noticed_and_what_he_writes_is_handed_up_as_it_is() {
    let (own, other) = (queue("2", config("A", "faults")), queue("2", config("A", "faults")));
    let sender = queue("1", config("A", "faults"));
    let channel = channel(&fresh("others"));
    for site in [&own, &other, &sender] {
        site.open(&channel).await.unwrap();
    }
    sender.send(&channel, &[frame(7)]).await.unwrap();
    let delivery = other.receive(&channel).await.unwrap();
    let hasty = queue("2", Config { away: Duration::from_secs(2), ..config("A", "faults") });
    hasty.open(&channel).await.unwrap();
    let error = hasty.receive(&channel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("somebody else reads"), "{error}");
    // Once he is gone, what he did not acknowledge comes to its receiver.
    assert_eq!(delivery.frame, frame(7));
    drop(other);
    assert_eq!(own.receive(&channel).await.unwrap().frame, frame(7));
    own.remove(&channel).await.unwrap();
}
