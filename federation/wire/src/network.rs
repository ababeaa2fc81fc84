//! A site's transport: a queue, the site's keys, and limits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_trait::async_trait;
use futures::future::try_join_all;
use tributary_core::computing::End;
use tributary_core::federation::{Carriage, Federation, FederationSpec, Network, Post};
use tributary_core::{Error, PartyId, Result, ResultExt};

use crate::clock::Clock;
use crate::frame::MAX_PIECE_BYTES;
use crate::handshake::Terms;
use crate::keys::KeyRing;
use crate::limits::Limits;
use crate::link::{Link, Setting};
use crate::post::Letters;
use crate::queue::Queue;
use crate::session::{Session, leave};
use crate::store::Budget;
use crate::throttle::{Pace, Throttled};
use crate::traffic::Ledger;

/// Settings of sessions.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Bytes of a value in one frame, 256 to about 62 KiB; sealing adds less than 100.
    pub piece_bytes: usize,
    /// What came and was not pulled may take this much memory, over all peers.
    pub memory_bytes: u64,
    /// Beyond that it goes to disk, sealed as it came, up to this; each peer has an equal share.
    pub disk_bytes: u64,
    /// Where on disk; else the system's place for temporary files.
    pub folder: Option<PathBuf>,
    /// What is taken from a peer.
    pub limits: Limits,
    /// Bytes a second that the site sends, to all peers in all sessions together; none for as many as go.
    pub most_rate: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            piece_bytes: 60 << 10,
            memory_bytes: 256 << 20,
            disk_bytes: 64 << 30,
            folder: None,
            limits: Limits::default(),
            most_rate: None,
        }
    }
}

impl Options {
    /// With another length of pieces.
    #[must_use]
    pub fn with_piece_bytes(mut self, piece_bytes: usize) -> Self {
        self.piece_bytes = piece_bytes;
        self
    }

    /// With another limit on memory.
    #[must_use]
    pub fn with_memory_bytes(mut self, memory_bytes: u64) -> Self {
        self.memory_bytes = memory_bytes;
        self
    }

    /// With another limit on disk.
    #[must_use]
    pub fn with_disk_bytes(mut self, disk_bytes: u64) -> Self {
        self.disk_bytes = disk_bytes;
        self
    }

    /// With other limits on what peers send.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// With a limit on what is sent.
    #[must_use]
    pub fn with_most_rate(mut self, most_rate: Option<u64>) -> Self {
        self.most_rate = most_rate;
        self
    }

    /// With another folder for what does not fit into memory.
    #[must_use]
    pub fn with_folder(mut self, folder: PathBuf) -> Self {
        self.folder = Some(folder);
        self
    }
}

/// [`Network`] over any [`Queue`].
#[derive(Debug, Clone)]
pub struct Wire {
    queue: Arc<dyn Queue>,
    keys: Arc<KeyRing>,
    pace: Option<Arc<Pace>>,
    options: Options,
}

impl Wire {
    /// `InvalidInput` for options that cannot work.
    pub fn new(queue: Arc<dyn Queue>, keys: KeyRing, options: Options) -> Result<Self> {
        if !(256..=MAX_PIECE_BYTES).contains(&options.piece_bytes) {
            let given = options.piece_bytes;
            return Err(Error::invalid(format!(
                "pieces of {given} bytes, expected 256 to {MAX_PIECE_BYTES}"
            )));
        }
        let pace = options.most_rate.map(|rate| Arc::new(Pace::new(rate)));
        Ok(Self { queue, keys: Arc::new(keys), pace, options })
    }

    /// The queue for one session or post; its timers are those of the caller's runtime.
    fn queue(&self) -> Result<Arc<dyn Queue>> {
        Ok(match &self.pace {
            Some(pace) => Arc::new(Throttled::new(self.queue.clone(), pace.clone())?),
            None => self.queue.clone(),
        })
    }

    fn check(&self, spec: &FederationSpec) -> Result<()> {
        self.keys.check_own(&spec.own.id)?;
        let mut seen = BTreeSet::from([&spec.own]);
        for peer in &spec.peers {
            if !seen.insert(peer) {
                return Err(Error::invalid(format!("{peer} occurs twice among the parties")));
            }
            self.keys.of(&peer.id)?;
        }
        Ok(())
    }

    fn setting(&self, spec: &FederationSpec) -> Result<Setting> {
        let Options { memory_bytes, disk_bytes, folder, limits, .. } = self.options.clone();
        let peer_disk_bytes = disk_bytes / spec.peers.len().max(1) as u64;
        let budget = Budget { memory_bytes, memory_used: AtomicU64::new(0), peer_disk_bytes, folder };
        Ok(Setting {
            keys: self.keys.clone(),
            queue: self.queue()?,
            clock: Clock::current()?,
            patience: spec.patience,
            carriage: Arc::new(carriage(spec)),
            ledger: Arc::new(Ledger::default()),
            budget: Arc::new(budget),
            limits,
            peers: spec.peers.len(),
        })
    }

    async fn try_join(&self, spec: FederationSpec) -> Result<Arc<dyn Federation>> {
        self.check(&spec)?;
        let setting = self.setting(&spec)?;
        let link = |peer: &tributary_core::Party| {
            let (session, own, peer) = (spec.session.clone(), spec.own.clone(), peer.clone());
            Link::new(Terms { session, own, peer, job_hash: spec.job_hash }, &setting).map(Arc::new)
        };
        let links: Vec<Arc<Link>> = spec.peers.iter().map(link).collect::<Result<_>>()?;
        if let Err(error) = try_join_all(links.iter().map(|link| link.open())).await {
            // Nothing was sent yet; an error of the clean-up would only hide this one.
            drop(leave(&links, End::Failed).await);
            return Err(error);
        }
        Ok(Arc::new(Session::new(spec, self.options.piece_bytes, setting.clock, setting.ledger, links)))
    }
}

/// What a job wishes, without what would lose a value that somebody still waits for.
fn carriage(spec: &FederationSpec) -> Carriage {
    let least_ms = u64::try_from(spec.patience.as_millis()).unwrap_or(u64::MAX);
    let expires_ms = spec.carriage.expires_ms.map(|wish| wish.max(least_ms));
    Carriage { expires_ms, ..spec.carriage.clone() }
}

#[async_trait]
impl Network for Wire {
    fn name(&self) -> &'static str {
        self.queue.name()
    }

    async fn post(&self, own: &PartyId) -> Result<Arc<dyn Post>> {
        self.keys.check_own(own)?;
        let letters = Letters::open(own.clone(), self.keys.clone(), self.queue()?).await;
        Ok(Arc::new(letters.at(|| format!("open the letters of site {own} over {}", self.name()))?))
    }

    async fn join(&self, spec: FederationSpec) -> Result<Arc<dyn Federation>> {
        let (session, own) = (spec.session.clone(), spec.own.clone());
        self.try_join(spec).await.at(|| format!("join session {session} as {own} over {}", self.name()))
    }
}
