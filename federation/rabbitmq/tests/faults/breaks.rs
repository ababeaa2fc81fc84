//! What breaks in mid-transfer loses nothing: the broker, its room, the connection to it, the link between two.

use std::sync::Arc;
use std::time::Duration;

use tributary_core::computing::End;
use tributary_core::federation::{Federation, Slot};
use tributary_services::{Cable, Faults};

use crate::TURN;
use crate::setup::*;

const PATIENCE: Duration = Duration::from_secs(120);

/// Both sites push and pull a table; `middle` happens once the first rows have come.
async fn transfer([guest, host]: &[Arc<dyn Federation>; 2], mib: u64, middle: impl AsyncFnOnce()) {
    let push = async { guest.push(&Slot::new("t"), peer(guest), table(mib)).await.unwrap() };
    let pull = async { check_table(host, "t", mib, middle).await.unwrap() };
    futures::future::join(push, pull).await;
    host.push(&Slot::new("answer"), peer(host), message("all of it")).await.unwrap();
    assert_eq!(text(guest, "answer").await.unwrap(), "all of it");
}

async fn close([guest, host]: &[Arc<dyn Federation>; 2]) {
    let (one, other) = futures::future::join(guest.close(End::Done), host.close(End::Done)).await;
    one.unwrap();
    other.unwrap();
}

async fn shared(broker: &Broker) -> [Arc<dyn Federation>; 2] {
    join(&Keys::of(&["1", "2"]), [rabbit(broker.config("1")), rabbit(broker.config("2"))], PATIENCE).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_restarted_in_order_keeps_everything() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "restarted").await);
    let sites = shared(&broker).await;
    transfer(&sites, 40, async || {
        broker.ctl(&["stop_app"]);
        broker.ctl(&["start_app"]);
    })
    .await;
    close(&sites).await;
    assert_eq!(broker.queues().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_killed_keeps_everything() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "killed").await);
    let sites = shared(&broker).await;
    transfer(&sites, 40, async || {
        // The broker itself writes down which queues there are a few seconds after they are made.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let done = std::process::Command::new("kill").args(["-9", &broker.pid()]).status().unwrap();
        assert!(done.success());
        tokio::task::spawn_blocking(|| BROKERS.start_again()).await.unwrap();
    })
    .await;
    close(&sites).await;
    assert_eq!(broker.queues().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_without_room_is_waited_for_and_it_is_said() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "full").await);
    for (full, enough) in [
        (
            ["set_vm_memory_high_watermark", "absolute", "1MB"],
            ["set_vm_memory_high_watermark", "absolute", "512MB"],
        ),
        (["set_disk_free_limit", "mem_relative", "1000"], ["set_disk_free_limit", "mem_relative", "0.001"]),
    ] {
        let said = Said::default();
        let mut config = broker.config("1");
        config.notices = said.notices();
        let sites =
            join(&Keys::of(&["1", "2"]), [rabbit(config), rabbit(broker.config("2"))], PATIENCE).await;
        transfer(&sites, 40, async || {
            broker.ctl(&full);
            tokio::time::sleep(Duration::from_secs(3)).await;
            broker.ctl(&enough);
        })
        .await;
        close(&sites).await;
        let said = said.all();
        assert!(said.iter().any(|text| text.contains("takes nothing more for now")), "{said:?}");
        assert!(said.last().unwrap().contains("takes messages again"), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_again_and_again_loses_nothing() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "cut").await);
    let faults = Faults { cut_after: Some(5_000_000), ..Faults::default() };
    let cable = Cable::to(&format!("127.0.0.1:{}", broker.port("")), faults).await;
    let through = |own| {
        let mut config = broker.config(own);
        config.port = cable.address.port();
        rabbit(config)
    };
    let sites = join(&Keys::of(&["1", "2"]), [through("1"), through("2")], PATIENCE).await;
    transfer(&sites, 40, async || ()).await;
    close(&sites).await;
    assert!(cable.connections() > 10, "{}", cable.connections());
    assert_eq!(broker.queues().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_falls_silent_is_made_anew_and_shows_no_value() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "silent").await);
    let delay = Faults { delay: Duration::from_millis(5), ..Faults::default() };
    let cable = Cable::to(&format!("127.0.0.1:{}", broker.port("")), delay).await;
    let mut config = broker.config("1");
    config.port = cable.address.port();
    let sites = join(&Keys::of(&["1", "2"]), [rabbit(config), rabbit(broker.config("2"))], PATIENCE).await;
    let (guest, host) = (&sites[0], &sites[1]);
    guest.push(&Slot::new("s"), peer(guest), message("a value that nobody else reads")).await.unwrap();
    assert_eq!(text(host, "s").await.unwrap(), "a value that nobody else reads");
    assert!(cable.said(b"tributary.job.task.0") && !cable.said(b"nobody else reads"));
    cable.set_silent(true);
    let back = async {
        tokio::time::sleep(Duration::from_secs(25)).await;
        cable.set_silent(false);
    };
    let ((), ()) = futures::future::join(transfer(&sites, 4, async || ()), back).await;
    close(&sites).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_link_between_two_brokers_may_be_down_for_a_minute() {
    let _turn = TURN.lock().await;
    let (a, b) = (Broker::new("a", "linked").await, Broker::new("b", "linked").await);
    let cable = Cable::to(&format!("127.0.0.1:{}", a.port("")), Faults::default()).await;
    let port = cable.address.port();
    let mut second = b.config("2");
    second.mode = replication(&format!("1: {{host: 127.0.0.1, port: {port}, vhost: {}}}\n", a.vhost));
    let first = replicated(&a, "1", &[("2", &b)]);
    let sites = join(&Keys::of(&["1", "2"]), [rabbit(first.clone()), rabbit(second.clone())], PATIENCE).await;
    transfer(&sites, 40, async || {
        cable.set_silent(true);
        tokio::time::sleep(Duration::from_secs(60)).await;
        cable.set_silent(false);
    })
    .await;
    close(&sites).await;
    for broker in [&a, &b] {
        broker.is_empty().await;
    }
}
