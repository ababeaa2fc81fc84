//! Rows for the storage suite: every type a table may have, made from row numbers, so that any part of a table can be made
//! again and compared.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, FixedSizeBinaryBuilder, Float64Builder, ListBuilder, StringBuilder, UInt64Builder,
};
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, PrimitiveArray, RecordBatch, TimestampMicrosecondArray,
};
use arrow_schema::{DataType, Field as ArrowField, TimeUnit};
use futures::{StreamExt, stream};

use tributary_core::computing::RowStream;
use tributary_core::schema::CipherKeyId;
use tributary_core::{Field, KeyType, Purpose, TableSchema};

/// Every type that tables hold, each with and without nulls.
pub fn all_types(key: KeyType) -> TableSchema {
    let list = |item| DataType::List(ArrowField::new_list_field(item, true).into());
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
        DataType::FixedSizeBinary(7),
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())),
        DataType::Decimal128(38, 10),
        DataType::Decimal128(9, 2),
        list(DataType::Float64),
        list(DataType::UInt64),
    ];
    let mut fields = Vec::new();
    for (i, data_type) in types.into_iter().enumerate() {
        fields.push(Field::new(format!("present {i}"), data_type.clone()));
        fields.push(Field::new(format!("nullable {i}"), data_type).nullable());
    }
    fields.push(Field::new("label.1", DataType::Int32).purpose(Purpose::Label));
    fields.push(Field::new("weight", DataType::Float32).purpose(Purpose::Weight));
    let key_id = Purpose::Ciphertext(CipherKeyId("0123abcd".into()));
    fields.push(Field::new("secret", DataType::FixedSizeBinary(256)).purpose(key_id));
    TableSchema::keyed("id", key, fields).unwrap()
}

/// A key and one number.
pub fn plain() -> TableSchema {
    TableSchema::keyed("id", KeyType::UInt64, vec![Field::new("x", DataType::Float64)]).unwrap()
}

/// The rows with these numbers.
pub fn rows(schema: &TableSchema, range: Range<u64>) -> RecordBatch {
    if range.is_empty() {
        return schema.empty_batch();
    }
    let fields = schema.arrow().fields();
    let columns = fields.iter().map(|field| column(field.data_type(), field.is_nullable(), range.clone()));
    schema.batch(columns.collect()).unwrap()
}

/// The same as a stream, in batches of uneven lengths, with an empty one.
pub fn stream_of(schema: &TableSchema, range: Range<u64>) -> RowStream {
    let (schema, end) = (schema.clone(), range.end);
    let steps = [1u64, 1000, 0, 20_000].into_iter().cycle();
    let ranges = steps.scan(range.start, move |at, step| {
        let start = *at;
        *at = end.min(start + step);
        (start < end).then_some(start..*at)
    });
    stream::iter(ranges.map(move |range| Ok(rows(&schema, range)))).boxed()
}

/// Well mixed, the same for a row number each time.
fn mix(row: u64) -> u64 {
    let mixed = (row ^ (row >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// One row in `n`.
fn one_in(n: u64, row: u64) -> bool {
    mix(row).is_multiple_of(n)
}

fn missing(nullable: bool, row: u64) -> bool {
    nullable && one_in(5, row)
}

fn primitive<T: ArrowPrimitiveType>(
    nullable: bool,
    rows: Range<u64>,
    of: impl Fn(u64) -> T::Native,
) -> PrimitiveArray<T> {
    rows.map(|row| (!missing(nullable, row)).then(|| of(row))).collect()
}

fn column(data_type: &DataType, nullable: bool, rows: Range<u64>) -> ArrayRef {
    let n = nullable;
    match data_type {
        DataType::Boolean => {
            let values: BooleanArray = rows.map(|r| (!missing(n, r)).then(|| one_in(3, r))).collect();
            Arc::new(values)
        }
        DataType::Int32 => Arc::new(primitive::<Int32Type>(n, rows, |r| mix(r) as i32)),
        DataType::Int64 => Arc::new(primitive::<Int64Type>(n, rows, |r| mix(r) as i64)),
        DataType::UInt8 => Arc::new(primitive::<UInt8Type>(n, rows, |r| mix(r) as u8)),
        DataType::UInt16 => Arc::new(primitive::<UInt16Type>(n, rows, |r| mix(r) as u16)),
        DataType::UInt32 => Arc::new(primitive::<UInt32Type>(n, rows, |r| mix(r) as u32)),
        DataType::UInt64 => Arc::new(primitive::<UInt64Type>(n, rows, mix)),
        DataType::Float32 => Arc::new(primitive::<Float32Type>(n, rows, |r| (mix(r) as i32) as f32 / 3.0)),
        DataType::Float64 => Arc::new(primitive::<Float64Type>(n, rows, float)),
        DataType::Date32 => {
            Arc::new(primitive::<Date32Type>(n, rows, |r| (mix(r) % 100_000) as i32 - 50_000))
        }
        DataType::Timestamp(_, zone) => {
            let values: TimestampMicrosecondArray =
                primitive::<TimestampMicrosecondType>(n, rows, |r| mix(r) as i64 / 1000);
            Arc::new(values.with_timezone_opt(zone.clone()))
        }
        DataType::Decimal128(precision, scale) => {
            let most = 10i128.pow(u32::from(*precision)) - 1;
            let value = |r| {
                (i128::from(mix(r)).wrapping_mul(i128::from(mix(r + 1) >> 2)) % most)
                    * if one_in(2, r) { 1 } else { -1 }
            };
            let values: Decimal128Array = primitive::<Decimal128Type>(n, rows, value);
            Arc::new(values.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::List(item) => lists(item.data_type(), n, rows),
        _ => texts(data_type, n, rows),
    }
}

/// Also values that careless code changes.
fn float(row: u64) -> f64 {
    match mix(row) % 50 {
        0 => f64::INFINITY,
        1 => -0.0,
        2 => f64::MIN_POSITIVE / 2.0,
        _ => (mix(row) as i64) as f64 / 7.0,
    }
}

fn texts(data_type: &DataType, nullable: bool, rows: Range<u64>) -> ArrayRef {
    let text = |row| match mix(row) % 10 {
        0 => String::new(),
        1 => "Überweisung, \"quoted\"\n\u{1f600}".repeat((row % 4) as usize),
        _ => format!("id-{:x}", mix(row)),
    };
    match data_type {
        DataType::Utf8 => {
            let mut values = StringBuilder::new();
            rows.for_each(|r| values.append_option((!missing(nullable, r)).then(|| text(r))));
            Arc::new(values.finish())
        }
        DataType::Binary => {
            let mut values = BinaryBuilder::new();
            rows.for_each(|r| values.append_option((!missing(nullable, r)).then(|| mix(r).to_le_bytes())));
            Arc::new(values.finish())
        }
        DataType::FixedSizeBinary(width) => {
            let mut values = FixedSizeBinaryBuilder::new(*width);
            for row in rows {
                if missing(nullable, row) {
                    values.append_null();
                } else {
                    let bytes: Vec<u8> =
                        (0..*width as u64).map(|i| mix(row.wrapping_mul(257) + i) as u8).collect();
                    values.append_value(bytes).unwrap();
                }
            }
            Arc::new(values.finish())
        }
        other => panic!("no rows of {other} yet"),
    }
}

/// Empty lists, missing lists, and lists with missing items.
fn lists(item: &DataType, nullable: bool, rows: Range<u64>) -> ArrayRef {
    let items = |row: u64| (0..mix(row) % 4).map(move |i| (!one_in(6, row + i)).then(|| mix(row * 3 + i)));
    let lists = rows.map(|row| (!missing(nullable, row)).then(|| items(row)));
    match item {
        DataType::Float64 => {
            let mut values = ListBuilder::new(Float64Builder::new());
            lists.for_each(|list| {
                values.append_option(list.map(|items| items.map(|x| x.map(|x| x as f64 / 3.0))))
            });
            Arc::new(values.finish())
        }
        _ => {
            let mut values = ListBuilder::new(UInt64Builder::new());
            lists.for_each(|list| values.append_option(list));
            Arc::new(values.finish())
        }
    }
}
