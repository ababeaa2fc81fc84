//! Files that only their owner can read, from their first moment: whole or absent, one writer at a time.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tributary_core::{Error, ErrorKind, Result, ResultExt};
use zeroize::Zeroizing;

/// How the name of a file ends that is being written.
pub(crate) const UNFINISHED: &str = "new";

/// Everybody but the owner.
const OTHERS: u32 = 0o077;

/// Keeps other writers from a folder as long as it lives; the system ends it with the process.
#[derive(Debug)]
pub(crate) struct Turn {
    _lock: File,
}

impl Turn {
    /// Makes the folder if it does not exist, and waits for another writer.
    pub(crate) fn take(folder: &Path) -> Result<Self> {
        make_folder(folder).at(|| format!("create {}", folder.display()))?;
        let path = folder.join("lock");
        let lock = File::options().create(true).append(true).mode(0o600).open(&path);
        let lock = lock.and_then(|file| file.lock().map(|()| file));
        Ok(Self { _lock: lock.at(|| format!("lock {}", path.display()))? })
    }
}

/// Held by one process at a time, as long as it lives.
#[derive(Debug)]
pub struct Attendance {
    _lock: File,
}

impl Attendance {
    /// `None` if another process has it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>> {
        let file = File::options().create(true).append(true).mode(0o600).open(path);
        let file = file.at(|| format!("open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _lock: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(Error::from(e).at(format!("lock {}", path.display()))),
        }
    }
}

/// Writes a file beside its place and renames it, durable when it returns.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().ok_or_else(|| Error::bug("a file has a folder"))?;
    let write = || -> io::Result<()> {
        make_folder(folder)?;
        let beside = beside(path);
        // What a killed writer left is not opened again: it could have been made by somebody else.
        match fs::remove_file(&beside) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        flush(folder)
    };
    write().at(|| format!("write {}", path.display()))
}

/// Removes a file, durable when it returns. Whether there was one.
pub(crate) fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        removed => {
            let folder = path.parent().unwrap_or(path);
            removed.and_then(|()| flush(folder)).at(|| format!("remove {}", path.display()))?;
            Ok(true)
        }
    }
}

/// A file of at most `most` bytes; `None` if there is none.
pub(crate) fn read(path: &Path, most: usize) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.at(|| format!("read {}", path.display()))?,
    };
    read_open(path, &file, most).map(Some)
}

/// As [`read`], `Denied` if others than the owner could read it or write it.
pub(crate) fn read_secret(path: &Path, most: usize) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.at(|| format!("read {}", path.display()))?,
    };
    let mode = file.metadata().at(|| format!("read {}", path.display()))?.mode();
    if mode & OTHERS != 0 {
        let text = format!(
            "{} holds secret keys and others may open it (mode {:o}); run `chmod 600` on it, and if somebody could have read it, make \
             new keys with `tributary site rotate`",
            path.display(),
            mode & 0o777
        );
        return Err(Error::new(ErrorKind::Denied, text));
    }
    read_open(path, &file, most).map(Some)
}

fn read_open(path: &Path, file: &File, most: usize) -> Result<Zeroizing<Vec<u8>>> {
    // One more than allowed, so that the reader of the text sees that it is too long. Room for all of it, because a vector
    // that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 1));
    let read = file.take(most as u64 + 1).read_to_end(&mut bytes);
    read.at(|| format!("read {}", path.display()))?;
    Ok(bytes)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    path.with_file_name(name)
}

/// Makes a folder with its parents, each durable before the next.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(above) = folder.parent() else { return Ok(()) };
    make_folder(above)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => flush(above),
    }
}

fn flush(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
