//! The letters of one site: requests that wait for their answers, and a place for those that others send.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tributary_core::federation::Post;
use tributary_core::{Error, ErrorKind, JobId, PartyId, Result};
use tributary_system::random;

use super::letter::{Content, Letter, Reply, Request, Unread, other_version};
use super::outward::outward_event;
use crate::event::{Event, Watcher};
/// How long letters of two sites may take to notice that one of them was started again.
const RENEWAL: Duration = Duration::from_secs(5);

/// A request without an answer is sent again after this, then after twice as long each time, up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// How long one try to send may take: the transport may wait for longer until a site is there.
const SENDING: Duration = Duration::from_secs(2);
/// Events for one site that wait to be sent; more are dropped.
const MOST_EVENTS: usize = 256;
/// A site that has not been heard of for this long is reported as missing.
const MISSING: Duration = Duration::from_secs(2);

/// See the module.
pub struct Correspondence {
    post: Arc<dyn Post>,
    waiting: Arc<Waiting>,
    events: mpsc::UnboundedSender<(PartyId, Content)>,
    works: [JoinHandle<()>; 2],
}

/// What another site wrote, apart from answers.
#[derive(Debug)]
pub(super) enum Received {
    Request {
        from: PartyId,
        number: u64,
        request: Request,
    },
    Event {
        from: PartyId,
        job: JobId,
        event: Box<Event>,
    },
    Beat {
        from: PartyId,
        job: JobId,
    },
    /// Something in another version of letters.
    OtherVersion {
        from: PartyId,
        theirs: u32,
    },
}

impl Correspondence {
    /// Begins to read the letters of a site. Requests and events go to the second result.
    pub(super) fn open(post: Arc<dyn Post>) -> (Arc<Self>, mpsc::Receiver<Received>) {
        let waiting = Arc::<Waiting>::default();
        let (sender, received) = mpsc::channel(256);
        let (events, to_send) = mpsc::unbounded_channel();
        let works = [
            tokio::spawn(read(post.clone(), waiting.clone(), sender, events.clone())),
            tokio::spawn(send_events(post.clone(), to_send)),
        ];
        (Arc::new(Self { post, waiting, events, works }), received)
    }

    /// Sends an answer. One that is lost is asked for again. `InvalidInput` for one that is longer than a letter may be.
    pub(super) async fn reply(&self, to: &PartyId, letter: &[u8]) -> Result<()> {
        match tokio::time::timeout(SENDING, self.post.send(to, letter)).await {
            Ok(Err(error)) if error.kind() == ErrorKind::InvalidInput => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets the coordinator of a job know that the operator of this site ends it.
    pub async fn quit(&self, coordinator: &PartyId, job: &JobId, patience: Duration) -> Result<()> {
        self.ask(coordinator, Request::Quit(job.clone()), patience, &|_| {}).await.map(drop)
    }

    /// A watcher that also lets other sites know how a job goes: the states of its tasks, not what tasks report in between. An event
    /// is sent some time soon, and perhaps in vain.
    pub fn spread(&self, watcher: Watcher, own: PartyId, job: JobId, to: Vec<PartyId>) -> Watcher {
        let events = self.events.clone();
        Arc::new(move |event| {
            watcher(event);
            let Some(event) = outward_event(&own, event) else { return };
            for site in &to {
                let content = Content::Event { job: job.clone(), event: Box::new(event.clone()) };
                drop(events.send((site.clone(), content)));
            }
        })
    }

    /// Shows other sites again and again that the coordinator of a job is there, until this is dropped.
    pub fn beat(self: &Arc<Self>, job: JobId, to: Vec<PartyId>) -> impl Drop + use<> {
        struct Beats(JoinHandle<()>);
        impl Drop for Beats {
            fn drop(&mut self) {
                self.0.abort();
            }
        }
        let events = self.events.clone();
        Beats(tokio::spawn(async move {
            loop {
                tokio::time::sleep(AGAIN.1).await;
                to.iter().for_each(|site| {
                    drop(events.send((site.clone(), Content::Beat { job: job.clone() })));
                });
            }
        }))
    }

    /// Asks a site and waits for its answer, for as long as it is heard of at least once within `patience`. `missing` is called
    /// from time to time while it is not, with how long.
    pub(super) async fn ask(
        &self,
        to: &PartyId,
        request: Request,
        patience: Duration,
        missing: &(dyn Fn(Duration) + Sync),
    ) -> Result<Reply> {
        let number = random_number()?;
        let letter = Letter::encode(Content::Request { number, request })?;
        let (sender, mut replies) = mpsc::unbounded_channel();
        let _waits = Waits::new(&self.waiting, (to.clone(), number), sender);
        let (mut heard, mut pause, mut report) = (Instant::now(), AGAIN.0, MISSING);
        loop {
            // One that cannot be reached now may be there for the next try.
            let sent = match tokio::time::timeout(SENDING, self.post.send(to, &letter)).await {
                Ok(sent) => sent,
                Err(_) => Err(Error::new(ErrorKind::Unavailable, "it cannot be reached")),
            };
            if let Err(error) = &sent
                && !error.is_retryable()
                && error.kind() != ErrorKind::NotFound
            {
                return sent.map(|()| Reply::Working);
            }
            match tokio::time::timeout(pause, replies.recv()).await {
                Ok(Some(Reply::Working)) => {
                    (heard, report) = (Instant::now(), MISSING);
                    tokio::select! {
                        Some(reply) = replies.recv() => if !matches!(reply, Reply::Working) { return Ok(reply) },
                        () = tokio::time::sleep(AGAIN.1) => {}
                    }
                }
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) | Err(_) => pause = (pause * 2).min(AGAIN.1),
            }
            let silent = heard.elapsed();
            if silent > patience {
                let why = sent.err().map_or(String::new(), |error| format!(": {}", error.chain()));
                let text = format!("party {to} was not heard of for {} s{why}", silent.as_secs());
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            if silent > report {
                missing(silent);
                report = silent * 2;
            }
        }
    }
}

impl Correspondence {
    /// Asks a site, and waits for the answer for as long as `patience`. Errors of the transport say why the request is not there.
    pub(super) async fn ask_once(&self, to: &PartyId, request: Request, patience: Duration) -> Result<Reply> {
        let number = random_number()?;
        let letter = Letter::encode(Content::Request { number, request })?;
        let (sender, mut replies) = mpsc::unbounded_channel();
        let _waits = Waits::new(&self.waiting, (to.clone(), number), sender);
        let (began, mut pause) = (Instant::now(), AGAIN.0);
        loop {
            match self.post.send(to, &letter).await {
                // Its end is of an earlier process, of that site or of this one, and is just being made anew.
                Err(error)
                    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Cancelled)
                        && began.elapsed() < RENEWAL => {}
                sent => sent?,
            }
            // The answer may have been lost with such an end too.
            match tokio::time::timeout(pause, replies.recv()).await {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) | Err(_) => pause = (pause * 2).min(AGAIN.1),
            }
            if began.elapsed() >= patience {
                let text =
                    format!("party {to} took a request and did not answer within {} s", patience.as_secs());
                return Err(Error::new(ErrorKind::Timeout, text));
            }
        }
    }
}

impl fmt::Debug for Correspondence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.post.fmt(f)
    }
}

impl Drop for Correspondence {
    fn drop(&mut self) {
        self.works.iter().for_each(JoinHandle::abort);
    }
}

type Waiting = Mutex<HashMap<(PartyId, u64), mpsc::UnboundedSender<Reply>>>;

fn lock(waiting: &Waiting) -> MutexGuard<'_, HashMap<(PartyId, u64), mpsc::UnboundedSender<Reply>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A request that waits for its answer; dropped with the wait.
struct Waits<'a> {
    waiting: &'a Waiting,
    key: (PartyId, u64),
}

impl<'a> Waits<'a> {
    fn new(waiting: &'a Waiting, key: (PartyId, u64), sender: mpsc::UnboundedSender<Reply>) -> Self {
        lock(waiting).insert(key.clone(), sender);
        Self { waiting, key }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        lock(self.waiting).remove(&self.key);
    }
}

/// Those to one site one after another, so that they come in order; what cannot be sent now is not missed. A site whose line is slow
/// delays no other.
async fn send_events(post: Arc<dyn Post>, mut events: mpsc::UnboundedReceiver<(PartyId, Content)>) {
    let mut lines: HashMap<PartyId, mpsc::Sender<Content>> = HashMap::new();
    let mut works = tokio::task::JoinSet::new();
    while let Some((to, content)) = events.recv().await {
        let line = lines.entry(to.clone()).or_insert_with(|| {
            let (sender, mut own) = mpsc::channel::<Content>(MOST_EVENTS);
            let post = post.clone();
            works.spawn(async move {
                while let Some(content) = own.recv().await {
                    if let Ok(letter) = Letter::encode(content) {
                        drop(tokio::time::timeout(SENDING, post.send(&to, &letter)).await);
                    }
                }
            });
            sender
        });
        drop(line.try_send(content));
    }
}

async fn read(
    post: Arc<dyn Post>,
    waiting: Arc<Waiting>,
    to: mpsc::Sender<Received>,
    events: mpsc::UnboundedSender<(PartyId, Content)>,
) {
    // The post ends with the last handle to it.
    while let Ok((from, bytes)) = post.receive().await {
        let received = match Letter::decode(&bytes) {
            Ok(Content::Reply { number, reply }) => {
                // An answer that nobody waits for any more came twice.
                if let Some(sender) = lock(&waiting).get(&(from, number)) {
                    drop(sender.send(reply));
                }
                continue;
            }
            Ok(Content::Request { number, request }) => Received::Request { from, number, request },
            Ok(Content::Event { job, event }) => Received::Event { from, job, event },
            Ok(Content::Beat { job }) => Received::Beat { from, job },
            Err(Unread::OtherVersion { theirs, request }) => {
                fail_all(&waiting, &from, theirs);
                if let Some(number) = request {
                    // All that the site will read of it is which version it has.
                    drop(events.send((from.clone(), Content::Reply { number, reply: Reply::Unknown })));
                }
                Received::OtherVersion { from, theirs }
            }
            Err(Unread::Nonsense) => continue,
        };
        if to.send(received).await.is_err() {
            return;
        }
    }
}

/// Whoever waits for a site that this one cannot understand waits in vain.
fn fail_all(waiting: &Waiting, site: &PartyId, theirs: u32) {
    let waiting = lock(waiting);
    for (_, sender) in waiting.iter().filter(|((of, _), _)| of == site) {
        drop(sender.send(Reply::Failed(other_version(site, theirs))));
    }
}

fn random_number() -> Result<u64> {
    let mut number = [0; 8];
    random::fill(&mut number)?;
    Ok(u64::from_le_bytes(number))
}
