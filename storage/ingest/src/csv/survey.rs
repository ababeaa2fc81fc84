//! The first pass: checks the files row by row, and infers the type of each column.
//!
//! All cores read, each a chunk at a time. The results are merged in the order of the files, so that the first fault of the
//! files is the one that is reported, whichever thread found it. The pass keeps one small state per column, a mark for each
//! chunk, and the hashes of ids.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use tributary_core::layout::hash_bytes;
use tributary_core::media::Source;
use tributary_core::{Error, Purpose, Result};
use tributary_csv::block::{self, CHUNK_BYTES, Chunk, Chunks, Turns};
use tributary_csv::{Fault, Records, ValueType, float64, is_null, kind_of};

use crate::columns::{Column, Columns, KeySource};
use crate::csv::infer::SeenColumn;
use crate::csv::source::{CsvFiles, Mark, Place};
use crate::options::UploadOptions;
use crate::progress::{Meter, Pass};
use crate::rejects::{Reason, Reject, Rejects, SaidBy};
use crate::rowset::RowSet;
use crate::sorter::Sorter;

/// The most marks that are kept; for larger files, chunks are larger.
const MAX_MARKS: u64 = 65_536;

/// The result of the first pass.
#[derive(Debug)]
pub(crate) struct Survey {
    /// Rows of the files, bad ones included.
    pub rows: u64,
    /// Places where reading can begin, in order; the first is row 0. Chunks without rows give several marks of one row.
    pub marks: Arc<[Mark]>,
    /// Hashes of the ids of all good rows; `None` if ids are generated.
    pub ids: Vec<Sorter<()>>,
    pub columns: Vec<SeenColumn>,
    /// The first id with a space or a NUL byte at one of its ends.
    pub padded_id: Option<Place>,
    /// Bad rows.
    pub rejected: RowSet,
}

/// The note that is kept with the hash of a row's id: the row's mark, and its position after the mark, because the first
/// pass does not know the number of rows before a chunk.
fn noted(chunk: usize, row: u64) -> u64 {
    (chunk as u64) << 32 | row
}

/// The number of a row.
pub(crate) fn row_of(noted: u64, marks: &[Mark]) -> u64 {
    marks[(noted >> 32) as usize].row + (noted & u64::from(u32::MAX))
}

/// Reads all files once. Bad rows go to `rejects`, which decides whether they end the pass. `InvalidInput`, with its place,
/// for a fault of a file.
pub(crate) fn survey(
    source: &Arc<CsvFiles>,
    columns: &Columns,
    options: &UploadOptions,
    rejects: &mut Rejects,
    meter: &Meter,
) -> Result<Survey> {
    meter.begin(Pass::Check, source.bytes());
    let chunks = source.chunks(CHUNK_BYTES.max(source.bytes() / MAX_MARKS));
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(chunks.count()).max(1);
    let whole = Whole {
        rows: 0,
        line: 0,
        marks: Vec::with_capacity(chunks.count()),
        columns: vec![SeenColumn::default(); columns.values.len()],
        padded_id: None,
        rejected: RowSet::default(),
        rejects,
        waiting: BTreeMap::new(),
        outcome: Ok(()),
    };
    let pass = Surveying {
        source,
        columns,
        meter,
        chunks,
        turns: Turns::new(source.dialect().quoting()),
        next: AtomicUsize::new(0),
        open: Mutex::new(None),
        whole: Mutex::new(whole),
    };
    let new_ids = || Sorter::new(options.sort_bytes / workers, &options.scratch);
    let ids: Vec<Result<Sorter<()>>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| pass.work(new_ids()))).collect();
        let panicked = |_| Err(Error::bug("a thread of the first pass panicked"));
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(panicked)).collect()
    });
    let chunks = pass.chunks.count();
    let whole = pass.whole.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    whole.outcome?;
    let ids = ids.into_iter().collect::<Result<_>>()?;
    if whole.marks.len() < chunks {
        meter.check()?;
    }
    let Whole { rows, marks, columns, padded_id, rejected, .. } = whole;
    Ok(Survey { rows, marks: marks.into(), ids, columns, padded_id, rejected })
}

/// The state that all workers share.
struct Surveying<'a> {
    source: &'a Arc<CsvFiles>,
    columns: &'a Columns,
    meter: &'a Meter,
    chunks: Chunks,
    turns: Turns,
    /// The next chunk to read.
    next: AtomicUsize,
    /// The file that is read, which all share: what is fetched ahead of one serves all.
    open: Mutex<Option<(usize, Arc<dyn Source>)>>,
    whole: Mutex<Whole<'a>>,
}

/// The merged results of all chunks up to some place.
struct Whole<'a> {
    rows: u64,
    /// Line at which the next chunk's records begin.
    line: u64,
    marks: Vec<Mark>,
    columns: Vec<SeenColumn>,
    padded_id: Option<Place>,
    rejected: RowSet,
    rejects: &'a mut Rejects,
    /// Chunks whose predecessors are not done.
    waiting: BTreeMap<usize, Result<Part>>,
    outcome: Result<()>,
}

/// The results of one chunk. Lines count from its own beginning.
struct Part {
    chunk: Chunk,
    bytes: Range<u64>,
    rows: u64,
    lines: u64,
    columns: Vec<SeenColumn>,
    /// Line of the first id that is padded.
    padded_id: Option<u64>,
    /// Bad rows by their number in the chunk.
    rejects: Vec<(u64, Reject)>,
    fault: Option<Fault>,
}

/// Wakes the other threads if a thread panics.
struct EndTurns<'a>(&'a Turns);

impl Drop for EndTurns<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.end();
        }
    }
}

impl<'a> Surveying<'a> {
    fn work(&self, mut ids: Sorter<()>) -> Result<Sorter<()>> {
        let _end = EndTurns(&self.turns);
        let mut records = Records::new(self.source.dialect());
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.chunks.count() || self.meter.check().is_err() {
                return Ok(ids);
            }
            let part = self.look(index, &mut records, &mut ids);
            self.put(index, part);
        }
    }

    fn file(&self, number: usize) -> Result<Arc<dyn Source>> {
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match &*open {
            Some((known, file)) if *known == number => Ok(file.clone()),
            _ => {
                let file = self.source.inputs()[number].open()?;
                file.expect(std::slice::from_ref(&(0..file.bytes())), 1);
                *open = Some((number, file.clone()));
                Ok(file)
            }
        }
    }

    fn look(&self, index: usize, records: &mut Records, ids: &mut Sorter<()>) -> Result<Part> {
        let chunk = self.chunks.get(index);
        let file = self.file(chunk.file).inspect_err(|_| self.turns.pass(index, &chunk))?;
        let block = block::block(&*file, &chunk, index, &self.turns, records.unload());
        let mut part = Part {
            chunk,
            bytes: 0..0,
            rows: 0,
            lines: 0,
            columns: vec![SeenColumn::default(); self.columns.values.len()],
            padded_id: None,
            rejects: Vec::new(),
            fault: None,
        };
        if let Some(block) = block? {
            part.bytes = block.byte..block.byte + block.bytes.len() as u64;
            records.load(block);
            self.source.append_to(records, chunk.file);
            self.read(index, records, ids, &mut part)?;
            part.lines = records.next_line();
        }
        Ok(part)
    }

    fn read(&self, index: usize, records: &mut Records, ids: &mut Sorter<()>, part: &mut Part) -> Result<()> {
        let wanted = self.lock().rejects.wanted();
        loop {
            match records.advance() {
                Ok(true) => {}
                Ok(false) => return Ok(()),
                Err(fault) => {
                    part.fault = Some(fault);
                    return Ok(());
                }
            }
            let row = part.rows;
            part.rows += 1;
            match self.check(records, &mut part.columns) {
                Ok(()) => {
                    if let KeySource::Column(position) = self.columns.key {
                        let id = records.get(position).as_bytes();
                        if part.padded_id.is_none() && is_padded(id) {
                            part.padded_id = Some(records.line());
                        }
                        ids.push(hash_bytes(id), noted(index, row), ())?;
                    }
                }
                Err((column, reason)) => {
                    let place = Place { file: part.chunk.file, line: records.line() };
                    part.rejects.push((row, Reject { place, bytes: records.span(), column, reason }));
                    if part.rejects.len() as u64 >= wanted {
                        return Ok(()); // the last bad row ends the upload
                    }
                }
            }
        }
    }

    /// Checks a row: returns its fault, or adds a good row to the results.
    #[inline]
    fn check(&self, records: &Records, seen: &mut [SeenColumn]) -> Result<(), (Option<usize>, Reason)> {
        let expected = self.source.width();
        if records.width() != expected {
            return Err((None, self.width(records)));
        }
        if let Some(column) = records.not_text() {
            return Err((Some(column), Reason::NotText));
        }
        if let KeySource::Column(position) = self.columns.key {
            let id = records.get(position);
            if id.is_empty() || is_null(id, &self.columns.key_nulls) {
                return Err((Some(position), Reason::Missing("sample id")));
            }
        }
        for column in self.columns.values.iter().filter(|column| column.given.is_some()) {
            check_given(column, records.get(column.position)).map_err(|why| (Some(column.position), why))?;
        }
        for (column, seen) in self.columns.values.iter().zip(seen) {
            seen.see(column, records.get(column.position), records.line());
        }
        Ok(())
    }

    #[cold]
    fn width(&self, records: &Records) -> Reason {
        let (got, expected) = (records.width(), self.source.width());
        let help = if (0..got).any(|i| records.get(i).contains('\r')) {
            "; its lines end with a carriage return (CR) alone, expected LF or CR LF"
        } else if got > expected {
            "; a value with the delimiter or a decimal comma in it must be in quotes"
        } else if got == 1 && records.get(0).contains([',', ';', '\t', '|']) {
            "; its delimiter is not that of the header line"
        } else {
            ""
        };
        Reason::Width { got, expected, help }
    }

    fn put(&self, index: usize, part: Result<Part>) {
        let mut whole = self.lock();
        whole.waiting.insert(index, part);
        while whole.outcome.is_ok() {
            let next = whole.marks.len();
            let Some(part) = whole.waiting.remove(&next) else { break };
            let done = part.and_then(|part| whole.take(part, self));
            if done.is_err() {
                whole.outcome = done;
                self.next.store(self.chunks.count(), Ordering::Relaxed);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Whole<'a>> {
        self.whole.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Whole<'_> {
    /// Merges the next chunk after all before it.
    fn take(&mut self, part: Part, pass: &Surveying<'_>) -> Result<()> {
        let file = part.chunk.file;
        if part.chunk.is_first {
            self.line = pass.source.start(file).1;
        }
        let line = self.line;
        for (row, mut reject) in part.rejects {
            reject.place.line += line;
            self.rejected.insert(self.rows + row);
            self.rejects.add(&**pass.source, &reject)?;
        }
        if let Some(fault) = part.fault {
            return Err(pass.source.of_fault(file, Fault { line: fault.line + line, ..fault }));
        }
        for (all, seen) in self.columns.iter_mut().zip(part.columns) {
            all.merge(&seen, file, line);
        }
        let padded_id = part.padded_id.map(|padded| Place { file, line: padded + line });
        self.padded_id = self.padded_id.or(padded_id);
        self.marks.push(Mark { row: self.rows, place: Place { file, line }, bytes: part.bytes });
        self.rows += part.rows;
        self.line += part.lines;
        pass.meter.add(part.rows, part.chunk.to - part.chunk.from)
    }
}

/// Whether a text begins or ends with a space or a NUL byte.
#[inline]
fn is_padded(id: &[u8]) -> bool {
    let is_padding = |byte: Option<&u8>| matches!(byte, Some(b' ' | 0));
    is_padding(id.first()) || is_padding(id.last())
}

#[inline]
fn check_given(column: &Column, cell: &str) -> Result<(), Reason> {
    if is_null(cell, &column.nulls) {
        return missing(column);
    }
    match column.given {
        Some(given) if !given.fits(cell) => match given.is_missing(cell) {
            true => missing(column),
            false => Err(misfit(column, given, cell)),
        },
        _ if column.purpose == Purpose::Weight => match float64(cell) {
            Some(weight) if weight < 0.0 => Err(Reason::NegativeWeight),
            Some(weight) if weight.is_infinite() => Err(Reason::InfiniteWeight),
            _ => Ok(()),
        },
        _ => Ok(()),
    }
}

#[cold]
fn misfit(column: &Column, given: ValueType, cell: &str) -> Reason {
    let said_by = if column.stored.is_some() { SaidBy::Table } else { SaidBy::Options };
    Reason::Misfit(kind_of(cell), given, said_by)
}

/// Whether a value may be missing.
fn missing(column: &Column) -> Result<(), Reason> {
    match column.purpose {
        Purpose::MatchId => Err(Reason::Missing("match id")),
        Purpose::Label => Err(Reason::Missing("label")),
        Purpose::Weight => Err(Reason::Missing("weight")),
        _ => Ok(()),
    }
}
