//! Making one row of two: what a union or a join with equal columns does for keys on both sides.

use arrow_array::cast::AsArray;
use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow_schema::DataType;
use arrow_select::zip::zip;
use serde::{Deserialize, Serialize};

use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::kernel::{Keeps, MapKernel};
use crate::plan::PRESENCE;
use crate::schema::{Field, TableSchema};

/// Which row counts where both sides have the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Merge {
    /// The left one.
    Left,
    /// The right one.
    Right,
}

/// Parameters of [`MergeSides`].
#[derive(Debug, Serialize, Deserialize)]
pub struct MergeParams {
    /// Which row counts.
    pub merge: Merge,
    /// Columns of either side.
    pub columns: Vec<Field>,
}

/// Kernel `table.merge`: a full join of two tables with equal columns becomes one table with those columns.
#[derive(Debug)]
pub struct MergeSides {
    merge: Merge,
    output: TableSchema,
}

const LEFT: u8 = 1;
const RIGHT: u8 = 2;

impl MapKernel for MergeSides {
    type Params = MergeParams;
    const NAME: &'static str = "table.merge";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &MergeParams, input: &TableSchema) -> Result<TableSchema> {
        let expected = 2 * params.columns.len() + 1;
        let is_full = input.fields().last().is_some_and(|f| f.name == PRESENCE);
        if !is_full || input.fields().len() != expected {
            return Err(Error::invalid(format!(
                "merge works on a full join of equal columns ({expected} of them), got {input:?}"
            )));
        }
        for (i, column) in params.columns.iter().enumerate() {
            let sides = [&input.fields()[i], &input.fields()[i + params.columns.len()]];
            if sides.iter().any(|side| side.data_type != column.data_type) {
                return Err(Error::invalid(format!("column {:?} differs between the sides", column.name)));
            }
        }
        input.with_fields(params.columns.clone())
    }

    fn open(params: MergeParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self { merge: params.merge, output: Self::output(&params, input)? })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let presence = rows.columns().last().ok_or_else(|| Error::bug("a full join has columns"))?;
        if presence.data_type() != &DataType::UInt8 {
            return Err(Error::bug("the presence column is UInt8"));
        }
        let presence = presence.as_primitive::<UInt8Type>().values();
        let take_left: BooleanArray = presence
            .iter()
            .map(|p| match self.merge {
                Merge::Left => Some(p & LEFT != 0),
                Merge::Right => Some(p & RIGHT == 0),
            })
            .collect();
        let width = self.output.fields().len();
        let mut columns: Vec<ArrayRef> = vec![rows.column(0).clone()];
        for i in 1..=width {
            columns.push(zip(&take_left, rows.column(i), rows.column(i + width))?);
        }
        self.output.batch(columns)
    }
}
