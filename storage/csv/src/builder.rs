//! Cells to one column of a batch.

use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType as Microseconds,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType};

use crate::value;
use crate::value_type::ValueType;

/// A growing column.
pub(crate) trait ColumnBuilder: fmt::Debug + Send {
    /// Appends a value; false if the cell has none of this type.
    fn push(&mut self, cell: &str) -> bool;
    /// Appends a missing value.
    fn push_null(&mut self);
    /// Returns the column, and begins a new one.
    fn finish(&mut self) -> ArrayRef;
}

/// A builder for a type.
pub(crate) fn builder(value_type: ValueType) -> Box<dyn ColumnBuilder> {
    match value_type {
        ValueType::Int32 => fixed::<Int32Type, _>(value_type, value::integer),
        ValueType::Int64 => fixed::<Int64Type, _>(value_type, value::integer),
        ValueType::Float32 => fixed::<Float32Type, _>(value_type, value::float32),
        ValueType::Float64 => fixed::<Float64Type, _>(value_type, value::float64),
        ValueType::Date => fixed::<Date32Type, _>(value_type, value::date),
        ValueType::Timestamp => fixed::<Microseconds, _>(value_type, value::timestamp),
        ValueType::TimestampUtc => fixed::<Microseconds, _>(value_type, value::timestamp_utc),
        ValueType::Decimal(digits) => {
            fixed::<Decimal128Type, _>(value_type, move |cell: &str| value::decimal(cell, digits))
        }
        ValueType::Bool => Box::new(BooleanBuilder::new()),
        ValueType::Text | ValueType::Category => Box::new(StringBuilder::new()),
    }
}

/// Values of a fixed width.
struct Fixed<T: ArrowPrimitiveType, P> {
    values: PrimitiveBuilder<T>,
    parse: P,
}

fn fixed<T, P>(value_type: ValueType, parse: P) -> Box<dyn ColumnBuilder>
where
    T: ArrowPrimitiveType,
    P: Fn(&str) -> Option<T::Native> + Send + 'static,
{
    let values = PrimitiveBuilder::<T>::new().with_data_type(value_type.data_type());
    Box::new(Fixed { values, parse })
}

impl<T, P> ColumnBuilder for Fixed<T, P>
where
    T: ArrowPrimitiveType,
    P: Fn(&str) -> Option<T::Native> + Send,
{
    fn push(&mut self, cell: &str) -> bool {
        let Some(value) = (self.parse)(cell) else { return false };
        self.values.append_value(value);
        true
    }

    fn push_null(&mut self) {
        self.values.append_null();
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.values.finish())
    }
}

impl<T: ArrowPrimitiveType, P> fmt::Debug for Fixed<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Fixed").field(&T::DATA_TYPE).finish()
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
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kind::{Kind, kind_of};
    use crate::value_type::Digits;

    const NUMBER: &str = "[-+]?[0-9]{0,40}(\\.[0-9]{0,25})?([eE][-+]?[0-9]{1,3})?";

    proptest! {
        #[test]
        fn what_the_first_pass_accepts_is_a_value(cell in "\\PC{0,12}|[-+.0-9eE]{0,12}|true|FALSE|0|1|1e39|1e400") {
            check(&cell);
        }

        #[test]
        fn both_passes_accept_the_same_numbers(cell in NUMBER) {
            check(&cell);
        }

        #[test]
        fn both_passes_accept_the_same_dates(cell in "[0-9]{4}-[0-9]{2}-[0-3][0-9]([T ][0-9:.+Z-]{0,12})?") {
            check(&cell);
        }
    }

    /// Both passes accept a cell, or both refuse it.
    fn check(cell: &str) {
        let decimals =
            [(5, 2), (38, 0), (38, 38)].map(|(p, s)| ValueType::Decimal(Digits::new(p, s).unwrap()));
        for value_type in ValueType::NAMES.map(|(_, value_type)| value_type).into_iter().chain(decimals) {
            assert_eq!(builder(value_type).push(cell), value_type.fits(cell), "{value_type} {cell:?}");
        }
        // an inferred type accepts the cells that it was inferred from
        let found = match kind_of(cell) {
            Kind::Integer | Kind::WideInteger | Kind::Plus => ValueType::Int64,
            kind if kind.is_number() => ValueType::Float64,
            Kind::Truth => ValueType::Bool,
            Kind::Date => ValueType::Date,
            Kind::Timestamp => ValueType::Timestamp,
            Kind::TimestampUtc | Kind::TimestampZone => ValueType::TimestampUtc,
            _ => ValueType::Text,
        };
        assert!(found.fits(cell), "{found} {cell:?}");
    }
}
