//! A session of the driver: what it holds, and its actions, each a cluster job or two.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tributary_core::bytestore::Upload;
use tributary_core::computing::{
    BlobKind, BlobRef, Computing, End, Handle, RowStream, SessionSpec, check_put,
};
use tributary_core::error::{Error, ErrorKind, Result, ResultExt};
use tributary_core::items::next_number;
use tributary_core::kernel::Kernels;
use tributary_core::layout::Layout;
use tributary_core::plan::{EqualKeys, Plan};
use tributary_core::schema::TableSchema;
use tributary_core::storage::{Part, Storage, StoredTable, TableUri, Write, WriteOptions};
use tributary_partition::batches::fit;
use tributary_partition::cancel::{Cancel, Guard, lock};

use crate::action::Action;
use crate::client::Client;
use crate::fragment::{Commit, Made, Purpose};
use crate::items::{File, Items, Kept, Stretch};
use crate::placement::Executors;
use crate::rows::{Decoder, Encoder};
use crate::seal::ClusterKey;
use crate::store::SessionStore;

/// Bytes of rows in one file of those that are put from outside: a partition reads whole files.
const PUT_FILE_BYTES: u64 = 16 << 20;
/// How often a session says that it lives.
const LEASE: Duration = Duration::from_secs(30);

/// One task attempt on this engine. Dropping it is closing it, without waiting.
pub(crate) struct Session(Arc<Driver>);

/// What actions share, and streams outlive the session with.
pub(crate) struct Driver {
    pub(crate) spec: SessionSpec,
    /// What the session is called in the cluster. Its own id is not enough: all parties of an attempt have the same, and
    /// may use one cluster.
    pub(crate) name: String,
    pub(crate) executors: Executors,
    pub(crate) kernels: Kernels,
    pub(crate) client: Client,
    pub(crate) key: ClusterKey,
    pub(crate) store: SessionStore,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) storage_address: Option<String>,
    pub(crate) items: Arc<Items>,
    pub(crate) leftovers: UnboundedSender<String>,
    /// `None` once closed.
    pub(crate) running: Mutex<Option<Vec<Cancel>>>,
}

impl Session {
    pub(crate) async fn open(driver: Driver, leftovers: UnboundedReceiver<String>) -> Result<Self> {
        let runtime = driver.client.runtime().clone();
        driver.store.renew_lease().await.at(|| format!("open session {}", driver.spec.id))?;
        let driver = Arc::new(driver);
        runtime.spawn(remove_leftovers(driver.store.clone(), leftovers));
        runtime.spawn(keep_lease(Arc::downgrade(&driver)));
        Ok(Self(driver))
    }
}

/// What an action's exchanges leave, removed when the action ends, however it does.
pub(crate) struct Moved {
    store: SessionStore,
    folder: String,
    runtime: tokio::runtime::Handle,
}

impl Drop for Moved {
    fn drop(&mut self) {
        let (store, folder) = (self.store.clone(), std::mem::take(&mut self.folder));
        // What a late task leaves after that goes with the session.
        self.runtime.spawn(async move { drop(store.delete_folder(&folder).await) });
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

async fn keep_lease(driver: std::sync::Weak<Driver>) {
    loop {
        tokio::time::sleep(LEASE).await;
        let Some(driver) = driver.upgrade() else { return };
        if lock(&driver.running).is_none() {
            return;
        }
        // If the store is away, actions say so.
        drop(driver.store.renew_lease().await);
    }
}

impl Driver {
    /// Begins an action; refused once closed.
    fn begin(&self) -> Result<Guard> {
        let mut running = lock(&self.running);
        let running = running.as_mut().ok_or_else(|| {
            let text = format!("session {} is closed", self.spec.id);
            Error::new(ErrorKind::Cancelled, text)
        })?;
        running.retain(|action| !action.is_raised());
        let cancel = Cancel::default();
        running.push(cancel.clone());
        Ok(Guard(cancel))
    }

    fn shut(&self) -> bool {
        let running = lock(&self.running).take();
        running.iter().flatten().for_each(Cancel::raise);
        self.items.close();
        running.is_some()
    }

    /// Held while an action runs.
    pub(crate) fn moved(&self, action: u64) -> Moved {
        let folder = self.store.moved_folder(action);
        Moved { store: self.store.clone(), folder, runtime: self.client.runtime().clone() }
    }

    /// Commits have been read.
    pub(crate) fn forget(&self, action: u64, partitions: usize) {
        for partition in 0..partitions as u32 {
            drop(self.leftovers.send(self.store.commit_place(action, partition)));
        }
    }

    /// Where the rows of each partition are, as the executors say.
    pub(crate) fn kept(&self, commits: Vec<Commit>) -> Result<Kept> {
        let part = |commit: Commit| match commit.made {
            Made::File(path) => Ok(vec![Stretch {
                file: File::new(path, &self.leftovers),
                rows: 0..commit.rows,
                bytes: commit.bytes,
                file_rows: commit.rows,
            }]),
            _ => Err(Error::bug("a kept partition that is no file")),
        };
        commits.into_iter().map(part).collect::<Result<_>>().map(Kept)
    }

    fn hold(&self, kept: Kept, schema: &TableSchema, layout: Layout) -> Result<Arc<Handle>> {
        let sizes = kept.sizes();
        self.items.hold_rows(Arc::new(kept), schema.clone(), layout, sizes)
    }

    async fn keep(self: &Arc<Self>, plan: &Arc<Plan>) -> Result<Arc<Handle>> {
        let action = Action::prepare(self, plan).await?;
        let kept = match action.root_kept() {
            Some(kept) => kept,
            None => self.kept(action.finish(Purpose::Keep).await?)?,
        };
        self.hold(kept, plan.schema(), plan.kept_layout())
    }

    /// Rows from outside into files, in their order.
    async fn receive(&self, schema: &TableSchema, mut rows: RowStream) -> Result<Kept> {
        let mut files = Vec::new();
        let mut receiving: Option<Receiving> = None;
        while let Some(batch) = rows.next().await {
            let batch = fit(schema, batch?)?;
            let mut file = match receiving.take() {
                Some(file) => file,
                None => Receiving::begin(schema, &self.store).await?,
            };
            file.push(batch).await?;
            if file.bytes() < PUT_FILE_BYTES {
                receiving = Some(file);
            } else {
                files.push(file.finish(&self.leftovers).await?);
            }
        }
        if let Some(file) = receiving {
            files.push(file.finish(&self.leftovers).await?);
        }
        Ok(Kept(vec![files]))
    }

    async fn put(self: &Arc<Self>, schema: &TableSchema, rows: RowStream, to: Layout) -> Result<Arc<Handle>> {
        let received = self.receive(schema, rows).await?;
        let rows = received.rows(0);
        match &to {
            Layout::Loose(n) => {
                let ranges = tributary_core::layout::RowRanges::even(rows, *n);
                let counts = (0..*n).map(|p| ranges.range(p).end - ranges.range(p).start);
                self.hold(received.cut(counts), schema, to.clone())
            }
            Layout::Rows(ranges) => {
                let wanted = ranges.all().end - ranges.all().start;
                if rows != wanted {
                    return Err(Error::invalid(format!("{rows} rows for a layout of {wanted}")));
                }
                let counts = (0..ranges.partitions()).map(|p| ranges.range(p).end - ranges.range(p).start);
                self.hold(received.cut(counts), schema, to.clone())
            }
            Layout::Keyed(n) => {
                let ranges = tributary_core::layout::RowRanges::even(rows, *n);
                let counts = (0..*n).map(|p| ranges.range(p).end - ranges.range(p).start);
                let loose = self.hold(received.cut(counts), schema, Layout::Loose(*n))?;
                let plan = Plan::exchange(&Plan::scan(loose)?, to, EqualKeys::Refuse, &self.kernels)?;
                self.keep(&plan).await
            }
        }
    }

    /// Where a plan's rows are, in order.
    async fn read(&self, plan: &Arc<Plan>) -> Result<Vec<Piece>> {
        let action = Action::prepare(self, plan).await?;
        match action.root_kept() {
            Some(kept) => Ok(kept.0.into_iter().flatten().map(Piece::Held).collect()),
            None => self.pieces(action.finish(Purpose::Read).await?),
        }
    }

    fn pieces(&self, commits: Vec<Commit>) -> Result<Vec<Piece>> {
        let piece = |commit: Commit| match commit.made {
            Made::Inline(bytes) => Ok(vec![Piece::Inline(bytes, commit.rows)]),
            _ => Ok(self.kept(vec![commit])?.0.into_iter().flatten().map(Piece::Held).collect()),
        };
        commits
            .into_iter()
            .map(piece)
            .collect::<Result<Vec<_>>>()
            .map(|pieces| pieces.into_iter().flatten().collect())
    }

    async fn save(
        self: &Arc<Self>,
        plan: &Arc<Plan>,
        to: &TableUri,
        options: WriteOptions,
    ) -> Result<StoredTable> {
        let action = Action::prepare(self, plan).await?;
        let write = self.storage.begin(to, plan.schema(), &plan.kept_layout(), options).await?;
        let writing = Writing { driver: self.clone(), write: write.clone(), settled: AtomicBool::new(false) };
        let parts = action.finish(Purpose::Save(write)).await;
        match parts.and_then(|commits| commits.into_iter().map(part_of).collect::<Result<Vec<Part>>>()) {
            Ok(parts) => writing.commit(parts).await,
            Err(error) => Err(writing.abort(error).await.at(format!("save {to}"))),
        }
    }
}

fn part_of(commit: Commit) -> Result<Part> {
    match commit.made {
        Made::Part(part) => Ok(part),
        _ => Err(Error::bug("a saved partition that is no part")),
    }
}

/// A file of rows from outside, under way.
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

    async fn push(&mut self, batch: arrow_array::RecordBatch) -> Result<()> {
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

/// Rows that a reader gets.
enum Piece {
    Held(Stretch),
    Inline(Bytes, u64),
}

/// What a stream of rows needs until its end. Dropping it is letting go of the rows.
struct Reading {
    driver: Arc<Driver>,
    schema: TableSchema,
    guard: Guard,
}

impl Reading {
    /// A session that closes takes its files with it.
    fn reason(&self, error: Error) -> Error {
        self.guard.0.check().err().unwrap_or(error)
    }
}

type State<S> = (Option<Reading>, S, Option<(Decoder, Option<Stretch>)>);

async fn next_batch<S>(state: State<S>) -> Option<(Result<arrow_array::RecordBatch>, State<S>)>
where
    S: futures::Stream<Item = Piece> + Unpin,
{
    let (reading, mut pieces, mut open) = state;
    let reading = reading?;
    loop {
        if let Err(error) = reading.guard.0.check() {
            return Some((Err(error), (None, pieces, None)));
        }
        match open.as_mut().and_then(|(rows, _)| rows.next()) {
            Some(Ok(batch)) => return Some((Ok(batch), (Some(reading), pieces, open))),
            Some(Err(error)) => return Some((Err(reading.reason(error)), (None, pieces, None))),
            None => {}
        }
        let opened = match pieces.next().await? {
            Piece::Inline(bytes, rows) => {
                Decoder::new(&reading.schema, bytes, 0..rows).map(|rows| (rows, None))
            }
            Piece::Held(stretch) => {
                let file = stretch.segment().file;
                let bytes = reading.guard.0.race(reading.driver.store.read(&file)).await;
                let rows = stretch.rows.clone();
                bytes.and_then(|bytes| Decoder::new(&reading.schema, bytes, rows)).map(|d| (d, Some(stretch)))
            }
        };
        match opened {
            Ok(rows) => open = Some(rows),
            Err(error) => return Some((Err(reading.reason(error)), (None, pieces, None))),
        }
    }
}

/// A table being written. What was left of it is removed unless it was committed, also when the action is dropped.
struct Writing {
    driver: Arc<Driver>,
    write: Write,
    settled: AtomicBool,
}

impl Writing {
    /// Not cancelled once begun: it runs to its end whether or not anybody waits.
    async fn commit(self, parts: Vec<Part>) -> Result<StoredTable> {
        self.settled.store(true, Ordering::Release);
        let runtime = self.driver.client.runtime().clone();
        let committing = runtime.spawn(async move {
            match self.driver.storage.commit(self.write.clone(), parts).await {
                Ok(table) => Ok(table),
                Err(error) => Err(self.abort(error).await.at(format!("save {}", self.write.uri))),
            }
        });
        committing.await.unwrap_or_else(|e| Err(Error::bug("a commit ended").because(e)))
    }

    async fn abort(&self, error: Error) -> Error {
        self.settled.store(true, Ordering::Release);
        match self.driver.storage.abort(self.write.clone()).await {
            Ok(()) => error,
            Err(abort) => error.at(format!("what was written could not be removed ({abort})")),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if !self.settled.load(Ordering::Acquire) {
            let (storage, write) = (self.driver.storage.clone(), self.write.clone());
            // A failure is left to the store's clean-up after crashes: nobody is here to be told.
            self.driver.client.runtime().spawn(async move { drop(storage.abort(write).await) });
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
        let guard = self.0.begin()?;
        guard.0.race(self.0.put(schema, rows, to)).await.at(|| "put")
    }

    async fn put_blob(&self, bytes: Bytes, kind: BlobKind) -> Result<BlobRef> {
        let guard = self.0.begin()?;
        let number = next_number();
        guard.0.race(self.0.store.put_blob(number, kind, bytes)).await.at(|| "put a blob")?;
        let file = File::new(self.0.store.blob_path(number), &self.0.leftovers);
        self.0.items.hold_blob(number, kind, file)
    }

    async fn keep(&self, plan: &Arc<Plan>) -> Result<Arc<Handle>> {
        let guard = self.0.begin()?;
        guard.0.race(self.0.keep(plan)).await
    }

    async fn read(&self, plan: &Arc<Plan>) -> Result<RowStream> {
        plan.refuse_fresh(&self.0.kernels, "read")?;
        let guard = self.0.begin()?;
        let pieces = stream::iter(guard.0.race(self.0.read(plan)).await?);
        let reading = Reading { driver: self.0.clone(), schema: plan.schema().clone(), guard };
        Ok(stream::unfold((Some(reading), pieces, None), next_batch).fuse().boxed())
    }

    async fn save(&self, plan: &Arc<Plan>, to: &TableUri, options: WriteOptions) -> Result<StoredTable> {
        plan.refuse_fresh(&self.0.kernels, "save")?;
        let guard = self.0.begin()?;
        guard.0.race(self.0.save(plan, to, options)).await
    }

    async fn stored(&self, uri: &TableUri) -> Result<StoredTable> {
        let guard = self.0.begin()?;
        guard.0.race(self.0.storage.open(uri)).await
    }

    async fn close(&self, _end: End) -> Result<()> {
        if self.0.shut() {
            self.0.client.forget(&self.0.name);
            self.0.store.clear().await.at(|| format!("close session {}", self.0.spec.id))?;
        }
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.0.shut() {
            let driver = self.0.clone();
            driver.client.forget(&driver.name);
            let runtime = driver.client.runtime().clone();
            runtime.spawn(async move { drop(driver.store.clear().await) });
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cluster session {} on {:?}", self.0.spec.id, self.0.executors)
    }
}

/// Where a session's leftovers are sent.
pub(crate) fn leftovers() -> (UnboundedSender<String>, UnboundedReceiver<String>) {
    mpsc::unbounded_channel()
}
