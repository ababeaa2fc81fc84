//! Values become the numbers of their bins, or what a bin stands for (its weight of evidence).

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt16Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, MapKernel};
use tributary_core::numbers::{number_column, numbers, optional};
use tributary_core::{Error, Result, TableSchema};

use crate::cuts::Cuts;

/// A column and where its bins end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CutColumn {
    /// A column of numbers.
    pub column: String,
    /// Where its bins end.
    pub cuts: Cuts,
}

/// The input's columns, those named changed to `data_type` without nulls.
fn changed<'a>(
    names: impl Iterator<Item = &'a str>,
    input: &TableSchema,
    data_type: &DataType,
) -> Result<TableSchema> {
    let mut fields = input.fields().to_vec();
    for name in names {
        let field = &mut fields[number_column(name, input)? - usize::from(input.key().is_some())];
        field.data_type = data_type.clone();
        field.nullable = false;
    }
    input.with_fields(fields)
}

/// Parameters of [`AssignBins`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AssignParams {
    /// The columns to change.
    pub columns: Vec<CutColumn>,
}

/// Kernel `binning.assign`: the named columns become the numbers of bins, `UInt16`, a missing value's that of
/// [`Cuts::bin_of`].
#[derive(Debug)]
pub struct AssignBins {
    columns: Vec<(usize, Cuts)>,
    output: TableSchema,
}

impl MapKernel for AssignBins {
    type Params = AssignParams;
    const NAME: &'static str = "binning.assign";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &AssignParams, input: &TableSchema) -> Result<TableSchema> {
        changed(params.columns.iter().map(|c| c.column.as_str()), input, &DataType::UInt16)
    }

    fn open(params: AssignParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        let columns = params.columns.into_iter().map(|c| Ok((number_column(&c.column, input)?, c.cuts)));
        Ok(Self { columns: columns.collect::<Result<_>>()?, output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for (column, cuts) in &self.columns {
            let values = numbers(rows, *column)?;
            let bins: ArrayRef =
                Arc::new(UInt16Array::from_iter_values(optional(&values).map(|v| cuts.bin_of(v))));
            columns[*column] = bins;
        }
        self.output.batch(columns)
    }
}

/// A column, where its bins end, and what to put for each bin.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WoeColumn {
    /// A column of numbers.
    pub column: String,
    /// Where its bins end.
    pub cuts: Cuts,
    /// One for each bin, and optionally one more for missing values, which otherwise become 0: no evidence.
    pub woe: Vec<f64>,
}

/// Parameters of [`AssignWoe`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WoeParams {
    /// The columns to change.
    pub columns: Vec<WoeColumn>,
}

/// Kernel `binning.woe`: values of the named columns become the weight of evidence of their bins, `Float64`.
#[derive(Debug)]
pub struct AssignWoe {
    columns: Vec<(usize, Cuts, Vec<f64>)>,
    output: TableSchema,
}

impl MapKernel for AssignWoe {
    type Params = WoeParams;
    const NAME: &'static str = "binning.woe";
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &WoeParams, input: &TableSchema) -> Result<TableSchema> {
        for WoeColumn { column, cuts, woe } in &params.columns {
            if woe.len() != cuts.bins() && woe.len() != cuts.bins() + 1 {
                return Err(Error::invalid(format!(
                    "column {column:?} has {} bins, and weights of evidence for {}",
                    cuts.bins(),
                    woe.len()
                )));
            }
        }
        changed(params.columns.iter().map(|c| c.column.as_str()), input, &DataType::Float64)
    }

    fn open(params: WoeParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        let columns = params.columns.into_iter().map(|mut c| {
            c.woe.resize(c.cuts.bins() + 1, 0.0);
            Ok((number_column(&c.column, input)?, c.cuts, c.woe))
        });
        Ok(Self { columns: columns.collect::<Result<_>>()?, output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let mut columns = rows.columns().to_vec();
        for (column, cuts, woe) in &self.columns {
            let values = numbers(rows, *column)?;
            let woe = optional(&values).map(|value| woe[usize::from(cuts.bin_of(value))]);
            columns[*column] = Arc::new(Float64Array::from_iter_values(woe));
        }
        self.output.batch(columns)
    }
}
