//! Dependency arrows: which crate may import which of ours, and which libraries stay in one place.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// A package, and those of ours it may import. Tests and benches are free.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("document", &[]),
    ("standalone", &["core"]),
    ("table", &["core"]),
    ("file", &["core", "table"]),
    ("meta", &["core"]),
    ("ingest", &["core", "document"]),
    ("wire", &["core"]),
    ("memory", &["core", "wire"]),
    ("paillier", &[]),
    ("psi", &["core"]),
    ("binning", &["core", "paillier"]),
    ("components", &["core", "document", "paillier", "psi", "binning"]),
    ("flow", &["core", "document", "components"]),
    ("runtime", &["core", "document", "standalone", "file", "meta", "memory"]),
    ("cli", &["core", "document", "components", "flow", "ingest", "runtime"]),
    ("conformance", &["core"]),
    ("e2e", &[]),
    ("bench", &["core"]),
];

/// A library that only these packages may name, because everything else reaches it through a contract.
const CONFINED: &[(&str, &[&str])] = &[
    ("rayon", &["standalone"]),
    ("parquet", &["table"]),
    ("rusqlite", &["meta"]),
    ("snow", &["wire"]),
    ("rug", &["paillier"]),
    ("curve25519-dalek", &["psi"]),
    ("saphyr-parser", &["document"]),
    ("clap", &["cli"]),
    ("tokio", &["wire", "memory", "flow", "cli", "conformance"]),
    ("datafusion", &[]),
];

/// Every arrow that is not allowed.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (folder, dependencies) in packages(root)? {
        let file = format!("{folder}/Cargo.toml");
        let Some(name) = dependencies.name.strip_prefix("tributary-") else { continue };
        let Some((_, allowed)) = ARROWS.iter().find(|(package, _)| *package == name) else {
            problems.push(format!("{file}: package {name} has no arrows; list it in xtask/src/arrows.rs"));
            continue;
        };
        for dependency in &dependencies.normal {
            match dependency.strip_prefix("tributary-") {
                Some(ours) if !allowed.contains(&ours) => {
                    problems.push(format!("{file}: {name} may not import {ours}"));
                }
                _ => {}
            }
            let confined = CONFINED.iter().find(|(library, _)| library == dependency);
            if confined.is_some_and(|(_, places)| !places.contains(&name)) {
                problems.push(format!(
                    "{file}: {dependency} stays in {:?}",
                    confined.map(|c| c.1).unwrap_or(&[])
                ));
            }
        }
    }
    Ok(problems)
}

struct Package {
    name: String,
    normal: Vec<String>,
}

/// The workspace's packages by folder. A reader for the few lines we need: `cargo metadata` would resolve all of
/// crates.io's answers for it.
fn packages(root: &Path) -> Result<BTreeMap<String, Package>> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"))?;
    let members = manifest
        .lines()
        .skip_while(|l| !l.starts_with("members"))
        .skip(1)
        .take_while(|l| !l.starts_with(']'));
    let folders = members.map(|line| line.trim().trim_matches([',', '"']).to_string());
    let read = |folder: String| {
        let text =
            std::fs::read_to_string(root.join(&folder).join("Cargo.toml")).with_context(|| folder.clone())?;
        let section = |header: &str| {
            let lines = text.lines().skip_while(|l| *l != header).skip(1);
            lines
                .take_while(|l| !l.starts_with('['))
                .map(str::trim)
                .filter(|l| !l.is_empty() && !l.starts_with('#'))
                .map(str::to_string)
                .collect::<Vec<_>>()
        };
        let name = section("[package]")
            .iter()
            .find_map(|l| Some(l.strip_prefix("name = ")?.trim_matches('"').to_string()));
        let key = |line: &String| line.split(['.', ' ', '=']).next().unwrap_or_default().to_string();
        let normal = section("[dependencies]").iter().map(key).collect();
        Ok((folder, Package { name: name.context("a package has a name")?, normal }))
    };
    folders.map(read).collect()
}
