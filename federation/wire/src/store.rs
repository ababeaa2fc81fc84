//! Values that have come, or are coming, and are not pulled yet: in memory, and beyond a bound on disk.
//!
//! A frame goes to disk as it came: sealed under keys that only this process has, in a file that has no name. So nothing
//! readable is stored there, and nothing remains however the process ends. Writing a frame to the system's page cache
//! takes less time than handing it to another thread, so it is done in place.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tributary_core::federation::Slot;
use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::frame::Last;

/// What a kept piece costs besides its bytes.
const PIECE_COST_BYTES: u64 = 128;

/// Most values of one peer that wait to be pulled; each takes a few KiB with the longest slot.
const MAX_VALUES: usize = 1 << 14;

/// What one session may keep, over all its peers.
#[derive(Debug)]
pub(crate) struct Budget {
    pub memory_bytes: u64,
    pub memory_used: AtomicU64,
    /// Each peer has its own share, so that the one that fills it is the one that is named.
    pub peer_disk_bytes: u64,
    /// Where; else the system's place for temporary files.
    pub folder: Option<PathBuf>,
}

impl Budget {
    fn take(used: &AtomicU64, bytes: u64, limit: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= limit);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// The values of one peer.
#[derive(Debug)]
pub(crate) struct Store {
    budget: Arc<Budget>,
    values: HashMap<u64, Value>,
    /// Values that wait to be pulled.
    waiting: HashMap<Slot, u64>,
    /// All slots that the peer ever used.
    used: HashSet<Slot>,
    spill: Spill,
}

#[derive(Debug)]
struct Value {
    slot: Slot,
    pieces: VecDeque<Piece>,
    bytes: u64,
    last: Option<Last>,
    /// It will not be read: its pieces are dropped as they come.
    abandoned: bool,
}

#[derive(Debug)]
enum Piece {
    Memory(Bytes),
    Disk(Place),
}

/// The next part of a value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Piece(Bytes),
    /// A frame from disk, to be opened again.
    Sealed(Bytes),
    /// There is no more.
    End(Last),
}

impl Store {
    pub(crate) fn new(budget: Arc<Budget>) -> Self {
        let (values, waiting, used) = (HashMap::new(), HashMap::new(), HashSet::new());
        Self { budget, values, waiting, used, spill: Spill::default() }
    }

    /// A value begins.
    pub(crate) fn begin(&mut self, number: u64, slot: Slot) -> Result<()> {
        if self.waiting.len() >= MAX_VALUES {
            return Err(exhausted(format!(
                "{MAX_VALUES} values wait to be pulled, which is the most that one peer may have"
            )));
        }
        if !self.used.insert(slot.clone()) {
            return Err(Error::new(ErrorKind::Corrupt, format!("slot {slot} was used twice")));
        }
        self.waiting.insert(slot.clone(), number);
        let value = Value { slot, pieces: VecDeque::new(), bytes: 0, last: None, abandoned: false };
        self.values.insert(number, value);
        Ok(())
    }

    /// A piece came, in order; `sealed` is the frame it came in. Returns the value's slot.
    pub(crate) fn add(
        &mut self,
        number: u64,
        piece: Bytes,
        last: Option<Last>,
        sealed: &Bytes,
    ) -> Result<Slot> {
        let value = self.values.get_mut(&number).filter(|v| v.last.is_none());
        let value = value.ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupt,
                format!("frame {number} is continued, but began nothing or has ended"),
            )
        })?;
        let slot = value.slot.clone();
        value.bytes += piece.len() as u64;
        value.last = last;
        if let Some(Last::Whole { bytes }) = last
            && bytes != value.bytes
        {
            let text = format!("slot {slot} has {} bytes, its sender says {bytes}", value.bytes);
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        if value.abandoned {
            if last.is_some() {
                self.values.remove(&number);
            }
        } else if !piece.is_empty() {
            let piece = if Budget::take(&self.budget.memory_used, cost(&piece), self.budget.memory_bytes) {
                Piece::Memory(piece)
            } else {
                Piece::Disk(self.spill.write(sealed, &self.budget).at(|| format!("keep slot {slot}"))?)
            };
            value.pieces.push_back(piece);
        }
        Ok(slot)
    }

    /// The number of the value in a slot, if it has begun; no later call gets it.
    pub(crate) fn claim(&mut self, slot: &Slot) -> Option<u64> {
        self.waiting.remove(slot)
    }

    /// The next part of a claimed value; `None` if it has not come yet.
    pub(crate) fn take(&mut self, number: u64) -> Option<Result<Taken>> {
        let value = self.values.get_mut(&number)?;
        match value.pieces.pop_front() {
            Some(Piece::Memory(piece)) => {
                self.budget.memory_used.fetch_sub(cost(&piece), Ordering::Relaxed);
                Some(Ok(Taken::Piece(piece)))
            }
            Some(Piece::Disk(place)) => Some(self.spill.read(place).map(Taken::Sealed)),
            None => value.last.map(|last| Ok(Taken::End(last))),
        }
    }

    /// A claimed value is not read any further.
    pub(crate) fn abandon(&mut self, number: u64) {
        let Some(value) = self.values.get_mut(&number) else { return };
        for piece in value.pieces.drain(..) {
            match piece {
                Piece::Memory(piece) => {
                    self.budget.memory_used.fetch_sub(cost(&piece), Ordering::Relaxed);
                }
                Piece::Disk(_) => self.spill.free(),
            }
        }
        value.abandoned = true;
        if value.last.is_some() {
            self.values.remove(&number);
        }
    }

    /// Frees everything.
    pub(crate) fn clear(&mut self) {
        let numbers: Vec<u64> = self.values.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.abandon(number));
        self.waiting.clear();
    }
}

fn cost(piece: &Bytes) -> u64 {
    piece.len() as u64 + PIECE_COST_BYTES
}

fn exhausted(text: String) -> Error {
    Error::new(ErrorKind::Exhausted, text)
}

#[derive(Debug, Clone, Copy)]
struct Place {
    at: u64,
    bytes: u32,
}

/// A file without a name that grows while frames in it are wanted.
#[derive(Debug, Default)]
struct Spill {
    file: Option<File>,
    end: u64,
    frames: u64,
}

impl Spill {
    fn write(&mut self, frame: &Bytes, budget: &Budget) -> Result<Place> {
        let length = frame.len() as u64;
        // The file does not shrink, so all that was ever written to it counts.
        if self.end.checked_add(length).is_none_or(|end| end > budget.peer_disk_bytes) {
            return Err(exhausted(format!(
                "values that wait to be pulled take {} bytes of disk, the share of a peer is {}",
                self.end, budget.peer_disk_bytes
            )));
        }
        let made = match &budget.folder {
            _ if self.file.is_some() => Ok(None),
            Some(folder) => tempfile::tempfile_in(folder).map(Some),
            None => tempfile::tempfile().map(Some),
        };
        if let Some(file) = made.at(|| "make a temporary file")? {
            self.file = Some(file);
        }
        let place = Place { at: self.end, bytes: frame.len() as u32 };
        self.file()?.seek(SeekFrom::Start(place.at)).at(|| "write a temporary file")?;
        self.file()?.write_all(frame).at(|| "write a temporary file")?;
        self.end += length;
        self.frames += 1;
        Ok(place)
    }

    fn read(&mut self, place: Place) -> Result<Bytes> {
        let mut frame = vec![0; place.bytes as usize];
        self.file()?.seek(SeekFrom::Start(place.at)).at(|| "read a temporary file")?;
        self.file()?.read_exact(&mut frame).at(|| "read a temporary file")?;
        self.free();
        Ok(frame.into())
    }

    /// A frame is not wanted any more. Once none is, the file is dropped and with it its place on the disk.
    fn free(&mut self) {
        self.frames -= 1;
        if self.frames == 0 {
            *self = Self::default();
        }
    }

    fn file(&mut self) -> Result<&mut File> {
        self.file.as_mut().ok_or_else(|| Error::bug("a frame on disk, but no file"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(memory_bytes: u64, disk_bytes: u64) -> Store {
        let memory_used = AtomicU64::new(0);
        Store::new(Arc::new(Budget { memory_bytes, memory_used, peer_disk_bytes: disk_bytes, folder: None }))
    }

    fn used(store: &Store) -> (u64, u64) {
        (store.budget.memory_used.load(Ordering::Relaxed), store.spill.end)
    }

    fn add(store: &mut Store, number: u64, piece: &'static [u8], last: Option<Last>) -> Result<Slot> {
        let sealed = Bytes::from([b"sealed ", piece].concat());
        store.add(number, Bytes::from_static(piece), last, &sealed)
    }

    #[test]
    fn beyond_the_bound_sealed_frames_go_to_disk_and_come_back_in_order() {
        let mut store = store(PIECE_COST_BYTES + 2, 1000);
        store.begin(4, Slot::new("x")).unwrap();
        add(&mut store, 4, b"ab", None).unwrap();
        add(&mut store, 4, b"cd", None).unwrap();
        add(&mut store, 4, b"ef", Some(Last::Whole { bytes: 6 })).unwrap();
        assert_eq!(used(&store), (PIECE_COST_BYTES + 2, 18));
        assert_eq!(store.claim(&Slot::new("x")), Some(4));
        let mut taken = || store.take(4).unwrap().unwrap();
        assert_eq!(taken(), Taken::Piece(Bytes::from_static(b"ab")));
        assert_eq!(taken(), Taken::Sealed(Bytes::from_static(b"sealed cd")));
        assert_eq!(taken(), Taken::Sealed(Bytes::from_static(b"sealed ef")));
        assert_eq!(taken(), Taken::End(Last::Whole { bytes: 6 }));
        assert_eq!(used(&store), (0, 0));
        assert!(store.spill.file.is_none());
    }

    #[test]
    fn a_full_disk_budget_is_an_error() {
        let mut store = store(0, 10);
        store.begin(0, Slot::new("x")).unwrap();
        add(&mut store, 0, b"ab", None).unwrap();
        assert_eq!(add(&mut store, 0, b"ab", None).unwrap_err().kind(), ErrorKind::Exhausted);
    }

    #[test]
    fn a_slot_twice_a_wrong_length_and_pieces_of_nothing_are_corrupt() {
        let mut store = store(1000, 0);
        store.begin(0, Slot::new("x")).unwrap();
        let corrupt = |r: Result<()>| assert_eq!(r.unwrap_err().kind(), ErrorKind::Corrupt);
        corrupt(store.begin(1, Slot::new("x")));
        corrupt(add(&mut store, 1, b"a", None).map(drop));
        corrupt(add(&mut store, 0, b"a", Some(Last::Whole { bytes: 2 })).map(drop));
        corrupt(add(&mut store, 0, b"b", None).map(drop));
    }

    #[test]
    fn abandoned_values_cost_nothing_and_are_forgotten_at_their_end() {
        let mut store = store(PIECE_COST_BYTES + 2, 1000);
        store.begin(0, Slot::new("x")).unwrap();
        add(&mut store, 0, b"ab", None).unwrap();
        add(&mut store, 0, b"cd", None).unwrap();
        store.claim(&Slot::new("x")).unwrap();
        store.abandon(0);
        add(&mut store, 0, b"ef", None).unwrap();
        assert_eq!(used(&store), (0, 0));
        add(&mut store, 0, b"", Some(Last::Whole { bytes: 6 })).unwrap();
        assert!(store.values.is_empty());
        store.begin(9, Slot::new("y")).unwrap();
        add(&mut store, 9, b"ab", None).unwrap();
        store.clear();
        assert_eq!(used(&store), (0, 0));
    }
}
