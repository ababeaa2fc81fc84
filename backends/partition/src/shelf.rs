//! Where the rows of one operation are put away: in memory while there is room, from then on on disk.
//!
//! What does not fit goes to disk at the moment it does not fit. Nothing that is in memory is moved there later: which
//! table will be read next is not known, and a choice would be a guess.

use std::sync::{Arc, Mutex};

use arrow_array::RecordBatch;
use tributary_core::error::{Error, Result};
use tributary_core::schema::TableSchema;

use crate::batches::{BATCH_ROWS, Gather};
use crate::cancel::lock;
use crate::disk::SpillFile;
use crate::memory::{Hold, batch_bytes};
use crate::piece::Piece;
use crate::scope::Scope;

/// Used by all threads of one operation; its rows share a file, so that a table takes one at most.
pub struct Shelf<'a> {
    scope: Scope<'a>,
    only_disk: bool,
    piece_bytes: u64,
    batch_rows: usize,
    file: Mutex<Option<Arc<SpillFile>>>,
}

impl<'a> Shelf<'a> {
    pub fn new(scope: Scope<'a>) -> Self {
        let (piece_bytes, file) = (scope.memory.piece_bytes(), Mutex::new(None));
        Self { scope, only_disk: false, piece_bytes, batch_rows: BATCH_ROWS, file }
    }

    /// For rows of about so many bytes: no more of them are made at once than a piece has room for.
    #[must_use]
    pub(crate) fn of_rows(mut self, row_bytes: u64) -> Self {
        self.batch_rows = (self.piece_bytes / row_bytes.max(1)).clamp(1, BATCH_ROWS as u64) as usize;
        self
    }

    /// For rows that memory has no room for, as is known: in pieces of about so many bytes.
    pub(crate) fn on_disk(scope: Scope<'a>, piece_bytes: u64) -> Self {
        Self { only_disk: true, piece_bytes, ..Self::new(scope) }
    }

    pub(crate) fn schema(&self) -> &'a TableSchema {
        self.scope.schema
    }

    /// Whether rows go to memory as long as they fit.
    pub(crate) fn takes_memory(&self) -> bool {
        !self.only_disk
    }

    /// How many rows to make at once.
    pub(crate) fn batch_rows(&self) -> usize {
        self.batch_rows
    }

    /// `Exhausted` if there is room neither in memory nor on disk.
    pub fn put(&self, batch: RecordBatch, pieces: &mut Vec<Piece>, hold: &mut Hold) -> Result<()> {
        let bytes = batch_bytes(&batch);
        if self.takes_memory() {
            match hold.grow(bytes) {
                Ok(()) => {
                    pieces.push(Piece::Here(batch));
                    return Ok(());
                }
                Err(error) if !self.scope.memory.spills() => return Err(error),
                Err(_) => {}
            }
        }
        self.write(&batch, bytes, pieces)
    }

    /// In pieces that a reader has room for.
    fn write(&self, batch: &RecordBatch, bytes: u64, pieces: &mut Vec<Piece>) -> Result<()> {
        let file = self.file()?;
        let rows = batch.num_rows();
        let count = bytes.div_ceil(self.piece_bytes).clamp(1, rows.max(1) as u64) as usize;
        let cut = |i: usize| (rows as u128 * i as u128 / count as u128) as usize;
        for i in 0..count {
            self.scope.cancel.check()?;
            let piece = batch.slice(cut(i), cut(i + 1) - cut(i));
            let piece_bytes = if count == 1 { bytes } else { batch_bytes(&piece) };
            pieces.push(Piece::Away(file.write(&piece, piece_bytes)?));
        }
        Ok(())
    }

    fn file(&self) -> Result<Arc<SpillFile>> {
        let mut file = lock(&self.file);
        if let Some(file) = &*file {
            return Ok(file.clone());
        }
        let disk =
            self.scope.memory.disk().ok_or_else(|| Error::bug("rows for a disk that a session lacks"))?;
        Ok(file.insert(SpillFile::new(disk, self.scope.schema)?).clone())
    }
}

/// Rows of one partition on their way to a shelf; small batches are copied together before.
pub struct Collector<'a> {
    shelf: &'a Shelf<'a>,
    gather: Gather,
    pieces: Vec<Piece>,
    hold: Hold,
}

impl<'a> Collector<'a> {
    pub fn new(shelf: &'a Shelf<'a>) -> Self {
        let (gather, hold) = (Gather::new(shelf.scope.schema), shelf.scope.memory.hold());
        Self { shelf, gather, pieces: Vec::new(), hold }
    }

    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        self.gather.push(batch)?;
        let ready = self.gather.take();
        self.put(ready)
    }

    pub fn finish(mut self) -> Result<(Vec<Piece>, Hold)> {
        let gather = std::mem::replace(&mut self.gather, Gather::new(self.shelf.scope.schema));
        self.put(gather.finish()?)?;
        Ok((self.pieces, self.hold))
    }

    fn put(&mut self, ready: Vec<RecordBatch>) -> Result<()> {
        ready.into_iter().try_for_each(|batch| self.shelf.put(batch, &mut self.pieces, &mut self.hold))
    }
}
