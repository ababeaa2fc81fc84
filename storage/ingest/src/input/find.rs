//! From arguments to files: a pattern means all files that match it, sorted by name, and a folder its files.

use std::io;
use std::path::{Path, PathBuf};

use tributary_core::media::{Media, parts_of, scheme_of};
use tributary_core::{Error, ErrorKind, Result};

use super::STANDARD_INPUT;
use super::folder::expand;

/// Files, in order, and the keys of the folders that all of them are in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub paths: Vec<PathBuf>,
    pub keys: Vec<String>,
}

/// The files that the arguments name. An argument that is the name of a file is no pattern, whatever characters it has.
pub(crate) fn resolve(words: &[PathBuf], media: &dyn Media) -> Result<Files> {
    if words.is_empty() {
        return Err(Error::invalid("no file; give at least one"));
    }
    if words.iter().filter(|word| *word == Path::new(STANDARD_INPUT)).count() > 1 {
        return Err(Error::invalid("standard input (-) is given twice; it can be read only once"));
    }
    let mut all: Option<Files> = None;
    for word in words {
        let found = match scheme_of(word) {
            Some(_) => resolve_distant(word, media)?,
            None => resolve_local(word, media)?,
        };
        match &mut all {
            None => all = Some(found),
            Some(all) if all.keys == found.keys => all.paths.extend(found.paths),
            Some(all) => {
                return Err(Error::invalid(format!(
                    "{} has folders of the columns [{}], expected [{}] as the files before it",
                    word.display(),
                    found.keys.join(", "),
                    all.keys.join(", ")
                )));
            }
        }
    }
    Ok(all.unwrap_or_default())
}

fn of_folder(folder: &Path, media: &dyn Media) -> Result<Files> {
    let (paths, keys) = expand(folder, media)?;
    Ok(Files { paths, keys })
}

fn of_pattern(pattern: &str, found: Vec<PathBuf>, looked_in: String) -> Result<Files> {
    match found.is_empty() {
        true => Err(Error::new(ErrorKind::NotFound, format!("no file matches {pattern}{looked_in}"))),
        false => Ok(Files { paths: found, keys: Vec::new() }),
    }
}

fn pattern_of(word: &Path) -> Option<&str> {
    word.to_str().filter(|text| text.contains(['*', '?', '[']))
}

fn resolve_local(word: &Path, media: &dyn Media) -> Result<Files> {
    let Some(pattern) = pattern_of(word).filter(|_| !word.exists()) else {
        expect_there(word)?;
        return match word.is_dir() {
            true => of_folder(word, media),
            false => Ok(Files { paths: vec![word.to_owned()], keys: Vec::new() }),
        };
    };
    let found = glob::glob(pattern).map_err(|error| refused(pattern, &error.to_string()))?;
    let found = found.collect::<std::result::Result<Vec<_>, _>>();
    let mut found =
        found.map_err(|error| Error::from(io::Error::from(error)).at(format!("look for {pattern}")))?;
    found.sort();
    of_pattern(pattern, found, looked_in(word))
}

fn refused(pattern: &str, reason: &str) -> Error {
    Error::invalid(format!("pattern {pattern:?}: {reason}"))
}

/// A store has names, and folders only as beginnings of them: what is no file may be a folder, else a pattern.
fn resolve_distant(word: &Path, media: &dyn Media) -> Result<Files> {
    let is_place = parts_of(word)?.2.is_empty();
    match if is_place { None } else { Some(media.open(word)) } {
        Some(Ok(_)) => return Ok(Files { paths: vec![word.to_owned()], keys: Vec::new() }),
        Some(Err(error)) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(pattern) = pattern_of(word) {
        let matcher = glob::Pattern::new(pattern).map_err(|error| refused(pattern, error.msg))?;
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
        let plain = pattern.find(['*', '?', '[']).unwrap_or(0);
        let folder = pattern[..plain].rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut found = media.list(Path::new(folder))?;
        found.retain(|path| matcher.matches_path_with(path, options));
        return of_pattern(pattern, found, String::new());
    }
    if media.list(word)?.is_empty() {
        let text = format!("there is no file {}, and no folder of that name", word.display());
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    of_folder(word, media)
}

fn expect_there(word: &Path) -> Result<()> {
    match word.symlink_metadata() {
        Err(e) if e.kind() == io::ErrorKind::NotFound && word != Path::new(STANDARD_INPUT) => {
            let text = format!("there is no file {}{}", word.display(), looked_in(word));
            Err(Error::new(ErrorKind::NotFound, text))
        }
        // what else is wrong with it shows when it is opened
        _ => Ok(()),
    }
}

/// The folder that a relative name is below: a name may come from a file that is somewhere else.
fn looked_in(word: &Path) -> String {
    let folder = std::env::current_dir().ok().filter(|_| word.is_relative());
    folder.map_or(String::new(), |folder| format!(" in {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use tributary_system::LocalMedia;

    use super::*;

    fn found(words: &[PathBuf]) -> Result<Vec<PathBuf>> {
        resolve(words, &LocalMedia).map(|files| files.paths)
    }

    #[test]
    fn a_pattern_means_its_matches_and_a_name_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["b.csv", "a.csv", "c.txt", "x[1].csv", "x1.csv"] {
            std::fs::write(path(name), "").unwrap();
        }
        let resolve = |words: &[&str]| found(&words.iter().map(|word| path(word)).collect::<Vec<_>>());
        assert_eq!(resolve(&["?.csv"]).unwrap(), [path("a.csv"), path("b.csv")]);
        assert_eq!(resolve(&["c.txt", "[ab].csv"]).unwrap(), [path("c.txt"), path("a.csv"), path("b.csv")]);
        assert_eq!(resolve(&["x[1].csv"]).unwrap(), [path("x[1].csv")]);
        let missing = resolve(&["none.csv"]).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(missing.to_string().ends_with("none.csv"), "{missing}");
        for relative in ["no/none.csv", "no/*.csv"] {
            let missing = found(&[relative.into()]).unwrap_err().to_string();
            let folder = std::env::current_dir().unwrap();
            assert!(missing.ends_with(&format!("{relative} in {}", folder.display())), "{missing}");
        }
        let error = resolve(&["*.parquet"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().starts_with("no file matches "), "{error}");
        assert!(resolve(&["a**b"]).unwrap_err().to_string().contains("pattern "));
    }

    #[test]
    fn standard_input_can_be_named_once() {
        assert!(found(&["-".into()]).is_ok());
        assert!(found(&["-".into(), "-".into()]).unwrap_err().to_string().contains("given twice"));
        assert!(found(&[]).unwrap_err().to_string().contains("no file; give at least one"));
    }
}
