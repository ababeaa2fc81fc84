//! What the catalogue says of a table: JSON, versioned, checked in every number when read.

use serde::{Deserialize, Serialize};

use tributary_core::storage::StoredTable;
use tributary_core::{Error, ErrorKind, Result};

use crate::part::Piece;
use crate::source::Source;

/// The format's name in a catalogue that others may write to.
const FORMAT: &str = "tributary-sql";
/// Raised when older programs cannot read the new form.
const VERSION: u32 = 1;

/// The manifest; see the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u32,
    /// The program that wrote it, for display.
    written_by: String,
    /// The table, with its address.
    pub(crate) table: StoredTable,
    /// The table of another program that has the rows, if it is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source: Option<Source>,
}

/// The fields that decide whether the rest can be read.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

impl Manifest {
    /// `InvalidInput` when the parts are not those of the table.
    pub(crate) fn new(table: StoredTable, source: Option<Source>) -> Result<Self> {
        let written_by = concat!("tributary ", env!("CARGO_PKG_VERSION")).to_owned();
        let manifest = Self { format: FORMAT.to_owned(), version: VERSION, written_by, table, source };
        manifest.check()?;
        Ok(manifest)
    }

    pub(crate) fn encode(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|e| Error::bug("the manifest cannot be written as JSON").because(e))
    }

    /// `Corrupt` for anything but a manifest that [`Manifest::encode`] made; `Unsupported` for one of a newer program.
    pub(crate) fn decode(text: &str) -> Result<Self> {
        let head: Head = serde_json::from_str(text).map_err(|e| corrupt("not a manifest").because(e))?;
        if head.format != FORMAT {
            return Err(corrupt("it is of another format"));
        }
        if head.version > VERSION {
            let text = format!(
                "written as version {}, this program reads up to {VERSION}; use a newer one",
                head.version
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let manifest: Self =
            serde_json::from_str(text).map_err(|e| corrupt("its contents are invalid").because(e))?;
        manifest.check().map_err(|reason| corrupt("its numbers do not fit together").because(reason))?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        let StoredTable { layout, parts, .. } = &self.table;
        layout.check()?;
        if parts.len() as u64 != u64::from(layout.partitions()) {
            return Err(Error::invalid(format!(
                "{} parts, expected one for each of {} partitions",
                parts.len(),
                layout.partitions()
            )));
        }
        let (mut rows, mut bytes) = (0u64, 0u64);
        for (partition, part) in (0u32..).zip(parts) {
            Piece::of_file(&part.file, partition)?;
            layout.check_rows(partition, part.size.rows)?;
            let sums = rows.checked_add(part.size.rows).zip(bytes.checked_add(part.size.bytes));
            (rows, bytes) =
                sums.ok_or_else(|| Error::invalid("the sum of the sizes of the parts is too large"))?;
        }
        self.source.as_ref().map_or(Ok(()), |source| source.check(&self.table))
    }
}

fn corrupt(what: &str) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("the catalogue's manifest: {what}; restore it from a backup, or replace or delete the table"),
    )
}

/// The number of rows of the table that a manifest is of. `Corrupt` or `Unsupported` for other text.
pub fn read_manifest(text: &str) -> Result<u64> {
    Ok(Manifest::decode(text)?.table.rows())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: &str = include_str!("../tests/golden/manifest-v1.json");

    fn refused(from: &str, to: &str) -> ErrorKind {
        let text = GOLDEN.replacen(from, to, 1);
        assert_ne!(text, GOLDEN, "{from}");
        Manifest::decode(&text).unwrap_err().kind()
    }

    /// Tables in databases rely on this text. If it changes, raise the version and keep reading the old one.
    #[test]
    fn a_manifest_of_version_1_stays_readable() {
        let manifest = Manifest::decode(GOLDEN).unwrap();
        assert_eq!(manifest.encode().unwrap(), GOLDEN);
        assert_eq!(manifest.table.rows(), 3);
        assert_eq!(refused("\"version\":1", "\"version\":2"), ErrorKind::Unsupported);
    }

    #[test]
    fn numbers_that_do_not_fit_together_are_refused() {
        for (from, to) in [
            ("tributary-sql", "delta"),
            ("[0,3,3]", "[0,3]"),
            ("[0,3,3]", "[0,2,3]"),
            ("\"0-17\"", "\"0-17 OR 1=1\""),
            ("\"0-17\"", "\"1-17\""),
            ("\"bytes\":120", "\"bytes\":-1"),
            ("{\"Ranges\":[7]}", "{\"Ranges\":[7,8]}"),
            ("{\"Ranges\":[7]}", "{\"Hash\":0}"),
            (",{\"name\":\"y\",\"kind\":\"integer\"}", ""),
        ] {
            assert_eq!(refused(from, to), ErrorKind::Corrupt, "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn damaged_manifests_never_panic(at in 0..GOLDEN.len(), with in any::<char>()) {
            let text: String = GOLDEN.chars().enumerate().map(|(i, c)| if i == at { with } else { c }).collect();
            drop(Manifest::decode(&text));
        }
    }
}
