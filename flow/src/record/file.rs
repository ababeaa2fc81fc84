//! Files of records: whole or absent, private, written beside their place and renamed; and names that become parts of paths.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::staged::beside;

/// Names of what is in a folder; none if there is no such folder.
pub(super) fn names_in(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::from(e).at(format!("list {}", path.display()))),
    };
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

/// A name that becomes part of a path.
pub(super) fn checked(name: &str) -> Result<&str> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '#');
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(fits) {
        return Err(Error::invalid(format!("name {name:?} must be letters, digits, '_', '-', '.' or '#'")));
    }
    Ok(name)
}

/// Makes a folder that only its owner can read.
pub(crate) fn private_folder(folder: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file, whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().ok_or_else(|| Error::bug("a record has a folder"))?;
    let beside = beside(path);
    let write = || -> std::io::Result<()> {
        private_folder(folder)?;
        let mut file =
            fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        fs::rename(&beside, path)
    };
    write().at(|| format!("write {}", path.display()))
}

pub(super) fn write_json<T: Serialize + ?Sized>(path: &Path, value: &T) -> Result<()> {
    write(path, &encoded(value)?)
}

/// A record as JSON.
pub(super) fn encoded<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|e| Error::bug("encode a record").because(e))
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).at(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Reads a file. `NotFound` says `what` was looked for.
pub(super) fn read(path: &Path, what: impl Fn() -> String) -> Result<Vec<u8>> {
    fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("no {} in {}", what(), path.display()))
        }
        _ => Error::from(e).at(format!("read {}", path.display())),
    })
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path, what: impl Fn() -> String) -> Result<T> {
    serde_json::from_slice(&read(path, &what)?).map_err(|e| {
        Error::new(ErrorKind::Corrupt, format!("{} is not {}", path.display(), what())).because(e)
    })
}
