//! The files of a folder as Spark and other programs write one: parts side by side, or below folders that are named by the value of a column
//! (`year=2024/part-0.parquet`), whose keys are columns of the table.
//!
//! Only what one write leaves is read: a folder that holds anything else is refused, because nobody says which of its files count.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use tributary_core::media::{Media, keys_below, scheme_of};
use tributary_core::{Error, Result, ResultExt};

/// Ends of names, by what they mean.
const PARQUET: [&str; 3] = ["parquet", "parq", "pq"];
const CSV: [&str; 4] = ["csv", "tsv", "tab", "txt"];
/// Ends after those of a format.
const PACKED: [&str; 4] = ["gz", "gzip", "zst", "zstd"];

/// The files of a folder, and the keys of the folders below it that they are in.
pub(crate) fn expand(folder: &Path, media: &dyn Media) -> Result<(Vec<PathBuf>, Vec<String>)> {
    let at = |error: Error| error.at(format!("folder {}", folder.display()));
    if scheme_of(folder).is_none() {
        look_for_others(folder).map_err(at)?;
    }
    let mut found: Option<(PathBuf, &str, Vec<String>)> = None;
    let mut files = Vec::new();
    for file in media.list(folder).map_err(at)? {
        if is_hidden(folder, &file).map_err(at)? {
            continue;
        }
        let keys: Vec<String> = keys_below(folder, &file).into_iter().map(|(key, _)| key).collect();
        let format = format_of(&file).map_err(at)?;
        let (first, of_first, keys_of_first) = found.get_or_insert((file.clone(), format, keys.clone()));
        if *of_first != format {
            return Err(at(Error::invalid(format!(
                "{} is {of_first}, but {} is {format}; all files of a table must have one format",
                shown(folder, first),
                shown(folder, &file)
            ))));
        }
        if *keys_of_first != keys {
            return Err(at(Error::invalid(format!(
                "{} is below folders of {}, expected {} as {}",
                shown(folder, &file),
                listed(&keys),
                listed(keys_of_first),
                shown(folder, first)
            ))));
        }
        files.push(file);
    }
    match found {
        Some((_, _, keys)) => Ok((files, keys)),
        None => Err(at(Error::invalid("it has no Parquet or CSV files"))),
    }
}

fn shown(folder: &Path, file: &Path) -> String {
    format!("{:?}", file.strip_prefix(folder).unwrap_or(file).display().to_string())
}

fn listed(keys: &[String]) -> String {
    if keys.is_empty() { "no column".to_owned() } else { keys.join(", ") }
}

/// The names below a folder.
fn names<'a>(folder: &Path, file: &'a Path) -> Vec<std::borrow::Cow<'a, str>> {
    let below = file.strip_prefix(folder).unwrap_or(file);
    let name = |component| match component {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    };
    below.components().filter_map(name).collect()
}

/// `_SUCCESS`, `.part-….crc`, `_metadata`: files that programs write for themselves. `InvalidInput` for a folder that means more than its files.
fn is_hidden(folder: &Path, file: &Path) -> Result<bool> {
    let names = names(folder, file);
    if names.iter().any(|name| name == "_delta_log") {
        return Err(Error::invalid(
            "it is a Delta Lake table, whose log says which files count; export it first",
        ));
    }
    if names.iter().any(|name| name.starts_with(['_', '.']) && !name.contains('=')) {
        return Ok(true);
    }
    let folders = names.split_last().map_or(&[][..], |(_, folders)| folders);
    match folders.iter().find(|name| !name.contains('=')) {
        Some(name) => Err(other_folder(folder, name)),
        None => Ok(false),
    }
}

fn other_folder(folder: &Path, name: &str) -> Error {
    Error::invalid(format!(
        "it has the subfolder {name:?}, expected files, or folders named by the value of a column (column=value); name that folder, or the files: \
         '{}/*/*.parquet'",
        folder.display()
    ))
}

/// The same for a local folder before all below it is listed, which may be a whole disk.
fn look_for_others(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at(|| "list")? {
        let path = entry.at(|| "list")?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.contains('=') && !name.starts_with(['_', '.']) && path.is_dir() {
            return Err(other_folder(folder, &name));
        }
    }
    Ok(())
}

/// By the end of its name, because a folder may have files of any kind.
fn format_of(file: &Path) -> Result<&'static str> {
    let ending = |path: &Path| path.extension().and_then(OsStr::to_str).map(str::to_ascii_lowercase);
    let is_one_of =
        |path: &Path, endings: &[&str]| ending(path).is_some_and(|ending| endings.contains(&&*ending));
    let unpacked = if is_one_of(file, &PACKED) { file.with_extension("") } else { file.to_owned() };
    match () {
        () if is_one_of(file, &PARQUET) => Ok("Parquet"),
        () if is_one_of(&unpacked, &CSV) => Ok("CSV"),
        () => {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            Err(Error::invalid(format!(
                "{name:?} ends neither in .parquet nor in .csv; move it away, or name the files"
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use tributary_system::LocalMedia;

    use super::*;

    fn folder(names: &[&str]) -> Result<(Vec<String>, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            match name.ends_with('/') {
                true => fs::create_dir(path).unwrap(),
                false => fs::write(path, "").unwrap(),
            }
        }
        let (files, keys) = expand(folder.path(), &LocalMedia)?;
        let below = |file: PathBuf| file.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
        Ok((files.into_iter().map(below).collect(), keys))
    }

    #[test]
    fn a_folder_of_spark_is_its_parts_by_name() {
        let names = [
            "part-00001-x.snappy.parquet",
            "part-00000-x.snappy.parquet",
            "_SUCCESS",
            "._SUCCESS.crc",
            "_temporary/0/x",
        ];
        assert_eq!(folder(&names).unwrap(), (vec![names[1].into(), names[0].into()], vec![]));
        assert_eq!(folder(&["b.CSV", "a.csv.gz"]).unwrap().0, ["a.csv.gz", "b.CSV"]);
    }

    #[test]
    fn keys_of_folders_are_those_of_all_files() {
        let names = ["y=2/k=a/1.parquet", "y=10/k=b/1.parquet", "y=10/k=b/_SUCCESS", "_SUCCESS"];
        let (files, keys) = folder(&names).unwrap();
        assert_eq!((files.len(), &keys[..]), (2, &["y".to_owned(), "k".to_owned()][..]));
        for (names, expected) in [
            (["y=1/a.csv", "b.csv"], "\"y=1/a.csv\" is below folders of y, expected no column as \"b.csv\""),
            (["y=1/a.csv", "z=1/b.csv"], "\"z=1/b.csv\" is below folders of z, expected y as \"y=1/a.csv\""),
            (["y=1/a.csv", "y=1/x/b.csv"], "has the subfolder \"x\""),
        ] {
            let error = folder(&names).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn folders_that_mean_more_than_their_files_are_refused_with_advice() {
        for (names, expected) in [
            (&["_delta_log/0.json", "part-0.parquet"][..], "Delta Lake"),
            (&["metadata/"], "has the subfolder \"metadata\""),
            (&["a.parquet", "a.csv"], "\"a.csv\" is CSV, but \"a.parquet\" is Parquet"),
            (&["a.parquet", "a.json"], "\"a.json\" ends neither in .parquet nor in .csv"),
            (&["_SUCCESS"], "no Parquet or CSV files"),
        ] {
            let error = folder(names).unwrap_err().to_string();
            assert!(error.starts_with("folder /") && error.contains(expected), "{error}");
        }
    }
}
