//! A summary of numbers from which ranks can be read: values in ascending order, each with a count.
//!
//! While it holds every distinct value, it is exact. To make it smaller, neighbours are joined under the greater value:
//! numbers are *rounded up* to values of the data. So with C(x) the count of the summary up to x, T(x) that of the data,
//! and `error` the most that was ever passed upwards over one value,
//!
//! > C(x) ≤ T(x) ≤ C(x) + error for every x, and C = T at the greatest value.
//!
//! The number of rank r is the least x with T(x) ≥ r. So it is at most the least x with C(x) ≥ r, and at least the least x
//! with C(x) + error ≥ r, or the smallest value, which is never joined to another.
//!
//! Merging adds counts and errors; joining to groups of at most g adds g to the error. That is all there is to prove, and
//! the bound holds for every order of merging. Chosen over KLL (random, or without a stated bound) and over
//! Greenwald and Khanna's summary (not known to stay small when merged), at the price of a larger summary.

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    entries: Vec<(f64, u64)>,
    error: u64,
}

/// Between which values of the data a number of a certain rank lies, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Bracket {
    /// Not above the number.
    pub lo: f64,
    /// Not below the number, and of a rank within the summary's error.
    pub hi: f64,
}

impl Bracket {
    /// Whether only one value is possible.
    pub fn is_exact(&self) -> bool {
        self.lo == self.hi
    }
}

impl Summary {
    /// Of values with counts in any order, and the error they come with. Equal values become one. No value may be NaN.
    pub fn new(mut entries: Vec<(f64, u64)>, error: u64) -> Self {
        entries.sort_by(|a, b| a.0.total_cmp(&b.0)); // finds runs that are sorted already
        entries.dedup_by(|next, kept| {
            let equal = next.0 == kept.0;
            kept.1 = if equal { kept.1.saturating_add(next.1) } else { kept.1 };
            equal
        });
        Self { entries, error }
    }

    /// Of single values, sorted in passing.
    pub fn of(values: &mut [f64]) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let entries = values.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect();
        Self { entries, error: 0 }
    }

    /// Values with their counts, ascending.
    pub fn entries(&self) -> &[(f64, u64)] {
        &self.entries
    }

    /// See the module.
    pub fn error(&self) -> u64 {
        self.error
    }

    /// Number of data.
    pub fn count(&self) -> u64 {
        self.entries.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The summary of the data of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        if self.entries.is_empty() {
            return Self { error: self.error + other.error, ..other };
        }
        let mut merged = Vec::with_capacity(self.entries.len() + other.entries.len());
        let mut left = self.entries.into_iter().peekable();
        for (value, mut count) in other.entries {
            while let Some(entry) = left.next_if(|entry| entry.0 < value) {
                merged.push(entry);
            }
            if let Some(equal) = left.next_if(|entry| entry.0 == value) {
                count += equal.1;
            }
            merged.push((value, count));
        }
        merged.extend(left);
        Self { entries: merged, error: self.error + other.error }
    }

    /// Joins neighbours, the smallest value aside, until there are at most `entries` and one. Adds ⌈count / `entries`⌉ to
    /// the error.
    #[must_use]
    pub fn compress(mut self, entries: usize) -> Self {
        let most = self.count().div_ceil(entries.max(1) as u64); // that may be passed over one value
        let last = self.entries.len().saturating_sub(1);
        let (mut passed, mut index) = (0, 0);
        self.entries.retain_mut(|(_, count)| {
            *count += passed;
            let joins_next = *count <= most && index > 0 && index < last;
            passed = if joins_next { *count } else { 0 };
            index += 1;
            !joins_next
        });
        self.error += most;
        self
    }

    /// Where the numbers of rank ⌈k·n/parts⌉ are, k from 1 to `parts`: none of an empty summary.
    pub fn brackets(&self, parts: u32) -> Vec<Bracket> {
        let Some((greatest, _)) = self.entries.last() else { return Vec::new() };
        let n = self.count();
        let rank = |k: u32| (u128::from(k) * u128::from(n)).div_ceil(u128::from(parts)) as u64;
        let mut brackets = Vec::with_capacity(parts as usize);
        let (mut lo, mut hi) = (Cursor::new(&self.entries), Cursor::new(&self.entries));
        for k in 1..parts {
            let rank = rank(k);
            brackets.push(Bracket {
                lo: lo.first_reaching(rank.saturating_sub(self.error)),
                hi: hi.first_reaching(rank),
            });
        }
        // At the greatest value the counts agree, so its rank is exact.
        brackets.push(Bracket { lo: *greatest, hi: *greatest });
        brackets
    }
}

/// Walks up the entries, adding up counts.
struct Cursor<'a> {
    rest: std::iter::Copied<std::slice::Iter<'a, (f64, u64)>>,
    value: f64,
    sum: u64,
}

impl<'a> Cursor<'a> {
    fn new(entries: &'a [(f64, u64)]) -> Self {
        let mut rest = entries.iter().copied();
        let (value, sum) = rest.next().unwrap_or_default();
        Self { rest, value, sum }
    }

    /// The first value whose sum is at least `rank`. Ranks never fall from call to call.
    fn first_reaching(&mut self, rank: u64) -> f64 {
        while self.sum < rank {
            let Some((value, count)) = self.rest.next() else { break };
            self.value = value;
            self.sum += count;
        }
        self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Few distinct values, so that ties occur.
    fn values() -> impl Strategy<Value = Vec<f64>> {
        prop::collection::vec((-30i32..30).prop_map(|v| f64::from(v) / 4.0), 0..200)
    }

    fn up_to(entries: &[(f64, u64)], x: f64) -> u64 {
        entries.iter().filter(|(v, _)| *v <= x).map(|(_, count)| count).sum()
    }

    fn check(summary: &Summary, data: &[f64]) -> Result<(), TestCaseError> {
        prop_assert!(summary.entries.windows(2).all(|w| w[0].0 < w[1].0));
        prop_assert_eq!(summary.count(), data.len() as u64);
        for x in data {
            let truth = data.iter().filter(|v| *v <= x).count() as u64;
            let counted = up_to(&summary.entries, *x);
            prop_assert!(counted <= truth && truth <= counted + summary.error);
        }
        let mut sorted = data.to_vec();
        sorted.sort_by(f64::total_cmp);
        for parts in [2, 3, 10] {
            let brackets = summary.brackets(parts);
            prop_assert_eq!(brackets.len(), if data.is_empty() { 0 } else { parts as usize });
            for (k, bracket) in (1..).zip(brackets) {
                let rank = (k * data.len()).div_ceil(parts as usize);
                let truth = sorted[rank - 1];
                prop_assert!(bracket.lo <= truth && truth <= bracket.hi);
                prop_assert!(summary.error > 0 || bracket.is_exact());
                let below = sorted.partition_point(|v| *v < bracket.hi) as u64;
                prop_assert!(below < rank as u64 + summary.error, "hi is within the error of its rank");
            }
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn the_bound_holds_through_any_merging_and_compressing(
            parts in prop::collection::vec((values(), 1usize..20), 1..6),
            last in 1usize..20,
        ) {
            let mut merged = Summary::default();
            let mut data = Vec::new();
            for (mut part, entries) in parts {
                data.extend_from_slice(&part);
                let before = Summary::of(&mut part);
                check(&before, &part)?;
                let after = before.compress(entries);
                prop_assert!(after.entries.len() <= entries + 1);
                prop_assert!(after.error <= part.len().div_ceil(entries) as u64);
                merged = merged.merge(after);
                check(&merged, &data)?;
            }
            check(&merged.compress(last), &data)?;
        }

        #[test]
        fn without_compressing_the_order_of_merging_does_not_show(mut a in values(), mut b in values(), cut in 0usize..200) {
            let mut all = [a.clone(), b.clone()].concat();
            let (first, second) = (Summary::of(&mut a), Summary::of(&mut b));
            let merged = first.clone().merge(second.clone());
            prop_assert_eq!(&merged, &second.clone().merge(first.clone()));
            let entries = [second.entries(), first.entries()].concat();
            prop_assert_eq!(&merged, &Summary::new(entries, 0));
            let (left, right) = all.split_at_mut(cut.min(a.len() + b.len()));
            prop_assert_eq!(&merged, &Summary::of(left).merge(Summary::of(right)));
        }
    }
}
