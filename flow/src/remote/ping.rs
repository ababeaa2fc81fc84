//! Whether another site is there, which build it runs, what its clock shows, and what the way to it carries.
//!
//! A ping is sealed like every letter, so an answer proves that both sites know each other's keys. It is no job: it is answered at once,
//! and its answer is not kept in case it is asked for again, since it may be large.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tributary_component::Components;
use tributary_core::federation::Post;
use tributary_core::{Error, ErrorKind, PartyId, Result, Shown};
use tributary_system::clock::now_ms;

use super::correspondence::{Correspondence, Received};
use super::letter::{Reply, Request, reply};

/// Most bytes that a ping sends there or gets back.
pub const MOST_PING_BYTES: usize = 1 << 20;
/// Pings that are answered at a time; others are not.
const MOST_PINGS: usize = 32;
/// A site that has pinged and asks nothing for this long has what it wants.
const QUIET: Duration = Duration::from_secs(2);
/// Longest wait for that.
const MOST_QUIET: Duration = Duration::from_secs(60);

/// What a site said to a ping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// How many bytes came back.
    pub bytes: usize,
    /// The version of the product there.
    pub product: String,
    /// 128 bits of its kernels' fingerprint, hexadecimal.
    pub kernels: String,
    /// Its clock, as time since 1970.
    pub clock: Duration,
}

/// 128 bits of what sites compare of their kernels, hexadecimal.
pub fn kernels_of(components: &Components) -> String {
    components.kernels().fingerprint()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Correspondence {
    /// Sends `there` bytes to a site and gets `back` bytes, at most [`MOST_PING_BYTES`] each. `Unavailable` if the transport did not reach
    /// it, `Timeout` if it did and nothing came within `patience`, `Denied` if the site has no key here.
    pub async fn ping(&self, to: &PartyId, there: usize, back: usize, patience: Duration) -> Result<Pong> {
        let size = |bytes: usize| bytes.min(MOST_PING_BYTES);
        let request = Request::Ping { there: filling(size(there)), back: size(back) as u64 };
        match self.ask_once(to, request, patience).await? {
            Reply::Pong { back, product, kernels, now_ms } => {
                let clock = Duration::from_millis(now_ms);
                let (product, kernels) = (Shown::new(&product).to_string(), Shown::new(&kernels).to_string());
                Ok(Pong { bytes: back.len(), product, kernels, clock })
            }
            Reply::Failed(error) => Err(error),
            _ => {
                Err(Error::new(ErrorKind::Corrupt, format!("party {to} answered a ping with something else")))
            }
        }
    }

    /// Opens the letters of a site for pings alone: it sends them, answers those of others, and leaves every other request without an
    /// answer.
    pub fn for_pings(post: Arc<dyn Post>, components: &Components) -> (Arc<Self>, Answering) {
        let (letters, received) = Self::open(post);
        let (asked, last) = watch::channel(None);
        let work = tokio::spawn(answer(letters.clone(), received, Pings::new(components), asked));
        (letters, Answering { work, last })
    }
}

/// Answers pings until it is dropped.
#[derive(Debug)]
pub struct Answering {
    work: JoinHandle<()>,
    /// When something was asked.
    last: watch::Receiver<Option<Instant>>,
}

impl Answering {
    /// Waits until others have what they want: two sites that ping each other are not done at the same time.
    pub async fn others_are_done(&self) {
        let end = Instant::now() + MOST_QUIET;
        loop {
            let Some(asked) = *self.last.borrow() else { return };
            let quiet = asked + QUIET;
            if quiet <= Instant::now() || Instant::now() >= end {
                return;
            }
            tokio::time::sleep_until(quiet).await;
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.work.abort();
    }
}

async fn answer(
    letters: Arc<Correspondence>,
    mut received: mpsc::Receiver<Received>,
    pings: Pings,
    asked: watch::Sender<Option<Instant>>,
) {
    while let Some(letter) = received.recv().await {
        if let Received::Request { from, number, request: Request::Ping { back, .. } } = letter {
            asked.send_replace(Some(Instant::now()));
            pings.answer(&letters, from, number, back);
        }
    }
}

/// Answers pings, a bounded number at a time.
#[derive(Debug)]
pub(super) struct Pings {
    kernels: String,
    free: Arc<Semaphore>,
}

impl Pings {
    pub(super) fn new(components: &Components) -> Self {
        Self { kernels: kernels_of(components), free: Arc::new(Semaphore::new(MOST_PINGS)) }
    }

    /// Does not wait: a line that is slow must not hold up other requests.
    pub(super) fn answer(&self, letters: &Arc<Correspondence>, to: PartyId, number: u64, back: u64) {
        let Ok(permit) = self.free.clone().try_acquire_owned() else { return };
        let back = usize::try_from(back).unwrap_or(usize::MAX).min(MOST_PING_BYTES);
        let (letters, kernels) = (letters.clone(), self.kernels.clone());
        tokio::spawn(async move {
            let product = env!("CARGO_PKG_VERSION").to_owned();
            let pong = Reply::Pong { back: filling(back), product, kernels, now_ms: now_ms() };
            if let Ok(letter) = reply(number, pong) {
                drop(letters.reply(&to, &letter).await);
            }
            drop(permit);
        });
    }
}

/// Bytes without a meaning.
fn filling(bytes: usize) -> String {
    "x".repeat(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tributary_core::federation::Network;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(300);

    fn id(text: &str) -> PartyId {
        text.parse().unwrap()
    }

    async fn letters(
        networks: &BTreeMap<PartyId, Arc<dyn Network>>,
        site: &str,
    ) -> (Arc<Correspondence>, Answering) {
        let post = networks[&id(site)].post(&id(site)).await.unwrap();
        Correspondence::for_pings(post, &tributary_components::all())
    }

    #[tokio::test]
    async fn two_sites_that_ping_each_other_answer_each_other() {
        let networks = tributary_memory::networks(&[id("1"), id("2")]).unwrap();
        let ((one, _one), (two, _two)) = (letters(&networks, "1").await, letters(&networks, "2").await);
        let before = now_ms();
        let pong = one.ping(&id("2"), MOST_PING_BYTES, 0, PATIENCE).await.unwrap();
        assert_eq!((pong.bytes, pong.kernels.len()), (0, 32));
        assert!(pong.clock >= Duration::from_millis(before) && pong.clock <= Duration::from_millis(now_ms()));
        let pong = two.ping(&id("1"), 0, 10 * MOST_PING_BYTES, PATIENCE).await.unwrap();
        assert_eq!(pong.bytes, MOST_PING_BYTES, "no more than is allowed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_site_that_was_pinged_is_there_until_nothing_is_asked_any_more() {
        let networks = tributary_memory::networks(&[id("1"), id("2")]).unwrap();
        let ((one, mine), (_, theirs)) = (letters(&networks, "1").await, letters(&networks, "2").await);
        one.ping(&id("2"), 0, 0, PATIENCE).await.unwrap();
        let began = Instant::now();
        mine.others_are_done().await;
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody pinged it");
        theirs.others_are_done().await;
        assert!(began.elapsed() >= QUIET / 2, "{:?}", began.elapsed());
    }

    #[tokio::test]
    async fn many_pings_at_once_are_all_answered() {
        let networks = tributary_memory::networks(&[id("1"), id("2")]).unwrap();
        let ((one, _one), (_, _two)) = (letters(&networks, "1").await, letters(&networks, "2").await);
        let (two, pings) = (id("2"), MOST_PINGS);
        let all = (0..pings).map(|_| one.ping(&two, 1000, 1000, PATIENCE));
        assert_eq!(futures::future::try_join_all(all).await.unwrap().len(), pings);
    }

    #[tokio::test(start_paused = true)]
    async fn a_site_that_is_not_there_or_not_known_is_named() {
        let networks = tributary_memory::networks(&[id("1"), id("2")]).unwrap();
        let (one, _one) = letters(&networks, "1").await;
        let error = one.ping(&id("2"), 0, 0, Duration::from_secs(10)).await.unwrap_err();
        assert!(
            error.kind() == ErrorKind::Timeout
                && error.to_string().contains("party 2 took a request and did not answer"),
            "{error}"
        );
        assert_eq!(one.ping(&id("3"), 0, 0, PATIENCE).await.unwrap_err().kind(), ErrorKind::Denied);
    }
}
