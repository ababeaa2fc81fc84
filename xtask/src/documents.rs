//! Paths that documents name.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Every link of a document to a file that does not exist.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let (mut problems, mut documents) = (Vec::new(), Vec::new());
    collect(root, &mut documents)?;
    for path in documents {
        let document = path.strip_prefix(root).unwrap_or(&path).display();
        let folder = path.parent().unwrap_or(root);
        let text = fs::read_to_string(&path).with_context(|| document.to_string())?;
        for (number, line) in text.lines().enumerate() {
            for target in links(line).filter(|target| !folder.join(target).exists()) {
                problems.push(format!("{document}:{}: {target} does not exist", number + 1));
            }
        }
    }
    Ok(problems)
}

fn collect(folder: &Path, documents: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(&path, documents)?;
            }
        } else if name.ends_with(".md") {
            documents.push(path);
        }
    }
    Ok(())
}

/// Relative targets of Markdown links.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}
