//! The reference page of `service_conf.yaml`, which the whole binary prints: the keys of every engine are declared in its crate.
//!
//! The test that compares the page also writes it, so that the engines are compiled once for both.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Writes the page.
pub(crate) fn write(root: &Path) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["test", "--quiet", "--workspace", "--features", "tributary-cli/ballista", "--test", "e2e"])
        .args(["--", "--exact", "config::the_reference_page_lists_the_keys_of_every_engine"])
        .env("UPDATE_REFERENCE", "1")
        .current_dir(root)
        .status()
        .context("run cargo test")?;
    ensure!(status.success(), "the page was not written");
    Ok(())
}
