//! Rows that are in their order already, cut into other partitions: nothing moves.

use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use tributary_core::error::{Error, Result};
use tributary_core::layout::{Keys, RowRanges, partition_of};

use crate::batches::Held;
use crate::memory::Hold;
use crate::order::not_in_order;
use crate::piece::Piece;
use crate::scope::Scope;
use crate::shelf::Shelf;

/// The rows in their order, as many in each partition as the ranges say. `InvalidInput` if there are more or fewer.
pub fn at_rows(scope: &Scope<'_>, source: Held, ranges: &RowRanges) -> Result<Held> {
    let (rows, wanted) = (source.rows(), ranges.all().end - ranges.all().start);
    if rows != wanted {
        return Err(Error::invalid(format!("{rows} rows for a layout of {wanted}")));
    }
    let (parts, hold) = source.into_parts();
    let first = ranges.all().start;
    let mut rest = parts.into_iter().flatten().peekable();
    let mut taken = 0;
    let mut parts = Vec::with_capacity(ranges.partitions() as usize);
    for partition in 0..ranges.partitions() {
        let end = ranges.range(partition).end - first;
        let mut part = Vec::new();
        while taken < end
            && let Some(piece) = rest.peek_mut()
        {
            let now = (piece.rows() as u64).min(end - taken) as usize;
            part.push(piece.slice(0, now));
            *piece = piece.slice(now, piece.rows() - now);
            taken += now as u64;
            rest.next_if(|piece| piece.rows() == 0);
        }
        parts.push(part);
    }
    held(scope, parts, hold)
}

/// Rows in the order of keys, cut where partitions of another number begin.
pub(crate) fn at_hashes(
    scope: &Scope<'_>,
    source: Vec<Vec<Piece>>,
    partitions: u32,
    hold: Hold,
) -> Result<Held> {
    let mut parts = vec![Vec::new(); partitions as usize];
    let mut reached = 0;
    for piece in source.into_iter().flatten() {
        scope.cancel.check()?;
        let batch = piece.load()?;
        let keys = Keys::of(batch.column(0))?;
        let partition = |row: usize| partition_of(keys.hash(row), partitions);
        let mut start = 0;
        while start < keys.len() {
            let now = partition(start);
            if now < reached {
                return Err(not_in_order());
            }
            reached = now;
            let end = first_beyond(start..keys.len(), |row| partition(row) > now);
            parts[now as usize].push(piece.slice(start, end - start));
            start = end;
        }
    }
    held(scope, parts, hold)
}

/// Rows that were cut, and may take a few bytes more than before, or were not counted because they are counted for another holder.
fn held(scope: &Scope<'_>, parts: Vec<Vec<Piece>>, mut hold: Hold) -> Result<Held> {
    match hold.cover(parts.iter().flatten().map(Piece::bytes_here).sum()) {
        Ok(()) => return Ok(Held::new(parts, hold)),
        Err(error) if !scope.memory.spills() => return Err(error),
        Err(_) => {}
    }
    drop(hold);
    let (shelf, mut hold) = (Shelf::new(*scope), scope.memory.hold());
    let mut put_part = |part: Vec<Piece>| {
        let mut pieces = Vec::with_capacity(part.len());
        for piece in part {
            match piece {
                Piece::Here(batch) => shelf.put(batch, &mut pieces, &mut hold)?,
                away => pieces.push(away),
            }
        }
        Ok(pieces)
    };
    let parts = parts.into_iter().map(&mut put_part).collect::<Result<Vec<_>>>()?;
    Ok(Held::new(parts, hold))
}

pub(super) fn refuse_equal_neighbours(scope: &Scope<'_>, source: &Held) -> Result<()> {
    for partition in 0..source.partitions() {
        let mut last: Option<ArrayRef> = None;
        let mut first_row = 0;
        for piece in source.part(partition) {
            scope.cancel.check()?;
            let batch = piece.load()?;
            let keys = Keys::of(batch.column(0))?;
            let before = last.as_ref().map(Keys::of).transpose()?;
            let across = before.is_some_and(|before| before.compare(0, &keys, 0).is_eq());
            let within = (1..keys.len()).find(|row| keys.compare(row - 1, &keys, *row).is_eq());
            if let Some(row) = if across { Some(0) } else { within } {
                let row = first_row + row;
                return Err(Error::invalid(format!(
                    "a key occurs twice, in partition {partition}, rows {} and {row}; combine the rows of each key \
                     first",
                    row - 1
                )));
            }
            first_row += keys.len();
            last = Some(batch.column(0).slice(keys.len() - 1, 1));
        }
    }
    Ok(())
}

/// The first row of a range that is beyond; the range's end if none is. Rows beyond come after all others.
fn first_beyond(rows: Range<usize>, beyond: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (rows.start, rows.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if beyond(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}
