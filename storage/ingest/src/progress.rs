//! The progress of an upload, and whether it was cancelled. One object does both, because both are checked at the same
//! places: every few thousand rows.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tributary_core::{Error, ErrorKind, Result};

/// The progress of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// The current pass.
    pub pass: Pass,
    /// Rows done in this pass.
    pub rows: u64,
    /// Bytes of the files, or of the table, done in this pass.
    pub bytes: u64,
    /// Bytes in all; 0 if not known.
    pub total_bytes: u64,
}

impl Progress {
    /// The progress of a pass over the files.
    pub fn new(pass: Pass, rows: u64, bytes: u64, total_bytes: u64) -> Self {
        Self { pass, rows, bytes, total_bytes }
    }
}

/// The passes over the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// Copying input that can be read only once: pipes, compressed files.
    Copy,
    /// Checking all rows and inferring types.
    Check,
    /// Comparing ids with those of the table that rows are added to.
    Compare,
    /// Writing the table.
    Write,
}

/// Collects progress of all workers.
pub(crate) struct Meter {
    state: Mutex<Progress>,
    stopped: AtomicBool,
    report: Box<dyn Fn(Progress) + Send + Sync>,
}

impl Meter {
    pub fn new(report: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        let start = Progress { pass: Pass::Check, rows: 0, bytes: 0, total_bytes: 0 };
        Self { state: Mutex::new(start), stopped: AtomicBool::new(false), report: Box::new(report) }
    }

    /// Begins a pass over that many bytes.
    pub fn begin(&self, pass: Pass, total_bytes: u64) {
        self.change(|progress| *progress = Progress { pass, rows: 0, bytes: 0, total_bytes });
    }

    /// Counts rows and bytes done. `Cancelled` after a request to stop.
    pub fn add(&self, rows: u64, bytes: u64) -> Result<()> {
        self.check()?;
        self.change(|progress| {
            progress.rows += rows;
            progress.bytes += bytes;
        });
        Ok(())
    }

    /// `Cancelled` after a request to stop.
    pub fn check(&self) -> Result<()> {
        match self.stopped.load(Ordering::Relaxed) {
            true => Err(Error::new(ErrorKind::Cancelled, "it was stopped")),
            false => Ok(()),
        }
    }

    /// Asks all workers to stop.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn change(&self, change: impl FnOnce(&mut Progress)) {
        let mut state = self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        change(&mut state);
        (self.report)(*state); // within the lock, so that reports come in order
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("state", &self.state).finish_non_exhaustive()
    }
}
