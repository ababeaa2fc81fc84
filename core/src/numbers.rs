//! Columns of numbers: which columns hold numbers, their values as `f64`, and lists of numbers in one row.
//!
//! What every algorithm on values shares. A value is missing when it is null or NaN; integers beyond 2⁵³ are rounded to the
//! nearest `f64`, as everywhere in statistics here.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type};
use arrow_array::{Array, Float64Array, ListArray, PrimitiveArray, RecordBatch};
use arrow_buffer::OffsetBuffer;
use arrow_schema::DataType;

use crate::error::{Error, Result};
use crate::schema::{Field, TableSchema};

/// The index in a batch of a column that holds numbers. `InvalidInput` for a name that is not there, or another type.
pub fn number_column(name: &str, input: &TableSchema) -> Result<usize> {
    use DataType as T;
    let column = input.column_index(name)?;
    match input.arrow().field(column).data_type() {
        T::Boolean | T::Int32 | T::Int64 | T::UInt8 | T::UInt16 | T::UInt32 | T::UInt64 => Ok(column),
        T::Float32 | T::Float64 | T::Decimal128(_, _) => Ok(column),
        other => Err(Error::invalid(format!("column {name:?} has type {other}, expected numbers"))),
    }
}

/// A column of numbers as `f64`.
pub fn numbers(rows: &RecordBatch, column: usize) -> Result<Float64Array> {
    Ok(arrow_cast::cast(rows.column(column), &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

/// The values that are not missing. Zero has one sign: -0 and 0 are one value to every reader of a number.
pub fn present(values: &Float64Array) -> impl Iterator<Item = f64> + '_ {
    optional(values).flatten()
}

/// All values, `None` where missing.
pub fn optional(values: &Float64Array) -> impl Iterator<Item = Option<f64>> + '_ {
    let nulls = values.nulls();
    let valid = move |i: usize| nulls.is_none_or(|nulls| nulls.is_valid(i));
    values.values().iter().enumerate().map(move |(i, v)| (!v.is_nan() && valid(i)).then_some(v + 0.0))
}

/// A column with a list of numbers in each row.
pub fn list_field(name: &str, item: DataType) -> Field {
    Field::new(name, DataType::List(Arc::new(arrow_schema::Field::new_list_field(item, true))))
}

/// A column with one row: a list. `InvalidInput` for more than 2³¹ numbers.
pub fn list_of_one<T: ArrowPrimitiveType>(values: Vec<T::Native>) -> Result<ListArray> {
    if i32::try_from(values.len()).is_err() {
        return Err(Error::invalid(format!("a list of {} numbers, at most 2^31 are possible", values.len())));
    }
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let values = PrimitiveArray::<T>::new(values.into(), None);
    let item = Arc::new(arrow_schema::Field::new_list_field(T::DATA_TYPE, true));
    Ok(ListArray::try_new(item, offsets, Arc::new(values), None)?)
}
