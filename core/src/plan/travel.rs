//! Plans on their way to another process: a list of nodes, inputs first, each naming its inputs by their place in the list.
//!
//! Decoding goes through the checked constructors, so that a plan which arrives is as sound as one that was made here; it
//! needs the same kernels. Handles and blobs that arrive own nothing: the sender keeps what they name while the action runs.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{EqualKeys, JoinKind, Node, Op, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Handle, Release};
use crate::ids::SessionId;
use crate::kernel::{KernelCall, Kernels};
use crate::layout::Layout;
use crate::rows::PartSize;
use crate::schema::TableSchema;
use crate::storage::StoredTable;

#[derive(Serialize, Deserialize)]
enum Step {
    Scan(Held),
    ScanRows(Held, Option<Range<u64>>),
    Load(StoredTable),
    Map(u32, KernelCall),
    Exchange(u32, Layout, EqualKeys),
    Join(u32, u32, JoinKind),
    Zip(u32, u32),
    Concat(Vec<u32>),
}

#[derive(Serialize, Deserialize)]
struct Held {
    session: SessionId,
    number: u64,
    schema: TableSchema,
    layout: Layout,
    parts: Vec<PartSize>,
}

/// What is held is held elsewhere.
struct Elsewhere;

impl Release for Elsewhere {
    fn release(&self, _: u64) {}
}

impl Held {
    fn of(handle: &Handle) -> Self {
        Self {
            session: handle.session().clone(),
            number: handle.number(),
            schema: handle.schema().clone(),
            layout: handle.layout().clone(),
            parts: handle.parts().to_vec(),
        }
    }

    fn handle(self) -> Result<Arc<Handle>> {
        let Self { session, number, schema, layout, parts } = self;
        if parts.len() != layout.partitions() as usize {
            let expected = layout.partitions();
            return Err(corrupt(format!("a handle of {} parts, expected {expected}", parts.len())));
        }
        Ok(Handle::new(session, number, schema, layout, parts, Arc::new(Elsewhere)))
    }
}

fn corrupt(message: String) -> Error {
    Error::new(ErrorKind::Corrupt, message).at("decode a plan")
}

impl Plan {
    /// The plan as bytes for [`Plan::decode`] in another process of the same build.
    pub fn encode(root: &Node) -> Result<Vec<u8>> {
        let nodes = Self::nodes(root);
        let places: HashMap<*const Plan, u32> = nodes.iter().map(Arc::as_ptr).zip(0..).collect();
        let place = |node: &Node| {
            places.get(&Arc::as_ptr(node)).copied().ok_or_else(|| Error::bug("a plan without its input"))
        };
        let step = |node: &Node| -> Result<Step> {
            Ok(match node.op() {
                Op::Scan(handle, rows) => match (handle.layout() == node.layout(), rows) {
                    (true, None) => Step::Scan(Held::of(handle)),
                    _ => Step::ScanRows(Held::of(handle), rows.clone()),
                },
                Op::Load(table) => Step::Load(StoredTable::clone(table)),
                Op::Map(input, call) => Step::Map(place(input)?, call.clone()),
                Op::Exchange(input, equal) => Step::Exchange(place(input)?, node.layout().clone(), *equal),
                Op::Join(left, right, kind) => Step::Join(place(left)?, place(right)?, *kind),
                Op::Zip(left, right) => Step::Zip(place(left)?, place(right)?),
                Op::Concat(inputs) => Step::Concat(inputs.iter().map(place).collect::<Result<_>>()?),
            })
        };
        let steps: Vec<Step> = nodes.iter().map(step).collect::<Result<_>>()?;
        postcard::to_stdvec(&steps).map_err(|e| Error::bug("encode a plan").because(e))
    }

    /// The nodes of a plan, in the order of [`Plan::nodes`]: the plan itself is the last. `Corrupt` for bytes that are none,
    /// else as the constructors.
    pub fn decode(bytes: &[u8], kernels: &Kernels) -> Result<Vec<Node>> {
        let (steps, rest) = postcard::take_from_bytes::<Vec<Step>>(bytes)
            .map_err(|e| corrupt("these bytes are no plan".into()).because(e))?;
        if !rest.is_empty() || steps.is_empty() {
            return Err(corrupt(format!("{} nodes, followed by {} bytes", steps.len(), rest.len())));
        }
        let mut nodes: Vec<Node> = Vec::with_capacity(steps.len());
        for step in steps {
            let node = step.node(&nodes, kernels)?;
            nodes.push(node);
        }
        Ok(nodes)
    }
}

impl Step {
    fn node(self, nodes: &[Node], kernels: &Kernels) -> Result<Node> {
        let at = |place: u32| {
            nodes.get(place as usize).ok_or_else(|| corrupt(format!("node {place} stands before its input")))
        };
        match self {
            Self::Scan(held) => Plan::scan(held.handle()?),
            Self::ScanRows(held, rows) => Plan::scan_rows(held.handle()?, rows),
            Self::Load(table) => Plan::load(Arc::new(table)),
            Self::Map(input, call) => Plan::map(at(input)?, call, kernels),
            Self::Exchange(input, to, equal) => Plan::exchange(at(input)?, to, equal, kernels),
            Self::Join(left, right, kind) => Plan::join(at(left)?, at(right)?, kind, kernels),
            Self::Zip(left, right) => Plan::zip(at(left)?, at(right)?, kernels),
            Self::Concat(inputs) => {
                let inputs = inputs.into_iter().map(|i| at(i).cloned()).collect::<Result<Vec<_>>>()?;
                Plan::concat(&inputs, kernels)
            }
        }
    }
}
