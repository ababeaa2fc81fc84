//! A local file, read by position, so that many threads share one.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tributary_core::{Error, ErrorKind, Result, ResultExt};

/// An open file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Local {
    file: Arc<File>,
    name: String,
    bytes: u64,
}

impl Local {
    /// A file of so many bytes; `name` is what messages call it.
    pub fn new(file: Arc<File>, name: impl Into<String>, bytes: u64) -> Self {
        Self { file, name: name.into(), bytes }
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Fills `to` from there on. `Conflict` if the file ends before.
    pub fn read_exact(&self, from: u64, to: &mut [u8]) -> Result<()> {
        match self.file.read_exact_at(to, from) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Self::changed(&self.name)),
            other => other.at(|| format!("read {}", self.name)),
        }
    }

    /// The error for a file that is not what it was when its reading began.
    pub fn changed(name: &str) -> Error {
        Error::new(ErrorKind::Conflict, format!("{name} changed while it was read; try again"))
    }
}
