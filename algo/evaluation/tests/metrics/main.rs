//! Metrics as plans on an engine: what scikit-learn gives on the same scores, and what plain loops give, whatever the partitions.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

mod plain;
mod vectors;

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, Int32Array};
use arrow_schema::DataType;
use tributary_core::computing::{Computing, Engine, SessionSpec};
use tributary_core::storage::Nowhere;
use tributary_core::{Field, Layout, Result, SessionId, Table, TableSchema, ops};
use tributary_evaluation::kernels;
use tributary_standalone::Standalone;

/// Partitions of the tables.
const PARTITIONS: [u32; 3] = [1, 2, 7];

async fn session() -> Result<Arc<dyn Computing>> {
    let engine = Standalone::new(ops::kernels().and(kernels()), Arc::new(Nowhere));
    let placement = engine.place(&Default::default())?;
    let id = "test.evaluation.0".parse::<SessionId>()?;
    engine.open(SessionSpec { id, placement, memory_bytes: 1 << 28 }).await
}

/// Columns `score` and `label`.
async fn table(scores: &[f64], labels: &[f64], partitions: u32) -> Table {
    let fields = ["score", "label"].map(|name| Field::new(name, DataType::Float64)).to_vec();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Float64Array::from(scores.to_vec())), Arc::new(Float64Array::from(labels.to_vec()))];
    kept(fields, columns, partitions).await.unwrap()
}

/// The same with classes.
async fn classes(predicted: &[i32], labels: &[i32], partitions: u32) -> Table {
    let fields = ["score", "label"].map(|name| Field::new(name, DataType::Int32)).to_vec();
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int32Array::from(predicted.to_vec())), Arc::new(Int32Array::from(labels.to_vec()))];
    kept(fields, columns, partitions).await.unwrap()
}

async fn kept(fields: Vec<Field>, columns: Vec<ArrayRef>, partitions: u32) -> Result<Table> {
    let schema = TableSchema::new(None, fields)?;
    let rows = schema.batch(columns)?;
    Table::parallelize(&session().await?, &schema, vec![rows], Layout::Loose(partitions)).await
}
