//! What a queue promises, without the wire above it.

use std::sync::Arc;

use bytes::Bytes;
use tributary_core::ErrorKind;
use tributary_core::federation::{Broker as _, Carriage};
use tributary_pulsar::Operator;
use tributary_wire::{MAX_FRAME_BYTES, Queue};

use crate::setup::{channel, config, fresh, id, queue};

#[tokio::test]
async fn frames_of_every_length_arrive_in_order_and_durable() {
    let (a, b) = (queue("1", config("A", "contract")), queue("2", config("A", "contract")));
    let channel = channel(&fresh("lengths"));
    a.open(&channel).await.unwrap();
    b.open(&channel).await.unwrap();
    let lengths = [0, 1, 1000, MAX_FRAME_BYTES, 7];
    let frames: Vec<Bytes> = lengths.iter().cycle().take(400).map(|length| vec![3; *length].into()).collect();
    a.send(&channel, &frames).await.unwrap();
    a.flush(&channel).await.unwrap();
    for frame in &frames {
        let delivery = b.receive(&channel).await.unwrap();
        assert_eq!(delivery.frame, frame);
        b.acknowledge(&channel, delivery.receipt).await.unwrap();
    }
    b.remove(&channel).await.unwrap();
    let late = async {
        a.send(&channel, &frames[..1]).await?;
        a.flush(&channel).await
    };
    assert_eq!(late.await.unwrap_err().kind(), ErrorKind::NotFound);
    b.remove(&channel).await.unwrap();
}

#[tokio::test]
async fn a_receiver_learns_that_its_channel_was_removed() {
    let (a, b) = (queue("1", config("A", "contract")), queue("2", config("A", "contract")));
    let channel = channel(&fresh("removed"));
    b.open(&channel).await.unwrap();
    let waits = tokio::spawn({
        let (b, channel) = (b.clone(), channel.clone());
        async move { b.receive(&channel).await }
    });
    a.remove(&channel).await.unwrap();
    assert_eq!(waits.await.unwrap().unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_job_may_wish_for_small_steps_and_loses_nothing() {
    let config = config("A", "wishes");
    let (a, b) = (queue("1", config.clone()), queue("2", config.clone()));
    let wish =
        Carriage { message_bytes: Some(1), unconfirmed: Some(1), ahead: Some(1), ..Carriage::default() };
    let name = "tributary.j.t.0.guest_1.host_2.0123456789abcdef0123456789abcdef";
    let channel = channel(name).carried(Arc::new(wish));
    a.open(&channel).await.unwrap();
    let frames: Vec<Bytes> = (0..50_u8).map(|i| vec![i; 10].into()).collect();
    a.send(&channel, &frames).await.unwrap();
    a.flush(&channel).await.unwrap();
    let held = Operator::new(id("2"), config).unwrap().held().await.unwrap();
    assert_eq!(held.iter().map(|held| held.frames).collect::<Vec<_>>(), [50], "a message for each frame");
    b.open(&channel).await.unwrap();
    for frame in &frames {
        let delivery = b.receive(&channel).await.unwrap();
        assert_eq!(delivery.frame, frame);
        b.acknowledge(&channel, delivery.receipt).await.unwrap();
    }
    b.remove(&channel).await.unwrap();
}
