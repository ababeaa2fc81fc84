//! External sorting: sorted runs go to a temporary file without a name, and are merged when they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tributary_core::{Result, ResultExt};

use crate::input::temporary;

/// Bytes read at once from each run.
const RUN_BYTES: usize = 64 << 10;

/// An entry; entries are sorted by hash, then by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry<P> {
    pub hash: u64,
    pub row: u64,
    pub payload: P,
}

/// The payload of an entry.
pub(crate) trait Payload: Sized {
    /// Its memory in bytes, beyond the entry itself.
    fn bytes(&self) -> usize;
    fn write(&self, to: &mut dyn Write) -> io::Result<()>;
    fn read(from: &mut dyn Read) -> io::Result<Self>;
}

impl Payload for () {
    fn bytes(&self) -> usize {
        0
    }

    fn write(&self, _: &mut dyn Write) -> io::Result<()> {
        Ok(())
    }

    fn read(_: &mut dyn Read) -> io::Result<Self> {
        Ok(())
    }
}

/// Reads a little-endian number.
pub(crate) fn read_u64(from: &mut dyn Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// Accepts entries in any order.
#[derive(Debug)]
pub(crate) struct Sorter<P> {
    entries: Vec<Entry<P>>,
    /// Memory of their payloads.
    payload_bytes: usize,
    most_bytes: usize,
    scratch: PathBuf,
    spilled: Option<Spilled>,
}

#[derive(Debug)]
struct Spilled {
    file: Arc<File>,
    runs: Vec<Range<u64>>,
}

impl<P: Payload> Sorter<P> {
    /// Keeps about this many bytes in memory, and the rest in files in the folder `scratch`.
    pub fn new(most_bytes: usize, scratch: &Path) -> Self {
        Self { entries: Vec::new(), payload_bytes: 0, most_bytes, scratch: scratch.into(), spilled: None }
    }

    /// Adds an entry. Errors: those of the disk.
    #[inline]
    pub fn push(&mut self, hash: u64, row: u64, payload: P) -> Result<()> {
        self.payload_bytes += payload.bytes();
        self.entries.push(Entry { hash, row, payload });
        if self.entries.len() * size_of::<Entry<P>>() + self.payload_bytes >= self.most_bytes {
            self.spill().at(|| format!("sort ids in a temporary file in {}", self.scratch.display()))?;
        }
        Ok(())
    }

    fn sort(&mut self) {
        self.entries.sort_unstable_by_key(|entry| (entry.hash, entry.row));
    }

    fn spill(&mut self) -> Result<()> {
        self.sort();
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled { file: Arc::new(temporary(&self.scratch)?), runs: Vec::new() }),
        };
        let begin = spilled.runs.last().map_or(0, |run| run.end);
        let mut out =
            BufWriter::with_capacity(1 << 20, At { file: spilled.file.clone(), range: begin..u64::MAX });
        for Entry { hash, row, payload } in self.entries.drain(..) {
            out.write_all(&hash.to_le_bytes())?;
            out.write_all(&row.to_le_bytes())?;
            payload.write(&mut out)?;
        }
        out.flush()?;
        spilled.runs.push(begin..out.get_ref().range.start);
        self.payload_bytes = 0;
        Ok(())
    }

    fn into_runs(mut self) -> impl Iterator<Item = Run<P>> {
        self.sort();
        let spilled = self.spilled.into_iter().flat_map(|spilled| {
            let file = spilled.file;
            spilled.runs.into_iter().map(move |range| {
                Run::Spilled(BufReader::with_capacity(RUN_BYTES, At { file: file.clone(), range }))
            })
        });
        spilled.chain([Run::Kept(self.entries.into_iter())])
    }
}

/// A sorted run.
enum Run<P> {
    Kept(std::vec::IntoIter<Entry<P>>),
    Spilled(BufReader<At>),
}

impl<P: Payload> Run<P> {
    fn next(&mut self) -> io::Result<Option<Entry<P>>> {
        match self {
            Self::Kept(entries) => Ok(entries.next()),
            Self::Spilled(from) => {
                if io::BufRead::fill_buf(from)?.is_empty() {
                    return Ok(None);
                }
                let (hash, row) = (read_u64(from)?, read_u64(from)?);
                Ok(Some(Entry { hash, row, payload: P::read(from)? }))
            }
        }
    }
}

/// The entries of several sorters, in order.
pub(crate) struct Merged<P> {
    runs: Vec<Run<P>>,
    /// The next payload of each run.
    payloads: Vec<Option<P>>,
    /// The next entry of each run that has one, the smallest first.
    heap: BinaryHeap<Reverse<(u64, u64, usize)>>,
}

impl<P: Payload> Merged<P> {
    pub fn of(sorters: Vec<Sorter<P>>) -> Result<Self> {
        let mut runs: Vec<Run<P>> = sorters.into_iter().flat_map(Sorter::into_runs).collect();
        let (mut payloads, mut heap) = (Vec::new(), BinaryHeap::new());
        for (i, run) in runs.iter_mut().enumerate() {
            let first = run.next().at(reading)?;
            payloads.push(first.map(|first| {
                heap.push(Reverse((first.hash, first.row, i)));
                first.payload
            }));
        }
        Ok(Self { runs, payloads, heap })
    }

    pub fn next(&mut self) -> Result<Option<Entry<P>>> {
        let Some(mut top) = self.heap.peek_mut() else { return Ok(None) };
        let Reverse((hash, row, i)) = *top;
        let payload = self.payloads[i].take();
        match self.runs[i].next().at(reading)? {
            Some(next) => {
                *top = Reverse((next.hash, next.row, i));
                self.payloads[i] = Some(next.payload);
            }
            None => drop(PeekMut::pop(top)),
        }
        Ok(payload.map(|payload| Entry { hash, row, payload }))
    }
}

fn reading() -> &'static str {
    "read a temporary file back"
}

/// A range of a file that several runs share.
#[derive(Debug)]
struct At {
    file: Arc<File>,
    range: Range<u64>,
}

impl Read for At {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let most = (self.range.end - self.range.start).min(to.len() as u64) as usize;
        let n = self.file.read_at(&mut to[..most], self.range.start)?;
        self.range.start += n as u64;
        Ok(n)
    }
}

impl Write for At {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write_at(bytes, self.range.start)?;
        self.range.start += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl Payload for String {
        fn bytes(&self) -> usize {
            self.len()
        }

        fn write(&self, to: &mut dyn Write) -> io::Result<()> {
            to.write_all(&(self.len() as u64).to_le_bytes())?;
            to.write_all(self.as_bytes())
        }

        fn read(from: &mut dyn Read) -> io::Result<Self> {
            let mut bytes = vec![0; read_u64(from)? as usize];
            from.read_exact(&mut bytes)?;
            String::from_utf8(bytes).map_err(io::Error::other)
        }
    }

    proptest! {
        #[test]
        fn entries_come_back_sorted_whatever_the_memory(
            hashes in proptest::collection::vec((0u64..20, ".{0,5}"), 0..200),
            most_bytes in 1usize..2000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut sorters: Vec<_> = (0..3).map(|_| Sorter::new(most_bytes, folder.path())).collect();
            let mut expected = Vec::new();
            for (row, (hash, payload)) in hashes.into_iter().enumerate() {
                let row = row as u64;
                sorters[(hash + row) as usize % 3].push(hash, row, payload.clone()).unwrap();
                expected.push(Entry { hash, row, payload });
            }
            expected.sort_by_key(|entry| (entry.hash, entry.row));
            let mut merged = Merged::of(sorters).unwrap();
            let mut found = Vec::new();
            while let Some(entry) = merged.next().unwrap() {
                found.push(entry);
            }
            prop_assert_eq!(found, expected);
            prop_assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_disk_that_cannot_be_written_is_an_error() {
        let mut sorter = Sorter::new(1, Path::new("/proc/nowhere"));
        let error = sorter.push(1, 1, ()).unwrap_err().to_string();
        assert!(error.starts_with("sort ids in a temporary file in /proc/nowhere"), "{error}");
    }
}
