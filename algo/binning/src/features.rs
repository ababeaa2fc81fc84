//! Feature columns: which columns of a table hold numbers, and their values as `f64`.
//!
//! A feature's number is its place in the list of names that a kernel was given.

use arrow_array::{Float64Array, RecordBatch};
use tributary_core::numbers::{number_column, numbers, present};
use tributary_core::{Error, Field, KeyType, Result, TableSchema};

/// Name of the key column of rows that represent features.
pub(crate) const FEATURE: &str = "feature";

/// Columns of numbers, by their index in a batch.
#[derive(Debug)]
pub(crate) struct Features(Vec<(String, usize)>);

impl Features {
    /// Errors: `InvalidInput` for a name that is not there, or a column that has no numbers.
    pub fn open(names: &[String], input: &TableSchema) -> Result<Self> {
        let open = |name: &String| Ok((name.clone(), number_column(name, input)?));
        Ok(Self(names.iter().map(open).collect::<Result<_>>()?))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The values of each feature, in order. Errors: `InvalidInput` for infinite ones, which no bin can end at.
    pub fn finite<'a>(&'a self, rows: &'a RecordBatch) -> impl Iterator<Item = Result<Float64Array>> + 'a {
        self.0.iter().map(|(name, column)| {
            let values = numbers(rows, *column)?;
            let infinite = present(&values).filter(|v| v.is_infinite()).count();
            if infinite > 0 {
                return Err(Error::invalid(format!(
                    "column {name:?} has {infinite} infinite values in a batch; replace them before binning"
                )));
            }
            Ok(values)
        })
    }
}

/// The columns of rows that represent features.
pub(crate) fn feature_schema(fields: Vec<Field>) -> Result<TableSchema> {
    TableSchema::keyed(FEATURE, KeyType::UInt64, fields)
}
