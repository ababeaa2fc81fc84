//! Records that become visible together: first all are written beside their places, which is where a disk may be full or
//! a folder may refuse; later all are renamed, or all removed.
//!
//! Each step can be repeated, and what has been staged is itself written down (see `prepared`): a process that is killed in
//! between leaves something that the next one can finish.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tributary_core::{Error, Result, ResultExt};

use crate::record::private_folder;

/// Files of one party on their way to their places, all under its home.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Staged {
    #[serde(skip)]
    home: PathBuf,
    /// Relative to the home.
    files: Vec<PathBuf>,
    /// Made for them, outer ones first.
    folders: Vec<PathBuf>,
}

/// A name beside that of a file, for as long as it is being written.
pub(crate) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

impl Staged {
    /// Nothing yet.
    pub(crate) fn under(home: &Path) -> Self {
        Self { home: home.to_owned(), ..Self::default() }
    }

    /// The same, read back at a home.
    pub(crate) fn at_home(self, home: &Path) -> Self {
        Self { home: home.to_owned(), ..self }
    }

    /// Writes a record beside its place under the home.
    pub(crate) fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<()> {
        let at = || format!("write {}", path.display());
        let relative = path.strip_prefix(&self.home).map_err(|_| Error::bug("a record is under its home"))?;
        self.make_folder(path.parent().ok_or_else(|| Error::bug("a record has a folder"))?).at(at)?;
        // from here on there may be something to remove
        self.files.push(relative.to_owned());
        let write = || -> io::Result<()> {
            let mut file =
                File::options().write(true).create(true).truncate(true).mode(0o600).open(beside(path))?;
            file.write_all(bytes)?;
            file.sync_data()
        };
        write().at(at)
    }

    fn make_folder(&mut self, folder: &Path) -> io::Result<()> {
        let missing = folder.ancestors().take_while(|above| !above.exists());
        let missing: Vec<PathBuf> =
            missing.filter_map(|path| path.strip_prefix(&self.home).ok()).map(Path::to_owned).collect();
        self.folders.extend(missing.into_iter().rev());
        private_folder(folder)
    }

    /// Moves all files to their places. Those that are there already stay.
    pub(crate) fn publish(&self) -> Result<()> {
        for path in self.files.iter().map(|file| self.home.join(file)) {
            let renamed = match fs::rename(beside(&path), &path) {
                Err(reason) if reason.kind() == io::ErrorKind::NotFound && path.exists() => Ok(()),
                renamed => renamed,
            };
            renamed.at(|| format!("write {}", path.display()))?;
        }
        self.flush()
    }

    /// Folders in which something was made.
    fn changed(&self) -> Vec<PathBuf> {
        let made = self.folders.iter().chain(&self.files);
        let mut changed: Vec<PathBuf> =
            made.filter_map(|path| Some(self.home.join(path.parent()?))).collect();
        changed.sort();
        changed.dedup();
        changed
    }

    /// Makes the names of what was staged durable.
    pub(crate) fn flush(&self) -> Result<()> {
        self.changed().iter().try_for_each(|folder| flush(folder))
    }

    /// Removes all files that are not in their places, and folders that are empty then. What cannot be removed stays: the
    /// failure that led here counts more.
    pub(crate) fn discard(&self) {
        self.files.iter().for_each(|file| drop(fs::remove_file(beside(&self.home.join(file)))));
        // one that others use by now is not empty
        self.folders.iter().rev().for_each(|folder| drop(fs::remove_dir(self.home.join(folder))));
    }
}

/// Makes the names in a folder durable.
pub(crate) fn flush(folder: &Path) -> Result<()> {
    let flushed = File::open(folder).and_then(|folder| folder.sync_all());
    flushed.at(|| format!("flush {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use tributary_core::ErrorKind;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_full_disk_leaves_what_was_there_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let old = home.path().join("metrics.json");
        fs::write(&old, "1").unwrap();
        std::os::unix::fs::symlink("/dev/full", home.path().join("data.json.new")).unwrap();
        let mut staged = Staged::under(home.path());
        staged.add(&old, b"2").unwrap();
        staged.add(&home.path().join("models/guest/model.json"), b"3").unwrap();
        let error = staged.add(&home.path().join("data.json"), b"4").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exhausted, "{}", error.chain());
        assert!(error.to_string().contains("data.json"), "{error}");
        staged.discard();
        assert_eq!(
            (names(home.path()), fs::read_to_string(&old).unwrap()),
            (vec!["metrics.json".into()], "1".into())
        );
    }

    #[test]
    fn what_was_begun_by_a_killed_process_is_finished_by_the_next() {
        let home = tempfile::tempdir().unwrap();
        let paths = ["a.json", "b/c.json"].map(|name| home.path().join(name));
        let mut staged = Staged::under(home.path());
        paths.iter().for_each(|path| staged.add(path, b"1").unwrap());
        let text = serde_json::to_string(&staged).unwrap();
        // killed between two renames
        fs::rename(beside(&paths[0]), &paths[0]).unwrap();
        let next = serde_json::from_str::<Staged>(&text).unwrap().at_home(home.path());
        assert_eq!(next, staged);
        for _ in 0..2 {
            next.publish().unwrap();
            assert!(paths.iter().all(|path| fs::read(path).unwrap() == b"1"));
        }
        assert_eq!(names(home.path()), ["a.json", "b"]);
    }

    #[test]
    fn a_file_that_is_gone_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.json");
        let mut staged = Staged::under(home.path());
        staged.add(&path, b"1").unwrap();
        fs::remove_file(beside(&path)).unwrap();
        assert_eq!(staged.publish().unwrap_err().kind(), ErrorKind::NotFound);
    }
}
