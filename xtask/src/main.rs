//! Checks that keep the architecture true, and the page that is generated from code.
//!
//! `cargo xtask tidy` checks; `cargo xtask reference` writes the generated page.

mod arrows;
mod documents;
mod reference;
mod sources;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    // Asked at run time: clones that share build output share this program.
    let root = std::env::var_os("CARGO_MANIFEST_DIR").context("run it as `cargo xtask`")?;
    let root = PathBuf::from(root);
    let root = root.parent().context("xtask is in the workspace")?;
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => tidy(root),
        Some("reference") => reference::write(root),
        other => bail!("unknown task {other:?}, expected tidy or reference"),
    }
}

fn tidy(root: &std::path::Path) -> Result<()> {
    let mut problems = Vec::new();
    problems.extend(arrows::check(root)?);
    problems.extend(sources::check(root)?);
    problems.extend(documents::check(root)?);
    if problems.is_empty() {
        return Ok(());
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    bail!("{} problems", problems.len())
}
