//! What a session holds in memory, counted against its budget.
//!
//! Bytes are those of the rows a batch shows, not of the buffers behind it: tables that share a column count it twice, and
//! nothing that a kernel holds while it works is counted, nor is a batch on its way from one step to the next. An estimate,
//! then, but one that is the same from run to run.
//!
//! A session that may use a disk keeps a quarter of its budget free of rows that stay: what sorts and merges rows
//! on disk has to have memory to do it in, or it could not make room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::ids::SessionId;

use crate::disk::Disk;

/// A session's budget, and where rows go that it has no room for.
pub struct Memory {
    session: SessionId,
    budget: u64,
    /// Beyond this only what sorts and merges rows on disk gets any.
    limit: u64,
    used: AtomicU64,
    disk: Option<Arc<Disk>>,
}

impl Memory {
    pub fn new(session: SessionId, budget: u64) -> Arc<Self> {
        Arc::new(Self { session, budget, limit: budget, used: AtomicU64::new(0), disk: None })
    }

    /// With a disk for what does not fit.
    pub fn spilling(session: SessionId, budget: u64, disk: Arc<Disk>) -> Arc<Self> {
        let limit = budget - budget / 4;
        Arc::new(Self { session, budget, limit, used: AtomicU64::new(0), disk: Some(disk) })
    }

    pub fn spills(&self) -> bool {
        self.disk.is_some()
    }

    pub(crate) fn disk(&self) -> Option<&Arc<Disk>> {
        self.disk.as_ref()
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    /// Bytes that can still be held.
    pub fn left(&self) -> u64 {
        self.limit.saturating_sub(self.used())
    }

    /// A share of nothing yet.
    pub fn hold(self: &Arc<Self>) -> Hold {
        Hold { memory: self.clone(), bytes: 0 }
    }

    /// Memory to work in for one exchange of more rows than fit: as much as it has use for, but half of what is left at
    /// most, so that others beside it find some as well. `Exhausted` if that is next to nothing. To wait for others could be
    /// to wait for oneself: a thread takes up other work of the session in between.
    pub(crate) fn workspace(self: &Arc<Self>, wanted: u64) -> Result<Hold> {
        let least = self.budget / 1024;
        let grant = |used: u64| {
            let left = self.budget.saturating_sub(used);
            Some(wanted.min(left / 2).max(least)).filter(|grant| *grant <= left)
        };
        let before = self
            .used
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| grant(used).map(|bytes| used + bytes));
        let before = before.map_err(|used| self.refused(used, least))?;
        Ok(Hold { memory: self.clone(), bytes: grant(before).unwrap_or_default() })
    }

    /// Rows that are written and read at once, in bytes: small beside the budget, as every thread holds a few.
    pub(crate) fn piece_bytes(&self) -> u64 {
        const MOST: u64 = 1 << 20;
        (self.budget / 64).clamp(1, MOST)
    }

    fn refused(&self, used: u64, bytes: u64) -> Error {
        let Self { session, budget, limit, .. } = self;
        let share = match budget - limit {
            0 => String::new(),
            work => format!(", {work} of it to sort and merge rows in"),
        };
        Error::new(
            ErrorKind::Exhausted,
            format!(
                "session {session} holds {used} bytes and asked for {bytes} more, its budget is {budget}{share}; raise \
                 memory in service_conf.yaml, or use more partitions"
            ),
        )
    }
}

/// A share of the budget, given back when dropped.
pub struct Hold {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Hold {
    /// `Exhausted` if the budget has no such bytes left; then nothing changed.
    pub fn grow(&mut self, bytes: u64) -> Result<()> {
        let taken = self.memory.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            used.checked_add(bytes).filter(|sum| *sum <= self.memory.limit)
        });
        taken.map_err(|used| self.memory.refused(used, bytes))?;
        self.bytes += bytes;
        Ok(())
    }

    /// Grows to at least so many bytes.
    pub fn cover(&mut self, bytes: u64) -> Result<()> {
        self.grow(bytes.saturating_sub(self.bytes))
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives so many bytes back, or all there are.
    pub fn shrink(&mut self, bytes: u64) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.memory.used.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Both shares as one.
    pub fn join(&mut self, mut other: Hold) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}

/// Bytes of the rows in a batch.
pub fn batch_bytes(batch: &RecordBatch) -> u64 {
    batch.columns().iter().map(|column| column_bytes(column)).sum()
}

fn column_bytes(column: &dyn Array) -> u64 {
    // Arrow counts all values of a list array whichever rows a slice shows.
    if let DataType::List(_) = column.data_type() {
        let list = column.as_list::<i32>();
        let offsets = list.value_offsets();
        let (first, last) = (offsets[0] as usize, offsets[list.len()] as usize);
        return column_bytes(&list.values().slice(first, last - first)) + 4 * list.len() as u64;
    }
    let exact = column.to_data().get_slice_memory_size();
    exact.unwrap_or_else(|_| column.get_array_memory_size()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spilling(budget: u64) -> Arc<Memory> {
        Memory::spilling("s.t.0".parse::<SessionId>().unwrap(), budget, Disk::new("/nowhere".into(), 0))
    }

    #[test]
    fn what_is_held_leaves_room_to_work_in_and_work_leaves_room_for_more() {
        let memory = spilling(4096);
        let mut rows = memory.hold();
        assert!(rows.grow(3073).is_err());
        rows.grow(3072).unwrap();
        let text = rows.grow(1).unwrap_err().to_string();
        assert!(text.contains("its budget is 4096, 1024 of it to sort and merge rows in"), "{text}");
        let work: Vec<Hold> = (0..8).map(|_| memory.workspace(u64::MAX).unwrap()).collect();
        assert_eq!(work.iter().map(Hold::bytes).collect::<Vec<_>>(), [512, 256, 128, 64, 32, 16, 8, 4]);
        assert_eq!(memory.workspace(u64::MAX).unwrap().bytes(), 4, "the least");
        let last = memory.workspace(u64::MAX).unwrap();
        assert_eq!(memory.workspace(u64::MAX).err().unwrap().kind(), ErrorKind::Exhausted);
        drop((work, last));
        rows.shrink(u64::MAX);
        assert_eq!((rows.bytes(), memory.used()), (0, 0));
        assert_eq!(memory.workspace(u64::MAX).unwrap().bytes(), 2048);
        assert_eq!(memory.workspace(100).unwrap().bytes(), 100);
    }

    #[test]
    fn without_a_disk_all_of_the_budget_is_for_what_is_held() {
        let memory = Memory::new("s.t.0".parse::<SessionId>().unwrap(), 4096);
        let mut rows = memory.hold();
        rows.grow(4096).unwrap();
        let text = rows.grow(1).unwrap_err().to_string();
        assert!(text.contains("its budget is 4096; raise memory in service_conf.yaml"), "{text}");
    }
}
