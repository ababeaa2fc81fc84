//! How long vectors are, and how many of their entries are noise: the parameters of the assumption.
//!
//! **400 noise positions, one in each of 400 equal blocks, whatever the length; rate one half.** For 128 bits:
//!
//! - *Linear tests* (the framework of eprint 2020/1417 and 2023/882): a test picks a codeword, and is fooled unless it
//!   meets noise. Where a fraction δ of its entries is not zero, its advantage is at most (1 − δ)^400, for noise that is
//!   uniform in a large field. 400 positions give 2^-128 for δ = 0.2. A code of rate one half over a field of this size
//!   reaches nearly δ = 0.5, and our own count for this code gives above 0.45 (decision 33); libOTe reckons with 0.2 for the
//!   same weight of its expander.
//! - *Information sets*: half of all positions without noise, the best choice being half of each block, are met with a
//!   chance of 2^-400.
//! - *Algebraic attacks on regular noise* (Briaud and Øygarden, eprint 2023/176) need fewer than 150 positions to be beyond
//!   128 bits at this rate.

use tributary_core::{Error, Result};
use zeroize::{Zeroize, Zeroizing};

use crate::trees::{TREES, Tree};

/// The least and the largest number of leaves of a tree.
const LEAVES: std::ops::RangeInclusive<usize> = 2..=1 << 24;

/// The length of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape(pub(crate) Tree);

impl Shape {
    /// The shortest that has at least so many entries. Errors: `InvalidInput` beyond 3 billion.
    pub fn for_length(entries: usize) -> Result<Self> {
        Self::of_leaves(entries.div_ceil(TREES / 2).max(*LEAVES.start()))
    }

    pub(crate) fn of_leaves(leaves: usize) -> Result<Self> {
        if !LEAVES.contains(&leaves) {
            return Err(Error::invalid(format!("trees of {leaves} leaves, expected {LEAVES:?}")));
        }
        Ok(Self(Tree::new(leaves)))
    }

    /// Entries of a vector.
    pub fn length(self) -> usize {
        self.0.leaves() * TREES / 2
    }

    /// Entries of the sparse vector that it is made of.
    pub(crate) fn noise_length(self) -> usize {
        self.0.leaves() * TREES
    }

    /// Oblivious transfers that its seeds take.
    pub(crate) fn transfers(self) -> usize {
        TREES * self.0.depth()
    }

    /// Entries of an earlier vector that it uses up.
    pub const NOISE: usize = TREES;
}

/// Entries of vectors that are kept for the noise of others. Each can be taken once; all are wiped.
pub struct Reserve<T: Zeroize> {
    entries: Zeroizing<Vec<T>>,
    taken: usize,
}

impl<T: Zeroize> Default for Reserve<T> {
    fn default() -> Self {
        Self { entries: Zeroizing::default(), taken: 0 }
    }
}

impl<T: Zeroize + Copy> Reserve<T> {
    /// More of them.
    pub fn add(&mut self, more: &[T]) {
        // A vector that grew would leave a copy behind.
        let mut entries = Zeroizing::new(Vec::with_capacity(self.len() + more.len()));
        entries.extend_from_slice(&self.entries[self.taken..]);
        entries.extend_from_slice(more);
        (self.entries, self.taken) = (entries, 0);
    }

    /// How many are left.
    pub fn len(&self) -> usize {
        self.entries.len() - self.taken
    }

    /// Whether none is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What one vector needs. `Bug` if there are too few: more should have been made.
    pub fn take(&mut self) -> Result<Zeroizing<Vec<T>>> {
        if self.len() < TREES {
            return Err(Error::bug(format!("{} entries are left for {TREES} noise positions", self.len())));
        }
        let first = self.taken;
        self.taken += TREES;
        Ok(Zeroizing::new(self.entries[first..self.taken].to_vec()))
    }
}
