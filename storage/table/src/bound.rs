//! Parts in other places: a small file in the table's own folder, `part-….bound`, says where the rows are.
//!
//! Its first line names the format, and how ids are generated if they are. The rest is the description that the format
//! wrote, which only the format reads. So a bound table has snapshots, copies and clean-up like any other, and **no file is
//! read that a bind of this store did not name**: callers, such as a cluster driver, pass only the name and the digest of
//! the small file.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use tributary_core::bound::{BoundPart, FileFormat, MadeIds};
use tributary_core::computing::RowStream;
use tributary_core::{Error, ErrorKind, Result, TableSchema};

/// Every format of bound files.
static FORMATS: [&dyn FileFormat; 2] = [&tributary_parquet::Parquet, &tributary_csv::Csv];

/// Longest file that says where rows are. Enough for more files than a table has partitions, with paths of 4 KiB and stamps.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// The beginning of a bound part of version 2 of the manifest, which had no first line and only one format.
const VERSION_2: &str = "{\n";

/// The place of a part's rows.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    format: &'static dyn FileFormat,
    ids: Option<MadeIds>,
    description: String,
}

/// The first line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    format: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ids: Option<MadeIds>,
}

/// The checked file of a part. `Unsupported` for an unknown format; `InvalidInput` for a description that the format
/// refuses.
pub(crate) fn encode(part: BoundPart, schema: &TableSchema) -> Result<Bytes> {
    let BoundPart { format, description, ids, size } = part;
    Bound { format: find(&format)?, ids: ids.clone(), description: description.clone() }
        .check(schema, size.rows)?;
    let mut text = serde_json::to_string(&Head { format, ids })
        .map_err(|e| Error::bug("a bound part cannot be written as JSON").because(e))?;
    text.push('\n');
    text.push_str(&description);
    match text.len() as u64 <= MAX_BYTES {
        true => Ok(text.into()),
        false => Err(Error::new(ErrorKind::Exhausted, "too many files; use more partitions")),
    }
}

fn find(name: &str) -> Result<&'static dyn FileFormat> {
    let known = FORMATS.iter().find(|format| format.name() == name);
    known.copied().ok_or_else(|| {
        let known = FORMATS.map(|format| format.name()).join(", ");
        Error::new(ErrorKind::Unsupported, format!("files of the format {name:?}, expected one of {known}"))
    })
}

impl Bound {
    /// `Corrupt` for anything but the result of [`encode`] for a part of this many rows; `Unsupported` for a format of a
    /// newer program.
    pub(crate) fn decode(text: &[u8], schema: &TableSchema, rows: u64) -> Result<Self> {
        let wrong = |reason: Box<dyn std::error::Error + Send + Sync>| {
            let text = "it does not say where the rows are; bind the table again";
            Error::new(ErrorKind::Corrupt, text).because(reason)
        };
        let text = std::str::from_utf8(text).map_err(|e| wrong(e.into()))?;
        let (head, description) = match text.starts_with(VERSION_2) {
            true => (Head { format: "parquet".into(), ids: None }, text),
            false => {
                let (head, description) =
                    text.split_once('\n').ok_or_else(|| wrong("it has one line".into()))?;
                (serde_json::from_str(head).map_err(|e| wrong(e.into()))?, description)
            }
        };
        let bound = Self { format: find(&head.format)?, ids: head.ids, description: description.to_owned() };
        bound.check(schema, rows).map_err(|e| wrong(e.into()))?;
        Ok(bound)
    }

    fn check(&self, schema: &TableSchema, rows: u64) -> Result<()> {
        self.format.check(&self.description, &self.in_files(schema, rows)?)
    }

    /// The columns of the files.
    fn in_files(&self, schema: &TableSchema, rows: u64) -> Result<TableSchema> {
        self.ids.as_ref().map_or_else(|| Ok(schema.clone()), |ids| ids.without_key(schema, rows))
    }

    /// The rows, read in place.
    pub(crate) fn rows(&self, schema: &TableSchema) -> Result<RowStream> {
        let rows = self.format.rows(&self.description, &self.in_files(schema, 0)?)?;
        let Some(ids) = self.ids.clone() else { return Ok(rows) };
        let (schema, mut row) = (schema.clone(), 0);
        let with_ids = rows.map(move |batch| {
            let batch = batch?;
            let begin = row;
            row += batch.num_rows() as u64;
            put_ids(&batch, StringArray::from_iter_values((begin..row).map(|row| ids.id(row))), &schema)
        });
        Ok(with_ids.boxed())
    }

    /// Reads everything: checks that the files have not changed, and that every value fits the schema.
    pub(crate) async fn verify(&self, schema: &TableSchema, expected: u64) -> Result<()> {
        let broken = |reason: Error| match reason.kind() {
            // an error that a job reports as invalid input means a damaged table for `verify`
            ErrorKind::InvalidInput => {
                Error::new(ErrorKind::Corrupt, "its files do not hold what the table says").because(reason)
            }
            _ => reason,
        };
        let (mut rows, mut found) = (self.rows(schema).map_err(broken)?, 0);
        while let Some(batch) = rows.try_next().await.map_err(broken)? {
            found += batch.num_rows() as u64;
        }
        match found == expected {
            true => Ok(()),
            false => Err(broken(Error::invalid(format!("{found} rows, expected {expected}")))),
        }
    }
}

fn put_ids(batch: &RecordBatch, ids: StringArray, schema: &TableSchema) -> Result<RecordBatch> {
    let ids: ArrayRef = Arc::new(ids);
    schema.batch(std::iter::once(ids).chain(batch.columns().iter().cloned()).collect())
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use proptest::prelude::*;
    use tributary_core::computing::PartSize;
    use tributary_core::{Field, KeyType};

    use super::*;

    /// Stored tables rely on these texts: the form of version 2 of the manifest, and the current one.
    const OLD: &str = include_str!("../tests/golden/bound-v2.json");
    const GOLDEN: &str = include_str!("../tests/golden/bound-v3.txt");

    fn schema() -> TableSchema {
        TableSchema::keyed("id", KeyType::Utf8, vec![Field::new("x", DataType::Int64)]).unwrap()
    }

    fn sample() -> BoundPart {
        let description = GOLDEN.split_once('\n').unwrap().1.to_owned();
        let ids = Some(MadeIds { prefix: "00ff".into(), first: 12 });
        BoundPart { format: "csv".into(), description, ids, size: PartSize { rows: 3, bytes: 20 } }
    }

    #[test]
    fn bound_parts_of_all_versions_stay_readable() {
        assert_eq!(encode(sample(), &schema()).unwrap(), GOLDEN);
        let bound = Bound::decode(GOLDEN.as_bytes(), &schema(), 3).unwrap();
        assert_eq!(
            (bound.format.name(), bound.ids, bound.description),
            ("csv", sample().ids, sample().description)
        );
        let old = Bound::decode(OLD.as_bytes(), &schema(), 3).unwrap();
        assert_eq!((old.format.name(), old.ids, old.description.as_str()), ("parquet", None, OLD));
        let new = BoundPart { format: "parquet".into(), description: OLD.into(), ids: None, ..sample() };
        assert_eq!(encode(new, &schema()).unwrap(), format!("{{\"format\":\"parquet\"}}\n{OLD}"));
    }

    #[test]
    fn a_foreign_bound_part_is_corrupt_and_a_newer_format_is_named() {
        let refused = |text: &str| Bound::decode(text.as_bytes(), &schema(), 3).unwrap_err();
        for (from, to) in
            [("\"csv\"", "\"parquet\""), ("\"ids\"", "\"id\""), ("\n", ""), ("int64", "text"), ("12}", "-1}")]
        {
            let text = GOLDEN.replacen(from, to, 1);
            assert!(text != GOLDEN && refused(&text).kind() == ErrorKind::Corrupt, "{from} {to}");
        }
        assert_eq!(refused("").kind(), ErrorKind::Corrupt);
        let error = refused(&GOLDEN.replace("\"csv\"", "\"orc\""));
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("\"orc\""), "{error}");
        let mut binary = schema();
        binary = TableSchema::keyed("id", KeyType::Binary, binary.fields().to_vec()).unwrap();
        assert_eq!(encode(sample(), &binary).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    proptest! {
        #[test]
        fn damaged_parts_never_panic(at in any::<prop::sample::Index>(), with in any::<u8>(), old in any::<bool>()) {
            let mut text = if old { OLD } else { GOLDEN }.as_bytes().to_vec();
            let at = at.index(text.len());
            text[at] = with;
            drop(Bound::decode(&text, &schema(), 3));
            drop(Bound::decode(&text[..at], &schema(), 3));
        }
    }
}
