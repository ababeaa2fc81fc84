//! What the columns of a table are. Our own type and not Arrow's, because engines merge or drop Arrow's metadata, and a
//! ciphertext column must never lose which key it is under.

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::shown::Shown;

/// The type of a table's key column. Keys are never null.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyType {
    /// Text.
    Utf8,
    /// Bytes.
    Binary,
    /// Numbers: row numbers, bins, nodes.
    UInt64,
}

impl KeyType {
    /// Arrow's name for it.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Utf8 => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::UInt64 => DataType::UInt64,
        }
    }
}

/// The key column, always the first of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Column name.
    pub name: String,
    /// Its type.
    pub key_type: KeyType,
}

/// Which key a ciphertext column is under: the fingerprint of a public key, as hex.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CipherKeyId(pub String);

impl fmt::Debug for CipherKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown::new(&self.0))
    }
}

/// What a column means to algorithms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A feature or an intermediate value.
    #[default]
    Value,
    /// The id on which parties match, when it is not the key.
    MatchId,
    /// What is to be predicted.
    Label,
    /// A row's weight.
    Weight,
    /// Ciphertexts, `FixedSizeBinary`, all under one key.
    Ciphertext(CipherKeyId),
    /// A feature that is one of a few texts, which have no order: `Utf8`. Not a dictionary type of Arrow: rows of two tables would then
    /// differ in type, or their dictionaries would have to be made one, wherever they meet. (Last, because frames number
    /// these.)
    Category,
}

/// A column other than the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Unique within the table.
    pub name: String,
    /// One of [`Field::SUPPORTED`].
    pub data_type: DataType,
    /// Whether values may be missing.
    pub nullable: bool,
    /// What it means.
    pub purpose: Purpose,
}

impl Field {
    /// For messages: the types that tables hold.
    pub const SUPPORTED: &str = "Boolean, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float32, Float64, Utf8, Binary, \
        FixedSizeBinary, Date32, Timestamp in microseconds, Decimal128, List of Float64 or UInt64";

    /// A plain column without nulls.
    pub fn new(name: impl Into<String>, data_type: DataType) -> Self {
        Self { name: name.into(), data_type, nullable: false, purpose: Purpose::Value }
    }

    /// The same column, values may be missing.
    #[must_use]
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// The same column with a purpose.
    #[must_use]
    pub fn purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = purpose;
        self
    }

    fn check(&self) -> Result<()> {
        use DataType as T;
        let fits = match &self.data_type {
            T::Boolean | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => true,
            T::Float32 | T::Float64 | T::Utf8 | T::Binary | T::Date32 => true,
            T::FixedSizeBinary(width) => *width > 0,
            T::Timestamp(TimeUnit::Microsecond, _) | T::Decimal128(_, _) => true,
            T::List(item) => matches!(item.data_type(), T::Float64 | T::UInt64),
            _ => false,
        };
        if !fits {
            return Err(Error::invalid(format!(
                "column {:?} has type {}, expected one of {}",
                Shown::new(&self.name),
                shown_type(&self.data_type),
                Self::SUPPORTED
            )));
        }
        if matches!(self.purpose, Purpose::Ciphertext(_)) && !matches!(self.data_type, T::FixedSizeBinary(_))
        {
            return Err(Error::invalid(format!(
                "ciphertext column {:?} must be FixedSizeBinary",
                Shown::new(&self.name)
            )));
        }
        if self.purpose == Purpose::Category && self.data_type != T::Utf8 {
            return Err(Error::invalid(format!(
                "column {:?} of categories must be Utf8",
                Shown::new(&self.name)
            )));
        }
        Ok(())
    }
}

/// The columns of a table. Cheap to clone.
///
/// A table without a key holds vectors that travel without ids; it lives in a `Rows` layout, where a row's number is
/// its identity.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct TableSchema(Arc<Inner>);

#[derive(PartialEq, Eq)]
struct Inner {
    parts: Parts,
    arrow: SchemaRef,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Parts {
    key: Option<Key>,
    fields: Vec<Field>,
}

impl TableSchema {
    /// Most columns a table may have; bounds what a peer or a file can make us allocate.
    pub const MAX_FIELDS: usize = 65_536;

    /// Columns after an optional key. `InvalidInput`: a name twice, or a type not in [`Field::SUPPORTED`].
    pub fn new(key: Option<Key>, fields: Vec<Field>) -> Result<Self> {
        Self::try_from(Parts { key, fields })
    }

    /// A table keyed by `name`.
    pub fn keyed(name: impl Into<String>, key_type: KeyType, fields: Vec<Field>) -> Result<Self> {
        Self::new(Some(Key { name: name.into(), key_type }), fields)
    }

    /// The key column, if there is one.
    pub fn key(&self) -> Option<&Key> {
        self.0.parts.key.as_ref()
    }

    /// The key column, or `InvalidInput`: the operation named needs one.
    pub fn expect_key(&self, operation: &str) -> Result<&Key> {
        self.key().ok_or_else(|| {
            Error::invalid(format!("{operation} needs a table with a key column, and {self:?} has none"))
        })
    }

    /// The columns after the key.
    pub fn fields(&self) -> &[Field] {
        &self.0.parts.fields
    }

    /// A column other than the key, by name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields().iter().find(|f| f.name == name)
    }

    /// Position of a non-key column in a batch (the key, if any, is column 0).
    pub fn column_index(&self, name: &str) -> Result<usize> {
        let offset = usize::from(self.key().is_some());
        let position = self.fields().iter().position(|f| f.name == name);
        position.map(|i| i + offset).ok_or_else(|| {
            let name = Shown::new(name);
            Error::invalid(format!("no column {name:?}; the table has {}", names(self.arrow(), 20)))
        })
    }

    /// The first column with this purpose.
    pub fn with_purpose(&self, purpose: &Purpose) -> Option<&Field> {
        self.fields().iter().find(|f| f.purpose == *purpose)
    }

    /// The Arrow schema of this table's batches, key first.
    pub fn arrow(&self) -> &SchemaRef {
        &self.0.arrow
    }

    /// The same key with other columns.
    pub fn with_fields(&self, fields: Vec<Field>) -> Result<Self> {
        Self::new(self.key().cloned(), fields)
    }

    /// Checks a batch against this schema: number, types, and nulls of columns. Names are not compared.
    pub fn check(&self, batch: &RecordBatch) -> Result<()> {
        let expected = self.arrow().fields();
        if batch.num_columns() != expected.len() {
            return Err(Error::invalid(format!(
                "a batch has {} columns, expected {} ({})",
                batch.num_columns(),
                expected.len(),
                names(self.arrow(), SHOWN_FIELDS)
            )));
        }
        for (column, field) in batch.columns().iter().zip(expected) {
            if column.data_type() != field.data_type() {
                return Err(Error::invalid(format!(
                    "column {:?} has type {}, expected {}",
                    Shown::new(field.name()),
                    shown_type(column.data_type()),
                    shown_type(field.data_type())
                )));
            }
            if !field.is_nullable() && column.null_count() > 0 {
                return Err(Error::invalid(format!(
                    "column {:?} has {} nulls, expected none",
                    Shown::new(field.name()),
                    column.null_count()
                )));
            }
        }
        Ok(())
    }

    /// A batch of this schema from its columns, key first.
    pub fn batch(&self, columns: Vec<arrow_array::ArrayRef>) -> Result<RecordBatch> {
        let rows = columns.first().map_or(0, |c| c.len());
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.arrow().clone(), columns, &options)
            .map_err(|e| Error::invalid(format!("columns do not make a batch of {self:?}")).because(e))
    }

    /// A batch without rows.
    pub fn empty_batch(&self) -> RecordBatch {
        RecordBatch::new_empty(self.arrow().clone())
    }
}

impl TryFrom<Parts> for TableSchema {
    type Error = Error;

    fn try_from(parts: Parts) -> Result<Self> {
        if parts.fields.len() > Self::MAX_FIELDS {
            return Err(Error::invalid(format!(
                "{} columns, at most {} are possible",
                parts.fields.len(),
                Self::MAX_FIELDS
            )));
        }
        let mut names = std::collections::HashSet::new();
        let key_name = parts.key.iter().map(|k| &k.name);
        for name in key_name.chain(parts.fields.iter().map(|f| &f.name)) {
            if !names.insert(name.as_str()) {
                return Err(Error::invalid(format!(
                    "column {:?} stands twice in a table; rename one",
                    Shown::new(name)
                )));
            }
        }
        parts.fields.iter().try_for_each(Field::check)?;
        let key = parts.key.iter().map(|k| arrow_schema::Field::new(&k.name, k.key_type.data_type(), false));
        let rest =
            parts.fields.iter().map(|f| arrow_schema::Field::new(&f.name, f.data_type.clone(), f.nullable));
        let arrow = Arc::new(arrow_schema::Schema::new(key.chain(rest).collect::<Vec<_>>()));
        Ok(Self(Arc::new(Inner { parts, arrow })))
    }
}

impl From<TableSchema> for Parts {
    fn from(schema: TableSchema) -> Self {
        schema.0.parts.clone()
    }
}

/// Fields that a message shows.
const SHOWN_FIELDS: usize = 40;

/// Names of the first columns.
fn names(schema: &arrow_schema::Schema, most: usize) -> String {
    let names = schema.fields().iter().map(|field| Shown::new(field.name()).to_string());
    let more = schema.fields().len().saturating_sub(most);
    let more = (more > 0).then(|| format!("{more} more"));
    names.take(most).chain(more).collect::<Vec<_>>().join(", ")
}

/// A type as messages show it: names of items and of time zones are in it, and a peer or a file may have chosen them.
fn shown_type(data_type: &DataType) -> String {
    Shown::new(&data_type.to_string()).to_string()
}

impl fmt::Debug for TableSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key().map(|k| format!("[{}: {:?}]", Shown::new(&k.name), k.key_type));
        let rest =
            self.fields().iter().map(|x| format!("{}: {}", Shown::new(&x.name), shown_type(&x.data_type)));
        let more = self.fields().len().saturating_sub(SHOWN_FIELDS);
        let more = (more > 0).then(|| format!("{more} more"));
        let all = key.into_iter().chain(rest.take(SHOWN_FIELDS)).chain(more);
        write!(f, "({})", all.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_twice_is_refused_also_when_decoded() {
        let twice = vec![Field::new("x", DataType::Int64), Field::new("x", DataType::Float64)];
        assert!(TableSchema::new(None, twice).is_err());
        assert!(TableSchema::keyed("x", KeyType::Utf8, vec![Field::new("x", DataType::Int64)]).is_err());
    }

    #[test]
    fn a_schema_survives_its_encoding() {
        let fields = vec![
            Field::new("y", DataType::Int32).purpose(Purpose::Label),
            Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None)).nullable(),
            Field::new("c", DataType::FixedSizeBinary(512))
                .purpose(Purpose::Ciphertext(CipherKeyId("ab".into()))),
        ];
        let schema = TableSchema::keyed("id", KeyType::Utf8, fields).unwrap();
        let bytes = postcard::to_stdvec(&schema).unwrap();
        assert_eq!(postcard::from_bytes::<TableSchema>(&bytes).unwrap(), schema);
    }

    /// Whatever a peer calls a column, an item or a time zone.
    #[test]
    fn no_message_about_columns_shows_what_drives_a_terminal_or_fills_a_log() {
        let evil = format!("\u{1b}[2J\u{202e}{}", "x".repeat(10_000));
        let list = |of| DataType::List(Arc::new(arrow_schema::Field::new(evil.as_str(), of, true)));
        let zone = DataType::Timestamp(TimeUnit::Microsecond, Some(evil.as_str().into()));
        let field = |data_type| Field::new(evil.clone(), data_type);
        let schema = TableSchema::keyed(
            "id",
            KeyType::Utf8,
            vec![field(list(DataType::Float64)), Field::new("z", zone)],
        );
        let schema = schema.unwrap();
        let other = TableSchema::new(None, vec![Field::new("v", DataType::Int32)]).unwrap();
        let errors = [
            TableSchema::new(None, vec![field(DataType::Utf8View)]).unwrap_err(),
            TableSchema::new(None, vec![field(list(DataType::Int32))]).unwrap_err(),
            TableSchema::new(None, vec![field(DataType::Int32), field(DataType::Int32)]).unwrap_err(),
            TableSchema::new(None, vec![field(DataType::Int32).purpose(Purpose::Category)]).unwrap_err(),
            TableSchema::new(
                None,
                vec![field(DataType::Int32).purpose(Purpose::Ciphertext(CipherKeyId("a".into())))],
            )
            .unwrap_err(),
            schema.column_index("none").unwrap_err(),
            other.column_index(&evil).unwrap_err(),
            schema.check(&other.empty_batch()).unwrap_err(),
            other
                .check(&TableSchema::new(None, vec![schema.fields()[0].clone()]).unwrap().empty_batch())
                .unwrap_err(),
        ];
        let texts = errors
            .iter()
            .map(Error::chain)
            .chain([format!("{schema:?}"), format!("{:?}", CipherKeyId(evil))]);
        for text in texts {
            assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}') && text.len() < 2000, "{text}");
        }
    }

    #[test]
    fn a_type_that_no_store_keeps_is_refused() {
        assert!(TableSchema::new(None, vec![Field::new("x", DataType::Utf8View)]).is_err());
    }
}
