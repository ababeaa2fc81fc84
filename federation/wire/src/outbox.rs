//! The way out to one peer: numbers, seals and sends frames, one caller at a time.
//!
//! What matters here is that a number is never given to two frames, whatever happens: a caller may stop half-way and a
//! broker may fail. So a frame that was sealed stays here until the queue has taken it, and the next caller sends it
//! first; if it had arrived after all, the peer drops the duplicate.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Mutex;
use tributary_core::Result;

use crate::queue::{Channel, Queue};
use crate::seal::{Plain, Transport};

#[derive(Debug)]
pub(crate) struct Outbox {
    queue: Arc<dyn Queue>,
    channel: Channel,
    turn: Mutex<Turn>,
}

#[derive(Debug, Default)]
struct Turn {
    next: u64,
    unsent: Vec<Bytes>,
}

/// What a call put on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub bytes: u64,
    pub frames: u64,
}

impl Outbox {
    pub(crate) fn new(queue: Arc<dyn Queue>, channel: Channel) -> Self {
        Self { queue, channel, turn: Mutex::default() }
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Sends a hello, which has no number.
    pub(crate) async fn say(&self, hello: Bytes) -> Result<()> {
        self.queue.send(&self.channel, &[hello]).await
    }

    /// Seals and sends what `frames` makes, given the number of the first; returns when the queue has taken it.
    pub(crate) async fn send(
        &self,
        transport: &Transport,
        frames: impl FnOnce(u64) -> Result<Vec<Plain>> + Send,
    ) -> Result<Sent> {
        let mut turn = self.turn.lock().await;
        self.deliver(&mut turn).await?;
        for plain in frames(turn.next)? {
            let sealed = transport.seal(turn.next, plain)?;
            turn.next += 1;
            turn.unsent.push(sealed);
        }
        let bytes = turn.unsent.iter().map(|f| f.len() as u64).sum();
        let sent = Sent { bytes, frames: turn.unsent.len() as u64 };
        self.deliver(&mut turn).await?;
        Ok(sent)
    }

    /// Waits until what was sent is durable.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.queue.flush(&self.channel).await
    }

    async fn deliver(&self, turn: &mut Turn) -> Result<()> {
        if !turn.unsent.is_empty() {
            self.queue.send(&self.channel, &turn.unsent).await?;
            turn.unsent.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use futures::FutureExt;
    use futures::executor::block_on;
    use tributary_core::{Error, ErrorKind};

    use super::*;
    use crate::handshake::tests::{meet, terms};
    use crate::queue::{Delivery, Receipt};

    /// Takes frames; while `stuck`, a send records what it was given and then never ends.
    #[derive(Debug, Default)]
    pub(crate) struct Slow {
        taken: StdMutex<Vec<Bytes>>,
        stuck: AtomicBool,
        /// A site to which there is no way.
        without: Option<&'static str>,
    }

    impl Slow {
        pub(crate) fn stick(&self, stuck: bool) {
            self.stuck.store(stuck, Ordering::Relaxed);
        }

        pub(crate) fn without(site: &'static str) -> Arc<Self> {
            Arc::new(Self { without: Some(site), ..Self::default() })
        }

        pub(crate) fn taken(&self) -> Vec<Bytes> {
            self.taken.lock().unwrap().clone()
        }
    }

    #[async_trait]
    impl Queue for Slow {
        fn name(&self) -> &'static str {
            "slow"
        }
        async fn open(&self, channel: &Channel) -> Result<()> {
            let ends = [channel.from().as_str(), channel.to().as_str()];
            match self.without.filter(|site| ends.contains(site)) {
                Some(site) => Err(Error::new(ErrorKind::NotFound, format!("no way to {site}"))),
                None => Ok(()),
            }
        }
        async fn send(&self, _: &Channel, frames: &[Bytes]) -> Result<()> {
            self.taken.lock().unwrap().extend_from_slice(frames);
            if self.stuck.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            Ok(())
        }
        async fn flush(&self, _: &Channel) -> Result<()> {
            Ok(())
        }
        async fn receive(&self, channel: &Channel) -> Result<Delivery> {
            Err(Error::new(ErrorKind::NotFound, channel.as_str()))
        }
        async fn acknowledge(&self, _: &Channel, _: Receipt) -> Result<()> {
            Ok(())
        }
        async fn remove(&self, _: &Channel) -> Result<()> {
            Ok(())
        }

        async fn finish(&self, _: &Channel) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_number_is_never_used_for_two_frames_when_callers_go_away() {
        let (from, to) = (terms("guest_1", "host_2", 7), terms("host_2", "guest_1", 7));
        let (guest, host) = meet(&from, &to).unwrap();
        let queue = Arc::new(Slow::default());
        let key = crate::handshake::tests::rings().0.channel_key(&from.peer.id).unwrap();
        let channel = Channel::between(&key, &from.session, &from.own, &from.peer).unwrap();
        let outbox = Outbox::new(queue.clone(), channel);
        let one = |text: &'static [u8]| {
            move |_| {
                let mut plain = Plain::with_capacity(text.len());
                plain.extend(text);
                Ok(vec![plain])
            }
        };

        queue.stick(true);
        assert!(outbox.send(&guest, one(b"first")).now_or_never().is_none(), "the caller goes away");
        queue.stick(false);
        assert_eq!(block_on(outbox.send(&guest, one(b"second"))).unwrap().frames, 1);

        let taken = queue.taken();
        let opened: Vec<_> = taken.iter().map(|f| host.open(f).unwrap()).collect();
        let text = |t: &'static [u8]| Bytes::from_static(t);
        assert_eq!(opened, [(0, text(b"first")), (0, text(b"first")), (1, text(b"second"))]);
        assert_eq!(taken[0], taken[1], "repeated, not sealed again");
    }
}
