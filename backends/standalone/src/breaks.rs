//! Where a plan's pipelines break: at exchanges, and at nodes that occur twice.
//!
//! A node that two others read is one piece of work, so its rows are held; all else is pulled through. What is read as it
//! is stored (scans, stored tables) is no break.

use std::collections::{BTreeSet, HashMap};

use tributary_core::plan::{Node, Op, Plan};
use tributary_partition::pipeline::NodeId;

/// A node whose rows are to be held before anything that reads them runs.
#[derive(Debug)]
pub(crate) struct Break {
    pub(crate) node: Node,
    /// Breaks whose rows are not read after this one.
    pub(crate) frees: Vec<NodeId>,
}

/// The breaks of a plan, in an order in which they can be computed.
pub(crate) fn breaks(root: &Node) -> Vec<Break> {
    let nodes = Plan::nodes(root);
    let mut readers: HashMap<NodeId, usize> = HashMap::new();
    for input in nodes.iter().flat_map(|node| node.inputs()) {
        *readers.entry(NodeId::of(input)).or_default() += 1;
    }
    let is_break = |node: &Node| match node.op() {
        Op::Exchange(..) => true,
        Op::Scan(..) | Op::Load(_) => false,
        _ => readers.get(&NodeId::of(node)).is_some_and(|count| *count > 1),
    };
    let found = nodes.iter().filter(|node| is_break(node)).cloned();
    let mut found: Vec<Break> = found.map(|node| Break { node, frees: Vec::new() }).collect();
    let mut freed: BTreeSet<NodeId> = below(root, &is_break);
    freed.insert(NodeId::of(root));
    for at in found.iter_mut().rev() {
        let reads = at.node.inputs().into_iter().flat_map(|input| below(input, &is_break));
        at.frees = reads.filter(|read| freed.insert(*read)).collect();
    }
    found
}

/// The breaks that a pipeline ending at this node reads.
fn below(node: &Node, is_break: &impl Fn(&Node) -> bool) -> BTreeSet<NodeId> {
    if is_break(node) {
        return BTreeSet::from([NodeId::of(node)]);
    }
    node.inputs().into_iter().flat_map(|input| below(input, is_break)).collect()
}
