//! Other users of the broker: they fill, read and remove queues that they can find in its list.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tributary_core::computing::End;
use tributary_core::federation::Slot;
use tributary_core::{ErrorKind, Result};
use tributary_rabbitmq::Rabbit;
use tributary_wire::fault::{Faults, Faulty};
use tributary_wire::{Channel, Delivery, Queue, Receipt, Wire};

use crate::TURN;
use crate::setup::*;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn what_another_user_puts_into_a_queue_is_noticed_by_no_job() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "filled").await);
    let [guest, host] =
        &join(&Keys::of(&["1", "2"]), [rabbit(broker.config("1")), rabbit(broker.config("2"))], PATIENCE)
            .await;
    let stranger = rabbit(broker.config("1"));
    for name in broker.queues().await {
        let channel = Channel::named(&name, "1".parse().unwrap(), "2".parse().unwrap()).unwrap();
        for frame in [vec![0; 60_000], vec![1; 1000], vec![2; 40]] {
            stranger.send(&channel, &vec![frame.into(); 20]).await.unwrap();
        }
        stranger.flush(&channel).await.unwrap();
    }
    guest.push(&Slot::new("t"), peer(guest), table(2)).await.unwrap();
    check_table(host, "t", 2, async || ()).await.unwrap();
    guest.close(End::Done).await.unwrap();
    host.close(End::Done).await.unwrap();
}

/// A queue that keeps a copy of what is sent.
#[derive(Debug)]
struct Recorder(Arc<Rabbit>, Mutex<Vec<Bytes>>);

#[async_trait]
impl Queue for Recorder {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    async fn open(&self, channel: &Channel) -> Result<()> {
        self.0.open(channel).await
    }

    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        self.1.lock().unwrap().extend_from_slice(frames);
        self.0.send(channel, frames).await
    }

    async fn flush(&self, channel: &Channel) -> Result<()> {
        self.0.flush(channel).await
    }

    async fn receive(&self, channel: &Channel) -> Result<Delivery> {
        self.0.receive(channel).await
    }

    async fn acknowledge(&self, channel: &Channel, receipt: Receipt) -> Result<()> {
        self.0.acknowledge(channel, receipt).await
    }

    async fn remove(&self, channel: &Channel) -> Result<()> {
        self.0.remove(channel).await
    }

    async fn finish(&self, channel: &Channel) -> Result<()> {
        self.0.finish(channel).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_frames_of_an_older_run_are_nothing_to_a_new_one() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "replayed").await);
    let keys = Keys::of(&["1", "2"]);
    let recorders: Vec<Arc<Recorder>> =
        ["1", "2"].map(|id| Arc::new(Recorder(rabbit(broker.config(id)), Mutex::default()))).into();
    let mut wires = keys.0.iter().zip(&recorders).map(|((_, secret), recorder)| {
        Wire::new(recorder.clone(), keys.ring(secret.clone()), Default::default()).unwrap()
    });
    let [guest, host] = &join_wires([wires.next().unwrap(), wires.next().unwrap()], PATIENCE).await;
    guest.push(&Slot::new("s"), peer(guest), message("old")).await.unwrap();
    assert_eq!(text(host, "s").await.unwrap(), "old");
    guest.close(End::Done).await.unwrap();
    host.close(End::Done).await.unwrap();

    // The same job, task and attempt, as after a restart: even the names of the queues are the same.
    let queues = [rabbit(broker.config("1")), rabbit(broker.config("2"))];
    let [guest, host] = &join(&keys, queues, PATIENCE).await;
    let stranger = rabbit(broker.config("1"));
    for name in broker.queues().await {
        let channel = Channel::named(&name, "1".parse().unwrap(), "2".parse().unwrap()).unwrap();
        for recorder in &recorders {
            let frames = recorder.1.lock().unwrap().clone();
            assert!(!frames.is_empty());
            stranger.send(&channel, &frames).await.unwrap();
        }
        stranger.flush(&channel).await.unwrap();
    }
    guest.push(&Slot::new("s"), peer(guest), message("new")).await.unwrap();
    assert_eq!(text(host, "s").await.unwrap(), "new");
    guest.close(End::Done).await.unwrap();
    host.close(End::Done).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_has_one_reader_and_another_one_is_named() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "read").await);
    let [guest, host] =
        &join(&Keys::of(&["1", "2"]), [rabbit(broker.config("1")), rabbit(broker.config("2"))], PATIENCE)
            .await;
    guest.push(&Slot::new("s"), peer(guest), message("x")).await.unwrap();
    assert_eq!(text(host, "s").await.unwrap(), "x");
    let mut config = broker.config("1");
    config.away = Duration::from_secs(1);
    let stranger = rabbit(config);
    for name in broker.queues().await {
        let channel = Channel::named(&name, "1".parse().unwrap(), "2".parse().unwrap()).unwrap();
        let error = stranger.receive(&channel).await.unwrap_err();
        assert!(error.to_string().contains("another program reads queue tributary.job.task.0"), "{error}");
    }
    guest.close(End::Done).await.unwrap();
    host.close(End::Done).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_removed_under_a_job_is_an_error_at_once() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "removed").await);
    let [guest, host] = &join(
        &Keys::of(&["1", "2"]),
        [rabbit(broker.config("1")), rabbit(broker.config("2"))],
        PATIENCE * 10,
    )
    .await;
    guest.push(&Slot::new("s"), peer(guest), message("x")).await.unwrap();
    assert_eq!(text(host, "s").await.unwrap(), "x");
    for name in broker.queues().await {
        broker.ctl(&["delete_queue", "-p", &broker.vhost, &name]);
    }
    for pulled in [text(host, "later").await, text(guest, "later").await] {
        let error = pulled.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled, "{error}");
    }
    drop((guest.close(End::Failed).await, host.close(End::Failed).await));
    assert_eq!(broker.queues().await, Vec::<String>::new(), "nothing brings them back");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_and_overtaking_frames_are_not_noticed() {
    let (_turn, broker) = (TURN.lock().await, Broker::new("a", "repeated").await);
    let keys = Keys::of(&["1", "2"]);
    let faults =
        Faults { duplicate: 0.3, delay: 0.1, delay_by: Duration::from_millis(200), ..Faults::default() };
    let mut wires = keys.0.iter().map(|(id, secret)| {
        let queue = Faulty::new(rabbit(broker.config(id.as_str())), faults, 7).unwrap();
        Wire::new(Arc::new(queue), keys.ring(secret.clone()), Default::default()).unwrap()
    });
    let [guest, host] = &join_wires([wires.next().unwrap(), wires.next().unwrap()], PATIENCE).await;
    let push = async { guest.push(&Slot::new("t"), peer(guest), table(8)).await.unwrap() };
    futures::future::join(push, async { check_table(host, "t", 8, async || ()).await.unwrap() }).await;
    guest.close(End::Done).await.unwrap();
    host.close(End::Done).await.unwrap();
}
