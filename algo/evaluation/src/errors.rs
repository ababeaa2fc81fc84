//! Metrics of a regression: differences between predicted and actual numbers, in one pass.
//!
//! Sums carry what rounding loses (Neumaier), and the spread of the label is kept about its mean and merged as Chan, Golub and
//! LeVeque do it, so that neither many rows nor a large mean costs digits.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{ArrayRef, Float64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::numbers::{number_column, numbers, optional};
use tributary_core::{Error, Field, Result, TableSchema};

/// Parameters of [`CompareNumbers`] and [`CompareClasses`](crate::CompareClasses).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CompareParams {
    /// Column of what was predicted.
    pub predicted: String,
    /// Column of what is.
    pub label: String,
}

/// A sum, and what rounding took from it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    fn add(&mut self, value: f64) {
        let sum = self.sum + value;
        self.lost +=
            if self.sum.abs() >= value.abs() { (self.sum - sum) + value } else { (value - sum) + self.sum };
        self.sum = sum;
    }

    fn value(self) -> f64 {
        self.sum + self.lost
    }
}

/// What is known of the differences.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Errors {
    rows: u64,
    absolute: Sum,
    squared: Sum,
    mean: f64,
    /// Squared distances of labels from their mean.
    spread: f64,
}

impl Errors {
    fn add(&mut self, predicted: f64, label: f64) {
        self.rows += 1;
        let error = predicted - label;
        self.absolute.add(error.abs());
        self.squared.add(error * error);
        let distance = label - self.mean;
        self.mean += distance / self.rows as f64;
        self.spread += distance * (label - self.mean);
    }

    /// Of the rows of both.
    #[must_use]
    fn merge(mut self, other: Self) -> Self {
        if other.rows == 0 {
            return self;
        }
        for (sum, more) in [(&mut self.absolute, other.absolute), (&mut self.squared, other.squared)] {
            sum.add(more.sum);
            sum.add(more.lost);
        }
        let (rows, more) = (self.rows as f64, other.rows as f64);
        let distance = other.mean - self.mean;
        self.spread += other.spread + distance * distance * rows * more / (rows + more);
        self.mean += distance * more / (rows + more);
        self.rows += other.rows;
        self
    }

    /// The rows of [`CompareNumbers`], together. `InvalidInput` if there is no row to measure.
    pub fn read(rows: &[RecordBatch]) -> Result<Self> {
        let mut all = Self::default();
        for rows in rows {
            schema()?.check(rows)?;
            let value = |i: usize, row: usize| rows.column(i).as_primitive::<Float64Type>().value(row);
            for (row, count) in rows.column(0).as_primitive::<UInt64Type>().values().iter().enumerate() {
                let sum = |i: usize| Sum { sum: value(i, row), lost: value(i + 1, row) };
                let (mean, spread) = (value(5, row), value(6, row));
                all = all.merge(Self { rows: *count, absolute: sum(1), squared: sum(3), mean, spread });
            }
        }
        if all.rows == 0 { Err(Error::invalid("no rows to evaluate")) } else { Ok(all) }
    }

    /// Mean absolute error.
    pub fn mae(&self) -> f64 {
        self.absolute.value() / self.rows as f64
    }

    /// Mean squared error.
    pub fn mse(&self) -> f64 {
        self.squared.value() / self.rows as f64
    }

    /// Root of the mean squared error.
    pub fn rmse(&self) -> f64 {
        self.mse().sqrt()
    }

    /// The share of the label's spread that is explained; not a number for one row. A label without spread is explained
    /// wholly or not at all.
    pub fn r2_score(&self) -> f64 {
        match (self.rows, self.spread == 0.0, self.squared.value() == 0.0) {
            (1, _, _) => f64::NAN,
            (_, true, true) => 1.0,
            (_, true, false) => 0.0,
            _ => 1.0 - self.squared.value() / self.spread,
        }
    }
}

/// Kernel `evaluation.errors`: a partition becomes one row; read them with [`Errors::read`].
///
/// Errors: `InvalidInput` for a value that is missing or infinite.
#[derive(Debug)]
pub struct CompareNumbers {
    params: CompareParams,
    predicted: usize,
    label: usize,
}

fn schema() -> Result<TableSchema> {
    let sums = ["absolute", "absolute_lost", "squared", "squared_lost", "mean", "spread"];
    let sums = sums.map(|name| Field::new(name, DataType::Float64));
    TableSchema::new(None, [Field::new("rows", DataType::UInt64)].into_iter().chain(sums).collect())
}

impl FoldKernel for CompareNumbers {
    type Params = CompareParams;
    type State = Errors;
    const NAME: &'static str = "evaluation.errors";

    fn output(params: &CompareParams, input: &TableSchema) -> Result<TableSchema> {
        number_column(&params.predicted, input)?;
        number_column(&params.label, input)?;
        schema()
    }

    fn open(params: CompareParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let (predicted, label) =
            (number_column(&params.predicted, input)?, number_column(&params.label, input)?);
        Ok(Self { params, predicted, label })
    }

    fn start(&self, _: PartContext) -> Result<Errors> {
        Ok(Errors::default())
    }

    fn fold(&self, errors: &mut Errors, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let (predicted, label) = (numbers(rows, self.predicted)?, numbers(rows, self.label)?);
        for pair in optional(&predicted).zip(optional(&label)) {
            match pair {
                (Some(predicted), Some(label)) if predicted.is_finite() && label.is_finite() => {
                    errors.add(predicted, label);
                }
                (predicted, _) => {
                    let fine = predicted.is_some_and(f64::is_finite);
                    let column = if fine { &self.params.label } else { &self.params.predicted };
                    return Err(Error::invalid(format!(
                        "column {column:?} has a row without a finite number"
                    )));
                }
            }
        }
        Ok(())
    }

    fn finish(&self, errors: Errors, out: &mut dyn Emit) -> Result<()> {
        let sums = [
            errors.absolute.sum,
            errors.absolute.lost,
            errors.squared.sum,
            errors.squared.lost,
            errors.mean,
            errors.spread,
        ];
        let sums = sums.map(|sum| Arc::new(Float64Array::from(vec![sum])) as ArrayRef);
        let rows: ArrayRef = Arc::new(UInt64Array::from(vec![errors.rows]));
        out.emit(schema()?.batch([rows].into_iter().chain(sums).collect())?)
    }
}
