//! Row groups of files as the parts of a bound table.

use std::path::PathBuf;

use std::sync::Arc;

use arrow_array::RecordBatch;
use serde::{Deserialize, Serialize};

use tributary_core::bound::{BoundPart, FileFormat, InFiles};
use tributary_core::computing::{PartSize, RowStream};
use tributary_core::media::{Media, is_lasting, rows_of};
use tributary_core::{Error, Layout, Result, TableSchema};
use tributary_system::Stamp;

use crate::files::Files;
use crate::rows::{Rows, Span};

/// The format, for code that knows it by name only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parquet;

/// The description of a part. It is stored in tables, so older descriptions must stay readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    files: Vec<BoundFile>,
}

/// Some row groups of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BoundFile {
    path: PathBuf,
    stamp: Stamp,
    /// The first row group, and the one after the last.
    row_groups: (usize, usize),
}

impl Files {
    /// The row groups as at most `partitions` parts with about equal numbers of rows. `InvalidInput` if there are no rows.
    pub fn parts(&self, partitions: u32) -> Result<Vec<BoundPart>> {
        Layout::Loose(partitions).check()?;
        let rows = self.rows();
        if rows == 0 {
            return Err(Error::invalid("the files have no rows"));
        }
        let groups: Vec<_> = self.all_groups().map(|(_, _, group)| group).collect();
        let (mut parts, mut start, mut done) = (Vec::new(), 0, 0u64);
        for (i, group) in groups.iter().enumerate() {
            done += group.rows;
            // A part ends with the row group that completes its share of all rows, so that the last row ends the last part.
            let due = (u128::from(done) * u128::from(partitions) / u128::from(rows)) as usize;
            let own = &groups[start..=i];
            let size = PartSize {
                rows: own.iter().map(|group| group.rows).sum(),
                bytes: own.iter().map(|group| group.bytes).sum(),
            };
            if due > parts.len() && size.rows > 0 {
                let description = Description::of(&self.spans(start..i + 1))?.encode()?;
                parts.push(BoundPart { format: Parquet.name().to_owned(), description, ids: None, size });
                start = i + 1;
            }
        }
        Ok(parts)
    }
}

impl Description {
    fn of(spans: &[Span]) -> Result<Self> {
        let file = |span: &Span| match is_lasting(&span.path) {
            true => Ok(BoundFile {
                path: span.path.clone(),
                stamp: span.stamp.clone(),
                row_groups: (span.groups.start, span.groups.end),
            }),
            false => {
                let path = span.path.display();
                Err(Error::invalid(format!("file {path}: expected an absolute path in UTF-8; rename it")))
            }
        };
        Ok(Self { files: spans.iter().map(file).collect::<Result<_>>()? })
    }

    fn encode(&self) -> Result<String> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::bug("row groups cannot be described").because(e))?;
        text.push('\n');
        Ok(text)
    }

    /// `InvalidInput` for anything but what [`Description::encode`] made.
    fn decode(text: &str) -> Result<Self> {
        let part: Self = serde_json::from_str(text)
            .map_err(|e| Error::invalid("it does not describe row groups").because(e))?;
        let fits = |file: &BoundFile| is_lasting(&file.path) && file.row_groups.0 <= file.row_groups.1;
        match part.files.iter().all(fits) {
            true => Ok(part),
            false => Err(Error::invalid("impossible row groups, or a path that is not absolute")),
        }
    }

    fn spans(self, media: &Arc<dyn Media>) -> impl Iterator<Item = Span> + use<> {
        let media = media.clone();
        self.files.into_iter().map(move |file| {
            let (start, end) = file.row_groups;
            Span::new(file.path, file.stamp, start..end, media.clone())
        })
    }
}

impl FileFormat for Parquet {
    fn name(&self) -> &'static str {
        "parquet"
    }

    /// The columns are found by name, when the file is opened.
    fn check(&self, description: &str, _: &TableSchema) -> Result<()> {
        Description::decode(description).map(drop)
    }

    fn files(&self, description: &str) -> Result<Vec<PathBuf>> {
        Ok(Description::decode(description)?.files.into_iter().map(|file| file.path).collect())
    }

    fn rows(&self, description: &str, wanted: &InFiles) -> Result<RowStream> {
        let files = self.files(description)?;
        let spans = Description::decode(description)?.spans(&wanted.media);
        let schema = wanted.wanted()?;
        rows_of(files.iter().map(PathBuf::as_path), move || Chained::open(spans, schema))
    }
}

/// The rows of spans, one after another. The first file is opened at once, so that a missing or changed one is reported before any row; the others
/// are opened in turn.
struct Chained<S> {
    spans: S,
    schema: TableSchema,
    open: Option<Rows>,
}

impl<S: Iterator<Item = Span>> Chained<S> {
    fn open(mut spans: S, schema: TableSchema) -> Result<Self> {
        let open = spans.next().map(|span| span.rows(&schema)).transpose()?;
        Ok(Self { spans, schema, open })
    }
}

impl<S: Iterator<Item = Span>> Iterator for Chained<S> {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.open.as_mut()?.next() {
                return Some(batch);
            }
            match self.spans.next().map(|span| span.rows(&self.schema)).transpose() {
                Ok(next) => self.open = next,
                Err(error) => {
                    self.open = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tributary_system::LocalMedia;

    use super::*;

    /// Stored tables rely on this text.
    const GOLDEN: &str = r#"{
  "files": [
    {
      "path": "/srv/in/part-0.parquet",
      "stamp": "bytes:12 modified:1700000000.000000001 footer:sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
      "row_groups": [
        1,
        3
      ]
    }
  ]
}
"#;

    fn sample() -> Span {
        let stamp = format!("bytes:12 modified:1700000000.000000001 footer:sha256:{}", "0a".repeat(32));
        Span::new("/srv/in/part-0.parquet".into(), stamp.parse().unwrap(), 1..3, Arc::new(LocalMedia))
    }

    #[test]
    fn a_first_description_stays_readable_and_an_impossible_one_is_refused() {
        assert_eq!(Description::of(&[sample()]).unwrap().encode().unwrap(), GOLDEN);
        let media: Arc<dyn Media> = Arc::new(LocalMedia);
        let decoded = |text: &str| Description::decode(text).unwrap().spans(&media).collect::<Vec<_>>();
        assert_eq!(decoded(GOLDEN), [sample()]);
        assert_eq!(
            decoded(&GOLDEN.replace("/srv", "s3://srv"))[0].path,
            PathBuf::from("s3://srv/in/part-0.parquet")
        );
        for (from, to) in [("/srv", "srv"), ("1,", "4,"), ("footer", ""), ("\"path\"", "\"paths\"")] {
            assert!(Description::decode(&GOLDEN.replacen(from, to, 1)).is_err(), "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn damaged_descriptions_never_panic(at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let mut text = GOLDEN.as_bytes().to_vec();
            let at = at.index(text.len());
            text[at] = with;
            drop(Description::decode(&String::from_utf8_lossy(&text)));
            drop(Description::decode(&GOLDEN[..at]));
        }
    }
}
