//! A site's node: its lines to other sites, and the channels over them as a [`Queue`].
//!
//! Every site that is known has a [`Peer`], whether a line stands or not: channels outlive lines. A site with an address is called until a line stands,
//! and again when it breaks; one without is waited for, or reached through the exchange. Both sides of a line are equal once it
//! stands, so it does not matter who called.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::{Either, select};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_memory::Hub;
use tributary_system::random;
use tributary_wire::{Channel, Delivery, Queue, Receipt};

use crate::batch::Batch;
use crate::config::{Config, Options, Place};
use crate::greeting::Own;
use crate::line::{Backoff, Handler, Line, Run};
use crate::meeting::{Meeting, Met, listen};
use crate::message::{Message, Packet, Way};
use crate::peer::{Pace, Peer, State};
use crate::tls::Tls;

/// How long a removal may take to reach the other site.
const REMOVAL: Duration = Duration::from_secs(5);
/// What another site made and nobody here opened is removed after one to two of these.
const SWEEP: Duration = Duration::from_secs(1800);
/// Refusals that are kept for the operator.
pub(crate) const MAX_REFUSALS: usize = 64;

/// See the module. Dropping it ends its lines.
pub struct Node {
    inner: Arc<Inner>,
    idle: Mutex<Option<Idle>>,
    /// Of lines, calls and the port: they end with the node.
    tasks: Mutex<JoinSet<()>>,
}

/// What a node that is not started has to begin with.
struct Idle {
    listener: Option<std::net::TcpListener>,
    exchange: Option<(PartyId, Place)>,
}

struct Inner {
    own: PartyId,
    peers: BTreeMap<PartyId, (Arc<Peer>, Place)>,
    meeting: Meeting,
    options: Options,
    /// What this site says to itself stays here.
    hub: Hub,
    /// From the start on.
    runtime: OnceLock<Handle>,
    process: u64,
    /// The exchange, which is called, or calls.
    exchange_id: Option<PartyId>,
    /// The line with it.
    exchange: Mutex<Option<Arc<Line>>>,
    refusals: Mutex<VecDeque<String>>,
}

impl Node {
    /// Begins to listen and to call. Must be called within a tokio runtime with I/O and time.
    pub fn start(config: Config) -> Result<Self> {
        let node = Self::new(config)?;
        node.begin()?;
        Ok(node)
    }

    /// A node that begins to listen and to call when its first channel is opened, in the runtime of that call.
    pub fn new(config: Config) -> Result<Self> {
        let Config { own, keys, identity, listener, peers, exchange, options } = config;
        let process = random::u64()?;
        let tls = identity.as_ref().map(Tls::new).transpose()?;
        let all = peers.iter().chain(exchange.as_ref().map(|(site, place)| (site, place)));
        let known = all.filter_map(|(site, place)| Some((site.clone(), place.certificate?))).collect();
        let exchange_id = exchange.as_ref().map(|(site, _)| site.clone());
        let (known, patience) = (Arc::new(known), options.greeting);
        let meeting = Meeting { own: Own { id: own.clone(), process }, keys, tls, known, patience };
        let peer = |(site, place): (PartyId, Place)| {
            Ok((site.clone(), (Arc::new(Peer::new(site, own.clone(), process, Instant::now())?), place)))
        };
        let peers = peers.into_iter().filter(|(site, _)| *site != own).map(peer).collect::<Result<_>>()?;
        let (line, refusals, runtime) = Default::default();
        let hub = Hub::new();
        let inner = Inner {
            own,
            peers,
            meeting,
            options,
            hub,
            runtime,
            process,
            exchange_id,
            exchange: line,
            refusals,
        };
        let (idle, tasks) = (Mutex::new(Some(Idle { listener, exchange })), Mutex::new(JoinSet::new()));
        Ok(Self { inner: Arc::new(inner), idle, tasks })
    }

    fn begin(&self) -> Result<()> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Idle { listener, exchange }) = idle else { return Ok(()) };
        let runtime = Handle::try_current()
            .map_err(|e| Error::bug("a node is started outside of a tokio runtime").because(e))?;
        let inner = &self.inner;
        drop(inner.runtime.set(runtime));
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listener {
            let listener =
                TcpListener::from_std(listener).map_err(|e| Error::bug("take over a port").because(e))?;
            tasks.spawn(inner.clone().listen(listener));
        }
        for (peer, place) in inner.peers.values().filter(|(_, place)| place.address.is_some()) {
            tasks.spawn(inner.clone().call(peer.clone(), place.clone()));
        }
        if let Some((site, place)) = exchange.filter(|(_, place)| place.address.is_some()) {
            tasks.spawn(inner.clone().call_exchange(site, place));
        }
        tasks.spawn(inner.clone().sweep());
        Ok(())
    }

    /// Why calls of others were refused, the latest last.
    pub fn refusals(&self) -> Vec<String> {
        self.inner.refusals.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Whether a line to a site stands; if not, why, as far as that is known. The line to the exchange counts for sites behind it.
    pub fn reach(&self, site: &PartyId) -> Result<(), String> {
        let Some((peer, _)) = self.inner.peers.get(site) else {
            return Err(format!("site {site} is not known here"));
        };
        let state = peer.lock();
        match state.line() {
            Some(_) => Ok(()),
            None => Err(state.why_away().unwrap_or("no line was opened yet").to_owned()),
        }
    }
}

impl Inner {
    async fn listen(self: Arc<Self>, listener: TcpListener) {
        let (answering, running) = (self.clone(), self);
        let answer = move |io, from: SocketAddr| {
            let node = answering.clone();
            async move { node.meeting.accept(io, &from.to_string()).await }
        };
        let line = move |met: Result<Met>| {
            let node = running.clone();
            async move {
                match met {
                    Ok(met) if Some(&met.site) == node.exchange_id.as_ref() => node.run_exchange(met).await,
                    Ok(met) => drop(node.run(met).await),
                    Err(error) => node.refused(&error),
                }
            }
        };
        listen(listener, answer, line).await;
    }

    fn refused(&self, error: &Error) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let text = error.chain();
        if refusals.back() == Some(&text) {
            return;
        }
        if refusals.len() == MAX_REFUSALS {
            refusals.pop_front();
        }
        refusals.push_back(text);
    }

    /// Keeps a line to a site.
    async fn call(self: Arc<Self>, peer: Arc<Peer>, place: Place) {
        let mut backoff = Backoff::new(self.options.backoff);
        loop {
            while peer.lock().line().is_some() {
                peer.lost.notified().await;
            }
            match self.meeting.call(&peer.id, &place).await {
                Ok(met) => {
                    drop(self.run(met).await);
                    backoff = Backoff::new(self.options.backoff);
                }
                Err(error) => peer.lock().called_in_vain(&error),
            }
            backoff.wait().await;
        }
    }

    async fn call_exchange(self: Arc<Self>, site: PartyId, place: Place) {
        let mut backoff = Backoff::new(self.options.backoff);
        loop {
            match self.meeting.call(&site, &place).await {
                Ok(met) => {
                    self.run_exchange(met).await;
                    backoff = Backoff::new(self.options.backoff);
                }
                Err(error) => self.behind_exchange().for_each(|peer| peer.lock().called_in_vain(&error)),
            }
            backoff.wait().await;
        }
    }

    fn behind_exchange(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.peers.values().filter(|(_, place)| place.address.is_none()).map(|(peer, _)| peer)
    }

    /// A line with a site, until it ends.
    async fn run(self: &Arc<Self>, met: Met) -> Option<Error> {
        let (peer, _) = self.peers.get(&met.site)?;
        let line = Line::new(met.site.clone(), met.caller);
        peer.lock().hear_process(met.process);
        peer.attach(line.clone());
        let ended =
            Run::new(line.clone(), self.clone(), met.stream, met.cutter, self.options.quiet).run().await;
        peer.detach(&line, Instant::now(), ended.as_ref());
        if let Some(exchange) = self.exchange_line()
            && peer.lock().line().is_none()
        {
            peer.attach(exchange);
        }
        ended
    }

    async fn run_exchange(self: &Arc<Self>, met: Met) {
        let line = Line::new(met.site.clone(), met.caller);
        *self.exchange.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
        for peer in self.behind_exchange().filter(|peer| peer.lock().line().is_none()) {
            peer.attach(line.clone());
        }
        let ended =
            Run::new(line.clone(), self.clone(), met.stream, met.cutter, self.options.quiet).run().await;
        let mut used = self.exchange.lock().unwrap_or_else(PoisonError::into_inner);
        used.take_if(|used| used.id() == line.id());
        drop(used);
        self.peers.values().for_each(|(peer, _)| peer.detach(&line, Instant::now(), ended.as_ref()));
    }

    fn exchange_line(&self) -> Option<Arc<Line>> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn way(&self, to: &PartyId) -> Way {
        Way { from: self.own.clone(), to: to.clone() }
    }

    fn is_exchange(&self, line: &Line) -> bool {
        self.exchange_line().is_some_and(|exchange| exchange.id() == line.id())
    }

    async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP).await;
            self.peers.values().for_each(|(peer, _)| peer.lock().sweep());
        }
    }

    fn peer(&self, site: &PartyId) -> Result<&Arc<Peer>> {
        self.peers.get(site).map(|(peer, _)| peer).ok_or_else(|| {
            let text = format!(
                "no line to site {site}: it is not among federation.direct.peers, and there is no exchange"
            );
            Error::new(ErrorKind::Denied, text)
        })
    }

    fn sleep(&self, time: Duration) -> Sleep {
        let _inside = self.runtime.get().map(Handle::enter);
        tokio::time::sleep(time)
    }

    /// Waits until `step` is done, at most for as long as the site may be out of reach.
    async fn until<T>(
        &self,
        peer: &Arc<Peer>,
        mut step: impl FnMut(&mut State) -> Step<T> + Send,
    ) -> Result<T> {
        let start = Instant::now();
        let mut look = || {
            let mut state = peer.lock();
            let step = step(&mut state);
            let away = state.away().map(|since| since.max(start) + self.options.away);
            let error = || self.unreachable(&peer.id, &state);
            let late = away.filter(|end| *end <= Instant::now()).map(|_| error());
            peer.wake(state);
            match (step, late) {
                (Step::Wait(_), Some(late)) => (Step::Done(Err(late)), away),
                (step, _) => (step, away),
            }
        };
        loop {
            let changed = match look() {
                (Step::Done(result), _) => return result,
                (Step::Wait(changed), _) => changed,
            };
            let mut change = pin!(changed.notified());
            change.as_mut().enable();
            // Again, now that no change is missed.
            let away = match look() {
                (Step::Done(result), _) => return result,
                (Step::Wait(_), away) => away,
            };
            match away {
                None => change.await,
                Some(end) => {
                    let late = pin!(self.sleep(end.saturating_duration_since(Instant::now())));
                    select(change, late).await;
                }
            }
        }
    }

    fn unreachable(&self, site: &PartyId, state: &State) -> Error {
        let why = state.why_away().unwrap_or("it has not called, and no address of it is known here");
        let text = format!("site {site} was out of reach for {:?}: {why}", self.options.away);
        Error::new(ErrorKind::Unavailable, text)
    }
}

enum Step<T> {
    Done(Result<T>),
    Wait(Arc<Notify>),
}

fn absent<T>(channel: &Channel) -> Step<T> {
    Step::Done(Err(Error::new(ErrorKind::NotFound, format!("no channel {channel}"))))
}

impl Handler for Inner {
    fn hear(&self, line: &Arc<Line>, mut packet: Packet) -> Result<Pace> {
        let way = packet.way.take();
        let site = match (&way, self.is_exchange(line)) {
            (Some(way), true) if way.to == self.own => &way.from,
            (None, false) => line.site(),
            // The exchange's own word, or one that went astray.
            (_, true) => return Ok(Pace::Never),
            (Some(_), false) => {
                return Err(Error::new(ErrorKind::Corrupt, "it relays for others, and is no exchange"));
            }
        };
        let Some((peer, _)) = self.peers.get(site) else { return Ok(Pace::Never) };
        let pace = match peer.lock().hear(packet) {
            // No fault of the exchange.
            Err(error) if way.is_some() => {
                self.refused(&error.at(format!("hear site {site} through the exchange")));
                return Ok(Pace::Never);
            }
            pace => pace?,
        };
        if pace != Pace::Never {
            line.remember(peer);
        }
        Ok(pace)
    }

    fn settle(&self, line: &Arc<Line>) {
        line.remembered().iter().for_each(|peer| peer.wake(peer.lock()));
    }

    fn fill(&self, line: &Arc<Line>, batch: &mut Batch) -> Result<()> {
        let through = self.is_exchange(line);
        while !batch.is_full()
            && let Some(peer) = line.next()
        {
            peer.fill(line, through.then(|| self.way(&peer.id)).as_ref(), batch)?;
        }
        Ok(())
    }

    fn keep_alive(&self, line: &Arc<Line>, batch: &mut Batch) -> Result<()> {
        let alive = |way| Packet::new(way, Message::Alive { process: self.process });
        batch.add(&alive(None))?;
        let here = |peer: &&Arc<Peer>| peer.lock().line().is_some_and(|used| used.id() == line.id());
        self.peers.values().map(|(peer, _)| peer).filter(here).for_each(|peer| peer.wake(peer.lock()));
        if self.is_exchange(line) {
            for (peer, _) in self.peers.values() {
                let state = peer.lock();
                if !state.is_idle() && state.line().is_some_and(|used| used.id() == line.id()) {
                    batch.add(&alive(Some(self.way(&peer.id))))?;
                }
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Queue for Node {
    fn name(&self) -> &'static str {
        "direct"
    }

    async fn open(&self, channel: &Channel) -> Result<()> {
        self.begin()?;
        let node = &self.inner;
        if channel.from() == channel.to() {
            return node.hub.open(channel).await;
        }
        if *channel.from() == node.own {
            let peer = node.peer(channel.to())?;
            let mut state = peer.lock();
            state.open_outgoing(channel.as_str());
            peer.wake(state);
        } else {
            let peer = node.peer(channel.from())?;
            let mut state = peer.lock();
            state.open_incoming(channel.as_str());
            peer.wake(state);
        }
        Ok(())
    }

    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()> {
        let node = &self.inner;
        if channel.from() == channel.to() {
            return node.hub.send(channel, frames).await;
        }
        let peer = node.peer(channel.to())?;
        let mut rest = frames;
        let step = |state: &mut State| {
            let stands = state.line().is_some();
            let Some((id, out)) = state.outgoing(channel.as_str()) else { return absent(channel) };
            if let Some(gone) = out.gone() {
                return Step::Done(Err(gone.error(channel.as_str(), peer.id.as_str())));
            }
            let count = if stands { out.push(rest) } else { 0 };
            let changed = out.changed().clone();
            rest = rest.get(count..).unwrap_or_default();
            if count > 0 {
                state.ready(id);
            }
            if rest.is_empty() { Step::Done(Ok(())) } else { Step::Wait(changed) }
        };
        node.until(peer, step).await
    }

    async fn flush(&self, channel: &Channel) -> Result<()> {
        let node = &self.inner;
        if channel.from() == channel.to() {
            return node.hub.flush(channel).await;
        }
        let peer = node.peer(channel.to())?;
        let mut asked = false;
        let step = |state: &mut State| {
            let Some((_, out)) = state.outgoing(channel.as_str()) else { return absent(channel) };
            if let Some(gone) = out.gone() {
                return Step::Done(Err(gone.error(channel.as_str(), peer.id.as_str())));
            }
            if out.is_settled() {
                return Step::Done(Ok(()));
            }
            let changed = out.changed().clone();
            if !std::mem::replace(&mut asked, true) {
                state.ask();
            }
            Step::Wait(changed)
        };
        node.until(peer, step).await
    }

    async fn receive(&self, channel: &Channel) -> Result<Delivery> {
        let node = &self.inner;
        if channel.from() == channel.to() {
            return node.hub.receive(channel).await;
        }
        let peer = node.peer(channel.from())?;
        let step = |state: &mut State| {
            let Some(inbox) = state.incoming(channel.as_str()) else { return absent(channel) };
            if let Some((number, frame, tell)) = inbox.receive() {
                if tell {
                    state.list(channel.as_str());
                }
                return Step::Done(Ok(Delivery { frame, receipt: Receipt(number) }));
            }
            match inbox.gone() {
                Some(gone) => Step::Done(Err(gone.error(channel.as_str(), peer.id.as_str()))),
                None => Step::Wait(inbox.changed().clone()),
            }
        };
        node.until(peer, step).await
    }

    /// A frame is confirmed when it is in this process: a crash takes both.
    async fn acknowledge(&self, _: &Channel, _: Receipt) -> Result<()> {
        Ok(())
    }

    async fn remove(&self, channel: &Channel) -> Result<()> {
        let node = &self.inner;
        if channel.from() == channel.to() {
            return node.hub.remove(channel).await;
        }
        if *channel.to() == node.own {
            let peer = node.peer(channel.from())?;
            let mut state = peer.lock();
            state.remove_incoming(channel.as_str());
            peer.wake(state);
            return Ok(());
        }
        let peer = node.peer(channel.to())?;
        let removed = {
            let mut state = peer.lock();
            let removed = state.remove_outgoing(channel.as_str());
            peer.wake(state);
            removed
        };
        let Some(removed) = removed else { return Ok(()) };
        // Whoever is away is told when it is back, or has forgotten by then.
        let step = |state: &mut State| {
            if state.is_removing(&removed) && state.line().is_some() {
                Step::Wait(removed.clone())
            } else {
                Step::Done(Ok(()))
            }
        };
        let (gone, late) = (pin!(node.until(peer, step)), pin!(node.sleep(REMOVAL)));
        match select(gone, late).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Ok(()),
        }
    }

    async fn finish(&self, _: &Channel) -> Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node of site {}", self.inner.own)
    }
}
