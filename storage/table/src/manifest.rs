//! The manifest: JSON, versioned, checked in every number when read. A reader relies on these checks: the layout is
//! possible, there is one part per partition, part names are plain, sums do not overflow.
//!
//! Schema, layout and parts are encoded as the contract's types encode themselves; a test with a golden file fails when that
//! encoding changes, because stored tables would no longer open.

use serde::{Deserialize, Serialize};

use tributary_core::storage::{Part, StoredTable, TableUri, Write};
use tributary_core::{Error, ErrorKind, Layout, Result, TableSchema};

use crate::place::{Attempt, PartKind, check_part_file};

/// The format name in our manifests.
const FORMAT: &str = "tributary-table";
/// Raised when older programs cannot read the new form. Version 2 has bound parts that name no format.
const VERSION: u32 = 3;
/// The version that is written for tables without bound parts.
const VERSION_WITHOUT_BOUND: u32 = 1;
/// The hash of keys and the partition function, by name: `core::layout` fixes both permanently.
const KEYS: &str = "xxh3-64/0";
/// Largest manifest: the most partitions and columns that a table may have take less than half of it.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// The manifest; see the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: String,
    version: u32,
    /// The program that wrote it, for display.
    written_by: String,
    /// The write that made this snapshot; its folder holds the parts.
    pub(crate) snapshot: Attempt,
    /// The snapshot that this one replaced; the next replacement removes it.
    pub(crate) previous: Option<Attempt>,
    layout: Layout,
    keys: String,
    schema: TableSchema,
    rows: u64,
    parts: Vec<Part>,
}

/// The fields that decide whether the rest can be read.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
    #[serde(default)]
    written_by: String,
}

impl Manifest {
    /// The manifest of a write before its commit. `InvalidInput` when the parts are not those of the write.
    pub(crate) fn new(write: Write, parts: Vec<Part>, previous: Option<Attempt>) -> Result<Self> {
        let manifest = Self {
            format: FORMAT.to_owned(),
            version: if parts.iter().any(is_bound) { VERSION } else { VERSION_WITHOUT_BOUND },
            written_by: concat!("tributary ", env!("CARGO_PKG_VERSION")).to_owned(),
            snapshot: Attempt::parse(&write.attempt)?,
            previous,
            layout: write.layout,
            keys: KEYS.to_owned(),
            schema: write.schema,
            rows: sum(&parts, |p| p.size.rows)?,
            parts,
        };
        manifest.check()?;
        Ok(manifest)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::bug("the manifest cannot be written as JSON").because(e))?;
        text.push(b'\n');
        if text.len() as u64 > MAX_BYTES {
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!(
                    "the manifest has {} bytes, at most {MAX_BYTES} are possible; use fewer columns",
                    text.len()
                ),
            ));
        }
        Ok(text)
    }

    /// `Corrupt` for anything but a manifest that [`Manifest::encode`] made; `Unsupported` for one of a newer program.
    pub(crate) fn decode(text: &[u8]) -> Result<Self> {
        if text.len() as u64 > MAX_BYTES {
            return Err(corrupt(format!("more than {MAX_BYTES} bytes")));
        }
        let head: Head = serde_json::from_slice(text).map_err(|e| corrupt("not a manifest").because(e))?;
        if head.format != FORMAT {
            return Err(corrupt(format!("format {:?}, expected {FORMAT:?}", head.format)));
        }
        if head.version > VERSION {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "written as version {} by {:?}, this program reads up to {VERSION}; use a newer one",
                    head.version, head.written_by
                ),
            ));
        }
        let manifest: Self =
            serde_json::from_slice(text).map_err(|e| corrupt("its contents are invalid").because(e))?;
        manifest.check().map_err(|reason| corrupt("its numbers do not fit together").because(reason))?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        self.layout.check()?;
        if self.keys != KEYS {
            return Err(Error::invalid(format!("keys are hashed by {:?}, expected {KEYS:?}", self.keys)));
        }
        if self.previous.as_ref() == Some(&self.snapshot) {
            return Err(Error::invalid("a snapshot replaced itself"));
        }
        if self.parts.len() as u64 != u64::from(self.layout.partitions()) {
            return Err(Error::invalid(format!(
                "{} parts, expected one for each of {} partitions",
                self.parts.len(),
                self.layout.partitions()
            )));
        }
        for (partition, part) in (0u32..).zip(&self.parts) {
            check_part_file(&part.file, partition)?;
            self.layout.check_rows(partition, part.size.rows)?;
        }
        sum(&self.parts, |p| p.size.bytes)?;
        let rows = sum(&self.parts, |p| p.size.rows)?;
        if rows != self.rows {
            return Err(Error::invalid(format!("{rows} rows in all parts, expected {}", self.rows)));
        }
        Ok(())
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Whether other programs can read its snapshot's folder: not if the parts only say where rows are.
    pub(crate) fn has_rows(&self) -> bool {
        !self.parts.iter().any(is_bound)
    }

    /// Whether the write with this attempt made this snapshot.
    pub(crate) fn is_of(&self, attempt: &str) -> bool {
        self.snapshot.as_str() == attempt
    }

    /// Whether it replaced the snapshot of the write with this attempt.
    pub(crate) fn replaced(&self, attempt: &str) -> bool {
        self.previous.as_ref().is_some_and(|previous| previous.as_str() == attempt)
    }

    /// Whether the write with this attempt was committed: it made this snapshot, or the one before.
    pub(crate) fn knows(&self, attempt: &Attempt) -> bool {
        self.is_of(attempt.as_str()) || self.replaced(attempt.as_str())
    }

    /// The result of a commit may get lost, and the commit may be repeated: gives the same table. `Conflict` for other
    /// parts.
    pub(crate) fn committed_again(self, uri: TableUri, parts: &[Part]) -> Result<StoredTable> {
        if self.parts != parts {
            return Err(Error::new(ErrorKind::Conflict, "this write was committed before, of other parts"));
        }
        Ok(self.into_table(uri))
    }

    /// The table as callers see it.
    pub(crate) fn into_table(self, uri: TableUri) -> StoredTable {
        StoredTable {
            uri,
            snapshot: self.snapshot.into(),
            schema: self.schema,
            layout: self.layout,
            parts: self.parts,
        }
    }
}

fn is_bound(part: &Part) -> bool {
    PartKind::of(&part.file) == PartKind::Bound
}

fn sum(parts: &[Part], of: impl Fn(&Part) -> u64) -> Result<u64> {
    let total = parts.iter().try_fold(0u64, |total, part| total.checked_add(of(part)));
    total.ok_or_else(|| Error::invalid("the sum of the sizes of the parts is too large"))
}

fn corrupt(what: impl Into<String>) -> Error {
    let message = format!("{}; restore it from a backup, or replace or delete the table", what.into());
    Error::new(ErrorKind::Corrupt, message)
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field as ArrowField, TimeUnit};
    use proptest::prelude::*;

    use tributary_core::computing::PartSize;
    use tributary_core::layout::RowRanges;
    use tributary_core::schema::CipherKeyId;
    use tributary_core::storage::WriteOptions;
    use tributary_core::{Field, KeyType, Purpose};

    use super::*;

    const GOLDEN: &str = include_str!("../tests/golden/manifest-v1.json");

    fn sample() -> Manifest {
        let list = DataType::List(ArrowField::new_list_field(DataType::UInt64, true).into());
        let fields = vec![
            Field::new("label", DataType::Int32).purpose(Purpose::Label),
            Field::new("phone", DataType::Utf8).purpose(Purpose::MatchId).nullable(),
            Field::new("weight", DataType::Float32).purpose(Purpose::Weight),
            Field::new("cipher", DataType::FixedSizeBinary(512))
                .purpose(Purpose::Ciphertext(CipherKeyId("00ff".into()))),
            Field::new("when", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))),
            Field::new("price", DataType::Decimal128(12, 2)),
            Field::new("list", list),
        ];
        let write = Write {
            uri: TableUri::new("file:///t/n/t").unwrap(),
            attempt: "00112233445566778899aabbccddeeff".into(),
            schema: TableSchema::keyed("id", KeyType::Utf8, fields).unwrap(),
            layout: Layout::Rows(RowRanges::from_counts([3, 0])),
            options: WriteOptions::default(),
        };
        let part = |partition: u32, rows| Part {
            file: format!("part-{partition:05}-00000000000000{partition:02x}.parquet"),
            size: PartSize { rows, bytes: 1000 },
            digest: "sha256:00".into(),
        };
        let previous = Attempt::parse("ffeeddccbbaa99887766554433221100").unwrap();
        let manifest = Manifest::new(write, vec![part(0, 3), part(1, 0)], Some(previous)).unwrap();
        Manifest { written_by: "tributary 0.1.0".into(), ..manifest }
    }

    fn refused(change: impl Fn(&mut serde_json::Value)) -> Error {
        let mut json: serde_json::Value = serde_json::from_str(GOLDEN).unwrap();
        change(&mut json);
        Manifest::decode(json.to_string().as_bytes()).unwrap_err()
    }

    /// Stored tables rely on this text. If it changes, raise the version and keep reading the old one.
    #[test]
    fn a_manifest_of_version_1_stays_readable() {
        let manifest = sample();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/manifest-v1.json");
            std::fs::write(path, manifest.encode().unwrap()).unwrap();
        }
        assert_eq!(Manifest::decode(GOLDEN.as_bytes()).unwrap(), manifest);
        assert_eq!(String::from_utf8(manifest.encode().unwrap()).unwrap(), GOLDEN);
    }

    #[test]
    fn a_newer_version_is_named_and_refused() {
        let error = refused(|m| m["version"] = 4.into());
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let error = refused(|m| m["format"] = "delta".into());
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn numbers_that_do_not_fit_together_are_refused() {
        let cases: [fn(&mut serde_json::Value); 10] = [
            |m| m["rows"] = 4.into(),
            |m| m["keys"] = "md5".into(),
            |m| m["snapshot"] = "../../x".into(),
            |m| m["previous"] = m["snapshot"].clone(),
            |m| m["layout"] = serde_json::json!({ "Loose": 0 }),
            |m| m["layout"] = serde_json::json!({ "Rows": [0, 2, 3] }),
            |m| m["parts"] = serde_json::json!([]),
            |m| m["parts"][0]["file"] = "../../../etc/passwd".into(),
            |m| m["parts"][0]["size"]["bytes"] = u64::MAX.into(),
            |m| m["schema"]["fields"][1]["name"] = "label".into(),
        ];
        for change in cases {
            assert_eq!(refused(change).kind(), ErrorKind::Corrupt);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn damaged_manifests_never_panic(at in 0..GOLDEN.len(), with in any::<u8>(), cut in 0..GOLDEN.len()) {
            let mut text = GOLDEN.as_bytes().to_vec();
            text[at] = with;
            drop(Manifest::decode(&text));
            drop(Manifest::decode(&GOLDEN.as_bytes()[..cut]));
        }
    }
}
