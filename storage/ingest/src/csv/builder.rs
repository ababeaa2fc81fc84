//! Cells to one column of a batch.

use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    Date32Type, Float32Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType as Microseconds,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType};

use crate::summary::Extent;
use crate::value::{self, ValueType};

/// A growing column.
pub(crate) trait ColumnBuilder: fmt::Debug + Send {
    /// Appends a value; false if the cell is none of this type.
    fn push(&mut self, cell: &str) -> bool;
    /// Appends a missing value.
    fn push_null(&mut self);
    /// The column, and begins a new one.
    fn finish(&mut self) -> ArrayRef;
    /// Least and greatest value ever pushed, where that means something.
    fn extent(&self) -> Option<Extent>;
}

/// A builder for a type.
pub(crate) fn builder(value_type: ValueType) -> Box<dyn ColumnBuilder> {
    use Extent::{Days, Integers, Micros, Numbers};
    match value_type {
        ValueType::Int32 => {
            ordered::<Int32Type>(value_type, value::integer, |a, b| Integers(a.into(), b.into()))
        }
        ValueType::Int64 => ordered::<Int64Type>(value_type, value::integer, Integers),
        ValueType::Float32 => {
            ordered::<Float32Type>(value_type, value::float32, |a, b| Numbers(a.into(), b.into()))
        }
        ValueType::Float64 => ordered::<Float64Type>(value_type, value::float64, Numbers),
        ValueType::Date => ordered::<Date32Type>(value_type, value::date, |a, b| Days(a.into(), b.into())),
        ValueType::Timestamp => ordered::<Microseconds>(value_type, value::timestamp, Micros),
        ValueType::TimestampUtc => ordered::<Microseconds>(value_type, value::timestamp_utc, Micros),
        ValueType::Bool => Box::new(BooleanBuilder::new()),
        ValueType::Text => Box::new(StringBuilder::new()),
    }
}

/// Values of a fixed width that have an order.
struct Ordered<T: ArrowPrimitiveType> {
    values: PrimitiveBuilder<T>,
    parse: fn(&str) -> Option<T::Native>,
    bounds: Option<(T::Native, T::Native)>,
    extent: fn(T::Native, T::Native) -> Extent,
}

fn ordered<T: ArrowPrimitiveType>(
    value_type: ValueType,
    parse: fn(&str) -> Option<T::Native>,
    extent: fn(T::Native, T::Native) -> Extent,
) -> Box<dyn ColumnBuilder> {
    let values = PrimitiveBuilder::<T>::new().with_data_type(value_type.data_type());
    Box::new(Ordered { values, parse, bounds: None, extent })
}

impl<T: ArrowPrimitiveType> ColumnBuilder for Ordered<T> {
    fn push(&mut self, cell: &str) -> bool {
        let Some(value) = (self.parse)(cell) else { return false };
        self.values.append_value(value);
        let (low, high) = self.bounds.get_or_insert((value, value));
        if value < *low {
            *low = value;
        } else if value > *high {
            *high = value;
        }
        true
    }

    fn push_null(&mut self) {
        self.values.append_null();
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.values.finish())
    }

    fn extent(&self) -> Option<Extent> {
        self.bounds.map(|(low, high)| (self.extent)(low, high))
    }
}

impl<T: ArrowPrimitiveType> fmt::Debug for Ordered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ordered").field(&T::DATA_TYPE).finish()
    }
}

impl ColumnBuilder for BooleanBuilder {
    fn push(&mut self, cell: &str) -> bool {
        value::boolean(cell).map(|value| self.append_value(value)).is_some()
    }

    fn push_null(&mut self) {
        self.append_null();
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(BooleanBuilder::finish(self))
    }

    fn extent(&self) -> Option<Extent> {
        None
    }
}

impl ColumnBuilder for StringBuilder {
    fn push(&mut self, cell: &str) -> bool {
        self.append_value(cell);
        true
    }

    fn push_null(&mut self) {
        self.append_null();
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(StringBuilder::finish(self))
    }

    fn extent(&self) -> Option<Extent> {
        None
    }
}
