//! The sending end of a channel: a task that publishes, and keeps every frame until the broker has confirmed it.
//!
//! After a broken connection everything that was not confirmed is published again, from the oldest on; the layer above drops what comes twice. Frames
//! overtake each other by no more than what is unconfirmed at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use tributary_broker::{Bundle, pack};
use tributary_core::federation::{Carriage, Purpose};
use tributary_core::{Error, ErrorKind, Result};
use tributary_wire::{Channel as Queue, Readable};

use crate::config::Config;
use crate::error;
use crate::line::{Line, Outage};

/// Most bytes that are not confirmed, give or take one call: what frames may overtake each other by, and what a break costs again.
const WINDOW_BYTES: usize = 4 << 20;
/// Most bytes of a message, whatever the configuration allows: a window of several.
const MOST_PACKED_BYTES: usize = 256 << 10;
/// Most messages that wait in the queue before the sender waits for its reader: 16 MiB, if they are full.
const DEPTH: u32 = 64;
/// Messages between two looks at that, as a part of it.
const LOOKS: u32 = 4;
/// Between two looks while it waits.
const FIRST_LOOK: Duration = Duration::from_millis(2);
const LONGEST_LOOK: Duration = Duration::from_millis(200);
/// Between two tries to publish what the full queue refused.
const REFUSED: Duration = Duration::from_millis(200);
/// A task that had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(10);

const PERSISTENT: u8 = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct Sender {
    shared: Arc<Shared>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    line: Arc<Line>,
    queue: String,
    /// Most bytes of a message.
    most_bytes: usize,
    /// Most messages that wait in the queue before the sender waits for its reader; none for letters, whose reader may be away for days.
    depth: Option<u32>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    work: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Not packed yet.
    waiting: VecDeque<Bytes>,
    /// Of all frames that were taken and not confirmed.
    bytes: usize,
    frames: usize,
    failed: Option<(ErrorKind, String)>,
    /// The task has ended; another sender is needed.
    is_over: bool,
}

/// What is on its way to the broker.
#[derive(Default)]
struct Flight {
    /// To be published, before what waits: the oldest first.
    again: VecDeque<Bundle>,
    unconfirmed: VecDeque<(Bundle, PublisherConfirm)>,
    /// What the full queue did not take.
    refused: Vec<Bundle>,
    /// Messages since the last look at the queue.
    unseen: u32,
}

impl Sender {
    pub(crate) fn start(line: Arc<Line>, to: &Queue, runtime: &Handle) -> Self {
        let shared = Arc::new(Shared {
            most_bytes: most_bytes(&line.config, to.carriage()),
            depth: depth(to),
            line,
            queue: to.as_str().into(),
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            work: Notify::new(),
        });
        let task = runtime.spawn(shared.clone().run()).abort_handle();
        Self { shared, task }
    }

    /// Takes frames once there is room. `false` if another sender is needed. An error that was reported here is not reported again.
    pub(crate) async fn send(&self, frames: &[Bytes]) -> Result<bool> {
        self.shared
            .when(|state| {
                if state.is_over {
                    return Some(false);
                }
                (state.bytes < WINDOW_BYTES).then(|| {
                    state.bytes += frames.iter().map(Bytes::len).sum::<usize>();
                    state.frames += frames.len();
                    state.waiting.extend(frames.iter().cloned());
                    true
                })
            })
            .await
            .inspect(|_| self.shared.work.notify_one())
    }

    /// Waits until everything is confirmed.
    pub(crate) async fn flush(&self) -> Result<()> {
        self.shared.when(|state| (state.frames == 0 || state.is_over).then_some(())).await
    }

    /// Whether the task has ended and nothing is left to be said.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.shared.lock();
        state.is_over && state.failed.is_none()
    }
}

fn most_bytes(config: &Config, wish: &Carriage) -> usize {
    let wish = wish.message_bytes.map_or(usize::MAX, |wish| wish as usize);
    config.message_bytes.min(MOST_PACKED_BYTES).min(wish)
}

/// In full messages, if a job counts bytes. One at least: nothing would be sent.
fn depth(to: &Queue) -> Option<u32> {
    if Readable::of(to.as_str()).is_some_and(|name| name.purpose == Purpose::Letters) {
        return None;
    }
    let Carriage { waiting, waiting_bytes, .. } = to.carriage();
    let by_bytes =
        waiting_bytes.map(|bytes| u32::try_from(bytes / MOST_PACKED_BYTES as u64).unwrap_or(u32::MAX));
    let wish = waiting.iter().copied().chain(by_bytes).min();
    Some(wish.map_or(DEPTH, |wish| wish.clamp(1, DEPTH)))
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn when<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> Result<T> {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let mut state = self.lock();
                if let Some((kind, text)) = state.failed.take() {
                    return Err(Error::new(kind, text));
                }
                if let Some(done) = ready(&mut state) {
                    return Ok(done);
                }
            }
            drop(changed.changed().await);
        }
    }

    async fn run(self: Arc<Self>) {
        let (mut flight, mut outage) = (Flight::default(), Outage::default());
        loop {
            let error = match self.publish(&mut flight, &mut outage).await {
                Ok(()) => return,
                Err(error) => error,
            };
            flight.restart();
            let config = &self.line.config;
            let is_away = error.kind() == ErrorKind::Unavailable;
            let failed = if is_away { outage.wait(config, error).await } else { Err(error) };
            if let Err(error) = failed {
                self.fail(&error, is_away);
                if !is_away {
                    return;
                }
                // Nothing that was taken is given up: the next outage begins.
                outage.end();
            }
        }
    }

    fn fail(&self, error: &Error, goes_on: bool) {
        {
            let mut state = self.lock();
            state.failed = Some((error.kind(), error.chain()));
            if !goes_on {
                let failed = state.failed.take();
                *state = State { failed, is_over: true, ..State::default() };
            }
        }
        self.changed.send_replace(());
    }

    /// Publishes on one channel until that breaks, or there was nothing to do for long.
    async fn publish(&self, flight: &mut Flight, outage: &mut Outage) -> Result<()> {
        if !self.has_work(flight).await {
            return Ok(());
        }
        let channel = self.line.channel().await?;
        let using = |e: &lapin::Error| error::using(&self.line.config, &self.queue, e);
        channel.confirm_select(ConfirmSelectOptions::default()).await.map_err(|e| using(&e))?;
        loop {
            self.publish_all(&channel, flight).await?;
            if let Some((_, confirmed)) = flight.unconfirmed.front_mut() {
                tokio::select! {
                    biased;
                    confirmed = confirmed => {
                        self.settle(flight, confirmed.map_err(|e| using(&e))?)?;
                        outage.end();
                    }
                    () = self.work.notified() => {}
                }
            } else if !flight.refused.is_empty() {
                sleep(REFUSED).await;
                flight.restart();
            } else if !self.has_work(flight).await {
                drop(channel.close(200, "".into()).await);
                return Ok(());
            }
        }
    }

    /// Waits for something to do; `false` if there was nothing for long.
    async fn has_work(&self, flight: &Flight) -> bool {
        loop {
            if !flight.again.is_empty() || !self.lock().waiting.is_empty() {
                return true;
            }
            tokio::select! {
                () = self.work.notified() => {}
                () = sleep(IDLE) => {
                    let mut state = self.lock();
                    if state.frames == 0 {
                        state.is_over = true;
                        return false;
                    }
                }
            }
        }
    }

    async fn publish_all(&self, channel: &Channel, flight: &mut Flight) -> Result<()> {
        while flight.refused.is_empty() {
            let packed = || pack(&mut self.lock().waiting, self.most_bytes);
            let Some(message) = flight.again.pop_front().or_else(packed) else { return Ok(()) };
            flight.again.push_front(message.clone());
            if let Some(depth) = self.depth.filter(|depth| flight.unseen >= depth.div_ceil(LOOKS)) {
                self.await_reader(channel, depth).await?;
                flight.unseen = 0;
            }
            let options = BasicPublishOptions { mandatory: true, immediate: false };
            let properties = BasicProperties::default().with_delivery_mode(PERSISTENT);
            let sent = channel
                .basic_publish("".into(), self.queue.as_str().into(), options, &message.body, properties)
                .await;
            let confirm = sent.map_err(|e| error::using(&self.line.config, &self.queue, &e))?;
            flight.again.pop_front();
            flight.unconfirmed.push_back((message, confirm));
            flight.unseen += 1;
        }
        Ok(())
    }

    /// Waits while much lies in the queue.
    async fn await_reader(&self, channel: &Channel, depth: u32) -> Result<()> {
        let mut wait = FIRST_LOOK;
        loop {
            let passive =
                QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
            let seen =
                channel.queue_declare(self.queue.as_str().into(), passive, FieldTable::default()).await;
            let seen = seen.map_err(|e| error::using(&self.line.config, &self.queue, &e))?;
            if seen.message_count() < depth {
                return Ok(());
            }
            sleep(wait).await;
            wait = (wait * 2).min(LONGEST_LOOK);
        }
    }

    /// What the broker said to the oldest message.
    fn settle(&self, flight: &mut Flight, said: Confirmation) -> Result<()> {
        let Some((message, _)) = flight.unconfirmed.pop_front() else { return Ok(()) };
        match said {
            Confirmation::Ack(None) | Confirmation::NotRequested => {
                {
                    let mut state = self.lock();
                    state.bytes -= message.bytes;
                    state.frames -= message.frames;
                    // Whoever was not told of an outage need not hear of it any more.
                    state.failed = None;
                }
                self.changed.send_replace(());
                Ok(())
            }
            // It was routed to no queue.
            Confirmation::Ack(Some(_)) => Err(error::absent(&self.queue)),
            Confirmation::Nack(_) => {
                flight.refused.push(message);
                Ok(())
            }
        }
    }
}

impl Flight {
    /// Everything that was not confirmed is to be published again.
    fn restart(&mut self) {
        let unconfirmed = self.unconfirmed.drain(..).map(|(message, _)| message);
        let mut all: VecDeque<Bundle> = self.refused.drain(..).chain(unconfirmed).collect();
        all.append(&mut self.again);
        self.again = all;
        self.unseen = 0;
    }
}
