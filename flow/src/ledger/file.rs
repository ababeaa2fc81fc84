//! The file of a ledger: a line for each booking, added at its end. What was read once is not read again, so a booking costs what
//! it books, however much was booked before.
//!
//! A line is whole once it ends; what follows the last end of a line is the rest of a process that died before anything left, and
//! the next writer cuts it off. After [`MOST_LINES`] bookings the file is written anew, beside its place, as one line. A line that
//! cannot be read is an error and never an empty ledger. Cuts are stored as the bits of their numbers: reading decimals would take
//! most of the time.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind as Io, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt};

use super::entry::{OfColumn, Released};

/// Bookings after which the file is written anew.
const MOST_LINES: u32 = 64;

/// What is known of the file.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The file that was read: open, so that no other file gets its number.
    file: Option<File>,
    /// How much of it, in bytes.
    read: u64,
    lines: u32,
    entries: BTreeMap<(String, PartyId), Released>,
}

/// An entry, or what is added to one, as a line has it.
#[derive(Serialize, Deserialize)]
struct Stored {
    table: String,
    partner: PartyId,
    #[serde(default)]
    ids: u64,
    #[serde(default)]
    columns: BTreeMap<String, StoredColumn>,
    #[serde(default)]
    contents: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredColumn {
    numbers: u64,
    #[serde(default)]
    sums: u64,
    /// Sixteen hexadecimal digits for each.
    cuts: String,
}

impl Stored {
    fn of(released: &Released) -> Self {
        let column = |(name, column): (&String, &OfColumn)| {
            (
                name.clone(),
                StoredColumn { numbers: column.numbers, sums: column.sums, cuts: written(&column.cuts) },
            )
        };
        Self {
            table: released.table.clone(),
            partner: released.partner.clone(),
            ids: released.ids,
            columns: released.columns.iter().map(column).collect(),
            contents: released.contents.clone(),
        }
    }

    fn released(self) -> Option<Released> {
        let column = |(name, StoredColumn { numbers, sums, cuts }): (String, StoredColumn)| {
            Some((name, OfColumn { numbers, sums, cuts: numbers_of(&cuts)? }))
        };
        Some(Released {
            table: self.table,
            partner: self.partner,
            ids: self.ids,
            columns: self.columns.into_iter().map(column).collect::<Option<_>>()?,
            contents: self.contents,
        })
    }
}

fn written(cuts: &[f64]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(cuts.len() * 16);
    for bits in cuts.iter().map(|cut| cut.to_bits()) {
        text.extend((0..16).map(|at| char::from(DIGITS[(bits >> (60 - 4 * at) & 15) as usize])));
    }
    text
}

fn numbers_of(cuts: &str) -> Option<Vec<f64>> {
    let (numbers, rest) = cuts.as_bytes().as_chunks::<16>();
    let bits = |digits: &[u8; 16]| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
    let numbers = numbers.iter().map(|digits| bits(digits).map(f64::from_bits));
    let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
    let is_ascending = numbers.windows(2).all(|pair| pair[0].total_cmp(&pair[1]).is_lt());
    (rest.is_empty() && is_ascending).then_some(numbers)
}

/// The file of a ledger.
pub(super) fn path_in(folder: &Path) -> PathBuf {
    folder.join("ledger.jsonl")
}

/// What earlier versions wrote: a list of all entries.
fn earlier_in(folder: &Path) -> PathBuf {
    folder.join("ledger.json")
}

fn damaged(path: &Path) -> Error {
    let text = format!(
        "{} is damaged; restore it from a backup, or forget all releases with `tributary limits reset`",
        path.display()
    );
    Error::new(ErrorKind::Corrupt, text)
}

impl Ledger {
    pub(super) fn entries(&self) -> impl Iterator<Item = &Released> {
        self.entries.values()
    }

    pub(super) fn entry(&self, table: &str, partner: &PartyId) -> Option<&Released> {
        self.entries.get(&(table.to_owned(), partner.clone()))
    }

    /// Reads what was added since.
    pub(super) fn refresh(&mut self, folder: &Path) -> Result<()> {
        let read = self.read_on(folder);
        if read.is_err() {
            *self = Self::default();
        }
        read
    }

    fn read_on(&mut self, folder: &Path) -> Result<()> {
        let path = path_in(folder);
        let at = || format!("read {}", path.display());
        let found = match fs::metadata(&path) {
            Ok(found) => found,
            Err(e) if e.kind() == Io::NotFound => return self.read_earlier(folder),
            Err(e) => return Err(Error::from(e).at(at())),
        };
        let mut file = match self.file.take() {
            Some(file) if is_same(&file, &found).at(at)? && found.len() >= self.read => file,
            _ => {
                *self = Self::default();
                File::open(&path).at(at)?
            }
        };
        let mut added = Vec::new();
        file.seek(SeekFrom::Start(self.read)).and_then(|_| file.read_to_end(&mut added)).at(at)?;
        let whole = added.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        for line in added[..whole].split_inclusive(|byte| *byte == b'\n') {
            let stored: Vec<Stored> = serde_json::from_slice(line).map_err(|e| damaged(&path).because(e))?;
            let added: Option<Vec<Released>> = stored.into_iter().map(Stored::released).collect();
            self.add(added.ok_or_else(|| damaged(&path))?);
            self.lines += 1;
        }
        self.read += whole as u64;
        self.file = Some(file);
        Ok(())
    }

    fn read_earlier(&mut self, folder: &Path) -> Result<()> {
        *self = Self::default();
        let path = earlier_in(folder);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == Io::NotFound => return Ok(()),
            Err(e) => return Err(Error::from(e).at(format!("read {}", path.display()))),
        };
        self.add(serde_json::from_slice(&bytes).map_err(|e| damaged(&path).because(e))?);
        Ok(())
    }

    fn add(&mut self, more: Vec<Released>) {
        for more in more {
            let key = (more.table.clone(), more.partner.clone());
            self.entries.entry(key).or_insert_with(|| Released::new(&more.table, &more.partner)).add(more);
        }
    }

    /// Adds to entries, durably when it returns. The caller holds the folder's lock and has refreshed.
    pub(super) fn append(&mut self, folder: &Path, more: Vec<Released>) -> Result<()> {
        if self.file.is_none() || self.lines >= MOST_LINES {
            self.add(more);
            let all: Vec<Released> = std::mem::take(&mut self.entries).into_values().collect();
            return self.replace(folder, all);
        }
        let (path, line) = (path_in(folder), encoded(&more)?);
        let write = || -> io::Result<()> {
            let mut file = File::options().write(true).open(&path)?;
            file.set_len(self.read)?;
            file.seek(SeekFrom::Start(self.read))?;
            file.write_all(&line)?;
            file.sync_all()
        };
        write().at(|| format!("write {}", path.display()))?;
        self.read += line.len() as u64;
        self.lines += 1;
        self.add(more);
        Ok(())
    }

    /// Writes the file anew with these entries. The caller holds the folder's lock.
    pub(super) fn replace(&mut self, folder: &Path, all: Vec<Released>) -> Result<()> {
        *self = Self::default();
        let (path, beside, line) = (path_in(folder), folder.join("ledger.jsonl.new"), encoded(&all)?);
        let write = || -> io::Result<File> {
            let mut file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(&line)?;
            file.sync_all()?;
            fs::rename(&beside, &path)?;
            File::open(folder)?.sync_all()?;
            Ok(file)
        };
        let file = write().at(|| format!("write {}", path.display()))?;
        // After its successor is there for good.
        match fs::remove_file(earlier_in(folder)) {
            Err(e) if e.kind() != Io::NotFound => {
                return Err(e).at(|| format!("remove {}", earlier_in(folder).display()));
            }
            _ => {}
        }
        *self = Self { file: Some(file), read: line.len() as u64, lines: 1, ..Self::default() };
        self.add(all);
        Ok(())
    }
}

fn is_same(file: &File, found: &fs::Metadata) -> io::Result<bool> {
    let open = file.metadata()?;
    Ok((open.dev(), open.ino()) == (found.dev(), found.ino()))
}

fn encoded(released: &[Released]) -> Result<Vec<u8>> {
    let stored: Vec<Stored> = released.iter().map(Stored::of).collect();
    let mut line = serde_json::to_vec(&stored).map_err(|e| Error::bug("encode releases").because(e))?;
    line.push(b'\n');
    Ok(line)
}
