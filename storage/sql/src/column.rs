//! The columns of a batch: typed for writing, and built from values that were read.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Decimal128Builder, FixedSizeBinaryBuilder, Float64Builder, ListBuilder,
    PrimitiveBuilder, StringBuilder, UInt64Builder,
};
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, ListArray, PrimitiveArray, RecordBatch,
    StringArray,
};
use arrow_schema::DataType;

use tributary_core::{Error, Result, TableSchema};

/// A column to be written.
pub(crate) enum Column<'a> {
    Boolean(&'a BooleanArray),
    Int32(&'a PrimitiveArray<Int32Type>),
    Int64(&'a PrimitiveArray<Int64Type>),
    UInt8(&'a PrimitiveArray<UInt8Type>),
    UInt16(&'a PrimitiveArray<UInt16Type>),
    UInt32(&'a PrimitiveArray<UInt32Type>),
    UInt64(&'a PrimitiveArray<UInt64Type>),
    Float32(&'a PrimitiveArray<Float32Type>),
    Float64(&'a PrimitiveArray<Float64Type>),
    Text(&'a StringArray),
    Bytes(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    Date(&'a PrimitiveArray<Date32Type>),
    Time(&'a PrimitiveArray<TimestampMicrosecondType>),
    Decimal(&'a PrimitiveArray<Decimal128Type>, u8),
    Floats(&'a ListArray),
    Numbers(&'a ListArray),
}

/// The columns of a batch that fits its schema.
pub(crate) fn columns(batch: &RecordBatch) -> Result<Vec<Column<'_>>> {
    batch.columns().iter().map(Column::of).collect()
}

impl<'a> Column<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Boolean => Self::Boolean(array.as_boolean()),
            DataType::Int32 => Self::Int32(array.as_primitive()),
            DataType::Int64 => Self::Int64(array.as_primitive()),
            DataType::UInt8 => Self::UInt8(array.as_primitive()),
            DataType::UInt16 => Self::UInt16(array.as_primitive()),
            DataType::UInt32 => Self::UInt32(array.as_primitive()),
            DataType::UInt64 => Self::UInt64(array.as_primitive()),
            DataType::Float32 => Self::Float32(array.as_primitive()),
            DataType::Float64 => Self::Float64(array.as_primitive()),
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Binary => Self::Bytes(array.as_binary()),
            DataType::FixedSizeBinary(_) => Self::Fixed(array.as_fixed_size_binary()),
            DataType::Date32 => Self::Date(array.as_primitive()),
            DataType::Timestamp(..) => Self::Time(array.as_primitive()),
            DataType::Decimal128(_, scale) => Self::Decimal(array.as_primitive(), scale_of(*scale)?),
            DataType::List(item) if *item.data_type() == DataType::Float64 => Self::Floats(array.as_list()),
            DataType::List(_) => Self::Numbers(array.as_list()),
            other => return Err(Error::bug(format!("a column of {other} was not refused"))),
        })
    }

    pub(crate) fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Boolean(a) => a.is_null(row),
            Self::Int32(a) => a.is_null(row),
            Self::Int64(a) => a.is_null(row),
            Self::UInt8(a) => a.is_null(row),
            Self::UInt16(a) => a.is_null(row),
            Self::UInt32(a) => a.is_null(row),
            Self::UInt64(a) => a.is_null(row),
            Self::Float32(a) => a.is_null(row),
            Self::Float64(a) => a.is_null(row),
            Self::Text(a) => a.is_null(row),
            Self::Bytes(a) => a.is_null(row),
            Self::Fixed(a) => a.is_null(row),
            Self::Date(a) => a.is_null(row),
            Self::Time(a) => a.is_null(row),
            Self::Decimal(a, _) => a.is_null(row),
            Self::Floats(a) | Self::Numbers(a) => a.is_null(row),
        }
    }
}

/// The items of a list.
pub(crate) fn items<T: ArrowPrimitiveType>(list: &ListArray, row: usize) -> Vec<Option<T::Native>> {
    list.value(row).as_primitive::<T>().iter().collect()
}

fn scale_of(scale: i8) -> Result<u8> {
    u8::try_from(scale).map_err(|_| Error::bug("a negative number of decimals was not refused"))
}

/// A column that is read.
pub(crate) enum Builder {
    Boolean(BooleanBuilder),
    Int32(PrimitiveBuilder<Int32Type>),
    Int64(PrimitiveBuilder<Int64Type>),
    UInt8(PrimitiveBuilder<UInt8Type>),
    UInt16(PrimitiveBuilder<UInt16Type>),
    UInt32(PrimitiveBuilder<UInt32Type>),
    UInt64(PrimitiveBuilder<UInt64Type>),
    Float32(PrimitiveBuilder<Float32Type>),
    Float64(PrimitiveBuilder<Float64Type>),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Fixed(FixedSizeBinaryBuilder),
    Date(PrimitiveBuilder<Date32Type>),
    Time(PrimitiveBuilder<TimestampMicrosecondType>),
    Decimal(Decimal128Builder, u8),
    Floats(ListBuilder<Float64Builder>),
    Numbers(ListBuilder<UInt64Builder>),
}

impl Builder {
    fn of(kind: &DataType) -> Result<Self> {
        Ok(match kind {
            DataType::Boolean => Self::Boolean(BooleanBuilder::new()),
            DataType::Int32 => Self::Int32(PrimitiveBuilder::new()),
            DataType::Int64 => Self::Int64(PrimitiveBuilder::new()),
            DataType::UInt8 => Self::UInt8(PrimitiveBuilder::new()),
            DataType::UInt16 => Self::UInt16(PrimitiveBuilder::new()),
            DataType::UInt32 => Self::UInt32(PrimitiveBuilder::new()),
            DataType::UInt64 => Self::UInt64(PrimitiveBuilder::new()),
            DataType::Float32 => Self::Float32(PrimitiveBuilder::new()),
            DataType::Float64 => Self::Float64(PrimitiveBuilder::new()),
            DataType::Utf8 => Self::Text(StringBuilder::new()),
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            DataType::FixedSizeBinary(width) => Self::Fixed(FixedSizeBinaryBuilder::new(*width)),
            DataType::Date32 => Self::Date(PrimitiveBuilder::new()),
            DataType::Timestamp(..) => Self::Time(PrimitiveBuilder::new().with_data_type(kind.clone())),
            DataType::Decimal128(_, scale) => {
                Self::Decimal(PrimitiveBuilder::new().with_data_type(kind.clone()), scale_of(*scale)?)
            }
            DataType::List(item) if *item.data_type() == DataType::Float64 => {
                Self::Floats(ListBuilder::new(Float64Builder::new()).with_field(item.clone()))
            }
            DataType::List(item) if *item.data_type() == DataType::UInt64 => {
                Self::Numbers(ListBuilder::new(UInt64Builder::new()).with_field(item.clone()))
            }
            other => return Err(Error::invalid(format!("a column of {other} is in no database"))),
        })
    }

    pub(crate) fn append_null(&mut self) {
        match self {
            Self::Boolean(b) => b.append_null(),
            Self::Int32(b) => b.append_null(),
            Self::Int64(b) => b.append_null(),
            Self::UInt8(b) => b.append_null(),
            Self::UInt16(b) => b.append_null(),
            Self::UInt32(b) => b.append_null(),
            Self::UInt64(b) => b.append_null(),
            Self::Float32(b) => b.append_null(),
            Self::Float64(b) => b.append_null(),
            Self::Text(b) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
            Self::Fixed(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Time(b) => b.append_null(),
            Self::Decimal(b, _) => b.append_null(),
            Self::Floats(b) => b.append_null(),
            Self::Numbers(b) => b.append_null(),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Boolean(b) => Arc::new(b.finish()),
            Self::Int32(b) => Arc::new(b.finish()),
            Self::Int64(b) => Arc::new(b.finish()),
            Self::UInt8(b) => Arc::new(b.finish()),
            Self::UInt16(b) => Arc::new(b.finish()),
            Self::UInt32(b) => Arc::new(b.finish()),
            Self::UInt64(b) => Arc::new(b.finish()),
            Self::Float32(b) => Arc::new(b.finish()),
            Self::Float64(b) => Arc::new(b.finish()),
            Self::Text(b) => Arc::new(b.finish()),
            Self::Bytes(b) => Arc::new(b.finish()),
            Self::Fixed(b) => Arc::new(b.finish()),
            Self::Date(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Decimal(b, _) => Arc::new(b.finish()),
            Self::Floats(b) => Arc::new(b.finish()),
            Self::Numbers(b) => Arc::new(b.finish()),
        }
    }
}

/// Rows that are read, until they are enough for a batch.
pub(crate) struct Rows {
    schema: TableSchema,
    pub builders: Vec<Builder>,
    rows: usize,
    bytes: usize,
}

impl Rows {
    /// Most rows of a batch.
    const MOST: usize = 8192;
    /// And about as many bytes.
    const MOST_BYTES: usize = 8 << 20;

    pub(crate) fn of(schema: &TableSchema) -> Result<Self> {
        let builders = schema.arrow().fields().iter().map(|field| Builder::of(field.data_type()));
        Ok(Self { builders: builders.collect::<Result<_>>()?, schema: schema.clone(), rows: 0, bytes: 0 })
    }

    /// Every column has got one more value; the bytes that they took where they are from. A batch, if there are enough.
    pub(crate) fn row(&mut self, bytes: usize) -> Result<Option<RecordBatch>> {
        self.rows += 1;
        self.bytes += bytes;
        match self.rows >= Self::MOST || self.bytes >= Self::MOST_BYTES {
            true => self.take(),
            false => Ok(None),
        }
    }

    /// The rows that are there, if there are any. `Corrupt` for a missing value where none may be.
    pub(crate) fn take(&mut self) -> Result<Option<RecordBatch>> {
        if std::mem::take(&mut self.rows) == 0 {
            return Ok(None);
        }
        self.bytes = 0;
        let columns = self.builders.iter_mut().map(Builder::finish).collect();
        let broken = |why: Error| {
            Error::new(tributary_core::ErrorKind::Corrupt, "the rows do not fit the table").because(why)
        };
        self.schema.batch(columns).map(Some).map_err(broken)
    }
}
