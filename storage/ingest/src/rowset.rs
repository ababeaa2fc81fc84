//! Rows that are left out of the table: one bit for each row of the files, so that memory stays small for any number of
//! them.

/// A set of row numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RowSet {
    /// Grows with the greatest row number; no memory while the set is empty.
    words: Vec<u64>,
    len: u64,
}

impl RowSet {
    /// Adds a row.
    pub fn insert(&mut self, row: u64) {
        let (word, bit) = ((row / 64) as usize, 1 << (row % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.len += u64::from(self.words[word] & bit == 0);
        self.words[word] |= bit;
    }

    /// Adds the rows of another set.
    pub fn add(&mut self, other: &Self) {
        let mut next = other.next(0);
        while let Some(row) = next {
            self.insert(row);
            next = other.next(row + 1);
        }
    }

    /// The number of rows.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a row is in it.
    #[inline]
    pub fn contains(&self, row: u64) -> bool {
        self.words.get((row / 64) as usize).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// The first row of the set from a row on.
    pub fn next(&self, from: u64) -> Option<u64> {
        let mut at = (from / 64) as usize;
        let mut word = *self.words.get(at)? & (u64::MAX << (from % 64));
        while word == 0 {
            at += 1;
            word = *self.words.get(at)?;
        }
        Some(at as u64 * 64 + u64::from(word.trailing_zeros()))
    }

    /// The row with number `kept` among those that are not in the set.
    pub fn row_of(&self, mut kept: u64) -> u64 {
        for (i, word) in self.words.iter().enumerate() {
            let stay = u64::from(word.count_zeros());
            if kept >= stay {
                kept -= stay;
                continue;
            }
            let mut rows = (0..64).filter(|bit| word >> bit & 1 == 0);
            return i as u64 * 64 + rows.nth(kept as usize).unwrap_or(63);
        }
        self.words.len() as u64 * 64 + kept
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_set_knows_its_rows_and_the_others(rows in proptest::collection::btree_set(0u64..400, 0..200)) {
            let mut set = RowSet::default();
            for row in rows.iter().chain(&rows) {
                set.insert(*row);
            }
            prop_assert_eq!(set.len(), rows.len() as u64);
            let mut sum = RowSet::default();
            sum.insert(500);
            sum.add(&set);
            prop_assert_eq!((sum.len(), sum.contains(500)), (set.len() + 1, true));
            prop_assert!(rows.iter().all(|row| sum.contains(*row)));
            prop_assert_eq!(set.is_empty(), rows.is_empty());
            let others: Vec<u64> = (0..600).filter(|row| !rows.contains(row)).collect();
            for (i, row) in others.iter().enumerate() {
                prop_assert!(!set.contains(*row));
                prop_assert_eq!(set.row_of(i as u64), *row);
            }
            for from in 0..401 {
                prop_assert_eq!(set.next(from), rows.range(from..).next().copied());
            }
        }
    }
}
