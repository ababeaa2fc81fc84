//! Exchanges: rows that a session holds move to another layout.
//!
//! Four ways, by what is known of the rows: cut in order (`Loose`), sorted by key (`Keyed`), cut where the hash crosses into
//! the next partition (`Keyed` from `Keyed`: the order depends on neither number, so nothing moves), and put where their
//! number says (`Rows`). Rows that memory has no room for are sorted on disk instead (`spilled`).

pub mod cut;
mod sort;
mod number;
mod merge;
mod spilled;

use tributary_core::error::{Error, Result};
use tributary_core::layout::{Layout, RowRanges};
use tributary_core::plan::EqualKeys;

use self::number::{SLOT_BYTES, by_number};
use self::sort::{By, ENTRY_BYTES, Order, Spread};
use crate::batches::Held;
use crate::memory::Hold;
use crate::scope::Scope;
use crate::shelf::Shelf;
use crate::view::Addressed;

/// What is known of the rows before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    Unordered,
    /// `Keyed`, no key twice.
    Unique,
    /// `Keyed`, equal keys next to each other.
    Grouped,
}

/// All rows of a session's table, moved to another layout.
pub fn run(scope: &Scope<'_>, source: Held, known: Known, to: &Layout, equal: EqualKeys) -> Result<Held> {
    match to {
        Layout::Loose(n) => {
            let ranges = RowRanges::even(source.rows(), *n);
            cut::at_rows(scope, source, &ranges)
        }
        Layout::Keyed(n) if known == Known::Unordered => sort_by_key(scope, source, *n, equal),
        Layout::Keyed(n) => {
            if known == Known::Grouped && equal == EqualKeys::Refuse {
                cut::refuse_equal_neighbours(scope, &source)?;
            }
            let (parts, hold) = source.into_parts();
            cut::at_hashes(scope, parts, *n, hold)
        }
        Layout::Rows(ranges) => sort_by_number(scope, source, ranges),
    }
}

fn sort_by_key(scope: &Scope<'_>, source: Held, partitions: u32, equal: EqualKeys) -> Result<Held> {
    let by = By { order: Order::Hash, equal, partitions };
    let Some(_entries) = room_beside(scope, &source, ENTRY_BYTES)? else {
        return spilled::sort(scope, source, by);
    };
    let shelf = shelf_for(scope, &source);
    let (rows, hold) = Addressed::of(scope.schema, source)?;
    sort::sorted(scope, &rows.borrow(), by, Spread::Everywhere, &shelf, hold)
}

fn sort_by_number(scope: &Scope<'_>, source: Held, ranges: &RowRanges) -> Result<Held> {
    let all = ranges.all();
    let rows = all.end - all.start;
    if source.rows() != rows {
        return Err(Error::invalid(format!("{} rows for the {rows} row numbers {all:?}", source.rows())));
    }
    let Some(_slots) = room_beside(scope, &source, SLOT_BYTES)? else {
        let order = Order::Number { first: all.start, rows };
        let by = By { order, equal: EqualKeys::Refuse, partitions: 1 };
        return cut::at_rows(scope, spilled::sort(scope, source, by)?, ranges);
    };
    let shelf = shelf_for(scope, &source);
    let (rows, _hold) = Addressed::of(scope.schema, source)?;
    by_number(scope, &rows.borrow(), ranges, &shelf)
}

fn shelf_for<'a>(scope: &Scope<'a>, rows: &Held) -> Shelf<'a> {
    let shelf = Shelf::new(*scope);
    if scope.memory.spills() { shelf.of_rows(rows.row_bytes()) } else { shelf }
}

/// Room for so many bytes beside each row; none if these rows are to be sorted on disk.
fn room_beside(scope: &Scope<'_>, source: &Held, row_bytes: u64) -> Result<Option<Hold>> {
    let mut room = scope.memory.hold();
    let granted = room.grow(source.rows().saturating_mul(row_bytes));
    if !scope.memory.spills() {
        return granted.map(|()| Some(room));
    }
    let fits = granted.is_ok() && source.is_here() && source.rows() <= u64::from(u32::MAX);
    Ok(fits.then_some(room))
}

/// One partition of rows that came from elsewhere, in source order: `partition` of `to`, which is `Keyed` or `Rows`.
pub fn settle(
    scope: &Scope<'_>,
    received: &Addressed,
    partition: u32,
    to: &Layout,
    equal: EqualKeys,
) -> Result<Held> {
    let mut room = scope.memory.hold();
    let shelf = Shelf::new(*scope);
    let view = received.borrow();
    match to {
        Layout::Keyed(n) => {
            room.grow(view.rows().saturating_mul(ENTRY_BYTES))?;
            let by = By { order: Order::Hash, equal, partitions: *n };
            sort::sorted(scope, &view, by, Spread::OnePartition, &shelf, scope.memory.hold())
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
            by_number(scope, &view, &RowRanges::new(vec![range.start, range.end])?, &shelf)
        }
        Layout::Loose(_) => Err(Error::bug("rows of a loose exchange are cut, not moved")),
    }
}
