//! The receiver's end of a channel: a task that takes messages from the cluster and hands their frames out. A message is acknowledged once all
//! of its frames were; what is not acknowledged when a connection breaks comes again.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::{Either, pending, select};
use futures::{FutureExt, StreamExt, select_biased};
use pulsar::consumer::{ConsumerOptions, InitialPosition};
use pulsar::proto::MessageIdData;
use pulsar::{Consumer, SubType, TokioExecutor};
use tokio::sync::{Mutex as AsyncMutex, Notify, mpsc};
use tokio::time::Instant;
use tributary_broker::unpack;
use tributary_core::{ErrorKind, Result};
use tributary_wire::{Delivery, MAX_FRAME_BYTES, Receipt};

use crate::admin::SUBSCRIPTION;
use crate::cluster::{Cluster, FIRST_WAIT, LONGEST_WAIT};
use crate::error::error;
use crate::failure::Failure;

/// Messages that the cluster may send before it is asked for more: 16 MiB, if they are full. The library asks once half of them have come, in packets
/// that the operating system holds back for 40 ms; meanwhile the other half comes.
const AHEAD: u32 = 64;
/// Frames that wait to be received.
const WAITING: usize = 32;

type Frame = (Bytes, Arc<MessageIdData>);

/// What callers and the task share.
pub(crate) struct Inlet {
    frames: AsyncMutex<mpsc::Receiver<Frame>>,
    state: Mutex<State>,
    done: mpsc::UnboundedSender<MessageIdData>,
    closing: Arc<Notify>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// Handed out and not acknowledged. The last frame of a message that goes takes the message along.
    out: HashMap<u64, Arc<MessageIdData>>,
    ended: Option<Failure>,
}

impl Inlet {
    /// Starts the task. It fetches so many messages ahead at most.
    pub(crate) fn start(cluster: Arc<Cluster>, topic: String, ahead: Option<u32>) -> Arc<Self> {
        let (sender, frames) = mpsc::channel(WAITING);
        let (done, acknowledged) = mpsc::unbounded_channel();
        let inlet = Arc::new(Self {
            frames: AsyncMutex::new(frames),
            state: Mutex::default(),
            done,
            closing: Arc::default(),
        });
        let reader = Reader {
            inlet: inlet.clone(),
            topic,
            ahead: ahead.map_or(AHEAD, |wish| wish.clamp(1, AHEAD)),
            cluster: cluster.clone(),
            sender,
            waiting: VecDeque::new(),
            acknowledged,
            closing: inlet.closing.clone(),
        };
        cluster.runtime.spawn(reader.run());
        inlet
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a frame.
    pub(crate) async fn receive(&self) -> Result<Delivery> {
        let next = self.frames.lock().await.recv().await;
        let mut state = self.lock();
        let Some((frame, message)) = next else {
            return Err(state.ended.get_or_insert_with(Failure::removed).error());
        };
        let receipt = state.next;
        state.next += 1;
        state.out.insert(receipt, message);
        Ok(Delivery { frame, receipt: Receipt(receipt) })
    }

    pub(crate) fn acknowledge(&self, receipt: Receipt) {
        let message = self.lock().out.remove(&receipt.0);
        if let Some(message) = message.and_then(Arc::into_inner) {
            // Without its task there is nothing to acknowledge to.
            drop(self.done.send(message));
        }
    }

    /// Why it gives nothing more.
    pub(crate) fn ended(&self) -> Option<ErrorKind> {
        self.lock().ended.as_ref().map(Failure::kind)
    }

    /// The task ends.
    pub(crate) fn close(&self) {
        self.closing.notify_one();
    }
}

struct Reader {
    inlet: Arc<Inlet>,
    cluster: Arc<Cluster>,
    topic: String,
    ahead: u32,
    sender: mpsc::Sender<Frame>,
    /// Of the message that came last, and not handed out yet. They outlive a connection: without them the message would be acknowledged once those
    /// frames of it were that had been handed out.
    waiting: VecDeque<Frame>,
    acknowledged: mpsc::UnboundedReceiver<MessageIdData>,
    closing: Arc<Notify>,
}

/// Why a connection is not read any more.
enum Stop {
    Closing,
    /// The library says no more than that it ended; the next try says why. Whether anything came before.
    Broken(bool),
}

impl Reader {
    async fn run(mut self) {
        let (mut broken, mut wait): (Option<Instant>, _) = (None, FIRST_WAIT);
        loop {
            match self.subscribe().await {
                Ok(consumer) => match self.drive(consumer).await {
                    Stop::Closing => return,
                    Stop::Broken(true) => (broken, wait) = (None, FIRST_WAIT),
                    Stop::Broken(false) => {}
                },
                Err(error) => {
                    let since = broken.get_or_insert_with(Instant::now).elapsed();
                    if error.kind() != ErrorKind::Unavailable || since >= self.cluster.config.away {
                        self.inlet.lock().ended = Some(Failure::of(&error));
                        return;
                    }
                }
            }
            let closing = pin!(self.closing.notified());
            if let Either::Left(_) = select(closing, pin!(tokio::time::sleep(wait))).await {
                return;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    async fn subscribe(&self) -> Result<Consumer<Vec<u8>, TokioExecutor>> {
        let options = ConsumerOptions {
            durable: Some(true),
            receiver_queue_size: Some(self.ahead),
            initial_position: InitialPosition::Earliest,
            ..ConsumerOptions::default()
        };
        // Nobody else can read while this site does: messages that somebody else acknowledged would be lost.
        let builder = self
            .cluster
            .client()
            .await?
            .consumer()
            .with_topic(&self.topic)
            .with_subscription(SUBSCRIPTION)
            .with_subscription_type(SubType::Exclusive)
            .with_batch_size(self.ahead)
            .with_options(options);
        let what = format!("receive from {}", self.topic);
        builder.build().await.map_err(|failure| error(&what, &self.cluster.place(), &failure))
    }

    async fn drive(&mut self, mut consumer: Consumer<Vec<u8>, TokioExecutor>) -> Stop {
        let mut came = false;
        let closing = self.closing.clone();
        let mut closing = pin!(closing.notified().fuse());
        loop {
            let sender = &self.sender;
            let (is_full, is_idle) = (!self.waiting.is_empty(), self.waiting.is_empty());
            let room = async { if is_full { sender.reserve().await.ok() } else { pending().await } };
            let message = async { if is_idle { consumer.next().await } else { pending().await } };
            let (mut room, mut message) = (pin!(room.fuse()), pin!(message.fuse()));
            let mut acknowledged = pin!(self.acknowledged.recv().fuse());
            select_biased! {
                () = closing => return Stop::Closing,
                done = acknowledged => match done {
                    Some(id) => {
                        if consumer.ack_with_id(&self.topic, id).await.is_err() {
                            return Stop::Broken(came);
                        }
                    }
                    None => return Stop::Closing,
                },
                permit = room => match (permit, self.waiting.pop_front()) {
                    (Some(permit), Some(frame)) => permit.send(frame),
                    _ => return Stop::Closing,
                },
                message = message => match message {
                    Some(Ok(message)) => {
                        came = true;
                        let id = Arc::new(message.message_id().clone());
                        let frames = unpack(message.payload.data.into(), MAX_FRAME_BYTES);
                        self.waiting.extend(frames.into_iter().map(|frame| (frame, id.clone())));
                    }
                    Some(Err(_)) | None => return Stop::Broken(came),
                },
            }
        }
    }
}
