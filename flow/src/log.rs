//! A task's log: one file a party and task, a line an event.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tributary_core::shown::printable;
use tributary_core::{Result, ResultExt};

use crate::clock::now_ms;
use crate::record::private_folder;

/// Appends to a task's log. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TaskLog {
    file: Arc<Mutex<File>>,
}

impl TaskLog {
    /// Opens the log of a task in its folder.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = Self::path_in(folder);
        let open = || {
            private_folder(folder)?;
            File::options().create(true).append(true).mode(0o600).open(&path)
        };
        let file = open().at(|| format!("open log {}", path.display()))?;
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    /// Where the log of a task is.
    pub(crate) fn path_in(folder: &Path) -> PathBuf {
        folder.join("task.log")
    }

    /// Adds a line: milliseconds since 1970, then the text. A log that cannot be written does not fail its task.
    pub(crate) fn line(&self, text: &str) {
        if let Ok(mut file) = self.file.lock() {
            drop(writeln!(file, "{} {}", now_ms(), printable(&text.replace('\n', " | "))));
        }
    }
}
