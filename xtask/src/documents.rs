//! Paths that documents name.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

const DOCUMENTS: [&str; 10] = [
    "README.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "docs/run.md",
    "docs/configure.md",
    "docs/limits.md",
    "docs/tune.md",
    "docs/component.md",
    "docs/engine.md",
    "examples/breast/README.md",
];

/// A document links to what does not exist.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for document in DOCUMENTS {
        let path = root.join(document);
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

/// Relative targets of Markdown links.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    targets.filter(|target| !target.is_empty() && !target.contains("://"))
}
