//! The federation contract: one value from one party to another, by the name of its slot.
//!
//! A [`Slot`] is used once in each direction between two parties: a second push or pull is refused with `AlreadyExists`.
//! `push` returns when the transport has the value; the session's `close` waits until all of it is durable, that is, until it depends
//! on this process no more. A push waits for the receiver to be there, once and within the session's patience, but never for its pull,
//! so two parties that push to each other cannot block. `pull` waits for the value; a value that came early is kept for its pull, in
//! any order of slots.
//! A peer that is silent for longer than the session's patience is an error that names it (`Timeout`). What a peer sends
//! is decoded by the schema the receiver expects, is bounded, and never chooses what code runs: anything else is `Corrupt`,
//! naming peer and slot. Values are bit-identical at all receivers of one push.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::computing::{Computing, End, RowStream};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{JobHash, JobId, Party, PartyId, SessionId};
use crate::layout::Layout;
use crate::plan::{Op, Plan};
use crate::schema::TableSchema;
use crate::shown::Shown;
use crate::table::Table;

/// One value's name between parties: a variable and where in the algorithm (`iteration.3`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The variable: `masked_ids`.
    pub name: String,
    /// The calling context: `default`, `train.tree.3`.
    pub tag: String,
}

impl Slot {
    /// A slot of an algorithm that uses the name once.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), tag: "default".into() }
    }

    /// The same name at another place of the algorithm.
    #[must_use]
    pub fn tagged(mut self, tag: impl Into<String>) -> Self {
        self.tag = tag.into();
        self
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", Shown::new(&self.name), Shown::new(&self.tag))
    }
}

/// A small typed value between parties. The name and version travel with it and are compared.
pub trait Message: Serialize + DeserializeOwned + Send {
    /// Unique: `psi.hello`.
    const NAME: &'static str;
    /// Raised with every change of meaning or fields.
    const VERSION: u32 = 1;
    /// A longer encoding is refused before it is decoded.
    const MAX_BYTES: usize = 64 << 10;
}

/// What a slot carries.
pub enum Body {
    /// A small typed value, encoded.
    Message(MessageBody),
    /// A table.
    Table(TableBody),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => message.fmt(f),
            Self::Table(t) => {
                write!(f, "table {:?} of {} rows in {} partitions", t.schema, t.rows, t.layout.partitions())
            }
        }
    }
}

/// An encoded [`Message`].
#[derive(Clone, PartialEq, Eq)]
pub struct MessageBody {
    /// [`Message::NAME`].
    pub name: String,
    /// [`Message::VERSION`].
    pub version: u32,
    /// The encoding (postcard).
    pub bytes: Bytes,
}

impl MessageBody {
    /// Encodes a message. `InvalidInput` if it is longer than [`Message::MAX_BYTES`].
    pub fn encode<M: Message>(message: &M) -> Result<Self> {
        let bytes = postcard::to_stdvec(message)
            .map_err(|e| Error::bug(format!("encode message {}", M::NAME)).because(e))?;
        if bytes.len() > M::MAX_BYTES {
            let text = format!("a message {} of {} bytes, at most {}", M::NAME, bytes.len(), M::MAX_BYTES);
            return Err(Error::invalid(text));
        }
        Ok(Self { name: M::NAME.into(), version: M::VERSION, bytes: bytes.into() })
    }

    /// Decodes a message. `Corrupt` says what came in its place.
    pub fn decode<M: Message>(&self) -> Result<M> {
        let wrong = |got: String| Err(Error::new(ErrorKind::Corrupt, got));
        let Self { name, version, bytes } = self;
        if bytes.len() > M::MAX_BYTES {
            return wrong(format!("a message of {} bytes, at most {}", bytes.len(), M::MAX_BYTES));
        }
        if name != M::NAME || *version != M::VERSION {
            return wrong(format!("a {self:?}"));
        }
        match postcard::take_from_bytes(bytes) {
            Ok((message, [])) => Ok(message),
            Ok((_, rest)) => wrong(format!("{} bytes too many", rest.len())),
            Err(why) => wrong(format!("something that does not decode ({why})")),
        }
    }
}

impl fmt::Debug for MessageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, bytes } = self;
        write!(f, "message {}@{version} of {} bytes", Shown::new(name), bytes.len())
    }
}

/// A table on its way. The rows can be opened again for each receiver, and are the same each time.
pub struct TableBody {
    /// Its columns.
    pub schema: TableSchema,
    /// Where its rows were at the sender. A receiver may lay them out in any way.
    pub layout: Layout,
    /// Number of rows.
    pub rows: u64,
    /// The rows, partitions in order. On the receiving side it can be opened once.
    pub source: Box<dyn RowSource>,
}

/// Opens rows.
#[async_trait]
pub trait RowSource: Send + Sync {
    /// The rows, from the first.
    async fn open(&self) -> Result<RowStream>;
}

/// A federation session is for one task attempt, and binds who, what and which version.
#[derive(Debug, Clone)]
pub struct FederationSpec {
    /// The same at all parties of the task attempt.
    pub session: SessionId,
    /// This party.
    pub own: Party,
    /// All other parties of the task.
    pub peers: Vec<Party>,
    /// Digest of what all parties agreed to run; parties with another one are refused.
    pub job_hash: JobHash,
    /// How long a peer may be silent while it is waited for.
    pub patience: Duration,
    /// How the job would like its values to be carried here.
    pub carriage: Carriage,
}

/// How a job would like its values to be carried by a broker, as far as it says so: what FATE 1 hands to the clients of its brokers.
///
/// Each wish makes a transport carry less at a time, or more carefully, and is heeded within what the site's configuration allows: a job weakens
/// no guarantee of a site, and takes no more of its memory. Parties of one job may be at different sites, so none relies on the other's heeding it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carriage {
    /// Bytes up to which frames are packed into one message. A longer frame is a message of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_bytes: Option<u32>,
    /// Most messages that are sent and not confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<u32>,
    /// Most messages that are fetched before they are asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u32>,
    /// Most messages that lie at the broker before the sender waits for its reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u32>,
    /// Most bytes of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_bytes: Option<u64>,
    /// After how many milliseconds the broker removes a channel that nobody uses; never less than the session's patience.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Whether the broker is to keep channels on several of its machines.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub replicated: bool,
}

/// A transport of a site.
#[async_trait]
pub trait Network: fmt::Debug + Send + Sync + 'static {
    /// As in `service_conf.yaml`: `memory`.
    fn name(&self) -> &'static str;
    /// Opens a session. Peers are met when they are first needed.
    async fn join(&self, spec: FederationSpec) -> Result<Arc<dyn Federation>>;
    /// The letters of a site: what its job control exchanges with other sites, on the same transport and sealed by the same keys.
    async fn post(&self, own: &PartyId) -> Result<Arc<dyn Post>>;
}

/// Letters from site to site, outside of any session. They come whole and from whom they say, or not at all; one may be lost, come more
/// than once, or overtake another.
#[async_trait]
pub trait Post: fmt::Debug + Send + Sync + 'static {
    /// Sends a letter. `Denied` if the site has no key here, `Unavailable` if it cannot be reached now.
    async fn send(&self, to: &PartyId, letter: &[u8]) -> Result<()>;
    /// Waits for a letter, and says whose it is.
    async fn receive(&self) -> Result<(PartyId, Bytes)>;
}

/// The broker behind a transport, as the operator of a site asks it: without taking part in anything, and beside a process of the site that does.
/// A transport without one has nothing that outlives the processes of the sites.
#[async_trait]
pub trait Broker: fmt::Debug + Send + Sync + 'static {
    /// Looks whether the broker can be used as the site is configured, and says what was found: which broker, where. Errors say what to change:
    /// `Unavailable` if it cannot be reached, `Denied` for a refused login or a missing permission, `NotFound` for a missing part of it.
    async fn look(&self) -> Result<String>;
    /// The state of the link to the broker of a partner, which has one of its own; `None` if both use the same. Errors as for `look`.
    async fn link(&self, partner: &PartyId) -> Result<Option<String>>;
    /// What lies there with an end at this site, in order of names.
    async fn held(&self) -> Result<Vec<Held>>;
    /// Removes one of these, with all that belongs to it. No error if there is none.
    async fn remove(&self, held: &Held) -> Result<()>;
    /// Removes what this site made at its broker for partners with whom no channel is left: links to their brokers, namespaces. Their number.
    async fn unlink(&self) -> Result<u64>;
}

/// A channel that lies at a broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// As the broker knows it.
    pub name: String,
    /// What it is for.
    pub purpose: Purpose,
    /// Which way it goes from here.
    pub direction: Direction,
    /// The party at its other end, or the site if it is for letters; cut to fit into a name.
    pub peer: String,
    /// Frames in it.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Processes that read it now.
    pub readers: u64,
    /// How long nothing has happened to it, if the broker knows.
    pub idle: Option<Duration>,
}

/// What a channel is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Letters of job control.
    Letters,
    /// An attempt at a task.
    Session {
        /// The job.
        job: JobId,
        /// Task and attempt, cut to fit into a name.
        attempt: String,
    },
}

/// One task attempt's exchange of values; see the module for the rules.
#[async_trait]
pub trait Federation: fmt::Debug + Send + Sync + 'static {
    /// Who takes part.
    fn spec(&self) -> &FederationSpec;
    /// Sends a value to each of `to`; returns when the transport has it.
    async fn push(&self, slot: &Slot, to: &[Party], body: Body) -> Result<()>;
    /// Waits for the value of a slot.
    async fn pull(&self, slot: &Slot, from: &Party) -> Result<Body>;
    /// What went over the wire so far.
    fn traffic(&self) -> Traffic;
    /// Ends the session: waits until what was pushed is durable, and removes what it made at the transport. A second close does
    /// nothing.
    async fn close(&self, end: End) -> Result<()>;
}

/// Bytes and messages of a session, in total and by slot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// One entry for each slot and direction, in the order of first use.
    pub slots: Vec<SlotTraffic>,
    /// Number of pulls that follow a push: the round trips of the algorithm, whatever the network's timing.
    pub rounds: u64,
}

/// What one slot cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotTraffic {
    /// Name and tag.
    pub slot: Slot,
    /// The other side.
    pub peer: Party,
    /// Which way.
    pub direction: Direction,
    /// Bytes on the wire, sealed and framed.
    pub bytes: u64,
    /// Frames on the wire.
    pub messages: u64,
}

/// Which way a value went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    /// From this party.
    Sent,
    /// To this party.
    Received,
}

impl Traffic {
    /// Bytes in one direction.
    pub fn bytes(&self, direction: Direction) -> u64 {
        self.slots.iter().filter(|s| s.direction == direction).map(|s| s.bytes).sum()
    }

    /// Frames in one direction.
    pub fn messages(&self, direction: Direction) -> u64 {
        self.slots.iter().filter(|s| s.direction == direction).map(|s| s.messages).sum()
    }
}

/// Typed pushes and pulls over any [`Federation`].
#[async_trait]
pub trait FederationExt {
    /// Sends a small value.
    async fn push_message<M: Message + Sync>(&self, slot: &Slot, to: &[Party], message: &M) -> Result<()>;
    /// Waits for a small value; `Corrupt` if the peer sent another kind.
    async fn pull_message<M: Message>(&self, slot: &Slot, from: &Party) -> Result<M>;
    /// Sends a kept table; `InvalidInput` if it is not kept (its rows could differ between receivers).
    async fn push_table(&self, slot: &Slot, to: &[Party], table: &Table) -> Result<()>;
    /// Waits for a table and holds it in `session`. `Corrupt` if its columns are not `expected`. `layout` says how to lay
    /// it out here, given the sender's number of rows. What is computed from it names the sender in its errors.
    async fn pull_table(
        &self,
        slot: &Slot,
        from: &Party,
        session: &Arc<dyn Computing>,
        expected: &TableSchema,
        layout: &(dyn for<'a> Fn(u64) -> Result<Layout> + Sync),
    ) -> Result<Table>;
}

#[async_trait]
impl<F: Federation + ?Sized> FederationExt for F {
    async fn push_message<M: Message + Sync>(&self, slot: &Slot, to: &[Party], message: &M) -> Result<()> {
        let body = MessageBody::encode(message).map_err(|e| e.at(format!("push of slot {slot}")))?;
        self.push(slot, to, Body::Message(body)).await
    }

    async fn pull_message<M: Message>(&self, slot: &Slot, from: &Party) -> Result<M> {
        let got = match self.pull(slot, from).await? {
            Body::Message(body) => match body.decode() {
                Ok(message) => return Ok(message),
                Err(wrong) => wrong.to_string(),
            },
            other => format!("a {other:?}"),
        };
        let expected = format!("message {}@{}", M::NAME, M::VERSION);
        let text = format!("{from} sent {got} in slot {slot}, expected {expected}");
        Err(Error::new(ErrorKind::Corrupt, text))
    }

    async fn push_table(&self, slot: &Slot, to: &[Party], table: &Table) -> Result<()> {
        let Op::Scan(handle, _) = table.plan().op() else {
            return Err(Error::invalid(format!("push of slot {slot}: keep the table first")));
        };
        let rows = match table.plan().layout() {
            Layout::Rows(ranges) => ranges.all().end - ranges.all().start,
            _ => handle.rows(),
        };
        let source = Box::new(Kept { session: table.session().clone(), plan: table.plan().clone() });
        // Where rows are here (how many partitions, how many rows each) does not concern the receiver.
        let (schema, layout) = (table.schema().clone(), Layout::Loose(1));
        self.push(slot, to, Body::Table(TableBody { schema, layout, rows, source })).await
    }

    async fn pull_table(
        &self,
        slot: &Slot,
        from: &Party,
        session: &Arc<dyn Computing>,
        expected: &TableSchema,
        layout: &(dyn for<'a> Fn(u64) -> Result<Layout> + Sync),
    ) -> Result<Table> {
        let body = match self.pull(slot, from).await? {
            Body::Table(body) if body.schema == *expected => body,
            other => {
                let text = format!("{from} sent a {other:?} in slot {slot}, expected a table {expected:?}");
                return Err(Error::new(ErrorKind::Corrupt, text));
            }
        };
        let rows = body.source.open().await?;
        let handle = session.put(expected, rows, layout(body.rows)?).await?;
        Ok(Table::of_handle(session.clone(), handle)?.sent_by(from))
    }
}

struct Kept {
    session: Arc<dyn Computing>,
    plan: Arc<Plan>,
}

#[async_trait]
impl RowSource for Kept {
    async fn open(&self) -> Result<RowStream> {
        self.session.read(&self.plan).await
    }
}
