//! One task attempt's exchange of values with all its peers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::future::join_all;
use tributary_core::computing::End;
use tributary_core::federation::{Body, Direction, Federation, FederationSpec, Slot, Traffic};
use tributary_core::{Error, ErrorKind, Party, Result, ResultExt};

use crate::clock::Clock;
use crate::frame::{MAX_SLOT_BYTES, slot_fits};
use crate::link::Link;
use crate::push::push;
use crate::reader::Reader;
use crate::traffic::Ledger;

/// [`Federation`] over a queue. Dropped without a close, it closes as failed, so that a party that panics is not waited for.
pub(crate) struct Session {
    spec: FederationSpec,
    piece_bytes: usize,
    clock: Clock,
    ledger: Arc<Ledger>,
    links: Arc<[Arc<Link>]>,
    closed: AtomicBool,
}

impl Session {
    pub(crate) fn new(
        spec: FederationSpec,
        piece_bytes: usize,
        clock: Clock,
        ledger: Arc<Ledger>,
        links: Vec<Arc<Link>>,
    ) -> Self {
        let closed = AtomicBool::new(false);
        Self { spec, piece_bytes, clock, ledger, links: links.into(), closed }
    }

    fn link(&self, peer: &Party) -> Result<&Arc<Link>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Cancelled, "the session was closed"));
        }
        self.links.iter().find(|link| link.peer() == peer).ok_or_else(|| {
            let peers: Vec<String> = self.spec.peers.iter().map(Party::to_string).collect();
            Error::invalid(format!("{peer} is not in this session, which has {}", peers.join(", ")))
        })
    }

    fn receivers(&self, to: &[Party]) -> Result<Vec<Arc<Link>>> {
        if to.is_empty() {
            return Err(Error::invalid("no party to send it to"));
        }
        to.iter().map(|peer| self.link(peer).cloned()).collect()
    }

    fn check(slot: &Slot) -> Result<()> {
        if slot_fits(slot) {
            return Ok(());
        }
        Err(Error::invalid(format!("the slot's name and tag take more than {MAX_SLOT_BYTES} bytes")))
    }

    async fn try_pull(&self, slot: &Slot, from: &Party) -> Result<Body> {
        Self::check(slot)?;
        let link = self.link(from)?;
        let mark = link.mark(slot, Direction::Received)?;
        self.ledger.wait();
        let reader = Reader::wait(link, slot).await?;
        mark.keep();
        reader.body().await
    }
}

#[async_trait]
impl Federation for Session {
    fn spec(&self) -> &FederationSpec {
        &self.spec
    }

    async fn push(&self, slot: &Slot, to: &[Party], body: Body) -> Result<()> {
        let names = || to.iter().map(Party::to_string).collect::<Vec<_>>().join(", ");
        let pushed = async {
            Self::check(slot)?;
            push(&self.receivers(to)?, slot, body, self.piece_bytes).await
        };
        pushed.await.at(|| format!("push slot {slot} to {}", names()))
    }

    async fn pull(&self, slot: &Slot, from: &Party) -> Result<Body> {
        self.try_pull(slot, from).await.at(|| format!("pull slot {slot} from {from}"))
    }

    fn traffic(&self) -> Traffic {
        self.ledger.traffic()
    }

    async fn close(&self, end: End) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        leave(&self.links, end)
            .await
            .at(|| format!("close session {} of {}", self.spec.session, self.spec.own))
    }
}

/// Leaves all peers, even if that fails for some; the first error is returned.
pub(crate) async fn leave(links: &[Arc<Link>], end: End) -> Result<()> {
    join_all(links.iter().map(|link| link.leave(end))).await.into_iter().collect()
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FederationSpec { session, own, peers, .. } = &self.spec;
        write!(f, "session {session} of {own} with {peers:?}")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.closed.load(Ordering::Acquire) {
            let links = self.links.clone();
            // No caller is left that could get an error.
            self.clock.spawn(async move { drop(leave(&links, End::Failed).await) });
        }
    }
}
