//! What a job wishes of its channels counts within what its site allows.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tributary_core::federation::Carriage;
use tributary_rabbitmq::{Config, QueueType};
use tributary_wire::{Channel, Queue};

use crate::TURN;
use crate::setup::*;

/// What comes to 2 from 1.
fn carried(wish: Carriage) -> Channel {
    let name = "tributary.j.t.0.guest_1.host_2.0123456789abcdef0123456789abcdef";
    Channel::named(name, "1".parse().unwrap(), "2".parse().unwrap()).unwrap().carried(Arc::new(wish))
}

/// After how long the queue expires that a site makes for a job with this wish, and its type.
async fn made(broker: &Broker, config: Config, wish: Carriage) -> (Value, Value) {
    let (site, channel) = (rabbit(config), carried(wish));
    site.open(&channel).await.unwrap();
    let queue: Value = broker.admin().get(&format!("/api/queues/{}/{channel}", broker.vhost)).await.unwrap();
    site.remove(&channel).await.unwrap();
    (queue["arguments"]["x-expires"].clone(), queue["arguments"]["x-queue-type"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_may_ask_for_more_care_and_not_for_less() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "wishes").await);
    let config = broker.config("1");
    let wish = Carriage { expires_ms: Some(90_000), replicated: true, ..Carriage::default() };
    assert_eq!(made(&broker, config.clone(), wish).await, (90_000.into(), "quorum".into()));
    let wish = Carriage { expires_ms: Some(u64::MAX), ..Carriage::default() };
    let quorum = Config { queue_type: QueueType::Quorum, ..config };
    assert_eq!(made(&broker, quorum, wish).await, (3_600_000.into(), "quorum".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_may_let_its_sender_wait_sooner() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "sooner").await);
    let by_count = Carriage { waiting: Some(4), message_bytes: Some(1), ..Carriage::default() };
    let by_bytes = Carriage { waiting_bytes: Some(1), message_bytes: Some(1), ..Carriage::default() };
    for (wish, most) in [(by_count, 4), (by_bytes, 1)] {
        // Of their own: a site has one wish for a channel of this name.
        let (sender, reader) = (rabbit(broker.config("1")), rabbit(broker.config("2")));
        let channel = carried(wish);
        sender.open(&channel).await.unwrap();
        sender.send(&channel, &vec![Bytes::from_static(b"one message each"); 100]).await.unwrap();
        let mut flush = std::pin::pin!(sender.flush(&channel));
        assert!(tokio::time::timeout(Duration::from_secs(2), &mut flush).await.is_err(), "none waited");
        let listed =
            broker.ctl(&["-q", "list_queues", "-p", &broker.vhost, "--no-table-headers", "messages"]);
        // The first goes before anybody looks.
        let lie: u32 = listed.trim().parse().unwrap();
        assert!((1..=most + 1).contains(&lie), "{lie}");
        let reads = async {
            for _ in 0..100 {
                let delivery = reader.receive(&channel).await.unwrap();
                reader.acknowledge(&channel, delivery.receipt).await.unwrap();
            }
        };
        futures::future::join(flush, reads).await.0.unwrap();
        reader.remove(&channel).await.unwrap();
    }
}
