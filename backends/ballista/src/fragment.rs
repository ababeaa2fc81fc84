//! Fragments: what one of Ballista's stages does: a part of an action's plan, and what becomes of its rows.
//!
//! A fragment names a node of the action's plan; everything below it belongs to the fragment, down to what is held, stored or
//! comes through an exchange. Where the held rows of each partition are travels apart from it ([`Work`]), one row a
//! partition, because the cluster's scheduler hands out partitions by cutting in-memory sources, and shuffles, alike.

use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::ids::SessionId;
use tributary_core::plan::{Node, Op};
use tributary_core::storage::{Part, Write};
use tributary_partition::pipeline::concat_input;

use crate::seal::ClusterKey;

/// What the tasks of one stage compute.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Fragment {
    pub(crate) session: SessionId,
    /// The session's name in the cluster.
    pub(crate) store: String,
    /// Unique within the session: commits of a fragment are found by it.
    pub(crate) action: u64,
    /// Where executors find the site's stores.
    pub(crate) stores: Vec<String>,
    /// What one partition may hold in memory.
    pub(crate) memory_bytes: u64,
    /// The action's plan, encoded.
    pub(crate) plan: Bytes,
    /// The node, by its place in the plan.
    pub(crate) node: u32,
    pub(crate) purpose: Purpose,
}

/// What becomes of a fragment's rows.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// Files of the session's store.
    Keep,
    /// The same, or in the commit itself where they are few.
    Read,
    /// Parts of a stored table.
    Save(Write),
    /// The node is an exchange: rows of its input into bundles for its partitions. A value for each leads bundles there.
    Move(Vec<u32>),
}

/// What a task needs to know of its partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) partition: u32,
    /// Where the rows are of nodes that are not computed, by the node's place in the plan.
    pub(crate) held: Vec<(u32, Vec<Segment>)>,
}

/// Some rows of a file of the session's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Segment {
    pub(crate) file: String,
    pub(crate) rows: Range<u64>,
}

/// Rows of one partition on their way to another: a whole file of rows within a file of the session's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bundle {
    /// Where the rows come from.
    pub(crate) partition: u32,
    /// Number of the first row there that could be in it; the rows count from it.
    pub(crate) first_row: u64,
    pub(crate) file: String,
    pub(crate) bytes: Range<u64>,
    pub(crate) rows: u64,
}

/// What was made of a partition. Written once: a second task finds that it is done.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Commit {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) made: Made,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum Made {
    File(String),
    Inline(Bytes),
    Part(Part),
}

/// What a sealed fragment is, so that no other sealed bytes are taken for one.
const CONTEXT: &[u8] = b"fragment";

/// What everybody may see of a fragment.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sealed {
    /// Whether it moves rows; else it ends the action.
    pub(crate) moves: bool,
    fragment: Bytes,
}

impl Sealed {
    /// Seals a fragment for the executors of the cluster.
    pub(crate) fn new(key: &ClusterKey, fragment: &Fragment) -> Result<Self> {
        let moves = matches!(fragment.purpose, Purpose::Move(_));
        Ok(Self { moves, fragment: key.seal(CONTEXT, &encode(fragment)?)?.into() })
    }

    /// The fragment. `Denied` unless a driver of this cluster sealed it.
    pub(crate) fn open(&self, key: &ClusterKey) -> Result<Fragment> {
        decode("a fragment", &key.open(CONTEXT, &self.fragment)?)
    }

    /// Of no driver, for tests of what is done with sealed fragments.
    #[cfg(test)]
    pub(crate) fn unopenable(moves: bool) -> Self {
        Self { moves, fragment: Bytes::from_static(b"sealed") }
    }

    /// The columns of what the cluster sees of its rows.
    pub(crate) fn columns(&self) -> SchemaRef {
        if self.moves { moved_columns() } else { Arc::new(Schema::empty()) }
    }
}

/// Name of the column that leads bundles to their partition.
pub(crate) const ROUTE: &str = "route";
/// Name of the column with bundles.
pub(crate) const BUNDLES: &str = "bundles";
/// The column of the work.
pub(crate) const WORK: &str = "work";

/// What goes through a shuffle: where rows are, not the rows.
pub(crate) fn moved_columns() -> SchemaRef {
    let bundles = Field::new(BUNDLES, DataType::Binary, false);
    Arc::new(Schema::new(vec![bundles, Field::new(ROUTE, DataType::UInt32, false)]))
}

/// The columns of the work.
pub(crate) fn work_columns() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new(WORK, DataType::Binary, false)]))
}

/// As bytes for another process of the same build.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(value).map_err(|e| Error::bug("encode a message of the cluster").because(e))
}

/// `Corrupt` if these bytes are something else.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => {
            let text = format!("{} bytes follow {what}", rest.len());
            Err(Error::new(ErrorKind::Corrupt, text))
        }
        Err(e) => Err(Error::new(ErrorKind::Corrupt, format!("{what} does not decode")).because(e)),
    }
}

/// Where a fragment's own work begins: nodes at which `is_given`, and exchanges. Each once, in a fixed order.
pub(crate) struct Leaves {
    pub(crate) exchanges: Vec<Node>,
}

impl Leaves {
    /// Of the whole fragment that ends at `root`.
    pub(crate) fn of(root: &Node, is_given: &dyn Fn(&Node) -> bool) -> Self {
        let mut leaves = Self { exchanges: Vec::new() };
        leaves.visit(root, is_given);
        leaves
    }

    fn visit(&mut self, node: &Node, is_given: &dyn Fn(&Node) -> bool) {
        match node.op() {
            _ if is_given(node) => {}
            Op::Exchange(..) => {
                let known = self.exchanges.iter().any(|other| Arc::ptr_eq(other, node));
                if !known {
                    self.exchanges.push(node.clone());
                }
            }
            // Its inputs' exchanges were run before; see `action`.
            Op::Concat(_) => {}
            _ => node.inputs().into_iter().for_each(|input| self.visit(input, is_given)),
        }
    }
}

/// The given nodes that one partition of a fragment reads, with the partition that each is read at.
pub(crate) fn given_of(
    node: &Node,
    partition: u32,
    is_given: &dyn Fn(&Node) -> bool,
    found: &mut Vec<(Node, u32)>,
) -> Result<()> {
    match node.op() {
        _ if is_given(node) => {
            if !found.iter().any(|(other, _)| Arc::ptr_eq(other, node)) {
                found.push((node.clone(), partition));
            }
            Ok(())
        }
        Op::Exchange(..) => Ok(()),
        Op::Concat(inputs) => {
            let (input, within) = concat_input(inputs, partition)?;
            given_of(input, within, is_given, found)
        }
        _ => node.inputs().into_iter().try_for_each(|input| given_of(input, partition, is_given, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_survives_its_encoding_and_nothing_else_is_taken_for_it() {
        let segment = Segment { file: "sessions/s/1".into(), rows: 3..9 };
        let work = Work { partition: 4, held: vec![(0, vec![segment]), (2, vec![])] };
        let bytes = encode(&work).unwrap();
        assert_eq!(decode::<Work>("work", &bytes).unwrap(), work);
        for end in 0..bytes.len() {
            assert_eq!(decode::<Work>("work", &bytes[..end]).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(decode::<Work>("work", &longer).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
