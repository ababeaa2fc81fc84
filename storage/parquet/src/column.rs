//! The columns of a file, and their types in a table.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use parquet::arrow::parquet_to_arrow_schema;
use parquet::basic::{LogicalType, Type as Physical};
use parquet::errors::Result as ParquetResult;
use parquet::file::metadata::FileMetaData;
use parquet::schema::types::Type;

use tributary_core::{Error, Field, Result};

use crate::guard::guarded;

/// A column of a file of another program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The format's name of its type, for messages.
    pub stored: String,
    /// Whether values may be missing: the file says so, and its statistics do not say that none is.
    pub nullable: bool,
    /// Whether it is text that the writer stored as categories.
    pub is_category: bool,
    /// Whether its values are UUIDs, which are bytes in the file and text to us.
    pub(crate) is_uuid: bool,
    /// Whether its values are times of 96 bits, whose nanoseconds the decoder drops.
    pub(crate) is_int96: bool,
    /// The type that the decoder returns.
    pub(crate) read_as: DataType,
    /// The type in a table, or why there is none.
    pub(crate) becomes: std::result::Result<DataType, &'static str>,
}

impl Column {
    /// The type of its values in a table. `InvalidInput` for a column that no table can hold.
    pub fn data_type(&self) -> Result<&DataType> {
        self.becomes.as_ref().map_err(|why| {
            Error::invalid(format!(
                "column {:?} is {}, which a table cannot have: {why}, or leave it out",
                self.name, self.stored
            ))
        })
    }

    /// Whether values are converted to this type, so that single ones may not fit.
    pub fn is_converted(&self, to: &DataType) -> bool {
        self.is_int96 || self.read_as != *to
    }

    /// The column as a field of a table.
    pub fn field(&self) -> Result<Field> {
        let field = Field::new(self.name.as_str(), self.data_type()?.clone());
        Ok(if self.nullable { field.nullable() } else { field })
    }

    /// The columns of a file, and the schema with which the decoder is to read them.
    pub(crate) fn of_file(file: &FileMetaData) -> ParquetResult<(Vec<Self>, SchemaRef)> {
        let parquet = file.schema_descr();
        let arrow = parquet_to_arrow_schema(parquet, None)?;
        let categories = categories(file);
        let roots = parquet.root_schema().get_fields();
        let read = roots.iter().zip(arrow.fields()).map(|(root, field)| {
            let read_as = read_as(root, field.data_type());
            let column = Self {
                name: field.name().clone(),
                stored: stored(root, field.data_type()),
                nullable: field.is_nullable(),
                is_category: categories.contains(field.name()) && read_as == DataType::Utf8,
                is_int96: is_int96(root),
                is_uuid: logical(root) == Some(&LogicalType::Uuid),
                becomes: becomes(root, &read_as),
                read_as: read_as.clone(),
            };
            (column, Arc::new(ArrowField::new(field.name(), read_as, field.is_nullable())))
        });
        let (columns, fields): (Vec<_>, Vec<_>) = read.unzip();
        Ok((columns, Arc::new(Schema::new(fields))))
    }
}

/// Names of columns that the writer had as Arrow dictionaries. Nothing else is taken from the writer's schema, and nothing
/// at all from an invalid one.
fn categories(file: &FileMetaData) -> HashSet<String> {
    let noted = guarded(|| parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata()));
    let fields = noted.into_iter().flat_map(|schema| schema.fields().iter().cloned().collect::<Vec<_>>());
    let is_dictionary = |field: &Arc<ArrowField>| matches!(field.data_type(), DataType::Dictionary(_, _));
    fields.filter(is_dictionary).map(|field| field.name().clone()).collect()
}

fn logical(root: &Type) -> Option<&LogicalType> {
    root.get_basic_info().logical_type_ref()
}

fn is_int96(root: &Type) -> bool {
    root.is_primitive() && root.get_physical_type() == Physical::INT96
}

/// The type that the decoder is asked for: its own choice, with two exceptions.
fn read_as(root: &Type, own: &DataType) -> DataType {
    match own {
        _ if is_int96(root) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Binary if logical(root) == Some(&LogicalType::Enum) => DataType::Utf8,
        own => own.clone(),
    }
}

fn stored(root: &Type, own: &DataType) -> String {
    match own {
        DataType::Struct(_) => "a struct".into(),
        DataType::Map(_, _) => "a map".into(),
        DataType::List(_) => "a list".into(),
        _ if is_int96(root) => "INT96".into(),
        own => own.to_string(),
    }
}

fn becomes(root: &Type, read_as: &DataType) -> std::result::Result<DataType, &'static str> {
    use DataType as T;
    match read_as {
        T::Int8 | T::Int16 => Ok(T::Int32),
        T::Float16 => Ok(T::Float32),
        T::Null => Ok(T::Utf8),
        T::Timestamp(_, zone) => Ok(T::Timestamp(TimeUnit::Microsecond, zone.clone())),
        T::FixedSizeBinary(_) if logical(root) == Some(&LogicalType::Uuid) => Ok(T::Utf8),
        T::FixedSizeBinary(0) => Err("it has no bytes"),
        T::Boolean | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => {
            Ok(read_as.clone())
        }
        T::Float32 | T::Float64 | T::Utf8 | T::Binary | T::FixedSizeBinary(_) | T::Date32 => {
            Ok(read_as.clone())
        }
        T::Decimal128(_, _) => Ok(read_as.clone()),
        T::Decimal256(_, _) => Err("write it with at most 38 digits"),
        T::Time32(_) | T::Time64(_) | T::Interval(_) => Err("write it as an integer or as text"),
        T::List(_) | T::Struct(_) | T::Map(_, _) => Err("write its parts as columns of their own"),
        _ => Err("write it as another type"),
    }
}
