//! Sorting more rows than memory holds.
//!
//! As many rows as fit are sorted in memory, as any others are, and go to disk: a run. Runs are cut at the same places
//! into units, so that threads merge units next to each other. Each row carries its place in the source, for
//! messages only: the source itself, in memory or on disk, is gone when the last run is made.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use rayon::prelude::*;
use tributary_core::error::{Error, Result};
use tributary_core::layout::{Keys, partition_of};
use tributary_core::schema::{Field, TableSchema};

use super::merge::{Merge, Output};
use super::number::beyond;
use super::sort::{self, By, ENTRY_BYTES, Order, Spread};
use crate::batches::{Held, wide_batch};
use crate::memory::Hold;
use crate::piece::Piece;
use crate::scope::Scope;
use crate::shelf::Shelf;
use crate::view::{Addressed, Places, describe_place, place};

/// Units for each thread: they need not be equal for all cores to be busy.
const UNITS_EACH: usize = 4;
/// Less than this is not worth a read; but a second pass over all rows costs more than small reads.
const LEAST_PIECE_BYTES: u64 = 8 << 10;
const PLACE_BYTES: u64 = size_of::<u64>() as u64;

/// Rows of one unit, run by run.
type Runs = Vec<Vec<Piece>>;

/// The rows, sorted, in `by.partitions` partitions; row numbers all in the first.
pub(crate) fn sort(scope: &Scope<'_>, source: Held, by: By) -> Result<Held> {
    let row_bytes = source.row_bytes() + PLACE_BYTES;
    let wide = with_places(scope.schema)?;
    let inner = Scope { schema: &wide, ..*scope };
    let (runs, piece_bytes) = make_runs(&inner, source, by, row_bytes)?;
    // What the source took is free now, so that more can be merged at once.
    let each = merging_bytes(piece_bytes, row_bytes) * threads();
    let longest = runs.iter().map(Vec::len).max().unwrap_or_default() as u64;
    let work = scope.memory.workspace(each.saturating_mul(longest + BESIDE))?;
    let fan_in = usize::try_from(work.bytes() / each).unwrap_or(usize::MAX);
    let fan_in = fan_in.saturating_sub(BESIDE as usize).max(2);
    let merging = Merging { scope: &inner, by, fan_in, piece_bytes, row_bytes };
    let shelf = Shelf::new(*scope).of_rows(row_bytes);
    let merged = runs.into_par_iter().with_max_len(1).map(|runs| merging.unit(runs, &shelf));
    let merged = merged.collect::<Result<Vec<_>>>()?;
    let mut hold = scope.memory.hold();
    let mut parts = vec![Vec::new(); by.partitions as usize];
    for (partition, pieces, share) in merged.into_iter().flatten() {
        hold.join(share);
        parts[partition as usize].extend(pieces);
    }
    Ok(Held::new(parts, hold))
}

/// Pieces that a merge has in memory beside one of each run: what comes of it.
const BESIDE: u64 = 2;

/// What rows of so many bytes take while they are merged.
fn merging_bytes(bytes: u64, row_bytes: u64) -> u64 {
    bytes + bytes.div_ceil(row_bytes) * ENTRY_BYTES
}

fn threads() -> u64 {
    rayon::current_num_threads() as u64
}

/// The schema of runs: one column more, the row's [`place`] in the source.
fn with_places(schema: &TableSchema) -> Result<TableSchema> {
    let mut name = "place".to_string();
    while schema.field(&name).is_some() || schema.key().is_some_and(|key| key.name == name) {
        name.push('\'');
    }
    let mut fields = schema.fields().to_vec();
    fields.push(Field::new(name, DataType::UInt64));
    schema.with_fields(fields)
}

/// Rows to be sorted at once, and where they were.
struct Stretch {
    partition: u32,
    first_row: u64,
    piece: Piece,
}

/// Runs by unit, and how large their pieces are.
fn make_runs(scope: &Scope<'_>, source: Held, by: By, row_bytes: u64) -> Result<(Vec<Runs>, u64)> {
    let work = scope.memory.workspace(u64::MAX)?;
    let (parts, mut hold) = source.into_parts();
    // The rest is for what threads are about to write.
    let chunks = chunks(parts, work.bytes() / 4 * 3);
    let share = work.bytes() / threads();
    let least = LEAST_PIECE_BYTES.min(share / 4).max(1);
    // Of pieces of this size, one of each run and what comes of them fit in a thread's share.
    let piece_bytes =
        share / (chunks.len() as u64 + BESIDE) * row_bytes / merging_bytes(row_bytes, row_bytes);
    let piece_bytes = piece_bytes.max(least).min(scope.memory.piece_bytes());
    let shelf = Shelf::on_disk(*scope, piece_bytes);
    let shelf = shelf.of_rows(row_bytes);
    let by = By { partitions: threads() as u32 * UNITS_EACH as u32, ..by };
    let mut units = vec![Runs::new(); by.partitions as usize];
    for chunk in chunks {
        let freed = chunk.iter().map(|stretch| stretch.piece.bytes_here()).sum();
        let rows = load(scope, chunk, by.order)?;
        let (view, none) = (rows.borrow(), scope.memory.hold());
        let sorted = sort::sorted(scope, &view, by, Spread::Everywhere, &shelf, none)?;
        drop(view);
        drop(rows);
        hold.shrink(freed);
        for (unit, pieces) in units.iter_mut().zip(sorted.into_parts().0) {
            if !pieces.is_empty() {
                unit.push(pieces);
            }
        }
    }
    Ok((units, piece_bytes))
}

/// The rows in stretches that can be sorted in so much memory; at least one row at once.
fn chunks(parts: Vec<Vec<Piece>>, room: u64) -> Vec<Vec<Stretch>> {
    let mut chunks = vec![Vec::new()];
    let mut left = room;
    for (partition, part) in (0..).zip(parts) {
        let mut first_row = 0;
        for mut piece in part {
            let each = piece.bytes().div_ceil(piece.rows().max(1) as u64) + PLACE_BYTES + ENTRY_BYTES;
            while piece.rows() > 0 {
                let rows = piece.rows();
                let fitting = usize::try_from(left / each).unwrap_or(usize::MAX).min(rows);
                let begun = chunks.last().is_some_and(|chunk: &Vec<Stretch>| !chunk.is_empty());
                // Each stretch of a piece is read on its own, so that a short one is better left to the next chunk.
                if begun && fitting < rows.div_ceil(4) {
                    chunks.push(Vec::new());
                    left = room;
                    continue;
                }
                let now = fitting.max(1);
                left = left.saturating_sub(now as u64 * each);
                if let Some(chunk) = chunks.last_mut() {
                    chunk.push(Stretch { partition, first_row, piece: piece.slice(0, now) });
                }
                piece = piece.slice(now, rows - now);
                first_row += now as u64;
            }
        }
    }
    chunks
}

/// The rows of a chunk, each with its place.
fn load(scope: &Scope<'_>, chunk: Vec<Stretch>, order: Order) -> Result<Addressed> {
    let load = |stretch: Stretch| {
        scope.cancel.check()?;
        let batch = stretch.piece.load()?;
        let first = place(stretch.partition, stretch.first_row);
        let places = UInt64Array::from_iter_values(first..first + batch.num_rows() as u64);
        if let Order::Number { first, rows } = order {
            check_numbers(&batch, first, rows, |row| describe_place(places.value(row)))?;
        }
        let place_column: ArrayRef = Arc::new(places.clone());
        let columns = batch.columns().iter().cloned().chain([place_column]).collect();
        Ok((wide_batch(scope.schema, columns, batch.num_rows())?, Places::Each(places)))
    };
    let loaded = chunk.into_par_iter().with_max_len(1).map(load).collect::<Result<Vec<_>>>()?;
    Addressed::received(loaded)
}

fn check_numbers(batch: &RecordBatch, first: u64, rows: u64, place: impl Fn(usize) -> String) -> Result<()> {
    let all = first..first.saturating_add(rows);
    let Keys::UInt64(numbers) = Keys::of(batch.column(0))? else {
        return Err(Error::bug("an exchange to rows by keys that are not numbers"));
    };
    match numbers.iter().position(|number| !all.contains(number)) {
        Some(row) => Err(beyond(&place(row), &all)),
        None => Ok(()),
    }
}

/// How the runs of one sort are merged.
struct Merging<'a> {
    scope: &'a Scope<'a>,
    by: By,
    /// Runs that can be merged at once.
    fan_in: usize,
    piece_bytes: u64,
    row_bytes: u64,
}

impl Merging<'_> {
    /// One unit's rows in their order: pieces of consecutive partitions, without their places.
    fn unit(&self, mut runs: Runs, shelf: &Shelf<'_>) -> Result<Vec<(u32, Vec<Piece>, Hold)>> {
        while runs.len() > self.fan_in {
            let between = Shelf::on_disk(*self.scope, self.piece_bytes).of_rows(self.row_bytes);
            let mut longer = Runs::new();
            while !runs.is_empty() {
                let group = runs.drain(..self.fan_in.min(runs.len())).collect();
                let mut output = Output::new(&between, &|_| 0);
                Merge::open(self.scope, self.by, group).run(&mut output)?;
                longer.extend(output.finish()?.into_iter().map(|(_, pieces, _)| pieces));
            }
            runs = longer;
        }
        let by = self.by;
        let partition = |value: u64| match by.order {
            Order::Hash => partition_of(value, by.partitions),
            Order::Number { .. } => 0,
        };
        let mut output = Output::new(shelf, &partition);
        Merge::open(self.scope, by, runs).run(&mut output)?;
        output.finish()
    }
}
