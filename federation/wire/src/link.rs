//! One peer of a session: what is known of it, and waiting for it.
//!
//! The state is under one lock that is never held across an await. A waiter subscribes to changes first and looks
//! second, so nothing is missed. The peer's frames come in through [`crate::inbox`], the handshake is [`crate::greeting`].

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use snow::HandshakeState;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tributary_core::computing::End;
use tributary_core::federation::{Carriage, Direction, Slot};
use tributary_core::{Error, ErrorKind, Party, Result, ResultExt};

use crate::clock::{Clock, after};
use crate::frame::{Ending, Frame, Last};
use crate::handshake::Terms;
use crate::hello::Step;
use crate::keys::KeyRing;
use crate::limits::Limits;
use crate::order::Order;
use crate::outbox::Outbox;
use crate::push::Piece;
use crate::queue::{Channel, Queue};
use crate::seal::Transport;
use crate::store::{Budget, Store};
use crate::traffic::Ledger;

/// How long a session that failed tries to say so.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) terms: Terms,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) queue: Arc<dyn Queue>,
    pub(crate) inbound: Channel,
    pub(crate) outbox: Outbox,
    pub(crate) clock: Clock,
    pub(crate) patience: Duration,
    pub(crate) limits: Limits,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) wanted: Notify,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    inbox: OnceLock<AbortHandle>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub phase: Phase,
    /// From `Answered` on; until the link is open, of the newest meeting.
    pub transport: Option<Arc<Transport>>,
    /// Whether anything sensible ever came: the peer's session exists, or existed.
    pub heard: bool,
    /// How the peer ended its session.
    pub gone: Option<Ending>,
    /// Why this link gives nothing more.
    pub broken: Option<Failure>,
    pub order: Order,
    pub store: Store,
    /// Bytes of values that came in order. Agreeing on keys counts as enough to restart a patience.
    pub progress: u64,
    /// Frames that did not authenticate: damaged, or not of this peer.
    pub unauthentic: u64,
    used: HashSet<(Direction, Slot)>,
}

/// How far the handshake is.
#[derive(Debug)]
pub(crate) enum Phase {
    Fresh,
    /// The responder asked for the handshake.
    Knocked,
    /// The initiator sent the first message, which it has kept: what waits for long at a broker expires. Sent again once, it is taken out.
    Greeted(Box<HandshakeState>, Option<Bytes>),
    /// The responder answered these first messages; which one is no replay shows with the first sealed frame.
    Answered(Vec<Meeting>),
    Open,
}

/// A first message, and the keys that come of it.
#[derive(Debug, Clone)]
pub(crate) struct Meeting {
    pub first: Bytes,
    pub transport: Arc<Transport>,
}

/// An error that can be returned more than once.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    kind: ErrorKind,
    text: String,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        Self { kind: error.kind(), text: error.chain() }
    }
}

impl Failure {
    pub(crate) fn error(&self) -> Error {
        Error::new(self.kind, self.text.clone())
    }
}

/// What a link needs from its session.
pub(crate) struct Setting {
    pub keys: Arc<KeyRing>,
    pub queue: Arc<dyn Queue>,
    pub clock: Clock,
    pub patience: Duration,
    pub carriage: Arc<Carriage>,
    pub ledger: Arc<Ledger>,
    pub budget: Arc<Budget>,
    pub limits: Limits,
    /// Number of peers in the session.
    pub peers: usize,
}

/// How long a peer is waited for, over all waits for one value. Bytes restart it, and not frames: otherwise a peer
/// that sends one byte at a time would be waited for without end.
#[derive(Debug)]
pub(crate) struct Patience {
    left: Duration,
    /// The peer's progress when it began.
    since: u64,
}

impl Link {
    pub(crate) fn new(terms: Terms, setting: &Setting) -> Result<Self> {
        let Setting { keys, queue, clock, patience, carriage, ledger, budget, limits, peers } = setting;
        let key = keys.channel_key(&terms.peer.id)?;
        let channel = |from: &Party, to: &Party| {
            Ok::<_, Error>(Channel::between(&key, &terms.session, from, to)?.carried(carriage.clone()))
        };
        let outbound = channel(&terms.own, &terms.peer)?;
        Ok(Self {
            inbound: channel(&terms.peer, &terms.own)?,
            outbox: Outbox::new(queue.clone(), outbound),
            keys: keys.clone(),
            queue: queue.clone(),
            clock: clock.clone(),
            patience: *patience,
            limits: *limits,
            ledger: ledger.clone(),
            wanted: Notify::new(),
            state: Mutex::new(State {
                phase: Phase::Fresh,
                transport: None,
                heard: false,
                gone: None,
                broken: None,
                order: Order::of_peers(*peers),
                store: Store::new(budget.clone()),
                progress: 0,
                unauthentic: 0,
                used: HashSet::new(),
            }),
            changed: watch::Sender::new(()),
            inbox: OnceLock::new(),
            terms,
        })
    }

    /// Makes the channels and begins to take what comes.
    pub(crate) async fn open(self: &Arc<Self>) -> Result<()> {
        self.queue.open(&self.inbound).await?;
        self.queue.open(self.outbox.channel()).await?;
        self.inbox.get_or_init(|| self.clock.spawn(self.clone().run_inbox()).abort_handle());
        Ok(())
    }

    pub(crate) fn peer(&self) -> &Party {
        &self.terms.peer
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes all waiters. After the lock is free.
    pub(crate) fn notify(&self) {
        self.changed.send_replace(());
    }

    /// The first failure stays.
    pub(crate) fn fail(&self, error: &Error) {
        self.lock().broken.get_or_insert_with(|| error.into());
        self.notify();
    }

    /// Takes a slot for one use in one direction; `AlreadyExists` if it had one.
    pub(crate) fn mark(self: &Arc<Self>, slot: &Slot, direction: Direction) -> Result<Mark> {
        let entry = (direction, slot.clone());
        if !self.lock().used.insert(entry.clone()) {
            let (verb, way) = match direction {
                Direction::Sent => ("pushed", "to"),
                Direction::Received => ("pulled", "from"),
            };
            let text = format!("slot {slot} was {verb} {way} {} already; use another tag", self.peer());
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        Ok(Mark { link: self.clone(), entry, kept: false })
    }

    /// Waits until the keys are agreed on; `None` if the peer is done and gone, and so needs nothing any more.
    pub(crate) async fn meet(&self) -> Result<Option<Arc<Transport>>> {
        self.want();
        let mut patience = self.patience();
        self.wait(&mut patience, |state| match (&state.phase, state.gone) {
            _ if state.broken.is_some() => None,
            (_, Some(Ending::Done)) => Some(Ok(None)),
            (Phase::Open, None) => Some(Ok(state.transport.clone())),
            _ => None,
        })
        .await
    }

    /// Makes the inbox begin the handshake if neither side did.
    pub(crate) fn want(&self) {
        if matches!(self.lock().phase, Phase::Fresh) {
            self.wanted.notify_one();
        }
    }

    /// The patience with which a value is waited for from now on.
    pub(crate) fn patience(&self) -> Patience {
        Patience { left: self.patience, since: self.lock().progress }
    }

    /// Bytes that restart a patience.
    pub(crate) fn renewal_bytes(&self) -> u64 {
        self.limits.renewal_bytes(self.patience)
    }

    /// Waits until `ready` gives something, as long as patience lasts.
    pub(crate) async fn wait<T>(
        &self,
        patience: &mut Patience,
        mut ready: impl FnMut(&mut State) -> Option<Result<T>> + Send,
    ) -> Result<T> {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let mut state = self.lock();
                if let Some(result) = ready(&mut state) {
                    return result;
                }
                self.check(&state)?;
                if state.progress - patience.since >= self.renewal_bytes() {
                    *patience = Patience { left: self.patience, since: state.progress };
                }
                if patience.left.is_zero() {
                    return Err(self.silence(&state, patience));
                }
            }
            let began = self.clock.now();
            let end = after(began, patience.left);
            let change = pin!(changed.changed());
            let late = pin!(self.clock.sleep_until(end));
            patience.left = match select(change, late).await {
                Either::Left(_) => end.saturating_duration_since(self.clock.now()),
                Either::Right(_) => Duration::ZERO,
            };
        }
    }

    fn check(&self, state: &State) -> Result<()> {
        if let Some(failure) = &state.broken {
            return Err(failure.error());
        }
        let peer = self.peer();
        let text = match state.gone {
            None => return Ok(()),
            Some(Ending::Done) => format!("{peer} ended its session without sending this"),
            Some(Ending::Failed) => format!("{peer} failed and left the session; its log says why"),
        };
        Err(Error::new(ErrorKind::Cancelled, text))
    }

    fn silence(&self, state: &State, waited: &Patience) -> Error {
        let (peer, patience) = (self.peer(), self.patience);
        let came = state.progress - waited.since;
        let mut text = match (&state.phase, state.order.held()) {
            (Phase::Open, 0) if came > 0 => format!(
                "{peer} sent {came} bytes in {patience:?}, expected at least {} (federation.least_rate); see whether the line is slow",
                self.renewal_bytes()
            ),
            (Phase::Open, 0) => format!("{peer} was silent for {patience:?}"),
            (Phase::Open, held) => {
                let next = state.order.next();
                format!("frame {next} from {peer} is missing for {patience:?}; {held} later ones came")
            }
            _ if state.heard => {
                format!("{peer} did not finish the handshake within {patience:?}; {}", self.compare_keys())
            }
            // With other keys than the peer's, this site waits at another channel.
            _ => format!(
                "{peer} did not join the session within {patience:?}; see whether its task runs, and {}",
                self.compare_keys()
            ),
        };
        if state.unauthentic > 0 {
            text.push_str(&format!("; {} frames from {peer} failed authentication", state.unauthentic));
        }
        Error::new(ErrorKind::Timeout, text)
    }

    /// Sends pieces of one value; `value` is its name from the first on.
    pub(crate) async fn send(
        &self,
        slot: &Slot,
        value: &mut Option<u64>,
        pieces: &[Piece],
        last: Option<Last>,
    ) -> Result<()> {
        let Some(transport) = self.meet().await? else { return Ok(()) };
        let frames = |first: u64| {
            let frame = |(i, piece): (usize, &Piece)| {
                let last = last.filter(|_| i + 1 == pieces.len());
                let frame = match *value {
                    Some(value) => Frame::More { value, last },
                    None => Frame::Begin { slot: slot.clone(), last },
                };
                value.get_or_insert(first + i as u64);
                frame.encode(piece)
            };
            pieces.iter().enumerate().map(frame).collect()
        };
        // A queue whose reader is gone may stay full.
        let sent = match select(pin!(self.outbox.send(&transport, frames)), pin!(self.done())).await {
            Either::Left((sent, _)) => sent,
            Either::Right((done, _)) => {
                return done.at(|| format!("{} takes nothing of {slot}", self.peer()));
            }
        };
        match sent {
            Ok(sent) => {
                self.ledger.count(slot, self.peer(), Direction::Sent, sent.bytes, sent.frames);
                Ok(())
            }
            // The peer removed its channel. It said why before, so that is on its way.
            Err(error) if error.kind() == ErrorKind::NotFound => self.done().await,
            Err(error) => Err(error),
        }
    }

    /// Waits until the peer has left because it needs nothing more, as long as patience lasts.
    async fn done(&self) -> Result<()> {
        let mut patience = self.patience();
        self.wait(&mut patience, |state| (state.gone == Some(Ending::Done)).then_some(Ok(()))).await
    }

    /// Sends the end of the session and removes the channels that will not be read. Waits for what was sent to be durable, and for no
    /// peer.
    pub(crate) async fn leave(&self, end: End) -> Result<()> {
        if let Some(inbox) = self.inbox.get() {
            inbox.abort();
        }
        let closed = Failure { kind: ErrorKind::Cancelled, text: "the session was closed".into() };
        let (transport, heard, gone) = {
            let mut state = self.lock();
            state.broken = Some(closed);
            state.store.clear();
            (state.transport.clone(), state.heard, state.gone.is_some())
        };
        self.notify();
        let most = if end == End::Failed { self.patience.min(LAST_WORDS) } else { self.patience };
        let late = self.clock.sleep_until(after(self.clock.now(), most));
        let said = match select(pin!(self.say_end(end, transport, heard, gone)), pin!(late)).await {
            Either::Left((said, _)) => said,
            Either::Right(_) => Err(Error::new(
                ErrorKind::Timeout,
                format!(
                    "{} took nothing of what was sent last for {most:?}; see whether its process runs",
                    self.peer()
                ),
            )),
        };
        let unread = gone || !heard || said.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotFound);
        let outbound = self.outbox.channel();
        // Before the other way: while what was sent is still on its way, so is what the peer sent.
        let finished =
            if unread { self.queue.remove(outbound).await } else { self.queue.finish(outbound).await };
        let removed = self.queue.remove(&self.inbound).await;
        if unread { finished.and(removed) } else { said.and(finished).and(removed) }
    }

    async fn say_end(
        &self,
        end: End,
        transport: Option<Arc<Transport>>,
        heard: bool,
        gone: bool,
    ) -> Result<()> {
        match transport {
            _ if gone => return Ok(()),
            Some(transport) => {
                let ended = |_| Ok(vec![Frame::Ended(end.into()).alone()?]);
                self.outbox.send(&transport, ended).await?;
            }
            None if heard => self.say(Step::Left).await?,
            None => {}
        }
        if heard { self.outbox.flush().await } else { Ok(()) }
    }
}

/// A slot in use; given back when dropped, unless it was kept.
pub(crate) struct Mark {
    link: Arc<Link>,
    entry: (Direction, Slot),
    kept: bool,
}

impl Mark {
    /// Something was sent or taken: the slot is used up.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if !self.kept {
            self.link.lock().used.remove(&self.entry);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicU64;

    use tributary_core::federation::Slot;

    use super::*;
    use crate::handshake::tests::{meet, rings, terms};
    use crate::outbox::tests::Slow;

    /// `guest_1`'s link to `host_2`, on a queue that brings nothing.
    pub(crate) fn alone() -> Arc<Link> {
        on(Arc::default())
    }

    pub(crate) fn on(queue: Arc<Slow>) -> Arc<Link> {
        let memory_used = AtomicU64::new(0);
        let budget = Budget { memory_bytes: 1 << 20, memory_used, peer_disk_bytes: 0, folder: None };
        let setting = Setting {
            keys: Arc::new(rings().0),
            queue,
            clock: Clock::current().unwrap(),
            patience: Duration::MAX,
            carriage: Arc::default(),
            ledger: Arc::new(Ledger::default()),
            budget: Arc::new(budget),
            limits: Limits::default(),
            peers: 1,
        };
        Arc::new(Link::new(terms("guest_1", "host_2", 7), &setting).unwrap())
    }

    /// `alone`, with a patience of 10 s, that 1000 bytes restart.
    fn waiting() -> Arc<Link> {
        impatient(Arc::default())
    }

    fn impatient(queue: Arc<Slow>) -> Arc<Link> {
        let mut link = on(queue);
        let inner = Arc::get_mut(&mut link).unwrap();
        (inner.patience, inner.limits) = (Duration::from_secs(10), Limits::default().with_least_rate(100));
        link
    }

    /// How long a value that never comes is waited for while this many bytes come every 9 s, 5 times.
    async fn waited(bytes: u64) -> (Duration, String) {
        let (link, start) = (waiting(), tokio::time::Instant::now());
        let mut patience = link.patience();
        let waits = link.wait(&mut patience, |state| state.store.claim(&Slot::new("x")).map(Ok));
        let comes = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(9)).await;
                link.lock().progress += bytes;
                link.notify();
            }
        };
        let (waited, ()) = futures::future::join(async { (waits.await, start.elapsed()) }, comes).await;
        let error = waited.0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout);
        (waited.1, error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn patience_is_restarted_by_enough_bytes_and_not_by_frames() {
        assert_eq!(waited(1000).await.0, Duration::from_secs(55));
        assert_eq!(waited(500).await.0, Duration::from_secs(10));
        assert_eq!(waited(0).await.0, Duration::from_secs(10));
    }

    /// A link whose keys are agreed on, and whose queue takes nothing.
    fn stuck() -> Arc<Link> {
        let queue = Arc::<Slow>::default();
        queue.stick(true);
        let link = impatient(queue);
        let (guest, _) = meet(&terms("guest_1", "host_2", 7), &terms("host_2", "guest_1", 7)).unwrap();
        let mut state = link.lock();
        (state.phase, state.transport, state.heard) = (Phase::Open, Some(Arc::new(guest)), true);
        drop(state);
        link
    }

    #[tokio::test(start_paused = true)]
    async fn a_queue_that_stays_full_is_waited_for_as_long_as_patience_lasts() {
        let (link, start, piece) = (stuck(), tokio::time::Instant::now(), [Piece::new()]);
        let error = link.send(&Slot::new("x"), &mut None, &piece, None).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (ErrorKind::Timeout, Duration::from_secs(10)));
        assert!(error.chain().contains("host_2 takes nothing of x"), "{}", error.chain());
        let error = link.leave(End::Done).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (ErrorKind::Timeout, Duration::from_secs(20)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_is_left_when_its_reader_leaves() {
        for (ending, is_fine) in [(Ending::Done, true), (Ending::Failed, false)] {
            let (link, start, piece) = (stuck(), tokio::time::Instant::now(), [Piece::new()]);
            let leaves = async {
                tokio::time::sleep(Duration::from_secs(3)).await;
                link.lock().gone = Some(ending);
                link.notify();
            };
            let (slot, mut value) = (Slot::new("x"), None);
            let (sent, ()) = futures::future::join(link.send(&slot, &mut value, &piece, None), leaves).await;
            assert_eq!((sent.is_ok(), start.elapsed()), (is_fine, Duration::from_secs(3)));
        }
    }

    /// Each piece comes in time, and all of them together do not.
    #[tokio::test(start_paused = true)]
    async fn a_peer_that_trickles_a_value_is_not_waited_for_without_end() {
        let (link, slot, start) = (waiting(), Slot::new("x"), tokio::time::Instant::now());
        link.lock().phase = Phase::Open;
        link.lock().store.begin(0, slot.clone()).unwrap();
        let trickles = async {
            loop {
                tokio::time::sleep(Duration::from_secs(3)).await;
                let mut state = link.lock();
                state.store.add(0, Bytes::from_static(b"x"), None, &Bytes::new()).unwrap();
                state.progress += 1;
                drop(state);
                link.notify();
            }
        };
        let reads = async { crate::reader::Reader::wait(&link, &slot).await?.body().await.map(drop) };
        let read = match futures::future::select(pin!(trickles), pin!(reads)).await {
            Either::Right((read, _)) => read,
            Either::Left((never, _)) => never,
        };
        let error = read.unwrap_err();
        assert_eq!((error.kind(), start.elapsed()), (ErrorKind::Timeout, Duration::from_secs(10)));
        assert!(error.to_string().contains("host_2 sent 3 bytes in 10s, expected at least 1000"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_is_the_one_that_is_reported() {
        let link = alone();
        link.fail(&Error::new(ErrorKind::Corrupt, "the first"));
        link.fail(&Error::new(ErrorKind::Io, "the second"));
        let error = link.meet().await.unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Corrupt, "the first"));
    }
}
