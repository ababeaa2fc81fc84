//! Records that become visible together: first all are written beside their places, which is where a disk may be full or
//! a folder may refuse, then all are renamed. What is dropped before [`Staged::keep`] leaves everything as it was.
//!
//! One for each party: all parties stage, all publish, all keep. A process that is killed between two renames leaves the
//! records of some of them; its job then counts as failed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use tributary_core::{Error, Result, ResultExt};

use crate::record::private_folder;

/// Files of one party on their way to their places.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    files: Vec<Pending>,
    /// Made for them, outer ones first.
    folders: Vec<PathBuf>,
}

#[derive(Debug)]
struct Pending {
    path: PathBuf,
    stands: Stands,
}

#[derive(Debug, PartialEq, Eq)]
enum Stands {
    /// Under its temporary name.
    Beside,
    /// In its place, where nothing was before.
    New,
    /// In its place, with the file before it under another temporary name.
    Over,
}

impl Pending {
    fn beside(&self) -> PathBuf {
        passing(&self.path, "new")
    }

    fn before(&self) -> PathBuf {
        passing(&self.path, "old")
    }

    fn publish(&mut self) -> io::Result<()> {
        drop(fs::remove_file(self.before()));
        let over = match fs::hard_link(&self.path, self.before()) {
            Ok(()) => true,
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => false,
            Err(reason) => return Err(reason),
        };
        fs::rename(self.beside(), &self.path)?;
        self.stands = if over { Stands::Over } else { Stands::New };
        Ok(())
    }

    /// What cannot be undone stays: the failure that led here counts more.
    fn undo(&self) {
        drop(match self.stands {
            Stands::Beside => fs::remove_file(self.beside()),
            Stands::New => fs::remove_file(&self.path),
            Stands::Over => fs::rename(self.before(), &self.path),
        });
    }
}

/// A name beside that of a file, for as long as it is being written or replaced.
pub(crate) fn passing(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

impl Staged {
    /// Writes a record beside its place.
    pub(crate) fn add(&mut self, path: PathBuf, bytes: &[u8]) -> Result<()> {
        let at = || format!("write {}", path.display());
        self.make_folder(path.parent().ok_or_else(|| Error::bug("a record has a folder"))?).at(at)?;
        let pending = Pending { path: path.clone(), stands: Stands::Beside };
        let beside = pending.beside();
        // from here on there may be something to remove
        self.files.push(pending);
        let write = || -> io::Result<()> {
            let mut file =
                File::options().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(bytes)?;
            file.sync_data()
        };
        write().at(at)
    }

    fn make_folder(&mut self, folder: &Path) -> io::Result<()> {
        let missing = folder.ancestors().take_while(|above| !above.exists());
        let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
        missing.reverse();
        self.folders.extend(missing);
        private_folder(folder)
    }

    /// Moves all files to their places.
    pub(crate) fn publish(&mut self) -> Result<()> {
        for file in &mut self.files {
            file.publish().at(|| format!("write {}", file.path.display()))?;
        }
        let above =
            self.folders.iter().map(PathBuf::as_path).chain(self.files.iter().map(|file| &*file.path));
        let mut flushed: Vec<&Path> = above.filter_map(Path::parent).collect();
        flushed.dedup();
        flushed.into_iter().try_for_each(|folder| {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .at(|| format!("flush {}", folder.display()))
        })
    }

    /// Nothing is undone any more.
    pub(crate) fn keep(mut self) {
        for file in self.files.drain(..).filter(|file| file.stands == Stands::Over) {
            drop(fs::remove_file(file.before()));
        }
        self.folders.clear();
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        self.files.iter().for_each(Pending::undo);
        // one that others use by now is not empty
        for folder in self.folders.iter().rev() {
            drop(fs::remove_dir(folder));
        }
    }
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
    fn a_full_disk_of_one_party_leaves_the_records_of_none() {
        let (home, full) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let old = home.path().join("metrics.json");
        fs::write(&old, "1").unwrap();
        std::os::unix::fs::symlink("/dev/full", full.path().join("metrics.json.new")).unwrap();
        let (mut first, mut second) = (Staged::default(), Staged::default());
        first.add(old.clone(), b"2").unwrap();
        first.add(home.path().join("models/guest/model.json"), b"3").unwrap();
        let error = second.add(full.path().join("metrics.json"), b"4").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exhausted, "{}", error.chain());
        assert!(error.to_string().contains("metrics.json"), "{error}");
        drop((first, second));
        assert_eq!(
            (names(home.path()), fs::read_to_string(&old).unwrap()),
            (vec!["metrics.json".into()], "1".into())
        );
        assert_eq!(names(full.path()), Vec::<String>::new());
    }

    #[test]
    fn a_rename_that_fails_brings_back_what_was_there() {
        let home = tempfile::tempdir().unwrap();
        let (old, blocked) = (home.path().join("old.json"), home.path().join("blocked.json"));
        fs::write(&old, "1").unwrap();
        let mut first = Staged::default();
        first.add(old.clone(), b"2").unwrap();
        first.add(home.path().join("a/b/new.json"), b"3").unwrap();
        first.publish().unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "2");
        let mut second = Staged::default();
        second.add(blocked.clone(), b"4").unwrap();
        fs::create_dir(&blocked).unwrap();
        second.publish().unwrap_err();
        drop((first, second));
        assert_eq!(fs::read_to_string(&old).unwrap(), "1");
        assert_eq!(names(home.path()), ["blocked.json", "old.json"]);
    }

    #[test]
    fn what_is_kept_stays_and_leaves_no_temporary_names() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/x.json");
        for value in [1, 2] {
            let mut staged = Staged::default();
            staged.add(path.clone(), value.to_string().as_bytes()).unwrap();
            staged.publish().unwrap();
            staged.keep();
            assert_eq!(fs::read_to_string(&path).unwrap(), value.to_string());
            assert_eq!(names(&home.path().join("a")), ["x.json"]);
        }
    }
}
