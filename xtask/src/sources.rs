//! Source files: each says what it is for, and none outgrows one concept.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// A file longer than this holds a second concept.
const MAX_LINES: usize = 800;

/// Names that say nothing.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "misc", "helpers", "helper"];

/// Files without a module doc, with an empty name, or too long.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut files = Vec::new();
    collect(root, &mut files)?;
    for file in files {
        let shown = file.strip_prefix(root).unwrap_or(&file).display();
        let text = fs::read_to_string(&file)?;
        if !text.starts_with("//!") {
            problems.push(format!("{shown}:1: no module doc; begin with //! and what the file is for"));
        }
        let lines = text.lines().count();
        if lines > MAX_LINES {
            problems
                .push(format!("{shown}: {lines} lines, more than {MAX_LINES}; look for the second concept"));
        }
        let stem = file.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        if EMPTY_NAMES.contains(&stem) {
            problems.push(format!("{shown}: a name that says nothing; name the thing"));
        }
    }
    Ok(problems)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(&path, files)?;
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    Ok(())
}
