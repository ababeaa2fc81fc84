//! A session: what it holds, and its actions.
//!
//! Actions are thin: they wait for work that runs on the session's threads. An action's future, or the stream it returned,
//! owns a guard that cancels the work when it is dropped.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use tributary_core::computing::{Blob, BlobRef, Computing, End, Handle, RowStream, SessionSpec, check_put};
use tributary_core::error::{Error, Result, ResultExt};
use tributary_core::kernel::Kernels;
use tributary_core::layout::Layout;
use tributary_core::plan::{EqualKeys, Plan};
use tributary_core::schema::TableSchema;
use tributary_core::storage::{Part, Storage, StoredTable, TableUri, Write, WriteOptions};
use tributary_partition::batches::{Held, fit};
use tributary_partition::cancel::{Cancel, wait};
use tributary_partition::disk::Disk;
use tributary_partition::exchange::{self, Known};
use tributary_partition::items::next_number;
use tributary_partition::pipeline::Slice;
use tributary_partition::scope::Scope;
use tributary_partition::shelf::{Collector, Shelf};

use crate::reader;
use crate::run::Run;
use crate::state::{HeldBlob, State};

/// One task attempt on this engine. Dropping it is closing it, without waiting.
pub struct Session(Arc<State>);

impl Session {
    pub(crate) fn open(
        spec: SessionSpec,
        kernels: Kernels,
        storage: Arc<dyn Storage>,
        disk: Option<Arc<Disk>>,
    ) -> Result<Self> {
        State::open(spec, kernels, storage, disk).map(|state| Self(Arc::new(state)))
    }

    /// Bytes counted against the session's budget now.
    pub fn used_bytes(&self) -> u64 {
        self.0.memory.used()
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
        let received = guard.0.race(receive(&self.0, &guard.0, schema, rows)).await.at(|| "put")?;
        let (state, cancel) = (self.0.clone(), guard.0.clone());
        let (columns, layout) = (schema.clone(), to.clone());
        let held = self.0.pool.run(move || arrange(&state, &cancel, &columns, received, &layout)).await;
        self.0.hold(Arc::new(held.at(|| "put")?), schema, to)
    }

    async fn put_blob(&self, blob: Blob) -> Result<BlobRef> {
        let _guard = self.0.actions.begin()?;
        let mut share = self.0.memory.hold();
        share.grow(blob.bytes().len() as u64)?;
        let kind = blob.kind();
        let held = HeldBlob { blob, _share: share };
        self.0.items.hold_blob(next_number(), kind, Arc::new(held))
    }

    async fn keep(&self, plan: &Arc<Plan>) -> Result<Arc<Handle>> {
        let guard = self.0.actions.begin()?;
        let (state, cancel, root) = (self.0.clone(), guard.0.clone(), plan.clone());
        let keep = move || {
            let run = Run::prepare(state, cancel, root)?;
            run.keep().map_err(|error| run.outcome(error))
        };
        let held = self.0.pool.run(keep).await?;
        self.0.hold(held, plan.schema(), plan.kept_layout())
    }

    async fn read(&self, plan: &Arc<Plan>) -> Result<RowStream> {
        plan.refuse_fresh(&self.0.kernels, "read")?;
        let guard = self.0.actions.begin()?;
        let (state, cancel, root) = (self.0.clone(), guard.0.clone(), plan.clone());
        let prepare = move || {
            let run = Run::prepare(state, cancel, root)?;
            let slices = run.root_slices();
            Ok((run, slices))
        };
        let (run, slices) = self.0.pool.run(prepare).await?;
        Ok(reader::read(run, slices, guard))
    }

    async fn save(&self, plan: &Arc<Plan>, to: &TableUri, options: WriteOptions) -> Result<StoredTable> {
        plan.refuse_fresh(&self.0.kernels, "save")?;
        let guard = self.0.actions.begin()?;
        let (state, cancel, root) = (self.0.clone(), guard.0.clone(), plan.clone());
        let run = self.0.pool.run(move || Run::prepare(state, cancel, root)).await?;
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
        let guard = self.0.actions.begin()?;
        guard.0.race(self.0.storage.open(uri)).await
    }

    async fn close(&self, _end: End) -> Result<()> {
        self.0.close();
        self.0.pool.ended().await;
        Ok(())
    }
}

/// Rows from outside, checked and counted, as one partition. What memory has no room for is written to disk in place:
/// into the system's page cache, which takes less time than handing it to another thread.
async fn receive(state: &State, cancel: &Cancel, schema: &TableSchema, mut rows: RowStream) -> Result<Held> {
    let shelf = Shelf::new(Scope { schema, cancel, memory: &state.memory });
    let mut collector = Collector::new(&shelf);
    while let Some(batch) = rows.next().await {
        collector.push(fit(schema, batch?)?)?;
    }
    let (pieces, hold) = collector.finish()?;
    Ok(Held::new(vec![pieces], hold))
}

fn arrange(
    state: &State,
    cancel: &Cancel,
    schema: &TableSchema,
    received: Held,
    layout: &Layout,
) -> Result<Held> {
    let scope = Scope { schema, cancel, memory: &state.memory };
    let held = match layout {
        Layout::Rows(ranges) => exchange::cut::at_rows(&scope, received, ranges),
        layout => exchange::run(&scope, received, Known::Unordered, layout, EqualKeys::Refuse),
    };
    held?.compact(schema)
}

async fn write_part(run: &Arc<Run>, writing: &Arc<Writing>, partition: u32) -> Result<Part> {
    let (run, writing) = (run.clone(), writing.clone());
    let state = run.state.clone();
    state
        .pool
        .run(move || {
            run.attempt(|| {
                let rows = stream::iter(run.pull(&Slice::whole(partition))?).boxed();
                let written =
                    run.cancel.wait(writing.state.storage.write_part(&writing.write, partition, rows));
                written.at(|| format!("write partition {partition}"))
            })
        })
        .await
}

/// A table being written. What it left is removed unless it was committed, also when the action is dropped: by
/// the last clone that is dropped.
struct Writing {
    state: Arc<State>,
    write: Write,
    settled: AtomicBool,
}

impl Writing {
    fn new(state: Arc<State>, write: Write) -> Self {
        Self { state, write, settled: AtomicBool::new(false) }
    }

    /// Not cancelled once begun: the table exists then, or what was left of it is removed.
    fn commit(&self, parts: Vec<Part>) -> Result<StoredTable> {
        self.settled.store(true, Ordering::Release);
        wait(async {
            match self.state.storage.commit(self.write.clone(), parts).await {
                Ok(table) => Ok(table),
                Err(error) => Err(self.abort(error).await.at(format!("save {}", self.write.uri))),
            }
        })
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
        if self.settled.load(Ordering::Acquire) {
            return;
        }
        let (storage, write) = (self.state.storage.clone(), self.write.clone());
        // A failure is left to the store's clean-up after crashes: no caller waits here for an error.
        let remove = move || drop(wait(storage.abort(write)));
        if rayon::current_thread_index().is_some() {
            remove();
        } else {
            drop(self.state.pool.spawn(remove));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "standalone session {}, {} cores", self.0.spec.id, self.0.spec.placement.cores)
    }
}
