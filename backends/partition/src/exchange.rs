//! Exchanges: rows that a session holds move to another layout.
//!
//! Four ways, by what is known of the rows: cut in order (`Loose`), sorted by key (`Keyed`), cut where the hash crosses into
//! the next partition (`Keyed` from `Keyed`: the order depends on neither number, so nothing moves), and put where their
//! number says (`Rows`). Rows that memory has no room for are sorted on disk instead ([`crate::spilled`]).

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, ArrayRef};
use rayon::prelude::*;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::layout::{Keys, Layout, RowRanges, partition_of};
use tributary_core::plan::EqualKeys;
use tributary_core::schema::TableSchema;

use crate::batches::{BATCH_ROWS, Held};
use crate::cancel::Cancel;
use crate::memory::{Hold, Memory};
use crate::piece::Piece;
use crate::shelf::Shelf;
use crate::sort::{self, By, Order, Spread};
use crate::spilled;
use crate::view::{Sources, View};

/// What every exchange needs to know.
pub struct Exchange<'a> {
    pub schema: &'a TableSchema,
    pub cancel: &'a Cancel,
    pub memory: &'a Arc<Memory>,
}

/// What is known of the rows before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Unordered,
    /// `Keyed`, no key twice.
    Unique,
    /// `Keyed`, equal keys beside each other.
    Grouped,
}

/// What of a session's memory one row of a sort takes, beside the row.
pub(crate) const ENTRY_BYTES: u64 = (size_of::<u128>() + size_of::<u64>()) as u64;

impl Exchange<'_> {
    pub fn run(&self, source: Held, known: Known, to: &Layout, equal: EqualKeys) -> Result<Held> {
        match to {
            Layout::Loose(n) => {
                let ranges = RowRanges::even(source.rows(), *n);
                self.cut(source, &ranges)
            }
            Layout::Keyed(n) if known == Known::Unordered => self.sort_by_key(source, *n, equal),
            Layout::Keyed(n) => {
                if known == Known::Grouped && equal == EqualKeys::Refuse {
                    self.refuse_equal_neighbours(&source)?;
                }
                let (parts, hold) = source.into_parts();
                self.cut_at_hashes(parts, *n, hold)
            }
            Layout::Rows(ranges) => self.sort_by_number(source, ranges),
        }
    }

    fn sort_by_key(&self, source: Held, partitions: u32, equal: EqualKeys) -> Result<Held> {
        let by = By { order: Order::Hash, equal, partitions };
        let Some(_entries) = self.room_beside(&source, ENTRY_BYTES)? else {
            return spilled::sort(self, source, by);
        };
        let shelf = self.shelf_for(&source);
        let (sources, hold) = Sources::of(self.schema, source)?;
        sort::sorted(self, &sources.borrow(), by, Spread::Everywhere, &shelf, hold)
    }

    fn sort_by_number(&self, source: Held, ranges: &RowRanges) -> Result<Held> {
        let all = ranges.all();
        let rows = all.end - all.start;
        if source.rows() != rows {
            return Err(Error::invalid(format!("{} rows for the {rows} row numbers {all:?}", source.rows())));
        }
        let Some(_slots) = self.room_beside(&source, SLOT_BYTES)? else {
            let order = Order::Number { first: all.start, rows };
            let by = By { order, equal: EqualKeys::Refuse, partitions: 1 };
            return self.cut(spilled::sort(self, source, by)?, ranges);
        };
        let shelf = self.shelf_for(&source);
        let (sources, _hold) = Sources::of(self.schema, source)?;
        self.by_number(&sources.borrow(), ranges, &shelf)
    }

    fn shelf_for(&self, rows: &Held) -> Shelf<'_> {
        let shelf = Shelf::new(self.memory, self.schema, self.cancel);
        if self.memory.spills() { shelf.of_rows(rows.row_bytes()) } else { shelf }
    }

    /// Room for so many bytes beside each row; none if these rows are to be sorted on disk.
    fn room_beside(&self, source: &Held, row_bytes: u64) -> Result<Option<Hold>> {
        let mut room = self.memory.hold();
        let granted = room.grow(source.rows().saturating_mul(row_bytes));
        if !self.memory.spills() {
            return granted.map(|()| Some(room));
        }
        let fits = granted.is_ok() && source.is_here() && source.rows() <= u64::from(u32::MAX);
        Ok(fits.then_some(room))
    }

    /// One partition of rows that came from elsewhere, in source order: `partition` of `to`, which is `Keyed` or `Rows`.
    pub fn settle(&self, received: &Sources, partition: u32, to: &Layout, equal: EqualKeys) -> Result<Held> {
        let mut room = self.memory.hold();
        let shelf = Shelf::new(self.memory, self.schema, self.cancel);
        let view = received.borrow();
        match to {
            Layout::Keyed(n) => {
                room.grow(view.rows().saturating_mul(ENTRY_BYTES))?;
                let by = By { order: Order::Hash, equal, partitions: *n };
                sort::sorted(self, &view, by, Spread::OnePartition, &shelf, self.memory.hold())
            }
            Layout::Rows(ranges) => {
                let range = ranges.range(partition);
                let rows = range.end - range.start;
                if view.rows() != rows {
                    return Err(Error::invalid(format!(
                        "{} rows for the {rows} row numbers {range:?}",
                        view.rows()
                    )));
                }
                room.grow(rows.saturating_mul(SLOT_BYTES))?;
                self.by_number(&view, &RowRanges::new(vec![range.start, range.end])?, &shelf)
            }
            Layout::Loose(_) => Err(Error::bug("rows of a loose exchange are cut, not moved")),
        }
    }

    /// The rows in their order, as many in each partition as the ranges say. `InvalidInput` if there are more or fewer.
    pub fn cut(&self, source: Held, ranges: &RowRanges) -> Result<Held> {
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
        self.held(parts, hold)
    }

    /// Rows in the order of keys, cut where partitions of another number begin.
    pub(crate) fn cut_at_hashes(&self, source: Vec<Vec<Piece>>, partitions: u32, hold: Hold) -> Result<Held> {
        let mut parts = vec![Vec::new(); partitions as usize];
        let mut reached = 0;
        for piece in source.into_iter().flatten() {
            self.cancel.check()?;
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
        self.held(parts, hold)
    }

    /// Rows that were cut, and may take a few bytes more than before, or were not counted because somebody else holds them.
    fn held(&self, parts: Vec<Vec<Piece>>, mut hold: Hold) -> Result<Held> {
        match hold.cover(parts.iter().flatten().map(Piece::bytes_here).sum()) {
            Ok(()) => return Ok(Held::new(parts, hold)),
            Err(error) if !self.memory.spills() => return Err(error),
            Err(_) => {}
        }
        drop(hold);
        let (shelf, mut hold) = (Shelf::new(self.memory, self.schema, self.cancel), self.memory.hold());
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

    fn refuse_equal_neighbours(&self, source: &Held) -> Result<()> {
        for partition in 0..source.partitions() {
            let mut last: Option<ArrayRef> = None;
            let mut first_row = 0;
            for piece in source.part(partition) {
                self.cancel.check()?;
                let batch = piece.load()?;
                let keys = Keys::of(batch.column(0))?;
                let before = last.as_ref().map(Keys::of).transpose()?;
                let across = before.is_some_and(|before| before.compare(0, &keys, 0).is_eq());
                let within = (1..keys.len()).find(|row| keys.compare(row - 1, &keys, *row).is_eq());
                if let Some(row) = if across { Some(0) } else { within } {
                    let row = first_row + row;
                    return Err(Error::invalid(format!(
                        "a key stands twice, in partition {partition}, rows {} and {row}; combine the rows of each key \
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

    /// As many rows as numbers.
    fn by_number(&self, view: &View<'_>, ranges: &RowRanges, shelf: &Shelf<'_>) -> Result<Held> {
        let all = ranges.all();
        let slots: Vec<AtomicU64> = (all.clone()).map(|_| AtomicU64::new(EMPTY)).collect();
        let numbers = view.keys()?;
        numbers.par_iter().enumerate().with_max_len(1).try_for_each(|(batch, numbers)| {
            self.cancel.check()?;
            self.fill_slots(view, batch, numbers, &all, &slots)
        })?;
        let chunks = chunks(ranges, all.start);
        let gathered = chunks
            .into_par_iter()
            .with_max_len(1)
            .map(|(partition, rows)| {
                let places = slots[rows].iter().map(|slot| place_of(slot.load(Ordering::Relaxed)));
                Ok((partition, sort::gather(self, view, places, shelf)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut hold = self.memory.hold();
        let mut parts = vec![Vec::new(); ranges.partitions() as usize];
        for (partition, (pieces, share)) in gathered {
            hold.join(share);
            parts[partition].extend(pieces);
        }
        Ok(Held::new(parts, hold))
    }

    /// As many rows as numbers, each in its own slot: then no slot stays empty.
    fn fill_slots(
        &self,
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
                let places = [place_of(before), (batch, row)].map(|place| view.describe(place));
                return Err(Order::Number { first: all.start, rows: all.end - all.start }.twice(&places));
            }
        }
        Ok(())
    }
}

pub(crate) fn beyond(place: &str, all: &Range<u64>) -> Error {
    Error::invalid(format!("the row number in {place} is not within {all:?}"))
}

/// What of a session's memory a row number takes, beside the row.
const SLOT_BYTES: u64 = size_of::<AtomicU64>() as u64;
const EMPTY: u64 = u64::MAX;

fn place_of(slot: u64) -> (usize, usize) {
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

/// A table that says it is in the order of keys, and is not.
pub fn not_in_order() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "rows of a keyed table are not in the order of their keys, or a key stands twice; if it was loaded, verify it",
    )
}
