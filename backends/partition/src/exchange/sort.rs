//! Rows by key: scattered into ranges of the hash, sorted there, and moved once.
//!
//! What is sorted are 16-byte entries (hash, batch, row), as integers: that order is (hash, source order), and only keys
//! of equal hash still have to be compared. Ranges are small enough for the processor's cache, and partitions are made of
//! whole ranges because ⌊⌊hash·n·s/2⁶⁴⌋/s⌋ = ⌊hash·n/2⁶⁴⌋; so partitions need not be equal for all cores to be busy.

use std::cmp::Ordering;
use std::ops::Range;

use arrow_array::RecordBatch;
use rayon::prelude::*;
use tributary_core::error::{Error, Result};
use tributary_core::layout::{Keys, hash_u64, partition_of};
use tributary_core::plan::EqualKeys;

use super::cut;
use crate::batches::Held;
use crate::memory::Hold;
use crate::piece::Piece;
use crate::scope::Scope;
use crate::shelf::Shelf;
use crate::view::View;

/// Rows that are sorted at once, about.
const RANGE_ROWS: u64 = 8192;
/// Most ranges: more of them than this are written to at random, which costs more than sorting longer ones.
const MAX_RANGES: u32 = 4096;
/// Rows whose hashes are computed between two looks at the cancel flag.
const STRETCH_ROWS: usize = 65_536;

/// What of a session's memory one row of a sort takes, beside the row.
pub(crate) const ENTRY_BYTES: u64 = (size_of::<u128>() + size_of::<u64>()) as u64;

pub(crate) fn entry(hash: u64, batch: usize, row: usize) -> u128 {
    (u128::from(hash) << 64) | ((batch as u128) << 32) | row as u128
}

pub(crate) fn hash_of(entry: u128) -> u64 {
    (entry >> 64) as u64
}

pub(crate) fn place_of(entry: u128) -> (usize, usize) {
    ((entry >> 32) as u32 as usize, entry as u32 as usize)
}

/// Entries of consecutive rows, by range; in source order within each.
struct Scattered {
    entries: Vec<u128>,
    starts: Vec<usize>,
    /// First and last hash, if hashes rise from row to row.
    rising: Option<(u64, u64)>,
}

impl Scattered {
    fn range(&self, range: usize) -> &[u128] {
        &self.entries[self.starts[range]..self.starts[range + 1]]
    }
}

/// A batch, and some of its rows.
type Stretch = (usize, Range<usize>);

/// Where rows will be found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// In all partitions, about equally.
    Everywhere,
    /// In one of them.
    OnePartition,
}

/// What rows are sorted by: a number of 64 bits that is spread about evenly, then the key, then the order of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The key's hash.
    Hash,
    /// The key, one of so many row numbers, stretched over all of the 64 bits so that it is spread like a hash.
    Number { first: u64, rows: u64 },
}

impl Order {
    pub(crate) fn append(&self, keys: &Keys<'_>, rows: Range<usize>, values: &mut Vec<u64>) {
        match (self, keys) {
            (Self::Number { first, rows: all }, Keys::UInt64(keys)) => {
                // At least 1, so that two numbers stay two; a single one needs no stretching.
                let step = u64::MAX / (*all).max(1);
                values.extend(keys[rows].iter().map(|key| key.wrapping_sub(*first).wrapping_mul(step)));
            }
            (_, Keys::UInt64(keys)) => values.extend(keys[rows].iter().map(|key| hash_u64(*key))),
            (_, keys) => values.extend(rows.map(|row| keys.hash(row))),
        }
    }

    /// The error for a key in two places.
    pub(crate) fn twice(&self, places: &[String; 2]) -> Error {
        let [one, other] = places;
        Error::invalid(match self {
            Self::Hash => format!(
                "a key occurs twice, in {one} and in {other}; make keys unique first, or combine the rows of each key"
            ),
            Self::Number { .. } => format!("a row number occurs twice, in {one} and in {other}"),
        })
    }
}

/// What a sort is to give.
#[derive(Debug, Clone, Copy)]
pub(crate) struct By {
    pub(crate) order: Order,
    pub(crate) equal: EqualKeys,
    pub(crate) partitions: u32,
}

/// The rows, sorted. The caller has room for the entries; `hold` is that of the source.
pub(crate) fn sorted(
    scope: &Scope<'_>,
    view: &View<'_>,
    by: By,
    spread: Spread,
    shelf: &Shelf<'_>,
    hold: Hold,
) -> Result<Held> {
    let keys = view.keys()?;
    let partitions = by.partitions;
    let each = match spread {
        Spread::Everywhere => ranges_each(view.rows(), partitions),
        Spread::OnePartition => ranges_each(view.rows().saturating_mul(u64::from(partitions)), partitions),
    };
    let stretches = stretches(view.batches());
    let groups = (rayon::current_num_threads() * 4).min(1 + stretches.len());
    let groups = stretches.chunks(stretches.len().div_ceil(groups).max(1)).collect::<Vec<_>>();
    let scattered = groups
        .par_iter()
        .with_max_len(1)
        .map(|stretches| scatter(scope, by.order, &keys, stretches, partitions * each))
        .collect::<Result<Vec<_>>>()?;
    if all_rising(&scattered) && shelf.takes_memory() {
        drop(scattered);
        let source = view.batches().iter().cloned().map(Piece::Here).collect();
        return cut::at_hashes(scope, vec![source], partitions, hold);
    }
    let sorted = (0..(partitions * each) as usize)
        .into_par_iter()
        .with_max_len(1)
        .map(|range| {
            scope.cancel.check()?;
            let mut order = sorted_range(&scattered, range, partitions * each);
            settle_equals(view, &keys, &mut order, by)?;
            gather(scope, view, order.iter().map(|entry| place_of(*entry)), shelf)
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(assemble(scope, sorted, partitions, each))
}

/// Ranges of the hash in each partition.
fn ranges_each(rows: u64, partitions: u32) -> u32 {
    let wanted = rows / (RANGE_ROWS * u64::from(partitions));
    (wanted as u32).clamp(1, (MAX_RANGES / partitions).max(1))
}

fn stretches(batches: &[RecordBatch]) -> Vec<Stretch> {
    let cut = |(batch, rows): (usize, usize)| {
        let starts = (0..rows).step_by(STRETCH_ROWS);
        starts.map(move |start| (batch, start..rows.min(start + STRETCH_ROWS)))
    };
    batches.iter().map(RecordBatch::num_rows).enumerate().flat_map(cut).collect()
}

fn scatter(
    scope: &Scope<'_>,
    order: Order,
    keys: &[Keys<'_>],
    stretches: &[Stretch],
    ranges: u32,
) -> Result<Scattered> {
    let rows: usize = stretches.iter().map(|(_, rows)| rows.len()).sum();
    let mut hashes = Vec::with_capacity(rows);
    let mut starts = vec![0usize; ranges as usize + 1];
    for (batch, rows) in stretches {
        scope.cancel.check()?;
        order.append(&keys[*batch], rows.clone(), &mut hashes);
    }
    let rising = hashes.windows(2).fold(true, |so_far, pair| so_far & (pair[0] < pair[1]));
    for hash in &hashes {
        starts[partition_of(*hash, ranges) as usize + 1] += 1;
    }
    for range in 0..ranges as usize {
        starts[range + 1] += starts[range];
    }
    let mut next = starts.clone();
    let mut entries = vec![0u128; rows];
    let mut hash = hashes.iter();
    for (batch, rows) in stretches {
        scope.cancel.check()?;
        for (row, hash) in rows.clone().zip(&mut hash) {
            let slot = &mut next[partition_of(*hash, ranges) as usize];
            entries[*slot] = entry(*hash, *batch, row);
            *slot += 1;
        }
    }
    let ends = hashes.first().copied().zip(hashes.last().copied());
    Ok(Scattered { entries, starts, rising: ends.filter(|_| rising) })
}

/// The entries of one range in order. Hashes are spread evenly within a range, so that each entry is nearly at its place
/// once it is in one of as many parts of the range as there are entries; where keys repeat, a part may hold many.
fn sorted_range(scattered: &[Scattered], range: usize, ranges: u32) -> Vec<u128> {
    let runs = || scattered.iter().map(|group| group.range(range));
    let rows: usize = runs().map(<[_]>::len).sum();
    let bits = rows.max(2).ilog2();
    // The fraction of hash * ranges / 2^64 is where in the range the hash is.
    let part = |entry: u128| (hash_of(entry).wrapping_mul(u64::from(ranges)) >> (64 - bits)) as usize;
    let mut ends = vec![0u32; (1 << bits) + 1];
    runs().flatten().for_each(|entry| ends[part(*entry) + 1] += 1);
    for part in 0..1 << bits {
        ends[part + 1] += ends[part];
    }
    let mut order = vec![0u128; rows];
    for entry in runs().flatten() {
        let slot = &mut ends[part(*entry)];
        order[*slot as usize] = *entry;
        *slot += 1;
    }
    let mut start = 0;
    for end in &ends[..1 << bits] {
        let end = *end as usize;
        if end - start > 1 {
            order[start..end].sort_unstable();
        }
        start = end;
    }
    order
}

/// Rows that come from a keyed table of another engine or party are often in order already.
fn all_rising(scattered: &[Scattered]) -> bool {
    let mut last = None;
    scattered.iter().all(|group| match group.rising {
        Some((first, end)) => last.replace(end).is_none_or(|before| before < first),
        None => false,
    })
}

/// Orders rows of equal hash by key; sorting is stable, so that rows of one key stay in source order.
pub(crate) fn settle_equals(view: &View<'_>, keys: &[Keys<'_>], order: &mut [u128], by: By) -> Result<()> {
    let compare = |a: &u128, b: &u128| -> Ordering {
        let ((batch_a, row_a), (batch_b, row_b)) = (place_of(*a), place_of(*b));
        keys[batch_a].compare(row_a, &keys[batch_b], row_b)
    };
    if order.windows(2).fold(true, |so_far, pair| so_far & (hash_of(pair[0]) != hash_of(pair[1]))) {
        return Ok(());
    }
    for run in order.chunk_by_mut(|a, b| hash_of(*a) == hash_of(*b)).filter(|run| run.len() > 1) {
        run.sort_by(compare);
        if by.equal == EqualKeys::Refuse
            && let Some(pair) = run.windows(2).find(|pair| compare(&pair[0], &pair[1]).is_eq())
        {
            return Err(by.order.twice(&[pair[0], pair[1]].map(|entry| view.describe(place_of(entry)))));
        }
    }
    Ok(())
}

/// Copies rows to where they belong.
pub(crate) fn gather(
    scope: &Scope<'_>,
    view: &View<'_>,
    order: impl ExactSizeIterator<Item = (usize, usize)>,
    shelf: &Shelf<'_>,
) -> Result<(Vec<Piece>, Hold)> {
    let mut hold = scope.memory.hold();
    let mut gathered = Vec::new();
    let mut order = order.peekable();
    while order.peek().is_some() {
        scope.cancel.check()?;
        let places = order.by_ref().take(shelf.batch_rows()).collect::<Vec<_>>();
        shelf.put(view.interleave(scope.schema, &places)?, &mut gathered, &mut hold)?;
    }
    Ok((gathered, hold))
}

fn assemble(scope: &Scope<'_>, sorted: Vec<(Vec<Piece>, Hold)>, partitions: u32, each: u32) -> Held {
    let mut hold = scope.memory.hold();
    let mut parts = vec![Vec::new(); partitions as usize];
    for (range, (pieces, share)) in sorted.into_iter().enumerate() {
        hold.join(share);
        parts[range / each as usize].extend(pieces);
    }
    Held::new(parts, hold)
}
