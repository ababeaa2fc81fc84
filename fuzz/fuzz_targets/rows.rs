//! Rows of a table. The columns are fixed, as they are for a receiver that has read the header.

#![no_main]

use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, TimeUnit};
use tributary_core::{Field, KeyType, TableSchema};

static SCHEMA: LazyLock<TableSchema> = LazyLock::new(|| {
    let list = |of| DataType::List(Arc::new(arrow_schema::Field::new("item", of, true)));
    let types = [
        DataType::Boolean,
        DataType::Int32,
        DataType::Utf8,
        DataType::Binary,
        DataType::FixedSizeBinary(3),
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Decimal128(20, 2),
        list(DataType::Float64),
        list(DataType::UInt64),
    ];
    let fields = types.into_iter().enumerate().map(|(i, t)| Field::new(format!("c{i}"), t).nullable());
    TableSchema::keyed("id", KeyType::Utf8, fields.collect()).expect("columns have names of their own")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tributary_wire::fuzzing::rows(bytes, &SCHEMA));
