//! Metrics of several classes, averaged over rows: each row is right or wrong, so that precision, recall, F1 and accuracy are
//! one number.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray, UInt64Array};
use arrow_schema::DataType;
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::{Error, Field, Result, TableSchema};

use crate::errors::CompareParams;

/// How many rows were predicted right.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Matches {
    /// All rows.
    pub rows: u64,
    /// Rows whose class is the predicted one.
    pub right: u64,
}

impl Matches {
    /// The rows of [`CompareClasses`], together. `InvalidInput` if there is no row to measure.
    pub fn read(rows: &[RecordBatch]) -> Result<Self> {
        let mut all = Self::default();
        for rows in rows {
            schema()?.check(rows)?;
            let [count, right] =
                [0, 1].map(|i| rows.column(i).as_primitive::<UInt64Type>().values().iter().sum::<u64>());
            all = Self { rows: all.rows + count, right: all.right + right };
        }
        if all.rows == 0 { Err(Error::invalid("no rows to evaluate")) } else { Ok(all) }
    }

    /// The share of rows that is right: accuracy, and precision, recall and F1 averaged over rows (`micro`).
    pub fn share(self) -> f64 {
        self.right as f64 / self.rows as f64
    }
}

/// Kernel `evaluation.matches`: a partition becomes one row; read them with [`Matches::read`].
///
/// Classes are compared as numbers, as text if either is text. A list of numbers stands for the place of its greatest, from 0.
/// Errors: `InvalidInput` for a row without a class.
#[derive(Debug)]
pub struct CompareClasses {
    params: CompareParams,
    predicted: usize,
    label: usize,
    as_text: bool,
}

fn schema() -> Result<TableSchema> {
    TableSchema::new(None, ["rows", "right"].map(|name| Field::new(name, DataType::UInt64)).to_vec())
}

impl CompareClasses {
    fn classes(&self, column: &ArrayRef, name: &str) -> Result<ArrayRef> {
        let places: ArrayRef;
        let column = match column.data_type() {
            DataType::List(_) => {
                let lists = column.as_list::<i32>();
                places = Arc::new(lists.iter().map(|list| greatest(&list?)).collect::<UInt64Array>());
                &places
            }
            _ => column,
        };
        let wanted = if self.as_text { DataType::Utf8 } else { DataType::Float64 };
        let classes = arrow_cast::cast(column, &wanted)?;
        match classes.null_count() {
            0 => Ok(classes),
            _ => Err(Error::invalid(format!("column {name:?} has a row without a class"))),
        }
    }
}

/// The place of the greatest number of a list, the first of several.
fn greatest(list: &ArrayRef) -> Option<u64> {
    let list = arrow_cast::cast(list, &DataType::Float64).ok()?;
    let numbers = list.as_primitive::<Float64Type>().values().iter().enumerate();
    let first_of_most = numbers.fold(None, |best: Option<(usize, f64)>, (place, number)| match best {
        Some((_, most)) if most >= *number => best,
        _ => Some((place, *number)),
    });
    first_of_most.map(|(place, _)| place as u64)
}

impl FoldKernel for CompareClasses {
    type Params = CompareParams;
    type State = Matches;
    const NAME: &'static str = "evaluation.matches";

    fn output(params: &CompareParams, input: &TableSchema) -> Result<TableSchema> {
        input.column_index(&params.predicted)?;
        input.column_index(&params.label)?;
        schema()
    }

    fn open(params: CompareParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let (predicted, label) = (input.column_index(&params.predicted)?, input.column_index(&params.label)?);
        let is_text = |column: usize| *input.arrow().field(column).data_type() == DataType::Utf8;
        Ok(Self { params, predicted, label, as_text: is_text(predicted) || is_text(label) })
    }

    fn start(&self, _: PartContext) -> Result<Matches> {
        Ok(Matches::default())
    }

    fn fold(&self, matches: &mut Matches, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let predicted = self.classes(rows.column(self.predicted), &self.params.predicted)?;
        let label = self.classes(rows.column(self.label), &self.params.label)?;
        matches.rows += rows.num_rows() as u64;
        matches.right += match self.as_text {
            true => {
                let texts = |column: &ArrayRef| column.as_string::<i32>().clone();
                let (predicted, label): (StringArray, StringArray) = (texts(&predicted), texts(&label));
                predicted.iter().zip(label.iter()).filter(|(a, b)| a == b).count() as u64
            }
            false => {
                let values = |column: &ArrayRef| column.as_primitive::<Float64Type>().values().clone();
                values(&predicted).iter().zip(values(&label).iter()).filter(|(a, b)| a == b).count() as u64
            }
        };
        Ok(())
    }

    fn finish(&self, matches: Matches, out: &mut dyn Emit) -> Result<()> {
        let column = |n: u64| Arc::new(UInt64Array::from(vec![n])) as ArrayRef;
        out.emit(schema()?.batch(vec![column(matches.rows), column(matches.right)])?)
    }
}
