//! Cells to one column of a batch.

use std::fmt;
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, PrimitiveBuilder, StringBuilder};
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType as Microseconds,
};
use arrow_array::{ArrayRef, ArrowPrimitiveType};
use tributary_core::layout::hash_bytes;

use crate::sketch::Sketch;
use crate::summary::{ColumnStats, Decimal, Extent};
use crate::value;
use crate::value_type::ValueType;

/// Letters kept of the least and the greatest text.
const EXTENT_LETTERS: usize = 40;

/// A growing column.
pub(crate) trait ColumnBuilder: fmt::Debug + Send {
    /// Appends a value; false if the cell is none of this type.
    fn push(&mut self, cell: &str) -> bool;
    /// Appends a missing value.
    fn push_null(&mut self);
    /// The column, and begins a new one.
    fn finish(&mut self) -> ArrayRef;
    /// What was ever pushed.
    fn stats(&self) -> ColumnStats;
}

/// A builder for a type.
pub(crate) fn builder(value_type: ValueType) -> Box<dyn ColumnBuilder> {
    use Extent::{Days, Integers, Micros, Numbers};
    match value_type {
        ValueType::Int32 => ordered::<Int32Type, _, _>(
            value_type,
            value::integer,
            |value| value as u64,
            |a, b| Integers(a.into(), b.into()),
        ),
        ValueType::Int64 => {
            ordered::<Int64Type, _, _>(value_type, value::integer, |value| value as u64, Integers)
        }
        ValueType::Float32 => ordered::<Float32Type, _, _>(
            value_type,
            value::float32,
            |value| u64::from(value.to_bits()),
            |a, b| Numbers(a.into(), b.into()),
        ),
        ValueType::Float64 => ordered::<Float64Type, _, _>(value_type, value::float64, f64::to_bits, Numbers),
        ValueType::Date => ordered::<Date32Type, _, _>(
            value_type,
            value::date,
            |value| value as u64,
            |a, b| Days(a.into(), b.into()),
        ),
        ValueType::Timestamp => {
            ordered::<Microseconds, _, _>(value_type, value::timestamp, |value| value as u64, Micros)
        }
        ValueType::TimestampUtc => {
            ordered::<Microseconds, _, _>(value_type, value::timestamp_utc, |value| value as u64, Micros)
        }
        ValueType::Decimal(digits) => ordered::<Decimal128Type, _, _>(
            value_type,
            move |cell: &str| value::decimal(cell, digits),
            |value| value as u64 ^ (value >> 64) as u64,
            move |a, b| {
                let decimal = |unscaled| Decimal { unscaled, scale: digits.scale() };
                Extent::Decimals(decimal(a), decimal(b))
            },
        ),
        ValueType::Bool => Box::<Truths>::default(),
        ValueType::Text | ValueType::Category => Box::<Texts>::default(),
    }
}

/// Values of a fixed width that have an order.
struct Ordered<T: ArrowPrimitiveType, P, E> {
    values: PrimitiveBuilder<T>,
    parse: P,
    bits: fn(T::Native) -> u64,
    extent: E,
    bounds: Option<(T::Native, T::Native)>,
    nulls: u64,
    sketch: Sketch,
}

fn ordered<T, P, E>(
    value_type: ValueType,
    parse: P,
    bits: fn(T::Native) -> u64,
    extent: E,
) -> Box<dyn ColumnBuilder>
where
    T: ArrowPrimitiveType,
    P: Fn(&str) -> Option<T::Native> + Send + 'static,
    E: Fn(T::Native, T::Native) -> Extent + Send + 'static,
{
    let values = PrimitiveBuilder::<T>::new().with_data_type(value_type.data_type());
    Box::new(Ordered { values, parse, bits, extent, bounds: None, nulls: 0, sketch: Sketch::default() })
}

impl<T, P, E> ColumnBuilder for Ordered<T, P, E>
where
    T: ArrowPrimitiveType,
    P: Fn(&str) -> Option<T::Native> + Send,
    E: Fn(T::Native, T::Native) -> Extent + Send,
{
    fn push(&mut self, cell: &str) -> bool {
        let Some(value) = (self.parse)(cell) else { return false };
        self.values.append_value(value);
        self.sketch.add_number((self.bits)(value));
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
        self.nulls += 1;
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.values.finish())
    }

    fn stats(&self) -> ColumnStats {
        ColumnStats {
            nulls: self.nulls,
            extent: self.bounds.map(|(low, high)| (self.extent)(low, high)),
            sketch: self.sketch.clone(),
        }
    }
}

impl<T: ArrowPrimitiveType, P, E> fmt::Debug for Ordered<T, P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ordered").field(&T::DATA_TYPE).finish()
    }
}

/// Truth values.
#[derive(Debug, Default)]
struct Truths {
    values: BooleanBuilder,
    nulls: u64,
    sketch: Sketch,
}

impl ColumnBuilder for Truths {
    fn push(&mut self, cell: &str) -> bool {
        let Some(value) = value::boolean(cell) else { return false };
        self.values.append_value(value);
        self.sketch.add_number(value.into());
        true
    }

    fn push_null(&mut self) {
        self.values.append_null();
        self.nulls += 1;
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.values.finish())
    }

    fn stats(&self) -> ColumnStats {
        ColumnStats { nulls: self.nulls, extent: None, sketch: self.sketch.clone() }
    }
}

/// Texts, ordered by their bytes.
#[derive(Debug, Default)]
struct Texts {
    values: StringBuilder,
    bounds: Option<(String, String)>,
    nulls: u64,
    sketch: Sketch,
}

impl ColumnBuilder for Texts {
    fn push(&mut self, cell: &str) -> bool {
        self.values.append_value(cell);
        self.sketch.add(hash_bytes(cell.as_bytes()));
        let (low, high) = self.bounds.get_or_insert_with(|| (cell.to_owned(), cell.to_owned()));
        if cell < low.as_str() {
            cell.clone_into(low);
        } else if cell > high.as_str() {
            cell.clone_into(high);
        }
        true
    }

    fn push_null(&mut self) {
        self.values.append_null();
        self.nulls += 1;
    }

    fn finish(&mut self) -> ArrayRef {
        Arc::new(self.values.finish())
    }

    fn stats(&self) -> ColumnStats {
        let short = |text: &String| text.chars().take(EXTENT_LETTERS).collect();
        let extent = self.bounds.as_ref().map(|(low, high)| Extent::Texts(short(low), short(high)));
        ColumnStats { nulls: self.nulls, extent, sketch: self.sketch.clone() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::{Kind, kind_of};
    use crate::value_type::Digits;

    const NUMBER: &str = "[-+]?[0-9]{0,40}(\\.[0-9]{0,25})?([eE][-+]?[0-9]{1,3})?";

    proptest! {
        #[test]
        fn what_the_first_pass_lets_through_is_a_value(cell in "\\PC{0,12}|[-+.0-9eE]{0,12}|true|FALSE|0|1|1e39|1e400") {
            check(&cell);
        }

        #[test]
        fn numbers_are_let_through_or_not_alike(cell in NUMBER) {
            check(&cell);
        }

        #[test]
        fn dates_are_let_through_or_not_alike(cell in "[0-9]{4}-[0-9]{2}-[0-3][0-9]([T ][0-9:.+Z-]{0,12})?") {
            check(&cell);
        }
    }

    /// Both passes have the same opinion on a cell.
    fn check(cell: &str) {
        let decimals =
            [(5, 2), (38, 0), (38, 38)].map(|(p, s)| ValueType::Decimal(Digits::new(p, s).unwrap()));
        for value_type in ValueType::NAMES.map(|(_, value_type)| value_type).into_iter().chain(decimals) {
            assert_eq!(builder(value_type).push(cell), value_type.fits(cell), "{value_type} {cell:?}");
        }
        // a type that is found accepts what it is found for
        let found = match kind_of(cell) {
            Kind::Integer => ValueType::Int64,
            Kind::LongInteger | Kind::Decimal => ValueType::Float64,
            Kind::Truth => ValueType::Bool,
            Kind::Date => ValueType::Date,
            Kind::Timestamp => ValueType::Timestamp,
            Kind::TimestampUtc => ValueType::TimestampUtc,
            Kind::NotFinite | Kind::Text => ValueType::Text,
        };
        assert!(found.fits(cell), "{found} {cell:?}");
    }
}
