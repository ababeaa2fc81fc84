//! Records to batches: the requested columns of each record.

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use serde::{Deserialize, Serialize};
use tributary_core::{Error, Result, TableSchema};

use crate::builder::{ColumnBuilder, builder};
use crate::is_null;
use crate::kind::{Kind, kind_of};
use crate::records::Records;
use crate::value_type::ValueType;

/// A batch ends after this many rows, or this many bytes of CSV; the latter bounds memory for wide tables.
pub const BATCH_ROWS: u64 = 65_536;
/// See [`BATCH_ROWS`].
pub const BATCH_BYTES: u64 = 4 << 20;

/// A column of a table, and how the files hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its place in a record, from 0.
    pub position: usize,
    /// The type of its cells.
    #[serde(rename = "type")]
    pub value_type: ValueType,
    /// Spellings of a missing value.
    pub nulls: Vec<String>,
}

/// Collects the rows of a batch.
#[derive(Debug)]
pub struct BatchBuilder {
    schema: TableSchema,
    columns: Vec<Growing>,
    rows: usize,
}

#[derive(Debug)]
struct Growing {
    column: Column,
    may_be_missing: bool,
    values: Box<dyn ColumnBuilder>,
}

/// A cell that does not fit its column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit {
    /// The column of the table, key first.
    pub column: usize,
    /// The form of the cell; `None` for a missing value.
    pub found: Option<Kind>,
}

impl BatchBuilder {
    /// A builder for batches of this schema. `InvalidInput` unless there is one column for each column of the schema, key
    /// first, of the same type.
    pub fn new(columns: &[Column], schema: &TableSchema) -> Result<Self> {
        let fields = schema.arrow().fields();
        let differs = |(column, field): (&Column, &std::sync::Arc<arrow_schema::Field>)| {
            column.value_type.data_type() != *field.data_type()
        };
        if columns.len() != fields.len() || columns.iter().zip(fields).any(differs) {
            return Err(Error::invalid(format!("columns of CSV files that are not those of {schema:?}")));
        }
        let growing = columns.iter().zip(fields).map(|(column, field)| Growing {
            column: column.clone(),
            may_be_missing: field.is_nullable(),
            values: builder(column.value_type),
        });
        Ok(Self { columns: growing.collect(), schema: schema.clone(), rows: 0 })
    }

    /// Appends the current record. After an error the batch is invalid.
    #[inline]
    pub fn push(&mut self, records: &Records) -> Result<(), Misfit> {
        for (i, growing) in self.columns.iter_mut().enumerate() {
            let cell = records.get(growing.column.position);
            let fits = match is_null(cell, &growing.column.nulls) {
                true => {
                    growing.values.push_null();
                    growing.may_be_missing
                }
                false => growing.values.push(cell) || growing.push_missing(cell),
            };
            if !fits {
                return Err(Misfit { column: i, found: growing.kind_of(cell) });
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Returns the batch, and begins a new one.
    pub fn finish(&mut self) -> Result<RecordBatch> {
        let columns: Vec<ArrayRef> = self.columns.iter_mut().map(|growing| growing.values.finish()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        Ok(RecordBatch::try_new_with_options(self.schema.arrow().clone(), columns, &options)?)
    }
}

impl Growing {
    /// Appends a missing value, if the cell means one and the column allows it.
    #[cold]
    fn push_missing(&mut self, cell: &str) -> bool {
        let is_missing = self.may_be_missing && self.column.value_type.is_missing(cell);
        if is_missing {
            self.values.push_null();
        }
        is_missing
    }

    #[cold]
    fn kind_of(&self, cell: &str) -> Option<Kind> {
        let is_missing = is_null(cell, &self.column.nulls) || self.column.value_type.is_missing(cell);
        (!is_missing).then(|| kind_of(cell))
    }
}
