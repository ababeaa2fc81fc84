//! From arguments to paths: a pattern means all files that match it, sorted by name.

use std::io;
use std::path::{Path, PathBuf};

use tributary_core::{Error, ErrorKind, Result};

use super::STANDARD_INPUT;

/// The paths that the arguments name. An argument that is the name of a file is no pattern, whatever characters it has.
pub(crate) fn resolve(words: &[PathBuf]) -> Result<Vec<PathBuf>> {
    if words.is_empty() {
        return Err(Error::invalid("no file; give at least one"));
    }
    if words.iter().filter(|word| *word == Path::new(STANDARD_INPUT)).count() > 1 {
        return Err(Error::invalid("standard input (-) is given twice; it can be read only once"));
    }
    let paths = words.iter().map(|word| resolve_one(word)).collect::<Result<Vec<_>>>()?;
    Ok(paths.concat())
}

fn resolve_one(word: &Path) -> Result<Vec<PathBuf>> {
    let pattern = word.to_str().filter(|text| text.contains(['*', '?', '[']) && !word.exists());
    let Some(pattern) = pattern else {
        expect_there(word)?;
        return Ok(vec![word.to_owned()]);
    };
    let refused = |reason: String| Error::invalid(format!("pattern {pattern:?}: {reason}"));
    let found = glob::glob(pattern).map_err(|error| refused(error.to_string()))?;
    let found = found.collect::<std::result::Result<Vec<_>, _>>();
    let mut found =
        found.map_err(|error| Error::from(io::Error::from(error)).at(format!("look for {pattern}")))?;
    if found.is_empty() {
        let text = format!("no file matches {pattern}{}", looked_in(word));
        return Err(Error::new(ErrorKind::NotFound, text));
    }
    found.sort();
    Ok(found)
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
    use super::*;

    #[test]
    fn a_pattern_means_its_matches_and_a_name_itself() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["b.csv", "a.csv", "c.txt", "x[1].csv", "x1.csv"] {
            std::fs::write(path(name), "").unwrap();
        }
        let resolve = |words: &[&str]| resolve(&words.iter().map(|word| path(word)).collect::<Vec<_>>());
        assert_eq!(resolve(&["?.csv"]).unwrap(), [path("a.csv"), path("b.csv")]);
        assert_eq!(resolve(&["c.txt", "[ab].csv"]).unwrap(), [path("c.txt"), path("a.csv"), path("b.csv")]);
        assert_eq!(resolve(&["x[1].csv"]).unwrap(), [path("x[1].csv")]);
        let missing = resolve(&["none.csv"]).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        assert!(missing.to_string().ends_with("none.csv"), "{missing}");
        for relative in ["no/none.csv", "no/*.csv"] {
            let missing = super::resolve(&[relative.into()]).unwrap_err().to_string();
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
        assert!(resolve(&["-".into()]).is_ok());
        assert!(resolve(&["-".into(), "-".into()]).unwrap_err().to_string().contains("given twice"));
        assert!(resolve(&[]).unwrap_err().to_string().contains("no file; give at least one"));
    }
}
