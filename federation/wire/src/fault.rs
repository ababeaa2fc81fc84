//! A queue that misbehaves on purpose, the same way for the same seed: for tests of everything above a queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tributary_core::{Error, Result};

use crate::queue::{Channel, Delivery, Queue, Receipt};

/// How often each fault happens to a frame: 0.0 never, 1.0 always.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// It never comes. Not allowed to a queue.
    pub lose: f64,
    /// It comes twice.
    pub duplicate: f64,
    /// One bit is another. Not allowed to a queue.
    pub corrupt: f64,
    /// Its end is missing. Not allowed to a queue.
    pub truncate: f64,
    /// It comes later, behind frames that were sent after it.
    pub delay: f64,
    /// How much later, at most.
    pub delay_by: Duration,
}

/// Puts faults into what is sent over any queue. Clones share their randomness.
#[derive(Debug, Clone)]
pub struct Faulty {
    inner: Arc<dyn Queue>,
    faults: Faults,
    random: Arc<AtomicU64>,
    runtime: Handle,
}

impl Faulty {
    /// Must be called within a tokio runtime, which brings the delayed frames.
    pub fn new(inner: Arc<dyn Queue>, faults: Faults, seed: u64) -> Result<Self> {
        let runtime = Handle::try_current()
            .map_err(|e| Error::bug("a faulty queue is made outside of a tokio runtime").because(e))?;
        Ok(Self { inner, faults, random: Arc::new(AtomicU64::new(seed)), runtime })
    }

    /// SplitMix64: the next 64 random bits.
    fn bits(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self.random.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn happens(&self, rate: f64) -> bool {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64 <= rate && rate > 0.0
    }

    fn below(&self, limit: usize) -> usize {
        (self.bits() % limit.max(1) as u64) as usize
    }

    fn damage(&self, frame: &Bytes) -> Bytes {
        let mut bytes = frame.to_vec();
        if self.happens(self.faults.corrupt) && !bytes.is_empty() {
            let at = self.below(bytes.len());
            bytes[at] ^= 1 << self.below(8);
        }
        if self.happens(self.faults.truncate) {
            bytes.truncate(self.below(bytes.len()));
        }
        bytes.into()
    }

    fn send_later(&self, channel: &Channel, frame: Bytes) {
        let after = self.faults.delay_by.mul_f64(self.below(1000) as f64 / 1000.0);
        let (inner, channel) = (self.inner.clone(), channel.clone());
        self.runtime.spawn(async move {
            tokio::time::sleep(after).await;
            // The channel may be gone by now, as it may at a broker.
            drop(inner.send(&channel, &[frame]).await);
        });
    }
}

#[async_trait]
impl Queue for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    async fn open(&self, channel: &Channel) -> Result<()> {
        self.inner.open(channel).await
    }

    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        let mut now = Vec::new();
        for frame in frames {
            let copies = if self.happens(self.faults.duplicate) { 2 } else { 1 };
            for _ in 0..copies {
                if self.happens(self.faults.lose) {
                    continue;
                }
                let frame = self.damage(frame);
                if self.happens(self.faults.delay) {
                    self.send_later(channel, frame);
                } else {
                    now.push(frame);
                }
            }
        }
        self.inner.send(channel, &now).await
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
