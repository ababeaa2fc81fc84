//! What a session holds in memory, counted against its budget.
//!
//! Bytes are those of the rows a batch shows, not of the buffers behind it: tables that share a column count it twice, and
//! nothing that a kernel holds while it works is counted. An estimate, then, but one that is the same from run to run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::{Array, RecordBatch};
use arrow_schema::DataType;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::ids::SessionId;

/// A session's budget.
pub struct Memory {
    session: SessionId,
    budget: u64,
    used: AtomicU64,
}

impl Memory {
    pub fn new(session: SessionId, budget: u64) -> Arc<Self> {
        Arc::new(Self { session, budget, used: AtomicU64::new(0) })
    }

    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Acquire)
    }

    pub fn left(&self) -> u64 {
        self.budget.saturating_sub(self.used())
    }

    /// A share of nothing yet.
    pub fn hold(self: &Arc<Self>) -> Hold {
        Hold { memory: self.clone(), bytes: 0 }
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
        let Memory { session, budget, used } = &*self.memory;
        let taken = used.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            used.checked_add(bytes).filter(|sum| sum <= budget)
        });
        taken.map_err(|used| {
            Error::new(
                ErrorKind::Exhausted,
                format!(
                    "session {session} holds {used} bytes and asked for {bytes} more, its budget is {budget}; raise \
                     memory in service_conf.yaml, or use more partitions"
                ),
            )
        })?;
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
