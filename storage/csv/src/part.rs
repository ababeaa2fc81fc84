//! Rows of CSV files as a part of a bound table: its description, and the format by name.
//!
//! A part is a byte range of each of its files that begins at a row, on a known line. Nothing else is kept: every reading
//! finds the rows in between again, in order, which costs a hundredth of parsing them. Columns beyond a record's width are keys of folders
//! ([`keys_below`](tributary_core::media::keys_below)).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use tributary_core::bound::{BoundPart, FileFormat, InFiles};
use tributary_core::computing::{PartSize, RowStream};
use tributary_core::media::{is_lasting, rows_of, value_of};
use tributary_core::{Error, Result, TableSchema};
use tributary_system::Stamp;

use crate::batch::{BatchBuilder, Column};
use crate::records::{Dialect, Quoting};
use crate::rows::Rows;
use crate::value_type::ValueType;

/// The format, for code that knows it by name only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Csv;

/// Rows that stay in files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Part {
    pub(crate) dialect: Dialect,
    /// Values of each record.
    pub(crate) width: usize,
    /// Keys of folders, whose values come after those of each record.
    pub(crate) keys: Vec<String>,
    pub(crate) columns: Vec<Column>,
    pub(crate) spans: Vec<Span>,
}

/// Consecutive rows of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The file's address: lasting.
    pub path: PathBuf,
    /// Its stamp.
    pub stamp: Stamp,
    /// The first byte of the first row, and the byte after the last row.
    pub bytes: (u64, u64),
    /// Line of the first row.
    pub line: u64,
    /// The number of rows.
    pub rows: u64,
}

/// The serialized form. It is stored in tables, so older forms must stay readable.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    delimiter: char,
    quoting: Quoting,
    width: usize,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
    columns: Vec<Column>,
    spans: Vec<Span>,
}

impl Part {
    /// Rows of some files, in order, of records with `width` values, and after them those of `keys`, which are names of folders. `columns` are
    /// those of the table, key first.
    ///
    /// `InvalidInput` for an impossible part: a column beyond the width, an address that does not last, more rows than bytes.
    pub fn new(
        dialect: Dialect,
        width: usize,
        keys: Vec<String>,
        columns: Vec<Column>,
        spans: Vec<Span>,
    ) -> Result<Self> {
        let all = width.saturating_add(keys.len());
        if let Some(column) = columns.iter().find(|column| column.position >= all) {
            return Err(Error::invalid(format!(
                "column {} of {all} in a file",
                column.position.saturating_add(1)
            )));
        }
        if all > TableSchema::MAX_FIELDS + 1 {
            return Err(Error::invalid(format!("records of {width} values")));
        }
        spans.iter().try_for_each(|span| span.check(&keys))?;
        let rows = spans.iter().try_fold(0u64, |sum, span| sum.checked_add(span.rows));
        rows.ok_or_else(|| Error::invalid("impossible counts of rows"))?;
        Ok(Self { dialect, width, keys, columns, spans })
    }

    /// The text that a store keeps.
    pub fn describe(&self) -> Result<BoundPart> {
        let mut description =
            serde_json::to_string(self).map_err(|e| Error::bug("a part cannot be described").because(e))?;
        description.push('\n');
        let size = PartSize {
            rows: self.spans.iter().map(|span| span.rows).sum(),
            bytes: self.spans.iter().map(|span| span.bytes.1 - span.bytes.0).sum(),
        };
        Ok(BoundPart { format: Csv.name().to_owned(), description, ids: None, size })
    }

    /// `InvalidInput` for anything but what [`Part::describe`] made, for these columns.
    fn of(description: &str, schema: &TableSchema) -> Result<Self> {
        let part = Self::read(description)?;
        BatchBuilder::new(&part.columns, schema)?;
        if schema.key().is_some() && part.columns.first().is_some_and(|id| id.value_type != ValueType::Text) {
            return Err(Error::invalid("ids that are no text"));
        }
        Ok(part)
    }

    fn read(description: &str) -> Result<Self> {
        let part = serde_json::from_str(description);
        part.map_err(|e| Error::invalid("it does not describe rows of CSV files").because(e))
    }
}

impl Span {
    fn check(&self, keys: &[String]) -> Result<()> {
        let (from, to) = self.bytes;
        let path = self.path.display();
        if !is_lasting(&self.path) {
            return Err(Error::invalid(format!(
                "file {path}: expected an absolute path in UTF-8; rename it"
            )));
        }
        if let Some(key) = keys.iter().find(|key| value_of(&self.path, key).is_none()) {
            return Err(Error::invalid(format!("file {path}: it is in no folder {key}=…")));
        }
        // a row has at least one byte
        let fits = from <= to && to <= self.stamp.bytes() && self.rows <= to - from;
        if !fits || self.line == 0 || self.line > self.stamp.bytes().saturating_add(1) {
            return Err(Error::invalid(format!("file {path}: an impossible place of rows")));
        }
        Ok(())
    }
}

impl TryFrom<Written> for Part {
    type Error = Error;

    fn try_from(written: Written) -> Result<Self> {
        let Written { delimiter, quoting, width, keys, columns, spans } = written;
        let wrong = |_| Error::invalid(format!("delimiter {delimiter:?}"));
        Self::new(
            Dialect::new(u8::try_from(delimiter).map_err(wrong)?, quoting)?,
            width,
            keys,
            columns,
            spans,
        )
    }
}

impl From<Part> for Written {
    fn from(part: Part) -> Self {
        let Part { dialect, width, keys, columns, spans } = part;
        Self {
            delimiter: dialect.delimiter().into(),
            quoting: dialect.quoting(),
            width,
            keys,
            columns,
            spans,
        }
    }
}

impl FileFormat for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn check(&self, description: &str, schema: &TableSchema) -> Result<()> {
        Part::of(description, schema).map(drop)
    }

    fn files(&self, description: &str) -> Result<Vec<PathBuf>> {
        Ok(Part::read(description)?.spans.into_iter().map(|span| span.path).collect())
    }

    fn rows(&self, description: &str, wanted: &InFiles) -> Result<RowStream> {
        let mut part = Part::of(description, &wanted.schema)?;
        if let Some(places) = &wanted.columns {
            part.columns = places.iter().filter_map(|place| part.columns.get(*place).cloned()).collect();
        }
        let (schema, media) = (wanted.wanted()?, wanted.media.clone());
        let files: Vec<PathBuf> = part.spans.iter().map(|span| span.path.clone()).collect();
        rows_of(files.iter().map(PathBuf::as_path), move || Rows::open(part, &schema, media))
    }
}

#[cfg(test)]
mod tests {
    use arrow_schema::DataType;
    use proptest::prelude::*;
    use tributary_core::{Field, KeyType};

    use super::*;

    /// Stored tables rely on this text.
    const GOLDEN: &str = concat!(
        r#"{"delimiter":";","quoting":"rfc4180","width":3,"columns":["#,
        r#"{"position":0,"type":"text","nulls":[""]},{"position":2,"type":"decimal(10,2)","nulls":["","NA"]}],"#,
        r#""spans":[{"path":"/srv/in/rows.csv","stamp":"bytes:1000 modified:1700000000.000000001 ends:sha256:"#,
        "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a",
        r#"","bytes":[12,900],"line":2,"rows":30}]}"#,
        "\n"
    );

    fn schema() -> TableSchema {
        let fields = vec![Field::new("x", DataType::Decimal128(10, 2)).nullable()];
        TableSchema::keyed("id", KeyType::Utf8, fields).unwrap()
    }

    fn sample() -> Part {
        let column = |position, value_type: &str, nulls: &[&str]| Column {
            position,
            value_type: value_type.parse().unwrap(),
            nulls: nulls.iter().map(|null| null.to_string()).collect(),
        };
        let stamp = format!("bytes:1000 modified:1700000000.000000001 ends:sha256:{}", "0a".repeat(32));
        let path = "/srv/in/rows.csv".into();
        let span = Span { path, stamp: stamp.parse().unwrap(), bytes: (12, 900), line: 2, rows: 30 };
        let columns = vec![column(0, "text", &[""]), column(2, "decimal(10,2)", &["", "NA"])];
        Part::new(Dialect::new(b';', Quoting::Rfc4180).unwrap(), 3, vec![], columns, vec![span]).unwrap()
    }

    #[test]
    fn a_description_of_the_first_version_stays_readable() {
        let described = sample().describe().unwrap();
        assert_eq!((described.description.as_str(), described.format.as_str()), (GOLDEN, "csv"));
        assert_eq!(described.size, PartSize { rows: 30, bytes: 888 });
        assert_eq!(Part::of(GOLDEN, &schema()).unwrap(), sample());
    }

    #[test]
    fn an_impossible_description_is_refused() {
        for (from, to) in [
            ("\"/srv", "\"srv"),
            ("\"width\":3", "\"width\":2"),
            ("\"width\":3", "\"width\":100000000"),
            ("[12,900]", "[901,900]"),
            ("[12,900]", "[12,1001]"),
            ("\"rows\":30", "\"rows\":889"),
            ("\"line\":2", "\"line\":0"),
            ("\"line\":2", "\"line\":5000"),
            ("\";\"", "\"\\n\""),
            ("\";\"", "\"\u{1f600}\""),
            ("decimal(10,2)", "decimal(99,2)"),
            ("decimal(10,2)", "int64"),
            ("\"text\"", "\"category\""),
            ("ends:", ""),
            ("rfc4180", "rfc"),
            ("\"line\"", "\"lines\""),
            ("{\"position\":0,\"type\":\"text\",\"nulls\":[\"\"]},", ""),
        ] {
            let text = GOLDEN.replacen(from, to, 1);
            assert!(text != GOLDEN && Csv.check(&text, &schema()).is_err(), "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn damaged_descriptions_never_panic(at in any::<prop::sample::Index>(), with in any::<u8>()) {
            let mut text = GOLDEN.as_bytes().to_vec();
            let at = at.index(text.len());
            text[at] = with;
            drop(Csv.check(&String::from_utf8_lossy(&text), &schema()));
            drop(Csv.check(&GOLDEN[..at], &schema()));
        }
    }
}
