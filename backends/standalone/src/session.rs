//! A session: what it holds, and its actions.
//!
//! Actions are thin: they wait for work that runs on the session's threads. An action's future, or the stream it returned,
//! owns a guard that cancels the work when it is dropped.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use tributary_core::computing::{
    Blob, BlobKind, BlobRef, Computing, End, Handle, RowStream, SessionSpec, check_put,
};
use tributary_core::error::{Error, ErrorKind, Result, ResultExt};
use tributary_core::items::{Items, next_number};
use tributary_core::kernel::Kernels;
use tributary_core::layout::Layout;
use tributary_core::plan::{EqualKeys, Node, Plan};
use tributary_core::schema::TableSchema;
use tributary_core::storage::{Part, Storage, StoredTable, TableUri, Write, WriteOptions};
use tributary_partition::batches::{Held, fit};
use tributary_partition::cancel::{Cancel, Guard, lock, wait};
use tributary_partition::disk::Disk;
use tributary_partition::exchange::{Exchange, Known};
use tributary_partition::memory::{Hold, Memory};
use tributary_partition::pipeline::Slice;
use tributary_partition::pool::Pool;
use tributary_partition::shelf::{Collector, Shelf};

use crate::reader;
use crate::run::Run;

/// One task attempt on this engine. Dropping it is closing it, without waiting.
pub struct Session(Arc<Host>);

/// A blob with its share of the budget.
pub(crate) struct HeldBlob {
    pub(crate) blob: Blob,
    _share: Hold,
}

/// What actions share, and streams outlive the session with.
pub(crate) struct Host {
    pub(crate) spec: SessionSpec,
    pub(crate) kernels: Kernels,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) items: Arc<Items<Held, HeldBlob>>,
    pub(crate) pool: Pool,
    /// `None` once closed.
    running: Mutex<Option<Vec<Cancel>>>,
}

impl Session {
    pub(crate) fn open(
        spec: SessionSpec,
        kernels: Kernels,
        storage: Arc<dyn Storage>,
        disk: Option<Arc<Disk>>,
    ) -> Result<Self> {
        if spec.placement.cores == 0 {
            return Err(Error::invalid(format!("open session {} on 0 cores, expected at least 1", spec.id)));
        }
        let (id, budget) = (spec.id.clone(), spec.memory_bytes);
        Ok(Self(Arc::new(Host {
            memory: match disk {
                Some(disk) => Memory::spilling(id.clone(), budget, disk),
                None => Memory::new(id.clone(), budget),
            },
            items: Items::new(id),
            pool: Pool::new(&spec.id, spec.placement.cores)?,
            running: Mutex::new(Some(Vec::new())),
            spec,
            kernels,
            storage,
        })))
    }

    /// Bytes counted against the session's budget now.
    pub fn used_bytes(&self) -> u64 {
        self.0.memory.used()
    }
}

impl Host {
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

    fn shut(&self) {
        let running = lock(&self.running).take();
        running.iter().flatten().for_each(Cancel::raise);
        self.items.close();
        self.pool.dismiss();
    }

    async fn prepare(self: &Arc<Self>, plan: &Node, cancel: &Cancel) -> Result<Arc<Run>> {
        let (host, cancel, root) = (self.clone(), cancel.clone(), plan.clone());
        self.pool.run(move || Run::prepare(host, cancel, root)).await
    }

    /// A handle on rows; `layout` is where they are.
    fn hold(&self, held: Arc<Held>, schema: &TableSchema, layout: Layout) -> Result<Arc<Handle>> {
        let sizes = held.sizes();
        self.items.hold_rows(held, schema.clone(), layout, sizes)
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
        let received = guard.0.race(receive(&self.0, &guard.0, schema, rows)).await.at(|| "put")?;
        let (host, cancel) = (self.0.clone(), guard.0.clone());
        let (columns, layout) = (schema.clone(), to.clone());
        let held = self.0.pool.run(move || arrange(&host, &cancel, &columns, received, &layout)).await;
        self.0.hold(Arc::new(held.at(|| "put")?), schema, to)
    }

    async fn put_blob(&self, bytes: Bytes, kind: BlobKind) -> Result<BlobRef> {
        let _guard = self.0.begin()?;
        let mut share = self.0.memory.hold();
        share.grow(bytes.len() as u64)?;
        let held = HeldBlob { blob: Blob::new(bytes, kind), _share: share };
        self.0.items.hold_blob(next_number(), kind, Arc::new(held))
    }

    async fn keep(&self, plan: &Arc<Plan>) -> Result<Arc<Handle>> {
        let guard = self.0.begin()?;
        let (host, cancel, root) = (self.0.clone(), guard.0.clone(), plan.clone());
        let keep = move || {
            let run = Run::prepare(host, cancel, root)?;
            run.keep().map_err(|error| run.outcome(error))
        };
        let held = self.0.pool.run(keep).await?;
        self.0.hold(held, plan.schema(), plan.kept_layout())
    }

    async fn read(&self, plan: &Arc<Plan>) -> Result<RowStream> {
        plan.refuse_fresh(&self.0.kernels, "read")?;
        let guard = self.0.begin()?;
        let (host, cancel, root) = (self.0.clone(), guard.0.clone(), plan.clone());
        let prepare = move || {
            let run = Run::prepare(host, cancel, root)?;
            let slices = run.root_slices();
            Ok((run, slices))
        };
        let (run, slices) = self.0.pool.run(prepare).await?;
        Ok(reader::read(run, slices, guard))
    }

    async fn save(&self, plan: &Arc<Plan>, to: &TableUri, options: WriteOptions) -> Result<StoredTable> {
        plan.refuse_fresh(&self.0.kernels, "save")?;
        let guard = self.0.begin()?;
        let run = self.0.prepare(plan, &guard.0).await?;
        let layout = plan.kept_layout();
        let write = guard.0.race(self.0.storage.begin(to, plan.schema(), &layout, options)).await?;
        let writing = Arc::new(Writing::new(self.0.clone(), write));
        let jobs = stream::iter(0..run.partitions()).map(|partition| write_part(&run, &writing, partition));
        let parts: Vec<Result<Part>> = jobs.buffered(self.0.spec.placement.cores as usize).collect().await;
        match parts.into_iter().collect::<Result<Vec<Part>>>() {
            Ok(parts) => self.0.pool.run(move || writing.commit(parts)).await,
            Err(error) => Err(writing.abort(run.outcome(error)).await.at(format!("save {to}"))),
        }
    }

    async fn stored(&self, uri: &TableUri) -> Result<StoredTable> {
        let guard = self.0.begin()?;
        guard.0.race(self.0.storage.open(uri)).await
    }

    async fn close(&self, _end: End) -> Result<()> {
        self.0.shut();
        self.0.pool.ended().await;
        Ok(())
    }
}

/// Rows from outside, checked and counted, as one partition. What memory has no room for is written to disk in place:
/// into the system's page cache, which takes less time than handing it to another thread.
async fn receive(host: &Host, cancel: &Cancel, schema: &TableSchema, mut rows: RowStream) -> Result<Held> {
    let shelf = Shelf::new(&host.memory, schema, cancel);
    let mut collector = Collector::new(&shelf);
    while let Some(batch) = rows.next().await {
        collector.push(fit(schema, batch?)?)?;
    }
    let (pieces, hold) = collector.finish()?;
    Ok(Held::new(vec![pieces], hold))
}

fn arrange(
    host: &Host,
    cancel: &Cancel,
    schema: &TableSchema,
    received: Held,
    layout: &Layout,
) -> Result<Held> {
    let exchange = Exchange { schema, cancel, memory: &host.memory };
    let held = match layout {
        Layout::Rows(ranges) => exchange.cut(received, ranges),
        layout => exchange.run(received, Known::Unordered, layout, EqualKeys::Refuse),
    };
    held?.compact(schema)
}

async fn write_part(run: &Arc<Run>, writing: &Arc<Writing>, partition: u32) -> Result<Part> {
    let (run, writing) = (run.clone(), writing.clone());
    let host = run.host.clone();
    host.pool
        .run(move || {
            run.attempt(|| {
                let rows = stream::iter(run.pull(&Slice::whole(partition))?).boxed();
                let written =
                    run.cancel.wait(writing.host.storage.write_part(&writing.write, partition, rows));
                written.at(|| format!("write partition {partition}"))
            })
        })
        .await
}

/// A table being written. What it left is removed unless it was committed, also when the action is dropped: by whoever
/// lets go of it last.
struct Writing {
    host: Arc<Host>,
    write: Write,
    settled: AtomicBool,
}

impl Writing {
    fn new(host: Arc<Host>, write: Write) -> Self {
        Self { host, write, settled: AtomicBool::new(false) }
    }

    /// Not cancelled once begun: the table exists then, or what was left of it is removed.
    fn commit(&self, parts: Vec<Part>) -> Result<StoredTable> {
        self.settled.store(true, Ordering::Release);
        wait(async {
            match self.host.storage.commit(self.write.clone(), parts).await {
                Ok(table) => Ok(table),
                Err(error) => Err(self.abort(error).await.at(format!("save {}", self.write.uri))),
            }
        })
    }

    async fn abort(&self, error: Error) -> Error {
        self.settled.store(true, Ordering::Release);
        match self.host.storage.abort(self.write.clone()).await {
            Ok(()) => error,
            Err(abort) => error.at(format!("what was written could not be removed ({abort})")),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        if self.settled.load(Ordering::Acquire) {
            return;
        }
        let (storage, write) = (self.host.storage.clone(), self.write.clone());
        // A failure is left to the store's clean-up after crashes: nobody is here to be told.
        let remove = move || drop(wait(storage.abort(write)));
        if rayon::current_thread_index().is_some() {
            remove();
        } else {
            drop(self.host.pool.spawn(remove));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.shut();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standalone session {}, {} cores", self.0.spec.id, self.0.spec.placement.cores)
    }
}
