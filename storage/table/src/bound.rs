//! Parts that lie elsewhere: row groups of Parquet files of other programs.
//!
//! Such a part is a small file in the table's own folder, `part-….bound`, that names those files, which of their row groups
//! count, and by what each file is known again. So a bound table has snapshots, copies and clean-up like any other, and **no
//! file is read that a bind of this store did not name**: what a caller brings, an executor's driver for one, is only the
//! name and the digest of the small file.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use tributary_core::computing::{PartSize, RowStream};
use tributary_core::{Error, ErrorKind, Layout, Result, TableSchema};
use tributary_parquet::{Files, Span};

/// Longest file that names others. A path of 4 KiB and a stamp, and more of them than a table has partitions.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// What a bound part is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BoundPart {
    files: Vec<BoundFile>,
}

/// Some row groups of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BoundFile {
    path: PathBuf,
    stamp: String,
    /// The first, and the one behind the last.
    row_groups: (usize, usize),
}

/// The row groups of some files as parts of about equal numbers of rows, at most `partitions`.
pub(crate) fn parts(files: &Files, partitions: u32) -> Result<Vec<(BoundPart, PartSize)>> {
    Layout::Loose(partitions).check()?;
    let rows = files.rows();
    if rows == 0 {
        return Err(Error::invalid("the files have no rows"));
    }
    let groups: Vec<_> = files.all_groups().map(|(_, _, group)| group).collect();
    let (mut parts, mut start, mut done) = (Vec::new(), 0, 0u64);
    for (i, group) in groups.iter().enumerate() {
        done += group.rows;
        // A part ends with the row group that brings its share of all rows, so that the last row ends the last part.
        let due = (u128::from(done) * u128::from(partitions) / u128::from(rows)) as usize;
        let own = &groups[start..=i];
        let size = PartSize {
            rows: own.iter().map(|group| group.rows).sum(),
            bytes: own.iter().map(|group| group.bytes).sum(),
        };
        if due > parts.len() && size.rows > 0 {
            parts.push((BoundPart::of(&files.spans(start..i + 1))?, size));
            start = i + 1;
        }
    }
    Ok(parts)
}

impl BoundPart {
    fn of(spans: &[Span]) -> Result<Self> {
        let file = |span: &Span| match span.path.to_str() {
            Some(_) => Ok(BoundFile {
                path: span.path.clone(),
                stamp: span.stamp.to_string(),
                row_groups: (span.groups.start, span.groups.end),
            }),
            None => {
                let path = span.path.display();
                Err(Error::invalid(format!("file {path}: its name is not UTF-8; rename it")))
            }
        };
        Ok(Self { files: spans.iter().map(file).collect::<Result<_>>()? })
    }

    pub(crate) fn encode(&self) -> Result<Bytes> {
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::bug("a bound part cannot be written as JSON").because(e))?;
        text.push(b'\n');
        match text.len() as u64 <= MAX_BYTES {
            true => Ok(text.into()),
            false => Err(Error::new(ErrorKind::Exhausted, "too many files; use more partitions")),
        }
    }

    /// `Corrupt` for anything but what [`BoundPart::encode`] made.
    pub(crate) fn decode(text: &[u8]) -> Result<Self> {
        let wrong =
            || Error::new(ErrorKind::Corrupt, "it does not say where the rows are; bind the table again");
        let part: Self = serde_json::from_slice(text).map_err(|e| wrong().because(e))?;
        part.spans().map_err(|e| wrong().because(e))?;
        Ok(part)
    }

    fn spans(&self) -> Result<Vec<Span>> {
        let span = |file: &BoundFile| {
            let (start, end) = file.row_groups;
            if !Path::new(&file.path).is_absolute() || start > end {
                return Err(Error::invalid("impossible row groups, or a path that is not absolute"));
            }
            Ok(Span::new(file.path.clone(), file.stamp.parse()?, start..end))
        };
        self.files.iter().map(span).collect()
    }

    /// The rows, read where they are.
    pub(crate) fn rows(&self, schema: &TableSchema) -> Result<RowStream> {
        let mut spans = self.spans()?.into_iter();
        let schema = schema.clone();
        // The first file is opened now, so that one that is gone or changed is told before any row; others when their turn comes.
        let mut open = spans.next().map(|span| span.rows(&schema)).transpose()?;
        let rows = std::iter::from_fn(move || {
            loop {
                if let Some(batch) = open.as_mut()?.next() {
                    return Some(batch);
                }
                match spans.next().map(|span| span.rows(&schema)).transpose() {
                    Ok(next) => open = next,
                    Err(error) => {
                        open = None;
                        return Some(Err(error));
                    }
                }
            }
        });
        Ok(stream::iter(rows).boxed())
    }

    /// Reads it all: whether the files are what they were, and every value is as the schema has it.
    pub(crate) async fn verify(&self, schema: &TableSchema, expected: u64) -> Result<()> {
        let broken = |reason: Error| match reason.kind() {
            // what a job would be told as wrong input is a broken table to whoever asks for that
            ErrorKind::InvalidInput => {
                Error::new(ErrorKind::Corrupt, "its files do not hold what the table says").because(reason)
            }
            _ => reason,
        };
        let (mut rows, mut found) = (self.rows(schema).map_err(broken)?, 0);
        while let Some(batch) = rows.next().await {
            found += batch.map_err(broken)?.num_rows() as u64;
        }
        match found == expected {
            true => Ok(()),
            false => Err(broken(Error::invalid(format!("{found} rows, expected {expected}")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> BoundPart {
        let stamp = format!("bytes:12 modified:1700000000.000000001 footer:sha256:{}", "0a".repeat(32));
        BoundPart {
            files: vec![BoundFile { path: "/srv/in/part-0.parquet".into(), stamp, row_groups: (1, 3) }],
        }
    }

    #[test]
    fn a_bound_part_comes_back_and_an_impossible_one_does_not() {
        let text = sample().encode().unwrap();
        assert_eq!(BoundPart::decode(&text).unwrap(), sample());
        let changes: [fn(&mut BoundFile); 3] = [
            |file| file.path = "in/part-0.parquet".into(),
            |file| file.row_groups = (3, 1),
            |file| file.stamp = "yesterday".into(),
        ];
        for change in changes {
            let mut part = sample();
            change(&mut part.files[0]);
            assert_eq!(BoundPart::decode(&part.encode().unwrap()).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    proptest! {
        #[test]
        fn damaged_parts_never_panic(at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let mut text = sample().encode().unwrap().to_vec();
            let at = at.index(text.len());
            text[at] = with;
            drop(BoundPart::decode(&text));
            drop(BoundPart::decode(&text[..at]));
        }
    }
}
