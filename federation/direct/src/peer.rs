//! All channels with one other site, over whichever line goes there at the moment.
//!
//! Pure state under one lock that is never held across an await. The newest line is used to send; what comes is taken from all of
//! them, since an old one may still bring something. A site that was started again is noticed by the number of its process: what
//! was open with the earlier one ends with an error that says so, and does not wait for what cannot come.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::Instant;
use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_system::random;

use crate::batch::Batch;
use crate::channel::{Came, Gone, Incoming, Outgoing};
use crate::line::Line;
use crate::message::{Message, Packet, Way, Why};

/// Most channels that a site may have made here without anybody here having opened them.
const MAX_STRANGE: usize = 1024;
/// Most names of removed channels that are remembered, so that a late `Open` does not bring them back.
const MAX_REMEMBERED: usize = 4096;
/// Most lines to one site that stand besides the one in use: when both sites call at once, and after a network was away.
const MAX_OLD_LINES: usize = 2;
/// Most short answers that wait for the line; a site that asks for more without reading them is cut off.
const MAX_ANSWERS: usize = 1 << 14;

/// See the module.
#[derive(Debug)]
pub(crate) struct Peer {
    pub id: PartyId,
    own: PartyId,
    /// Notified when there is no line any more.
    pub lost: Notify,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    own_process: u64,
    line: Option<Arc<Line>>,
    /// Since when there is no line, and why.
    away: Instant,
    why_away: Option<String>,
    process: Option<u64>,
    outgoing: HashMap<u64, Outgoing>,
    names: HashMap<String, u64>,
    next_id: u64,
    incoming: HashMap<String, Incoming>,
    numbered: HashMap<u64, String>,
    strange: usize,
    removed: Remembered,
    removing: HashMap<u64, Arc<Notify>>,
    /// Channels that have something to say.
    ready: VecDeque<u64>,
    /// Channels whose sender is to be told.
    tell: Vec<String>,
    answers: VecDeque<Message>,
    ask: bool,
    /// There is something to say.
    due: bool,
    /// In the line's list of peers with something to say.
    listed: bool,
    /// Older lines, which may still stand.
    others: Vec<Arc<Line>>,
}

/// Names, the oldest of which are forgotten.
#[derive(Debug, Default)]
struct Remembered {
    names: HashSet<String>,
    order: VecDeque<String>,
}

impl Remembered {
    fn add(&mut self, name: &str) {
        if self.names.insert(name.into()) {
            self.order.push_back(name.into());
        }
        // What was opened again is still in the order, and counts.
        while self.order.len() > MAX_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
    }
}

impl Remembered {
    fn remove(&mut self, name: &str) {
        self.names.remove(name);
    }
}

/// When the line is to say something because of what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pace {
    /// Nothing to say.
    Never,
    /// When there is something else to say, or after a moment.
    Soon,
    Now,
}

impl Peer {
    pub(crate) fn new(id: PartyId, own: PartyId, own_process: u64, now: Instant) -> Result<Self> {
        let state = State {
            own_process,
            line: None,
            away: now,
            why_away: None,
            process: None,
            outgoing: HashMap::new(),
            names: HashMap::new(),
            next_id: random::u64()? >> 1,
            incoming: HashMap::new(),
            numbered: HashMap::new(),
            strange: 0,
            removed: Remembered::default(),
            removing: HashMap::new(),
            ready: VecDeque::new(),
            tell: Vec::new(),
            answers: VecDeque::new(),
            ask: false,
            due: false,
            listed: false,
            others: Vec::new(),
        };
        Ok(Self { id, own, lost: Notify::new(), state: Mutex::new(state) })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the line if there is something to say.
    pub(crate) fn wake(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if !state.due || state.listed {
            return;
        }
        let Some(line) = state.line.clone() else { return };
        state.listed = true;
        drop(state);
        line.list(self.clone());
    }

    /// A line goes there from now on.
    pub(crate) fn attach(self: &Arc<Self>, line: Arc<Line>) {
        let mut state = self.lock();
        if state.line.as_ref().is_some_and(|used| used.is_before(&line, &self.own)) {
            state.others.push(line);
            return;
        }
        if let Some(old) = state.line.replace(line) {
            state.others.push(old);
        }
        if state.others.len() > MAX_OLD_LINES {
            state.others.remove(0).stop();
        }
        state.listed = false;
        state.why_away = None;
        state.again();
        self.wake(state);
    }

    /// A line is gone. If it was the one in use, the newest of the others is, if there is one.
    pub(crate) fn detach(self: &Arc<Self>, line: &Line, now: Instant, why: Option<&Error>) {
        let mut state = self.lock();
        state.others.retain(|other| other.id() != line.id());
        if state.line.as_ref().is_none_or(|used| used.id() != line.id()) {
            return;
        }
        state.line = None;
        state.listed = false;
        if let Some(other) = state.others.pop() {
            drop(state);
            return self.attach(other);
        }
        state.away = now;
        state.why_away = why.map(Error::chain);
        state.notify_all();
        drop(state);
        self.lost.notify_one();
    }

    /// What there is to say on this line, if it is the one in use.
    pub(crate) fn fill(self: &Arc<Self>, line: &Line, way: Option<&Way>, batch: &mut Batch) -> Result<()> {
        let mut state = self.lock();
        if state.line.as_ref().is_none_or(|used| used.id() != line.id()) {
            return Ok(());
        }
        state.listed = false;
        state.due = state.fill(way, batch)?;
        self.wake(state);
        Ok(())
    }
}

impl State {
    pub(crate) fn line(&self) -> Option<&Arc<Line>> {
        self.line.as_ref()
    }

    /// Since when there is no line; `None` if there is one.
    pub(crate) fn away(&self) -> Option<Instant> {
        self.line.is_none().then_some(self.away)
    }

    pub(crate) fn why_away(&self) -> Option<&str> {
        self.why_away.as_deref()
    }

    /// A call failed, so there is still no line.
    pub(crate) fn called_in_vain(&mut self, why: &Error) {
        if self.line.is_none() {
            self.why_away = Some(why.chain());
        }
    }

    /// Whether anything is open with the site.
    pub(crate) fn is_idle(&self) -> bool {
        self.outgoing.is_empty() && self.incoming.is_empty()
    }

    fn notify_all(&self) {
        self.outgoing.values().for_each(|out| out.changed().notify_waiters());
        self.incoming.values().for_each(|inbox| inbox.changed().notify_waiters());
    }

    /// All that the other site may not have heard is said again.
    fn again(&mut self) {
        self.due = !self.is_idle() || !self.removing.is_empty();
        if self.due {
            self.answers.push_front(Message::Alive { process: self.own_process });
        }
        self.ready.clear();
        for (id, out) in &mut self.outgoing {
            out.rewind();
            out.listed = true;
            self.ready.push_back(*id);
        }
        self.answers.extend(self.removing.keys().map(|id| Message::Remove { id: *id }));
        for (name, inbox) in self.incoming.iter_mut().filter(|(_, inbox)| !inbox.listed) {
            inbox.listed = true;
            self.tell.push(name.clone());
        }
        self.notify_all();
    }

    // What the queue of this site does.

    pub(crate) fn open_outgoing(&mut self, name: &str) {
        if self.names.contains_key(name) {
            return;
        }
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        self.names.insert(name.into(), id);
        self.outgoing.insert(id, Outgoing::new(name.into()));
        self.ready(id);
    }

    pub(crate) fn open_incoming(&mut self, name: &str) {
        let inbox = self.incoming.entry(name.into()).or_insert_with(Incoming::new);
        if !inbox.is_local() && inbox.id.is_some() {
            self.strange -= 1;
        }
        inbox.make_local();
        self.removed.remove(name);
        self.list(name);
    }

    pub(crate) fn outgoing(&mut self, name: &str) -> Option<(u64, &mut Outgoing)> {
        let id = *self.names.get(name)?;
        Some((id, self.outgoing.get_mut(&id)?))
    }

    pub(crate) fn incoming(&mut self, name: &str) -> Option<&mut Incoming> {
        self.incoming.get_mut(name)
    }

    /// A channel has new frames.
    pub(crate) fn ready(&mut self, id: u64) {
        if let Some(out) = self.outgoing.get_mut(&id).filter(|out| !out.listed) {
            out.listed = true;
            self.ready.push_back(id);
            self.due = true;
        }
    }

    pub(crate) fn ask(&mut self) {
        (self.ask, self.due) = (true, true);
    }

    /// Lists a channel whose sender is to be told.
    pub(crate) fn list(&mut self, name: &str) {
        if let Some(inbox) = self.incoming.get_mut(name).filter(|inbox| !inbox.listed) {
            inbox.listed = true;
            self.tell.push(name.into());
            self.due = true;
        }
    }

    fn answer(&mut self, answer: Message) {
        self.answers.push_back(answer);
        self.due = true;
    }

    /// Notified when the other site has removed it; `None` if it never heard of it.
    pub(crate) fn remove_outgoing(&mut self, name: &str) -> Option<Arc<Notify>> {
        let id = self.names.remove(name)?;
        let mut out = self.outgoing.remove(&id)?;
        let gone = out.gone();
        out.end(Gone::Removed);
        if gone.is_some() || (!out.is_opened() && self.line.is_none()) {
            return None;
        }
        let removed = Arc::new(Notify::new());
        self.removing.insert(id, removed.clone());
        self.answer(Message::Remove { id });
        Some(removed)
    }

    pub(crate) fn is_removing(&self, removed: &Arc<Notify>) -> bool {
        self.removing.values().any(|other| Arc::ptr_eq(other, removed))
    }

    pub(crate) fn remove_incoming(&mut self, name: &str) {
        self.removed.add(name);
        if let Some(id) = self.forget(name) {
            self.answer(Message::Absent { id, why: Why::Removed });
        }
    }

    fn forget(&mut self, name: &str) -> Option<u64> {
        let mut inbox = self.incoming.remove(name)?;
        inbox.end(Gone::Removed);
        let id = inbox.id?;
        self.numbered.remove(&id);
        if !inbox.is_local() {
            self.strange -= 1;
        }
        Some(id)
    }

    /// Removes what the other site made, and nobody opened here between two sweeps.
    pub(crate) fn sweep(&mut self) {
        self.drop_strange(|inbox| std::mem::replace(&mut inbox.old, true));
    }

    fn drop_strange(&mut self, mut which: impl FnMut(&mut Incoming) -> bool) {
        let strange = self.incoming.iter_mut().filter(|(_, inbox)| !inbox.is_local());
        let names: Vec<String> =
            strange.filter_map(|(name, inbox)| which(inbox).then(|| name.clone())).collect();
        for name in names {
            self.forget(&name);
        }
    }

    // What the other site says.

    /// The number of the process there.
    pub(crate) fn hear_process(&mut self, process: u64) {
        if self.process.replace(process).is_none_or(|known| known == process) {
            return;
        }
        self.outgoing.values_mut().filter(|out| out.is_opened()).for_each(|out| out.end(Gone::Restarted));
        self.drop_strange(|_| true);
        let linked = self.incoming.values_mut().filter(|inbox| inbox.id.is_some());
        linked.for_each(|inbox| inbox.end(Gone::Restarted));
        self.removing.drain().for_each(|(_, removed)| removed.notify_waiters());
    }

    /// Takes a message. `Corrupt` if it breaks the rules.
    pub(crate) fn hear(&mut self, packet: Packet) -> Result<Pace> {
        if self.answers.len() > MAX_ANSWERS {
            return Err(corrupt("it asks for more answers than it reads"));
        }
        match packet.message {
            Message::Open { id, name, first, process } => {
                self.hear_process(process);
                self.hear_open(id, &name, first)
            }
            Message::Frame { id, number } => self.hear_frame(id, number, packet.frame),
            Message::Taken { id, have, room } => self.hear_taken(id, have, room),
            Message::Absent { id, why: Why::Unannounced } => {
                if let Some(out) = self.outgoing.get_mut(&id) {
                    out.rewind();
                    self.ready(id);
                }
                Ok(Pace::Now)
            }
            Message::Absent { id, why } => {
                if let Some(out) = self.outgoing.get_mut(&id) {
                    out.end(why.into());
                }
                Ok(Pace::Never)
            }
            Message::Remove { id } => {
                if let Some(name) = self.numbered.get(&id).cloned() {
                    self.forget(&name);
                }
                self.answer(Message::Removed { id });
                Ok(Pace::Now)
            }
            Message::Removed { id } => {
                if let Some(removed) = self.removing.remove(&id) {
                    removed.notify_waiters();
                }
                Ok(Pace::Never)
            }
            Message::Ask => Ok(Pace::Now),
            Message::Alive { process } => {
                self.hear_process(process);
                Ok(Pace::Never)
            }
            Message::Again => {
                self.again();
                Ok(Pace::Now)
            }
        }
    }

    fn hear_open(&mut self, id: u64, name: &str, first: u64) -> Result<Pace> {
        check_name(name)?;
        let absent = |why| Message::Absent { id, why };
        let known = self.incoming.get_mut(name);
        match known {
            None if first > 0 || self.removed.names.contains(name) => self.answer(absent(Why::Removed)),
            None if self.strange >= MAX_STRANGE => self.answer(absent(Why::Full)),
            None => {
                let mut inbox = Incoming::new();
                inbox.id = Some(id);
                self.incoming.insert(name.into(), inbox);
                self.numbered.insert(id, name.into());
                self.strange += 1;
                self.list(name);
            }
            Some(inbox) => {
                // What came before was taken by an earlier process of this site.
                if inbox.id.map_or(first > 0, |known| known != id) {
                    self.answer(absent(Why::Removed));
                    return Ok(Pace::Now);
                }
                inbox.id = Some(id);
                self.numbered.insert(id, name.into());
                self.list(name);
            }
        }
        Ok(Pace::Now)
    }

    fn hear_frame(&mut self, id: u64, number: u64, frame: Bytes) -> Result<Pace> {
        let Some(name) = self.numbered.get(&id) else {
            // Said once for a burst of frames that were on their way.
            let absent = Message::Absent { id, why: Why::Unannounced };
            if self.answers.back() != Some(&absent) {
                self.answer(absent);
            }
            return Ok(Pace::Now);
        };
        let inbox = self.incoming.get_mut(name).ok_or_else(|| Error::bug("a number of no channel"))?;
        let came = inbox.accept(number, frame);
        if !inbox.listed {
            inbox.listed = true;
            self.tell.push(name.clone());
            self.due = true;
        }
        match came {
            // Said with whatever is next; who waits for it asks.
            Came::Kept => Ok(Pace::Never),
            Came::Told => Ok(Pace::Now),
            Came::Beyond => Err(corrupt("it sends more than there is room for")),
        }
    }

    fn hear_taken(&mut self, id: u64, have: u64, room: u64) -> Result<Pace> {
        let Some(out) = self.outgoing.get_mut(&id) else { return Ok(Pace::Never) };
        if !out.taken(have, room) {
            return Err(corrupt("it confirms what was not sent"));
        }
        if !out.has_more() {
            return Ok(Pace::Never);
        }
        self.ready(id);
        Ok(Pace::Now)
    }

    // What the line says.

    /// Fills a batch with what is to be said; returns whether there is more.
    fn fill(&mut self, way: Option<&Way>, batch: &mut Batch) -> Result<bool> {
        let packet = |message, frame| Packet { way: way.cloned(), message, frame };
        while let Some(answer) = self.answers.pop_front() {
            batch.add(&packet(answer, Bytes::new()))?;
        }
        for name in std::mem::take(&mut self.tell) {
            let Some(inbox) = self.incoming.get_mut(&name) else { continue };
            inbox.listed = false;
            if let Some(told) = inbox.tell() {
                batch.add(&packet(told, Bytes::new()))?;
            }
        }
        // One frame of each in turn, so that a long value does not hold up a short one.
        while !batch.is_full()
            && let Some(id) = self.ready.pop_front()
        {
            let Some(out) = self.outgoing.get_mut(&id) else { continue };
            out.listed = false;
            if let Some((message, frame)) = out.say(id, self.own_process) {
                batch.add(&packet(message, frame))?;
                self.ready(id);
            }
        }
        if self.ready.is_empty() && std::mem::take(&mut self.ask) {
            batch.add(&packet(Message::Ask, Bytes::new()))?;
        }
        Ok(!self.ready.is_empty())
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("the site breaks the rules of the line: {what}"))
}

/// Only what a site makes: it is shown in errors.
fn check_name(name: &str) -> Result<()> {
    let safe = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
    let fits = !name.is_empty() && name.bytes().all(safe);
    if fits {
        Ok(())
    } else {
        Err(corrupt("the name of a channel has other characters than packets, digits, `_`, `-` and `.`"))
    }
}
