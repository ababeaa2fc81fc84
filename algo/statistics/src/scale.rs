//! Columns of numbers, moved and stretched.

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, MapKernel};
use tributary_core::numbers::{number_column, numbers, optional};
use tributary_core::{Result, TableSchema};

/// What becomes of a column: `to` + (value − `from`) · `factor`, within `bounds` where there are any.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaleColumn {
    /// A column of numbers.
    pub column: String,
    /// The value that becomes `to`.
    pub from: f64,
    /// What one more becomes.
    pub factor: f64,
    /// What `from` becomes.
    pub to: f64,
    /// The least and the greatest value that comes out.
    pub bounds: Option<(f64, f64)>,
}

/// Parameters of [`Scale`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ScaleParams {
    /// The columns to change.
    pub columns: Vec<ScaleColumn>,
}

/// Kernel `statistics.scale`: the named columns become `Float64`; missing values stay missing.
#[derive(Debug)]
pub struct Scale {
    columns: Vec<(usize, ScaleColumn)>,
    output: TableSchema,
}

impl MapKernel for Scale {
    type Params = ScaleParams;
    const NAME: &'static str = "statistics.scale";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &ScaleParams, input: &TableSchema) -> Result<TableSchema> {
        let mut fields = input.fields().to_vec();
        for column in &params.columns {
            let at = number_column(&column.column, input)? - usize::from(input.key().is_some());
            // A NaN is missing, too.
            fields[at].nullable = true;
            fields[at].data_type = DataType::Float64;
        }
        input.with_fields(fields)
    }

    fn open(params: ScaleParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        let columns = params.columns.into_iter().map(|c| Ok((number_column(&c.column, input)?, c)));
        Ok(Self { columns: columns.collect::<Result<_>>()?, output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for (at, column) in &self.columns {
            let scaled = |value: f64| {
                let value = column.to + (value - column.from) * column.factor;
                column.bounds.map_or(value, |(least, most)| value.clamp(least.min(most), most))
            };
            let values = numbers(rows, *at)?;
            let values: Float64Array = optional(&values).map(|value| value.map(scaled)).collect();
            columns[*at] = Arc::new(values) as ArrayRef;
        }
        self.output.batch(columns)
    }
}
