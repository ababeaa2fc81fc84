//! Channels in this process's memory. A frame is durable once it is in its channel, since a crash takes sender, channel and
//! receiver alike; for the same reason there is nothing to acknowledge.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Mutex as AsyncMutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tributary_core::{Error, ErrorKind, Result};
use tributary_wire::{Channel, Delivery, Queue, Receipt};

/// Where the parties of one process meet.
#[derive(Default)]
pub struct Hub(Mutex<HashMap<Channel, Line>>);

/// Unbounded, because inboxes always drain. A receiver does not hold the sender: removing the channel wakes it.
struct Line {
    sender: UnboundedSender<Bytes>,
    receiver: Arc<AsyncMutex<UnboundedReceiver<Bytes>>>,
}

impl Hub {
    /// Without channels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of channels that exist; 0 after all sessions were closed.
    pub fn channels(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Channel, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn absent(channel: &Channel) -> Error {
    Error::new(ErrorKind::NotFound, format!("no channel {channel}"))
}

#[async_trait]
impl Queue for Hub {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn open(&self, channel: &Channel) -> Result<()> {
        self.lock().entry(channel.clone()).or_insert_with(|| {
            let (sender, receiver) = unbounded_channel();
            Line { sender, receiver: Arc::new(AsyncMutex::new(receiver)) }
        });
        Ok(())
    }

    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        let channels = self.lock();
        let line = channels.get(channel).ok_or_else(|| absent(channel))?;
        frames.iter().try_for_each(|f| line.sender.send(f.clone()).map_err(|_| absent(channel)))
    }

    async fn flush(&self, _: &Channel) -> Result<()> {
        Ok(())
    }

    async fn receive(&self, channel: &Channel) -> Result<Delivery> {
        let line = self.lock().get(channel).map(|line| line.receiver.clone());
        let line = line.ok_or_else(|| absent(channel))?;
        let frame = line.lock().await.recv().await.ok_or_else(|| absent(channel))?;
        Ok(Delivery { frame, receipt: Receipt(0) })
    }

    async fn acknowledge(&self, _: &Channel, _: Receipt) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, channel: &Channel) -> Result<()> {
        self.lock().remove(channel);
        Ok(())
    }

    async fn finish(&self, _: &Channel) -> Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hub of {} channels", self.channels())
    }
}
