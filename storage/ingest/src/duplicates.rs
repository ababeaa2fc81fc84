//! Sample ids that stand twice: which rows go, or why the upload is refused.
//!
//! Equal hashes only make candidates; their ids are then read again and compared, so that no collision ever drops a row.
//! Memory: a bit for each row, and [`UploadOptions::sort_bytes`], beyond which ids are sorted on disk.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use tributary_core::layout::hash_bytes;
use tributary_core::{Error, Result};

use crate::content::Again;
use crate::csv::Place;
use crate::options::{Duplicates, UploadOptions};
use crate::progress::Meter;
use crate::rejects::{Reason, Reject, Rejects};
use crate::rowset::RowSet;
use crate::sorter::{Entry, Merged, Payload, Sorter, read_u64};

/// What the search needs to know.
pub(crate) struct Search<'a> {
    pub rows: &'a dyn Again,
    pub options: &'a UploadOptions,
    pub meter: &'a Meter,
}

/// A candidate, read again.
#[derive(Debug)]
struct Candidate {
    id: String,
    place: Place,
}

impl Payload for Candidate {
    fn bytes(&self) -> usize {
        self.id.len()
    }

    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        for number in [self.place.file as u64, self.place.line, self.id.len() as u64] {
            to.write_all(&number.to_le_bytes())?;
        }
        to.write_all(self.id.as_bytes())
    }

    fn read(from: &mut dyn Read) -> io::Result<Self> {
        let place = Place { file: read_u64(from)? as usize, line: read_u64(from)? };
        let mut id = vec![0; read_u64(from)? as usize];
        from.read_exact(&mut id)?;
        Ok(Self { id: String::from_utf8(id).map_err(io::Error::other)?, place })
    }
}

impl Search<'_> {
    /// Adds the rows that go because of their id to `dropped`, and gives their number; or refuses, or rejects them.
    pub fn run(&self, ids: Vec<Sorter<()>>, dropped: &mut RowSet, rejects: &mut Rejects) -> Result<u64> {
        let suspects = self.suspects(ids)?;
        if suspects.is_empty() {
            return Ok(0);
        }
        let candidates = self.read_again(&suspects)?;
        drop(suspects);
        let found = self.decide(candidates)?;
        match (self.options.duplicates, found.first) {
            (Duplicates::Fail, Some(first)) if !rejects.go_on() => Err(self.refusal(&first, found.count)),
            (Duplicates::Fail, _) => self.reject(&found, dropped, rejects).map(|()| 0),
            _ => {
                dropped.add(&found.rows);
                Ok(found.count)
            }
        }
    }

    /// Rows whose id has the hash of another row's.
    fn suspects(&self, ids: Vec<Sorter<()>>) -> Result<RowSet> {
        let mut suspects = RowSet::default();
        let mut sorted = Merged::of(ids)?;
        let (mut last, mut n) = (None::<Entry<()>>, 0_u64);
        while let Some(next) = sorted.next()? {
            if let Some(last) = last.filter(|last| last.hash == next.hash) {
                suspects.insert(self.rows.row_of(last.row));
                suspects.insert(self.rows.row_of(next.row));
            }
            n += 1;
            if n.is_multiple_of(65_536) {
                self.meter.check()?;
            }
            last = Some(next);
        }
        Ok(suspects)
    }

    fn read_again(&self, suspects: &RowSet) -> Result<Sorter<Candidate>> {
        let mut candidates = Sorter::new(self.options.sort_bytes, &self.options.scratch);
        self.rows.visit(suspects, &mut |row| {
            let hash = hash_bytes(row.id.as_bytes());
            candidates.push(hash, row.number, Candidate { id: row.id.to_owned(), place: row.place })
        })?;
        Ok(candidates)
    }

    fn decide(&self, candidates: Sorter<Candidate>) -> Result<Found> {
        let mut sorted = Merged::of(vec![candidates])?;
        let mut found = Found::default();
        // ids of one hash: the first place of each, and the row that stays so far
        let mut ids: HashMap<String, (Place, u64)> = HashMap::new();
        let mut hash = None;
        while let Some(Entry { hash: next, row, payload: Candidate { id, place } }) = sorted.next()? {
            if hash.replace(next) != Some(next) {
                ids.clear();
            }
            let Some((first, stays)) = ids.get_mut(&id) else {
                ids.insert(id, (place, row));
                continue;
            };
            let goes = match self.options.duplicates {
                Duplicates::Last => std::mem::replace(stays, row),
                Duplicates::First | Duplicates::Fail => row,
            };
            found.rows.insert(goes);
            found.count += 1;
            if found.first.as_ref().is_none_or(|(_, again)| place < *again) {
                found.first = Some((*first, place));
            }
        }
        Ok(found)
    }

    fn refusal(&self, (original, again): &(Place, Place), count: u64) -> Error {
        let reason = format!(
            "the sample id stands already at {} ({count} such rows in all); keep the first or the last of each \
             (--duplicates first|last), or have ids made (--extend-sid)",
            self.rows.origin().locate(*original)
        );
        self.rows.origin().fault(*again, Some(self.rows.id_column()), &reason)
    }

    fn reject(&self, found: &Found, dropped: &mut RowSet, rejects: &mut Rejects) -> Result<()> {
        self.rows.visit(&found.rows, &mut |row| {
            dropped.insert(row.number);
            let (column, reason) = (Some(self.rows.id_column()), Reason::Repeated);
            rejects.add(self.rows.origin(), &Reject { place: row.place, bytes: row.bytes, column, reason })
        })
    }
}

/// Rows that go because of their id.
#[derive(Debug, Default)]
struct Found {
    rows: RowSet,
    count: u64,
    /// The first repetition in the files, behind the place of what it repeats.
    first: Option<(Place, Place)>,
}
