//! Where a plan's pipelines break: at exchanges, and at nodes that stand twice.
//!
//! A node that two others read is one piece of work, so its rows are held; all else is pulled through. What is read as it
//! lies (scans, stored tables) is free to stand anywhere.

use std::collections::{BTreeSet, HashMap};

use tributary_core::plan::{Node, Op, Plan};
use tributary_partition::pipeline::NodeId;

/// Rows to be held before anything that reads them runs.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) node: Node,
    /// Stages whose rows nobody reads after this one.
    pub(crate) frees: Vec<NodeId>,
}

/// The stages of a plan, in an order in which they can run.
pub(crate) fn stages(root: &Node) -> Vec<Stage> {
    let nodes = Plan::nodes(root);
    let mut readers: HashMap<NodeId, usize> = HashMap::new();
    for input in nodes.iter().flat_map(|node| node.inputs()) {
        *readers.entry(NodeId::of(input)).or_default() += 1;
    }
    let breaks = |node: &Node| match node.op() {
        Op::Exchange(..) => true,
        Op::Scan(..) | Op::Load(_) => false,
        _ => readers.get(&NodeId::of(node)).is_some_and(|count| *count > 1),
    };
    let stages = nodes.iter().filter(|node| breaks(node)).cloned();
    let mut stages: Vec<Stage> = stages.map(|node| Stage { node, frees: Vec::new() }).collect();
    let mut freed: BTreeSet<NodeId> = below(root, &breaks);
    freed.insert(NodeId::of(root));
    for stage in stages.iter_mut().rev() {
        let reads = stage.node.inputs().into_iter().flat_map(|input| below(input, &breaks));
        stage.frees = reads.filter(|read| freed.insert(*read)).collect();
    }
    stages
}

/// The stages that a pipeline ending at this node reads.
fn below(node: &Node, breaks: &impl Fn(&Node) -> bool) -> BTreeSet<NodeId> {
    if breaks(node) {
        return BTreeSet::from([NodeId::of(node)]);
    }
    node.inputs().into_iter().flat_map(|input| below(input, breaks)).collect()
}
