//! What durable files need beyond the standard library: folders that survive a crash, uploads that appear completely, and
//! errors that name the file and the remedy.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tributary_core::{Error, ErrorKind, Result};
use tributary_system::random;
use tributary_table::UNFINISHED;

/// Attempts to write into a folder that other processes remove at the same time, because it is empty.
const TRIES: usize = 100;

/// Whether written files survive a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durable {
    /// Files and folders are flushed.
    Yes,
    /// They are not: the files are worthless after a crash.
    No,
}

/// A file under a temporary name in the folder of its target. Removed on drop.
#[derive(Debug)]
pub(crate) struct Unfinished {
    durable: Durable,
    file: File,
    path: PathBuf,
    target: PathBuf,
    root: PathBuf,
}

impl Unfinished {
    /// In the folder of `target`, which is created below `root` if it does not exist.
    pub(crate) fn create(root: &Path, target: PathBuf, durable: Durable) -> Result<Self> {
        let folder = parent(&target)?;
        for _ in 0..TRIES {
            make_folder(folder)?;
            let path = folder.join(format!("{UNFINISHED}{:016x}", random::u64()?));
            match private_file(&path) {
                Ok(file) => return Ok(Self { durable, file, path, target, root: root.to_owned() }),
                Err(reason) if reason.kind() == io::ErrorKind::NotFound => {}
                Err(reason) => return Err(failed("create", &path, reason)),
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("folder {} is removed again and again", folder.display()),
        ))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| failed("write", &self.path, e))
    }

    /// Gets its final name, and replaces any file there.
    pub(crate) fn replace(self) -> Result<()> {
        self.flush()?;
        let lock = FolderLock::take(parent(&self.target)?)?;
        self.rename()?;
        drop(lock);
        self.flush_folder()
    }

    /// Replaces a file with these bytes, or gives `Conflict`.
    pub(crate) fn replace_if(self, expected: &[u8]) -> Result<()> {
        self.flush()?;
        let lock = FolderLock::take(parent(&self.target)?)?;
        if !lock.holds {
            let text =
                format!("the disk of {} has no locks; keep the tables on a local one", self.target.display());
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        if !has_bytes(&self.target, expected)? {
            return Err(Error::new(
                ErrorKind::Conflict,
                format!("another process changed {}", self.target.display()),
            ));
        }
        self.rename()?;
        drop(lock);
        self.flush_folder()
    }

    fn rename(&self) -> Result<()> {
        fs::rename(&self.path, &self.target).map_err(|e| failed("write", &self.target, e))
    }

    /// Gets its final name, or gives `AlreadyExists`. Local disks do this with a hard link.
    pub(crate) fn link(self) -> Result<()> {
        self.flush()?;
        fs::hard_link(&self.path, &self.target).map_err(|e| failed("create", &self.target, e))?;
        self.flush_folder()
    }

    fn flush(&self) -> Result<()> {
        match self.durable {
            Durable::Yes => self.file.sync_data().map_err(|e| failed("flush", &self.path, e)),
            Durable::No => Ok(()),
        }
    }

    fn flush_folder(&self) -> Result<()> {
        match self.durable {
            Durable::Yes => flush_folder(parent(&self.target)?),
            Durable::No => Ok(()),
        }
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // after a rename there is no file; otherwise clean-up tries again
        if fs::remove_file(&self.path).is_ok() {
            prune(&self.root, &self.path);
        }
    }
}

/// A lock that keeps all other processes and threads from replacing or removing files of a folder. The system releases it
/// when the process ends.
///
/// Held for a rename or a removal, so that a file that was compared is still the one that is replaced. The folder itself is
/// locked: a lock file would need clean-up, and would keep an emptied folder from being removed.
#[derive(Debug)]
pub(crate) struct FolderLock {
    _folder: Option<File>,
    /// None where the disk has no locks. There nothing is compared, and no process is excluded.
    holds: bool,
}

impl FolderLock {
    /// Waits for the current holder. A removed folder needs no lock.
    pub(crate) fn take(path: &Path) -> Result<Self> {
        loop {
            let folder = match File::open(path) {
                Ok(folder) => folder,
                Err(reason) if reason.kind() == io::ErrorKind::NotFound => {
                    return Ok(Self { _folder: None, holds: true });
                }
                Err(reason) => return Err(failed("open folder", path, reason)),
            };
            match folder.lock() {
                Ok(()) => {}
                Err(reason) if reason.kind() == io::ErrorKind::Interrupted => continue,
                Err(reason) if has_no_locks(&reason) => return Ok(Self { _folder: None, holds: false }),
                Err(reason) => return Err(failed("lock folder", path, reason)),
            }
            // the folder may have been removed and created again during the wait
            if is_at(&folder, path).map_err(|e| failed("open folder", path, e))? {
                return Ok(Self { _folder: Some(folder), holds: true });
            }
        }
    }
}

/// Whether a disk says that it cannot lock a folder at all.
fn has_no_locks(reason: &io::Error) -> bool {
    /// The error of NFS, which locks only files that are open for writing; a folder cannot be.
    const EBADF: i32 = 9;
    matches!(reason.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
        || reason.raw_os_error() == Some(EBADF)
}

fn is_at(folder: &File, path: &Path) -> io::Result<bool> {
    let there = match fs::metadata(path) {
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    let held = folder.metadata()?;
    Ok((held.dev(), held.ino()) == (there.dev(), there.ino()))
}

/// Whether a file has exactly these bytes; false if there is no file.
fn has_bytes(path: &Path, expected: &[u8]) -> Result<bool> {
    let file = match File::open(path) {
        Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file.map_err(|e| failed("read", path, e))?,
    };
    let mut found = Vec::with_capacity(expected.len());
    file.take(expected.len() as u64 + 1).read_to_end(&mut found).map_err(|e| failed("read", path, e))?;
    Ok(found == expected)
}

pub(crate) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Creates a folder with its parents, each durable before the next.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    for _ in 0..TRIES {
        let above = parent(path)?;
        make_folder(above)?;
        match builder.create(path) {
            Ok(()) => return flush_folder(above),
            Err(reason) if reason.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => {}
            Err(reason) => return Err(failed("create folder", path, reason)),
        }
    }
    Err(Error::new(ErrorKind::Conflict, format!("folder {} is removed again and again", path.display())))
}

/// Makes names in a folder durable. Does nothing for a removed folder.
pub(crate) fn flush_folder(path: &Path) -> Result<()> {
    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(reason) if reason.kind() != io::ErrorKind::NotFound => Err(failed("flush folder", path, reason)),
        _ => Ok(()),
    }
}

/// Removes the empty folders above `path`, up to the root.
pub(crate) fn prune(root: &Path, path: &Path) {
    let above = path.ancestors().skip(1).take_while(|folder| *folder != root && folder.starts_with(root));
    for folder in above {
        if fs::remove_dir(folder).is_err() {
            return;
        }
    }
}

pub(crate) fn parent(path: &Path) -> Result<&Path> {
    path.parent().ok_or_else(|| Error::invalid(format!("{} is in no folder", path.display())))
}

/// The error of one file: the attempted operation, and the remedy.
pub(crate) fn failed(operation: &str, path: &Path, reason: io::Error) -> Error {
    let kind = Error::from(io::Error::from(reason.kind())).kind();
    let advice = match (kind, reason.kind()) {
        (ErrorKind::Exhausted, _) => {
            "the disk is full; free space there, or move the tables to a larger disk"
        }
        (ErrorKind::Denied, _) => "permission denied; give this user read and write permission there",
        (_, io::ErrorKind::ReadOnlyFilesystem) => "the disk is read-only; mount it for writing",
        (ErrorKind::NotFound, _) => "it does not exist",
        (ErrorKind::AlreadyExists, _) => "it exists",
        _ => "the disk reported an error; see the reason",
    };
    Error::new(kind, format!("{operation} {}: {advice}", path.display())).because(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_helps() {
        for (reason, kind, advice) in [
            (io::ErrorKind::StorageFull, ErrorKind::Exhausted, "free space"),
            (io::ErrorKind::PermissionDenied, ErrorKind::Denied, "permission"),
            (io::ErrorKind::ReadOnlyFilesystem, ErrorKind::Io, "read-only"),
        ] {
            let error = failed("write", Path::new("/srv/tables/n/t"), reason.into());
            assert_eq!(error.kind(), kind);
            assert!(
                error.to_string().starts_with("write /srv/tables/n/t: ")
                    && error.to_string().contains(advice)
            );
        }
    }
}
