//! Through an exchange: what it holds for those who are away, what it survives, and what it does not let pass.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join as both;
use tokio::time::{sleep, timeout};
use tributary_core::federation::*;
use tributary_core::{ErrorKind, PartyId};
use tributary_direct::Exchange;
use tributary_services::{Cable, Faults};
use tributary_wire::{Queue, Wire};

use crate::breaks::check_flow;
use crate::setup::*;

const PATIENCE: Duration = Duration::from_secs(60);
const MIB: u64 = 24;

fn sites() -> [Site; 3] {
    [Site::new("9999"), Site::new("10000"), Site::new("exchange")]
}

fn frame(number: u32) -> Bytes {
    Bytes::from(number.to_le_bytes().to_vec())
}

async fn there(exchange: &Exchange, sites: usize) {
    let all = async {
        while exchange.state().values().filter(|site| site.is_there).count() < sites {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_arrives_while_the_exchange_is_killed_and_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut sites = sites();
    let exchange = start_exchange(&mut sites, Some(folder.path()), hasty());
    let nodes = [start(behind(&mut sites, 0, hasty())), start(behind(&mut sites, 1, hasty()))];
    let joined = join(&sites, nodes, PATIENCE).await;
    let (guest, host) = (joined[0].clone(), joined[1].clone());
    let push = tokio::spawn(async move { guest.push(&Slot::new("table"), peer(&guest), table(MIB)).await });
    let pull = tokio::spawn(async move { check_table(&host, "table", MIB).await });
    let mut exchange = Some(exchange);
    let mut killed = 0;
    while !pull.is_finished() && killed < 8 {
        there(exchange.as_ref().unwrap(), 2).await;
        sleep(Duration::from_millis(60)).await;
        drop(exchange.take());
        killed += 1;
        sites[2].listen_again().await;
        exchange = Some(start_exchange(&mut sites, Some(folder.path()), hasty()));
    }
    timeout(PATIENCE, pull).await.unwrap().unwrap().unwrap();
    push.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_to_the_exchange_that_are_cut_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for held in [Some(folder.path()), None] {
        let mut sites = sites();
        let _exchange = start_exchange(&mut sites, held, hasty());
        let faults = Faults { cut_after: Some(4_000_003), ..Faults::default() };
        let cables = [Cable::to(&sites[2].address, faults).await, Cable::to(&sites[2].address, faults).await];
        let mut nodes = Vec::new();
        for (i, cable) in cables.iter().enumerate() {
            let mut config = behind(&mut sites, i, hasty());
            config.exchange.as_mut().unwrap().1.address = Some(cable.address.to_string());
            nodes.push(start(config));
        }
        let joined = join(&sites, nodes.try_into().unwrap(), PATIENCE).await;
        let slot = Slot::new("table");
        let push = joined[0].push(&slot, peer(&joined[0]), table(MIB));
        let (pushed, pulled) = both(push, check_table(&joined[1], "table", MIB)).await;
        pushed.unwrap();
        pulled.unwrap();
        assert!(cables.iter().all(|cable| cable.connections() > 3));
    }
}

/// The sender is gone before the receiver comes, and the exchange is another process by then.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_to_a_site_that_is_away_waits_for_it_at_the_exchange() {
    let folder = tempfile::tempdir().unwrap();
    let mut sites = sites();
    let exchange = start_exchange(&mut sites, Some(folder.path()), hasty());
    let out = channel("out", &sites[0], &sites[1]);
    let guest = start(behind(&mut sites, 0, hasty()));
    guest.open(&out).await.unwrap();
    let frames: Vec<Bytes> = (0..100).map(frame).collect();
    guest.send(&out, &frames).await.unwrap();
    timeout(PATIENCE, guest.flush(&out)).await.unwrap().unwrap();
    assert!(exchange.state()[&sites[1].id].held_bytes > 400);
    drop((guest, exchange));
    sites[2].listen_again().await;
    let exchange = start_exchange(&mut sites, Some(folder.path()), hasty());
    let host = start(behind(&mut sites, 1, hasty()));
    host.open(&out).await.unwrap();
    for number in 0..100 {
        let received = timeout(PATIENCE, host.receive(&out)).await.unwrap().unwrap();
        assert_eq!(received.frame, frame(number));
    }
    let emptied = async {
        while exchange.state()[&sites[1].id].held_bytes > 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, emptied).await.unwrap();
}

/// It holds little; the rest waits at its sender.
#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_exchange_holds_stays_with_its_sender_until_the_receiver_comes() {
    let folder = tempfile::tempdir().unwrap();
    let mut sites = sites();
    let mut config = exchange_config(&mut sites, Some(folder.path()), hasty());
    config.held_bytes = 20_000;
    let exchange = Exchange::start(config).unwrap();
    let out = channel("out", &sites[0], &sites[1]);
    let guest = start(behind(&mut sites, 0, hasty()));
    guest.open(&out).await.unwrap();
    let big = |number: u32| Bytes::from([number.to_le_bytes().to_vec(), vec![1; 1000]].concat());
    let frames: Vec<Bytes> = (0..200).map(big).collect();
    guest.send(&out, &frames).await.unwrap();
    assert!(
        timeout(Duration::from_millis(500), guest.flush(&out)).await.is_err(),
        "more is confirmed than is held"
    );
    let held = exchange.state()[&sites[1].id].held_bytes;
    assert!((5_000..=20_000).contains(&held), "{held}");
    let host = start(behind(&mut sites, 1, hasty()));
    host.open(&out).await.unwrap();
    for number in 0..200 {
        let received = timeout(PATIENCE, host.receive(&out)).await.unwrap().unwrap();
        assert_eq!(received.frame, big(number), "{number}");
    }
    timeout(PATIENCE, guest.flush(&out)).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_felt_through_the_exchange() {
    let mut sites = sites();
    let _exchange = start_exchange(&mut sites, None, hasty());
    let (guest, host) = (start(behind(&mut sites, 0, hasty())), start(behind(&mut sites, 1, hasty())));
    let out = channel("out", &sites[0], &sites[1]);
    guest.open(&out).await.unwrap();
    host.open(&out).await.unwrap();
    check_flow(&guest, &host, &out).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_the_exchange_does_not_know_is_an_error_that_says_so() {
    let mut sites = sites();
    let mut config = exchange_config(&mut sites, None, hasty());
    config.sites.remove(&sites[1].id);
    let _exchange = Exchange::start(config).unwrap();
    let guest = start(behind(&mut sites, 0, hasty()));
    let out = channel("out", &sites[0], &sites[1]);
    guest.open(&out).await.unwrap();
    let error = async {
        loop {
            if let Err(error) = guest.send(&out, &[frame(1)]).await {
                break error;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let error = timeout(PATIENCE, error).await.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("the exchange knows no way to site 10000"), "{error}");
}

/// Each site is at an exchange of its own; one of them knows the other as its default.
#[tokio::test(flavor = "multi_thread")]
async fn exchanges_hand_on_to_each_other() {
    let mut all = [Site::new("9999"), Site::new("10000"), Site::new("east"), Site::new("west")];
    let ids: Vec<PartyId> = all.iter().map(|site| site.id.clone()).collect();
    // 9999 — east — west — 10000, and east calls west.
    let mut west = exchange_config(&mut all, None, hasty());
    west.sites.remove(&ids[0]);
    west.exchanges = BTreeSet::from([ids[2].clone()]);
    let address = all[3].address.clone();
    all.swap(2, 3);
    let mut east = exchange_config(&mut all, None, hasty());
    east.sites.remove(&ids[1]);
    east.sites.get_mut(&ids[3]).unwrap().address = Some(address);
    east.exchanges = BTreeSet::from([ids[3].clone()]);
    east.default = Some(ids[3].clone());
    let (_west, _east) = (Exchange::start(west).unwrap(), Exchange::start(east).unwrap());
    let guest = start(behind(&mut all, 0, hasty()));
    all.swap(2, 3);
    let host = start(behind(&mut all, 1, hasty()));
    let (out, back) = (channel("out", &all[0], &all[1]), channel("back", &all[1], &all[0]));
    for channel in [&out, &back] {
        guest.open(channel).await.unwrap();
        host.open(channel).await.unwrap();
    }
    guest.send(&out, &[frame(1)]).await.unwrap();
    assert_eq!(timeout(PATIENCE, host.receive(&out)).await.unwrap().unwrap().frame, frame(1));
    host.send(&back, &[frame(2)]).await.unwrap();
    assert_eq!(timeout(PATIENCE, guest.receive(&back)).await.unwrap().unwrap().frame, frame(2));
}

/// Letters as job control uses them: repeated until they are answered. Nothing but what they say tells the other site of a new process in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_site_whose_process_is_started_again_is_heard_at_once_by_one_that_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut sites = sites();
    let options = hasty().with_quiet(PATIENCE * 10);
    let _exchange = start_exchange(&mut sites, Some(folder.path()), options);
    let letters = async |sites: &mut [Site], at: usize| {
        let node = start(behind(sites, at, options));
        let wire = Wire::new(node, ring(sites[at].secret.clone(), sites), Default::default()).unwrap();
        wire.post(&sites[at].id).await.unwrap()
    };
    let host = letters(&mut sites, 1).await;
    let answers = tokio::spawn(async move {
        loop {
            let (from, letter) = host.receive().await.unwrap();
            drop(host.send(&from, &letter).await);
        }
    });
    let host = sites[1].id.clone();
    for process in 0..6u8 {
        let guest = letters(&mut sites, 0).await;
        let asks = async {
            loop {
                drop(guest.send(&host, &[process]).await);
                if let Ok(answer) = timeout(Duration::from_millis(300), guest.receive()).await
                    && answer.unwrap().1[..] == [process]
                {
                    return;
                }
            }
        };
        timeout(PATIENCE / 2, asks).await.unwrap_or_else(|_| panic!("process {process} was not heard"));
    }
    answers.abort();
}
