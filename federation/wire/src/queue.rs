//! What a broker has to offer: named channels of byte frames. An engine of this crate's family implements [`Queue`] and
//! nothing else; meeting, sealing, order, once-only, time-outs and spilling stand above it, written once.
//!
//! A queue is trusted with nothing but delivery. Frames come to it sealed, so it need not (and must not try to) look into
//! them; what it loses, repeats or damages is noticed above.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tributary_core::{Party, Result, SessionId};

/// Name of one direction between two parties of one session, and the only place where such names are made.
///
/// At most [`Channel::MAX_BYTES`] of letters, digits, `_`, `-` and `.`: RabbitMQ, Pulsar and file systems take it as it is. It
/// begins with what a person looks for (session, from, to, cut to fit) and ends with a digest, which makes it unique.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(String);

impl Channel {
    /// Longest name.
    pub const MAX_BYTES: usize = 200;

    /// The channel on which `from` sends to `to`.
    pub fn between(session: &SessionId, from: &Party, to: &Party) -> Self {
        let (from, to) = (from.to_string(), to.to_string());
        let mut digest = Sha256::new();
        for part in [session.as_str(), &from, &to] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        let digest = crate::hex(&digest.finalize()[..16]);
        let [session, from, to] = [cut(session.as_str(), 64), cut(&from, 40), cut(&to, 40)];
        Self(format!("tributary.{session}.{from}.{to}.{digest}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ids are ASCII and hold `#` besides what every broker takes.
fn cut(text: &str, bytes: usize) -> String {
    text.chars().take(bytes).map(|c| if c == '#' { '-' } else { c }).collect()
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A queue's own number for a frame it handed out and that was not acknowledged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt(pub u64);

/// One frame from a channel.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// As it was sent, if all went well.
    pub frame: Bytes,
    /// For [`Queue::acknowledge`].
    pub receipt: Receipt,
}

/// A broker.
///
/// - **Delivery** is at least once, in any order: repeated and overtaking frames are sorted out above. A frame may be as long
///   as [`crate::MAX_FRAME_BYTES`].
/// - **Calls are concurrent**: `send` on one channel comes from one task at a time, everything else at any time. There is one
///   receiver a channel. All futures may be dropped half-way; a dropped `receive` must lose nothing.
/// - **Only `receive` waits**, for as long as it takes. Everything else that cannot be done in reasonable time fails with
///   `Unavailable`; retries inside are welcome.
/// - **Futures may be polled by any executor**, since a receiver's engine may pull rows from its own threads: a queue that
///   needs a runtime's reactor keeps a handle to it.
/// - **Leftovers**: both sides open a channel; its receiver removes it at its close, and its sender too where the receiver
///   is known to be gone or was never heard of. What a crash leaves must expire at the broker by itself: `open` sets that up.
#[async_trait]
pub trait Queue: fmt::Debug + Send + Sync + 'static {
    /// As in `service_conf.yaml`: `memory`.
    fn name(&self) -> &'static str;
    /// Makes the channel unless it exists.
    async fn open(&self, channel: &Channel) -> Result<()>;
    /// Sends frames; returns when all of them are durable. A slice, so that a distant broker confirms many in one round trip.
    /// `NotFound` if there is no such channel; it is never made here, else a late frame would bring back what was removed.
    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()>;
    /// Waits for a frame. `NotFound` if there is no such channel, also when it is removed meanwhile.
    async fn receive(&self, channel: &Channel) -> Result<Delivery>;
    /// The frame was taken over and need not be delivered again.
    async fn acknowledge(&self, channel: &Channel, receipt: Receipt) -> Result<()>;
    /// Removes the channel with its frames. No error if there is none.
    async fn remove(&self, channel: &Channel) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_safe_and_differ_by_session_direction_and_party() {
        let long = |c: &str| c.repeat(128);
        let party = |id: &str| Party::new(long("r"), id).unwrap();
        let (a, b) = (party(&long("a")), party(&long("b")));
        let session = |text: &str| SessionId::new(text).unwrap();
        let names = [
            Channel::between(&session(&long("s")), &a, &b),
            Channel::between(&session(&long("s")), &b, &a),
            Channel::between(&session("job#1.psi.0"), &a, &b),
            Channel::between(&session("job-1.psi.0"), &a, &b),
            Channel::between(&session(&long("s")), &a, &party(&format!("{}x", "b".repeat(127)))),
        ];
        for (i, name) in names.iter().enumerate() {
            assert!(name.as_str().len() <= Channel::MAX_BYTES, "{}", name.as_str().len());
            assert!(name.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)), "{name}");
            assert!(names[..i].iter().all(|other| other != name), "{name}");
        }
    }
}
