//! Meeting a peer: the handshake as hellos come and go.
//!
//! All of it runs in the peer's inbox task, from the moment a session is joined. So a party that computes, or that itself
//! waits in a push, still answers, and two parties that need each other at once cannot block.
//!
//! | initiator | responder |
//! |---|---|
//! | | `Knock` when it needs the initiator first |
//! | `First` when it needs the responder, or on `Knock` | |
//! | | `Second` on `First` |
//! | open; a sealed `Ready` on `Second` | open on the first sealed frame |

use std::sync::Arc;

use tributary_core::{Error, ErrorKind, Result};

use crate::frame::Frame;
use crate::handshake;
use crate::hello::{Heard, Hello, Step, VERSION};
use crate::link::{Link, Phase};

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
                state.phase = Phase::Greeted(Box::new(handshake));
                Step::First(first)
            } else {
                state.phase = Phase::Knocked;
                Step::Knock
            }
        };
        self.say(step).await
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
            Step::Knock if self.terms.initiates() => self.greet().await,
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

    /// A newer first message replaces an older one, which may have been a replay; the same one again is a duplicate.
    async fn answer(&self, first: bytes::Bytes) -> Result<()> {
        let known = matches!(&self.lock().phase, Phase::Answered(message) if *message == first);
        if known {
            return Ok(());
        }
        let Some((transport, second)) = handshake::answer(&self.terms, &self.keys, &first)? else {
            return self.refuse(self.unproven()).await;
        };
        {
            let mut state = self.lock();
            state.transport = Some(Arc::new(transport));
            state.phase = Phase::Answered(first);
        }
        self.say(Step::Second(second)).await
    }

    async fn conclude(&self, second: &[u8]) -> Result<()> {
        let phase = std::mem::replace(&mut self.lock().phase, Phase::Fresh);
        let Phase::Greeted(handshake) = phase else { return Ok(()) };
        let Some(transport) = handshake::conclude(*handshake, second)? else {
            return self.refuse(self.unproven()).await;
        };
        let transport = Arc::new(transport);
        {
            let mut state = self.lock();
            state.transport = Some(transport.clone());
            state.phase = Phase::Open;
            state.progress = state.progress.saturating_add(self.renewal_bytes());
        }
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

    fn unproven(&self) -> String {
        let site = &self.terms.peer.id;
        format!("{} does not hold the key of site {site}; {}", self.peer(), self.compare_keys())
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
