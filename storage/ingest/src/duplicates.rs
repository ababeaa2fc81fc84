//! Repeated sample ids: which rows are left out, or why the upload is refused.
//!
//! Equal hashes are only candidates; their ids are then read again and compared, so that no collision ever drops a row.
//! Memory: a bit for each row, and [`UploadOptions::sort_bytes`]; more ids are sorted on disk.
//!
//! If rows are added to a table, its rows come first: the rows of the files are numbered after those of the table.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use tributary_core::layout::hash_bytes;
use tributary_core::{Error, Result};

use crate::content::Again;
use crate::csv::Place;
use crate::old::OldTable;
use crate::options::{Duplicates, SampleId, UploadOptions};
use crate::progress::Meter;
use crate::rejects::{Reason, Reject, Rejects};
use crate::rowset::RowSet;
use crate::sorter::{Entry, Merged, Payload, Sorter, read_u64};

/// The inputs of the search.
pub(crate) struct Search<'a> {
    pub rows: &'a dyn Again,
    /// The table that the rows are added to.
    pub old: Option<&'a Arc<OldTable>>,
    pub options: &'a UploadOptions,
    pub meter: &'a Meter,
}

/// The result of the search, beside the rows of the files that are left out.
#[derive(Debug, Default)]
pub(crate) struct Repeated {
    /// The number of rows of the files that a rule leaves out.
    pub dropped: u64,
    /// Rows of the table that are left out.
    pub replaced: RowSet,
}

/// A candidate, read again.
#[derive(Debug)]
struct Candidate {
    id: String,
    /// The place of a row of the files.
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
    /// Adds the rows of the files that are left out because of their id to `dropped`; or refuses the upload, or rejects the
    /// rows.
    ///
    /// `ids`: the hashes of all ids of the files, with what the first pass noted of their rows.
    pub fn run(&self, ids: Vec<Sorter<()>>, dropped: &mut RowSet, rejects: &mut Rejects) -> Result<Repeated> {
        let suspects = self.suspects(ids)?;
        if suspects.of_old.is_empty() && suspects.of_files.is_empty() {
            return Ok(Repeated::default());
        }
        let candidates = self.read_again(&suspects)?;
        drop(suspects);
        let found = self.decide(candidates)?;
        match (self.options.duplicates, &found.first) {
            (Duplicates::Fail, Some(first)) if !rejects.go_on() || !found.rows.of_old.is_empty() => {
                Err(self.refusal(first, found.rows.len()))
            }
            (Duplicates::Fail, _) => self.reject(&found, dropped, rejects).map(|()| Repeated::default()),
            _ => {
                dropped.add(&found.rows.of_files);
                Ok(Repeated { dropped: found.rows.of_files.len(), replaced: found.rows.of_old })
            }
        }
    }

    /// The number of rows before those of the files.
    fn before(&self) -> u64 {
        self.old.map_or(0, |old| old.rows())
    }

    /// Rows whose id has the hash of another row's.
    fn suspects(&self, ids: Vec<Sorter<()>>) -> Result<Rows> {
        let of_old = self.old.map_or_else(|| Ok(Vec::new()), |old| old.ids(self.options, self.meter))?;
        let (mut of_old, mut of_files) = (Merged::of(of_old)?, Merged::of(ids)?);
        let mut suspects = Rows::default();
        let (mut last, mut n) = (None::<(u64, Side, u64)>, 0_u64);
        let (mut old, mut new) = (of_old.next()?, of_files.next()?);
        loop {
            let is_old = match (&old, &new) {
                (Some(old), Some(new)) => old.hash <= new.hash,
                (old, _) => old.is_some(),
            };
            let (side, next) = match is_old {
                true => (Side::Old, std::mem::replace(&mut old, of_old.next()?)),
                false => (Side::Files, std::mem::replace(&mut new, of_files.next()?)),
            };
            let Some(Entry { hash, row, .. }) = next else { return Ok(suspects) };
            if let Some((_, other_side, other)) = last.filter(|(last, ..)| *last == hash) {
                suspects.insert(other_side, self.row_of(other_side, other));
                suspects.insert(side, self.row_of(side, row));
            }
            n += 1;
            if n.is_multiple_of(65_536) {
                self.meter.check()?;
            }
            last = Some((hash, side, row));
        }
    }

    fn row_of(&self, side: Side, noted: u64) -> u64 {
        match side {
            Side::Old => noted,
            Side::Files => self.rows.row_of(noted),
        }
    }

    fn read_again(&self, suspects: &Rows) -> Result<Sorter<Candidate>> {
        let mut candidates = Sorter::new(self.options.sort_bytes, &self.options.scratch);
        if let Some(old) = self.old {
            old.visit(&suspects.of_old, self.meter, &mut |row, id| {
                let candidate = Candidate { id: id.to_owned(), place: Place { file: 0, line: 0 } };
                candidates.push(hash_bytes(id.as_bytes()), row, candidate)
            })?;
        }
        let before = self.before();
        self.rows.visit(&suspects.of_files, &mut |row| {
            let hash = hash_bytes(row.id.as_bytes());
            candidates.push(hash, before + row.number, Candidate { id: row.id.to_owned(), place: row.place })
        })?;
        Ok(candidates)
    }

    fn decide(&self, candidates: Sorter<Candidate>) -> Result<Found> {
        let mut sorted = Merged::of(vec![candidates])?;
        let (mut found, before) = (Found::default(), self.before());
        // ids with one hash: the first row of each, and the row that stays so far
        let mut ids: HashMap<String, (Standing, u64)> = HashMap::new();
        let mut hash = None;
        while let Some(Entry { hash: next, row, payload: Candidate { id, place } }) = sorted.next()? {
            if hash.replace(next) != Some(next) {
                ids.clear();
            }
            let standing = Standing { row, place };
            let Some((first, stays)) = ids.get_mut(&id) else {
                ids.insert(id, (standing, row));
                continue;
            };
            let goes = match self.options.duplicates {
                Duplicates::Last => std::mem::replace(stays, row),
                Duplicates::First | Duplicates::Fail => row,
            };
            match goes.checked_sub(before) {
                None => found.rows.insert(Side::Old, goes),
                Some(goes) => found.rows.insert(Side::Files, goes),
            }
            if let (true, Some(row)) = (first.row < before, row.checked_sub(before)) {
                found.stored.insert(row);
            }
            if found.first.as_ref().is_none_or(|(_, again)| row < again.row) {
                found.first = Some((*first, standing));
            }
        }
        Ok(found)
    }

    fn refusal(&self, (original, again): &(Standing, Standing), count: u64) -> Error {
        let (before, origin) = (self.before(), self.rows.origin());
        let all = format!("({count} such rows in all)");
        let at_file = |reason: String| origin.fault(again.place, Some(self.rows.id_column()), &reason);
        match (original.row < before, again.row < before) {
            (false, _) => at_file(format!(
                "the sample id already occurs at {} {all}; keep the first or the last of each (data upload --duplicates \
                 first|last), or have ids made (--extend-sid){}",
                origin.locate(original.place),
                match self.options.sample_id {
                    SampleId::FirstColumn if self.old.is_none() => {
                        "; if another column has the ids, name it (--id COLUMN)"
                    }
                    _ => "",
                }
            )),
            (true, false) => at_file(format!(
                "the table has the sample id already, in its row {} {all}; keep the table's row or the file's \
                 (--duplicates first|last)",
                original.row + 1
            )),
            (true, true) => Error::invalid(format!(
                "the table itself has a sample id twice, in its rows {} and {} {all}; keep the first or the last of \
                 each (--duplicates first|last)",
                original.row + 1,
                again.row + 1
            )),
        }
    }

    fn reject(&self, found: &Found, dropped: &mut RowSet, rejects: &mut Rejects) -> Result<()> {
        self.rows.visit(&found.rows.of_files, &mut |row| {
            dropped.insert(row.number);
            let reason = if found.stored.contains(row.number) { Reason::Stored } else { Reason::Repeated };
            let column = Some(self.rows.id_column());
            rejects.add(self.rows.origin(), &Reject { place: row.place, bytes: row.bytes, column, reason })
        })
    }
}

/// The side that a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Old,
    Files,
}

/// Rows of both sides, each numbered from 0.
#[derive(Debug, Default)]
struct Rows {
    of_old: RowSet,
    of_files: RowSet,
}

impl Rows {
    fn insert(&mut self, side: Side, row: u64) {
        match side {
            Side::Old => self.of_old.insert(row),
            Side::Files => self.of_files.insert(row),
        }
    }

    fn len(&self) -> u64 {
        self.of_old.len() + self.of_files.len()
    }
}

/// A row with an id: its number over both sides, and its place if it is one of the files.
#[derive(Debug, Clone, Copy)]
struct Standing {
    row: u64,
    place: Place,
}

/// Rows that are left out because of their id.
#[derive(Debug, Default)]
struct Found {
    rows: Rows,
    /// Rows of the files whose id the table has.
    stored: RowSet,
    /// The first repetition, after the row that it repeats.
    first: Option<(Standing, Standing)>,
}
