//! Where a plan's pipelines break: at exchanges, and at nodes that stand twice.
//!
//! A node that two others read is one piece of work, so its rows are held; all else is pulled through. What is read as it
//! lies (scans, stored tables) is free to stand anywhere.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tributary_core::plan::{Node, Op, Plan};

/// A node of one plan: nodes are shared, so that their address is their identity while the plan is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(usize);

impl NodeId {
    pub(crate) fn of(node: &Node) -> Self {
        Self(Arc::as_ptr(node) as usize)
    }
}

/// Rows to be held before anything that reads them runs.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) node: Node,
    /// Stages whose rows nobody reads after this one.
    pub(crate) frees: Vec<NodeId>,
}

/// The nodes that a node reads.
pub(crate) fn inputs(plan: &Plan) -> Vec<&Node> {
    match plan.op() {
        Op::Map(input, _) | Op::Exchange(input, _) => vec![input],
        Op::Join(left, right, _) | Op::Zip(left, right) => vec![left, right],
        Op::Concat(inputs) => inputs.iter().collect(),
        _ => vec![],
    }
}

/// All nodes, each once, inputs first.
pub(crate) fn nodes(root: &Node) -> Vec<Node> {
    fn visit(node: &Node, seen: &mut HashSet<NodeId>, found: &mut Vec<Node>) {
        if seen.insert(NodeId::of(node)) {
            inputs(node).into_iter().for_each(|input| visit(input, seen, found));
            found.push(node.clone());
        }
    }
    let mut found = Vec::new();
    visit(root, &mut HashSet::new(), &mut found);
    found
}

/// The stages of a plan, in an order in which they can run.
pub(crate) fn stages(root: &Node) -> Vec<Stage> {
    let nodes = nodes(root);
    let mut readers: HashMap<NodeId, usize> = HashMap::new();
    for input in nodes.iter().flat_map(|node| inputs(node)) {
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
        let reads = inputs(&stage.node).into_iter().flat_map(|input| below(input, &breaks));
        stage.frees = reads.filter(|read| freed.insert(*read)).collect();
    }
    stages
}

/// The stages that a pipeline ending at this node reads.
fn below(node: &Node, breaks: &impl Fn(&Node) -> bool) -> BTreeSet<NodeId> {
    if breaks(node) {
        return BTreeSet::from([NodeId::of(node)]);
    }
    inputs(node).into_iter().flat_map(|input| below(input, breaks)).collect()
}
