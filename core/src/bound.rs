//! Rows that are stored elsewhere: files of other programs as the parts of a table.
//!
//! The program that binds files reads them once, cuts their rows into parts and *describes* each. A store keeps the descriptions and hands them
//! back to the format that wrote them whenever a part is read. So a store knows no format, a format knows no store, and no scan looks
//! for rows again. A description outlives the program that wrote it, and comes back from a disk: a [`FileFormat`] reads the
//! descriptions of its older versions, and checks each like anything else that is not trusted.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::media::Media;
use crate::rows::{PartSize, RowStream};
use crate::schema::{KeyType, Purpose, TableSchema};

/// A format whose files can be read as a table where they lie.
pub trait FileFormat: fmt::Debug + Send + Sync {
    /// Its name in [`BoundPart::format`].
    fn name(&self) -> &'static str;
    /// Opens nothing. `InvalidInput` unless this format wrote the description, for a table with these columns as far as that can be
    /// seen from it.
    fn check(&self, description: &str, schema: &TableSchema) -> Result<()>;
    /// The files that it describes, by their addresses.
    fn files(&self, description: &str) -> Result<Vec<PathBuf>>;
    /// The rows that it describes, in order. A file that is gone, or has changed, is reported before the first of its rows: `NotFound`,
    /// `Corrupt`. So is, with its place, a value that the schema cannot hold.
    fn rows(&self, description: &str, wanted: &InFiles) -> Result<RowStream>;
}

/// What is read of files.
#[derive(Debug, Clone)]
pub struct InFiles {
    /// The columns that the description is for.
    pub schema: TableSchema,
    /// Places of the wanted ones among them, in ascending order; all if there are none.
    pub columns: Option<Vec<usize>>,
    /// What opens the files.
    pub media: Arc<dyn Media>,
}

impl InFiles {
    /// The schema of the wanted columns; its key if that is wanted.
    pub fn wanted(&self) -> Result<TableSchema> {
        let Some(columns) = &self.columns else { return Ok(self.schema.clone()) };
        let before = usize::from(self.schema.key().is_some());
        let field = |place: &usize| self.schema.fields().get(place.checked_sub(before)?).cloned();
        let fields = columns.iter().filter_map(field).collect();
        let key = self.schema.key().filter(|_| columns.first() == Some(&0)).cloned();
        TableSchema::new(key, fields)
    }
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

/// A table or view that another program has in a database, to be read there as a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignTable {
    /// Its name; `schema.name` where it is in another schema, or database, than the store's own connection.
    pub table: String,
    /// The column of the ids, which become text.
    pub id: String,
    /// What columns mean, by name; values, unless it is said.
    pub purposes: BTreeMap<String, Purpose>,
    /// Columns that are left out.
    pub skip: Vec<String>,
    /// Into how many partitions it is cut, by the ids.
    pub partitions: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Field;

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
