//! Columns of the guest's own numbers as tables, and back.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, UInt16Array};
use arrow_schema::DataType;
use tributary_boost::columns::node_schema;
use tributary_boost::sides::left_schema;
use tributary_boost::{Quantised, Targets};
use tributary_component::task::Task;
use tributary_core::layout::RowRanges;
use tributary_core::schema::Purpose;
use tributary_core::{Error, Field, Layout, Result, Table, TableSchema};

/// Rows of a batch.
const BATCH: usize = 32_768;

/// Columns as a table, laid out as others are.
pub(super) async fn table(
    task: &Task,
    schema: &TableSchema,
    columns: Vec<ArrayRef>,
    ranges: &RowRanges,
) -> Result<Table> {
    let whole = schema.batch(columns)?;
    let batches: Vec<RecordBatch> = (0..whole.num_rows())
        .step_by(BATCH)
        .map(|first| whole.slice(first, BATCH.min(whole.num_rows() - first)))
        .collect();
    Table::parallelize(&task.computing, schema, batches, Layout::Rows(ranges.clone())).await
}

/// The node of each row.
pub(super) async fn nodes(task: &Task, nodes: Vec<u16>, ranges: &RowRanges) -> Result<Table> {
    table(task, &node_schema()?, vec![Arc::new(UInt16Array::from(nodes))], ranges).await
}

/// Quantised gradients.
pub(super) async fn gradients(task: &Task, quantised: &Quantised, ranges: &RowRanges) -> Result<Table> {
    let number = |name: &str| Field::new(name, DataType::Int64);
    let schema = TableSchema::new(None, vec![number("g"), number("h")])?;
    let column = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    table(task, &schema, vec![column(&quantised.g), column(&quantised.h)], ranges).await
}

/// Which rows are sampled, as it travels.
pub(super) fn sampled_schema() -> Result<TableSchema> {
    TableSchema::new(None, vec![Field::new("sampled", DataType::UInt16)])
}

/// Which rows are sampled: 1, the others 0.
pub(super) async fn sampled(task: &Task, taken: &[bool], ranges: &RowRanges) -> Result<Table> {
    let column = UInt16Array::from_iter_values(taken.iter().map(|taken| u16::from(*taken)));
    table(task, &sampled_schema()?, vec![Arc::new(column)], ranges).await
}

/// Bits of rows, in order.
pub(super) async fn bits(table: &Table) -> Result<Vec<bool>> {
    let mut all = Vec::new();
    for batch in table.collect().await? {
        left_schema()?.check(&batch)?;
        let bits: &BooleanArray = batch.column(0).as_boolean();
        all.extend(bits.values().iter());
    }
    Ok(all)
}

/// Columns of numbers, by column.
pub(super) async fn numbers(table: &Table) -> Result<Vec<Vec<f64>>> {
    let mut all = vec![Vec::new(); table.schema().fields().len()];
    let first = usize::from(table.schema().key().is_some());
    for batch in table.collect().await? {
        for (values, column) in all.iter_mut().zip(&batch.columns()[first..]) {
            let column = arrow_cast::cast(column, &DataType::Float64)?;
            values.extend(column.as_primitive::<Float64Type>().iter().map(|value| value.unwrap_or(f64::NAN)));
        }
    }
    Ok(all)
}

/// The label and weights of a table's rows, as they are. `InvalidInput` if there is no label.
pub(super) async fn targets(table: &Table) -> Result<Targets> {
    let name = |purpose: &Purpose| table.schema().with_purpose(purpose).map(|field| field.name.clone());
    let label = name(&Purpose::Label).ok_or_else(|| {
        Error::invalid("the guest's table has no label to train on; upload it with --label")
    })?;
    let names: Vec<String> = std::iter::once(label).chain(name(&Purpose::Weight)).collect();
    let mut columns = numbers(&table.select(names)?).await?.into_iter();
    let labels = columns.next().unwrap_or_default();
    Ok(Targets { labels, weights: columns.next() })
}
