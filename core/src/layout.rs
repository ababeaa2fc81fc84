//! Where rows are: the three layouts, the hash of a key, and the order of keys.
//!
//! The hash and the partition function are ours and fixed for ever (they are in stored tables): xxh3-64 with seed 0 of the
//! key's bytes, integers as 8 bytes little-endian, and partition ⌊hash·n/2⁶⁴⌋. Because partitions are ranges of the hash, a
//! table's order by (hash, key) does not depend on the number of partitions, nor on the engine.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{Array, ArrayRef, BinaryArray, StringArray};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};

/// How a table's rows are spread and ordered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Layout {
    /// As written: n partitions, any key anywhere. Partitions in order give the rows in their written order.
    Loose(u32),
    /// Partition [`partition_of`] the key's hash, sorted by (hash, key), keys unique.
    Keyed(u32),
    /// Partition i holds the rows numbered from `starts[i]` up to `starts[i + 1]`.
    Rows(RowRanges),
}

impl Layout {
    /// Most partitions of a table.
    pub const MAX_PARTITIONS: u32 = 65_536;

    /// Number of partitions.
    pub fn partitions(&self) -> u32 {
        match self {
            Self::Loose(n) | Self::Keyed(n) => *n,
            Self::Rows(ranges) => ranges.partitions(),
        }
    }

    /// `InvalidInput` unless there are between 1 and [`Layout::MAX_PARTITIONS`] partitions.
    pub fn check(&self) -> Result<()> {
        let n = self.partitions();
        if n == 0 || n > Self::MAX_PARTITIONS {
            return Err(Error::invalid(format!(
                "{n} partitions, expected between 1 and {}",
                Self::MAX_PARTITIONS
            )));
        }
        Ok(())
    }

    /// `InvalidInput` when a partition of a `Rows` layout does not have exactly its rows.
    pub fn check_rows(&self, partition: u32, rows: u64) -> Result<()> {
        let Self::Rows(ranges) = self else { return Ok(()) };
        let range = ranges.range(partition);
        let expected = range.end - range.start;
        if rows != expected {
            return Err(Error::invalid(format!(
                "partition {partition} has {rows} rows, expected {expected} (rows {} to {})",
                range.start, range.end
            )));
        }
        Ok(())
    }
}

/// Consecutive ranges of row numbers, one a partition. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct RowRanges(Arc<[u64]>);

impl RowRanges {
    /// From the n + 1 boundaries; `InvalidInput` when there are fewer than two or they fall.
    pub fn new(starts: Vec<u64>) -> Result<Self> {
        if starts.len() < 2 || starts.windows(2).any(|w| w[0] > w[1]) {
            return Err(Error::invalid(format!(
                "{} row boundaries, expected at least 2 that never fall",
                starts.len()
            )));
        }
        Ok(Self(starts.into()))
    }

    /// `rows` rows from 0, cut into n ranges whose lengths differ by one at most.
    pub fn even(rows: u64, partitions: u32) -> Self {
        let n = u64::from(partitions.max(1));
        Self((0..=n).map(|i| (u128::from(rows) * u128::from(i) / u128::from(n)) as u64).collect())
    }

    /// From the number of rows of each partition, from row 0.
    pub fn from_counts(counts: impl IntoIterator<Item = u64>) -> Self {
        let mut total = 0u64;
        let mut starts = vec![0];
        for count in counts {
            total = total.saturating_add(count);
            starts.push(total);
        }
        if starts.len() == 1 {
            starts.push(0);
        }
        Self(starts.into())
    }

    /// Number of ranges.
    pub fn partitions(&self) -> u32 {
        (self.0.len() - 1) as u32
    }

    /// The rows of partition i.
    pub fn range(&self, partition: u32) -> std::ops::Range<u64> {
        self.0[partition as usize]..self.0[partition as usize + 1]
    }

    /// All rows.
    pub fn all(&self) -> std::ops::Range<u64> {
        self.0[0]..self.0[self.0.len() - 1]
    }

    /// The boundaries, partitions + 1 of them.
    pub fn starts(&self) -> &[u64] {
        &self.0
    }

    /// The partition of a row, if it is in any.
    pub fn partition_of(&self, row: u64) -> Option<u32> {
        if !self.all().contains(&row) {
            return None;
        }
        Some((self.0.partition_point(|start| *start <= row) - 1) as u32)
    }

    /// The part of each range within `rows`, in the same number of partitions.
    #[must_use]
    pub fn slice(&self, rows: &std::ops::Range<u64>) -> Self {
        let end = rows.end.max(rows.start);
        Self(self.0.iter().map(|start| (*start).clamp(rows.start, end)).collect())
    }
}

impl TryFrom<Vec<u64>> for RowRanges {
    type Error = Error;
    fn try_from(starts: Vec<u64>) -> Result<Self> {
        Self::new(starts)
    }
}

impl From<RowRanges> for Vec<u64> {
    fn from(ranges: RowRanges) -> Self {
        ranges.0.to_vec()
    }
}

/// Hash of an integer key.
#[inline]
pub fn hash_u64(key: u64) -> u64 {
    xxh3_64(&key.to_le_bytes())
}

/// Hash of a text or byte key.
#[inline]
pub fn hash_bytes(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// ⌊hash·n/2⁶⁴⌋.
#[inline]
pub fn partition_of(hash: u64, partitions: u32) -> u32 {
    ((u128::from(hash) * u128::from(partitions)) >> 64) as u32
}

/// A key column, ready to be hashed and compared.
#[derive(Debug, Clone, Copy)]
pub enum Keys<'a> {
    /// Numbers.
    UInt64(&'a [u64]),
    /// Text.
    Utf8(&'a StringArray),
    /// Bytes.
    Binary(&'a BinaryArray),
}

impl<'a> Keys<'a> {
    /// A view of a key column; `InvalidInput` for another type, or nulls.
    pub fn of(column: &'a ArrayRef) -> Result<Self> {
        if column.null_count() > 0 {
            return Err(Error::invalid("the key column has nulls; drop those rows or give them keys"));
        }
        match column.data_type() {
            DataType::UInt64 => Ok(Self::UInt64(column.as_primitive::<UInt64Type>().values())),
            DataType::Utf8 => Ok(Self::Utf8(column.as_string())),
            DataType::Binary => Ok(Self::Binary(column.as_binary())),
            other => Err(Error::invalid(format!(
                "the key column has type {other}, expected Utf8, Binary or UInt64"
            ))),
        }
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        match self {
            Self::UInt64(keys) => keys.len(),
            Self::Utf8(keys) => keys.len(),
            Self::Binary(keys) => keys.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Hash of key i.
    #[inline]
    pub fn hash(&self, i: usize) -> u64 {
        match self {
            Self::UInt64(keys) => hash_u64(keys[i]),
            Self::Utf8(keys) => hash_bytes(keys.value(i).as_bytes()),
            Self::Binary(keys) => hash_bytes(keys.value(i)),
        }
    }

    /// All hashes, in row order.
    pub fn hashes(&self) -> Vec<u64> {
        match self {
            Self::UInt64(keys) => keys.iter().map(|k| hash_u64(*k)).collect(),
            _ => (0..self.len()).map(|i| self.hash(i)).collect(),
        }
    }

    /// Key i against key j of another column of the same type, by value: the order of equal hashes.
    #[inline]
    pub fn compare(&self, i: usize, other: &Keys<'_>, j: usize) -> Ordering {
        match (self, other) {
            (Self::UInt64(a), Keys::UInt64(b)) => a[i].cmp(&b[j]),
            _ => self.bytes(i).cmp(other.bytes(j)),
        }
    }

    fn bytes(&self, i: usize) -> &'a [u8] {
        match self {
            Self::UInt64(_) => &[],
            Self::Utf8(keys) => keys.value(i).as_bytes(),
            Self::Binary(keys) => keys.value(i),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored tables rely on these numbers: if this fails, the change is wrong, not the test. The values are xxh3-64
    /// with seed 0, checked against the reference implementation's published vector for the empty input.
    #[test]
    fn the_hash_is_fixed_for_ever() {
        assert_eq!(hash_bytes(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash_u64(7), xxh3_64(&[7, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(partition_of(0, 7), 0);
        assert_eq!(partition_of(u64::MAX, 7), 6);
        assert_eq!(partition_of(1 << 63, 2), 1);
    }

    #[test]
    fn rows_are_cut_evenly_and_found_again() {
        let ranges = RowRanges::even(10, 3);
        assert_eq!(ranges.starts(), [0, 3, 6, 10]);
        for row in 0..10 {
            let p = ranges.partition_of(row).unwrap();
            assert!(ranges.range(p).contains(&row));
        }
        assert_eq!(ranges.partition_of(10), None);
        assert_eq!(ranges.slice(&(2..7)).starts(), [2, 3, 6, 7]);
        assert_eq!(RowRanges::from_counts([0, 0, 5, 0]).partition_of(0), Some(2));
    }

    #[test]
    fn falling_boundaries_are_refused() {
        assert!(RowRanges::new(vec![0, 5, 4]).is_err());
        assert!(RowRanges::new(vec![0]).is_err());
        let bytes = postcard::to_stdvec(&vec![3u64, 1]).unwrap();
        assert!(postcard::from_bytes::<RowRanges>(&bytes).is_err());
    }
}
