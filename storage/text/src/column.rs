//! The values of a column as text.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use tributary_core::{Error, ErrorKind, Result};

use crate::write;

/// A column whose values are written one by one.
#[derive(Debug)]
pub struct Column<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

#[derive(Debug)]
enum Values<'a> {
    Boolean(&'a BooleanArray),
    Int32(&'a [i32]),
    Int64(&'a [i64]),
    UInt8(&'a [u8]),
    UInt16(&'a [u16]),
    UInt32(&'a [u32]),
    UInt64(&'a [u64]),
    Float32(&'a [f32]),
    Float64(&'a [f64]),
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    Fixed(&'a FixedSizeBinaryArray),
    Date(&'a [i32]),
    /// And whether the type has a zone.
    Timestamp(&'a [i64], bool),
    /// With precision and scale.
    Decimal(&'a [i128], u8, i8),
}

impl<'a> Column<'a> {
    /// Errors: `Unsupported` for lists, which have no text.
    pub fn of(array: &'a ArrayRef) -> Result<Self> {
        use DataType as T;
        let values = match array.data_type() {
            T::Boolean => Values::Boolean(array.as_boolean()),
            T::Int32 => Values::Int32(array.as_primitive::<Int32Type>().values()),
            T::Int64 => Values::Int64(array.as_primitive::<Int64Type>().values()),
            T::UInt8 => Values::UInt8(array.as_primitive::<UInt8Type>().values()),
            T::UInt16 => Values::UInt16(array.as_primitive::<UInt16Type>().values()),
            T::UInt32 => Values::UInt32(array.as_primitive::<UInt32Type>().values()),
            T::UInt64 => Values::UInt64(array.as_primitive::<UInt64Type>().values()),
            T::Float32 => Values::Float32(array.as_primitive::<Float32Type>().values()),
            T::Float64 => Values::Float64(array.as_primitive::<Float64Type>().values()),
            T::Utf8 => Values::Text(array.as_string()),
            T::Binary => Values::Binary(array.as_binary()),
            T::FixedSizeBinary(_) => Values::Fixed(array.as_fixed_size_binary()),
            T::Date32 => Values::Date(array.as_primitive::<Date32Type>().values()),
            T::Timestamp(TimeUnit::Microsecond, zone) => {
                Values::Timestamp(array.as_primitive::<TimestampMicrosecondType>().values(), zone.is_some())
            }
            T::Decimal128(precision, scale) => {
                Values::Decimal(array.as_primitive::<Decimal128Type>().values(), *precision, *scale)
            }
            other => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    format!("a value of type {other} has no text"),
                ));
            }
        };
        Ok(Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), values })
    }

    /// Whether the value of a row is missing.
    #[inline]
    pub fn is_missing(&self, row: usize) -> bool {
        self.nulls.is_some_and(|nulls| nulls.is_null(row))
    }

    /// The value of a row, if the column is one of text.
    #[inline]
    pub fn text(&self, row: usize) -> Option<&'a str> {
        match self.values {
            Values::Text(values) => Some(values.value(row)),
            _ => None,
        }
    }

    /// Appends the value of a row; the text of a missing value is meaningless.
    #[inline]
    pub fn write(&self, row: usize, out: &mut Vec<u8>) {
        self.values.write(row, out);
    }
}

impl Values<'_> {
    #[inline]
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(values) => {
                out.extend_from_slice(if values.value(row) { b"true" } else { b"false" })
            }
            Self::Int32(values) => write::integer(out, values[row]),
            Self::Int64(values) => write::integer(out, values[row]),
            Self::UInt8(values) => write::integer(out, values[row]),
            Self::UInt16(values) => write::integer(out, values[row]),
            Self::UInt32(values) => write::integer(out, values[row]),
            Self::UInt64(values) => write::integer(out, values[row]),
            Self::Float32(values) => write::float(out, values[row]),
            Self::Float64(values) => write::float(out, values[row]),
            Self::Text(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Self::Binary(values) => write::hex(out, values.value(row)),
            Self::Fixed(values) => write::hex(out, values.value(row)),
            Self::Date(values) => write::date(out, i64::from(values[row])),
            Self::Timestamp(values, zone) => {
                write::timestamp(out, values[row]);
                if *zone {
                    out.push(b'Z');
                }
            }
            Self::Decimal(values, precision, scale) => write::decimal(out, values[row], *precision, *scale),
        }
    }
}
