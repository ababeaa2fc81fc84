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
use tributary_core::kernel::{Emit, FoldKernel, KernelCall, PartContext};
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
    table.zip(marks)?.map(KernelCall::fold::<Repeat>(&ids)?)
}

/// Rows of a batch that comes out, at most: one row may be taken very often.
const BATCH: usize = 8_192;

/// Kernel `sampling.repeat`.
#[derive(Debug)]
pub(crate) struct Repeat(Ids);

impl FoldKernel for Repeat {
    type Params = Ids;
    type State = ();
    const NAME: &'static str = "sampling.repeat";
    const VERSION: u32 = 2;

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

    fn start(&self, _: PartContext) -> Result<()> {
        Ok(())
    }

    fn fold(&self, (): &mut (), rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let last = rows.num_columns() - 1;
        let times = rows.column(last).as_primitive::<UInt32Type>().values();
        let mut taken =
            (0u64..).zip(times.iter()).flat_map(|(row, times)| (1..=*times).map(move |time| (row, time)));
        loop {
            let part: Vec<(u64, u32)> = taken.by_ref().take(BATCH).collect();
            if part.is_empty() {
                return Ok(());
            }
            out.emit(self.rows(rows, last, &part)?)?;
        }
    }

    fn finish(&self, (): (), _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}

impl Repeat {
    /// These rows, each for the how manieth time. `last`: the column of marks.
    fn rows(&self, rows: &RecordBatch, last: usize, taken: &[(u64, u32)]) -> Result<RecordBatch> {
        let numbers = UInt64Array::from_iter_values(taken.iter().map(|(row, _)| *row));
        let mut columns: Vec<ArrayRef> = match self.0 {
            Ids::Keep => vec![arrow_select::take::take(rows.column(0), &numbers, None)?],
            Ids::Renew => vec![Arc::new(renewed(rows.column(0).as_string(), taken))],
        };
        for column in &rows.columns()[1..last] {
            columns.push(arrow_select::take::take(column, &numbers, None)?);
        }
        let schema = Arc::new(arrow_schema::Schema::new(rows.schema().fields()[..last].to_vec()));
        let options = arrow_array::RecordBatchOptions::new().with_row_count(Some(taken.len()));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }
}

fn renewed(ids: &StringArray, taken: &[(u64, u32)]) -> StringArray {
    let name = |(row, time): &(u64, u32)| match (ids.value(*row as usize), time) {
        (id, 1) => Some(id.to_owned()),
        (id, again) => Some(format!("{id}_{again}")),
    };
    taken.iter().map(name).collect()
}
