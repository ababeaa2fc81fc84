//! Rows of every type that a table may hold, and tables of them on their way.

use std::sync::Arc;

use arrow_array::builder::{Float64Builder, ListBuilder, UInt64Builder};
use arrow_array::*;
use arrow_schema::{DataType, TimeUnit};
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use tributary_core::computing::RowStream;
use tributary_core::federation::{Body, RowSource, Slot, TableBody};
use tributary_core::{Error, ErrorKind, Field, KeyType, Layout, Party, Result, TableSchema};

use super::setup::Joined;

pub(crate) struct Rows {
    pub batches: Vec<RecordBatch>,
    pub fails: bool,
}

#[async_trait]
impl RowSource for Rows {
    async fn open(&self) -> Result<RowStream> {
        let end = self.fails.then(|| Err(Error::new(ErrorKind::Io, "the source broke")));
        Ok(stream::iter(self.batches.clone().into_iter().map(Ok).chain(end)).boxed())
    }
}

pub(crate) fn table(schema: &TableSchema, layout: Layout, batches: &[RecordBatch]) -> Body {
    let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
    let source = Box::new(Rows { batches: batches.to_vec(), fails: false });
    Body::Table(TableBody { schema: schema.clone(), layout, rows, source })
}

pub(crate) async fn pull_table(federation: &Joined, slot: &Slot, from: &Party) -> TableBody {
    match federation.pull(slot, from).await.unwrap() {
        Body::Table(body) => body,
        other => panic!("{other:?} instead of a table"),
    }
}

pub(crate) async fn rows_of(schema: &TableSchema, body: &TableBody) -> RecordBatch {
    let batches: Vec<RecordBatch> = body.source.open().await.unwrap().try_collect().await.unwrap();
    joined(schema, &batches)
}

/// One batch, compared by value: how rows are cut on their way is the transport's business.
pub(crate) fn joined(schema: &TableSchema, batches: &[RecordBatch]) -> RecordBatch {
    let columns = (0..schema.arrow().fields().len()).map(|i| {
        let parts: Vec<_> = batches.iter().map(|b| b.column(i).to_data()).collect();
        let empty = new_empty_array(schema.arrow().field(i).data_type());
        let parts: Vec<_> = parts.iter().collect();
        if parts.is_empty() {
            return empty;
        }
        let total = parts.iter().map(|p| p.len()).sum();
        let mut all = arrow_data::transform::MutableArrayData::new(parts.clone(), true, total);
        parts.iter().enumerate().for_each(|(i, part)| all.try_extend(i, 0, part.len()).unwrap());
        make_array(all.freeze())
    });
    RecordBatch::try_new(schema.arrow().clone(), columns.collect()).unwrap()
}

pub(crate) fn every_type() -> TableSchema {
    let list = |of, nullable| DataType::List(Arc::new(arrow_schema::Field::new("item", of, nullable)));
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
        DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())),
        DataType::Decimal128(30, 4),
        list(DataType::Float64, true),
        list(DataType::UInt64, true),
    ];
    let named = |(i, t): (usize, DataType)| {
        [Field::new(format!("all{i}"), t.clone()), Field::new(format!("some{i}"), t).nullable()]
    };
    let fields = types.into_iter().enumerate().flat_map(named).collect();
    TableSchema::keyed("id", KeyType::Utf8, fields).unwrap()
}

/// `count` values of a type; every third is missing if `missing` allows it.
pub(crate) fn column(data_type: &DataType, count: u64, missing: bool) -> ArrayRef {
    let there = move |i: &u64| !missing || !i.is_multiple_of(3);
    let all = move || (0..count).map(move |i| there(&i).then_some(i));
    let text = |i: u64| format!("wert-{i}-ä");
    let array: ArrayRef = match data_type {
        DataType::Boolean => {
            Arc::new(all().map(|v| v.map(|i| i.is_multiple_of(2))).collect::<BooleanArray>())
        }
        DataType::Int32 => Arc::new(all().map(|v| v.map(|i| -(i as i32))).collect::<Int32Array>()),
        DataType::Int64 => Arc::new(all().map(|v| v.map(|i| -(i as i64))).collect::<Int64Array>()),
        DataType::UInt8 => Arc::new(all().map(|v| v.map(|i| i as u8)).collect::<UInt8Array>()),
        DataType::UInt16 => Arc::new(all().map(|v| v.map(|i| i as u16)).collect::<UInt16Array>()),
        DataType::UInt32 => Arc::new(all().map(|v| v.map(|i| i as u32)).collect::<UInt32Array>()),
        DataType::UInt64 => Arc::new(all().map(|v| v.map(|i| u64::MAX - i)).collect::<UInt64Array>()),
        DataType::Float32 => Arc::new(all().map(|v| v.map(|i| i as f32 / 3.0)).collect::<Float32Array>()),
        DataType::Float64 => Arc::new(all().map(|v| v.map(|i| i as f64 / 3.0)).collect::<Float64Array>()),
        DataType::Utf8 => Arc::new(all().map(|v| v.map(text)).collect::<StringArray>()),
        DataType::Binary => {
            Arc::new(all().map(|v| v.map(|i| vec![i as u8; i as usize % 5])).collect::<BinaryArray>())
        }
        DataType::FixedSizeBinary(width) => {
            let values = all().map(|v| v.map(|i| vec![i as u8; *width as usize]));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, *width).unwrap())
        }
        DataType::Date32 => Arc::new(all().map(|v| v.map(|i| i as i32)).collect::<Date32Array>()),
        DataType::Timestamp(_, zone) => {
            let values = all().map(|v| v.map(|i| i as i64)).collect::<TimestampMicrosecondArray>();
            Arc::new(values.with_timezone_opt(zone.clone()))
        }
        DataType::Decimal128(precision, scale) => {
            let values = all().map(|v| v.map(|i| -i128::from(i))).collect::<Decimal128Array>();
            Arc::new(values.with_precision_and_scale(*precision, *scale).unwrap())
        }
        DataType::List(item) if *item.data_type() == DataType::Float64 => {
            let mut list = ListBuilder::new(Float64Builder::new());
            all().for_each(|v| {
                (0..v.unwrap_or(0) % 4).for_each(|i| list.values().append_option((i != 1).then_some(0.5)));
                list.append(v.is_some());
            });
            Arc::new(list.finish())
        }
        DataType::List(_) => {
            let mut list = ListBuilder::new(UInt64Builder::new());
            all().for_each(|v| {
                (0..v.unwrap_or(0) % 4).for_each(|i| list.values().append_value(i));
                list.append(v.is_some());
            });
            Arc::new(list.finish())
        }
        other => panic!("no test values of type {other}"),
    };
    array
}

pub(crate) fn batch(schema: &TableSchema, count: u64) -> RecordBatch {
    let column = |field: &arrow_schema::FieldRef| column(field.data_type(), count, field.is_nullable());
    let columns = schema.arrow().fields().iter().map(column).collect();
    RecordBatch::try_new(schema.arrow().clone(), columns).unwrap()
}
