//! A queue that repeats what failed because its transport was out of reach for a while. Written once, over any queue: a transport reports
//! `Unavailable` and need not be patient itself.
//!
//! A call may be repeated although it had an effect: frames then come twice, which is allowed, and the other calls are
//! idempotent. Only `Unavailable` is repeated: anything else would fail again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tributary_core::{Error, ErrorKind, Result};

use crate::clock::{Clock, after};
use crate::queue::{Channel, Delivery, Queue, Receipt};

/// The wait before the second try; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub struct Retrying {
    inner: Arc<dyn Queue>,
    patience: Duration,
    clock: Clock,
    counts: Counts,
}

/// What went through, and how often something was repeated.
#[derive(Debug, Default)]
struct Counts {
    sent_frames: AtomicU64,
    sent_bytes: AtomicU64,
    received_frames: AtomicU64,
    received_bytes: AtomicU64,
    repeated: AtomicU64,
}

/// Counts of a queue since it was made. Frames that were sent twice count once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Frames that the queue took.
    pub sent_frames: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Frames that it gave.
    pub received_frames: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Calls that were repeated.
    pub repeated: u64,
}

impl Retrying {
    /// Repeats a call for at most `patience` from its first failure on. Must be called within a tokio runtime with time.
    pub fn new(inner: Arc<dyn Queue>, patience: Duration) -> Result<Self> {
        Ok(Self { inner, patience, clock: Clock::current()?, counts: Counts::default() })
    }

    /// What it counted.
    pub fn metrics(&self) -> Metrics {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Metrics {
            sent_frames: read(&self.counts.sent_frames),
            sent_bytes: read(&self.counts.sent_bytes),
            received_frames: read(&self.counts.received_frames),
            received_bytes: read(&self.counts.received_bytes),
            repeated: read(&self.counts.repeated),
        }
    }

    async fn retry<T, F: Future<Output = Result<T>>>(&self, call: impl Fn() -> F) -> Result<T> {
        let (mut end, mut wait) = (None, FIRST_WAIT);
        loop {
            let error = match call().await {
                Err(error) if error.kind() == ErrorKind::Unavailable => error,
                result => return result,
            };
            let now = self.clock.now();
            let end = *end.get_or_insert_with(|| after(now, self.patience));
            if now >= end {
                return Err(self.late(error));
            }
            self.counts.repeated.fetch_add(1, Ordering::Relaxed);
            self.clock.sleep_until((now + wait).min(end)).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn late(&self, error: Error) -> Error {
        error.at(format!("{} was tried again for {:?}", self.inner.name(), self.patience))
    }
}

fn add(frames: &AtomicU64, bytes: &AtomicU64, added: &[Bytes]) {
    frames.fetch_add(added.len() as u64, Ordering::Relaxed);
    bytes.fetch_add(added.iter().map(|frame| frame.len() as u64).sum(), Ordering::Relaxed);
}

#[async_trait]
impl Queue for Retrying {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn open(&self, channel: &Channel) -> Result<()> {
        self.retry(|| self.inner.open(channel)).await
    }

    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        self.retry(|| self.inner.send(channel, frames)).await?;
        add(&self.counts.sent_frames, &self.counts.sent_bytes, frames);
        Ok(())
    }

    async fn flush(&self, channel: &Channel) -> Result<()> {
        self.retry(|| self.inner.flush(channel)).await
    }

    async fn receive(&self, channel: &Channel) -> Result<Delivery> {
        let delivery = self.retry(|| self.inner.receive(channel)).await?;
        let Counts { received_frames, received_bytes, .. } = &self.counts;
        add(received_frames, received_bytes, std::slice::from_ref(&delivery.frame));
        Ok(delivery)
    }

    async fn acknowledge(&self, channel: &Channel, receipt: Receipt) -> Result<()> {
        self.retry(|| self.inner.acknowledge(channel, receipt)).await
    }

    async fn remove(&self, channel: &Channel) -> Result<()> {
        self.retry(|| self.inner.remove(channel)).await
    }

    async fn finish(&self, channel: &Channel) -> Result<()> {
        self.retry(|| self.inner.finish(channel)).await
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Fails so many times, with an error of this kind, and then works.
    #[derive(Debug)]
    struct Failing(AtomicU64, ErrorKind);

    impl Failing {
        fn call(&self) -> Result<()> {
            let left = self.0.load(Ordering::Relaxed);
            self.0.store(left.saturating_sub(1), Ordering::Relaxed);
            if left == 0 { Ok(()) } else { Err(Error::new(self.1, "the cable is out")) }
        }
    }

    #[async_trait]
    impl Queue for Failing {
        fn name(&self) -> &'static str {
            "failing"
        }
        async fn open(&self, _: &Channel) -> Result<()> {
            self.call()
        }
        async fn send(&self, _: &Channel, _: &[Bytes]) -> Result<()> {
            self.call()
        }
        async fn flush(&self, _: &Channel) -> Result<()> {
            self.call()
        }
        async fn receive(&self, _: &Channel) -> Result<Delivery> {
            self.call().map(|()| Delivery { frame: Bytes::from_static(b"12"), receipt: Receipt(0) })
        }
        async fn acknowledge(&self, _: &Channel, _: Receipt) -> Result<()> {
            self.call()
        }
        async fn remove(&self, _: &Channel) -> Result<()> {
            self.call()
        }

        async fn finish(&self, _: &Channel) -> Result<()> {
            self.call()
        }
    }

    fn failing(times: u64, kind: ErrorKind) -> (Retrying, Channel) {
        let inner = Arc::new(Failing(AtomicU64::new(times), kind));
        let channel = Channel::named("c", "1".parse().unwrap(), "2".parse().unwrap()).unwrap();
        (Retrying::new(inner, Duration::from_secs(60)).unwrap(), channel)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_out_of_reach_for_a_while_is_tried_again_and_counted() {
        let (queue, channel) = failing(5, ErrorKind::Unavailable);
        queue.send(&channel, &[Bytes::from_static(b"123")]).await.unwrap();
        queue.receive(&channel).await.unwrap();
        let expected =
            Metrics { sent_frames: 1, sent_bytes: 3, received_frames: 1, received_bytes: 2, repeated: 5 };
        assert_eq!(queue.metrics(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_other_errors_are_returned_at_once() {
        let (queue, channel) = failing(u64::MAX, ErrorKind::Unavailable);
        let start = Instant::now();
        let error = queue.open(&channel).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (ErrorKind::Unavailable, Duration::from_secs(60)));
        assert!(error.to_string().contains("failing was tried again for 60s"), "{error}");
        let (queue, channel) = failing(1, ErrorKind::NotFound);
        assert_eq!(queue.flush(&channel).await.unwrap_err().kind(), ErrorKind::NotFound);
        queue.remove(&channel).await.unwrap();
        assert_eq!(queue.metrics().repeated, 0);
    }
}
