//! Parts in other places: a small file in the table's own folder, `part-….bound`, says where the rows are.
//!
//! Its first line names the format, and how ids are generated if they are. The rest is the description that the format
//! wrote, which only the format reads. So a bound table has snapshots, copies and clean-up like any other, and **no file is
//! read that a bind of this store did not name**: callers, such as a cluster driver, pass only the name and the digest of
//! the small file. Whoever can write to a distant store could change that file, so a distant store has bound tables of its own medium only: a local
//! file is named by a local store.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray};
use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};

use tributary_core::bound::{BoundPart, FileFormat, InFiles, MadeIds};
use tributary_core::computing::RowStream;
use tributary_core::media::{Media, scheme_of};
use tributary_core::{Error, ErrorKind, Result, TableSchema};

/// Every format of bound files.
static FORMATS: [&dyn FileFormat; 2] = [&tributary_parquet::Parquet, &tributary_csv::Csv];

/// Longest file that says where rows are. Enough for more files than a table has partitions, with paths of 4 KiB and stamps.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// The scheme of stores on this machine, which may name any file that the site can open.
const LOCAL: &str = "file";

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

/// The checked file of a part, for a store whose addresses have this scheme. `Unsupported` for an unknown format; `InvalidInput` for a description
/// that the format refuses, and for files that the store may not name.
pub(crate) fn encode(part: BoundPart, schema: &TableSchema, scheme: &str) -> Result<Bytes> {
    let BoundPart { format, description, ids, size } = part;
    let bound = Bound { format: find(&format)?, ids: ids.clone(), description: description.clone() };
    bound.check(schema, size.rows)?;
    bound.check_files(scheme)?;
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
    pub(crate) fn decode(text: &[u8], schema: &TableSchema, rows: u64, scheme: &str) -> Result<Self> {
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
        bound.check(schema, rows).and_then(|()| bound.check_files(scheme)).map_err(|e| wrong(e.into()))?;
        Ok(bound)
    }

    fn check(&self, schema: &TableSchema, rows: u64) -> Result<()> {
        self.format.check(&self.description, &self.in_files(schema, rows)?)
    }

    /// `InvalidInput` unless a store of this scheme may name the files.
    fn check_files(&self, scheme: &str) -> Result<()> {
        let is_foreign = |file: &std::path::PathBuf| scheme != LOCAL && scheme_of(file) != Some(scheme);
        match self.format.files(&self.description)?.into_iter().find(is_foreign) {
            None => Ok(()),
            Some(file) => Err(Error::invalid(format!(
                "{} is not at {scheme}://, and a table there may be bound to files there only; bind it in a local store, or upload the files",
                file.display()
            ))),
        }
    }

    /// The columns of the files.
    fn in_files(&self, schema: &TableSchema, rows: u64) -> Result<TableSchema> {
        self.ids.as_ref().map_or_else(|| Ok(schema.clone()), |ids| ids.without_key(schema, rows))
    }

    /// The wanted columns of the rows, read in place; all of them if no places are named.
    pub(crate) fn rows(
        &self,
        schema: &TableSchema,
        columns: Option<&[usize]>,
        media: &Arc<dyn Media>,
    ) -> Result<RowStream> {
        let made = usize::from(self.ids.is_some());
        let in_files = InFiles {
            schema: self.in_files(schema, 0)?,
            columns: columns
                .map(|places| places.iter().filter_map(|place| place.checked_sub(made)).collect()),
            media: media.clone(),
        };
        let rows = self.format.rows(&self.description, &in_files)?;
        let schema: SchemaRef = match columns {
            Some(places) => Arc::new(schema.arrow().project(places)?),
            None => schema.arrow().clone(),
        };
        let ids = self.ids.clone().filter(|_| columns.is_none_or(|places| places.first() == Some(&0)));
        let mut row = 0;
        let whole = rows.map(move |batch| {
            let batch = batch?;
            let begin = row;
            row += batch.num_rows() as u64;
            let ids =
                ids.as_ref().map(|ids| StringArray::from_iter_values((begin..row).map(|row| ids.id(row))));
            put_ids(&batch, ids, &schema)
        });
        Ok(whole.boxed())
    }

    /// Reads everything: checks that the files have not changed, and that every value fits the schema.
    pub(crate) async fn verify(
        &self,
        schema: &TableSchema,
        expected: u64,
        media: &Arc<dyn Media>,
    ) -> Result<()> {
        let broken = |reason: Error| match reason.kind() {
            // an error that a job reports as invalid input means a damaged table for `verify`
            ErrorKind::InvalidInput => {
                Error::new(ErrorKind::Corrupt, "its files do not hold what the table says").because(reason)
            }
            _ => reason,
        };
        let (mut rows, mut found) = (self.rows(schema, None, media).map_err(broken)?, 0);
        while let Some(batch) = rows.try_next().await.map_err(broken)? {
            found += batch.num_rows() as u64;
        }
        match found == expected {
            true => Ok(()),
            false => Err(broken(Error::invalid(format!("{found} rows, expected {expected}")))),
        }
    }
}

fn put_ids(batch: &RecordBatch, ids: Option<StringArray>, schema: &SchemaRef) -> Result<RecordBatch> {
    let ids = ids.map(|ids| Arc::new(ids) as ArrayRef);
    let columns = ids.into_iter().chain(batch.columns().iter().cloned()).collect();
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(schema.clone(), columns, &rows)?)
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
        assert_eq!(encode(sample(), &schema(), LOCAL).unwrap(), GOLDEN);
        let bound = Bound::decode(GOLDEN.as_bytes(), &schema(), 3, LOCAL).unwrap();
        assert_eq!(
            (bound.format.name(), bound.ids, bound.description),
            ("csv", sample().ids, sample().description)
        );
        let old = Bound::decode(OLD.as_bytes(), &schema(), 3, LOCAL).unwrap();
        assert_eq!((old.format.name(), old.ids, old.description.as_str()), ("parquet", None, OLD));
        let new = BoundPart { format: "parquet".into(), description: OLD.into(), ids: None, ..sample() };
        assert_eq!(encode(new, &schema(), LOCAL).unwrap(), format!("{{\"format\":\"parquet\"}}\n{OLD}"));
    }

    #[test]
    fn a_foreign_bound_part_is_corrupt_and_a_newer_format_is_named() {
        let refused = |text: &str| Bound::decode(text.as_bytes(), &schema(), 3, LOCAL).unwrap_err();
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
        assert_eq!(encode(sample(), &binary, LOCAL).unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    #[test]
    fn a_distant_store_names_files_of_its_own_medium_only() {
        let decoded =
            |text: &str, scheme: &str| Bound::decode(text.as_bytes(), &schema(), 3, scheme).map(drop);
        let distant = GOLDEN.replace("\"path\":\"/", "\"path\":\"s3://bucket/");
        assert_ne!(distant, GOLDEN);
        assert!(decoded(&distant, LOCAL).is_ok() && decoded(&distant, "s3").is_ok());
        for (text, scheme) in [(GOLDEN, "s3"), (&*distant, "az")] {
            assert_eq!(decoded(text, scheme).unwrap_err().kind(), ErrorKind::Corrupt);
        }
        assert_eq!(encode(sample(), &schema(), "s3").unwrap_err().kind(), ErrorKind::InvalidInput);
    }

    proptest! {
        #[test]
        fn damaged_parts_never_panic(at in any::<prop::sample::Index>(), with in any::<u8>(), old in any::<bool>()) {
            let mut text = if old { OLD } else { GOLDEN }.as_bytes().to_vec();
            let at = at.index(text.len());
            text[at] = with;
            drop(Bound::decode(&text, &schema(), 3, LOCAL));
            drop(Bound::decode(&text[..at], &schema(), 3, LOCAL));
        }
    }
}
