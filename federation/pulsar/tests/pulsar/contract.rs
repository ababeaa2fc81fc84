//! What a queue promises, without the wire above it.

use bytes::Bytes;
use tributary_core::ErrorKind;
use tributary_wire::{MAX_FRAME_BYTES, Queue};

use crate::setup::{channel, config, fresh, queue};

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
