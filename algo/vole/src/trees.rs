//! Trees of seeds: the one side knows all leaves, the other all but one, at a place that only it knows (Goldreich, Goldwasser
//! and Micali; punctured as in Boyle et al., CCS 2019, eprint 2019/1159, section 4).
//!
//! A node's two children are AES(x) ⊕ x under two public keys that no other tree has, so that a guess at a seed tests one
//! tree and not all of them. Leaves that are not needed are never made: level i has as many nodes as the wanted leaves
//! have ancestors.

use std::mem;

use zeroize::Zeroizing;

use crate::prg::{Blocks, Stream};

/// Trees grown together; how many entries of a sparse vector are not zero. Why so many: see [`crate::Shape`].
pub(crate) const TREES: usize = 400;

/// Parents whose children are made in one go.
const BATCH: usize = 64;

/// The size of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    leaves: usize,
}

/// What all nodes on one side of a level add up to: those that are left children, those that are right children.
pub(crate) type Sums = [u128; 2];

impl Tree {
    pub(crate) fn new(leaves: usize) -> Self {
        Self { leaves }
    }

    pub(crate) fn leaves(self) -> usize {
        self.leaves
    }

    /// Levels below the root.
    pub(crate) fn depth(self) -> usize {
        self.leaves.next_power_of_two().trailing_zeros() as usize
    }

    /// Nodes at a level; level 0 is the root.
    fn nodes(self, level: usize) -> usize {
        self.leaves.div_ceil(1 << (self.depth() - level))
    }

    /// On which side of its parent the ancestor of a leaf is, at a level.
    pub(crate) fn side(self, leaf: usize, level: usize) -> usize {
        leaf >> (self.depth() - level) & 1
    }

    /// All leaves of a root, and the sums of each level from the first.
    pub(crate) fn grow(self, keys: &Keys, root: u128, leaves: &mut [u128], sums: &mut Vec<Sums>) {
        let (mut parents, mut children) = self.room();
        parents[0] = root;
        for level in 1..=self.depth() {
            let (above, nodes) = (self.nodes(level - 1), self.nodes(level));
            keys.children(&parents[..above], &mut children[..nodes]);
            sums.push(sides(&children[..nodes]));
            mem::swap(&mut parents, &mut children);
        }
        leaves.copy_from_slice(&parents[..self.leaves]);
    }

    /// All leaves but the one at `hole`, which becomes zero. `known`: at each level from the first, the sum of the side on
    /// which the hole's ancestor is *not*.
    pub(crate) fn grow_punctured(self, keys: &Keys, hole: usize, known: &[u128], leaves: &mut [u128]) {
        let (mut parents, mut children) = self.room();
        for (level, sum) in (1..=self.depth()).zip(known) {
            let (above, nodes) = (self.nodes(level - 1), self.nodes(level));
            keys.children(&parents[..above], &mut children[..nodes]);
            let path = hole >> (self.depth() - level);
            children[path] = 0;
            // The path's sibling is what lacks to the sum of its side; at the edge of the tree there may be none.
            let sibling = path ^ 1;
            if sibling < nodes {
                children[sibling] = 0;
                children[sibling] = sum ^ sides(&children[..nodes])[sibling & 1];
            }
            mem::swap(&mut parents, &mut children);
        }
        leaves.copy_from_slice(&parents[..self.leaves]);
    }

    fn room(self) -> (Zeroizing<Vec<u128>>, Zeroizing<Vec<u128>>) {
        let room = || Zeroizing::new(vec![0; self.leaves]);
        (room(), room())
    }
}

fn sides(nodes: &[u128]) -> Sums {
    let (pairs, rest) = nodes.as_chunks::<2>();
    let first = [rest.first().copied().unwrap_or(0), 0];
    pairs.iter().fold(first, |sums, pair| [sums[0] ^ pair[0], sums[1] ^ pair[1]])
}

/// The two public keys of a tree.
pub(crate) struct Keys([Blocks; 2]);

impl Keys {
    /// Of the trees that grow under one public number, in order.
    pub(crate) fn all(public: u128) -> impl Iterator<Item = Self> {
        let mut stream = Stream::new(public);
        (0..TREES).map(move |_| {
            let mut keys = [0; 2];
            stream.fill(&mut keys);
            Self(keys.map(Blocks::new))
        })
    }

    /// Left and right child of each parent in turn, as many as there is room for.
    fn children(&self, parents: &[u128], children: &mut [u128]) {
        let mut sides = Zeroizing::new([[0; BATCH]; 2]);
        for (parents, children) in parents.chunks(BATCH).zip(children.chunks_mut(2 * BATCH)) {
            for (side, blocks) in sides.iter_mut().zip(&self.0) {
                let side = &mut side[..parents.len()];
                side.copy_from_slice(parents);
                blocks.compress(side);
            }
            for (place, child) in children.iter_mut().enumerate() {
                *child = sides[place & 1][place / 2];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_punctured_tree_has_all_leaves_but_one() {
        for leaves in [1, 2, 3, 4, 5, 7, 64, 100, 129, 300] {
            let (tree, keys) = (Tree::new(leaves), Keys::all(3).next().unwrap());
            let (mut all, mut sums) = (vec![0; leaves], Vec::new());
            tree.grow(&keys, 12345, &mut all, &mut sums);
            assert_eq!(sums.len(), tree.depth());
            assert_eq!(all.iter().collect::<std::collections::HashSet<_>>().len(), leaves);
            for hole in 0..leaves {
                let known: Vec<u128> =
                    (1..).zip(&sums).map(|(level, sums)| sums[1 - tree.side(hole, level)]).collect();
                let mut punctured = vec![0; leaves];
                tree.grow_punctured(&keys, hole, &known, &mut punctured);
                assert_eq!(punctured[hole], 0, "{leaves} leaves, hole {hole}");
                punctured[hole] = all[hole];
                assert!(punctured == all, "{leaves} leaves, hole {hole}");
            }
        }
    }

    #[test]
    fn trees_have_keys_of_their_own() {
        let child = |keys: &Keys| {
            let mut children = [0; 2];
            keys.children(&[1], &mut children);
            children
        };
        let mut seen: Vec<u128> = Keys::all(9).flat_map(|keys| child(&keys)).collect();
        assert_eq!(seen.len(), 2 * TREES);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 2 * TREES);
    }
}
