//! Rows as often as their marks say.
//!
//! A row that is taken again has its id again, or gets one of its own: `a`, `a_2`, `a_3`. Where others get numbers about rows, it must
//! keep its id: rows behind a number are counted by id, and a row is one however often it is repeated.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, KernelCall, MapKernel};
use tributary_core::{Error, KeyType, Result, Table, TableSchema};

use crate::MARK;

/// What the id of a row becomes that is taken again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// It stays, and occurs as often as the row.
    Keep,
    /// One that no other row has.
    Renew,
}

/// The rows of a table as often as marks say, which are beside it. `InvalidInput` for ids to be renewed that are not text.
pub fn repeated(table: &Table, marks: &Table, ids: Ids) -> Result<Table> {
    table.zip(marks)?.map(KernelCall::map::<Repeat>(&ids)?)
}

/// Kernel `sampling.repeat`.
#[derive(Debug)]
pub(crate) struct Repeat(Ids);

impl MapKernel for Repeat {
    type Params = Ids;
    const NAME: &'static str = "sampling.repeat";
    const KEEPS: Keeps = Keeps::Nothing;

    fn output(ids: &Ids, input: &TableSchema) -> Result<TableSchema> {
        let is_text = input.expect_key("repeated rows")?.key_type == KeyType::Utf8;
        if *ids == Ids::Renew && !is_text {
            return Err(Error::invalid(
                "rows that are taken again get new ids, and the ids here are not text",
            ));
        }
        let rest = input.fields().split_last().filter(|(last, _)| last.name == MARK);
        let (_, rest) =
            rest.ok_or_else(|| Error::invalid("repeated rows need their marks in the last column"))?;
        input.with_fields(rest.to_vec())
    }

    fn open(ids: Ids, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(ids))
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let last = rows.num_columns() - 1;
        let times = rows.column(last).as_primitive::<UInt32Type>().values();
        let taken: UInt64Array = (0u64..)
            .zip(times.iter())
            .flat_map(|(row, times)| std::iter::repeat_n(row, *times as usize))
            .collect();
        let mut columns: Vec<ArrayRef> = match self.0 {
            Ids::Keep => vec![arrow_select::take::take(rows.column(0), &taken, None)?],
            Ids::Renew => vec![Arc::new(renewed(rows.column(0).as_string(), times))],
        };
        for column in &rows.columns()[1..last] {
            columns.push(arrow_select::take::take(column, &taken, None)?);
        }
        let schema = Arc::new(arrow_schema::Schema::new(rows.schema().fields()[..last].to_vec()));
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(taken.len()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

fn renewed(ids: &StringArray, times: &[u32]) -> StringArray {
    let of_row = |(row, times): (usize, &u32)| {
        let name = move |time| match time {
            1 => Some(ids.value(row).to_owned()),
            again => Some(format!("{}_{again}", ids.value(row))),
        };
        (1..=*times).map(name)
    };
    times.iter().enumerate().flat_map(of_row).collect()
}
