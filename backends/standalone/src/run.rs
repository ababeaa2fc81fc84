//! One action's run of a plan: kernels opened, rows at its breaks held, partitions pulled.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use rayon::prelude::*;
use tributary_core::error::{Error, Result};
use tributary_core::kernel::KernelCall;
use tributary_core::layout::{Layout, RowRanges};
use tributary_core::plan::{Node, Op, Plan};
use tributary_partition::batches::{Batches, Held};
use tributary_partition::cancel::{Cancel, cancelled, lock};
use tributary_partition::exchange::{self, Known};
use tributary_partition::loaded::Loaded;
use tributary_partition::map::Opened;
use tributary_partition::memory::Hold;
use tributary_partition::piece::{Piece, slice_rows};
use tributary_partition::pipeline::{self, NodeId, OpenedKernels, Pipeline, Slice, Supply, held};
use tributary_partition::pool::caught;
use tributary_partition::scope::Scope;
use tributary_partition::shelf::{Collector, Shelf};

use crate::breaks::{Break, breaks};
use crate::state::State;

pub(crate) struct Run {
    pub(crate) state: Arc<State>,
    pub(crate) cancel: Cancel,
    root: Node,
    opened: OpenedKernels,
    held: Mutex<HashMap<NodeId, Arc<Held>>>,
    failure: Mutex<Option<Error>>,
}

impl Run {
    /// Opens kernels and computes the rows of all breaks, so that only the last pipeline is left.
    pub(crate) fn prepare(state: Arc<State>, cancel: Cancel, root: Node) -> Result<Arc<Self>> {
        let mut opened = OpenedKernels::new();
        let mut held = HashMap::new();
        for node in Plan::nodes(&root) {
            match node.op() {
                Op::Map(input, call) => {
                    cancel.check()?;
                    opened.insert(NodeId::of(&node), Arc::new(open_kernel(&state, input, call)?));
                }
                Op::Scan(handle, _) => {
                    held.insert(NodeId::of(&node), state.items.rows(handle)?);
                }
                _ => {}
            }
        }
        let (held, failure) = (Mutex::new(held), Mutex::new(None));
        let run = Arc::new(Self { state, cancel, root, opened, held, failure });
        for at in breaks(&run.root) {
            run.compute(&at).map_err(|error| run.outcome(error))?;
        }
        Ok(run)
    }

    fn compute(&self, at: &Break) -> Result<()> {
        let rows = match at.node.op() {
            Op::Exchange(input, equal) => {
                let known = match input.layout() {
                    Layout::Keyed(_) if input.has_equal_keys() => Known::Grouped,
                    Layout::Keyed(_) => Known::Unique,
                    _ => Known::Unordered,
                };
                let source = self.collect(input)?;
                let scope = self.scope(&at.node);
                exchange::run(&scope, source, known, at.node.layout(), *equal)
                    .map_err(|e| e.at("exchange"))?
            }
            _ => self.collect(&at.node)?,
        };
        let mut held = lock(&self.held);
        held.insert(NodeId::of(&at.node), Arc::new(rows));
        let freed: Vec<_> = at.frees.iter().filter_map(|id| held.remove(id)).collect();
        drop(held);
        drop(freed);
        Ok(())
    }

    fn scope<'a>(&'a self, node: &'a Node) -> Scope<'a> {
        Scope { schema: node.schema(), cancel: &self.cancel, memory: &self.state.memory }
    }

    /// The plan's rows, for keeping.
    pub(crate) fn keep(&self) -> Result<Arc<Held>> {
        if let Some(held) = self.whole(&self.root) {
            return Ok(held);
        }
        self.collect(&self.root)?.compact(self.root.schema()).map(Arc::new)
    }

    /// Slices that make up all of the plan's rows.
    pub(crate) fn root_slices(&self) -> Vec<Slice> {
        self.slices(&self.root)
    }

    /// Some of the plan's rows, computed as they are pulled.
    pub(crate) fn pull(&self, slice: &Slice) -> Result<Batches> {
        self.open(&self.root, slice)
    }

    /// Whether the plan's rows are held in memory already, so that they are not counted again.
    pub(crate) fn is_held(&self) -> bool {
        self.held(&self.root).is_some_and(|held| held.is_here())
    }

    pub(crate) fn partitions(&self) -> u32 {
        self.root.layout().partitions()
    }

    /// Runs one part of the work; if it fails, so does everything else.
    pub(crate) fn attempt<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let done = self.cancel.check().and_then(|()| caught(work));
        done.map_err(|error| {
            lock(&self.failure).get_or_insert(error);
            self.cancel.raise();
            cancelled()
        })
    }

    /// What went wrong first: everything after that was only cancelled.
    pub(crate) fn outcome(&self, error: Error) -> Error {
        lock(&self.failure).take().unwrap_or(error)
    }

    fn held(&self, node: &Node) -> Option<Arc<Held>> {
        lock(&self.held).get(&NodeId::of(node)).cloned()
    }

    /// A node's rows, if they are held and it shows all of them.
    fn whole(&self, node: &Node) -> Option<Arc<Held>> {
        match node.op() {
            Op::Scan(_, Some(_)) => None,
            _ => self.held(node),
        }
    }

    /// All rows of a node, pipelines run in parallel. Those that are held already are not counted again.
    fn collect(&self, node: &Node) -> Result<Held> {
        if let Some(whole) = self.whole(node) {
            return Ok(whole.share(&self.state.memory));
        }
        let slices = self.slices(node);
        let shelf = Shelf::new(self.scope(node));
        let done = slices
            .par_iter()
            .with_max_len(1)
            .map(|slice| self.attempt(|| self.gather(node, slice, &shelf)))
            .collect::<Result<Vec<_>>>()?;
        let mut hold = self.state.memory.hold();
        let mut parts = vec![Vec::new(); node.layout().partitions() as usize];
        for (slice, (pieces, share)) in slices.iter().zip(done) {
            hold.join(share);
            parts[slice.partition as usize].extend(pieces);
        }
        Ok(Held::new(parts, hold))
    }

    fn gather(&self, node: &Node, slice: &Slice, shelf: &Shelf<'_>) -> Result<(Vec<Piece>, Hold)> {
        let mut collector = Collector::new(shelf);
        for batch in self.open(node, slice)? {
            let batch = batch?;
            self.cancel.check()?;
            collector.push(batch)?;
        }
        collector.finish()
    }

    /// What to compute separately, in order: partitions, or about equal pieces of them where every kernel works row by row,
    /// so that one large partition does not hold up the rest. (A kernel that keeps `Keys` may be a fold that counts.)
    fn slices(&self, node: &Node) -> Vec<Slice> {
        let Some(counts) = self.rows_below(node) else {
            return (0..node.layout().partitions()).map(Slice::whole).collect();
        };
        let pieces_wanted = 4 * rayon::current_num_threads() as u64;
        let total = counts.iter().sum::<u64>().max(1);
        let mut slices = Vec::new();
        for (partition, rows) in (0..).zip(counts) {
            let pieces = (rows.saturating_mul(pieces_wanted)).div_ceil(total).min(rows).max(1);
            let ranges = RowRanges::even(rows, pieces as u32);
            let cut = (0..ranges.partitions()).map(|i| Slice { partition, rows: Some(ranges.range(i)) });
            slices.extend(cut);
        }
        slices
    }

    /// Rows of each partition of the held table below a chain of maps that work row by row.
    fn rows_below(&self, node: &Node) -> Option<Vec<u64>> {
        let mut node = node;
        while let Op::Map(input, _) = node.op()
            && self.held(node).is_none()
        {
            if !self.opened.get(&NodeId::of(node))?.is_row_wise {
                return None;
            }
            node = input;
        }
        let held = self.held(node)?;
        Some((0..node.layout().partitions()).map(|p| rows_shown(node, &held, p).count()).collect())
    }

    /// The rows of a partition, or of a piece of it, as they are pulled.
    fn open(&self, node: &Node, slice: &Slice) -> Result<Batches> {
        Pipeline { supply: self, kernels: &self.opened, cancel: &self.cancel }.open(node, slice)
    }
}

impl Supply for Run {
    fn rows(&self, node: &Node, slice: &Slice) -> Result<Option<Batches>> {
        let partition = slice.partition;
        match (self.held(node), node.op()) {
            (Some(rows), _) => {
                let shown = rows_shown(node, &rows, partition);
                Ok(Some(held(shown.of(rows.part(partition), slice.rows.as_ref()))))
            }
            (None, Op::Load(table)) => {
                let storage = &*self.state.storage;
                Loaded::open(storage, table.clone(), partition, self.cancel.clone()).map(Some)
            }
            (None, _) => Ok(None),
        }
    }
}

fn open_kernel(state: &State, input: &Node, call: &KernelCall) -> Result<Opened> {
    let blobs = call.blobs().iter().map(|blob| state.items.blob(blob).map(|held| held.blob.clone()));
    let blobs = blobs.collect::<Result<Vec<_>>>()?;
    let kernel_type = state.kernels.get(call)?;
    Opened::new(&**kernel_type, || kernel_type.open(call, input.schema(), &blobs))
}

/// The rows of a held partition that a node shows, counted from the partition's first.
struct Shown(Range<u64>);

fn rows_shown(node: &Node, held: &Held, partition: u32) -> Shown {
    match node.op() {
        Op::Scan(..) => Shown(pipeline::rows_shown(node, partition)),
        _ => Shown(0..held.part(partition).iter().map(|piece| piece.rows() as u64).sum()),
    }
}

impl Shown {
    fn count(&self) -> u64 {
        self.0.end - self.0.start
    }

    fn of(&self, part: &[Piece], piece: Option<&Range<u64>>) -> Vec<Piece> {
        let start = self.0.start;
        let wanted = piece.map_or(self.0.clone(), |piece| start + piece.start..start + piece.end);
        slice_rows(part, wanted)
    }
}
