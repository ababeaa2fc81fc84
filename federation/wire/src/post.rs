//! Letters of a site over its queue: a channel in each direction with every site that it knows, for as long as this lives.
//!
//! A channel that is gone is made again: its other end may be a process that has just started.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;
use tributary_core::federation::Post;
use tributary_core::{Error, ErrorKind, PartyId, Result};

use crate::clock::Clock;
use crate::keys::KeyRing;
use crate::letter::{self, Incoming, Piece};
use crate::queue::{Channel, Queue};

/// Letters that have come and were not asked for yet; further ones wait in the queue.
const WAITING: usize = 64;
/// Between two tries at a queue that does not work.
const PAUSE: Duration = Duration::from_millis(50);

/// See the module.
pub(crate) struct Letters {
    own: PartyId,
    keys: Arc<KeyRing>,
    queue: Arc<dyn Queue>,
    arrived: Mutex<mpsc::Receiver<(PartyId, Bytes)>>,
    readers: Vec<JoinHandle<()>>,
}

impl Letters {
    /// Makes the channels and begins to take what comes. A partner to whom there is no way keeps nobody from the others: who writes to it gets the
    /// error. Errors: the first, if there is a way to none.
    pub(crate) async fn open(own: PartyId, keys: Arc<KeyRing>, queue: Arc<dyn Queue>) -> Result<Self> {
        let (clock, (sender, arrived)) = (Clock::current()?, mpsc::channel(WAITING));
        let (mut readers, mut failed) = (Vec::new(), None);
        for peer in keys.sites().filter(|peer| **peer != own) {
            let key = keys.channel_key(peer)?;
            let channel = Channel::of_letters(&key, peer, &own)?;
            if let Err(error) = queue.open(&channel).await {
                failed.get_or_insert(error);
                continue;
            }
            let reader = Reader {
                own: own.clone(),
                peer: peer.clone(),
                keys: keys.clone(),
                queue: queue.clone(),
                channel,
                to: sender.clone(),
            };
            readers.push(clock.spawn(reader.run(clock.clone())));
        }
        if let Some(error) = failed.filter(|_| readers.is_empty()) {
            return Err(error);
        }
        Ok(Self { own, keys, queue, arrived: Mutex::new(arrived), readers })
    }

    /// Brings frames to where they do not depend on this process any more.
    async fn bring(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        self.queue.open(channel).await?;
        self.queue.send(channel, frames).await?;
        self.queue.flush(channel).await
    }
}

#[async_trait]
impl Post for Letters {
    async fn send(&self, to: &PartyId, letter: &[u8]) -> Result<()> {
        let channel = Channel::of_letters(&self.keys.channel_key(to)?, &self.own, to)?;
        let frames = letter::seal(&self.keys, &self.own, to, letter)?;
        match self.bring(&channel, &frames).await {
            Err(error) if error.kind() != ErrorKind::Unavailable => {
                // its other end was in a process that is gone
                self.queue.remove(&channel).await?;
                self.bring(&channel, &frames).await
            }
            sent => sent,
        }
    }

    async fn receive(&self) -> Result<(PartyId, Bytes)> {
        let mut arrived = self.arrived.lock().await;
        arrived.recv().await.ok_or_else(|| Error::new(ErrorKind::Unavailable, "no other site is known here"))
    }
}

impl fmt::Debug for Letters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "letters of {} over {}", self.own, self.queue.name())
    }
}

impl Drop for Letters {
    fn drop(&mut self) {
        self.readers.iter().for_each(JoinHandle::abort);
    }
}

/// Takes the letters of one site.
struct Reader {
    own: PartyId,
    peer: PartyId,
    keys: Arc<KeyRing>,
    queue: Arc<dyn Queue>,
    channel: Channel,
    to: mpsc::Sender<(PartyId, Bytes)>,
}

impl Reader {
    /// Until nobody wants letters any more.
    async fn run(self, clock: Clock) {
        let mut incoming = Incoming::default();
        while !self.to.is_closed() {
            if let Err(error) = self.take(&mut incoming).await {
                clock.sleep_until(clock.now() + PAUSE).await;
                // If one of these fails, so does the next receive. Only what is gone, or ended with the partner's last process, is made anew: after any
                // other error letters may lie there.
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Cancelled) {
                    drop(self.queue.remove(&self.channel).await);
                }
                drop(self.queue.open(&self.channel).await);
            }
        }
    }

    async fn take(&self, incoming: &mut Incoming) -> Result<()> {
        let delivery = self.queue.receive(&self.channel).await?;
        // What is no letter of this site, or was damaged, is as if lost: the layer above sends again.
        if let Some(pieces) = Piece::decode(&delivery.frame).and_then(|piece| incoming.add(piece))
            && let Some(text) = letter::open(&self.keys, &self.peer, &self.own, &pieces)?
        {
            incoming.opened(pieces[0].id);
            drop(self.to.send((self.peer.clone(), text)).await);
        }
        self.queue.acknowledge(&self.channel, delivery.receipt).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use crate::outbox::tests::Slow;

    fn id(text: &str) -> PartyId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn a_partner_without_a_way_keeps_nobody_from_the_others() {
        let secret = || SecretKey::generate().unwrap();
        let ring = KeyRing::new(secret()).with(id("2"), secret().public()).unwrap();
        let to_none = Letters::open(id("1"), Arc::new(ring.clone()), Slow::without("2")).await;
        assert_eq!(to_none.unwrap_err().kind(), ErrorKind::NotFound);
        let ring = Arc::new(ring.with(id("3"), secret().public()).unwrap());
        let letters = Letters::open(id("1"), ring, Slow::without("2")).await.unwrap();
        assert!(letters.send(&id("3"), b"x").await.is_ok());
        assert_eq!(letters.send(&id("2"), b"x").await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
