//! An exchange: a process that relays between sites that do not see each other. It is trusted with nothing but delivery: frames are sealed
//! from site to site, and it reads no more of a message than its way and kind.
//!
//! What is for a site that is away is written to disk, and the sender is told that it may forget it: so a site may send to one that is
//! back tomorrow. Everything else stays with its sender until the receiver has it. So an exchange that is killed loses nothing, and
//! what it holds in memory is bounded: a queue for each site, whose length stops the lines that fill it.

pub(crate) mod held;
mod post;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_system::random;
use tributary_wire::KeyRing;

use crate::batch::Batch;
use crate::config::{Options, Place};
use crate::greeting::Own;
use crate::line::{Backoff, Handler, Line, Run};
use crate::meeting::{Meeting, Met, listen};
use crate::message::{Message, Packet, Way, Why};
use crate::node::MAX_REFUSALS;
use crate::peer::Pace;
use crate::tls::{Identity, Tls};

use self::held::Held;
use self::post::{Post, Posted};

/// An exchange: who it is, whom it serves, and where it keeps what is held.
#[derive(Debug)]
pub struct Config {
    /// The id by which sites have registered it.
    pub own: PartyId,
    /// Its key, and those of the sites.
    pub keys: KeyRing,
    /// Its certificate; without one its lines are not encrypted by TLS.
    pub identity: Option<Identity>,
    /// Where it listens.
    pub listener: Option<std::net::TcpListener>,
    /// The sites. Those with an address are called, the others call.
    pub sites: BTreeMap<PartyId, Place>,
    /// Those of `sites` that are exchanges themselves: they send for others.
    pub exchanges: BTreeSet<PartyId>,
    /// The one of them that knows the way to all parties that are not among `sites`.
    pub default: Option<PartyId>,
    /// For what is held; without a folder nothing is, and senders wait for the receiver.
    pub folder: Option<PathBuf>,
    /// Bytes that may be held for one site.
    pub held_bytes: u64,
    /// Times.
    pub options: Options,
}

/// A running exchange. Dropping it ends its lines.
pub struct Exchange {
    inner: Arc<Inner>,
    _tasks: JoinSet<()>,
}

struct Inner {
    meeting: Meeting,
    options: Options,
    posts: BTreeMap<PartyId, Arc<Post>>,
    /// Parties behind another exchange, by whom they were heard through.
    behind: Mutex<HashMap<PartyId, PartyId>>,
    /// Ways to parties that may be behind another exchange, and were not heard of yet.
    stray: Mutex<HashSet<Way>>,
    exchanges: BTreeSet<PartyId>,
    default: Option<PartyId>,
    process: u64,
    refusals: Mutex<VecDeque<String>>,
}

/// Most parties that are remembered to be behind another exchange.
const MAX_BEHIND: usize = 4096;

impl Exchange {
    /// Begins to serve. Must be called within a tokio runtime with I/O and time. Reads what an earlier process held.
    pub fn start(config: Config) -> Result<Self> {
        let Config { own, keys, identity, listener, sites, exchanges, default, folder, held_bytes, options } =
            config;
        let process = random::u64()?;
        let tls = identity.as_ref().map(Tls::new).transpose()?;
        let known =
            sites.iter().filter_map(|(site, place)| Some((site.clone(), place.certificate?))).collect();
        let meeting = Meeting {
            own: Own { id: own, process },
            keys,
            tls,
            known: Arc::new(known),
            patience: options.greeting,
        };
        let post = |site: &PartyId| {
            let held = folder.as_ref().map(|folder| Held::open(folder, site, held_bytes)).transpose()?;
            Ok((site.clone(), Arc::new(Post::new(site.clone(), held))))
        };
        let posts = sites.keys().map(post).collect::<Result<_>>()?;
        let (behind, stray, refusals) = Default::default();
        let inner =
            Arc::new(Inner { meeting, options, posts, behind, stray, exchanges, default, process, refusals });
        let mut tasks = JoinSet::new();
        if let Some(listener) = listener {
            let listener =
                TcpListener::from_std(listener).map_err(|e| Error::bug("take over a port").because(e))?;
            tasks.spawn(inner.clone().listen(listener));
        }
        for (site, place) in sites.into_iter().filter(|(_, place)| place.address.is_some()) {
            tasks.spawn(inner.clone().call(site, place));
        }
        Ok(Self { inner, _tasks: tasks })
    }

    /// Why calls were refused, the latest last.
    pub fn refusals(&self) -> Vec<String> {
        self.inner.refusals.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Sites with a line, and bytes on disk for each site.
    pub fn state(&self) -> BTreeMap<PartyId, SiteState> {
        let state = |(site, post): (&PartyId, &Arc<Post>)| (site.clone(), post.state());
        self.inner.posts.iter().map(state).collect()
    }
}

/// How an exchange sees a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SiteState {
    /// A line stands.
    pub is_there: bool,
    /// Bytes that wait for it on disk.
    pub held_bytes: u64,
}

impl Inner {
    async fn listen(self: Arc<Self>, listener: TcpListener) {
        let (answering, running) = (self.clone(), self.clone());
        let answer = move |io, from: SocketAddr| {
            let exchange = answering.clone();
            async move { exchange.meeting.accept(io, &from.to_string()).await }
        };
        let line = move |met: Result<Met>| {
            let exchange = running.clone();
            async move {
                match met {
                    Ok(met) => exchange.run(met).await,
                    Err(error) => exchange.refused(&error),
                }
            }
        };
        listen(listener, answer, line).await;
    }

    async fn call(self: Arc<Self>, site: PartyId, place: Place) {
        let mut backoff = Backoff::new(self.options.backoff);
        loop {
            match self.meeting.call(&site, &place).await {
                Ok(met) => {
                    self.run(met).await;
                    backoff = Backoff::new(self.options.backoff);
                }
                Err(error) => self.refused(&error),
            }
            backoff.wait().await;
        }
    }

    fn refused(&self, error: &Error) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let text = error.chain();
        if refusals.back() != Some(&text) {
            refusals.push_back(text);
        }
        if refusals.len() > MAX_REFUSALS {
            refusals.pop_front();
        }
    }

    async fn run(self: &Arc<Self>, met: Met) {
        let Some(post) = self.posts.get(&met.site).cloned() else { return };
        let line = Line::new(met.site.clone(), met.caller);
        let again = post.attach(line.clone());
        self.ask_again(again);
        let ended =
            Run::new(line.clone(), self.clone(), met.stream, met.cutter, self.options.quiet).run().await;
        if let Some(error) = ended.filter(|error| error.kind() == ErrorKind::Corrupt) {
            self.refused(&error.at(format!("hear site {}", met.site)));
        }
        let again = post.detach(&line);
        self.ask_again(again);
    }

    /// Lets senders say again what they sent on these ways.
    fn ask_again(&self, ways: Vec<Way>) {
        for way in ways.iter().map(Way::back) {
            self.post_to(&way, Packet::new(Some(way.clone()), Message::Again), None);
        }
    }

    /// The post over which a party is reached.
    fn route(&self, party: &PartyId) -> Option<&Arc<Post>> {
        let behind = || self.behind.lock().unwrap_or_else(PoisonError::into_inner).get(party).cloned();
        self.posts
            .get(party)
            .or_else(|| self.posts.get(&behind()?))
            .or_else(|| self.posts.get(self.default.as_ref()?))
    }

    /// Hands a packet on; returns the post if its queue is long, and whether something is to be confirmed.
    fn post_to(&self, way: &Way, packet: Packet, origin: Option<&Arc<Line>>) -> (Option<Arc<Post>>, Pace) {
        let Some(post) =
            self.route(&way.to).filter(|post| origin.is_none_or(|line| *line.site() != post.site))
        else {
            if let Some(origin) = origin.and_then(|line| self.posts.get(line.site())) {
                self.stray(origin, way, &packet.message);
            }
            return (None, Pace::Never);
        };
        match post.post(way, packet) {
            Posted::Sent => (None, Pace::Never),
            Posted::Full => (Some(post.clone()), Pace::Never),
            Posted::Held => (Some(post.clone()), Pace::Soon),
        }
    }

    /// There is no way to the receiver, or none yet.
    fn stray(&self, origin: &Post, way: &Way, message: &Message) {
        let (Message::Open { id, .. } | Message::Frame { id, .. }) = message else { return };
        let mut stray = self.stray.lock().unwrap_or_else(PoisonError::into_inner);
        let may_come = !self.exchanges.is_empty() && stray.len() < MAX_BEHIND;
        if may_come {
            stray.insert(way.clone());
            return;
        }
        drop(stray);
        origin.push(Packet::new(Some(way.back()), Message::Absent { id: *id, why: Why::NoWay }));
    }

    /// A party that is heard through another exchange is reached through it too.
    fn learn(&self, party: &PartyId, through: &PartyId) {
        let mut behind = self.behind.lock().unwrap_or_else(PoisonError::into_inner);
        if behind.get(party) == Some(through) || behind.len() >= MAX_BEHIND {
            return;
        }
        behind.insert(party.clone(), through.clone());
        drop(behind);
        let mut stray = self.stray.lock().unwrap_or_else(PoisonError::into_inner);
        let again: Vec<Way> = stray.extract_if(|way| way.to == *party).collect();
        drop(stray);
        self.ask_again(again);
    }
}

impl Handler for Inner {
    fn hear(&self, line: &Arc<Line>, packet: Packet) -> Result<Pace> {
        let Some(way) = packet.way.clone() else { return Ok(Pace::Never) };
        let Some(own) = self.posts.get(line.site()) else { return Ok(Pace::Never) };
        if way.from != own.site {
            if !self.exchanges.contains(&own.site) || self.posts.contains_key(&way.from) {
                let text = format!("it sends as site {}, and is site {}", way.from, own.site);
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
            self.learn(&way.from, &own.site);
        }
        own.hear_own(&way, &packet.message);
        let (post, pace) = self.post_to(&way, packet, Some(line));
        match post {
            Some(post) if pace == Pace::Soon => own.owe(post),
            Some(post) => own.wait_for(post),
            None => {}
        }
        Ok(pace)
    }

    fn poll_room(&self, line: &Arc<Line>, cx: &mut Context<'_>) -> Poll<()> {
        self.posts.get(line.site()).map_or(Poll::Ready(()), |own| own.poll_room(cx))
    }

    fn settle(&self, line: &Arc<Line>) {
        let Some(own) = self.posts.get(line.site()) else { return };
        for post in own.owed() {
            match post.store() {
                Ok(confirmed) => {
                    for (way, message) in confirmed {
                        self.post_to(&way, Packet::new(Some(way.clone()), message), None);
                    }
                }
                Err(error) => self.refused(&error.at(format!("hold frames for site {}", post.site))),
            }
        }
    }

    fn fill(&self, line: &Arc<Line>, batch: &mut Batch) -> Result<()> {
        let Some(post) = self.posts.get(line.site()) else { return Ok(()) };
        let again = post.fill(line, batch)?;
        self.ask_again(again);
        Ok(())
    }

    fn keep_alive(&self, _: &Arc<Line>, batch: &mut Batch) -> Result<()> {
        batch.add(&Packet::new(None, Message::Alive { process: self.process }))
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exchange {} of {} sites", self.inner.meeting.own.id, self.inner.posts.len())
    }
}
