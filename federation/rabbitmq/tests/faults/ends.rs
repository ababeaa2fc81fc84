//! What is left at a broker after everything: nothing, at the latest once it has expired; and nothing grows with a table.

use std::time::Duration;

use tributary_core::computing::End;
use tributary_core::federation::{Broker as _, Direction, Purpose, Slot};
use tributary_wire::Queue;

use crate::TURN;
use crate::setup::*;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_leaves_is_seen_by_its_job_and_expires() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "crashed").await);
    let mut config = broker.config("1");
    config.expires = Duration::from_secs(6);
    let inspector = inspector(config.clone());
    let (joined, is_joined) = tokio::sync::oneshot::channel();
    let crash = std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let sites =
            async { join(&Keys::of(&["1", "2"]), [rabbit(config.clone()), rabbit(config)], PATIENCE).await };
        std::mem::forget(runtime.block_on(sites));
        joined.send(()).unwrap();
        // Nobody says good-bye.
        runtime.shutdown_background();
    });
    is_joined.await.unwrap();
    crash.join().unwrap();
    let seen = async {
        loop {
            let held = inspector.held().await.unwrap();
            if held.len() == 2 {
                break held;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let held = tokio::time::timeout(Duration::from_secs(5), seen).await.unwrap();
    let purpose = Purpose::Session { job: "job".parse().unwrap(), attempt: "task.0".into() };
    assert!(held.iter().all(|held| held.purpose == purpose), "{held:?}");
    assert!(held.iter().any(|held| held.direction == Direction::Sent && held.peer == "host_2"), "{held:?}");
    inspector.remove(&held[0]).await.unwrap();
    assert_eq!(broker.queues().await, [held[1].name.as_str()]);
    broker.is_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_frame_makes_no_queue() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "late").await);
    let queue = rabbit(broker.config("1"));
    let channel = tributary_wire::Channel::named(
        "tributary.j.t.0.guest_1.host_2.0123456789abcdef0123456789abcdef",
        "1".parse().unwrap(),
        "2".parse().unwrap(),
    );
    let channel = channel.unwrap();
    let sent = queue.send(&channel, &[bytes::Bytes::from_static(b"late")]).await;
    let error = sent.and(queue.flush(&channel).await).unwrap_err();
    assert_eq!(error.kind(), tributary_core::ErrorKind::NotFound);
    assert_eq!(queue.receive(&channel).await.unwrap_err().kind(), tributary_core::ErrorKind::NotFound);
    assert_eq!(broker.queues().await, Vec::<String>::new());
    queue.open(&channel).await.unwrap();
    queue.send(&channel, &[bytes::Bytes::from_static(b"in time")]).await.unwrap();
    assert_eq!(&queue.receive(&channel).await.unwrap().frame[..], b"in time");
    queue.remove(&channel).await.unwrap();
    queue.remove(&channel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_felt_by_the_sender() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "slow").await);
    let (sender, reader) = (rabbit(broker.config("1")), rabbit(broker.config("2")));
    let channel = tributary_wire::Channel::named(
        "tributary.j.t.0.guest_1.host_2.0123456789abcdef0123456789abcdef",
        "1".parse().unwrap(),
        "2".parse().unwrap(),
    );
    let channel = channel.unwrap();
    sender.open(&channel).await.unwrap();
    let frame = bytes::Bytes::from(vec![7; 60_000]);
    let sends = async {
        for _ in 0..50 {
            sender.send(&channel, &vec![frame.clone(); 40]).await.unwrap();
        }
        sender.flush(&channel).await.unwrap();
    };
    let mut sends = std::pin::pin!(sends);
    let early = tokio::time::timeout(Duration::from_secs(5), &mut sends).await;
    assert!(early.is_err(), "120 MB were taken with no reader");
    let reads = async {
        for _ in 0..2000 {
            let delivery = reader.receive(&channel).await.unwrap();
            reader.acknowledge(&channel, delivery.receipt).await.unwrap();
        }
    };
    futures::future::join(sends, reads).await;
    reader.remove(&channel).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_brokers_keep_nothing_of_a_job_that_ended() {
    let _turn = TURN.lock().await;
    let (a, b) = (Broker::new("a", "ended").await, Broker::new("b", "ended").await);
    let configs = [replicated(&a, "1", &[("2", &b)]), replicated(&b, "2", &[("1", &a)])];
    let [guest, host] = join(&Keys::of(&["1", "2"]), configs.clone().map(rabbit), PATIENCE).await;
    let push = async { guest.push(&Slot::new("t"), peer(&guest), table(8)).await.unwrap() };
    futures::future::join(push, async { check_table(&host, "t", 8, async || ()).await.unwrap() }).await;
    let found = inspector(configs[1].clone()).link(&"1".parse().unwrap()).await.unwrap().unwrap();
    assert!(found.contains("fetches from the broker of party 1"), "{found}");
    let (one, other) = futures::future::join(guest.close(End::Done), host.close(End::Done)).await;
    one.unwrap();
    other.unwrap();
    a.is_empty().await;
    b.is_empty().await;
}
