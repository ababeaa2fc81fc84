//! Rows and events of each feature's bins, of a party's own label.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::numbers::{number_column, numbers, optional};
use tributary_core::{Error, ErrorKind, Field, Result, TableSchema};

use crate::cells::{BinColumn, Cells, cell_of, cell_schema, total_cells};

/// What is known of one bin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BinCount {
    /// Number of rows.
    pub rows: u64,
    /// Number of rows with label 1.
    pub events: u64,
}

impl BinCount {
    /// The rows of [`CountBins`], by feature and bin; a bin without rows has zeros. `columns` is as in [`CountParams`].
    /// Errors: `Corrupt` for cells of other features and bins, `Exhausted` for too many.
    pub fn read(rows: &[RecordBatch], columns: &[BinColumn]) -> Result<Vec<Vec<Self>>> {
        total_cells(columns)?;
        let mut all: Vec<Vec<Self>> =
            columns.iter().map(|c| vec![Self::default(); c.bins as usize]).collect();
        for rows in rows {
            count_schema()?.check(rows)?;
            let [cells, counts, events] =
                [0, 1, 2].map(|i| rows.column(i).as_primitive::<UInt64Type>().values());
            for ((cell, rows), events) in cells.iter().zip(counts).zip(events) {
                let (feature, bin) = cell_of(*cell);
                let place = all.get_mut(feature as usize).and_then(|bins| bins.get_mut(bin as usize));
                let place = place.ok_or_else(|| {
                    Error::new(ErrorKind::Corrupt, "the count of a bin that does not exist")
                })?;
                let add = |a: u64, b: u64| {
                    a.checked_add(b)
                        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "a count does not fit 64 bits"))
                };
                place.rows = add(place.rows, *rows)?;
                place.events = add(place.events, *events)?;
            }
        }
        Ok(all)
    }
}

/// Parameters of [`CountBins`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CountParams {
    /// Columns of bin numbers. A feature's number is its place here.
    pub columns: Vec<BinColumn>,
    /// The column with label 0 or 1; without one, events are 0.
    pub label: Option<String>,
}

/// Kernel `binning.count`: a partition becomes one row for each cell that occurs.
///
/// Shape: rows (cell; `rows`, `events`); read them with [`BinCount::read`], which merges them.
/// Errors: `InvalidInput` for a label that is neither 0 nor 1, or missing.
#[derive(Debug)]
pub struct CountBins {
    cells: Cells,
    label: Option<usize>,
}

pub(crate) fn count_schema() -> Result<TableSchema> {
    cell_schema(vec![Field::new("rows", DataType::UInt64), Field::new("events", DataType::UInt64)])
}

impl FoldKernel for CountBins {
    type Params = CountParams;
    type State = Vec<BinCount>;
    const NAME: &'static str = "binning.count";

    fn output(params: &CountParams, input: &TableSchema) -> Result<TableSchema> {
        Cells::open(&params.columns, input)?;
        params.label.as_ref().map(|label| number_column(label, input)).transpose()?;
        count_schema()
    }

    fn open(params: CountParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let label = params.label.as_ref().map(|label| number_column(label, input)).transpose()?;
        Ok(Self { cells: Cells::open(&params.columns, input)?, label })
    }

    fn start(&self, _: PartContext) -> Result<Vec<BinCount>> {
        Ok(vec![BinCount::default(); self.cells.len()])
    }

    fn fold(&self, counts: &mut Vec<BinCount>, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let events = match self.label {
            Some(label) => events(rows, label)?,
            None => vec![false; rows.num_rows()],
        };
        for feature in self.cells.bins(rows) {
            let (cells, bins) = feature?;
            let counts = &mut counts[cells];
            for (bin, event) in bins.iter().zip(&events) {
                let count = &mut counts[usize::from(*bin)];
                count.rows += 1;
                count.events += u64::from(*event);
            }
        }
        Ok(())
    }

    fn finish(&self, counts: Vec<BinCount>, out: &mut dyn Emit) -> Result<()> {
        let occurring = || self.cells.keys().zip(&counts).filter(|(_, count)| count.rows > 0);
        let column =
            |of: fn((u64, &BinCount)) -> u64| Arc::new(UInt64Array::from_iter_values(occurring().map(of)));
        out.emit(count_schema()?.batch(vec![
            column(|(key, _)| key),
            column(|(_, count)| count.rows),
            column(|(_, count)| count.events),
        ])?)
    }
}

/// Whether each row has label 1.
pub(crate) fn events(rows: &RecordBatch, label: usize) -> Result<Vec<bool>> {
    let labels = numbers(rows, label)?;
    let is_event = |label: Option<f64>| match label {
        Some(1.0) => Some(true),
        Some(0.0) => Some(false),
        _ => None,
    };
    let events: Vec<bool> = optional(&labels).filter_map(is_event).collect();
    if events.len() < labels.len() {
        let (missing, other) = optional(&labels).filter(|label| is_event(*label).is_none()).fold(
            (0u64, 0u64),
            |(missing, other), label| match label {
                None => (missing + 1, other),
                Some(_) => (missing, other + 1),
            },
        );
        return Err(Error::invalid(format!(
            "the label must be 0 or 1: of {} rows looked at, {other} have another value and {missing} have none",
            labels.len()
        )));
    }
    Ok(events)
}
