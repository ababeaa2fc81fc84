//! The sender's end of a channel: a task that joins what waits into messages, has several on their way, and keeps each until the cluster
//! confirms that it is stored.
//!
//! Two bounds hold. What waits and what is on its way is bounded, so that this process does not grow. And what the cluster holds for the
//! receiver is bounded, so that a slow receiver is felt here: the cluster itself only looks at its quotas once a minute, so the sender asks how
//! much lies there, early enough that it need not stop for the answer of a cluster whose receiver keeps up.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, pending};
use futures::stream::{FuturesOrdered, StreamExt};
use futures::{FutureExt, select_biased};
use pulsar::producer::{Message, SendFuture};
use pulsar::{Producer, ProducerOptions, TokioExecutor};
use tokio::sync::Notify;
use tokio::time::Instant;
use tributary_broker::{Bundle, pack};
use tributary_core::federation::Purpose;
use tributary_core::{Error, ErrorKind, Result};
use tributary_wire::{Channel, Readable};

use crate::admin::Space;
use crate::cluster::{Cluster, FIRST_WAIT, LONGEST_WAIT};
use crate::error::error;
use crate::failure::Failure;

/// Bytes that may wait here, besides those on their way.
const WAITING_BYTES: usize = 4 << 20;
/// Bytes that may be on their way at most; after each break half of it, so that a slow line is not broken for ever.
const ON_WAY_BYTES: usize = 8 << 20;
/// Most bytes of a message, whatever the configuration allows: several are on their way, so that everybody on it has something to do.
const MOST_PACKED_BYTES: usize = 256 << 10;
/// Bytes that may lie at the cluster.
const HELD_BYTES: u64 = 64 << 20;
/// How soon to ask again whether the receiver has taken some.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// What callers and the task share.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    state: Mutex<State>,
    /// For the task: there is something to do.
    work: Notify,
    /// For callers: frames were taken over or confirmed, or it ended.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// Frames that the task has and that are not confirmed.
    on_way: usize,
    closed: bool,
    ended: Option<Failure>,
}

impl Outlet {
    /// Starts the task.
    pub(crate) fn start(cluster: Arc<Cluster>, space: Space, channel: &Channel) -> Arc<Self> {
        let (name, wish) = (channel.as_str().to_owned(), channel.carriage());
        let wished = wish.message_bytes.map_or(usize::MAX, |wished| wished as usize);
        let outlet = Arc::new(Self::default());
        let writer = Writer {
            outlet: outlet.clone(),
            topic: cluster.admin.topic(&space, &name),
            cluster: cluster.clone(),
            space,
            on_way: VecDeque::new(),
            on_way_bytes: 0,
            room: ON_WAY_BYTES,
            held_bytes: most_held(&name),
            message_bytes: cluster.config.message_bytes.min(MOST_PACKED_BYTES).min(wished),
            unconfirmed: wish.unconfirmed.map_or(usize::MAX, |wished| wished.max(1) as usize),
            name,
            stored: 0,
            taken: 0,
        };
        cluster.runtime.spawn(writer.run());
        outlet
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes frames over as far as there is place for them, and waits for place for the rest.
    pub(crate) async fn send(&self, frames: &[Bytes]) -> Result<()> {
        let mut rest = frames;
        loop {
            let changed = self.changed.notified();
            let mut changed = pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if let Some(failure) = &state.ended {
                    return Err(failure.error());
                }
                let before = rest.len();
                while let Some((frame, others)) = rest.split_first()
                    && (state.waiting.is_empty() || state.waiting_bytes + frame.len() <= WAITING_BYTES)
                {
                    state.waiting_bytes += frame.len();
                    state.waiting.push_back(frame.clone());
                    rest = others;
                }
                if rest.len() < before {
                    self.work.notify_one();
                }
            }
            if rest.is_empty() {
                return Ok(());
            }
            changed.await;
        }
    }

    /// Waits until everything is confirmed.
    pub(crate) async fn flush(&self) -> Result<()> {
        loop {
            let changed = self.changed.notified();
            let mut changed = pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.lock();
                if let Some(failure) = &state.ended {
                    return Err(failure.error());
                }
                if state.waiting.is_empty() && state.on_way == 0 {
                    return Ok(());
                }
            }
            changed.await;
        }
    }

    /// Whether nothing more can be sent.
    pub(crate) fn is_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// The task ends, whatever waits, and so do callers.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.end(Failure::removed());
        self.work.notify_one();
    }

    fn end(&self, failure: Failure) {
        let mut state = self.lock();
        state.ended.get_or_insert(failure);
        state.waiting.clear();
        state.on_way = 0;
        drop(state);
        self.changed.notify_waiters();
    }

    fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// A message of what waits.
    fn take(&self, most_bytes: usize) -> Option<Bundle> {
        let mut state = self.lock();
        let bundle = pack(&mut state.waiting, most_bytes)?;
        state.waiting_bytes -= bundle.bytes;
        state.on_way += bundle.frames;
        drop(state);
        self.changed.notify_waiters();
        Some(bundle)
    }

    fn confirm(&self, frames: usize) {
        let mut state = self.lock();
        state.on_way = state.on_way.saturating_sub(frames);
        drop(state);
        self.changed.notify_waiters();
    }
}

struct Writer {
    outlet: Arc<Outlet>,
    cluster: Arc<Cluster>,
    space: Space,
    name: String,
    topic: String,
    /// Messages that are not confirmed.
    on_way: VecDeque<Bundle>,
    on_way_bytes: usize,
    room: usize,
    /// Bytes that the cluster confirmed, and those of them of which it is known that they do not lie there any more.
    stored: u64,
    taken: u64,
    /// Bytes that may lie there.
    held_bytes: u64,
    /// Most bytes of a message.
    message_bytes: usize,
    /// Most messages on their way.
    unconfirmed: usize,
}

impl Drop for Writer {
    /// However the task ends, nobody waits for it any more.
    fn drop(&mut self) {
        self.outlet.end(Failure::removed());
    }
}

/// Letters wait for sites that are away, perhaps for long: the namespace's quota is enough for them.
fn most_held(name: &str) -> u64 {
    match Readable::of(name).map(|readable| readable.purpose) {
        Some(Purpose::Letters) => u64::MAX,
        _ => HELD_BYTES,
    }
}

/// Answered with how much of what the cluster had confirmed does not lie there any more.
type Question = BoxFuture<'static, Result<u64>>;

/// What the task does next.
enum Next {
    Confirmed(Result<(), pulsar::Error>),
    Work,
    Taken(Result<u64>),
}

impl Writer {
    async fn run(mut self) {
        let mut broken: Option<Instant> = None;
        let mut wait = FIRST_WAIT;
        while !self.outlet.is_closed() {
            let before = self.stored;
            let error = match self.drive().await {
                Ok(()) => return,
                Err(error) => error,
            };
            if self.stored > before {
                (broken, wait) = (None, FIRST_WAIT);
            }
            let since = broken.get_or_insert_with(Instant::now).elapsed();
            if error.kind() != ErrorKind::Unavailable || since >= self.cluster.config.away {
                return self.outlet.end(Failure::of(&error));
            }
            self.room = (self.room / 2).max(self.cluster.config.message_bytes.min(1 << 17));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Sends until the channel is closed, or something breaks.
    async fn drive(&mut self) -> Result<()> {
        let mut producer = self.produce().await?;
        let (mut receipts, mut question) = (FuturesOrdered::new(), None);
        for bundle in &self.on_way {
            receipts.push_back(self.put(&mut producer, bundle).await?);
        }
        loop {
            if self.outlet.is_closed() {
                // What it has on its way is of no use any more; the producer closes when it is dropped.
                return Ok(());
            }
            if self.on_way_bytes < self.room
                && self.on_way.len() < self.unconfirmed
                && self.stored + self.on_way_bytes as u64 - self.taken < self.held_bytes
                && let Some(bundle) = self.outlet.take(self.message_bytes.min(self.room))
            {
                self.on_way_bytes += bundle.bytes;
                self.on_way.push_back(bundle.clone());
                receipts.push_back(self.put(&mut producer, &bundle).await?);
                continue;
            }
            match self.next(&mut receipts, &mut question).await {
                Next::Confirmed(Ok(())) => self.confirmed(),
                Next::Confirmed(Err(failure)) => return Err(self.error(&failure)),
                Next::Taken(taken) => {
                    question = None;
                    self.taken = taken?;
                }
                Next::Work => {}
            }
        }
    }

    async fn next(&self, receipts: &mut FuturesOrdered<SendFuture>, question: &mut Option<Question>) -> Next {
        if question.is_none() && self.stored - self.taken >= self.held_bytes / 2 {
            *question = Some(self.ask());
        }
        let receipt = async { if receipts.is_empty() { pending().await } else { receipts.next().await } };
        let taken = async { if let Some(question) = question { question.await } else { pending().await } };
        let (mut receipt, mut taken) = (pin!(receipt.fuse()), pin!(taken.fuse()));
        let mut work = pin!(self.outlet.work.notified().fuse());
        select_biased! {
            receipt = receipt => Next::Confirmed(receipt.transpose().map(drop)),
            taken = taken => Next::Taken(taken),
            () = work => Next::Work,
        }
    }

    /// Asks until the cluster holds less than it did, not too often.
    fn ask(&self) -> Question {
        let (cluster, space, name) = (self.cluster.clone(), self.space.clone(), self.name.clone());
        let (stored, before) = (self.stored, self.taken);
        let asks = async move {
            loop {
                let taken = stored.saturating_sub(cluster.admin.backlog(&space, &name).await?.bytes);
                if taken > before {
                    return Ok(taken);
                }
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        asks.boxed()
    }

    fn confirmed(&mut self) {
        if let Some(Bundle { frames, bytes, .. }) = self.on_way.pop_front() {
            self.on_way_bytes -= bytes;
            self.stored += bytes as u64;
            self.room = (self.room + bytes).min(ON_WAY_BYTES);
            self.outlet.confirm(frames);
        }
    }

    async fn produce(&self) -> Result<Producer<TokioExecutor>> {
        let options = ProducerOptions { block_queue_if_full: true, ..ProducerOptions::default() };
        let builder = self.cluster.client().await?.producer().with_topic(&self.topic).with_options(options);
        builder.build().await.map_err(|failure| self.error(&failure))
    }

    async fn put(&self, producer: &mut Producer<TokioExecutor>, bundle: &Bundle) -> Result<SendFuture> {
        let message = Message { payload: bundle.body.to_vec(), ..Message::default() };
        producer.send_non_blocking(message).await.map_err(|failure| self.error(&failure))
    }

    fn error(&self, failure: &pulsar::Error) -> Error {
        error(&format!("send to {}", self.name), &self.cluster.place(), failure)
    }
}
