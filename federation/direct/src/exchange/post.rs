//! What an exchange has for one site: a queue while a line stands, and what is held while none does.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tributary_core::{PartyId, Result};

use super::SiteState;
use super::held::{Held, Kept};
use crate::batch::Batch;
use crate::line::Line;
use crate::message::{Message, Packet, Way, Why};

/// Bytes in the queue of a site from which on those who fill it are not read.
const FULL_BYTES: usize = 32 << 20;

/// Most ways to a site that are remembered. Senders beyond them have to notice by themselves what was lost.
const MAX_WAYS: usize = 1 << 14;

/// See the module.
#[derive(Debug)]
pub(super) struct Post {
    pub site: PartyId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    line: Option<Arc<Line>>,
    queue: VecDeque<Packet>,
    queue_bytes: usize,
    held: Option<Held>,
    /// On which ways something was sent here.
    senders: HashSet<Way>,
    /// Something was dropped: the senders have to say it again.
    dropped: bool,
    /// Lines that wait until the queue is shorter.
    waiting: Vec<Waker>,
    /// Of what this site sent: where it has to be stored before it is confirmed.
    owed: Vec<Arc<Post>>,
    /// Whose queue is too long for more of this site.
    waits_for: Option<Arc<Post>>,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Posted {
    Sent,
    /// It was taken, and no more should be read of who sent it.
    Full,
    /// It is held, and to be stored.
    Held,
}

impl Post {
    pub(super) fn new(site: PartyId, held: Option<Held>) -> Self {
        let (line, queue, senders, waiting, owed, waits_for) = Default::default();
        let state =
            State { line, queue, queue_bytes: 0, held, senders, dropped: false, waiting, owed, waits_for };
        Self { site, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> SiteState {
        let state = self.lock();
        SiteState { is_there: state.line.is_some(), held_bytes: state.held.as_ref().map_or(0, Held::bytes) }
    }

    /// A line with the site stands. Returns who has to say something again.
    pub(super) fn attach(&self, line: Arc<Line>) -> Vec<Way> {
        let mut state = self.lock();
        state.clear_queue();
        if let Some(held) = &mut state.held {
            held.rewind();
        }
        if let Some(old) = state.line.replace(line.clone()) {
            // What was on its way there is lost.
            state.dropped = true;
            old.stop();
        }
        let again = state.again_if_caught_up();
        drop(state);
        line.nudge();
        again
    }

    /// A line is gone. If it was the one in use, what was on its way has to be said again, by these.
    pub(super) fn detach(&self, line: &Line) -> Vec<Way> {
        let mut state = self.lock();
        if state.line.as_ref().is_none_or(|used| used.id() != line.id()) {
            return Vec::new();
        }
        state.line = None;
        state.clear_queue();
        state.dropped = false;
        state.senders.iter().cloned().collect()
    }

    /// Takes a packet for the site.
    pub(super) fn post(&self, way: &Way, packet: Packet) -> Posted {
        let mut state = self.lock();
        let is_kind_to_hold =
            matches!(packet.message, Message::Open { .. } | Message::Frame { .. } | Message::Remove { .. });
        if is_kind_to_hold {
            state.remember(way);
        }
        let is_behind = state.held.as_ref().is_some_and(|held| !held.is_caught_up());
        if state.line.is_some() && !(is_behind && is_kind_to_hold) {
            return state.push(packet);
        }
        if !is_kind_to_hold {
            // It will be said again, or means nothing by then.
            return Posted::Sent;
        }
        match state.held.as_mut().map(|held| held.add(way, &packet)) {
            Some(Kept::Yes) => {
                if let Some(line) = &state.line {
                    line.nudge();
                }
                Posted::Held
            }
            Some(Kept::Known) => Posted::Held,
            Some(Kept::No) | None => {
                state.dropped = true;
                Posted::Sent
            }
        }
    }

    /// Says something to the site, if a line stands.
    pub(super) fn push(&self, packet: Packet) {
        let mut state = self.lock();
        if state.line.is_some() {
            state.push(packet);
        }
    }

    /// What the site itself says about what is held for it.
    pub(super) fn hear_own(&self, way: &Way, message: &Message) {
        let mut state = self.lock();
        let Some(held) = &mut state.held else { return };
        match message {
            Message::Taken { id, have, .. } => held.confirm(way.back(), *id, *have),
            Message::Absent { why: Why::Unannounced, .. } => {}
            Message::Absent { id, .. } | Message::Removed { id } => held.confirm(way.back(), *id, u64::MAX),
            _ => {}
        }
    }

    /// Makes what is held durable, and returns what its senders may be told.
    pub(super) fn store(&self) -> Result<Vec<(Way, Message)>> {
        self.lock().held.as_mut().map_or(Ok(Vec::new()), Held::store)
    }

    /// What there is to say on the site's line. Returns who has to say something again.
    pub(super) fn fill(&self, line: &Line, batch: &mut Batch) -> Result<Vec<Way>> {
        let mut state = self.lock();
        if state.line.as_ref().is_none_or(|used| used.id() != line.id()) {
            return Ok(Vec::new());
        }
        while !batch.is_full()
            && let Some(packet) = state.queue.pop_front()
        {
            state.queue_bytes -= packet.cost();
            batch.add(&packet)?;
        }
        if state.queue_bytes < FULL_BYTES / 2 {
            state.waiting.drain(..).for_each(Waker::wake);
        }
        if let Some(held) = &mut state.held {
            while !batch.is_full()
                && let Some(packet) = held.next()?
            {
                batch.add(&packet)?;
            }
            held.tidy()?;
        }
        Ok(state.again_if_caught_up())
    }

    /// What this site sent is held there, and to be stored.
    pub(super) fn owe(&self, post: Arc<Post>) {
        let mut state = self.lock();
        if !state.owed.iter().any(|known| Arc::ptr_eq(known, &post)) {
            state.owed.push(post);
        }
    }

    /// Where something this site sent is to be stored.
    pub(super) fn owed(&self) -> Vec<Arc<Post>> {
        std::mem::take(&mut self.lock().owed)
    }

    /// No more of this site until that queue is shorter.
    pub(super) fn wait_for(&self, post: Arc<Post>) {
        self.lock().waits_for = Some(post);
    }

    /// Whether more of this site may be read.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(post) = self.lock().waits_for.clone() else { return Poll::Ready(()) };
        {
            let mut theirs = post.lock();
            if theirs.queue_bytes >= FULL_BYTES / 2 {
                if !theirs.waiting.iter().any(|known| known.will_wake(cx.waker())) {
                    theirs.waiting.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
        }
        self.lock().waits_for = None;
        Poll::Ready(())
    }
}

impl State {
    fn push(&mut self, packet: Packet) -> Posted {
        self.queue_bytes += packet.cost();
        self.queue.push_back(packet);
        if let Some(line) = &self.line {
            line.nudge();
        }
        if self.queue_bytes >= FULL_BYTES { Posted::Full } else { Posted::Sent }
    }

    fn remember(&mut self, way: &Way) {
        if self.senders.len() < MAX_WAYS && !self.senders.contains(way) {
            self.senders.insert(way.clone());
        }
    }

    fn clear_queue(&mut self) {
        self.dropped |= !self.queue.is_empty();
        self.queue.clear();
        self.queue_bytes = 0;
        self.waiting.drain(..).for_each(Waker::wake);
    }

    /// Who sent what was dropped, once nothing older is to be said first.
    fn again_if_caught_up(&mut self) -> Vec<Way> {
        if !self.dropped || self.held.as_ref().is_some_and(|held| !held.is_caught_up()) {
            return Vec::new();
        }
        self.dropped = false;
        self.senders.iter().cloned().collect()
    }
}
