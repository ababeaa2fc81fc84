//! Rows that lie elsewhere: files of other programs as the parts of a table.
//!
//! Whoever binds files looks at them, cuts their rows into parts and *describes* each. A store keeps the descriptions and hands them
//! back to the format that wrote them whenever a part is read. So a store knows no format, a format knows no store, and no scan looks
//! for rows again. A description outlives the program that wrote it, and comes back from a disk: a [`FileFormat`] reads the
//! descriptions of its older versions, and checks each like anything else that is not trusted.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::computing::{PartSize, RowStream};
use crate::error::{Error, Result};
use crate::schema::{KeyType, TableSchema};

/// A format whose files can be read as a table where they lie.
pub trait FileFormat: fmt::Debug + Send + Sync {
    /// Its name in [`BoundPart::format`].
    fn name(&self) -> &'static str;
    /// Opens nothing. `InvalidInput` unless this format wrote the description, for a table with these columns as far as that can be
    /// told from it.
    fn check(&self, description: &str, schema: &TableSchema) -> Result<()>;
    /// The rows that it describes, in order. A file that is gone, or has changed, is told before the first of its rows: `NotFound`,
    /// `Corrupt`. So is, with its place, a value that `schema` cannot hold.
    fn rows(&self, description: &str, schema: &TableSchema) -> Result<RowStream>;
}

/// One part of a table that is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundPart {
    /// Name of the [`FileFormat`] that wrote the description.
    pub format: String,
    /// Which rows they are, and how they are read.
    pub description: String,
    /// Ids, where the files have none; the description is then one of the other columns.
    pub ids: Option<MadeIds>,
    /// Rows, and the bytes that they take where they are.
    pub size: PartSize,
}

/// Ids that are made: a prefix, drawn at random for a table, and a row's number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MadeIds {
    /// Begins every id.
    pub prefix: String,
    /// Number of the first row.
    pub first: u64,
}

impl MadeIds {
    /// Longest prefix.
    pub const MAX_PREFIX: usize = 64;

    /// The id of a row, counted from the first.
    pub fn id(&self, row: u64) -> String {
        format!("{}{}", self.prefix, self.first.saturating_add(row))
    }

    /// What is to be read of files for a table of this schema: the columns after the key. `InvalidInput` if the key is no text, or
    /// `rows` rows have not enough numbers.
    pub fn without_key(&self, schema: &TableSchema, rows: u64) -> Result<TableSchema> {
        if schema.expect_key("making ids")?.key_type != KeyType::Utf8 {
            return Err(Error::invalid("ids are made for a key that is no text"));
        }
        if self.prefix.len() > Self::MAX_PREFIX || self.first.checked_add(rows).is_none() {
            return Err(Error::invalid("ids are made of an impossible prefix or first number"));
        }
        TableSchema::new(None, schema.fields().to_vec())
    }
}

/// By what a file is known again: its size, its time of change to the nanosecond, and the digest of a piece that any change of a program
/// reaches. What keeps all three is no change that is made by mistake.
///
/// As text: `bytes:12 modified:1700000000.000000001 footer:sha256:…`, where `footer` names the piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stamp {
    bytes: u64,
    modified: (i64, i64),
    piece: String,
    sha256: String,
}

impl Stamp {
    /// Of a file, and the SHA-256 of its piece of that name (small letters).
    pub fn new(about: &Metadata, piece: &str, sha256: &[u8]) -> Self {
        let sha256 = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let modified = (about.mtime(), about.mtime_nsec());
        Self { bytes: about.len(), modified, piece: piece.to_owned(), sha256 }
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether size and time are these. Cheap enough to be asked again and again while a file is read.
    pub fn is_of(&self, about: &Metadata) -> bool {
        (self.bytes, self.modified) == (about.len(), (about.mtime(), about.mtime_nsec()))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = self.modified;
        write!(f, "bytes:{} modified:{seconds}.{nanos:09} {}:sha256:{}", self.bytes, self.piece, self.sha256)
    }
}

impl FromStr for Stamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (bytes, rest) = text.strip_prefix("bytes:")?.split_once(" modified:")?;
            let (modified, rest) = rest.split_once(' ')?;
            let (piece, sha256) = rest.split_once(":sha256:")?;
            let (seconds, nanos) = modified.split_once('.')?;
            let named = !piece.is_empty() && piece.bytes().all(|b| b.is_ascii_lowercase());
            let is_hex = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
            let modified = (seconds.parse().ok()?, nanos.parse().ok()?);
            let (piece, sha256) = (piece.to_owned(), sha256.to_owned());
            (named && is_hex).then_some(Self { bytes: bytes.parse().ok()?, modified, piece, sha256 })
        };
        parse().ok_or_else(|| Error::invalid(format!("{text:?} is not the stamp of a file")))
    }
}

impl TryFrom<String> for Stamp {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> Self {
        stamp.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Field;

    #[test]
    fn a_stamp_comes_back_and_another_text_does_not() {
        let text = format!("bytes:12 modified:-1700000000.000000001 footer:sha256:{}", "0a".repeat(32));
        let stamp: Stamp = text.parse().unwrap();
        assert_eq!((stamp.bytes(), stamp.to_string()), (12, text.clone()));
        for bad in ["", "yesterday", &text[..100], &text.replace("footer", "Foot er"), &text.replace('.', "")]
        {
            assert!(bad.parse::<Stamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn made_ids_go_on_from_their_first() {
        let ids = MadeIds { prefix: "ab".into(), first: 7 };
        assert_eq!((ids.id(0), ids.id(3)), ("ab7".into(), "ab10".into()));
        let fields = vec![Field::new("x", arrow_schema::DataType::Int64)];
        let schema = TableSchema::keyed("id", KeyType::Utf8, fields.clone()).unwrap();
        assert_eq!(ids.without_key(&schema, 3).unwrap(), TableSchema::new(None, fields.clone()).unwrap());
        assert!(ids.without_key(&schema, u64::MAX).is_err());
        assert!(MadeIds { prefix: "x".repeat(65), first: 0 }.without_key(&schema, 3).is_err());
        let binary = TableSchema::keyed("id", KeyType::Binary, fields).unwrap();
        assert!(ids.without_key(&binary, 3).is_err());
    }
}
