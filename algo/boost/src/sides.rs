//! Which rows of divided nodes go to the left.

use std::sync::Arc;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, MapKernel};
use tributary_core::{Error, Field, Result, TableSchema};

use crate::columns::{Binned, nodes};
use crate::tree::Split;

/// Name of the column.
pub const LEFT: &str = "left";

/// Parameters of [`Divide`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DivideParams {
    /// The columns.
    pub columns: Binned,
    /// Nodes and how they are divided.
    pub splits: Vec<(u16, Split)>,
}

/// Kernel `boost.divide`: bins and nodes become one column: whether the row is in one of the nodes and goes to the left there.
#[derive(Debug)]
pub struct Divide {
    columns: Binned,
    /// By node.
    splits: Vec<Option<Split>>,
    output: TableSchema,
}

/// The column as it travels.
pub fn left_schema() -> Result<TableSchema> {
    TableSchema::new(None, vec![Field::new(LEFT, DataType::Boolean)])
}

impl MapKernel for Divide {
    type Params = DivideParams;
    const NAME: &'static str = "boost.divide";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(params: &DivideParams, input: &TableSchema) -> Result<TableSchema> {
        params.columns.expect(input, &[DataType::UInt16])?;
        left_schema()
    }

    fn open(params: DivideParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        let DivideParams { columns, splits } = params;
        let most = splits.iter().map(|(node, _)| usize::from(*node) + 1).max().unwrap_or(0);
        let mut by_node = vec![None; most];
        for (node, split) in splits {
            if split.column as usize >= columns.bins.len() {
                return Err(Error::invalid(format!(
                    "a division by column {} of {}",
                    split.column,
                    columns.bins.len()
                )));
            }
            by_node[usize::from(node)] = Some(split);
        }
        Ok(Self { columns, splits: by_node, output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let nodes = nodes(rows, self.columns.bins.len());
        let mut bins: Vec<Option<&[u16]>> = vec![None; self.columns.bins.len()];
        for split in self.splits.iter().flatten() {
            let column = split.column as usize;
            bins[column] = Some(self.columns.of(rows, column)?);
        }
        let is_left = |(row, node): (usize, &u16)| {
            let Some(Some(split)) = self.splits.get(usize::from(*node)) else { return false };
            let column = split.column as usize;
            let bin = bins[column].and_then(|bins| bins.get(row)).copied().unwrap_or_default();
            split.is_left(bin, (self.columns.bins[column] - 1) as u16)
        };
        let left: Vec<bool> = nodes.iter().enumerate().map(is_left).collect();
        self.output.batch(vec![Arc::new(BooleanArray::from(left))])
    }
}
