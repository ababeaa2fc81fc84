//! Trees, and the divisions that they are made of.
//!
//! A division belongs to the party whose column it uses. The guest's tree says of another party's division only whose it is; that party
//! knows it by the number of the node. Bins stand for values: whoever has the column has the cut points.

use serde::{Deserialize, Serialize};

/// Most levels below the root: nodes of a tree have numbers of 16 bits.
pub const MAX_DEPTH: u32 = 15;

/// What of a column's bins goes to the left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bins {
    /// Those up to this one.
    UpTo(u16),
    /// These, in ascending order.
    In(Vec<u16>),
}

/// How one node is divided, as the party knows it whose column it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    /// Place of the column among the party's.
    pub column: u32,
    /// What goes to the left.
    pub left: Bins,
    /// Whether missing values do.
    pub missing_left: bool,
}

impl Split {
    /// Whether a row goes to the left. `missing`: the number of the bin of missing values.
    #[inline]
    pub fn is_left(&self, bin: u16, missing: u16) -> bool {
        match &self.left {
            _ if bin == missing => self.missing_left,
            Bins::UpTo(last) => bin <= *last,
            Bins::In(bins) => bins.binary_search(&bin).is_ok(),
        }
    }
}

/// What becomes of the rows of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fate {
    /// They end here.
    Leaf,
    /// A column of the guest divides them.
    Own {
        /// How.
        split: Split,
        /// Numbers of the nodes below.
        children: [u16; 2],
    },
    /// A column of a host divides them.
    Host {
        /// Which host, by its place among the hosts.
        host: u16,
        /// Place of the column among the host's, as the guest knows it.
        column: u32,
        /// Numbers of the nodes below.
        children: [u16; 2],
    },
}

/// One node as the guest knows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeNode {
    /// The node above; none for the root.
    pub parent: Option<u16>,
    /// What becomes of its rows.
    pub fate: Fate,
    /// Rows of the training that came here.
    pub rows: u64,
    /// Their first derivatives.
    pub grad: f64,
    /// Their second derivatives.
    pub hess: f64,
    /// What a leaf adds to a score, before the learning rate.
    pub weight: f64,
    /// What the division gained; 0 for a leaf.
    pub gain: f64,
}

/// The guest's tree. Nodes are numbered level by level, the root is 0, and children come after their parent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tree {
    /// By number.
    pub nodes: Vec<TreeNode>,
}

impl TreeNode {
    /// Numbers of the nodes below.
    pub fn children(&self) -> Option<[u16; 2]> {
        match self.fate {
            Fate::Leaf => None,
            Fate::Own { children, .. } | Fate::Host { children, .. } => Some(children),
        }
    }
}

impl Tree {
    /// How many divisions of hosts are on a path, at most: so often hosts are asked.
    pub fn host_steps(&self) -> usize {
        // Children come after their parent.
        let mut below = vec![0; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let deepest = node.children().map_or(0, |children| {
                children
                    .iter()
                    .map(|child| below.get(usize::from(*child)).copied().unwrap_or(0))
                    .max()
                    .unwrap_or(0)
            });
            below[at] = deepest + usize::from(matches!(node.fate, Fate::Host { .. }));
        }
        below.first().copied().unwrap_or(0)
    }

    /// Whether nodes lead to later nodes of the tree, and to hosts and columns of which there are so many: what is read from a file is
    /// asked this.
    pub fn is_sound(&self, columns: usize, hosts: usize) -> bool {
        let leads_on = |(at, node): (usize, &TreeNode)| {
            let children = node.children().is_none_or(|children| {
                children
                    .iter()
                    .all(|child| usize::from(*child) > at && usize::from(*child) < self.nodes.len())
            });
            let divided = match &node.fate {
                Fate::Leaf => true,
                Fate::Own { split, .. } => (split.column as usize) < columns,
                Fate::Host { host, .. } => usize::from(*host) < hosts,
            };
            children && divided && node.weight.is_finite()
        };
        let is_small = !self.nodes.is_empty() && self.nodes.len() <= usize::from(u16::MAX);
        is_small && self.nodes.iter().enumerate().all(leads_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(fate: Fate) -> TreeNode {
        TreeNode { parent: None, fate, rows: 1, grad: 0.0, hess: 0.0, weight: 0.5, gain: 0.0 }
    }

    fn host(host: u16, children: [u16; 2]) -> TreeNode {
        node(Fate::Host { host, column: 0, children })
    }

    #[test]
    fn hosts_are_asked_as_often_as_the_longest_path_needs() {
        let leaf = || node(Fate::Leaf);
        let tree = Tree { nodes: vec![host(0, [1, 2]), leaf(), host(1, [3, 4]), leaf(), leaf()] };
        assert_eq!(tree.host_steps(), 2);
        assert!(tree.is_sound(0, 2) && !tree.is_sound(0, 1));
        assert_eq!(Tree { nodes: vec![leaf()] }.host_steps(), 0);
        assert!(!Tree { nodes: vec![host(0, [0, 1]), leaf()] }.is_sound(0, 1), "a way back");
        assert!(!Tree { nodes: vec![host(0, [1, 2]), leaf()] }.is_sound(0, 1), "a node that is not there");
        assert!(!Tree::default().is_sound(0, 1));
    }

    #[test]
    fn a_split_knows_missing_values_by_their_bin() {
        let split = Split { column: 0, left: Bins::UpTo(2), missing_left: false };
        assert!(split.is_left(2, 9) && !split.is_left(3, 9) && !split.is_left(2, 2));
        let split = Split { left: Bins::In(vec![1, 4]), missing_left: true, ..split };
        assert!(split.is_left(4, 9) && !split.is_left(2, 9) && split.is_left(9, 9));
    }
}
