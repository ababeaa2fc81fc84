//! The computing contract: an [`Engine`] opens sessions, a session runs plans.
//!
//! **Nothing runs until an action** (`keep`, `read`, `save`). An engine runs a plan as given: it neither adds nor drops
//! exchanges. **Results do not depend on the number of partitions** beyond the layout's own order. **A failure** of one
//! partition fails the action, cancels the rest and leaves nothing behind; the error names partition and kernel. A kernel
//! that panics fails the same way. **Dropping the future of an action cancels it**: within [`EngineInfo::cancels_within`]
//! no thread works for it, however heavy the kernel (unless a single row takes longer). **Handles own data**: when the last
//! clone of a [`Handle`] or [`BlobRef`] is dropped, the engine frees what it held. `close` frees the rest and cancels what
//! still runs; a session that was closed refuses everything. Futures may be polled by any executor: an engine that needs a
//! runtime brings its own.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

pub use crate::blob::{Blob, BlobKind, BlobRef, SecretBytes};
use crate::check::{self, Finding};
use crate::error::Result;
pub use crate::handle::{Handle, Release};
use crate::ids::SessionId;
use crate::layout::Layout;
use crate::placement::{CoreRequest, Placement};
use crate::plan::Plan;
pub use crate::rows::{PartSize, RowStream};
use crate::schema::TableSchema;
use crate::storage::{StoredTable, TableUri, WriteOptions};

/// What an engine is and can do.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EngineInfo {
    /// As in `service_conf.yaml`: `standalone`.
    pub name: &'static str,
    /// What may take more than a session's memory. All else fails with `Exhausted` beyond the budget.
    pub spills: Spills,
    /// Whether a plan is run while it is read: work is ahead of the reader by a bounded amount, and the first row costs a
    /// part of the whole. Without it a read runs the whole plan, and its rows are in a store until they are read.
    pub streams: bool,
    /// How long work may go on, at most, after its action was dropped or its session closed.
    pub cancels_within: Duration,
    /// Whether all the work is done by this process, so that the time it uses is the time that the work takes.
    pub in_process: bool,
}

/// What of a session may take more than its memory. What a kernel keeps for itself while it works, an engine neither
/// counts nor moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spills {
    /// Nothing: all is held in memory.
    Nothing,
    /// Tables and blobs are in a store; what an exchange brings to one partition must fit.
    Tables,
    /// All rows, in tables and in exchanges, also where one partition or one key has more of them than memory holds. Blobs
    /// stay in memory.
    Rows,
}

impl EngineInfo {
    /// How soon an engine in this process stops.
    pub const CANCELS_WITHIN: Duration = Duration::from_millis(100);

    /// An engine in this process that keeps everything in memory.
    pub fn new(name: &'static str) -> Self {
        let (spills, cancels_within) = (Spills::Nothing, Self::CANCELS_WITHIN);
        Self { name, spills, streams: true, cancels_within, in_process: true }
    }

    /// Sessions may hold more than memory.
    #[must_use]
    pub fn spilling(mut self, what: Spills) -> Self {
        self.spills = what;
        self
    }

    /// Work is done elsewhere.
    #[must_use]
    pub fn in_other_processes(mut self) -> Self {
        self.in_process = false;
        self
    }

    /// A read runs the whole plan.
    #[must_use]
    pub fn storing_what_is_read(mut self) -> Self {
        self.streams = false;
        self
    }

    /// Work goes on for so long at most after it was cancelled.
    #[must_use]
    pub fn cancelling_within(mut self, time: Duration) -> Self {
        self.cancels_within = time;
        self
    }
}

/// One computing engine of a site.
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync + 'static {
    /// Name and capabilities.
    fn info(&self) -> &EngineInfo;
    /// What a request for cores becomes here. Pure. `InvalidInput` for options that no engine knows and for what does not
    /// fit; what has no effect here becomes a note.
    fn place(&self, request: &CoreRequest) -> Result<Placement>;
    /// Opens a session bound to exactly the placed cores. It may outlive the engine.
    async fn open(&self, spec: SessionSpec) -> Result<Arc<dyn Computing>>;
    /// Looks whether sessions can compute.
    async fn examine(&self) -> Vec<Finding> {
        check::computing(self).await
    }
}

/// Whether rows of these columns can be laid out so; what every [`Computing::put`] asks first. `InvalidInput`.
pub fn check_put(schema: &TableSchema, to: &Layout) -> Result<()> {
    to.check()?;
    match to {
        Layout::Keyed(_) => schema.expect_key("a table laid out by key").map(drop),
        _ => Ok(()),
    }
}

/// What a session is for and may use.
#[derive(Debug, Clone)]
pub struct SessionSpec {
    /// The task attempt, which all its parties have in common; everything the session makes carries it.
    pub id: SessionId,
    /// From [`Engine::place`].
    pub placement: Placement,
    /// Bytes of tables, exchanges and blobs that the session may hold in memory at once.
    pub memory_bytes: u64,
}

/// How a session or a federation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The task is done.
    Done,
    /// The task failed or was cancelled; leftovers are worthless.
    Failed,
}

/// One task attempt on an engine. Owns what it makes; see the module for the rules.
#[async_trait]
pub trait Computing: fmt::Debug + Send + Sync + 'static {
    /// What the session was opened with.
    fn spec(&self) -> &SessionSpec;
    /// The kernels this session can run.
    fn kernels(&self) -> &crate::kernel::Kernels;

    /// Holds rows from outside. `Loose(n)` cuts them in order into n nearly equal parts, `Keyed(n)` routes and sorts
    /// (`InvalidInput` with its place for a key twice), `Rows` cuts at its boundaries and checks the total.
    /// `InvalidInput` if a batch does not fit `schema`.
    async fn put(&self, schema: &TableSchema, rows: RowStream, to: Layout) -> Result<Arc<Handle>>;
    /// Holds a large or secret kernel parameter.
    async fn put_blob(&self, blob: Blob) -> Result<BlobRef>;
    /// Runs a plan once and holds its rows.
    async fn keep(&self, plan: &Arc<Plan>) -> Result<Arc<Handle>>;
    /// Runs a plan; partitions come in order. The work may be ahead of the reader by a bounded amount, or done as a whole
    /// before the first row where the engine does not stream.
    async fn read(&self, plan: &Arc<Plan>) -> Result<RowStream>;
    /// Runs a plan and stores its rows, one part a partition; the table exists once this returns.
    async fn save(&self, plan: &Arc<Plan>, to: &TableUri, options: WriteOptions) -> Result<StoredTable>;
    /// What a stored table holds, for [`crate::plan::Op::Load`].
    async fn stored(&self, uri: &TableUri) -> Result<StoredTable>;
    /// Frees everything. A second close does nothing.
    async fn close(&self, end: End) -> Result<()>;
}
