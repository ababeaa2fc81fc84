//! Local files as formats read them: by position, so that the reads of threads and columns are independent.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tributary_core::bytestore::{FileState, Upload};
use tributary_core::media::{Media, Source, scheme_of};
use tributary_core::{Error, ErrorKind, Result, ResultExt};

/// An open file, in the state in which it was opened.
#[derive(Debug)]
pub struct LocalFile {
    file: File,
    name: String,
    state: FileState,
}

impl LocalFile {
    /// Opens a regular file. `NotFound`; `InvalidInput` for a folder, a pipe, a device. It never waits, as opening a pipe would.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        // checked before opening, because opening a pipe would wait; what takes the file's place meanwhile opens without waiting, too
        if !fs::metadata(path).at(|| format!("open {name}"))?.is_file() {
            return Err(Error::invalid(format!("{name} is not a regular file")));
        }
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let file = fs::OpenOptions::new().read(true).custom_flags(nonblocking).open(path);
        Self::new(file.at(|| format!("open {name}"))?, name)
    }

    /// A file that is open already; messages call it `name`.
    pub fn new(file: File, name: impl Into<String>) -> Result<Self> {
        let name = name.into();
        let state = state(&file).at(|| format!("read {name}"))?;
        Ok(Self { file, name, state })
    }
}

fn state(file: &File) -> Result<FileState> {
    let about = file.metadata()?;
    Ok(FileState { bytes: about.len(), modified: about.modified()?, tag: None })
}

impl Source for LocalFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn state(&self) -> &FileState {
        &self.state
    }

    fn read_at(&self, from: u64, to: &mut [u8]) -> Result<()> {
        match self.file.read_exact_at(to, from) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(changed(&self.name)),
            read => read.at(|| format!("read {}", self.name)),
        }
    }

    fn check(&self) -> Result<()> {
        match state(&self.file).at(|| format!("read {}", self.name))? == self.state {
            true => Ok(()),
            false => Err(changed(&self.name)),
        }
    }
}

/// The error for a file that changed since it was opened.
pub fn changed(name: &str) -> Error {
    Error::new(ErrorKind::Conflict, format!("{name} changed while it was read; try again"))
}

/// The files of this machine, and no others.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalMedia;

impl Media for LocalMedia {
    fn open(&self, address: &Path) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(LocalFile::open(path(address)?)?))
    }

    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        walk(path(folder)?, MOST_DEPTH, &mut found)?;
        found.sort();
        Ok(found)
    }

    fn create(&self, address: &Path) -> Result<Box<dyn Upload>> {
        Err(Error::bug(format!("local file {} is written by its own code", path(address)?.display())))
    }
}

fn path(address: &Path) -> Result<&Path> {
    match scheme_of(address) {
        None => Ok(address),
        Some(scheme) => Err(Error::invalid(format!(
            "address {}: the party has no store for {scheme}://; give it one in service_conf.yaml",
            address.display()
        ))),
    }
}

/// Folders within folders: more than any table has, fewer than a link to a folder above makes.
const MOST_DEPTH: usize = 32;

/// Files below a folder; links are followed, as programs that read folders do.
fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries.at(|| format!("list {}", folder.display()))?,
    };
    for entry in entries {
        let path = entry.at(|| format!("list {}", folder.display()))?.path();
        match path.is_dir() {
            true if depth == 0 => {
                return Err(Error::invalid(format!(
                    "{}: folders within folders without end",
                    path.display()
                )));
            }
            true => walk(&path, depth - 1, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}
