//! One partition of a plan as a chain of iterators: what a thread pulls.
//!
//! Where rows come from is the engine's: what it holds, stores or receives from other partitions ([`Supply`]). All
//! else is computed as it is pulled.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use tributary_core::computing::Handle;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::kernel::PartContext;
use tributary_core::layout::Layout;
use tributary_core::plan::{Node, Op, Plan};

use crate::batches::{Batches, Feed};
use crate::cancel::Cancel;
use crate::join::Join;
use crate::map::{Mapped, Opened};
use crate::piece::Piece;
use crate::zip::Zip;

/// A node of one plan: nodes are shared, so that their address is their identity while the plan is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(usize);

impl NodeId {
    pub fn of(node: &Node) -> Self {
        Self(Arc::as_ptr(node) as usize)
    }
}

/// A partition of a node, or some rows of it.
#[derive(Debug, Clone)]
pub struct Slice {
    pub partition: u32,
    /// Counted from the partition's first row.
    pub rows: Option<Range<u64>>,
}

impl Slice {
    pub fn whole(partition: u32) -> Self {
        Self { partition, rows: None }
    }
}

/// Gives a pipeline the rows that it begins with.
pub trait Supply {
    /// The rows of a slice, if this node is where the pipeline begins. All that no pipeline computes must be given: scans,
    /// stored tables, exchanges.
    fn rows(&self, node: &Node, slice: &Slice) -> Result<Option<Batches>>;
}

/// The kernels of a plan's maps, opened.
pub type OpenedKernels = HashMap<NodeId, Arc<Opened>>;

/// A plan, ready to be pulled.
pub struct Pipeline<'a> {
    pub supply: &'a dyn Supply,
    pub kernels: &'a OpenedKernels,
    pub cancel: &'a Cancel,
}

impl Pipeline<'_> {
    /// The rows of a partition, or of a piece of it, as they are pulled.
    pub fn open(&self, node: &Node, slice: &Slice) -> Result<Batches> {
        if let Some(rows) = self.supply.rows(node, slice)? {
            return Ok(rows);
        }
        match node.op() {
            Op::Map(input, _) => self.open_map(node, input, slice),
            Op::Join(left, right, kind) => {
                let (left, right) = (self.open(left, slice)?, self.open(right, slice)?);
                Ok(Box::new(Join::new(*kind, node.schema(), left, right, self.cancel.clone())))
            }
            Op::Zip(left, right) => Ok(Box::new(Zip {
                schema: node.schema().clone(),
                partition: slice.partition,
                right_has_key: right.schema().key().is_some(),
                left: Feed::new(self.open(left, slice)?),
                right: Feed::new(self.open(right, slice)?),
            })),
            Op::Concat(inputs) => {
                let (input, within) = concat_input(inputs, slice.partition)?;
                self.open(input, &Slice::whole(within))
            }
            other => {
                let text = format!("this engine does not know how to run {other:?}");
                Err(Error::new(ErrorKind::Unsupported, text))
            }
        }
    }

    fn open_map(&self, node: &Node, input: &Node, slice: &Slice) -> Result<Batches> {
        let rows = self.open(input, slice)?;
        let opened = self.kernels.get(&NodeId::of(node)).ok_or_else(|| Error::bug("a map was not opened"))?;
        let offset = slice.rows.as_ref().map_or(0, |rows| rows.start);
        let part = PartContext {
            partition: slice.partition,
            partitions: input.layout().partitions(),
            first_row: input.first_row(slice.partition).map(|row| row + offset),
        };
        Mapped::start(node, opened.clone(), part, rows, self.cancel.clone())
    }
}

/// The input of a concat that holds one of its partitions, and which of the input's own it is.
pub fn concat_input(inputs: &[Node], partition: u32) -> Result<(&Node, u32)> {
    let mut within = partition;
    for input in inputs {
        let partitions = input.layout().partitions();
        if within < partitions {
            return Ok((input, within));
        }
        within -= partitions;
    }
    Err(Error::bug(format!("concat has no partition {partition}")))
}

/// Rows that are held. Those on disk are read as they are pulled.
pub fn held(pieces: Vec<Piece>) -> Batches {
    Box::new(pieces.into_iter().map(|piece| piece.load()))
}

/// The rows of a held partition that a scan shows, counted from the partition's first.
pub fn rows_shown(scan: &Plan, partition: u32) -> Range<u64> {
    match (scan.op(), scan.layout()) {
        (Op::Scan(handle, Some(_)), Layout::Rows(shown)) => {
            let first = first_row(handle, partition);
            let shown = shown.range(partition);
            // A partition without any of the rows shows an empty range, perhaps beyond its own.
            shown.start.saturating_sub(first)..shown.end.saturating_sub(first)
        }
        (Op::Scan(handle, _), _) => 0..handle.parts()[partition as usize].rows,
        _ => 0..0,
    }
}

/// Number of a held partition's first row, as [`tributary_core::plan::Plan::scan_rows`] counts.
fn first_row(handle: &Handle, partition: u32) -> u64 {
    match handle.layout() {
        Layout::Rows(ranges) => ranges.range(partition).start,
        _ => handle.parts()[..partition as usize].iter().map(|part| part.rows).sum(),
    }
}
