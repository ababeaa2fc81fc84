//! One line that stands: a task that reads, writes and keeps it alive. What is said and what becomes of what is heard is up to a
//! [`Handler`]: a site's node, or an exchange.
//!
//! A line is alive as long as anything comes. Each side says something every few seconds, also for the sake of proxies, which end what is
//! quiet; a line on which nothing came for three times as long is dropped, since a network that is gone says nothing.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::time::{Instant, Interval, Sleep, interval, sleep, sleep_until, timeout};
use tributary_core::{Error, ErrorKind, PartyId, Result};

use crate::batch::{Batch, Cutter};
use crate::meeting::Caller;
use crate::message::{MAX_MESSAGE_BYTES, Packet};
use crate::peer::{Pace, Peer};
use crate::stream::{Stream, broken};

/// How long what is not urgent waits for company.
const MOMENT: Duration = Duration::from_millis(2);
/// Two calls within this time were made at once.
const AT_ONCE: Duration = Duration::from_secs(3);
/// How long the end of a line may take.
const END: Duration = Duration::from_secs(1);
/// Most messages taken from a line before it is its writer's turn.
const MAX_READ_AT_ONCE: usize = 64;

/// A line, as those see it who have something to say on it.
pub(crate) struct Line {
    id: u64,
    /// At the other end.
    site: PartyId,
    caller: Caller,
    born: Instant,
    work: Mutex<VecDeque<Arc<Peer>>>,
    /// Of whom something came since the last moment.
    remembered: Mutex<Vec<Arc<Peer>>>,
    waker: AtomicWaker,
    /// Something besides `work` is to be said.
    nudged: AtomicBool,
    stopped: AtomicBool,
}

impl Line {
    pub(crate) fn new(site: PartyId, caller: Caller) -> Arc<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: COUNT.fetch_add(1, Ordering::Relaxed),
            site,
            caller,
            born: Instant::now(),
            work: Mutex::default(),
            remembered: Mutex::default(),
            waker: AtomicWaker::new(),
            nudged: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        })
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// At the other end.
    pub(crate) fn site(&self) -> &PartyId {
        &self.site
    }

    /// Whether this line is used rather than a newer one: both sites called at once, and have to choose the same line. `own`: this site.
    pub(crate) fn is_before(&self, newer: &Self, own: &PartyId) -> bool {
        let first = if *own < self.site { Caller::Own } else { Caller::Other };
        self.caller != newer.caller && self.caller == first && self.born.elapsed() < AT_ONCE
    }

    fn work(&self) -> MutexGuard<'_, VecDeque<Arc<Peer>>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to say to a site.
    pub(crate) fn list(&self, peer: Arc<Peer>) {
        self.work().push_back(peer);
        self.nudge();
    }

    /// The next site to which there is something to say.
    pub(crate) fn next(&self) -> Option<Arc<Peer>> {
        self.work().pop_front()
    }

    /// Something came of a site, which may have to be answered in a moment.
    pub(crate) fn remember(&self, peer: &Arc<Peer>) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if !remembered.iter().any(|known| Arc::ptr_eq(known, peer)) {
            remembered.push(peer.clone());
        }
    }

    /// Of whom something came since the last call.
    pub(crate) fn remembered(&self) -> Vec<Arc<Peer>> {
        std::mem::take(&mut *self.remembered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the line's task look again for what there is to say.
    pub(crate) fn nudge(&self) {
        self.nudged.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Ends it.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} with site {}", self.id, self.site)
    }
}

/// What a line is for.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Takes a message. An error ends the line.
    fn hear(&self, line: &Arc<Line>, packet: Packet) -> Result<Pace>;
    /// Whether more may be read now; else the waker is kept.
    fn poll_room(&self, _: &Arc<Line>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
    /// A moment passed since there was something to say that is not urgent.
    fn settle(&self, line: &Arc<Line>);
    /// What there is to say.
    fn fill(&self, line: &Arc<Line>, batch: &mut Batch) -> Result<()>;
    /// What keeps the line alive.
    fn keep_alive(&self, line: &Arc<Line>, batch: &mut Batch) -> Result<()>;
}

/// A line's own task.
pub(crate) struct Run<H> {
    line: Arc<Line>,
    handler: Arc<H>,
    stream: Stream,
    cutter: Cutter,
    alive: Interval,
    quiet: Duration,
    heard: Instant,
    moment: Option<Pin<Box<Sleep>>>,
    is_due: bool,
}

impl<H: Handler> Run<H> {
    /// `quiet`: how often something is said at least.
    pub(crate) fn new(
        line: Arc<Line>,
        handler: Arc<H>,
        stream: Stream,
        mut cutter: Cutter,
        quiet: Duration,
    ) -> Self {
        cutter.set_most(MAX_MESSAGE_BYTES);
        let (alive, heard) = (interval(quiet), Instant::now());
        Self { line, handler, stream, cutter, alive, quiet, heard, moment: None, is_due: false }
    }

    /// Until the line ends; why, unless it was stopped here.
    pub(crate) async fn run(mut self) -> Option<Error> {
        let ended = poll_fn(|cx| self.poll(cx)).await;
        // The other side may be gone already.
        drop(timeout(END, self.stream.end()).await);
        ended.err()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.line.waker.register(cx.waker());
        if self.line.is_stopped() {
            return Poll::Ready(Ok(()));
        }
        self.line.nudged.store(false, Ordering::Release);
        let over = self.stream.poll_connection(cx);
        let polled = self.poll_read(cx).and_then(|()| self.poll_time(cx)).and_then(|()| self.poll_write(cx));
        if let Err(error) = polled {
            return Poll::Ready(Err(error));
        }
        // What was written goes now, and not at the next turn.
        let over = if over.is_pending() { self.stream.poll_connection(cx) } else { over };
        match over {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(&error))),
            Poll::Ready(Ok(())) => {
                let ended = Error::new(ErrorKind::Unavailable, "the other side ended the connection");
                return Poll::Ready(self.poll_read(cx).and(Err(ended)));
            }
            Poll::Pending => {}
        }
        Poll::Pending
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let mut taken = 0;
        loop {
            while let Some(message) = self.cutter.next()? {
                self.hear(&message)?;
                taken += 1;
            }
            if taken >= MAX_READ_AT_ONCE {
                cx.waker().wake_by_ref();
                return Ok(());
            }
            if self.handler.poll_room(&self.line, cx).is_pending() {
                return Ok(());
            }
            match self.stream.poll_read(cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(came) => {
                    let ended = || Error::new(ErrorKind::Unavailable, "the other side ended the line");
                    self.cutter.add(came?.ok_or_else(ended)?);
                    self.heard = Instant::now();
                }
            }
        }
    }

    fn hear(&mut self, message: &bytes::Bytes) -> Result<()> {
        let packet = Packet::decode(message).ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, format!("a message of {} bytes does not decode", message.len()))
        })?;
        match self.handler.hear(&self.line, packet)? {
            Pace::Never => {}
            Pace::Soon if self.moment.is_some() => {}
            Pace::Soon => self.moment = Some(Box::pin(sleep(MOMENT))),
            Pace::Now => self.is_due = true,
        }
        Ok(())
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> Result<()> {
        if let Some(moment) = &mut self.moment
            && moment.as_mut().poll(cx).is_ready()
        {
            self.is_due = true;
        }
        if std::mem::take(&mut self.is_due) {
            self.moment = None;
            self.handler.settle(&self.line);
        }
        Ok(())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<()> {
        let is_time = self.alive.poll_tick(cx).is_ready();
        if is_time && self.heard.elapsed() > self.quiet * 3 {
            let text = format!("nothing came for {:?}", self.quiet * 3);
            return Err(Error::new(ErrorKind::Timeout, text));
        }
        let mut keep_alive = is_time;
        while let Poll::Ready(ready) = self.stream.poll_writable(cx) {
            ready?;
            let mut batch = Batch::default();
            if std::mem::take(&mut keep_alive) {
                self.handler.keep_alive(&self.line, &mut batch)?;
            }
            self.handler.fill(&self.line, &mut batch)?;
            if batch.is_empty() {
                return Ok(());
            }
            self.stream.write(batch);
        }
        Ok(())
    }
}

/// A wait that begins short and doubles.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    most: Duration,
}

impl Backoff {
    pub(crate) fn new(most: Duration) -> Self {
        Self { next: Duration::from_millis(50).min(most), most }
    }

    /// Waits, longer each time.
    pub(crate) async fn wait(&mut self) {
        sleep_until(Instant::now() + self.next).await;
        self.next = (self.next * 2).min(self.most);
    }
}
