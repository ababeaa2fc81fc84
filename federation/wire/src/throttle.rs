//! A queue that sends no faster than its site allows, so that jobs leave room for others on the line. Over any queue, and over all
//! sessions of a site together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::Instant;
use tributary_core::Result;

use crate::clock::Clock;
use crate::queue::{Channel, Delivery, Queue, Receipt};

/// When a site may send next.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes a second; at least 1.
    rate: u64,
    free: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(rate: u64) -> Self {
        Self { rate: rate.max(1), free: Mutex::default() }
    }

    /// Takes a turn for so many bytes; gives when it begins.
    fn turn(&self, now: Instant, bytes: u64) -> Instant {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = free.map_or(now, |free| free.max(now));
        *free = Some(begins + Duration::from_secs_f64(bytes as f64 / self.rate as f64));
        begins
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Throttled {
    inner: Arc<dyn Queue>,
    pace: Arc<Pace>,
    clock: Clock,
}

impl Throttled {
    /// Must be called within a tokio runtime with time.
    pub(crate) fn new(inner: Arc<dyn Queue>, pace: Arc<Pace>) -> Result<Self> {
        Ok(Self { inner, pace, clock: Clock::current()? })
    }
}

#[async_trait]
impl Queue for Throttled {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    async fn open(&self, channel: &Channel) -> Result<()> {
        self.inner.open(channel).await
    }

    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        // One by one: many at once would be a burst.
        for frame in frames {
            let now = self.clock.now();
            let begins = self.pace.turn(now, frame.len() as u64);
            if begins > now {
                self.clock.sleep_until(begins).await;
            }
            self.inner.send(channel, std::slice::from_ref(frame)).await?;
        }
        Ok(())
    }

    async fn flush(&self, channel: &Channel) -> Result<()> {
        self.inner.flush(channel).await
    }

    async fn receive(&self, channel: &Channel) -> Result<Delivery> {
        self.inner.receive(channel).await
    }

    async fn acknowledge(&self, channel: &Channel, receipt: Receipt) -> Result<()> {
        self.inner.acknowledge(channel, receipt).await
    }

    async fn remove(&self, channel: &Channel) -> Result<()> {
        self.inner.remove(channel).await
    }

    async fn finish(&self, channel: &Channel) -> Result<()> {
        self.inner.finish(channel).await
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn turns_follow_each_other_at_the_rate_and_idle_time_is_not_saved_up(
            rate in 1..1_000_000_u64, sent in proptest::collection::vec((0..100_000_u64, 0..10_000_u64), 1..20)
        ) {
            let pace = Pace::new(rate);
            let (mut now, mut end) = (Instant::now(), None::<Instant>);
            for (bytes, idle_ms) in sent {
                now += Duration::from_millis(idle_ms);
                let begins = pace.turn(now, bytes);
                prop_assert_eq!(begins, end.map_or(now, |end| end.max(now)));
                end = Some(begins + Duration::from_secs_f64(bytes as f64 / rate as f64));
            }
        }
    }
}
