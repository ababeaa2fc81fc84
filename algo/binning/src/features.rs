//! Feature columns: which columns of a table hold numbers, and their values as `f64`.
//!
//! A feature's number is its place in the list of names that a kernel was given. A value is missing when it is null or NaN.
//! Integers beyond 2⁵³ are rounded to the nearest `f64`, as everywhere in statistics here.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::types::Float64Type;
use arrow_array::{Array, Float64Array, ListArray, PrimitiveArray, RecordBatch};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;
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

/// The index of a column that holds numbers.
pub(crate) fn number_column(name: &str, input: &TableSchema) -> Result<usize> {
    use DataType as T;
    let column = input.column_index(name)?;
    match input.arrow().field(column).data_type() {
        T::Boolean | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Ok(column),
        T::Float32 | T::Float64 | T::Decimal128(_, _) => Ok(column),
        other => Err(Error::invalid(format!("column {name:?} has type {other}, expected numbers"))),
    }
}

/// A column of numbers as `f64`.
pub(crate) fn numbers(rows: &RecordBatch, column: usize) -> Result<Float64Array> {
    Ok(arrow_cast::cast(rows.column(column), &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// The values that are not missing. Zero has one sign: -0 and 0 are one value to every reader of a cut point.
pub(crate) fn present(values: &Float64Array) -> impl Iterator<Item = f64> + '_ {
    let nulls = values.nulls();
    let valid = move |i: usize| nulls.is_none_or(|nulls| nulls.is_valid(i));
    values.values().iter().enumerate().filter(move |(i, v)| !v.is_nan() && valid(*i)).map(|(_, v)| v + 0.0)
}

/// All values, `None` where missing.
pub(crate) fn optional(values: &Float64Array) -> impl Iterator<Item = Option<f64>> + '_ {
    let nulls = values.nulls();
    let valid = move |i: usize| nulls.is_none_or(|nulls| nulls.is_valid(i));
    values.values().iter().enumerate().map(move |(i, v)| (!v.is_nan() && valid(i)).then_some(v + 0.0))
}

/// The columns of rows that represent features.
pub(crate) fn feature_schema(fields: Vec<Field>) -> Result<TableSchema> {
    TableSchema::keyed(FEATURE, KeyType::UInt64, fields)
}

/// A column with a list of numbers in each row.
pub(crate) fn list_field(name: &str, item: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(arrow_schema::Field::new_list_field(item, true))))
}

/// A column with one row: a list.
pub(crate) fn list_of_one<T: ArrowPrimitiveType>(values: Vec<T::Native>) -> Result<ListArray> {
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let values = PrimitiveArray::<T>::new(values.into(), None);
    let item = Arc::new(arrow_schema::Field::new_list_field(T::DATA_TYPE, true));
    Ok(ListArray::try_new(item, offsets, Arc::new(values), None)?)
}
