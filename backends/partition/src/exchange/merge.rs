//! Merging sorted runs, block by block.
//!
//! What every run still has to give begins after the rows that are loaded of it. So all loaded rows below the least of the
//! runs' last values can be sorted together at once, as integers and without looking at keys; comparing row by row
//! takes several times as long. Only where rows of one value go on beyond what is loaded (a key with a large
//! share of the table) do they pass key by key, run by run, without sorting: then they need no room either.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{RecordBatch, UInt64Array};
use arrow_select::concat::concat_batches;
use tributary_core::error::{Error, Result};
use tributary_core::layout::Keys;
use tributary_core::plan::EqualKeys;

use super::sort::{By, entry, hash_of, place_of, settle_equals};
use crate::batches::wide_batch;
use crate::memory::Hold;
use crate::piece::Piece;
use crate::scope::Scope;
use crate::shelf::{Collector, Shelf};
use crate::view::{Addressed, Places, describe_place};

/// One run: the rows of `batch` from `at` on are loaded, and come before those of `pieces`.
struct Run {
    pieces: std::vec::IntoIter<Piece>,
    batch: RecordBatch,
    values: Vec<u64>,
    at: usize,
    /// All that is loaded has one value, and more was loaded already to get beyond it.
    stuck: bool,
}

impl Run {
    fn is_loaded(&self) -> bool {
        self.at < self.values.len()
    }

    fn has_more(&self) -> bool {
        !self.pieces.as_slice().is_empty()
    }

    fn last(&self) -> u64 {
        self.values.last().copied().unwrap_or_default()
    }

    /// Loads rows until there are two values, or two pieces of one, or no more rows.
    fn fill(&mut self, by: By) -> Result<()> {
        while !self.is_loaded() || (self.values[self.at] == self.last() && !self.stuck) {
            let Some(piece) = self.pieces.next() else { return Ok(()) };
            let next = piece.load()?;
            let rest = self.batch.slice(self.at, self.values.len() - self.at);
            self.stuck = rest.num_rows() > 0;
            let batch = if self.stuck { concat_batches(&next.schema(), [&rest, &next])? } else { next };
            self.take(batch, by)?;
            self.stuck &= self.values.first() == self.values.last();
        }
        Ok(())
    }

    fn take(&mut self, batch: RecordBatch, by: By) -> Result<()> {
        self.values.clear();
        by.order.append(&Keys::of(batch.column(0))?, 0..batch.num_rows(), &mut self.values);
        (self.batch, self.at) = (batch, 0);
        Ok(())
    }
}

pub(crate) struct Merge<'a> {
    scope: &'a Scope<'a>,
    by: By,
    /// In source order; those that ended are dropped.
    runs: Vec<Run>,
}

impl<'a> Merge<'a> {
    pub(crate) fn open(scope: &'a Scope<'a>, by: By, runs: Vec<Vec<Piece>>) -> Self {
        let open = |pieces: Vec<Piece>| Run {
            pieces: pieces.into_iter(),
            batch: scope.schema.empty_batch(),
            values: Vec::new(),
            at: 0,
            stuck: false,
        };
        Self { scope, by, runs: runs.into_iter().map(open).collect() }
    }

    pub(crate) fn run(mut self, output: &mut Output<'_>) -> Result<()> {
        loop {
            self.scope.cancel.check()?;
            let by = self.by;
            self.runs.iter_mut().try_for_each(|run| run.fill(by))?;
            self.runs.retain(Run::is_loaded);
            if self.runs.is_empty() {
                return Ok(());
            }
            let bound = self.runs.iter().filter(|run| run.has_more()).map(Run::last).min();
            let ends: Vec<usize> = self.runs.iter().map(|run| end_below(run, bound)).collect();
            match bound {
                Some(value) if self.runs.iter().zip(&ends).all(|(run, end)| run.at == *end) => {
                    self.pass_value(value, output)?;
                }
                _ => self.sort_block(&ends, output)?,
            }
        }
    }

    /// The loaded rows of each run before its end.
    fn sort_block(&mut self, ends: &[usize], output: &mut Output<'_>) -> Result<()> {
        let mut order = Vec::new();
        for (number, (run, end)) in self.runs.iter().zip(ends).enumerate() {
            order.extend((run.at..*end).map(|row| entry(run.values[row], number, row)));
        }
        order.sort_unstable();
        let loaded =
            self.runs.iter().map(|run| Ok((run.batch.clone(), Places::Each(places(&run.batch)?.clone()))));
        let rows = Addressed::received(loaded.collect::<Result<_>>()?)?;
        let view = rows.borrow();
        settle_equals(&view, &view.keys()?, &mut order, self.by)?;
        for (run, end) in self.runs.iter_mut().zip(ends) {
            run.at = *end;
        }
        let partition = output.partition;
        for rows in order.chunk_by(|a, b| partition(hash_of(*a)) == partition(hash_of(*b))) {
            for rows in rows.chunks(output.shelf.batch_rows()) {
                self.scope.cancel.check()?;
                let places: Vec<_> = rows.iter().map(|entry| place_of(*entry)).collect();
                output.push(partition(hash_of(rows[0])), view.interleave(self.scope.schema, &places)?)?;
            }
        }
        Ok(())
    }

    /// All rows of one value, which every run that has it comes to next.
    fn pass_value(&mut self, value: u64, output: &mut Output<'_>) -> Result<()> {
        while let Some(key) = self.least_key(value)? {
            let mut before: Option<u64> = None;
            for run in 0..self.runs.len() {
                while let Some(rows) = self.take_equal(run, value, &key)? {
                    self.scope.cancel.check()?;
                    if self.by.equal == EqualKeys::Refuse {
                        let places = places(&rows)?;
                        let mut all = before.into_iter().chain(places.values().iter().copied());
                        if let (Some(one), Some(other)) = (all.next(), all.next()) {
                            return Err(self.by.order.twice(&[one, other].map(describe_place)));
                        }
                        before = places.values().last().copied();
                    }
                    output.push((output.partition)(value), rows)?;
                }
            }
        }
        Ok(())
    }

    /// The least key of this value, as a column of one row.
    fn least_key(&self, value: u64) -> Result<Option<RecordBatch>> {
        let mut least: Option<RecordBatch> = None;
        for run in self.runs.iter().filter(|run| run.is_loaded() && run.values[run.at] == value) {
            let first = run.batch.slice(run.at, 1);
            let is_less = match &least {
                Some(least) => Keys::of(first.column(0))?.compare(0, &Keys::of(least.column(0))?, 0).is_lt(),
                None => true,
            };
            if is_less {
                least = Some(first);
            }
        }
        Ok(least)
    }

    /// The next rows of a run, if they have this value and key. More are loaded when all are taken.
    fn take_equal(&mut self, run: usize, value: u64, key: &RecordBatch) -> Result<Option<RecordBatch>> {
        let (by, run) = (self.by, &mut self.runs[run]);
        if !run.is_loaded() {
            let Some(piece) = run.pieces.next() else { return Ok(None) };
            run.take(piece.load()?, by)?;
            run.stuck = false;
        }
        let (keys, key) = (Keys::of(run.batch.column(0))?, Keys::of(key.column(0))?);
        let is_equal = |row: usize| run.values[row] == value && keys.compare(row, &key, 0).is_eq();
        let start = run.at;
        let end = (start..run.values.len()).find(|row| !is_equal(*row)).unwrap_or(run.values.len());
        run.at = end;
        Ok((end > start).then(|| run.batch.slice(start, end - start)))
    }
}

/// The first loaded row of a run that is not below the bound.
fn end_below(run: &Run, bound: Option<u64>) -> usize {
    let below = |bound| run.at + run.values[run.at..].partition_point(|value| *value < bound);
    bound.map_or(run.values.len(), below)
}

fn places(batch: &RecordBatch) -> Result<&UInt64Array> {
    let places = batch.columns().last().and_then(|column| column.as_primitive_opt::<UInt64Type>());
    places.ok_or_else(|| Error::bug("rows of a run without their places"))
}

/// Takes merged rows, which come in the order of partitions.
pub(crate) struct Output<'a> {
    shelf: &'a Shelf<'a>,
    partition: &'a dyn Fn(u64) -> u32,
    now: Option<(u32, Collector<'a>)>,
    done: Vec<(u32, Vec<Piece>, Hold)>,
}

impl<'a> Output<'a> {
    /// `partition` says where the rows of a value go. If the shelf's table has no places, rows lose them.
    pub(crate) fn new(shelf: &'a Shelf<'a>, partition: &'a dyn Fn(u64) -> u32) -> Self {
        Self { shelf, partition, now: None, done: Vec::new() }
    }

    fn push(&mut self, partition: u32, rows: RecordBatch) -> Result<()> {
        if self.now.as_ref().is_none_or(|(now, _)| *now != partition) {
            self.end_partition()?;
        }
        let schema = self.shelf.schema();
        let (columns, count) = (&rows.columns()[..schema.arrow().fields().len()], rows.num_rows());
        let rows = wide_batch(schema, columns.to_vec(), count)?;
        self.now.get_or_insert_with(|| (partition, Collector::new(self.shelf))).1.push(rows)
    }

    fn end_partition(&mut self) -> Result<()> {
        if let Some((partition, collector)) = self.now.take() {
            let (pieces, hold) = collector.finish()?;
            self.done.push((partition, pieces, hold));
        }
        Ok(())
    }

    /// Partitions, each with its rows.
    pub(crate) fn finish(mut self) -> Result<Vec<(u32, Vec<Piece>, Hold)>> {
        self.end_partition()?;
        Ok(self.done)
    }
}
