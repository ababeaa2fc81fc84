//! The first record of a value: which message it is, or a table's columns, layout and number of rows.
//!
//! Columns have their own encoding here rather than serde's of Arrow's types: those nest, and a peer could nest them until
//! decoding runs out of stack; and sites with different versions of Arrow must understand each other.

use std::sync::Arc;

use arrow_schema::{DataType, TimeUnit};
use serde::{Deserialize, Serialize};
use tributary_core::schema::Key;
use tributary_core::{Error, Field, Layout, Purpose, Result, Shown, TableSchema};

/// Longest header: a table of [`TableSchema::MAX_FIELDS`] columns with short names.
pub(crate) const MAX_HEADER_BYTES: usize = 8 << 20;

/// Longest name of a message.
const MAX_NAME_BYTES: usize = 256;

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Header {
    Message { name: String, version: u32 },
    Table(TableHeader),
}

/// A table without its rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TableHeader {
    pub schema: TableSchema,
    pub layout: Layout,
    pub rows: u64,
}

#[derive(Debug, Serialize, Deserialize)]
enum Encoded {
    Message { name: String, version: u32 },
    Table { key: Option<Key>, columns: Vec<Column>, layout: Layout, rows: u64 },
}

#[derive(Debug, Serialize, Deserialize)]
struct Column {
    name: String,
    kind: Kind,
    nullable: bool,
    purpose: Purpose,
}

/// The column types of [`Field::SUPPORTED`]. Append only.
#[derive(Debug, Serialize, Deserialize)]
enum Kind {
    Boolean,
    Int32,
    Int64,
    UInt8,
    UInt16,
    UInt32,
    UInt64,
    Float32,
    Float64,
    Utf8,
    Binary,
    FixedSizeBinary(i32),
    Date32,
    TimestampMicros(Option<String>),
    Decimal128(u8, i8),
    List { item: String, nullable: bool, of: ItemKind },
}

#[derive(Debug, Serialize, Deserialize)]
enum ItemKind {
    Float64,
    UInt64,
}

impl Header {
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let encoded = match self {
            Self::Message { name, .. } if name.len() > MAX_NAME_BYTES => {
                return Err(Error::invalid(format!("message name of {} bytes", name.len())));
            }
            Self::Message { name, version } => Encoded::Message { name: name.clone(), version: *version },
            Self::Table(table) => Encoded::Table {
                key: table.schema.key().cloned(),
                columns: table.schema.fields().iter().map(Column::of).collect::<Result<_>>()?,
                layout: table.layout.clone(),
                rows: table.rows,
            },
        };
        let bytes = postcard::to_stdvec(&encoded).map_err(|e| Error::bug("encode a header").because(e))?;
        if bytes.len() > MAX_HEADER_BYTES {
            return Err(Error::invalid(format!(
                "names and types of the columns take {} bytes, at most {MAX_HEADER_BYTES} are possible",
                bytes.len()
            )));
        }
        Ok(bytes)
    }

    /// The reason when it is not a header.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (encoded, rest) = postcard::take_from_bytes(bytes).map_err(|e| e.to_string())?;
        if !rest.is_empty() {
            return Err(format!("{} bytes too many", rest.len()));
        }
        match encoded {
            Encoded::Message { name, .. } if name.len() > MAX_NAME_BYTES => Err("a name too long".into()),
            Encoded::Message { name, version } => Ok(Self::Message { name, version }),
            Encoded::Table { key, columns, layout, rows } => {
                let fields = columns.into_iter().map(Column::field).collect::<Result<_, _>>()?;
                let schema = TableSchema::new(key, fields).map_err(|e| e.to_string())?;
                layout.check().map_err(|e| e.to_string())?;
                match &layout {
                    Layout::Rows(ranges) if ranges.all().end - ranges.all().start != rows => {
                        Err(format!("{rows} rows in a layout of rows {:?}", ranges.all()))
                    }
                    _ => Ok(Self::Table(TableHeader { schema, layout, rows })),
                }
            }
        }
    }
}

impl Column {
    fn of(field: &Field) -> Result<Self> {
        let kind = Kind::of(&field.data_type).ok_or_else(|| {
            Error::invalid(format!(
                "column {:?} of type {} cannot be sent",
                Shown::new(&field.name),
                field.data_type
            ))
        })?;
        let (name, purpose) = (field.name.clone(), field.purpose.clone());
        Ok(Self { name, kind, nullable: field.nullable, purpose })
    }

    fn field(self) -> Result<Field, String> {
        let data_type =
            self.kind.data_type().ok_or_else(|| format!("column {:?} cannot be", Shown::new(&self.name)))?;
        Ok(Field { name: self.name, data_type, nullable: self.nullable, purpose: self.purpose })
    }
}

impl Kind {
    fn of(data_type: &DataType) -> Option<Self> {
        use DataType as T;
        Some(match data_type {
            T::Boolean => Self::Boolean,
            T::Int32 => Self::Int32,
            T::Int64 => Self::Int64,
            T::UInt8 => Self::UInt8,
            T::UInt16 => Self::UInt16,
            T::UInt32 => Self::UInt32,
            T::UInt64 => Self::UInt64,
            T::Float32 => Self::Float32,
            T::Float64 => Self::Float64,
            T::Utf8 => Self::Utf8,
            T::Binary => Self::Binary,
            T::FixedSizeBinary(width) => Self::FixedSizeBinary(*width),
            T::Date32 => Self::Date32,
            T::Timestamp(TimeUnit::Microsecond, zone) => {
                Self::TimestampMicros(zone.as_ref().map(|z| z.to_string()))
            }
            T::Decimal128(precision, scale) => Self::Decimal128(*precision, *scale),
            T::List(item) if item.metadata().is_empty() => {
                let of = match item.data_type() {
                    T::Float64 => ItemKind::Float64,
                    T::UInt64 => ItemKind::UInt64,
                    _ => return None,
                };
                Self::List { item: item.name().clone(), nullable: item.is_nullable(), of }
            }
            _ => return None,
        })
    }

    /// `None` for numbers that no such type has. What [`TableSchema`] checks is left to it.
    fn data_type(self) -> Option<DataType> {
        use DataType as T;
        Some(match self {
            Self::Boolean => T::Boolean,
            Self::Int32 => T::Int32,
            Self::Int64 => T::Int64,
            Self::UInt8 => T::UInt8,
            Self::UInt16 => T::UInt16,
            Self::UInt32 => T::UInt32,
            Self::UInt64 => T::UInt64,
            Self::Float32 => T::Float32,
            Self::Float64 => T::Float64,
            Self::Utf8 => T::Utf8,
            Self::Binary => T::Binary,
            Self::FixedSizeBinary(width) => T::FixedSizeBinary(width),
            Self::Date32 => T::Date32,
            Self::TimestampMicros(zone) => T::Timestamp(TimeUnit::Microsecond, zone.map(Into::into)),
            Self::Decimal128(precision, scale) => {
                let fits = (1..=38).contains(&precision) && scale.unsigned_abs() <= precision;
                return fits.then_some(T::Decimal128(precision, scale));
            }
            Self::List { item, nullable, of } => {
                let of = match of {
                    ItemKind::Float64 => T::Float64,
                    ItemKind::UInt64 => T::UInt64,
                };
                T::List(Arc::new(arrow_schema::Field::new(item, of, nullable)))
            }
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use tributary_core::KeyType;
    use tributary_core::layout::RowRanges;
    use tributary_core::schema::CipherKeyId;

    use super::*;

    /// Every supported type, with and without missing values.
    pub(crate) fn every_type() -> TableSchema {
        let list = |of| DataType::List(Arc::new(arrow_schema::Field::new("item", of, false)));
        let types = [
            DataType::Boolean,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Float32,
            DataType::Float64,
            DataType::Utf8,
            DataType::Binary,
            DataType::FixedSizeBinary(3),
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::Timestamp(TimeUnit::Microsecond, Some("+01:00".into())),
            DataType::Decimal128(20, -2),
            list(DataType::Float64),
            list(DataType::UInt64),
        ];
        let fields = types.into_iter().enumerate().flat_map(|(i, t)| {
            [Field::new(format!("c{i}"), t.clone()), Field::new(format!("n{i}"), t).nullable()]
        });
        TableSchema::keyed("id", KeyType::Utf8, fields.collect()).unwrap()
    }

    fn round_trip(header: Header) {
        assert_eq!(Header::decode(&header.encode().unwrap()).unwrap(), header);
    }

    #[test]
    fn every_header_survives_its_encoding() {
        round_trip(Header::Message { name: "psi.hello".into(), version: 3 });
        let rows = Layout::Rows(RowRanges::new(vec![5, 7, 7, 25]).unwrap());
        for (layout, rows) in [(Layout::Loose(1), 0), (Layout::Keyed(7), 10), (rows, 20)] {
            round_trip(Header::Table(TableHeader { schema: every_type(), layout, rows }));
        }
        let cipher = Purpose::Ciphertext(CipherKeyId("ab".into()));
        let fields = vec![Field::new("c", DataType::FixedSizeBinary(512)).purpose(cipher)];
        let schema = TableSchema::new(None, fields).unwrap();
        round_trip(Header::Table(TableHeader { schema, layout: Layout::Loose(1), rows: 1 }));
    }

    #[test]
    fn headers_that_contradict_themselves_are_refused() {
        let refused = |key: Option<Key>, kind: Kind, layout: Layout, rows: u64| {
            let column = Column { name: "x".into(), kind, nullable: false, purpose: Purpose::Value };
            let encoded = Encoded::Table { key, columns: vec![column], layout, rows };
            Header::decode(&postcard::to_stdvec(&encoded).unwrap()).unwrap_err()
        };
        let key = Key { name: "x".into(), key_type: KeyType::Utf8 };
        assert!(refused(Some(key), Kind::Int32, Layout::Loose(1), 0).contains("twice"));
        refused(None, Kind::FixedSizeBinary(0), Layout::Loose(1), 0);
        refused(None, Kind::Decimal128(39, 0), Layout::Loose(1), 0);
        refused(None, Kind::Decimal128(5, 6), Layout::Loose(1), 0);
        refused(None, Kind::Int32, Layout::Loose(0), 0);
        refused(None, Kind::Int32, Layout::Rows(RowRanges::even(5, 2)), 6);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Header::decode(&bytes);
        }

        #[test]
        fn a_damaged_header_is_decoded_without_a_panic(at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let table = TableHeader { schema: every_type(), layout: Layout::Keyed(3), rows: 9 };
            let mut bytes = Header::Table(table).encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = to;
            let _ = Header::decode(&bytes);
        }
    }
}
