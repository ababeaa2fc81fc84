//! Networks that cut, delay and fall silent, and sites that go away: nothing is lost, nothing comes twice, nothing hangs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join as both;
use tokio::time::{sleep, timeout};
use tributary_core::ErrorKind;
use tributary_core::computing::End;
use tributary_core::federation::*;
use tributary_direct::Node;
use tributary_services::{Cable, Faults};
use tributary_wire::Queue;

use crate::setup::*;

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: u64 = 24;

/// The first site calls the second over a cable, and does not listen.
async fn over(cable: &Cable, sites: &mut [Site], tls: Tls) -> [Arc<Node>; 2] {
    let mut guest = config(sites, 0, tls, hasty());
    guest.listener = None;
    guest.peers.get_mut(&sites[1].id).unwrap().address = Some(cable.address.to_string());
    let mut host = config(sites, 1, tls, hasty());
    host.peers.values_mut().for_each(|peer| peer.address = None);
    [start(guest), start(host)]
}

/// A table each way at once, and a message behind each.
async fn exchange_tables(joined: &[Arc<dyn Federation>; 2]) {
    let one = |own: &Arc<dyn Federation>| {
        let own = own.clone();
        async move {
            let pull = check_table(&own, "table", MIB);
            let push = async {
                own.push(&Slot::new("table"), peer(&own), table(MIB)).await?;
                own.push(&Slot::new("behind"), peer(&own), message("it")).await
            };
            let (pulled, pushed) = both(pull, push).await;
            pulled.unwrap();
            pushed.unwrap();
            assert_eq!(text(&own, "behind").await.unwrap(), "it");
            own.close(End::Done).await.unwrap();
        }
    };
    both(one(&joined[0]), one(&joined[1])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_again_and_again_loses_nothing() {
    for tls in [Tls::On, Tls::Off] {
        let mut sites = [Site::new("9999"), Site::new("10000")];
        let faults = Faults { cut_after: Some(5_000_003), ..Faults::default() };
        let cable = Cable::to(&sites[1].address, faults).await;
        let nodes = over(&cable, &mut sites, tls).await;
        let joined = join(&sites, nodes, PATIENCE).await;
        exchange_tables(&joined).await;
        assert!(cable.connections() > 5, "{}", cable.connections());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_late_comes() {
    let mut sites = [Site::new("9999"), Site::new("10000")];
    let faults = Faults { delay: Duration::from_millis(3), ..Faults::default() };
    let cable = Cable::to(&sites[1].address, faults).await;
    let nodes = over(&cable, &mut sites, Tls::On).await;
    let joined = join(&sites, nodes, PATIENCE).await;
    exchange_tables(&joined).await;
    assert_eq!(cable.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_falls_silent_is_noticed_and_what_was_sent_meanwhile_comes() {
    let mut sites = [Site::new("9999"), Site::new("10000")];
    let cable = Cable::to(&sites[1].address, Faults::default()).await;
    let nodes = over(&cable, &mut sites, Tls::On).await;
    let joined = join(&sites, nodes, PATIENCE).await;
    let (guest, host) = (&joined[0], &joined[1]);
    guest.push(&Slot::new("before"), peer(guest), message("1")).await.unwrap();
    assert_eq!(text(host, "before").await.unwrap(), "1");
    cable.set_silent(true);
    guest.push(&Slot::new("during"), peer(guest), message("2")).await.unwrap();
    host.push(&Slot::new("during"), peer(host), message("3")).await.unwrap();
    while cable.connections() < 2 {
        sleep(Duration::from_millis(20)).await;
    }
    cable.set_silent(false);
    assert_eq!(text(host, "during").await.unwrap(), "2");
    assert_eq!(text(guest, "during").await.unwrap(), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_on_the_wire_are_few_more_than_those_of_the_table() {
    let mut sites = [Site::new("9999"), Site::new("10000")];
    let cable = Cable::to(&sites[1].address, Faults::default()).await;
    let nodes = over(&cable, &mut sites, Tls::On).await;
    let joined = join(&sites, nodes, PATIENCE).await;
    let (pushed, pulled) = both(
        joined[0].push(&Slot::new("table"), peer(&joined[0]), table(MIB)),
        check_table(&joined[1], "table", MIB),
    )
    .await;
    pushed.unwrap();
    let ratio = cable.bytes() as f64 / pulled.unwrap() as f64;
    assert!(ratio < 1.02, "{ratio}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_cannot_be_reached_is_named_in_time_with_the_reason() {
    let mut sites = [Site::new("9999"), Site::new("10000"), Site::new("10001")];
    drop(sites[1].listener.take());
    let mut config = config(&mut sites, 0, Tls::On, hasty().with_away(Duration::from_millis(300)));
    config.peers.get_mut(&sites[2].id).unwrap().address = None;
    let node = start(config);
    for (site, why) in [(1, "cannot be reached"), (2, "has not called")] {
        let (out, into) = (channel("out", &sites[0], &sites[site]), channel("in", &sites[site], &sites[0]));
        node.open(&out).await.unwrap();
        node.open(&into).await.unwrap();
        let sent = node.send(&out, &[Bytes::from_static(b"x")]).await.unwrap_err();
        let received = node.receive(&into).await.unwrap_err();
        for error in [sent, received] {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            let text = error.chain();
            assert!(text.contains(sites[site].id.as_str()) && text.contains(why), "{text}");
        }
        timeout(PATIENCE, node.remove(&out)).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_was_started_again_is_noticed_and_what_is_new_works() {
    let mut sites = [Site::new("9999"), Site::new("10000")];
    let guest = start(config(&mut sites, 0, Tls::On, hasty()));
    let host = start(config(&mut sites, 1, Tls::On, hasty()));
    let (out, into) = (channel("out", &sites[0], &sites[1]), channel("in", &sites[1], &sites[0]));
    for node in [&guest, &host] {
        node.open(&out).await.unwrap();
        node.open(&into).await.unwrap();
    }
    host.send(&into, &[Bytes::from_static(b"1")]).await.unwrap();
    assert_eq!(guest.receive(&into).await.unwrap().frame, "1");
    guest.send(&out, &[Bytes::from_static(b"2")]).await.unwrap();
    guest.flush(&out).await.unwrap();
    drop(host);
    sites[1].listen_again().await;
    let host = start(config(&mut sites, 1, Tls::On, hasty()));
    let error = guest.receive(&into).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(error.to_string().contains("site 10000 was started again"), "{error}");
    let error = guest.send(&out, &[Bytes::from_static(b"3")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");

    let new = channel("new", &sites[0], &sites[1]);
    guest.open(&new).await.unwrap();
    host.open(&new).await.unwrap();
    guest.send(&new, &[Bytes::from_static(b"4")]).await.unwrap();
    assert_eq!(host.receive(&new).await.unwrap().frame, "4");
}

/// A slow reader stops the sender, and no memory grows.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_does_not_read_is_felt_by_the_sender() {
    let mut sites = [Site::new("9999"), Site::new("10000")];
    let guest = start(config(&mut sites, 0, Tls::On, hasty()));
    let host = start(config(&mut sites, 1, Tls::On, hasty()));
    let out = channel("out", &sites[0], &sites[1]);
    guest.open(&out).await.unwrap();
    host.open(&out).await.unwrap();
    check_flow(&guest, &host, &out).await;
}

/// Sends 64 MiB to a receiver that begins to read when the sender cannot go on.
pub async fn check_flow(from: &Arc<Node>, to: &Arc<Node>, channel: &tributary_wire::Channel) {
    let frame = Bytes::from(vec![7; 60_000]);
    let (total, mut sent) = (1100, 0);
    while let Ok(taken) =
        timeout(Duration::from_millis(700), from.send(channel, std::slice::from_ref(&frame))).await
    {
        taken.unwrap();
        sent += 1;
        assert!(sent * 60_000 < 40 << 20, "it never stops");
    }
    // The one that was given up may have been taken or not.
    let (rest, received) = both(
        async {
            while sent < total {
                from.send(channel, std::slice::from_ref(&frame)).await.unwrap();
                sent += 1;
            }
            from.flush(channel).await.unwrap();
        },
        async {
            for _ in 0..total {
                assert_eq!(to.receive(channel).await.unwrap().frame.len(), 60_000);
            }
        },
    )
    .await;
    let ((), ()) = (rest, received);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_removed_at_one_end_is_gone_at_the_other() {
    let mut sites = [Site::new("9999"), Site::new("10000")];
    let guest = start(config(&mut sites, 0, Tls::On, hasty()));
    let host = start(config(&mut sites, 1, Tls::On, hasty()));
    let [a, b] = ["a", "b"].map(|name| channel(name, &sites[0], &sites[1]));
    for channel in [&a, &b] {
        guest.open(channel).await.unwrap();
        host.open(channel).await.unwrap();
        guest.send(channel, &[Bytes::from_static(b"x")]).await.unwrap();
        host.receive(channel).await.unwrap();
    }
    // By its receiver: the sender learns it, and a late frame does not bring it back.
    host.remove(&a).await.unwrap();
    let gone = async {
        loop {
            if let Err(error) = guest.send(&a, &[Bytes::from_static(b"x")]).await {
                break error;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, gone).await.unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(guest.flush(&a).await.unwrap_err().kind(), ErrorKind::NotFound);
    guest.remove(&a).await.unwrap();
    assert_eq!(host.receive(&a).await.unwrap_err().kind(), ErrorKind::NotFound);
    // By its sender: who waits there is woken.
    let (woken, removed) = both(host.receive(&b), guest.remove(&b)).await;
    removed.unwrap();
    assert_eq!(woken.unwrap_err().kind(), ErrorKind::NotFound);
    guest.remove(&b).await.unwrap();
}
