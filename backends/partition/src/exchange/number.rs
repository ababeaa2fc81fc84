//! Rows by row number: each is put where its number says.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;
use tributary_core::error::{Error, Result};
use tributary_core::layout::{Keys, RowRanges};

use super::sort::{self, Order};
use crate::batches::{BATCH_ROWS, Held};
use crate::scope::Scope;
use crate::shelf::Shelf;
use crate::view::View;

/// As many rows as numbers.
pub(super) fn by_number(
    scope: &Scope<'_>,
    view: &View<'_>,
    ranges: &RowRanges,
    shelf: &Shelf<'_>,
) -> Result<Held> {
    let all = ranges.all();
    let slots: Vec<AtomicU64> = (all.clone()).map(|_| AtomicU64::new(EMPTY)).collect();
    let numbers = view.keys()?;
    numbers.par_iter().enumerate().with_max_len(1).try_for_each(|(batch, numbers)| {
        scope.cancel.check()?;
        fill_slots(view, batch, numbers, &all, &slots)
    })?;
    let chunks = chunks(ranges, all.start);
    let gathered = chunks
        .into_par_iter()
        .with_max_len(1)
        .map(|(partition, rows)| {
            let places = slots[rows].iter().map(|slot| place_in(slot.load(Ordering::Relaxed)));
            Ok((partition, sort::gather(scope, view, places, shelf)?))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut hold = scope.memory.hold();
    let mut parts = vec![Vec::new(); ranges.partitions() as usize];
    for (partition, (pieces, share)) in gathered {
        hold.join(share);
        parts[partition].extend(pieces);
    }
    Ok(Held::new(parts, hold))
}

/// As many rows as numbers, each in its own slot: then no slot stays empty.
fn fill_slots(
    view: &View<'_>,
    batch: usize,
    numbers: &Keys<'_>,
    all: &Range<u64>,
    slots: &[AtomicU64],
) -> Result<()> {
    let Keys::UInt64(numbers) = numbers else {
        return Err(Error::bug("an exchange to rows by keys that are not numbers"));
    };
    for (row, number) in numbers.iter().enumerate() {
        if !all.contains(number) {
            return Err(beyond(&view.describe((batch, row)), all));
        }
        let slot = &slots[(number - all.start) as usize];
        let before = slot.swap(((batch as u64) << 32) | row as u64, Ordering::Relaxed);
        if before != EMPTY {
            let places = [place_in(before), (batch, row)].map(|place| view.describe(place));
            return Err(Order::Number { first: all.start, rows: all.end - all.start }.twice(&places));
        }
    }
    Ok(())
}

/// The error for a number that no row may have.
pub(super) fn beyond(place: &str, all: &Range<u64>) -> Error {
    Error::invalid(format!("the row number in {place} is not within {all:?}"))
}

/// What of a session's memory a row number takes, beside the row.
pub(super) const SLOT_BYTES: u64 = size_of::<AtomicU64>() as u64;
const EMPTY: u64 = u64::MAX;

fn place_in(slot: u64) -> (usize, usize) {
    ((slot >> 32) as usize, slot as u32 as usize)
}

/// Pieces of the partitions that are gathered at once, counted from `first`.
fn chunks(ranges: &RowRanges, first: u64) -> Vec<(usize, Range<usize>)> {
    let mut chunks = Vec::new();
    for partition in 0..ranges.partitions() {
        let rows = ranges.range(partition);
        let (mut start, end) = ((rows.start - first) as usize, (rows.end - first) as usize);
        while start < end {
            let stop = end.min(start + BATCH_ROWS);
            chunks.push((partition as usize, start..stop));
            start = stop;
        }
    }
    chunks
}
