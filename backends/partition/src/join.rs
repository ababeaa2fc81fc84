//! Joins: a merge of two partitions in the order of (hash, key), each key once on either side.
//!
//! The merge runs over hashes alone and without branches, because which side is ahead cannot be predicted; pairs of equal
//! hash are compared by key afterwards, and only where a pair differs (two keys with one hash) is the stretch merged again
//! by (hash, key).

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt8Array, UInt32Array, new_null_array};
use arrow_select::interleave::interleave;
use arrow_select::take::take;
use tributary_core::error::Result;
use tributary_core::layout::Keys;
use tributary_core::plan::JoinKind;
use tributary_core::schema::TableSchema;

use crate::batches::{BATCH_ROWS, Batches, Feed, wide_batch};
use crate::cancel::Cancel;
use crate::order::{in_order, not_in_order};

pub struct Join {
    kind: JoinKind,
    schema: TableSchema,
    left: Side,
    right: Side,
    cancel: Cancel,
}

/// A stretch of one side: rows `at..` are still to be merged.
struct Side {
    input: Feed,
    batch: Option<RecordBatch>,
    hashes: Vec<u64>,
    at: usize,
    last_hash: u64,
}

impl Side {
    fn new(input: Batches) -> Self {
        Self { input: Feed::new(input), batch: None, hashes: Vec::new(), at: 0, last_hash: 0 }
    }

    /// Makes sure that there are rows to merge; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        if self.at < self.hashes.len() {
            return Ok(true);
        }
        self.batch = None;
        let Some(batch) = self.input.pull(BATCH_ROWS)? else {
            self.hashes.clear();
            self.at = 0;
            return Ok(false);
        };
        self.take(batch)?;
        Ok(true)
    }

    fn take(&mut self, batch: RecordBatch) -> Result<()> {
        let keys = Keys::of(batch.column(0))?;
        let hashes = keys.hashes();
        let follows = hashes.first().is_none_or(|first| *first >= self.last_hash);
        if !follows || !in_order(&keys, &hashes, true) {
            return Err(not_in_order());
        }
        self.last_hash = hashes.last().copied().unwrap_or(self.last_hash);
        (self.hashes, self.at, self.batch) = (hashes, 0, Some(batch));
        Ok(())
    }

    /// The rows still to be merged, none left behind.
    fn rest(&mut self) -> Option<RecordBatch> {
        let batch = self.batch.take()?;
        let rest = batch.slice(self.at, batch.num_rows() - self.at);
        self.at = self.hashes.len();
        Some(rest)
    }
}

/// Rows of two stretches that have the same key, and how far both are done.
#[derive(Default)]
struct Matched {
    left: Vec<u32>,
    right: Vec<u32>,
    left_done: usize,
    right_done: usize,
}

impl Join {
    pub fn new(kind: JoinKind, schema: &TableSchema, left: Batches, right: Batches, cancel: Cancel) -> Self {
        Self { kind, schema: schema.clone(), left: Side::new(left), right: Side::new(right), cancel }
    }

    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            self.cancel.check()?;
            let batch = match (self.left.fill()?, self.right.fill()?) {
                (true, true) => self.merge()?,
                (true, false) => match self.kind {
                    JoinKind::Inner | JoinKind::Semi => return Ok(None),
                    JoinKind::Anti => self.left.rest(),
                    JoinKind::Full => self.one_sided(1)?,
                },
                (false, true) if self.kind == JoinKind::Full => self.one_sided(2)?,
                (false, _) => return Ok(None),
            };
            if let Some(batch) = batch.filter(|batch| batch.num_rows() > 0) {
                return Ok(Some(batch));
            }
        }
    }

    fn merge(&mut self) -> Result<Option<RecordBatch>> {
        let (Some(left), Some(right)) = (&self.left.batch, &self.right.batch) else { return Ok(None) };
        let left = left.slice(self.left.at, self.left.hashes.len() - self.left.at);
        let right = right.slice(self.right.at, self.right.hashes.len() - self.right.at);
        let (left_hashes, right_hashes) =
            (&self.left.hashes[self.left.at..], &self.right.hashes[self.right.at..]);
        let (left_keys, right_keys) = (Keys::of(left.column(0))?, Keys::of(right.column(0))?);
        let mut matched = merge_hashes(left_hashes, right_hashes);
        if !same_keys(&left_keys, &right_keys, &matched) {
            matched = merge_keys(left_hashes, right_hashes, &left_keys, &right_keys);
        }
        let Matched { left_done, right_done, .. } = matched;
        let batch = match self.kind {
            JoinKind::Inner => {
                let mut columns = take_all(left.columns(), matched.left)?;
                let rows = matched.right.len();
                columns.extend(take_all(&right.columns()[1..], matched.right)?);
                wide_batch(&self.schema, columns, rows)?
            }
            JoinKind::Semi => self.chosen(&left, matched.left)?,
            JoinKind::Anti => self.chosen(&left, others(&matched.left, left_done))?,
            JoinKind::Full => {
                let (left, right) = (left.slice(0, left_done), right.slice(0, right_done));
                let order = full_order(&matched, left_hashes, right_hashes, &left_keys, &right_keys);
                self.full(&left, &right, order)?
            }
        };
        self.left.at += left_done;
        self.right.at += right_done;
        Ok(Some(batch))
    }

    fn chosen(&self, left: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch> {
        let count = rows.len();
        wide_batch(&self.schema, take_all(left.columns(), rows)?, count)
    }

    /// Rows of a full join when the other side has ended.
    fn one_sided(&mut self, presence: u8) -> Result<Option<RecordBatch>> {
        let side = if presence == 1 { &mut self.left } else { &mut self.right };
        let Some(rows) = side.rest() else { return Ok(None) };
        let count = rows.num_rows();
        let own = rows.columns()[1..].iter().cloned();
        let width = rows.num_columns() - 1;
        let fields = self.schema.arrow().fields();
        let missing = |fields: &[arrow_schema::FieldRef]| {
            fields.iter().map(|f| new_null_array(f.data_type(), count)).collect::<Vec<_>>()
        };
        let mut columns = vec![rows.column(0).clone()];
        if presence == 1 {
            columns.extend(own);
            columns.extend(missing(&fields[1 + width..fields.len() - 1]));
        } else {
            columns.extend(missing(&fields[1..fields.len() - 1 - width]));
            columns.extend(own);
        }
        columns.push(Arc::new(UInt8Array::from(vec![presence; count])));
        wide_batch(&self.schema, columns, count).map(Some)
    }

    fn full(&self, left: &RecordBatch, right: &RecordBatch, order: FullOrder) -> Result<RecordBatch> {
        let FullOrder { left: from_left, right: from_right } = order;
        let rows = from_left.len();
        let places: Vec<(usize, usize)> = from_left
            .iter()
            .zip(&from_right)
            .map(|places| match places {
                (Some(row), _) => (0, *row as usize),
                (None, row) => (1, row.unwrap_or_default() as usize),
            })
            .collect();
        let presence = from_left.iter().zip(&from_right);
        let presence = presence.map(|(l, r)| u8::from(l.is_some()) + 2 * u8::from(r.is_some()));
        let presence: ArrayRef = Arc::new(UInt8Array::from_iter_values(presence));
        let mut columns = vec![interleave(&[left.column(0), right.column(0)], &places)?];
        for (side, rows) in [(left, UInt32Array::from(from_left)), (right, UInt32Array::from(from_right))] {
            for column in &side.columns()[1..] {
                columns.push(take(column, &rows, None)?);
            }
        }
        columns.push(presence);
        wide_batch(&self.schema, columns, rows)
    }
}

impl Iterator for Join {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// Merges by hash alone.
fn merge_hashes(left: &[u64], right: &[u64]) -> Matched {
    let most = left.len().min(right.len()) + 1;
    let (mut pairs_left, mut pairs_right) = (vec![0u32; most], vec![0u32; most]);
    let (mut i, mut j, mut found) = (0, 0, 0);
    while i < left.len() && j < right.len() {
        let (a, b) = (left[i], right[j]);
        pairs_left[found] = i as u32;
        pairs_right[found] = j as u32;
        found += usize::from(a == b);
        i += usize::from(a <= b);
        j += usize::from(b <= a);
    }
    pairs_left.truncate(found);
    pairs_right.truncate(found);
    Matched { left: pairs_left, right: pairs_right, left_done: i, right_done: j }
}

fn same_keys(left: &Keys<'_>, right: &Keys<'_>, matched: &Matched) -> bool {
    let mut pairs = matched.left.iter().zip(&matched.right);
    match (left, right) {
        (Keys::UInt64(a), Keys::UInt64(b)) => pairs.all(|(i, j)| a[*i as usize] == b[*j as usize]),
        _ => pairs.all(|(i, j)| left.compare(*i as usize, right, *j as usize).is_eq()),
    }
}

/// Merges by (hash, key).
fn merge_keys(left: &[u64], right: &[u64], left_keys: &Keys<'_>, right_keys: &Keys<'_>) -> Matched {
    let mut matched = Matched::default();
    let (mut i, mut j) = (0, 0);
    while i < left.len() && j < right.len() {
        let order = left[i].cmp(&right[j]).then_with(|| left_keys.compare(i, right_keys, j));
        if order == Ordering::Equal {
            matched.left.push(i as u32);
            matched.right.push(j as u32);
        }
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    Matched { left_done: i, right_done: j, ..matched }
}

/// The rows before `end` that are not among `rows`, which rise.
fn others(rows: &[u32], end: usize) -> Vec<u32> {
    let mut rows = rows.iter().copied().peekable();
    (0..end as u32).filter(|row| rows.next_if_eq(row).is_none()).collect()
}

/// Rows of both sides in the order of keys; one that both have stands in both at the same place.
#[derive(Default)]
struct FullOrder {
    left: Vec<Option<u32>>,
    right: Vec<Option<u32>>,
}

fn full_order(
    matched: &Matched,
    left: &[u64],
    right: &[u64],
    left_keys: &Keys<'_>,
    right_keys: &Keys<'_>,
) -> FullOrder {
    let mut order = FullOrder::default();
    let (mut i, mut j) = (0, 0);
    let ends = (matched.left_done as u32, matched.right_done as u32);
    for (left_match, right_match) in
        matched.left.iter().copied().zip(matched.right.iter().copied()).chain([ends])
    {
        while i < left_match || j < right_match {
            let left_first = i < left_match
                && (j >= right_match || {
                    let (i, j) = (i as usize, j as usize);
                    left[i].cmp(&right[j]).then_with(|| left_keys.compare(i, right_keys, j)).is_lt()
                });
            order.left.push(left_first.then_some(i));
            order.right.push((!left_first).then_some(j));
            i += u32::from(left_first);
            j += u32::from(!left_first);
        }
        if (left_match, right_match) != ends {
            order.left.push(Some(i));
            order.right.push(Some(j));
            i += 1;
            j += 1;
        }
    }
    order
}

/// These rows of each column, which rise. Rows that follow each other are not copied.
fn take_all(columns: &[ArrayRef], rows: Vec<u32>) -> Result<Vec<ArrayRef>> {
    let (first, last) = (rows.first().copied().unwrap_or(0), rows.last().copied().unwrap_or(0));
    if rows.is_empty() || (last - first) as usize + 1 == rows.len() {
        return Ok(columns.iter().map(|column| column.slice(first as usize, rows.len())).collect());
    }
    let rows = UInt32Array::from(rows);
    Ok(columns.iter().map(|column| take(column, &rows, None)).collect::<std::result::Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use arrow_array::UInt64Array;

    use super::*;

    /// Real keys of equal xxh3 hash are out of reach, so hashes are made up here: key / 10.
    fn hashes(keys: &[u64]) -> Vec<u64> {
        keys.iter().map(|key| key / 10).collect()
    }

    fn pairs(left: &[u64], right: &[u64]) -> (Vec<(u64, u64)>, bool) {
        let (lh, rh) = (hashes(left), hashes(right));
        let columns: [ArrayRef; 2] =
            [Arc::new(UInt64Array::from(left.to_vec())), Arc::new(UInt64Array::from(right.to_vec()))];
        let (lk, rk) = (Keys::of(&columns[0]).unwrap(), Keys::of(&columns[1]).unwrap());
        let quick = same_keys(&lk, &rk, &merge_hashes(&lh, &rh));
        let exact = merge_keys(&lh, &rh, &lk, &rk);
        let pairs = exact.left.iter().zip(&exact.right).map(|(i, j)| (left[*i as usize], right[*j as usize]));
        (pairs.collect(), quick)
    }

    #[test]
    fn two_keys_with_one_hash_are_told_apart() {
        assert_eq!(pairs(&[10, 20, 30], &[20, 30, 40]), (vec![(20, 20), (30, 30)], true));
        assert_eq!(pairs(&[10, 21, 23, 30], &[22, 23, 30]), (vec![(23, 23), (30, 30)], false));
        assert_eq!(pairs(&[11], &[12]), (vec![], false));
    }

    #[test]
    fn a_full_order_interleaves_what_only_one_side_has() {
        let (left, right) = ([10, 21, 23, 30], [5, 21, 22, 30]);
        let (lh, rh) = (hashes(&left), hashes(&right));
        let columns: [ArrayRef; 2] =
            [Arc::new(UInt64Array::from(left.to_vec())), Arc::new(UInt64Array::from(right.to_vec()))];
        let (lk, rk) = (Keys::of(&columns[0]).unwrap(), Keys::of(&columns[1]).unwrap());
        let matched = merge_keys(&lh, &rh, &lk, &rk);
        let order = full_order(&matched, &lh, &rh, &lk, &rk);
        let got: Vec<(Option<u64>, Option<u64>)> = order
            .left
            .iter()
            .zip(&order.right)
            .map(|(l, r)| (l.map(|l| left[l as usize]), r.map(|r| right[r as usize])))
            .collect();
        assert_eq!(
            got,
            [
                (None, Some(5)),
                (Some(10), None),
                (Some(21), Some(21)),
                (None, Some(22)),
                (Some(23), None),
                (Some(30), Some(30))
            ]
        );
    }

    #[test]
    fn rows_that_are_not_among_others() {
        assert_eq!(others(&[1, 3], 5), [0, 2, 4]);
        assert_eq!(others(&[], 2), [0, 1]);
        assert_eq!(others(&[0, 1], 2), [0; 0]);
    }
}
