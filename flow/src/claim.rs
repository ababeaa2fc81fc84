//! A job's claim: an advisory lock in its folder, held by the process that runs it, as long as the process runs.
//!
//! The system releases it when the process ends, in whatever way: a job that is recorded as running and that no process
//! holds was killed. Process ids do not work here: they are reused, and those of another machine or container mean
//! nothing.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tributary_core::{Result, ResultExt};

/// A process that looks whether a claim is held is done much sooner.
const LOOK: Duration = Duration::from_millis(2);
const LOOKS: u32 = 50;

/// Held as long as it lives.
#[derive(Debug)]
pub(crate) struct Claim {
    _lock: File,
}

impl Claim {
    pub(crate) fn path_in(folder: &Path) -> PathBuf {
        folder.join("lock")
    }

    /// Takes the claim of a folder; waits for its holder.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        let path = Self::path_in(folder);
        let take = || -> io::Result<File> {
            let file = File::options().create(true).append(true).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        Ok(Self { _lock: take().at(|| format!("lock {}", path.display()))? })
    }

    /// Takes the claim of a folder, unless another process holds it.
    pub(crate) fn try_take(folder: &Path) -> Result<Option<Self>> {
        let path = Self::path_in(folder);
        let take = || -> io::Result<Option<File>> {
            let file = File::options().create(true).append(true).mode(0o600).open(&path)?;
            for _ in 0..LOOKS {
                match file.try_lock() {
                    Ok(()) => return Ok(Some(file)),
                    // Perhaps a process that only looks.
                    Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                    Err(TryLockError::Error(e)) => return Err(e),
                }
            }
            Ok(None)
        };
        Ok(take().at(|| format!("lock {}", path.display()))?.map(|lock| Self { _lock: lock }))
    }

    /// Whether some process holds the claim of a folder.
    pub(crate) fn is_held(folder: &Path) -> Result<bool> {
        let path = Self::path_in(folder);
        let look = || -> io::Result<bool> {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(e) => return Err(e),
            };
            // Shared, so that two processes that look do not mistake each other for the holder.
            match file.try_lock_shared() {
                Ok(()) => Ok(false),
                Err(TryLockError::WouldBlock) => Ok(true),
                Err(TryLockError::Error(e)) => Err(e),
            }
        };
        look().at(|| format!("look at lock {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_held_until_it_is_dropped_and_looking_does_not_take_it() {
        let folder = tempfile::tempdir().unwrap();
        let held = || Claim::is_held(folder.path()).unwrap();
        assert!(!held(), "it is not taken");
        let claim = Claim::take(folder.path()).unwrap();
        assert!(held() && held());
        drop(claim);
        assert!(!held());
        let again = Claim::try_take(folder.path()).unwrap();
        assert!(again.is_some() && Claim::try_take(folder.path()).unwrap().is_none());
    }
}
