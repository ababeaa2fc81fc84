//! Dependency arrows: which crate may import which of ours, and which libraries stay in one place.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

/// A package, and those of ours it may import. Tests and benches are free.
const ARROWS: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("suggest", &[]),
    ("system", &["core"]),
    ("document", &["core", "suggest"]),
    ("partition", &["core"]),
    ("placement", &["core", "suggest"]),
    ("standalone", &["core", "partition", "placement", "system"]),
    ("ballista", &["core", "partition", "placement", "system"]),
    ("parquet", &["core", "system"]),
    ("csv", &["core", "suggest", "system"]),
    ("table", &["core", "csv", "parquet", "system"]),
    ("file", &["core", "system", "table"]),
    ("threads", &["core"]),
    ("object", &["core", "system", "table", "threads"]),
    ("hdfs", &["core", "system", "table", "threads"]),
    ("database", &["core", "threads"]),
    ("sql", &["core", "database", "system", "threads"]),
    ("meta", &["core", "database"]),
    ("catalog", &["core", "system", "text"]),
    ("text", &["core"]),
    ("export", &["core", "parquet", "suggest", "system", "text"]),
    ("ingest", &["core", "document", "csv", "parquet", "text", "catalog", "system"]),
    ("wire", &["core", "system"]),
    ("memory", &["core", "wire"]),
    ("trust", &["core", "suggest", "wire"]),
    ("direct", &["core", "memory", "system", "wire"]),
    ("broker", &["core", "document"]),
    ("rabbitmq", &["core", "broker", "system", "wire"]),
    ("pulsar", &["core", "broker", "system", "wire"]),
    ("paillier", &[]),
    ("vole", &["core", "system"]),
    ("psi", &["core", "system", "vole"]),
    ("binning", &["core", "paillier"]),
    ("boost", &["core", "paillier"]),
    ("evaluation", &["core"]),
    ("sampling", &["core"]),
    ("statistics", &["core"]),
    ("component", &["core", "document"]),
    (
        "components",
        &[
            "core",
            "document",
            "system",
            "component",
            "paillier",
            "psi",
            "binning",
            "boost",
            "evaluation",
            "sampling",
            "statistics",
        ],
    ),
    ("fate1", &["core", "document"]),
    ("grants", &["core", "document", "system"]),
    ("flow", &["core", "system", "catalog", "document", "component", "text"]),
    (
        "runtime",
        &[
            "core",
            "document",
            "component",
            "components",
            "grants",
            "standalone",
            "ballista",
            "file",
            "meta",
            "memory",
            "direct",
            "rabbitmq",
            "pulsar",
            "object",
            "hdfs",
            "sql",
            "system",
            "trust",
            "wire",
        ],
    ),
    (
        "service",
        &[
            "core",
            "catalog",
            "component",
            "document",
            "fate1",
            "flow",
            "grants",
            "ingest",
            "report",
            "runtime",
            "system",
            "trust",
        ],
    ),
    ("report", &["core", "component"]),
    ("tune", &["core", "system", "component", "psi"]),
    ("cli", &["core", "document", "component", "export", "flow", "ingest", "runtime", "service", "tune"]),
    ("conformance", &["core"]),
    ("services", &[]),
    ("bench", &["core", "ballista"]),
    (
        "fuzz",
        &[
            "core",
            "broker",
            "component",
            "components",
            "binning",
            "direct",
            "fate1",
            "file",
            "flow",
            "grants",
            "ingest",
            "meta",
            "paillier",
            "parquet",
            "psi",
            "runtime",
            "sql",
            "trust",
            "wire",
        ],
    ),
];

/// A library that only these packages may name, because everything else reaches it through a contract.
const CONFINED: &[(&str, &[&str])] = &[
    ("rayon", &["partition", "standalone"]),
    ("parquet", &["parquet"]),
    ("snow", &["wire"]),
    ("ring", &["wire"]),
    ("rcgen", &["ballista", "direct", "trust"]),
    ("x509-parser", &["direct", "trust"]),
    ("rug", &["paillier"]),
    ("curve25519-dalek", &["psi", "vole", "wire"]),
    ("saphyr-parser", &["document"]),
    ("plotters", &["report", "tune"]),
    ("png", &["tune"]),
    ("clap", &["cli", "fuzz"]),
    ("h2", &["direct"]),
    ("lapin", &["rabbitmq"]),
    ("pulsar", &["pulsar"]),
    ("reqwest", &["broker"]),
    ("object_store", &["object"]),
    ("hdfs-native", &["hdfs"]),
    ("roxmltree", &["hdfs"]),
    ("sqlx", &["database", "sql"]),
    ("tokio-rustls", &["direct", "ballista"]),
    (
        "tokio",
        &[
            "wire",
            "memory",
            "direct",
            "flow",
            "service",
            "cli",
            "conformance",
            "ballista",
            "runtime",
            "broker",
            "rabbitmq",
            "pulsar",
            "threads",
            "object",
            "hdfs",
            "database",
            "sql",
            "services",
        ],
    ),
    ("datafusion", &["ballista", "bench"]),
    ("ballista-core", &["ballista"]),
    ("ballista-scheduler", &["ballista"]),
    ("ballista-executor", &["ballista"]),
];

/// Every arrow that is not allowed.
pub(crate) fn check(root: &Path) -> Result<Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    Ok(metadata.packages.iter().flat_map(wrong_arrows).collect())
}

fn wrong_arrows(package: &Package) -> Vec<String> {
    let Some(name) = package.name.strip_prefix("tributary-") else { return Vec::new() };
    let Some((_, allowed)) = ARROWS.iter().find(|(package, _)| *package == name) else {
        return vec![format!("package {name} has no arrows; list it in xtask/src/arrows.rs")];
    };
    let wrong = |dependency: &Dependency| {
        let ours = dependency.name.strip_prefix("tributary-");
        let confined = CONFINED.iter().find(|(library, _)| *library == dependency.name);
        match (ours, confined) {
            (Some(ours), _) if !allowed.contains(&ours) => Some(format!("{name} may not import {ours}")),
            (_, Some((library, places))) if !places.contains(&name) => {
                Some(format!("{name} may not import {library}, which stays in {}", places.join(", ")))
            }
            _ => None,
        }
    };
    // Tests, benches and build scripts are free.
    package.dependencies.iter().filter(|dependency| dependency.kind.is_none()).filter_map(wrong).collect()
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(package: &str, dependency: &str, kind: Option<&str>) -> usize {
        let dependency = Dependency { name: dependency.into(), kind: kind.map(Into::into) };
        wrong_arrows(&Package { name: package.into(), dependencies: vec![dependency] }).len()
    }

    #[test]
    fn an_arrow_against_the_map_is_found() {
        assert_eq!(wrong("tributary-core", "tributary-standalone", None), 1);
        assert_eq!(wrong("tributary-core", "tributary-standalone", Some("dev")), 0);
        assert_eq!(wrong("tributary-flow", "tributary-core", None), 0);
        assert_eq!(wrong("tributary-flow", "rayon", None), 1);
        assert_eq!(wrong("tributary-unheard-of", "serde", None), 1);
    }
}
