//! The files that a path means: itself, or those of a folder as Spark and other programs write one.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use tributary_core::{Error, ErrorKind, Result, ResultExt};

/// File extensions that mark a file of a folder as Parquet.
const ENDINGS: [&str; 3] = ["parquet", "parq", "pq"];

/// The file, or the files of a folder by name. Errors say why a folder is refused.
pub(crate) fn expand(path: &Path) -> Result<Vec<PathBuf>> {
    let about = fs::metadata(path).map_err(|reason| match reason.kind() {
        std::io::ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "there is no such file or folder"),
        _ => reason.into(),
    });
    let about = about.at(|| format!("open {}", path.display()))?;
    let path = std::path::absolute(path).at(|| format!("open {}", path.display()))?;
    match about.is_dir() {
        true => of_folder(&path),
        false => Ok(vec![path]),
    }
}

/// Whether a folder has an entry with the name of a Parquet file, or a subfolder named by the value of a column. Reading it
/// finds out whether it can be read.
pub fn has_parquet(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let path = entry.path();
        is_named_parquet(&path) || path.is_dir() && (holds_parquet(&path) || is_by_value(&path))
    })
}

/// Whether a folder itself has Parquet files.
fn holds_parquet(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| is_named_parquet(&entry.path()))
}

fn is_by_value(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name.to_string_lossy().contains('='))
}

fn is_named_parquet(path: &Path) -> bool {
    let ending = path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

fn of_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let wrong = |what: String| Err(Error::invalid(format!("folder {}: {what}", folder.display())));
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).at(|| format!("list {}", folder.display()))?;
    for entry in entries {
        let path = entry.at(|| format!("list {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "_delta_log" {
            return wrong(
                "it is a Delta Lake table, whose log says which files count; export it first".into(),
            );
        }
        // `_SUCCESS`, `.part-….crc`, `_metadata`: files that programs write for themselves
        if name.starts_with(['_', '.']) {
            continue;
        }
        if path.is_dir() {
            return wrong(match name.split_once('=') {
                Some((column, _)) => format!(
                    "it is partitioned by {column:?}, whose values are names of subfolders and in no file; write it \
                     without partitions, or name the files without that column: '{}/*/*.parquet'",
                    folder.display()
                ),
                None => format!(
                    "it has the subfolder {name:?}, expected Parquet files; name that folder, or the files: \
                     '{}/*/*.parquet'",
                    folder.display()
                ),
            });
        }
        if !is_named_parquet(&path) {
            return wrong(format!("{name:?} does not end in .parquet; move it away, or name the files"));
        }
        files.push(path);
    }
    if files.is_empty() {
        return wrong("it has no Parquet files".into());
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> (tempfile::TempDir, Result<Vec<String>>) {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            match name.strip_suffix('/') {
                Some(name) => fs::create_dir(folder.path().join(name)).unwrap(),
                None => fs::write(folder.path().join(name), "").unwrap(),
            }
        }
        let found = expand(folder.path());
        let names = |files: Vec<PathBuf>| {
            files.iter().map(|f| f.file_name().unwrap().to_str().unwrap().to_owned()).collect()
        };
        let found = found.map(names);
        (folder, found)
    }

    #[test]
    fn a_folder_of_spark_is_its_parts_by_name() {
        let names =
            ["part-00001-x.snappy.parquet", "part-00000-x.snappy.parquet", "_SUCCESS", "._SUCCESS.crc"];
        assert_eq!(folder(&names).1.unwrap(), [names[1], names[0]]);
    }

    #[test]
    fn folders_that_mean_more_than_their_files_are_refused_with_advice() {
        for (names, expected) in [
            (&["year=2024/", "part-0.parquet"][..], "partitioned by \"year\""),
            (&["_delta_log/", "part-0.parquet"], "Delta Lake"),
            (&["metadata/"], "has the subfolder \"metadata\""),
            (&["a.parquet", "a.csv"], "\"a.csv\" does not end in .parquet"),
            (&["_SUCCESS"], "no Parquet files"),
        ] {
            let error = folder(names).1.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let (by_value, _) = folder(&["dt=1/", "_SUCCESS"]);
        assert!(has_parquet(by_value.path()), "reading it reports the error");
        let (other, _) = folder(&["a.csv", "notes/"]);
        assert!(!has_parquet(other.path()));
        let error = expand(Path::new("/no/such/file.parquet")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("/no/such/file.parquet"), "{error}");
    }
}
