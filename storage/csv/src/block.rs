//! Files to blocks of whole records, so that many threads can read one file.
//!
//! The start of a record is known only from the file's beginning: a line end within quotes ends no record. But each quote
//! opens or closes (a doubled one does both), so the *number* of quotes before a place decides whether it is within quotes.
//! Every thread counts the quotes of its own chunk, and waits until the chunks before it are counted, which is a hundredth
//! of the work. In a file that breaks the rules of quotes the count is wrong from that place on, but the first break is an
//! error that ends the reading, and all blocks before it are right.

use std::ops::Range;
use std::sync::{Condvar, Mutex};

use memchr::{memchr_iter, memchr2_iter};
use tributary_core::media::Source;
use tributary_core::{Error, ErrorKind, Result};

use crate::records::Quoting;

/// Records of up to this many bytes are accepted; longer ones are refused, so that a wrong quote cannot fill memory.
pub const MAX_RECORD_BYTES: usize = 16 << 20;
/// Bytes of a file that one thread reads at once. Few enough to stay in the cache.
pub const CHUNK_BYTES: u64 = 1 << 20;
/// Bytes read at once to find the end of a chunk's last record.
const TAIL_BYTES: usize = 64 << 10;

/// Records of a file, one after another.
#[derive(Debug)]
pub struct Block {
    /// The bytes, as in the file.
    pub bytes: Vec<u8>,
    /// Its offset in the file.
    pub byte: u64,
    /// Line of its first byte.
    pub line: u64,
    /// Whether its last record ends within the block. If not, that record is longer than the limit.
    pub whole: bool,
}

/// A byte range of a file, cut regardless of records.
#[derive(Debug, Clone, Copy)]
pub struct Chunk {
    /// The index of the file.
    pub file: usize,
    /// Its first byte.
    pub from: u64,
    /// The byte after its last.
    pub to: u64,
    /// Whether a record begins at `from`.
    pub is_first: bool,
    /// Whether the file ends at `to`.
    pub is_last: bool,
}

/// All chunks of all files, in order.
#[derive(Debug)]
pub struct Chunks {
    /// For each file: where its records begin, its bytes, and the number of its first chunk.
    files: Vec<(u64, u64, usize)>,
    count: usize,
    chunk_bytes: u64,
}

impl Chunks {
    /// `files`: where the records of each begin, and its bytes.
    pub fn new(files: impl Iterator<Item = (u64, u64)>, chunk_bytes: u64) -> Self {
        let (mut count, mut first) = (0, Vec::new());
        for (from, bytes) in files {
            first.push((from, bytes, count));
            count += (bytes.saturating_sub(from)).div_ceil(chunk_bytes) as usize;
        }
        Self { files: first, count, chunk_bytes }
    }

    /// The number of chunks.
    pub fn count(&self) -> usize {
        self.count
    }

    /// A chunk, by its number below [`Chunks::count`].
    pub fn get(&self, index: usize) -> Chunk {
        let file = self.files.partition_point(|(_, _, first)| *first <= index) - 1;
        let (from, bytes, first) = self.files[file];
        let begin = from + (index - first) as u64 * self.chunk_bytes;
        let end = (begin + self.chunk_bytes).min(bytes);
        Chunk { file, from: begin, to: end, is_first: index == first, is_last: end == bytes }
    }
}

/// Decides for each chunk, in order, whether it begins within quotes. Without quoting, no thread waits.
#[derive(Debug)]
pub struct Turns {
    quoting: Quoting,
    state: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Turn {
    next: usize,
    quoted: bool,
    ended: bool,
}

impl Turns {
    /// For files with this quoting; the first chunk has the first turn.
    pub fn new(quoting: Quoting) -> Self {
        Self { quoting, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Waits for the chunks before this one. `odd`: it has an odd number of quotes.
    fn take(&self, index: usize, chunk: &Chunk, odd: bool) -> Result<bool> {
        if self.quoting == Quoting::None {
            return Ok(false);
        }
        let mut turn = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        while turn.next != index && !turn.ended {
            turn = self.changed.wait(turn).unwrap_or_else(|poisoned| poisoned.into_inner());
        }
        if turn.ended {
            return Err(Error::new(ErrorKind::Cancelled, "another thread stopped the reading"));
        }
        let quoted = turn.quoted && !chunk.is_first;
        (turn.next, turn.quoted) = (index + 1, quoted ^ odd);
        drop(turn);
        self.changed.notify_all();
        Ok(quoted)
    }

    /// Lets the other threads continue when a chunk cannot be read: chunks after it do not count.
    pub fn pass(&self, index: usize, chunk: &Chunk) {
        self.take(index, chunk, false).ok();
    }

    /// No more chunks will be counted.
    pub fn end(&self) {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).ended = true;
        self.changed.notify_all();
    }
}

/// The records that begin in a chunk (after its first byte, unless it is a file's first chunk, and up to the first byte of
/// the next chunk), if there are any. Their line is not known yet.
pub fn block(
    file: &dyn Source,
    chunk: &Chunk,
    index: usize,
    turns: &Turns,
    mut bytes: Vec<u8>,
) -> Result<Option<Block>> {
    let quoting = turns.quoting;
    bytes.clear();
    bytes.resize((chunk.to - chunk.from) as usize, 0);
    file.read_at(chunk.from, &mut bytes).inspect_err(|_| turns.pass(index, chunk))?;
    let (mut quoted, mut quoted_after) = (false, false);
    if quoting == Quoting::Rfc4180 {
        let odd = memchr_iter(b'"', &bytes).count() % 2 == 1;
        quoted = turns.take(index, chunk, odd)?;
        quoted_after = quoted ^ odd;
    }
    let begin = match chunk.is_first {
        true => 0,
        false => match border(&bytes, &mut quoted, quoting) {
            Some(begin) => begin,
            None => return Ok(None), // within a record that began earlier
        },
    };
    let whole = chunk.is_last || append_tail(file, chunk.to, &mut bytes, quoted_after, quoting)?;
    bytes.drain(..begin);
    if bytes.is_empty() {
        return Ok(None);
    }
    Ok(Some(Block { bytes, byte: chunk.from + begin as u64, line: 0, whole }))
}

/// Reads on to the end of the record at the end of `bytes`; false if that is too far away.
fn append_tail(
    file: &dyn Source,
    mut from: u64,
    bytes: &mut Vec<u8>,
    mut quoted: bool,
    quoting: Quoting,
) -> Result<bool> {
    let most = bytes.len() + MAX_RECORD_BYTES;
    while from < file.bytes() && bytes.len() < most {
        let old = bytes.len();
        let wanted = (file.bytes() - from).min(TAIL_BYTES as u64) as usize;
        bytes.resize(old + wanted, 0);
        file.read_at(from, &mut bytes[old..])?;
        if let Some(end) = border(&bytes[old..], &mut quoted, quoting) {
            bytes.truncate(old + end);
            return Ok(true);
        }
        from += wanted as u64;
    }
    Ok(from == file.bytes())
}

/// Where the first record after the first byte begins. `quoted`: whether the bytes begin within quotes; set to whether they
/// end so.
fn border(bytes: &[u8], quoted: &mut bool, quoting: Quoting) -> Option<usize> {
    if quoting == Quoting::None {
        return memchr::memchr(b'\n', bytes).map(|end| end + 1);
    }
    for i in memchr2_iter(b'"', b'\n', bytes) {
        match bytes[i] {
            b'"' => *quoted = !*quoted,
            _ if !*quoted => return Some(i + 1),
            _ => {}
        }
    }
    None
}

/// A block whose place is known.
pub fn known(file: &dyn Source, range: Range<u64>, line: u64, mut bytes: Vec<u8>) -> Result<Block> {
    bytes.clear();
    bytes.resize((range.end - range.start) as usize, 0);
    file.read_at(range.start, &mut bytes)?;
    Ok(Block { bytes, byte: range.start, line, whole: true })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tributary_system::LocalFile;

    use super::*;
    use crate::records::{Dialect, Records};

    fn open(text: &[u8]) -> (tempfile::TempDir, LocalFile) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        std::fs::write(&path, text).unwrap();
        (folder, reopen(&path))
    }

    fn reopen(path: &std::path::Path) -> LocalFile {
        LocalFile::new(std::fs::File::open(path).unwrap(), "rows.csv").unwrap()
    }

    /// Values of all records with the bytes that they take, up to the first fault.
    fn read(file: &dyn Source, chunk_bytes: u64, quoting: Quoting) -> (Vec<(Range<u64>, String)>, bool) {
        let chunks = Chunks::new([(0, file.bytes())].into_iter(), chunk_bytes);
        let (turns, mut found) = (Turns::new(quoting), Vec::new());
        let mut records = Records::new(Dialect::new(b',', quoting).unwrap());
        for index in 0..chunks.count() {
            let memory = records.unload();
            let Some(block) = block(file, &chunks.get(index), index, &turns, memory).unwrap() else {
                continue;
            };
            records.load(block);
            loop {
                match records.advance() {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(_) => return (found, false),
                }
                let values: Vec<&str> = (0..records.width()).map(|i| records.get(i)).collect();
                found.push((records.span(), values.join("|")));
            }
        }
        (found, true)
    }

    proptest! {
        #[test]
        fn chunks_have_the_records_of_the_whole_file(
            text in proptest::collection::vec(proptest::sample::select(b"ab,\"\"\n\n\r".to_vec()), 1..120),
            chunk_bytes in 1u64..40,
            quoted in any::<bool>(),
        ) {
            let quoting = if quoted { Quoting::Rfc4180 } else { Quoting::None };
            let (_folder, file) = open(&text);
            prop_assert_eq!(read(&file, chunk_bytes, quoting), read(&file, 1000, quoting));
        }

        #[test]
        fn chunks_of_well_formed_files_have_all_records(
            rows in proptest::collection::vec(proptest::collection::vec("[a\",\n\r]{0,9}", 2), 1..12),
            chunk_bytes in 1u64..40,
        ) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            rows.iter().for_each(|row| writer.write_record(row).unwrap());
            let (_folder, file) = open(&writer.into_inner().unwrap());
            let (found, ended_well) = read(&file, chunk_bytes, Quoting::Rfc4180);
            let found: Vec<String> = found.into_iter().map(|(_, values)| values).collect();
            let rows: Vec<String> = rows.iter().map(|row| row.join("|")).collect();
            prop_assert!(ended_well);
            prop_assert_eq!(found, rows);
        }
    }

    #[test]
    fn a_record_without_an_end_is_not_read_beyond_the_limit() {
        for begin in ["id\nx", "id\n\"x\n"] {
            let (folder, file) = open(begin.as_bytes());
            // a sparse gigabyte after it takes no disk space
            let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
            std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 30).unwrap();
            drop(file);
            let file = reopen(&path);
            let chunks = Chunks::new([(0, file.bytes())].into_iter(), CHUNK_BYTES);
            let first = block(&file, &chunks.get(0), 0, &Turns::new(Quoting::Rfc4180), Vec::new());
            let first = first.unwrap().unwrap();
            assert!(!first.whole);
            assert!(first.bytes.len() <= CHUNK_BYTES as usize + MAX_RECORD_BYTES + TAIL_BYTES);
        }
    }

    #[test]
    fn a_chunk_that_cannot_be_read_blocks_no_thread() {
        for quoting in [Quoting::Rfc4180, Quoting::None] {
            let (folder, file) = open(b"a,b\nc,d\n");
            let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
            let (chunks, turns) = (Chunks::new([(0, file.bytes())].into_iter(), 4), Turns::new(quoting));
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(4).unwrap();
            let look = |index| block(&file, &chunks.get(index), index, &turns, Vec::new());
            let (first, second) = std::thread::scope(|scope| {
                // the second is asked for first, and where quotes count it waits
                let second = scope.spawn(|| look(1));
                (look(0), second.join().unwrap())
            });
            assert!(second.unwrap_err().to_string().contains("changed while it was read"));
            assert!(first.is_err(), "it ends within the second");
        }
    }
}
