//! Which bins of a host's column are told apart in a node.
//!
//! A host lets no sum of fewer rows go than its limits allow, neither of a node nor of its sibling, whose sums follow by subtraction. So
//! neighbouring bins are taken together until each group has enough rows on both sides, or none on one of them. Groups of a node are
//! unions of its parent's: otherwise the two together would tell more.
//!
//! A group ends as soon as it may, and bins without rows begin the next one. Among divisions that treat all rows alike, the
//! first is the best, so without limits this changes nothing but the number of sums.

use serde::{Deserialize, Serialize};

/// The groups of one column in one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// Bin after the last of each group, ascending; the last one is the number of bins, if there is any.
    pub ends: Vec<u16>,
    /// Whether missing values are on their own. If not, they are with the last group, or there are none.
    pub missing_apart: bool,
}

/// A group as the guest is told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How many groups of the parent it is made of; of the root, how many bins.
    pub of: u16,
    /// Its rows in the node.
    pub rows: u32,
}

/// A group that may take more.
#[derive(Default)]
struct Open {
    /// In the node, and in its sibling.
    rows: [u64; 2],
    of: u16,
    end: u16,
}

fn is_enough(rows: [u64; 2], least: u64) -> bool {
    rows.into_iter().all(|rows| rows == 0 || rows >= least)
}

impl Grouping {
    /// All bins on their own, as the root begins.
    pub fn of_bins(bins: u16) -> Self {
        Self { ends: (1..=bins).collect(), missing_apart: true }
    }

    /// Takes groups together until each has at least so many rows in the node and in its sibling, or none in one of them. `node`,
    /// `sibling`: rows by bin, those of missing values last. Gives how many groups each new one is made of, too.
    pub fn coarser(&self, node: &[u32], sibling: &[u32], least: u64) -> (Self, Vec<u16>) {
        let of_missing = [node, sibling].map(|rows| u64::from(rows.last().copied().unwrap_or(0)));
        let missing_apart = self.missing_apart && is_enough(of_missing, least);
        let (ends, of, enough) = self.joined(node, sibling, least, missing_apart);
        match missing_apart && !enough && of_missing != [0, 0] {
            false => (Self { ends, missing_apart }, of),
            // All other rows together are too few: nothing is told apart.
            true => {
                let (ends, of, _) = self.joined(node, sibling, least, false);
                (Self { ends, missing_apart: false }, of)
            }
        }
    }

    /// Ends of the new groups, how many old ones each is made of, and whether all of them have enough rows.
    fn joined(
        &self,
        node: &[u32],
        sibling: &[u32],
        least: u64,
        missing_apart: bool,
    ) -> (Vec<u16>, Vec<u16>, bool) {
        let bins = node.len().min(sibling.len()).saturating_sub(1);
        let mut begin = 0;
        let mut open = Open::default();
        let mut closed: Vec<Open> = Vec::new();
        for (at, end) in self.ends.iter().enumerate() {
            let range = begin..usize::from(*end).clamp(begin, bins.max(begin));
            begin = range.end;
            let with_missing = !missing_apart && at + 1 == self.ends.len();
            for (rows, of_bins) in open.rows.iter_mut().zip([node, sibling]) {
                let missing = of_bins.last().filter(|_| with_missing);
                let own = of_bins.get(range.clone()).unwrap_or_default().iter();
                *rows += own.chain(missing).map(|rows| u64::from(*rows)).sum::<u64>();
            }
            (open.of, open.end) = (open.of + 1, *end);
            if open.rows != [0, 0] && is_enough(open.rows, least) {
                closed.push(std::mem::take(&mut open));
            }
        }
        // What is left over goes to the last group, and with it to the one before, until there are enough.
        while open.of > 0
            && let Some(last) = closed.pop()
        {
            let rows = [last.rows[0] + open.rows[0], last.rows[1] + open.rows[1]];
            open = Open { rows, of: last.of + open.of, end: open.end };
            if is_enough(open.rows, least) {
                closed.push(std::mem::take(&mut open));
            }
        }
        let enough = open.of == 0;
        closed.extend((open.of > 0).then_some(open));
        (
            closed.iter().map(|group| group.end).collect(),
            closed.iter().map(|group| group.of).collect(),
            enough,
        )
    }

    /// Rows of each group, and of missing values on their own, by rows of bins.
    pub fn rows(&self, bins: &[u32]) -> (Vec<u32>, u32) {
        let missing = bins.last().copied().unwrap_or(0);
        let mut begin = 0;
        let mut rows: Vec<u32> = Vec::with_capacity(self.ends.len());
        for end in &self.ends {
            let end = usize::from(*end).min(bins.len().saturating_sub(1));
            rows.push(bins[begin..end].iter().sum());
            begin = end;
        }
        match (self.missing_apart, rows.last_mut()) {
            (true, _) => (rows, missing),
            (false, Some(last)) => {
                *last += missing;
                (rows, 0)
            }
            (false, None) => (rows, missing),
        }
    }

    /// The group of each bin, that of missing values last; the number of groups for missing values on their own.
    pub fn group_of_bins(&self, bins: u16) -> Vec<u32> {
        let group = |bin: u16| self.ends.partition_point(|end| *end <= bin) as u32;
        let missing = if self.missing_apart { self.ends.len() } else { self.ends.len().saturating_sub(1) };
        (0..bins).map(group).chain([missing as u32]).collect()
    }

    /// The last bin of a group.
    pub fn last_bin(&self, group: u32) -> Option<u16> {
        self.ends.get(group as usize).map(|end| end.saturating_sub(1))
    }

    /// The bins of some groups, ascending.
    pub fn bins_of(&self, groups: &[u32]) -> Vec<u16> {
        let begin = |group: u32| {
            group.checked_sub(1).and_then(|before| self.ends.get(before as usize)).copied().unwrap_or(0)
        };
        groups
            .iter()
            .filter_map(|group| Some(begin(*group)..*self.ends.get(*group as usize)?))
            .flatten()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_group_ends_as_soon_as_it_may() {
        let all = Grouping::of_bins(5);
        let (same, of) = all.coarser(&[1, 1, 1, 1, 1, 0], &[0; 6], 0);
        assert_eq!((same, of), (all.clone(), vec![1; 5]));
        let (groups, of) = all.coarser(&[1, 0, 0, 1, 0, 2], &[0; 6], 1);
        assert_eq!((groups.ends, of, groups.missing_apart), (vec![1, 5], vec![1, 4], true));
        let (groups, _) = all.coarser(&[3, 1, 3, 1, 1, 2], &[0; 6], 3);
        assert_eq!((groups.ends, groups.missing_apart), (vec![1, 3, 5], false));
        assert_eq!(
            Grouping::of_bins(0).coarser(&[4], &[0], 3),
            (Grouping { ends: vec![], missing_apart: true }, vec![])
        );
    }

    #[test]
    fn bins_of_groups_are_found_again() {
        let groups = Grouping { ends: vec![2, 3, 6], missing_apart: false };
        assert_eq!(groups.group_of_bins(6), [0, 0, 1, 2, 2, 2, 2]);
        assert_eq!(groups.bins_of(&[0, 2]), [0, 1, 3, 4, 5]);
        assert_eq!(groups.rows(&[1, 2, 3, 4, 5, 6, 7]), (vec![3, 3, 22], 0));
        assert_eq!(groups.last_bin(1), Some(2));
        assert_eq!(groups.last_bin(3), None);
    }

    proptest! {
        /// Enough rows or none behind every group, in the node and in its sibling, through two levels; and no row is lost.
        #[test]
        fn no_group_has_too_few_rows(
            rows in prop::collection::vec((0u32..6, 0u32..6, 0u32..6), 2..40),
            least in 0u64..9,
        ) {
            let [a, b, c] = [0, 1, 2].map(|i| {
                rows.iter().map(|(a, b, c)| [*a, *b, *c][i]).collect::<Vec<u32>>()
            });
            let root: Vec<u32> = rows.iter().map(|(a, b, c)| a + b + c).collect();
            let right: Vec<u32> = b.iter().zip(&c).map(|(b, c)| b + c).collect();
            let bins = rows.len() as u16 - 1;
            let none = vec![0; rows.len()];
            let (top, _) = Grouping::of_bins(bins).coarser(&root, &none, least);
            let (one, _) = top.coarser(&a, &right, least);
            let (two, of) = one.coarser(&b, &c, least);
            prop_assert_eq!(of.iter().map(|of| usize::from(*of)).sum::<usize>(), one.ends.len());
            for (groups, sides) in [(&top, vec![&root]), (&one, vec![&a, &right]), (&two, vec![&b, &c])] {
                for side in sides {
                    let (mut of_groups, missing) = groups.rows(side);
                    prop_assert_eq!(of_groups.iter().sum::<u32>() + missing, side.iter().sum::<u32>());
                    of_groups.extend(groups.missing_apart.then_some(missing));
                    let told_apart = of_groups.iter().filter(|rows| **rows > 0).count() > 1;
                    let few = |rows: &u32| *rows > 0 && u64::from(*rows) < least;
                    // All rows of a node together are known anyway.
                    prop_assert!(!told_apart || !of_groups.iter().any(few), "{:?}", of_groups);
                }
            }
        }
    }
}
