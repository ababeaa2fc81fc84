//! Exchanges: rows in memory move to another layout.
//!
//! Four ways, by what is known of the rows: cut in order (`Loose`), sorted by key (`Keyed`), cut where the hash crosses into
//! the next partition (`Keyed` from `Keyed`: the order depends on neither number, so nothing moves), and put where their
//! number says (`Rows`).

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::{Array, ArrayRef, RecordBatch};
use rayon::prelude::*;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::layout::{Keys, Layout, RowRanges, partition_of};
use tributary_core::plan::EqualKeys;
use tributary_core::schema::TableSchema;

use crate::batches::{BATCH_ROWS, Held};
use crate::cancel::Cancel;
use crate::memory::{Hold, Memory};
use crate::sort::{self, Spread};
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

impl Exchange<'_> {
    pub fn run(&self, source: Held, known: Known, to: &Layout, equal: EqualKeys) -> Result<Held> {
        match to {
            Layout::Loose(n) => {
                let ranges = RowRanges::even(source.counts().sum(), *n);
                self.cut(source, &ranges)
            }
            Layout::Keyed(n) if known == Known::Unordered => {
                let (view, _hold) = Sources::of(self.schema, source)?;
                sort::by_key(self, &view.borrow(), *n, equal, Spread::Everywhere)
            }
            Layout::Keyed(n) => {
                if known == Known::Grouped && equal == EqualKeys::Refuse {
                    self.refuse_equal_neighbours(&source)?;
                }
                let (parts, hold) = source.into_parts();
                self.cut_at_hashes(parts, *n, hold)
            }
            Layout::Rows(ranges) => {
                let (view, _hold) = Sources::of(self.schema, source)?;
                self.by_number(&view.borrow(), ranges)
            }
        }
    }

    /// One partition of rows that came from elsewhere, in source order: `partition` of `to`, which is `Keyed` or `Rows`.
    pub fn settle(&self, received: &Sources, partition: u32, to: &Layout, equal: EqualKeys) -> Result<Held> {
        match to {
            Layout::Keyed(n) => sort::by_key(self, &received.borrow(), *n, equal, Spread::OnePartition),
            Layout::Rows(ranges) => {
                let range = ranges.range(partition);
                self.by_number(&received.borrow(), &RowRanges::new(vec![range.start, range.end])?)
            }
            Layout::Loose(_) => Err(Error::bug("rows of a loose exchange are cut, not moved")),
        }
    }

    /// The rows in their order, as many in each partition as the ranges say. `InvalidInput` if there are more or fewer.
    pub fn cut(&self, source: Held, ranges: &RowRanges) -> Result<Held> {
        let (parts, hold) = source.into_parts();
        let all: Vec<RecordBatch> = parts.into_iter().flatten().collect();
        let rows: u64 = all.iter().map(|batch| batch.num_rows() as u64).sum();
        let (first, wanted) = (ranges.all().start, ranges.all().end - ranges.all().start);
        if rows != wanted {
            return Err(Error::invalid(format!("{rows} rows for a layout of {wanted}")));
        }
        let mut rest = all.into_iter().peekable();
        let mut taken = 0;
        let mut parts = Vec::with_capacity(ranges.partitions() as usize);
        for partition in 0..ranges.partitions() {
            let end = ranges.range(partition).end - first;
            let mut part = Vec::new();
            while taken < end
                && let Some(batch) = rest.peek_mut()
            {
                let now = (batch.num_rows() as u64).min(end - taken) as usize;
                part.push(batch.slice(0, now));
                *batch = batch.slice(now, batch.num_rows() - now);
                taken += now as u64;
                rest.next_if(|batch| batch.num_rows() == 0);
            }
            parts.push(part);
        }
        Held::counted(parts, hold)
    }

    /// Rows in the order of keys, cut where partitions of another number begin.
    pub(crate) fn cut_at_hashes(
        &self,
        source: Vec<Vec<RecordBatch>>,
        partitions: u32,
        hold: Hold,
    ) -> Result<Held> {
        let mut parts = vec![Vec::new(); partitions as usize];
        let mut reached = 0;
        for batch in source.into_iter().flatten() {
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
                parts[now as usize].push(batch.slice(start, end - start));
                start = end;
            }
        }
        Held::counted(parts, hold)
    }

    fn refuse_equal_neighbours(&self, source: &Held) -> Result<()> {
        for (partition, part) in source.parts.iter().enumerate() {
            let mut last: Option<ArrayRef> = None;
            let mut first_row = 0;
            for batch in part {
                self.cancel.check()?;
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

    fn by_number(&self, view: &View<'_>, ranges: &RowRanges) -> Result<Held> {
        let all = ranges.all();
        let rows = all.end - all.start;
        if view.rows() != rows {
            return Err(Error::invalid(format!("{} rows for the {rows} row numbers {all:?}", view.rows())));
        }
        let mut slots_hold = self.memory.hold();
        slots_hold.grow(rows.saturating_mul(size_of::<AtomicU64>() as u64))?;
        let slots: Vec<AtomicU64> = (0..rows).map(|_| AtomicU64::new(EMPTY)).collect();
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
                Ok((partition, sort::gather(self, view, places)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut hold = self.memory.hold();
        let mut parts = vec![Vec::new(); ranges.partitions() as usize];
        for (partition, (batches, share)) in gathered {
            hold.join(share);
            parts[partition].extend(batches);
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
                let place = view.describe((batch, row));
                return Err(Error::invalid(format!("the row number in {place} is not within {all:?}")));
            }
            let slot = &slots[(number - all.start) as usize];
            let before = slot.swap(((batch as u64) << 32) | row as u64, Ordering::Relaxed);
            if before != EMPTY {
                return Err(Error::invalid(format!(
                    "a row number stands twice, in {} and in {}",
                    view.describe(place_of(before)),
                    view.describe((batch, row))
                )));
            }
        }
        Ok(())
    }
}

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
