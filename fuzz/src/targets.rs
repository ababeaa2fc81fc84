//! The decoders, and an input of each form that they know.

mod databases;
mod documents;
mod files;
mod lines;
mod numbers;
mod records;
mod sites;
mod tables;
mod wire;

use std::path::PathBuf;

use tributary_core::{ErrorKind, Result};

/// A decoder of bytes from outside.
#[derive(Debug)]
pub struct Target {
    /// Its name, also that of the folder of its seeds.
    pub name: &'static str,
    /// Inputs in an ordinary test, fewer where one takes long.
    pub short: u64,
    /// Inputs that it takes, as far as they are not files in its folder.
    pub made: fn() -> Vec<Vec<u8>>,
    /// Decodes. Errors are fine.
    pub run: fn(&[u8]),
}

/// All of them.
pub static TARGETS: [Target; 34] = [
    Target { name: "job", short: 800, made: documents::jobs, run: documents::job },
    Target { name: "fate1_job", short: 800, made: documents::fate1_jobs, run: documents::fate1_job },
    Target {
        name: "configuration",
        short: 1500,
        made: documents::configurations,
        run: documents::configuration,
    },
    Target { name: "upload_file", short: 1500, made: documents::upload_files, run: documents::upload_file },
    Target { name: "card", short: 1500, made: sites::cards, run: sites::card },
    Target { name: "job_letter", short: 3000, made: sites::letters, run: sites::letter },
    Target { name: "grants", short: 1500, made: sites::grants, run: sites::grant },
    Target { name: "audit_entry", short: 3000, made: sites::audit_entries, run: sites::audit_entry },
    Target { name: "csv", short: 300, made: files::csv_files, run: files::csv },
    Target { name: "packed_csv", short: 300, made: files::packed_csv_files, run: files::packed_csv },
    Target { name: "parquet", short: 300, made: files::parquet_files, run: files::parquet },
    Target { name: "manifest", short: 2000, made: tables::manifests, run: tables::manifest },
    Target { name: "bound_part", short: 1500, made: tables::bound_parts, run: tables::bound_part },
    Target { name: "sql_copy", short: 3000, made: databases::copies, run: databases::copy },
    Target { name: "sql_manifest", short: 2000, made: databases::manifests, run: databases::manifest },
    Target { name: "part", short: 500, made: tables::parts, run: tables::part },
    Target { name: "table_record", short: 3000, made: records::tables, run: records::table },
    Target { name: "job_record", short: 1500, made: Vec::new, run: records::job },
    Target { name: "model", short: 3000, made: Vec::new, run: records::model },
    Target { name: "point", short: 2000, made: numbers::points, run: numbers::point },
    Target {
        name: "psi_message",
        short: 100,
        made: tributary_psi::rr22::fuzzing::messages,
        run: numbers::psi_message,
    },
    Target { name: "public_key", short: 300, made: numbers::public_keys, run: numbers::public_key },
    Target { name: "secret_key", short: 300, made: numbers::secret_keys, run: numbers::secret_key },
    Target { name: "ciphertext", short: 1000, made: numbers::ciphertexts, run: numbers::ciphertext },
    Target {
        name: "message",
        short: 600,
        made: tributary_components::fuzzing::messages,
        run: tributary_components::fuzzing::message,
    },
    Target { name: "hello", short: 3000, made: wire::hellos, run: tributary_wire::fuzzing::hello },
    Target { name: "frame", short: 3000, made: wire::frames, run: tributary_wire::fuzzing::frame },
    Target { name: "header", short: 3000, made: wire::headers, run: tributary_wire::fuzzing::header },
    Target { name: "rows", short: 1500, made: wire::damages, run: tributary_wire::fuzzing::rows },
    Target {
        name: "greeting",
        short: 3000,
        made: lines::greetings,
        run: tributary_direct::fuzzing::greeting,
    },
    Target { name: "line", short: 3000, made: lines::messages, run: tributary_direct::fuzzing::messages },
    Target { name: "bundle", short: 3000, made: wire::bundles, run: wire::bundle },
    Target { name: "held", short: 500, made: lines::held, run: lines::read_held },
    Target {
        name: "certificate",
        short: 2000,
        made: lines::certificates,
        run: tributary_direct::fuzzing::certificate,
    },
];

/// A target by name.
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

impl Target {
    /// Where inputs are kept that found a fault.
    pub fn folder(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("seeds").join(self.name)
    }

    /// All inputs that others are made from, in an order that does not change: those made here, then the kept ones.
    pub fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = (self.made)();
        let kept = std::fs::read_dir(self.folder())
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        let mut kept: Vec<PathBuf> = kept.collect();
        kept.sort();
        seeds.extend(kept.iter().filter_map(|path| std::fs::read(path).ok()));
        seeds
    }
}

/// An error is an answer, unless it reports a bug.
fn judge<T>(result: Result<T>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) => {
            assert_ne!(error.kind(), ErrorKind::Bug, "{}", error.chain());
            None
        }
    }
}
