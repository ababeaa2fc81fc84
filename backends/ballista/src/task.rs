//! One partition of a fragment, on a thread of its own: what an executor does.
//!
//! The cluster gives a task one core, so that everything here happens on one thread: rows are pulled through the pipeline,
//! and shuffles and stores are waited for. Rows go to the session's store, or to the site's. Where the rows of an exchange
//! are goes through the cluster's shuffle, as a stream; what ends an action is committed in the session's store.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::SchemaRef;
use datafusion::error::Result as ClusterResult;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt, stream};
use tokio::sync::mpsc;
use tributary_core::bytestore::Upload;
use tributary_core::error::{Error, ErrorKind, Result, ResultExt};
use tributary_core::kernel::KernelCall;
use tributary_core::plan::{EqualKeys, Node, Op, Plan};
use tributary_core::storage::{Storage, TableUri, Write};
use tributary_partition::batches::Batches;
use tributary_partition::cancel::{Cancel, Guard, lock};
use tributary_partition::exchange;
use tributary_partition::loaded::Loaded;
use tributary_partition::map::Opened;
use tributary_partition::memory::{Hold, Memory, batch_bytes};
use tributary_partition::pipeline::{NodeId, OpenedKernels, Pipeline, Slice, Supply, concat_input, held};
use tributary_partition::pool::Pool;
use tributary_partition::scope::Scope;
use tributary_partition::view::Addressed;

use crate::bundles::{Dealer, unpack};
use crate::fragment::{Bundle, Commit, Fragment, Leaves, Made, Purpose, Sealed, Segment, Work, decode};
use crate::resources::Resources;
use crate::rows::{Decoder, Encoder};
use crate::stop::Stop;
use crate::store::SessionStore;
use crate::wire;

/// Batches on their way to the shuffle, at most.
const AHEAD: usize = 2;
/// Rows of a result in less than this come back in the commit itself.
const INLINE_BYTES: usize = 1 << 20;

/// The rows that a task gives to the cluster. Dropping it stops the task.
struct Output {
    schema: SchemaRef,
    rows: mpsc::Receiver<ClusterResult<RecordBatch>>,
    _guard: Guard,
    _pool: Pool,
}

impl Stream for Output {
    type Item = ClusterResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.rows.poll_recv(context)
    }
}

impl RecordBatchStream for Output {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }
}

/// Begins a task. `inputs`: its work, and what comes through its exchanges. Dropping the stream stops the work, and so does
/// `stop`.
pub(crate) fn start(
    resources: Arc<Resources>,
    sealed: &Sealed,
    inputs: Vec<SendableRecordBatchStream>,
    stop: &Stop,
) -> Result<SendableRecordBatchStream> {
    let fragment = sealed.open(&resources.key)?;
    let (sender, rows) = mpsc::channel(AHEAD);
    let guard = Guard(Cancel::default());
    stop.also(&guard.0);
    let pool = Pool::new(&fragment.session, 1)?;
    let (cancel, runtime) = (guard.0.clone(), tokio::runtime::Handle::try_current());
    pool.spawn(move || {
        // Streams of the cluster start tasks of their own while they are polled.
        let _entered = runtime.as_ref().map(|runtime| runtime.enter());
        let moved = sender.clone();
        let work = || Task::open(resources, fragment, inputs, cancel)?.run(&moved);
        if let Err(error) = tributary_partition::pool::caught(work) {
            // If the stream was dropped, no reader is left for the error.
            drop(sender.blocking_send(Err(wire::outgoing(error))));
        }
    })?;
    Ok(Box::pin(Output { schema: sealed.columns(), rows, _guard: guard, _pool: pool }))
}

struct Task {
    resources: Arc<Resources>,
    fragment: Fragment,
    store: SessionStore,
    nodes: Vec<Node>,
    partition: u32,
    kernels: OpenedKernels,
    held: HashMap<NodeId, Vec<Segment>>,
    moved: Mutex<HashMap<NodeId, SendableRecordBatchStream>>,
    cancel: Cancel,
    memory: Arc<Memory>,
}

impl Task {
    fn open(
        resources: Arc<Resources>,
        fragment: Fragment,
        inputs: Vec<SendableRecordBatchStream>,
        cancel: Cancel,
    ) -> Result<Self> {
        let nodes = Plan::decode(&fragment.plan, &resources.kernels)?;
        let at =
            |place: u32| nodes.get(place as usize).ok_or_else(|| malformed("a node that is not in the plan"));
        let mut inputs = inputs.into_iter();
        let work = read_work(inputs.next().ok_or_else(|| malformed("no work"))?, &cancel)?;
        let held = work.held.into_iter().map(|(place, segments)| Ok((NodeId::of(at(place)?), segments)));
        let held: HashMap<_, _> = held.collect::<Result<_>>()?;
        let mut task = Self {
            store: resources.session_store(&fragment),
            partition: work.partition,
            memory: Memory::new(fragment.session.clone(), fragment.memory_bytes),
            kernels: OpenedKernels::new(),
            moved: Mutex::default(),
            resources,
            fragment,
            nodes: Vec::new(),
            held,
            cancel,
        };
        let root = task.root_of(&nodes)?;
        task.open_kernels(&root, task.partition)?;
        let exchanges = Leaves::of(&root, &|node| task.is_given(node)).exchanges;
        let moved: HashMap<_, _> = exchanges.iter().map(NodeId::of).zip(inputs).collect();
        if moved.len() != exchanges.len() {
            return Err(malformed("an exchange without its rows"));
        }
        task.moved = Mutex::new(moved);
        task.nodes = nodes;
        Ok(task)
    }

    /// The node whose rows this task computes.
    fn root_of(&self, nodes: &[Node]) -> Result<Node> {
        let node =
            nodes.get(self.fragment.node as usize).ok_or_else(|| malformed("a node beyond the plan"))?;
        match (&self.fragment.purpose, node.op()) {
            (Purpose::Move(_), Op::Exchange(input, _)) => Ok(input.clone()),
            (Purpose::Move(_), _) => Err(malformed("rows to move that no exchange asks for")),
            _ => Ok(node.clone()),
        }
    }

    /// Whether the node's rows are held, by name or because they are in a store.
    fn is_given(&self, node: &Node) -> bool {
        self.held.contains_key(&NodeId::of(node)) || matches!(node.op(), Op::Scan(..) | Op::Load(_))
    }

    /// The kernels that one partition goes through.
    fn open_kernels(&mut self, node: &Node, partition: u32) -> Result<()> {
        if self.is_given(node) || matches!(node.op(), Op::Exchange(..)) {
            return Ok(());
        }
        if let Op::Concat(inputs) = node.op() {
            let (input, within) = concat_input(inputs, partition)?;
            return self.open_kernels(input, within);
        }
        if let Op::Map(input, call) = node.op()
            && !self.kernels.contains_key(&NodeId::of(node))
        {
            let opened = self.open_kernel(input, call)?;
            self.kernels.insert(NodeId::of(node), Arc::new(opened));
        }
        node.inputs().into_iter().try_for_each(|input| self.open_kernels(input, partition))
    }

    fn open_kernel(&self, input: &Node, call: &KernelCall) -> Result<Opened> {
        let blobs = call.blobs().iter().map(|blob| self.cancel.wait(self.store.blob(blob)));
        let blobs = blobs.collect::<Result<Vec<_>>>()?;
        let kernel_type = self.resources.kernels.get(call)?;
        Opened::new(&**kernel_type, || kernel_type.open(call, input.schema(), &blobs))
    }

    fn run(&self, moved: &mpsc::Sender<ClusterResult<RecordBatch>>) -> Result<()> {
        let root = self.root_of(&self.nodes)?;
        let pipeline = Pipeline { supply: self, kernels: &self.kernels, cancel: &self.cancel };
        let rows = pipeline.open(&root, &Slice::whole(self.partition))?;
        match &self.fragment.purpose {
            Purpose::Move(routes) => self.send(rows, routes, moved),
            Purpose::Keep => self.write(&root, rows, usize::MIN),
            Purpose::Read => self.write(&root, rows, INLINE_BYTES),
            Purpose::Save(write) => self.save(write, rows),
        }
    }

    /// Rows into bundles, and where those are to where the exchange wants them.
    fn send(
        &self,
        rows: Batches,
        routes: &[u32],
        moved: &mpsc::Sender<ClusterResult<RecordBatch>>,
    ) -> Result<()> {
        let exchange = &self.nodes[self.fragment.node as usize];
        if routes.len() != exchange.layout().partitions() as usize {
            return Err(malformed("routes for another number of partitions"));
        }
        let mut dealer = Dealer::new(self.partition, exchange)?;
        let mut upload: Option<Box<dyn Upload>> = None;
        for batch in rows {
            self.cancel.check()?;
            if let Some(bytes) = dealer.deal(batch?)? {
                self.cancel.wait(self.moving(&mut upload, &mut dealer)?.write(bytes))?;
            }
        }
        let rest = dealer.finish()?;
        if dealer.is_empty() {
            return Ok(());
        }
        self.moving(&mut upload, &mut dealer)?;
        let mut upload = upload.ok_or_else(|| Error::bug("no file to finish"))?;
        self.cancel.wait(async {
            upload.write(rest).await?;
            upload.finish().await
        })?;
        // If the stream was dropped, the rows are not wanted any more.
        moved.blocking_send(Ok(dealer.bundles(routes)?)).map_err(|_| tributary_partition::cancel::cancelled())
    }

    fn moving<'a>(
        &self,
        upload: &'a mut Option<Box<dyn Upload>>,
        dealer: &mut Dealer,
    ) -> Result<&'a mut Box<dyn Upload>> {
        if upload.is_none() {
            let created = self.cancel.wait(self.store.create_moved(self.fragment.action));
            let (file, created) = created.at(|| self.here("move"))?;
            dealer.file = file;
            *upload = Some(created);
        }
        upload.as_mut().ok_or_else(|| Error::bug("a file that was just created"))
    }

    /// Rows to the session's store, or into the commit if they take less than `inline` bytes.
    fn write(&self, root: &Node, rows: Batches, inline: usize) -> Result<()> {
        let mut encoder = Encoder::new(root.schema())?;
        let mut file: Option<(String, Box<dyn Upload>)> = None;
        for batch in rows {
            encoder.push(batch?)?;
            self.cancel.check()?;
            if let Some(chunk) = encoder.take_chunk() {
                let (_, upload) = self.upload(&mut file)?;
                self.cancel.wait(upload.write(chunk))?;
            }
        }
        let (rest, rows, bytes) = encoder.finish()?;
        let made = if file.is_none() && rest.len() < inline {
            Made::Inline(rest)
        } else {
            self.upload(&mut file)?;
            let (name, mut upload) = file.take().ok_or_else(|| Error::bug("no file to finish"))?;
            self.cancel.wait(async {
                upload.write(rest).await?;
                upload.finish().await
            })?;
            Made::File(name)
        };
        self.commit(Commit { rows, bytes, made })
    }

    fn upload<'a>(
        &self,
        file: &'a mut Option<(String, Box<dyn Upload>)>,
    ) -> Result<&'a mut (String, Box<dyn Upload>)> {
        if file.is_none() {
            *file = Some(self.cancel.wait(self.store.create()).at(|| self.here("keep"))?);
        }
        file.as_mut().ok_or_else(|| Error::bug("a file that was just created"))
    }

    fn save(&self, write: &Write, rows: Batches) -> Result<()> {
        let rows = stream::iter(rows).boxed();
        let storage = self.storage(&write.uri)?;
        let written = self.cancel.wait(storage.write_part(write, self.partition, rows));
        let part = written.at(|| self.here("write"))?;
        self.commit(Commit { rows: part.size.rows, bytes: part.size.bytes, made: Made::Part(part) })
    }

    fn storage(&self, table: &TableUri) -> Result<Arc<dyn Storage>> {
        self.resources.storage(&self.fragment.stores, table)
    }

    fn commit(&self, commit: Commit) -> Result<()> {
        let committing = self.store.commit(self.fragment.action, self.partition, &commit);
        let first = self.cancel.wait(committing).at(|| self.here("commit"))?;
        if !first && let Made::File(file) = commit.made {
            self.cancel.wait(self.store.delete(&[file]))?;
        }
        Ok(())
    }

    fn here(&self, operation: &str) -> String {
        format!("{operation} partition {}", self.partition)
    }

    /// What came through an exchange, in the order that its layout says.
    fn receive(&self, node: &Node, equal: EqualKeys) -> Result<Batches> {
        let mut hold = self.memory.hold();
        let mut received = Vec::new();
        for bundle in self.bundles_for(node)? {
            self.cancel.check()?;
            let reading = self.store.read_range(&bundle.file, bundle.bytes.clone());
            let bytes = self.cancel.wait(reading).at(|| "read rows that moved")?;
            for rows in unpack(node.schema(), &bundle, bytes)? {
                let (rows, places) = rows?;
                hold.grow(batch_bytes(&rows))?;
                received.push((rows, places));
            }
        }
        let scope = Scope { schema: node.schema(), cancel: &self.cancel, memory: &self.memory };
        let received = Addressed::received(received)?;
        let settled = exchange::settle(&scope, &received, self.partition, node.layout(), equal);
        let (parts, share) = settled.map_err(|e| e.at("exchange"))?.into_parts();
        let rows = parts.into_iter().flatten().collect();
        Ok(Box::new(Paid { rows: held(rows), _share: share }))
    }

    /// In source order; the shuffle brings them in any.
    fn bundles_for(&self, node: &Node) -> Result<Vec<Bundle>> {
        let moved = lock(&self.moved).remove(&NodeId::of(node));
        let mut moved = moved.ok_or_else(|| Error::bug("the rows of an exchange were taken before"))?;
        let mut bundles: Vec<Bundle> = Vec::new();
        while let Some(batch) = self.cancel.wait(async { Ok(moved.next().await) })? {
            let batch = batch.map_err(|e| wire::incoming(&e.to_string()))?;
            let rows = batch.column(0).as_binary_opt::<i32>().ok_or_else(|| malformed("no bundles"))?;
            for row in rows.iter().flatten() {
                bundles.extend(decode::<Vec<Bundle>>("bundles", row)?);
            }
        }
        bundles.sort_by_key(|bundle| (bundle.partition, bundle.first_row));
        if bundles
            .windows(2)
            .any(|pair| (pair[0].partition, pair[0].first_row) == (pair[1].partition, pair[1].first_row))
        {
            return Err(Error::new(ErrorKind::Corrupt, "rows came twice through an exchange"));
        }
        Ok(bundles)
    }

    fn read_held(&self, node: &Node, segments: &[Segment]) -> Result<Batches> {
        let (schema, store, cancel) = (node.schema().clone(), self.store.clone(), self.cancel.clone());
        let read = move |segment: Segment| -> Result<Decoder> {
            let bytes = cancel.wait(store.read(&segment.file)).at(|| "read rows of the session")?;
            Decoder::new(&schema, bytes, segment.rows)
        };
        let files = Vec::from(segments).into_iter().map(read);
        Ok(Box::new(files.flat_map(|file| match file {
            Ok(rows) => Box::new(rows) as Batches,
            Err(error) => Box::new(std::iter::once(Err(error))),
        })))
    }
}

impl Supply for Task {
    fn rows(&self, node: &Node, slice: &Slice) -> Result<Option<Batches>> {
        if let Some(segments) = self.held.get(&NodeId::of(node)) {
            return self.read_held(node, segments).map(Some);
        }
        match node.op() {
            Op::Load(table) => {
                let storage = self.storage(&table.uri)?;
                Loaded::open(&*storage, table.clone(), slice.partition, self.cancel.clone()).map(Some)
            }
            Op::Exchange(_, equal) => self.receive(node, *equal).map(Some),
            Op::Scan(..) => Err(malformed("a scan without its rows")),
            _ => Ok(None),
        }
    }
}

/// Rows in memory, until the last of them was taken.
struct Paid {
    rows: Batches,
    _share: Hold,
}

impl Iterator for Paid {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.next()
    }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("a fragment with {what}"))
}

fn read_work(mut rows: SendableRecordBatchStream, cancel: &Cancel) -> Result<Work> {
    let batch = cancel.wait(async { Ok(rows.next().await) })?;
    let batch = batch.ok_or_else(|| malformed("no work"))?.map_err(|e| wire::incoming(&e.to_string()))?;
    let works = batch.column(0).as_binary_opt::<i32>().filter(|works| works.len() == 1);
    decode("work", works.ok_or_else(|| malformed("work for several partitions"))?.value(0))
}
