//! A task's log: one file a party and task, a line for each event: time (RFC 3339, UTC), level, party, task, text.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tributary_component::Level;
use tributary_core::shown::printable;
use tributary_core::{Party, Result, ResultExt};
use tributary_system::clock::{rfc3339, since_1970};

use crate::record::private_folder;

/// Appends to a task's log. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct TaskLog {
    file: Arc<Mutex<File>>,
    whose: String,
}

impl TaskLog {
    /// Opens the log of a party's task in its folder.
    pub(crate) fn open(folder: &Path, party: &Party, task: &str) -> Result<Self> {
        let path = Self::path_in(folder);
        let open = || {
            private_folder(folder)?;
            File::options().create(true).append(true).mode(0o600).open(&path)
        };
        let file = open().at(|| format!("open log {}", path.display()))?;
        Ok(Self { file: Arc::new(Mutex::new(file)), whose: format!("{party} {task}") })
    }

    /// Where the log of a task is.
    pub(crate) fn path_in(folder: &Path) -> PathBuf {
        folder.join("task.log")
    }

    /// Adds a line. Line breaks and other control characters of the text are escaped, so that what a peer says stays one
    /// line. A log that cannot be written does not fail its task.
    pub(crate) fn line(&self, level: Level, text: &str) {
        let level = match level {
            Level::Info => "INFO ",
            Level::Warning => "WARN ",
            Level::Error => "ERROR",
        };
        let text = text.replace('\n', " | ");
        if let Ok(mut file) = self.file.lock() {
            drop(writeln!(file, "{} {level} {} {}", rfc3339(since_1970()), self.whose, printable(&text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_time_level_party_and_task_and_stays_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let log = TaskLog::open(folder.path(), &Party::new("host", "10000").unwrap(), "psi_0").unwrap();
        log.line(Level::Warning, "a\nb\u{1b}[31m");
        let text = std::fs::read_to_string(TaskLog::path_in(folder.path())).unwrap();
        let (time, rest) = text.split_once(' ').unwrap();
        assert_eq!(rest, "WARN  host_10000 psi_0 a | b\\u{1b}[31m\n");
        assert_eq!((time.len(), &time[10..11], &time[23..]), (24, "T", "Z"), "{time}");
    }
}
