//! The receiving end of a channel: a task that consumes, and acknowledges what was taken over.
//!
//! A receipt is a number of this task, not of the broker: it stays unambiguous when the connection was made anew and the broker delivers again. One
//! acknowledgement covers all messages up to the first that is still in use.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, mpsc};
use tokio::task::AbortHandle;
use tributary_broker::unpack;
use tributary_core::{Error, ErrorKind, Result};
use tributary_wire::{Delivery, MAX_FRAME_BYTES, Receipt};

use crate::error;
use crate::line::{Line, Outage};

/// Most messages that the broker hands out before they are acknowledged: 8 MiB, if they are full.
const PREFETCH: u16 = 32;
/// Messages that are acknowledged together, while more are there.
const TOGETHER: usize = 8;

/// See the module.
#[derive(Debug)]
pub(crate) struct Receiver {
    arrived: Mutex<mpsc::UnboundedReceiver<Result<Delivery>>>,
    taken: mpsc::UnboundedSender<u64>,
    task: AbortHandle,
}

impl Receiver {
    pub(crate) fn start(line: Arc<Line>, queue: &str, runtime: &Handle) -> Self {
        // Not bounded themselves: the broker hands out no more than the prefetch.
        let (arrives, arrived) = mpsc::unbounded_channel();
        let (taken, acknowledged) = mpsc::unbounded_channel();
        let work = Work { line, queue: queue.into(), arrives, acknowledged, next: 0 };
        Self { arrived: Mutex::new(arrived), taken, task: runtime.spawn(work.run()).abort_handle() }
    }

    /// The next frame. After an error another receiver is needed.
    pub(crate) async fn receive(&self) -> Result<Delivery> {
        let next = self.arrived.lock().await.recv().await;
        next.unwrap_or_else(|| Err(Error::new(ErrorKind::Unavailable, "this end of the channel was closed")))
    }

    pub(crate) fn acknowledge(&self, receipt: Receipt) {
        // A task that has ended has nothing to acknowledge.
        self.taken.send(receipt.0).unwrap_or_default();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Work {
    line: Arc<Line>,
    queue: String,
    arrives: mpsc::UnboundedSender<Result<Delivery>>,
    acknowledged: mpsc::UnboundedReceiver<u64>,
    next: u64,
}

impl Work {
    async fn run(mut self) {
        let mut outage = Outage::default();
        loop {
            let Err(error) = self.consume(&mut outage).await else { return };
            let failed = match error.kind() {
                ErrorKind::Unavailable => outage.wait(&self.line.config, error).await,
                _ => Err(error),
            };
            if let Err(error) = failed {
                drop(self.arrives.send(Err(error)));
                return;
            }
        }
    }

    /// Consumes on one channel until that breaks, or nobody is there any more.
    async fn consume(&mut self, outage: &mut Outage) -> Result<()> {
        let channel = self.line.channel().await?;
        let mut consumer = self.begin(&channel).await?;
        outage.end();
        let mut open = Open::from(self.next);
        loop {
            tokio::select! {
                biased;
                number = self.acknowledged.recv() => {
                    let Some(number) = number else { return Ok(()) };
                    open.taken(number);
                    while let Ok(number) = self.acknowledged.try_recv() {
                        open.taken(number);
                    }
                    if let Some(tag) = open.done() {
                        let done = channel.basic_ack(tag, BasicAckOptions { multiple: true }).await;
                        done.map_err(|e| error::using(&self.line.config, &self.queue, &e))?;
                    }
                }
                delivery = consumer.next() => match delivery {
                    Some(Ok(delivery)) => self.deliver(&mut open, delivery),
                    Some(Err(e)) => return Err(error::using(&self.line.config, &self.queue, &e)),
                    // The broker ended it: the queue was removed, or moved; the next try finds out.
                    None => return Err(Error::new(ErrorKind::Unavailable, "the broker ended a consumer")),
                },
            }
        }
    }

    async fn begin(&self, channel: &Channel) -> Result<Consumer> {
        let using = |e| error::using(&self.line.config, &self.queue, &e);
        channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(using)?;
        // Nobody else reads it while this does.
        let options = BasicConsumeOptions { exclusive: true, ..BasicConsumeOptions::default() };
        let consumer = channel
            .basic_consume(self.queue.as_str().into(), "".into(), options, FieldTable::default())
            .await;
        consumer.map_err(using)
    }

    fn deliver(&mut self, open: &mut Open, delivery: lapin::message::Delivery) {
        let frames = unpack(delivery.data.into(), MAX_FRAME_BYTES);
        open.add(delivery.delivery_tag, frames.len() as u64);
        for frame in frames {
            drop(self.arrives.send(Ok(Delivery { frame, receipt: Receipt(self.next) })));
            self.next += 1;
        }
    }
}

/// Messages that were handed out, and how many of their frames are still in use.
#[derive(Debug)]
struct Open {
    /// The number of the first frame of the first message.
    first: u64,
    messages: VecDeque<Handed>,
    /// Acknowledged by the reader, not to the broker: how many, and the tag of the last.
    done: (usize, u64),
}

#[derive(Debug)]
struct Handed {
    tag: u64,
    frames: u64,
    left: u64,
}

impl Open {
    fn from(first: u64) -> Self {
        Self { first, messages: VecDeque::new(), done: (0, 0) }
    }

    fn add(&mut self, tag: u64, frames: u64) {
        self.messages.push_back(Handed { tag, frames, left: frames });
    }

    /// A frame was taken over. One of an earlier connection means nothing: its message is delivered again.
    fn taken(&mut self, number: u64) {
        let Some(mut at) = number.checked_sub(self.first) else { return };
        for message in &mut self.messages {
            if at < message.frames {
                message.left = message.left.saturating_sub(1);
                break;
            }
            at -= message.frames;
        }
        while let Some(Handed { tag, frames, left: 0 }) = self.messages.front() {
            self.first += frames;
            self.done = (self.done.0 + 1, *tag);
            self.messages.pop_front();
        }
    }

    /// The tag up to which to acknowledge, if it is time to.
    fn done(&mut self) -> Option<u64> {
        let (count, tag) = self.done;
        let is_time = count >= TOGETHER || (count > 0 && self.messages.is_empty());
        is_time.then(|| {
            self.done.0 = 0;
            tag
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_taken_over_is_acknowledged_and_many_at_once() {
        let mut open = Open::from(100);
        (1..=20).for_each(|tag| open.add(tag, 2));
        open.taken(7); // of an earlier connection
        for number in 100..115 {
            open.taken(number);
        }
        assert_eq!((open.done.0, open.done()), (7, None), "half of the eighth is in use");
        open.taken(117);
        assert_eq!(open.done(), None, "nor does a later one bring the earlier one with it");
        open.taken(115);
        open.taken(116);
        assert_eq!((open.done(), open.done()), (Some(9), None));
        (118..140).for_each(|number| open.taken(number));
        assert_eq!((open.done(), open.messages.len()), (Some(20), 0));
    }
}
