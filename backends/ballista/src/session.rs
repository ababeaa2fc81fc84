//! A session of the driver: what it holds, and its actions, each a cluster job or two.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use futures::StreamExt;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tributary_core::bytestore::Upload;
use tributary_core::computing::{Blob, BlobRef, Computing, End, Handle, RowStream, SessionSpec, check_put};
use tributary_core::error::{Error, Result, ResultExt};
use tributary_core::kernel::Kernels;
use tributary_core::layout::{Layout, RowRanges};
use tributary_core::plan::{EqualKeys, Plan};
use tributary_core::schema::TableSchema;
use tributary_core::storage::{Part, StoredTable, TableUri, Write, WriteOptions};
use tributary_partition::batches::fit;
use tributary_partition::items::next_number;

use crate::action::Action;
use crate::fragment::{Commit, Made, Purpose};
use crate::items::{File, Kept, Stretch};
use crate::reader::{self, Piece};
use crate::rows::Encoder;
use crate::state::State;
use crate::store::SessionStore;

/// Bytes of rows in one file of those that are put from outside: a partition reads whole files.
const PUT_FILE_BYTES: u64 = 16 << 20;
/// How often a session says that it lives.
const LEASE: Duration = Duration::from_secs(30);

/// One task attempt on this engine. Dropping it is closing it, without waiting.
pub(crate) struct Session(Arc<State>);

impl Session {
    /// `leftovers` are files of the session's store that are not wanted any more.
    pub(crate) async fn open(state: State, leftovers: UnboundedReceiver<String>) -> Result<Self> {
        let runtime = state.client.runtime().clone();
        state.store.renew_lease().await.at(|| format!("open session {}", state.spec.id))?;
        let state = Arc::new(state);
        runtime.spawn(remove_leftovers(state.store.clone(), leftovers));
        runtime.spawn(keep_lease(Arc::downgrade(&state)));
        Ok(Self(state))
    }
}

async fn remove_leftovers(store: SessionStore, mut leftovers: UnboundedReceiver<String>) {
    let mut paths = Vec::new();
    while leftovers.recv_many(&mut paths, 256).await > 0 {
        // What cannot be removed now goes with the session.
        drop(store.delete(&paths).await);
        paths.clear();
    }
}

async fn keep_lease(state: Weak<State>) {
    loop {
        tokio::time::sleep(LEASE).await;
        let Some(state) = state.upgrade() else { return };
        if state.actions.is_closed() {
            return;
        }
        // If the store is away, actions say so.
        drop(state.store.renew_lease().await);
    }
}

async fn keep(state: &State, plan: &Arc<Plan>) -> Result<Arc<Handle>> {
    let action = Action::prepare(state, plan).await?;
    let kept = match action.root_kept() {
        Some(kept) => kept,
        None => state.kept(action.finish(Purpose::Keep).await?)?,
    };
    state.hold(kept, plan.schema(), plan.kept_layout())
}

/// Rows from outside into files, in their order.
async fn receive(state: &State, schema: &TableSchema, mut rows: RowStream) -> Result<Kept> {
    let mut files = Vec::new();
    let mut receiving: Option<Receiving> = None;
    while let Some(batch) = rows.next().await {
        let batch = fit(schema, batch?)?;
        let mut file = match receiving.take() {
            Some(file) => file,
            None => Receiving::begin(schema, &state.store).await?,
        };
        file.push(batch).await?;
        if file.bytes() < PUT_FILE_BYTES {
            receiving = Some(file);
        } else {
            files.push(file.finish(&state.leftovers).await?);
        }
    }
    if let Some(file) = receiving {
        files.push(file.finish(&state.leftovers).await?);
    }
    Ok(Kept(vec![files]))
}

async fn put(state: &State, schema: &TableSchema, rows: RowStream, to: Layout) -> Result<Arc<Handle>> {
    let received = receive(state, schema, rows).await?;
    let rows = received.rows(0);
    match &to {
        Layout::Loose(n) => {
            let ranges = RowRanges::even(rows, *n);
            let counts = (0..*n).map(|p| ranges.range(p).end - ranges.range(p).start);
            state.hold(received.cut(counts), schema, to.clone())
        }
        Layout::Rows(ranges) => {
            let wanted = ranges.all().end - ranges.all().start;
            if rows != wanted {
                return Err(Error::invalid(format!("{rows} rows for a layout of {wanted}")));
            }
            let counts = (0..ranges.partitions()).map(|p| ranges.range(p).end - ranges.range(p).start);
            state.hold(received.cut(counts), schema, to.clone())
        }
        Layout::Keyed(n) => {
            let ranges = RowRanges::even(rows, *n);
            let counts = (0..*n).map(|p| ranges.range(p).end - ranges.range(p).start);
            let loose = state.hold(received.cut(counts), schema, Layout::Loose(*n))?;
            let plan = Plan::exchange(&Plan::scan(loose)?, to, EqualKeys::Refuse, &state.kernels)?;
            keep(state, &plan).await
        }
    }
}

/// Where a plan's rows are, in order.
async fn pieces(state: &State, plan: &Arc<Plan>) -> Result<Vec<Piece>> {
    let action = Action::prepare(state, plan).await?;
    match action.root_kept() {
        Some(kept) => Ok(kept.0.into_iter().flatten().map(Piece::Held).collect()),
        None => pieces_of(state, action.finish(Purpose::Read).await?),
    }
}

fn pieces_of(state: &State, commits: Vec<Commit>) -> Result<Vec<Piece>> {
    let piece = |commit: Commit| match commit.made {
        Made::Inline(bytes) => Ok(vec![Piece::Inline(bytes, commit.rows)]),
        _ => Ok(state.kept(vec![commit])?.0.into_iter().flatten().map(Piece::Held).collect()),
    };
    commits
        .into_iter()
        .map(piece)
        .collect::<Result<Vec<_>>>()
        .map(|pieces| pieces.into_iter().flatten().collect())
}

async fn save(
    state: &Arc<State>,
    plan: &Arc<Plan>,
    to: &TableUri,
    options: WriteOptions,
) -> Result<StoredTable> {
    let action = Action::prepare(state, plan).await?;
    let write = state.storage.begin(to, plan.schema(), &plan.kept_layout(), options).await?;
    let writing = Writing { state: state.clone(), write: write.clone(), settled: AtomicBool::new(false) };
    let parts = action.finish(Purpose::Save(write)).await;
    match parts.and_then(|commits| commits.into_iter().map(part_of).collect::<Result<Vec<Part>>>()) {
        Ok(parts) => writing.commit(parts).await,
        Err(error) => Err(writing.abort(error).await.at(format!("save {to}"))),
    }
}

fn part_of(commit: Commit) -> Result<Part> {
    match commit.made {
        Made::Part(part) => Ok(part),
        _ => Err(Error::bug("a saved partition that is no part")),
    }
}

/// A file of rows from outside, in progress.
struct Receiving {
    encoder: Encoder,
    path: String,
    upload: Box<dyn Upload>,
}

impl Receiving {
    async fn begin(schema: &TableSchema, store: &SessionStore) -> Result<Self> {
        let (path, upload) = store.create().await?;
        Ok(Self { encoder: Encoder::new(schema)?, path, upload })
    }

    async fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.encoder.push(batch)?;
        match self.encoder.take_chunk() {
            Some(chunk) => self.upload.write(chunk).await,
            None => Ok(()),
        }
    }

    fn bytes(&self) -> u64 {
        self.encoder.bytes
    }

    async fn finish(mut self, leftovers: &UnboundedSender<String>) -> Result<Stretch> {
        let (rest, rows, bytes) = self.encoder.finish()?;
        self.upload.write(rest).await?;
        self.upload.finish().await?;
        let file = File::new(self.path, leftovers);
        Ok(Stretch { file, rows: 0..rows, bytes, file_rows: rows })
    }
}

/// A table being written. What was left of it is removed unless it was committed, also when the action is dropped.
struct Writing {
    state: Arc<State>,
    write: Write,
    settled: AtomicBool,
}

impl Writing {
    /// Not cancelled once begun: it runs to its end whether or not anybody waits.
    async fn commit(self, parts: Vec<Part>) -> Result<StoredTable> {
        self.settled.store(true, Ordering::Release);
        let runtime = self.state.client.runtime().clone();
        let committing = runtime.spawn(async move {
            match self.state.storage.commit(self.write.clone(), parts).await {
                Ok(table) => Ok(table),
                Err(error) => Err(self.abort(error).await.at(format!("save {}", self.write.uri))),
            }
        });
        committing.await.unwrap_or_else(|e| Err(Error::bug("a commit ended").because(e)))
    }

    async fn abort(&self, error: Error) -> Error {
        self.settled.store(true, Ordering::Release);
        match self.state.storage.abort(self.write.clone()).await {
            Ok(()) => error,
            Err(abort) => error.at(format!("what was written could not be removed ({abort})")),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.settled.load(Ordering::Acquire) {
            let (storage, write) = (self.state.storage.clone(), self.write.clone());
            // A failure is left to the store's clean-up after crashes: no caller waits here for an error.
            self.state.client.runtime().spawn(async move { drop(storage.abort(write).await) });
        }
    }
}

#[async_trait]
impl Computing for Session {
    fn spec(&self) -> &SessionSpec {
        &self.0.spec
    }

    fn kernels(&self) -> &Kernels {
        &self.0.kernels
    }

    async fn put(&self, schema: &TableSchema, rows: RowStream, to: Layout) -> Result<Arc<Handle>> {
        check_put(schema, &to)?;
        let guard = self.0.actions.begin()?;
        guard.0.race(put(&self.0, schema, rows, to)).await.at(|| "put")
    }

    async fn put_blob(&self, blob: Blob) -> Result<BlobRef> {
        let guard = self.0.actions.begin()?;
        let number = next_number();
        guard.0.race(self.0.store.put_blob(number, &blob)).await.at(|| "put a blob")?;
        let file = File::new(self.0.store.blob_place(number), &self.0.leftovers);
        self.0.items.hold_blob(number, blob.kind(), file)
    }

    async fn keep(&self, plan: &Arc<Plan>) -> Result<Arc<Handle>> {
        let guard = self.0.actions.begin()?;
        guard.0.race(keep(&self.0, plan)).await
    }

    async fn read(&self, plan: &Arc<Plan>) -> Result<RowStream> {
        plan.refuse_fresh(&self.0.kernels, "read")?;
        let guard = self.0.actions.begin()?;
        let pieces = guard.0.race(pieces(&self.0, plan)).await?;
        Ok(reader::read(self.0.clone(), plan.schema().clone(), pieces, guard))
    }

    async fn save(&self, plan: &Arc<Plan>, to: &TableUri, options: WriteOptions) -> Result<StoredTable> {
        plan.refuse_fresh(&self.0.kernels, "save")?;
        let guard = self.0.actions.begin()?;
        guard.0.race(save(&self.0, plan, to, options)).await
    }

    async fn stored(&self, uri: &TableUri) -> Result<StoredTable> {
        let guard = self.0.actions.begin()?;
        guard.0.race(self.0.storage.open(uri)).await
    }

    async fn close(&self, _end: End) -> Result<()> {
        if self.0.close() {
            self.0.client.forget(&self.0.name);
            self.0.store.clear().await.at(|| format!("close session {}", self.0.spec.id))?;
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.0.close() {
            let state = self.0.clone();
            state.client.forget(&state.name);
            let runtime = state.client.runtime().clone();
            runtime.spawn(async move { drop(state.store.clear().await) });
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster session {} on {:?}", self.0.spec.id, self.0.executors)
    }
}
