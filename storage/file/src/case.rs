//! Whether a disk distinguishes upper and lower case in names, and how the store behaves if not.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tributary_core::{Error, ErrorKind, Result};
use tributary_system::random;
use tributary_table::UNFINISHED;

use crate::disk::{failed, private_file};

/// How a disk treats the names `A` and `a`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Two names.
    Told,
    /// One name: each name is looked up in the folder's list, because opening it would give the other name's file.
    Folded,
}

impl Case {
    /// Finds out for the disk of a folder, by writing a small file there. A read-only disk gets no second name either.
    pub(crate) fn of(folder: &Path) -> Result<Self> {
        let name = format!("{UNFINISHED}case-{:016x}", random::u64()?);
        let (path, swapped) = (folder.join(&name), folder.join(name.to_uppercase()));
        let Ok(file) = private_file(&path) else { return Ok(Self::Told) };
        let folded = is_same(&file, &swapped);
        drop(fs::remove_file(&path));
        Ok(if folded { Self::Folded } else { Self::Told })
    }

    /// `NotFound` if a folder has another name that the disk treats as this one.
    pub(crate) fn check(self, folder: &Path, name: &OsStr) -> Result<()> {
        match self.other(folder, name).map_err(|e| failed("look into", folder, e))? {
            None => Ok(()),
            Some(other) => Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "{} does not exist, but {other:?} does, and this disk does not distinguish upper and lower case; choose another name",
                    folder.join(name).display()
                ),
            )),
        }
    }

    fn other(self, folder: &Path, name: &OsStr) -> io::Result<Option<OsString>> {
        if self == Self::Told {
            return Ok(None);
        }
        let entries = match fs::read_dir(folder) {
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries?,
        };
        let mut other = None;
        for entry in entries {
            let found = entry?.file_name();
            if found == name {
                return Ok(None);
            }
            if found.eq_ignore_ascii_case(name) {
                other = Some(found);
            }
        }
        Ok(other)
    }
}

fn is_same(file: &File, path: &Path) -> bool {
    let (Ok(there), Ok(held)) = (fs::metadata(path), file.metadata()) else { return false };
    (held.dev(), held.ino()) == (there.dev(), there.ino())
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use tributary_table::ByteStore;

    use super::*;
    use crate::FileStore;

    #[test]
    fn a_disk_with_one_file_for_both_names_folds_case() {
        let folder = tempfile::tempdir().unwrap();
        let (small, large) = (folder.path().join("a"), folder.path().join("A"));
        let file = private_file(&small).unwrap();
        assert!(!is_same(&file, &large));
        fs::hard_link(&small, &large).unwrap();
        assert!(is_same(&file, &large));
        Case::of(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the probe file is removed");
    }

    #[test]
    fn where_case_folds_the_second_name_is_refused_and_does_not_give_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = FileStore::open(folder.path()).unwrap();
        store.fold_case();
        let put = |path: &str| block_on(store.put_if_absent(path, "x".into()));
        put("n/Table/m").unwrap();
        put("n/Table/k").unwrap();
        for (path, first) in [("n/table/m", "Table"), ("N/Table/m", "n"), ("n/Table/M", "m")] {
            let error = put(path).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
            assert!(error.to_string().contains(&format!("{first:?} does")), "{error}");
            assert_eq!(block_on(store.put(path)).err().unwrap().kind(), ErrorKind::AlreadyExists);
            assert_eq!(block_on(store.get(path, 0..9)).unwrap_err().kind(), ErrorKind::NotFound);
            block_on(store.delete(&[path.to_owned()])).unwrap();
        }
        assert_eq!(block_on(store.list("n/table")).unwrap(), []);
        assert_eq!(block_on(store.list("n/Table")).unwrap().len(), 2);
        put("n/other/m").unwrap();
    }
}
