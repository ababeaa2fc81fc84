//! The decoders of what a peer or broker sends, for the fuzz targets. They may refuse; they may not panic.

use std::sync::{Arc, LazyLock};

use arrow_array::builder::{Float64Builder, ListBuilder};
use arrow_array::{
    BinaryArray, BooleanArray, Decimal128Array, FixedSizeBinaryArray, RecordBatch, StringArray,
};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use bytes::Bytes;
use tributary_core::{Field, KeyType, Result, TableSchema};

use crate::frame::Frame;
use crate::header::Header;
use crate::hello::{self, Hello};
use crate::rows::{self, Encoder};

/// What is said before keys are agreed on, with and without the envelope, which no fuzzer would guess.
pub fn hello(bytes: &[u8]) {
    Hello::decode(bytes);
    Hello::decode(&hello::envelope(hello::VERSION, bytes));
}

/// What is inside a sealed frame.
pub fn frame(bytes: &[u8]) {
    Frame::decode(&Bytes::copy_from_slice(bytes));
}

/// What a value begins with.
pub fn header(bytes: &[u8]) {
    drop(Header::decode(bytes));
}

/// Rows that were encoded well and then damaged: three bytes of `damage` say where (two) and what (one). What still decodes
/// is read to its last value. Random bytes alone would never get past the metadata.
pub fn rows(damage: &[u8]) {
    let Ok((schema, record)) = &*SAMPLE else { return };
    let mut record = record.clone();
    for change in damage.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % record.len();
        record[at] = change[2];
    }
    if damage.len() % 3 == 1 {
        record.truncate(damage.len());
    }
    if let Ok(rows) = rows::decode(&Buffer::from(record), schema) {
        drop(format!("{rows:?}"));
    }
}

static SAMPLE: LazyLock<Result<(TableSchema, Vec<u8>)>> = LazyLock::new(sample);

/// One column of each physical layout, with and without nulls.
fn sample() -> Result<(TableSchema, Vec<u8>)> {
    let count = 9u8;
    let some = |i: u8| (!i.is_multiple_of(3)).then_some(i);
    let mut list = ListBuilder::new(Float64Builder::new());
    for i in 0..count {
        list.values().append_slice(&[0.5; 3][..usize::from(i % 4)]);
        list.append(i % 3 != 0);
    }
    let list = list.finish();
    let item = DataType::List(Arc::new(arrow_schema::Field::new("item", DataType::Float64, true)));
    let fields = vec![
        Field::new("flag", DataType::Boolean).nullable(),
        Field::new("bytes", DataType::Binary).nullable(),
        Field::new("fixed", DataType::FixedSizeBinary(3)),
        Field::new("money", DataType::Decimal128(20, 2)).nullable(),
        Field::new("list", item).nullable(),
    ];
    let schema = TableSchema::keyed("id", KeyType::Utf8, fields)?;
    let fixed = FixedSizeBinaryArray::try_from_iter((0..count).map(|i| [i; 3]))?;
    let money: Decimal128Array = (0..count).map(|i| some(i).map(i128::from)).collect();
    let rows = RecordBatch::try_new(
        schema.arrow().clone(),
        vec![
            Arc::new(StringArray::from_iter_values((0..count).map(|i| format!("id-{i}-ä")))),
            Arc::new((0..count).map(|i| some(i).map(|i| i > 4)).collect::<BooleanArray>()),
            Arc::new((0..count).map(|i| some(i).map(|i| vec![i; 2])).collect::<BinaryArray>()),
            Arc::new(fixed),
            Arc::new(money.with_precision_and_scale(20, 2)?),
            Arc::new(list),
        ],
    )?;
    let encoded = Encoder::new(schema.arrow())?.encode(&rows)?;
    Ok((schema, encoded.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_one_that_decodes() {
        let (schema, record) = sample().unwrap();
        assert_eq!(rows::decode(&Buffer::from(record), &schema).unwrap().num_rows(), 9);
        rows(&[200, 0, 7, 0]);
    }
}
