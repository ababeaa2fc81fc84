//! A file in a byte store, read by position.
//!
//! A format reads a header, a page, the next header: thousands of small reads, each of which would wait for a network. So it says beforehand what it
//! will read ([`Source::expect`]), and that is fetched in pieces, the next ones while one is read. Ranges that lie side by side are fetched as one.
//! Memory is bounded: what was used longest ago goes first, and is fetched again if it is wanted after all.
//!
//! **Every answer says of which state of the file it is**, so that a file that is replaced in the meantime is an error, never a mixture.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use crate::bytestore::{ByteStore, FileState};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::media::{Source, coalesce, wait};

/// Ranges closer than this are fetched as one.
const GAP_BYTES: u64 = 64 << 10;
/// Largest piece: long enough that a line is busy while one waits for the next answer.
const PIECE_BYTES: u64 = 8 << 20;
/// Smallest piece, where many columns are read at once.
const LEAST_PIECE_BYTES: u64 = 64 << 10;
/// What one reader keeps in memory.
const KEPT_BYTES: u64 = 64 << 20;
/// Pieces after the one that is read that are on their way.
const AHEAD: usize = 2;

/// See the module.
pub struct Distant {
    store: Arc<dyn ByteStore>,
    path: String,
    name: String,
    state: FileState,
    plan: Mutex<Plan>,
    changed: Arc<AtomicBool>,
}

#[derive(Default)]
struct Plan {
    /// In order, none overlapping.
    pieces: Vec<Piece>,
    /// Bytes of those that were asked for, and the most that may be.
    kept: u64,
    most: u64,
    uses: u64,
}

struct Piece {
    range: Range<u64>,
    fetch: Option<Fetch>,
    used: u64,
}

type Fetch = Shared<BoxFuture<'static, Result<Bytes, Arc<Error>>>>;

impl Distant {
    /// A file by its path in a store. `address`: what messages call it. `NotFound`.
    pub fn open(store: Arc<dyn ByteStore>, path: &str, address: &Path) -> Result<Self> {
        let name = address.display().to_string();
        let state = wait(store.stat(path)).at(|| format!("open {name}"))?;
        let (path, plan, changed) = (path.to_owned(), Mutex::default(), Arc::default());
        Ok(Self { store, path, name, state, plan, changed })
    }

    /// The bytes of a range, if they are still those of this state.
    fn fetch(&self, range: Range<u64>) -> impl Future<Output = Result<Bytes>> + Send + 'static {
        let (store, path, state) = (self.store.clone(), self.path.clone(), self.state.clone());
        let (name, changed) = (self.name.clone(), self.changed.clone());
        async move {
            let (bytes, found) =
                store.get_with_state(&path, range.clone()).await.at(|| format!("read {name}"))?;
            if found != state || bytes.len() as u64 != range.end - range.start {
                changed.store(true, Ordering::Relaxed);
                return Err(has_changed(&name));
            }
            Ok(bytes)
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The piece that has a byte, on its way, with those after it; else where the next one begins.
    fn piece(&self, at: u64) -> Result<(Range<u64>, Fetch), u64> {
        let mut plan = self.plan();
        let index = plan.pieces.partition_point(|piece| piece.range.end <= at);
        match plan.pieces.get(index) {
            Some(piece) if piece.range.start <= at => {}
            next => return Err(next.map_or(u64::MAX, |piece| piece.range.start)),
        }
        let last = (index + AHEAD).min(plan.pieces.len() - 1);
        for ahead in (index..=last).rev() {
            plan.begin(ahead, |range| self.fetch(range));
        }
        plan.forget();
        let piece = &plan.pieces[index];
        let fetch = piece.fetch.clone().ok_or(u64::MAX)?;
        Ok((piece.range.clone(), fetch))
    }
}

impl Plan {
    fn begin<F>(&mut self, index: usize, fetch: impl FnOnce(Range<u64>) -> F)
    where
        F: Future<Output = Result<Bytes>> + Send + 'static,
    {
        self.uses += 1;
        let piece = &mut self.pieces[index];
        piece.used = self.uses;
        if piece.fetch.is_some() {
            return;
        }
        self.kept += piece.range.end - piece.range.start;
        let fetched = fetch(piece.range.clone());
        let fetch = fetched.map(|fetched| fetched.map_err(Arc::new)).boxed().shared();
        // sends the request; the answer is waited for by whoever needs it
        drop(fetch.clone().now_or_never());
        piece.fetch = Some(fetch);
    }

    /// Lets go of what was used longest ago, but not of what was asked for just now.
    fn forget(&mut self) {
        while self.kept > self.most {
            let just_now = self.uses.saturating_sub(AHEAD as u64);
            let old = self.pieces.iter_mut().filter(|piece| piece.fetch.is_some() && piece.used < just_now);
            let Some(oldest) = old.min_by_key(|piece| piece.used) else { return };
            oldest.fetch = None;
            self.kept -= oldest.range.end - oldest.range.start;
        }
    }
}

impl Source for Distant {
    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> &FileState {
        &self.state
    }

    fn read_at(&self, from: u64, to: &mut [u8]) -> Result<()> {
        let end = from.checked_add(to.len() as u64).filter(|end| *end <= self.state.bytes);
        let end = end.ok_or_else(|| has_changed(&self.name))?;
        let mut at = from;
        while at < end {
            let (range, bytes) = match self.piece(at) {
                Ok((range, fetch)) => {
                    let again = |error: Arc<Error>| Error::new(error.kind(), error.chain());
                    (range, wait(fetch).map_err(again)?)
                }
                Err(next) => {
                    let range = at..next.min(end);
                    let bytes = wait(self.fetch(range.clone()))?;
                    (range, bytes)
                }
            };
            let stop = range.end.min(end);
            let (begin, length) = ((at - range.start) as usize, (stop - at) as usize);
            to[(at - from) as usize..][..length].copy_from_slice(&bytes[begin..begin + length]);
            at = stop;
        }
        Ok(())
    }

    fn expect(&self, ranges: &[Range<u64>], streams: usize) {
        let streams = streams.max(1) as u64;
        let piece_bytes = (KEPT_BYTES / (4 * streams)).clamp(LEAST_PIECE_BYTES, PIECE_BYTES);
        let within = |range: &Range<u64>| range.start.min(self.state.bytes)..range.end.min(self.state.bytes);
        let ranges: Vec<_> = ranges.iter().map(within).filter(|range| !range.is_empty()).collect();
        let mut pieces = Vec::new();
        for range in coalesce(&ranges, GAP_BYTES) {
            let starts = range.clone().step_by(piece_bytes as usize);
            pieces.extend(starts.map(|start| Piece {
                range: start..(start + piece_bytes).min(range.end),
                fetch: None,
                used: 0,
            }));
        }
        let most = KEPT_BYTES.max(piece_bytes * streams * (AHEAD as u64 + 2));
        *self.plan() = Plan { pieces, kept: 0, most, uses: 0 };
    }

    /// Every answer was checked, so that nothing need be asked.
    fn check(&self) -> Result<()> {
        match self.changed.load(Ordering::Relaxed) {
            true => Err(has_changed(&self.name)),
            false => Ok(()),
        }
    }
}

fn has_changed(name: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{name} changed while it was read; try again"))
}

impl fmt::Debug for Distant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.state.bytes)
    }
}
