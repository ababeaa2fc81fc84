//! What comes from one peer, taken as it comes by a task of its own, from the joining of a session to its close. It never
//! waits for a pull: that is why two parties that push to each other cannot block.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{Either, select};
use tributary_core::federation::Direction;
use tributary_core::{Error, ErrorKind, Result};

use crate::frame::Frame;
use crate::link::{Link, Phase, State};
use crate::order::Turn;
use crate::queue::Delivery;
use crate::seal::Transport;
use crate::{hello, seal};

/// Most frames that are taken before waiters are woken: a MiB, about.
const MAX_AT_ONCE: usize = 16;

impl Link {
    pub(crate) async fn run_inbox(self: Arc<Self>) {
        let Err(error) = self.drain().await;
        self.fail(&error.at(format!("receive from {}", self.peer())));
    }

    async fn drain(&self) -> Result<Infallible> {
        loop {
            let next = {
                let receive = self.queue.receive(&self.inbound);
                let wanted = pin!(self.wanted.notified());
                match select(receive, wanted).await {
                    Either::Left((delivery, _)) => Some(delivery),
                    Either::Right(_) => None,
                }
            };
            match next {
                None => self.greet().await.map_err(absent)?,
                Some(delivery) => self.take(delivery.map_err(absent)?).await?,
            }
        }
    }

    /// Takes a frame and those that are there behind it, and then wakes the waiters once: a value of many frames would wake them
    /// with each.
    async fn take(&self, mut delivery: Delivery) -> Result<()> {
        for _ in 0..MAX_AT_ONCE {
            self.accept(delivery.frame).await?;
            self.queue.acknowledge(&self.inbound, delivery.receipt).await?;
            match self.queue.receive(&self.inbound).now_or_never() {
                Some(next) => delivery = next.map_err(absent)?,
                None => {
                    self.notify();
                    return Ok(());
                }
            }
        }
        self.accept(delivery.frame).await?;
        self.queue.acknowledge(&self.inbound, delivery.receipt).await?;
        self.notify();
        Ok(())
    }

    async fn accept(&self, frame: Bytes) -> Result<()> {
        match frame.first() {
            Some(&hello::MARK) => self.hear(&frame).await.map_err(absent),
            Some(&seal::MARK) => self.unseal(&frame),
            _ => {
                self.lock().unauthentic += 1;
                Ok(())
            }
        }
    }

    fn unseal(&self, sealed: &Bytes) -> Result<()> {
        let Some((transport, (number, plain))) = self.open_frame(sealed) else {
            self.lock().unauthentic += 1;
            return Ok(());
        };
        let mut state = self.lock();
        if matches!(state.phase, Phase::Answered(_)) {
            (state.phase, state.transport) = (Phase::Open, Some(transport.clone()));
            state.progress = state.progress.saturating_add(self.renewal_bytes());
        }
        match state.order.admit(number, sealed) {
            Turn::Past | Turn::Later => return Ok(()),
            Turn::Full => {
                let (next, held) = (state.order.next(), state.order.held());
                let text = format!("frame {next} is missing, and {held} later ones came");
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
            Turn::Now => self.take_frame(&mut state, number, &plain, sealed)?,
        }
        while let Some(sealed) = state.order.release() {
            let opened = transport.open(&sealed);
            let (number, plain) = opened.ok_or_else(|| Error::bug("a held frame does not open again"))?;
            self.take_frame(&mut state, number, &plain, &sealed)?;
        }
        Ok(())
    }

    fn open_frame(&self, sealed: &Bytes) -> Option<(Arc<Transport>, (u64, Bytes))> {
        let (known, meetings) = {
            let state = self.lock();
            match &state.phase {
                Phase::Answered(meetings) => (None, meetings.clone()),
                _ => (state.transport.clone(), Vec::new()),
            }
        };
        let transports = known.into_iter().chain(meetings.into_iter().map(|meeting| meeting.transport));
        transports.into_iter().find_map(|transport| Some((transport.clone(), transport.open(sealed)?)))
    }

    /// A frame whose turn it is.
    fn take_frame(&self, state: &mut State, number: u64, plain: &Bytes, sealed: &Bytes) -> Result<()> {
        let (frame, piece) = Frame::decode(plain).filter(|_| state.gone.is_none()).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("frame {number} does not belong to this protocol"))
        })?;
        let (value, last) = match frame {
            Frame::Ready => return Ok(()),
            Frame::Ended(ending) => {
                state.gone = Some(ending);
                return Ok(());
            }
            Frame::Begin { slot, last } => {
                state.store.begin(number, slot)?;
                (number, last)
            }
            Frame::More { value, last } => (value, last),
        };
        state.progress = state.progress.saturating_add(piece.len() as u64);
        let slot = state.store.add(value, piece, last, sealed)?;
        self.ledger.count(&slot, self.peer(), Direction::Received, sealed.len() as u64, 1);
        Ok(())
    }
}

/// A channel that is not there was removed by a peer that ended without having been met.
fn absent(error: Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => {
            let text = "it failed or ended before this party met it; its log says why";
            Error::new(ErrorKind::Cancelled, text).with_private(error.to_string())
        }
        _ => error,
    }
}
