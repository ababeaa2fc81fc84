//! Batches as CSV.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, RecordBatch, StringArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use tributary_core::{Error, Result, TableSchema};

use crate::text;

/// How CSV is written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CsvOptions {
    /// Between the values of a row: `,`.
    pub delimiter: u8,
    /// Whether the first line has the names of the columns.
    pub header: bool,
    /// How a missing value is written: as nothing.
    pub null: String,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { delimiter: b',', header: true, null: String::new() }
    }
}

/// Encodes batches of one table.
#[derive(Debug)]
pub(crate) struct Encoder {
    delimiter: u8,
    header: bool,
    null: Vec<u8>,
    /// Bytes because of which a value stands in quotes.
    special: [bool; 256],
    schema: TableSchema,
}

impl Encoder {
    /// `InvalidInput` for a column that CSV cannot hold, and options that make no CSV.
    pub fn new(options: &CsvOptions, schema: &TableSchema) -> Result<Self> {
        let delimiter = options.delimiter;
        if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\r' | b'\n') {
            let shown = (delimiter as char).escape_default();
            return Err(Error::invalid(format!(
                "delimiter '{shown}', expected one ASCII character that is neither a quote nor the end of a line"
            )));
        }
        let mut special = [false; 256];
        for byte in [delimiter, b'"', b'\r', b'\n'] {
            special[usize::from(byte)] = true;
        }
        if options.null.bytes().any(|byte| special[usize::from(byte)]) {
            let text =
                "the text for a missing value has a delimiter, a quote or the end of a line; choose another";
            return Err(Error::invalid(text));
        }
        for field in schema.arrow().fields() {
            if let DataType::List(_) = field.data_type() {
                return Err(Error::invalid(format!(
                    "column {:?} has lists, which CSV cannot hold; write Parquet or Arrow",
                    field.name()
                )));
            }
        }
        let null = options.null.clone().into_bytes();
        Ok(Self { delimiter, header: options.header, null, special, schema: schema.clone() })
    }

    /// The line with the names of the columns, or nothing.
    pub fn header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if self.header {
            for (i, field) in self.schema.arrow().fields().iter().enumerate() {
                if i > 0 {
                    out.push(self.delimiter);
                }
                self.quoted(&mut out, field.name());
            }
            out.push(b'\n');
        }
        out
    }

    /// The rows of a batch. `InvalidInput`, by column, for a text that would be read as a missing value.
    pub fn rows(&self, batch: &RecordBatch) -> Result<Vec<u8>> {
        let columns = batch.columns().iter().map(Column::of).collect::<Result<Vec<_>>>()?;
        let mut out = Vec::with_capacity(batch.num_rows() * columns.len() * 12);
        for row in 0..batch.num_rows() {
            for (i, column) in columns.iter().enumerate() {
                if i > 0 {
                    out.push(self.delimiter);
                }
                if column.nulls.is_some_and(|nulls| nulls.is_null(row)) {
                    out.extend_from_slice(&self.null);
                } else if let Values::Text(values) = &column.values {
                    let value = values.value(row);
                    if value.as_bytes() == self.null {
                        return Err(self.mistaken(i));
                    }
                    self.quoted(&mut out, value);
                } else {
                    column.values.write(row, &mut out);
                }
            }
            out.push(b'\n');
        }
        Ok(out)
    }

    #[inline]
    fn quoted(&self, out: &mut Vec<u8>, value: &str) {
        if !value.bytes().any(|byte| self.special[usize::from(byte)]) {
            out.extend_from_slice(value.as_bytes());
            return;
        }
        out.push(b'"');
        for byte in value.bytes() {
            if byte == b'"' {
                out.push(b'"');
            }
            out.push(byte);
        }
        out.push(b'"');
    }

    fn mistaken(&self, column: usize) -> Error {
        let field = self.schema.arrow().field(column);
        let what = if self.null.is_empty() {
            "an empty text".to_owned()
        } else {
            "the same text as a value".to_owned()
        };
        Error::invalid(format!(
            "column {:?} has {what}, which would be read as a missing value; choose another text for those (--null)",
            field.name()
        ))
    }
}

struct Column<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

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
    /// And whether it has a zone.
    Timestamp(&'a [i64], bool),
    /// With precision and scale.
    Decimal(&'a [i128], u8, i8),
}

impl<'a> Column<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self> {
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
            other => return Err(Error::bug(format!("no CSV for a column of type {other}"))),
        };
        Ok(Self { nulls: array.nulls().filter(|nulls| nulls.null_count() > 0), values })
    }
}

impl Values<'_> {
    #[inline]
    fn write(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Self::Boolean(values) => {
                out.extend_from_slice(if values.value(row) { b"true" } else { b"false" })
            }
            Self::Int32(values) => text::integer(out, values[row]),
            Self::Int64(values) => text::integer(out, values[row]),
            Self::UInt8(values) => text::integer(out, values[row]),
            Self::UInt16(values) => text::integer(out, values[row]),
            Self::UInt32(values) => text::integer(out, values[row]),
            Self::UInt64(values) => text::integer(out, values[row]),
            Self::Float32(values) => text::float(out, values[row]),
            Self::Float64(values) => text::float(out, values[row]),
            Self::Text(values) => out.extend_from_slice(values.value(row).as_bytes()),
            Self::Binary(values) => text::hex(out, values.value(row)),
            Self::Fixed(values) => text::hex(out, values.value(row)),
            Self::Date(values) => text::date(out, i64::from(values[row])),
            Self::Timestamp(values, zone) => {
                text::timestamp(out, values[row]);
                if *zone {
                    out.push(b'Z');
                }
            }
            Self::Decimal(values, precision, scale) => text::decimal(out, values[row], *precision, *scale),
        }
    }
}
