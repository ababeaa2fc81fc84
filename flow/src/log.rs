//! A task's log: one file a party and task, a line an event.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tributary_core::{Result, ResultExt};

use crate::clock::now_ms;

/// Appends to a task's log. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TaskLog {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl TaskLog {
    /// Opens the log of a task in its folder.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let path = folder.join("task.log");
        let open = || {
            fs::create_dir_all(folder)?;
            File::options().create(true).append(true).open(&path)
        };
        let file = open().at(|| format!("open log {}", path.display()))?;
        Ok(Self { path, file: Arc::new(Mutex::new(file)) })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line: milliseconds since 1970, then the text. A log that cannot be written does not fail its task.
    pub(crate) fn line(&self, text: &str) {
        if let Ok(mut file) = self.file.lock() {
            let written = writeln!(file, "{} {}", now_ms(), text.replace('\n', " | "));
            debug_assert!(written.is_ok(), "the log is writable");
        }
    }
}
