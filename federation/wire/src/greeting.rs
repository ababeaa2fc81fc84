//! Meeting a peer: the handshake as hellos come and go.
//!
//! A broker's other users can put what they saw before into a channel. So a message that does not prove the peer's key for this session is counted and
//! passed over, and one that does may still be a replay: the responder answers both, and sees from the first sealed frame which it was.
//!
//! All of it runs in the peer's inbox task, from the moment a session is joined. So a party that computes, or that itself
//! waits in a push, still answers, and two parties that need each other at once cannot block.
//!
//! | initiator | responder |
//! |---|---|
//! | | `Knock` when it needs the initiator and has heard nothing of it |
//! | `First` when it needs the responder, or on `Knock` | |
//! | | `Second` on `First` |
//! | open; a sealed `Ready` on `Second` | open on the first sealed frame |

use std::sync::Arc;

use tributary_core::{Error, ErrorKind, Result};

use crate::frame::Frame;
use crate::handshake;
use crate::hello::{Heard, Hello, Step, VERSION};
use crate::link::{Link, Meeting, Phase};
use crate::seal::Transport;

/// Most first messages that are answered. Nobody but the peer can make one; those of earlier processes with the same session can be replayed.
const MEETINGS: usize = 8;

impl Link {
    /// This party's first hello, once.
    pub(crate) async fn greet(&self) -> Result<()> {
        let step = {
            let mut state = self.lock();
            if !matches!(state.phase, Phase::Fresh) {
                return Ok(());
            }
            if self.terms.initiates() {
                let (handshake, first) = handshake::begin(&self.terms, &self.keys)?;
                state.phase = Phase::Greeted(Box::new(handshake), Some(first.clone()));
                Step::First(first)
            } else {
                state.phase = Phase::Knocked;
                Step::Knock
            }
        };
        self.say(step).await
    }

    /// A peer that knocks has not heard this party's first hello, or not yet.
    async fn greet_again(&self) -> Result<()> {
        let again = match &mut self.lock().phase {
            Phase::Greeted(_, first) => first.take(),
            _ => None,
        };
        match again {
            Some(first) => self.say(Step::First(first)).await,
            None => self.greet().await,
        }
    }

    pub(crate) async fn say(&self, step: Step) -> Result<()> {
        self.outbox.say(Hello { job_hash: self.terms.job_hash, step }.encode()?).await
    }

    /// Takes a hello. Once the link is open all of them are late, or forged.
    pub(crate) async fn hear(&self, frame: &[u8]) -> Result<()> {
        let hello = {
            let mut state = self.lock();
            if matches!(state.phase, Phase::Open) {
                return Ok(());
            }
            match Hello::decode(frame) {
                Heard::Garbled => {
                    state.unauthentic += 1;
                    return Ok(());
                }
                heard => {
                    state.heard = true;
                    heard
                }
            }
        };
        let (peer, own) = (self.peer(), &self.terms.own);
        let hello = match hello {
            Heard::Hello(hello) if hello.job_hash == self.terms.job_hash => hello,
            Heard::Hello(hello) => {
                let (theirs, ours) = (hello.job_hash, self.terms.job_hash);
                let text = format!(
                    "{peer} runs another plan (hash {theirs}…, here {ours}…); start the job again so that all sites agree"
                );
                return self.refuse(text).await;
            }
            Heard::Foreign(version) => {
                let text = format!(
                    "{peer} speaks version {version} of the protocol, {own} {VERSION}; upgrade the older"
                );
                return self.refuse(text).await;
            }
            Heard::Garbled => return Ok(()),
        };
        match hello.step {
            Step::Knock if self.terms.initiates() => self.greet_again().await,
            Step::First(message) if !self.terms.initiates() => self.answer(message).await,
            Step::Second(message) if self.terms.initiates() => self.conclude(&message).await,
            Step::Refused => {
                Err(Error::new(ErrorKind::Denied, format!("{peer} refused; {}", self.compare_keys())))
            }
            Step::Left => {
                Err(Error::new(ErrorKind::Cancelled, format!("{peer} left before the handshake was over")))
            }
            Step::Knock | Step::First(_) | Step::Second(_) => Ok(()),
        }
    }

    /// The same message again is a duplicate.
    async fn answer(&self, first: bytes::Bytes) -> Result<()> {
        let is_known = |meetings: &[Meeting]| meetings.iter().any(|meeting| meeting.first == first);
        if matches!(&self.lock().phase, Phase::Answered(meetings) if is_known(meetings)) {
            return Ok(());
        }
        let Some((transport, second)) = handshake::answer(&self.terms, &self.keys, &first)? else {
            self.lock().unauthentic += 1;
            return Ok(());
        };
        {
            let mut state = self.lock();
            let transport = Arc::new(transport);
            let mut meetings = match std::mem::replace(&mut state.phase, Phase::Fresh) {
                Phase::Answered(meetings) => meetings,
                _ => Vec::new(),
            };
            if meetings.len() == MEETINGS {
                meetings.remove(0);
            }
            meetings.push(Meeting { first, transport: transport.clone() });
            (state.phase, state.transport) = (Phase::Answered(meetings), Some(transport));
        }
        self.say(Step::Second(second)).await
    }

    async fn conclude(&self, second: &[u8]) -> Result<()> {
        let transport = {
            let mut state = self.lock();
            let Phase::Greeted(handshake, _) = &mut state.phase else { return Ok(()) };
            if !handshake::read(handshake, second) {
                state.unauthentic += 1;
                return Ok(());
            }
            let Phase::Greeted(handshake, _) = std::mem::replace(&mut state.phase, Phase::Open) else {
                return Ok(());
            };
            let transport = Arc::new(Transport::new(*handshake)?);
            state.transport = Some(transport.clone());
            state.progress = state.progress.saturating_add(self.renewal_bytes());
            transport
        };
        self.outbox.send(&transport, |_| Ok(vec![Frame::Ready.alone()?])).await?;
        self.notify();
        Ok(())
    }

    /// Shows the peer what is here, so that its operator sees the difference too.
    async fn refuse(&self, why: String) -> Result<()> {
        let error = Error::new(ErrorKind::Denied, why);
        match self.say(Step::Refused).await {
            Err(unsaid) => Err(error.because(unsaid)),
            Ok(()) => Err(error),
        }
    }

    pub(crate) fn compare_keys(&self) -> String {
        let (own, site) = (&self.terms.own.id, &self.terms.peer.id);
        let ours = self.keys.own_public();
        let theirs = self.keys.of(site).map_or("none".into(), |key| format!("{key:?}"));
        format!(
            "compare what both sites have registered: {own} has key {ours:?}, {site} has key {theirs} as known here"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::tests::on;
    use crate::outbox::tests::Slow;

    #[tokio::test]
    async fn a_first_hello_that_was_lost_is_repeated_once() {
        let queue = Arc::<Slow>::default();
        let link = on(queue.clone());
        link.greet().await.unwrap();
        let knock = Hello { job_hash: link.terms.job_hash, step: Step::Knock }.encode().unwrap();
        for _ in 0..3 {
            link.hear(&knock).await.unwrap();
        }
        let taken = queue.taken();
        assert_eq!((taken.len(), &taken[0]), (2, &taken[1]), "the same: keys agree whichever is answered");
    }
}
