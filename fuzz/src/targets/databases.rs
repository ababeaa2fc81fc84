//! What a database sends: rows that it copies out, the catalogue's manifests. Whoever may write to it chooses them.

use std::sync::Arc;

use arrow_schema::{DataType, Field as ArrowField, TimeUnit};
use tributary_core::{Field, KeyType, Result, TableSchema};

use super::judge;

const MANIFEST: &str = include_str!("../../../storage/sql/tests/golden/manifest-v1.json");
/// Three rows of these columns, as PostgreSQL 15 copies them out.
const COPY: &[u8] = include_bytes!("../../../storage/sql/tests/golden/copy-v1.bin");

fn schema() -> Result<TableSchema> {
    let list = |of| DataType::List(Arc::new(ArrowField::new_list_field(of, true)));
    let types = [
        DataType::Boolean,
        DataType::UInt64,
        DataType::Utf8,
        DataType::FixedSizeBinary(2),
        DataType::Date32,
        DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Decimal128(12, 2),
        list(DataType::Float64),
        list(DataType::UInt64),
    ];
    let fields = types.into_iter().enumerate().map(|(i, kind)| Field::new(format!("c{i}"), kind).nullable());
    TableSchema::keyed("id", KeyType::Utf8, fields.collect())
}

pub(super) fn copies() -> Vec<Vec<u8>> {
    vec![COPY.to_vec()]
}

pub(super) fn copy(bytes: &[u8]) {
    judge(schema().and_then(|schema| tributary_sql::read_copied(&schema, bytes)));
}

pub(super) fn manifests() -> Vec<Vec<u8>> {
    vec![MANIFEST.into()]
}

pub(super) fn manifest(bytes: &[u8]) {
    judge(std::str::from_utf8(bytes).map_or(Ok(0), tributary_sql::read_manifest));
}
