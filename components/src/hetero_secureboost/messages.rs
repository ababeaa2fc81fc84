//! What guest and hosts say to each other, beside tables.
//!
//! ```text
//! host h                                        guest
//!   told: rows, bins of columns, what is kept ──▶
//!                    ◀── begins: key, model, how many trees, from where
//! for each tree that hosts take part in
//!                    ◀── [sampled rows]  encrypted gradients
//!   for each level
//!                    ◀── level: which nodes to add up;  the node of each row
//!   grouped: bins taken together, rows of each  ──▶
//!   sums, packed and encrypted                  ──▶
//!                    ◀── chosen: nodes that this host's columns divide
//!   [left: which rows go to the left]           ──▶
//!                    ◀── level without nodes: the tree is done
//!   written: the tree is kept                   ──▶
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tributary_boost::Left;
use tributary_boost::columns::{MAX_BINS, NO_NODE};
use tributary_boost::groups::Group;
use tributary_boost::tree::MAX_DEPTH;
use tributary_core::federation::Message;
use tributary_core::{Error, ErrorKind, Party, Result};
use tributary_paillier::ProvenKey;

/// The name of a training, and of the model that comes of it: parts of one model are known by it.
pub(crate) type ModelId = [u8; 16];

/// Most columns of one host.
const MAX_COLUMNS: usize = 65_535;

/// One column of a host, as the guest is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ToldColumn {
    /// Place among the host's features, which is its anonymous name.
    pub position: u32,
    /// Bins, that of missing values not counted.
    pub bins: u16,
    /// Whether they have no order.
    pub is_category: bool,
}

/// Host to guest, at first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Rows of the training.
    pub rows: u64,
    /// The columns that sums come for.
    pub columns: Vec<ToldColumn>,
    /// The training that an earlier attempt has kept, and its trees.
    pub kept: Option<(ModelId, u32)>,
    /// The model that trees are added to, and its trees.
    pub warm: Option<(ModelId, u32)>,
    /// Rows to measure trees on, if there are any.
    pub validated: Option<u64>,
}

impl Message for Told {
    const NAME: &'static str = "boost.told";
    const MAX_BYTES: usize = 1 << 20;
}

impl Told {
    /// `Corrupt` for what no honest host tells.
    pub(crate) fn check(&self, host: &Party, rows: u64) -> Result<()> {
        let wrong = |what: String| Err(Error::new(ErrorKind::Corrupt, format!("{host} tells {what}")));
        let bins: u64 = self.columns.iter().map(|column| u64::from(column.bins) + 1).sum();
        if self.rows != rows {
            return wrong(format!("{} rows, expected {rows}; take them from psi", self.rows));
        }
        if self.columns.len() > MAX_COLUMNS || bins > MAX_BINS {
            return wrong(format!("{} columns with {bins} bins, too many", self.columns.len()));
        }
        match self.columns.is_sorted_by(|a, b| a.position < b.position) {
            true => Ok(()),
            false => wrong("columns out of order".into()),
        }
    }
}

/// Guest to hosts: how the training goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begins {
    /// The name of the training.
    pub model: ModelId,
    /// The guest's key; none if no tree uses hosts.
    pub key: Option<ProvenKey>,
    /// Trees of the training, those of a model that they are added to not counted.
    pub trees: u32,
    /// So many first ones use no host.
    pub own: u32,
    /// So many are kept by all parties.
    pub from: u32,
    /// From this tree on rows are sampled.
    pub sampled_from: Option<u32>,
    /// Whether both derivatives share a ciphertext.
    pub pairs: bool,
    /// Whether sums do.
    pub packs: bool,
}

impl Message for Begins {
    const NAME: &'static str = "boost.begins";
}

/// Which nodes of a level a host adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// The node of the level, by the number that rows have.
    pub node: u16,
    /// The node above, by the number that rows had in the level above.
    pub parent: Option<u16>,
    /// The sibling, if it is divided too and its sums are those of the parent less those of the node.
    pub rest: Option<u16>,
}

/// Guest to hosts: a level of a tree. Without nodes: the tree is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Level {
    /// In ascending order of nodes.
    pub wanted: Vec<Wanted>,
    /// Nodes of the level, siblings that are not added up included.
    pub nodes: u16,
}

impl Message for Level {
    const NAME: &'static str = "boost.level";
    const MAX_BYTES: usize = 1 << 20;
}

impl Level {
    /// The parent of each node, once all are checked to have one.
    pub(crate) fn parents(&self) -> Vec<u16> {
        let mut parents = vec![NO_NODE; usize::from(self.nodes)];
        for Wanted { node, parent, rest } in &self.wanted {
            for node in [Some(*node), *rest].into_iter().flatten() {
                parents[usize::from(node)] = parent.unwrap_or(NO_NODE);
            }
        }
        parents
    }

    /// `Corrupt` for what no honest guest asks. `above`: nodes of the level above, none at the root.
    pub(crate) fn check(&self, guest: &Party, above: Option<u16>) -> Result<()> {
        let wrong = |what: &str| {
            let text = format!("{guest} wants a level of {} nodes {what}", self.nodes);
            Err(Error::new(ErrorKind::Corrupt, text))
        };
        if u32::from(self.nodes) > 1 << MAX_DEPTH {
            return wrong("which is too many");
        }
        let (mut seen, mut below) = (BTreeSet::new(), BTreeMap::<u16, usize>::new());
        for wanted in &self.wanted {
            let nodes = [Some(wanted.node), wanted.rest];
            if !nodes.into_iter().flatten().all(|node| node < self.nodes && seen.insert(node)) {
                return wrong("with one that is not there, or twice");
            }
            let has_parent = match (above, wanted.parent) {
                (None, parent) => parent.is_none() && wanted.rest.is_none(),
                (Some(above), Some(parent)) => parent < above,
                (Some(_), None) => false,
            };
            if !has_parent {
                return wrong("with a parent that is not there");
            }
            if let Some(parent) = wanted.parent {
                *below.entry(parent).or_default() += 1 + usize::from(wanted.rest.is_some());
            }
        }
        // Numbers about more parts of a node than two would say more than its limits let them.
        if below.values().any(|nodes| *nodes > 2) || (above.is_none() && seen.len() > 1) {
            return wrong("of which more than two are of one node");
        }
        match self.wanted.is_empty() || seen.len() == usize::from(self.nodes) {
            true => Ok(()),
            false => wrong("and does not say of all where they are from"),
        }
    }
}

/// The groups of one column in one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ColumnGroups {
    /// In order, that of missing values, if it is on its own, last.
    pub groups: Vec<Group>,
    /// Whether the last group is that of missing values.
    pub missing_apart: bool,
    /// The group whose sum does not come, since it is that of the node less all others.
    pub rest: u16,
}

/// Host to guest: which sums follow, for each node that was wanted and each column. Groups without rows have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grouped {
    /// By node, then by column.
    pub nodes: Vec<Vec<ColumnGroups>>,
}

impl Message for Grouped {
    const NAME: &'static str = "boost.grouped";
    const MAX_BYTES: usize = 128 << 20;
}

/// A division that the guest chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Choice {
    /// The node of the level.
    pub node: u16,
    /// Its number in the tree.
    pub number: u16,
    /// Place of the column.
    pub column: u32,
    /// Groups that go to the left.
    pub left: Left,
    /// Whether missing values do.
    pub missing_left: bool,
}

/// Guest to host: the nodes that its columns divide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Chosen {
    /// In ascending order.
    pub choices: Vec<Choice>,
}

impl Message for Chosen {
    const NAME: &'static str = "boost.chosen";
    const MAX_BYTES: usize = 16 << 20;
}

/// Host to guest: a tree is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Written {
    /// Trees that are.
    pub trees: u32,
}

impl Message for Written {
    const NAME: &'static str = "boost.written";
}

/// Guest to hosts: rows are to be led through the trees of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Walks {
    /// Of which model.
    pub model: ModelId,
    /// From this tree on.
    pub first: u32,
    /// How often the host is asked about each run of trees ([`tributary_boost::walk::AT_ONCE`] of them, the last one shorter).
    pub steps: Vec<u16>,
    /// How many trees.
    pub trees: u32,
}

impl Message for Walks {
    const NAME: &'static str = "boost.walks";
}

/// One of each, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub(crate) mod samples {
    use super::*;

    pub(crate) fn told() -> Told {
        let column = |position, bins, is_category| ToldColumn { position, bins, is_category };
        let columns = vec![column(0, 32, false), column(3, 2, true)];
        Told { rows: 100, columns, kept: Some(([1; 16], 2)), warm: None, validated: None }
    }

    pub(crate) fn begins() -> Begins {
        let (model, key, sampled_from) = ([1; 16], None, Some(5));
        Begins { model, key, trees: 3, own: 1, from: 0, sampled_from, pairs: true, packs: true }
    }

    pub(crate) fn level() -> Level {
        let wanted = vec![Wanted { node: 1, parent: Some(0), rest: Some(0) }];
        Level { wanted, nodes: 2 }
    }

    pub(crate) fn grouped() -> Grouped {
        let group = |of, rows| Group { of, rows };
        let column = ColumnGroups { groups: vec![group(1, 3), group(2, 7)], missing_apart: false, rest: 1 };
        Grouped { nodes: vec![vec![column.clone(), column]] }
    }

    pub(crate) fn chosen() -> Chosen {
        let choice = |left| Choice { node: 0, number: 1, column: 0, left, missing_left: true };
        Chosen { choices: vec![choice(Left::UpTo(3)), choice(Left::In(vec![0, 2]))] }
    }

    pub(crate) fn walks() -> Walks {
        Walks { model: [1; 16], first: 0, steps: vec![2], trees: 3 }
    }
}
