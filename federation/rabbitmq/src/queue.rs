//! The queue of a site on its broker: which channel has which ends here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tributary_core::federation::Purpose;
use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_wire::{Channel, Delivery, Queue, Readable, Receipt};

use crate::admin::Links;
use crate::config::{Config, Mode, QueueType};
use crate::error;
use crate::line::Line;
use crate::receiver::Receiver;
use crate::sender::Sender;

/// Most bytes in a queue; the broker refuses what is beyond. A sender waits for its reader long before.
const MOST_BYTES: i64 = 256 << 20;
/// Most letters for a site that is away. The oldest make room: they are asked again, or of no interest any more.
const MOST_LETTERS: i64 = 10_000;
/// Most bytes of them, likewise: many of the longest letters.
const MOST_LETTER_BYTES: i64 = 64 << 20;
/// How long the end of a channel is waited for: then it goes on in the background.
const FINISH: Duration = Duration::from_secs(2);
/// Between two looks at that.
const LOOK: Duration = Duration::from_millis(50);

/// See the crate. Channels of one site only.
pub struct Rabbit {
    site: Arc<Site>,
    publishing: Arc<Line>,
    senders: Mutex<HashMap<String, Arc<Sender>>>,
    receivers: Mutex<HashMap<String, Arc<Receiver>>>,
    /// Removals of this site's ends of channels to partners with a broker of their own.
    endings: Mutex<HashMap<PartyId, Vec<JoinHandle<Result<()>>>>>,
    runtime: Handle,
}

/// What tasks on the runtime need.
#[derive(Debug)]
struct Site {
    config: Arc<Config>,
    consuming: Arc<Line>,
    links: Option<Links>,
}

impl Rabbit {
    /// Calls nobody yet. Must be called within a tokio runtime with I/O and time, on which all connections are.
    pub fn new(config: Config) -> Result<Self> {
        let runtime = Handle::try_current()
            .map_err(|e| Error::bug("a queue on a broker is made outside of a tokio runtime").because(e))?;
        let config = Arc::new(config);
        let links = match &config.mode {
            Mode::Client => None,
            Mode::Replication { .. } => Some(Links::new(&config)?),
        };
        let consuming = Arc::new(Line::new(config.clone(), "receiving"));
        let publishing = Arc::new(Line::new(config.clone(), "sending"));
        let site = Arc::new(Site { config, consuming, links });
        let (senders, receivers, endings) = Default::default();
        Ok(Self { site, publishing, senders, receivers, endings, runtime })
    }

    async fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.runtime
            .spawn(work)
            .await
            .map_err(|e| Error::new(ErrorKind::Cancelled, "the runtime has ended").because(e))?
    }

    fn sender(&self, channel: &Channel) -> Arc<Sender> {
        let mut senders = lock(&self.senders);
        senders.retain(|_, sender| !sender.is_over());
        let start = || Arc::new(Sender::start(self.publishing.clone(), channel, &self.runtime));
        senders.entry(channel.as_str().into()).or_insert_with(start).clone()
    }

    fn receiver(&self, channel: &Channel) -> Arc<Receiver> {
        let start =
            || Arc::new(Receiver::start(self.site.consuming.clone(), channel.as_str(), &self.runtime));
        lock(&self.receivers).entry(channel.as_str().into()).or_insert_with(start).clone()
    }
}

fn lock<T>(ends: &Mutex<T>) -> MutexGuard<'_, T> {
    ends.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Queue for Rabbit {
    fn name(&self) -> &'static str {
        "rabbitmq"
    }

    async fn open(&self, channel: &Channel) -> Result<()> {
        let (site, channel) = (self.site.clone(), channel.clone());
        self.on_runtime(async move { site.open(&channel).await }).await
    }

    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        while !self.sender(channel).send(frames).await? {}
        Ok(())
    }

    async fn flush(&self, channel: &Channel) -> Result<()> {
        let sender = lock(&self.senders).get(channel.as_str()).cloned();
        match sender {
            Some(sender) => sender.flush().await,
            None => Ok(()),
        }
    }

    async fn receive(&self, channel: &Channel) -> Result<Delivery> {
        let receiver = self.receiver(channel);
        let received = receiver.receive().await;
        if received.is_err() {
            let mut receivers = lock(&self.receivers);
            if receivers.get(channel.as_str()).is_some_and(|known| Arc::ptr_eq(known, &receiver)) {
                receivers.remove(channel.as_str());
            }
        }
        received
    }

    async fn acknowledge(&self, channel: &Channel, receipt: Receipt) -> Result<()> {
        if let Some(receiver) = lock(&self.receivers).get(channel.as_str()) {
            receiver.acknowledge(receipt);
        }
        Ok(())
    }

    async fn remove(&self, channel: &Channel) -> Result<()> {
        lock(&self.senders).remove(channel.as_str());
        // Whoever waits for a frame still has it, and is told once the queue is gone.
        lock(&self.receivers).remove(channel.as_str());
        // The partner's broker lets go of this site's end of the other direction at the same time.
        let endings = lock(&self.endings).remove(channel.from()).unwrap_or_default();
        let (site, name) = (self.site.clone(), channel.as_str().to_owned());
        self.on_runtime(async move {
            site.remove(&name).await?;
            // One that takes longer is no failure: it goes on, and at the latest the broker removes the queue.
            drop(timeout(FINISH, join_all(endings)).await);
            Ok(())
        })
        .await
    }

    async fn finish(&self, channel: &Channel) -> Result<()> {
        lock(&self.senders).remove(channel.as_str());
        if self.site.links.is_none() || channel.from() == channel.to() {
            return Ok(());
        }
        let (site, name) = (self.site.clone(), channel.as_str().to_owned());
        self.on_runtime(async move {
            drop(timeout(FINISH, site.empty(&name)).await);
            Ok(())
        })
        .await?;
        let (site, name) = (self.site.clone(), channel.as_str().to_owned());
        let ending = self.runtime.spawn(async move { site.end(&name).await });
        lock(&self.endings).entry(channel.to().clone()).or_default().push(ending);
        Ok(())
    }
}

impl Site {
    async fn open(&self, channel: &Channel) -> Result<()> {
        if let Some(links) = &self.links
            && *channel.to() == self.config.own
            && channel.from() != channel.to()
        {
            links.ensure(channel.from()).await?;
        }
        let (name, arguments) = (channel.as_str(), self.arguments(channel));
        self.consuming.patiently(|| self.declare(name, arguments.clone())).await
    }

    async fn declare(&self, name: &str, arguments: FieldTable) -> Result<()> {
        let channel = self.consuming.channel().await?;
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declared = channel.queue_declare(name.into(), options, arguments).await;
        match declared.map_err(|e| error::using(&self.config, name, &e)) {
            // It is there, with other settings: the partner made it.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => Err(error.at(format!("make queue {name}"))),
            Ok(_) => {
                drop(channel.close(200, "".into()).await);
                Ok(())
            }
        }
    }

    fn arguments(&self, channel: &Channel) -> FieldTable {
        let mut arguments = FieldTable::default();
        let mut set = |key: &'static str, value| {
            arguments.insert(key.into(), value);
        };
        let wish = channel.carriage();
        let expires = i64::try_from(self.config.expires.as_millis()).unwrap_or(i64::MAX);
        let wished = wish.expires_ms.map_or(i64::MAX, |wished| i64::try_from(wished).unwrap_or(i64::MAX));
        set("x-expires", AMQPValue::LongLongInt(expires.min(wished)));
        let queue_type = if wish.replicated { QueueType::Quorum } else { self.config.queue_type };
        set("x-queue-type", AMQPValue::LongString(queue_type.as_str().into()));
        match Readable::of(channel.as_str()).map(|name| name.purpose) {
            Some(Purpose::Letters) => {
                set("x-max-length", AMQPValue::LongLongInt(MOST_LETTERS));
                set("x-max-length-bytes", AMQPValue::LongLongInt(MOST_LETTER_BYTES));
            }
            _ => {
                set("x-max-length-bytes", AMQPValue::LongLongInt(MOST_BYTES));
                set("x-overflow", AMQPValue::LongString("reject-publish".into()));
            }
        }
        arguments
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.consuming.patiently(|| remove(&self.consuming, name, QueueDeleteOptions::default())).await
    }

    /// Waits until everything was fetched.
    async fn empty(&self, name: &str) -> Result<()> {
        let passive = QueueDeclareOptions { passive: true, durable: true, ..QueueDeclareOptions::default() };
        let channel = self.consuming.channel().await?;
        loop {
            let seen = channel.queue_declare(name.into(), passive, FieldTable::default()).await;
            if seen.map_err(|e| error::using(&self.config, name, &e))?.message_count() == 0 {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }

    /// Removes a queue once nothing is in it and no broker fetches from it any more: what one has fetched and lost comes back into it. If nobody has
    /// fetched what is in it for as long as a broker may be away, it is left to the partner, which may come later, and to `x-expires`.
    async fn end(&self, name: &str) -> Result<()> {
        let options = QueueDeleteOptions { if_unused: true, if_empty: true, nowait: false };
        let mut unused: Option<Instant> = None;
        loop {
            match self.consuming.patiently(|| remove(&self.consuming, name, options)).await {
                Err(error) if error.kind() == ErrorKind::Conflict => {
                    // Whether it is used is what the broker looks at first.
                    unused = if error.to_string().contains("not empty") {
                        unused.or(Some(Instant::now()))
                    } else {
                        None
                    };
                }
                done => return done,
            }
            if unused.is_some_and(|since| since.elapsed() >= self.config.away) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }
}

/// Removes a queue; `Conflict` if the options forbid it. One try.
pub(crate) async fn remove(line: &Line, name: &str, options: QueueDeleteOptions) -> Result<()> {
    let channel = line.channel().await?;
    match channel.queue_delete(name.into(), options).await.map_err(|e| error::using(&line.config, name, &e)) {
        Ok(_) => {
            drop(channel.close(200, "".into()).await);
            Ok(())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.at(format!("remove queue {name}"))),
    }
}

impl fmt::Debug for Rabbit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the broker at {} as site {}", self.site.config.place(), self.site.config.own)
    }
}
