//! Rows drawn again and again, each time any of them: how often each was drawn.
//!
//! The i-th draw is a hash of seed and i, so the result does not depend on who computes it. Every process draws all of them and keeps
//! four bytes a row: a hash costs a nanosecond, and sending counts to where rows are would cost more.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{RecordBatch, UInt32Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, KernelCall, MapKernel};
use tributary_core::{Error, Field, Layout, Result, Table, TableSchema};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::MARK;
use crate::strata::{Stratum, only};

/// How often rows of a stratum are drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draws {
    /// The stratum; the whole table if its value is empty and no column tells strata apart.
    pub of: Stratum,
    /// Draws, all rows together.
    pub draws: u64,
}

/// The column of a row's number in the whole table.
const ROW: &str = ":row";

/// How often each row was drawn, as marks. `strata` and the layout as in [`deal`](crate::deal()).
pub async fn draw(table: &Table, strata: Option<&str>, draws: &[Draws], seed: u64) -> Result<Table> {
    let Layout::Rows(ranges) = table.layout().clone() else {
        return Err(Error::invalid("rows are drawn by their numbers; use keep_rows first"));
    };
    let numbered = match strata {
        None => table.select::<&str>([])?,
        Some(column) => table.select([column])?,
    };
    let numbered = numbered.number_rows(ROW)?;
    let mut drawn = Vec::new();
    for (stratum, Draws { of, draws }) in (0u64..).zip(draws) {
        let rows = match strata {
            None => numbered.clone(),
            Some(column) => only(&numbered, column, &of.value)?.keep_rows().await?,
        };
        let params = DrawParams { seed: seed.wrapping_add(stratum), rows: of.rows, draws: *draws };
        drawn.push(rows.map(KernelCall::map::<Draw>(&params)?)?);
    }
    let marks = match strata {
        None => drawn.pop().ok_or_else(|| Error::bug("no draw"))?,
        Some(_) => Table::concat(&drawn)?.rekey(ROW, None)?.by_row_number(ranges)?.drop_key()?,
    };
    marks.select([MARK])?.keep().await
}

/// Parameters of [`Draw`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DrawParams {
    seed: u64,
    rows: u64,
    draws: u64,
}

/// Kernel `sampling.draw`: the number of each row in the whole table, and how often it was drawn.
#[derive(Debug)]
pub(crate) struct Draw {
    times: Vec<u32>,
    row: usize,
}

fn schema() -> Result<TableSchema> {
    TableSchema::new(None, vec![Field::new(ROW, DataType::UInt64), Field::new(MARK, DataType::UInt32)])
}

impl MapKernel for Draw {
    type Params = DrawParams;
    const NAME: &'static str = "sampling.draw";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(_: &DrawParams, input: &TableSchema) -> Result<TableSchema> {
        input.column_index(ROW)?;
        schema()
    }

    fn open(params: DrawParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let mut times = vec![0u32; params.rows as usize];
        for number in 0..params.draws {
            let hash = xxh3_64_with_seed(&number.to_le_bytes(), params.seed);
            let row = (u128::from(hash) * u128::from(params.rows)) >> 64;
            if let Some(times) = times.get_mut(row as usize) {
                *times = times.saturating_add(1);
            }
        }
        Ok(Self { times, row: input.column_index(ROW)? })
    }

    fn map(&self, first_row: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let first = first_row.ok_or_else(|| Error::bug("rows to be drawn have no numbers"))? as usize;
        let times = self.times.get(first..first + rows.num_rows());
        let times = times.ok_or_else(|| Error::bug("a row beyond those that are drawn from"))?;
        let numbers = rows.column(self.row).as_primitive::<UInt64Type>().clone();
        schema()?.batch(vec![Arc::new(numbers), Arc::new(UInt32Array::from(times.to_vec()))])
    }
}
