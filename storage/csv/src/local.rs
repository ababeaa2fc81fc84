//! A local file, read by position, so that many threads share one.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tributary_core::{Error, ErrorKind, Result, ResultExt};
use tributary_system::Stamp;

/// The digest covers this many bytes at the beginning and at the end of a file.
const END_BYTES: u64 = 64 << 10;

/// An open file. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Local {
    file: Arc<File>,
    name: String,
    bytes: u64,
}

impl Local {
    /// A file of this many bytes; messages call it `name`.
    pub fn new(file: Arc<File>, name: impl Into<String>, bytes: u64) -> Self {
        Self { file, name: name.into(), bytes }
    }

    /// Opens a file that has this stamp. `NotFound`; `Corrupt` if the file has changed.
    pub(crate) fn open(path: &Path, stamp: &Stamp) -> Result<Self> {
        let name = path.display().to_string();
        // checked before opening, because opening a pipe would wait
        let about = fs::metadata(path).at(|| format!("open {name}"))?;
        if !about.is_file() || !stamp.is_of(&about) {
            return Err(not_as_bound(&name));
        }
        let file = File::open(path).at(|| format!("open {name}"))?;
        let local = Self::new(Arc::new(file), name, stamp.bytes());
        match local.stamp()? == *stamp {
            true => Ok(local),
            false => Err(local.not_as_bound()),
        }
    }

    /// Its bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fills `to` from an offset on. `Conflict` if the file ends earlier.
    pub fn read_exact(&self, from: u64, to: &mut [u8]) -> Result<()> {
        match self.file.read_exact_at(to, from) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Self::changed(&self.name)),
            other => other.at(|| format!("read {}", self.name)),
        }
    }

    /// The stamp by which it is recognised. It covers the first and the last bytes, because reading all of them would take
    /// too long.
    pub fn stamp(&self) -> Result<Stamp> {
        let about = self.file.metadata().at(|| format!("read {}", self.name))?;
        let last = self.bytes.saturating_sub(END_BYTES).max(self.bytes.min(END_BYTES));
        let mut digest = Sha256::new();
        for range in [0..self.bytes.min(END_BYTES), last..self.bytes] {
            let mut bytes = vec![0; (range.end - range.start) as usize];
            self.read_exact(range.start, &mut bytes)?;
            digest.update(&bytes);
        }
        Ok(Stamp::new(&about, "ends", &digest.finalize()))
    }

    /// Whether it has the size and the time of a stamp.
    pub(crate) fn is_still(&self, stamp: &Stamp) -> Result<bool> {
        let about = self.file.metadata().at(|| format!("read {}", self.name))?;
        Ok(stamp.is_of(&about))
    }

    /// The error for a file that changed since its reading began.
    pub fn changed(name: &str) -> Error {
        Error::new(ErrorKind::Conflict, format!("{name} changed while it was read; try again"))
    }

    /// The error for a file that changed since it was bound.
    pub(crate) fn not_as_bound(&self) -> Error {
        not_as_bound(&self.name)
    }
}

fn not_as_bound(name: &str) -> Error {
    let text = "the file has changed: its size, modification time, first or last bytes differ; bind or upload it again";
    Error::new(ErrorKind::Corrupt, text).at(format!("read {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_recognised_by_size_time_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        for bytes in [0, 1, 1000, END_BYTES, END_BYTES + 1, 3 * END_BYTES] {
            let mut content = vec![b'x'; bytes as usize];
            fs::write(&path, &content).unwrap();
            let file = Arc::new(File::open(&path).unwrap());
            let stamp = Local::new(file.clone(), "rows.csv", bytes).stamp().unwrap();
            let time = file.metadata().unwrap().modified().unwrap();
            let check = |content: &[u8], same: bool| {
                fs::write(&path, content).unwrap();
                File::options().append(true).open(&path).unwrap().set_modified(time).unwrap();
                let opened = Local::open(&path, &stamp);
                assert_eq!(opened.as_ref().err().map(Error::kind), (!same).then_some(ErrorKind::Corrupt));
            };
            check(&content, true);
            check(&[&content[..], b"x"].concat(), false);
            let size = content.len();
            for at in [0, size.wrapping_sub(1)].into_iter().filter(|at| *at < size) {
                content[at] = b'y';
                check(&content, false);
                content[at] = b'x';
            }
            check(&content, true);
            File::options()
                .append(true)
                .open(&path)
                .unwrap()
                .set_modified(std::time::SystemTime::now())
                .unwrap();
            assert!(
                Local::open(&path, &stamp)
                    .unwrap_err()
                    .to_string()
                    .contains("rows.csv: the file has changed")
            );
        }
        fs::remove_file(&path).unwrap();
        let stamp = format!("bytes:0 modified:0.000000000 ends:sha256:{}", "0".repeat(64)).parse().unwrap();
        assert_eq!(Local::open(&path, &stamp).unwrap_err().kind(), ErrorKind::NotFound);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(
            Local::open(&path, &stamp).unwrap_err().kind(),
            ErrorKind::Corrupt,
            "and the call does not wait"
        );
    }
}
