//! Statistics of a column, collected from its batches while they are written.

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use tributary_core::layout::hash_bytes;

use crate::sketch::Sketch;
use crate::summary::{Decimal, Extent};

/// Characters kept of the least and the greatest text.
const EXTENT_LETTERS: usize = 40;

/// The statistics of one column, over some rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct ColumnStats {
    pub nulls: u64,
    pub extent: Option<Extent>,
    /// The sketch of the different values.
    pub sketch: Sketch,
}

impl ColumnStats {
    /// Adds the values of a batch.
    pub fn add(&mut self, values: &ArrayRef) {
        use DataType as T;
        self.nulls += values.null_count() as u64;
        let integers = |a: i64, b: i64| Extent::Integers(a, b);
        let found = match values.data_type() {
            T::Int32 => {
                self.numbers::<Int32Type>(values, |v| v as u64).map(|(a, b)| integers(a.into(), b.into()))
            }
            T::Int64 => self.numbers::<Int64Type>(values, |v| v as u64).map(|(a, b)| integers(a, b)),
            T::UInt8 => {
                self.numbers::<UInt8Type>(values, u64::from).map(|(a, b)| integers(a.into(), b.into()))
            }
            T::UInt16 => {
                self.numbers::<UInt16Type>(values, u64::from).map(|(a, b)| integers(a.into(), b.into()))
            }
            T::UInt32 => {
                self.numbers::<UInt32Type>(values, u64::from).map(|(a, b)| integers(a.into(), b.into()))
            }
            T::UInt64 => self.numbers::<UInt64Type>(values, |v| v).map(|(a, b)| {
                let decimal = |value: u64| Decimal { unscaled: value.into(), scale: 0 };
                Extent::Decimals(decimal(a), decimal(b))
            }),
            T::Float32 => self
                .numbers::<Float32Type>(values, |v| v.to_bits().into())
                .map(|(a, b)| Extent::Numbers(a.into(), b.into())),
            T::Float64 => {
                self.numbers::<Float64Type>(values, f64::to_bits).map(|(a, b)| Extent::Numbers(a, b))
            }
            T::Date32 => self
                .numbers::<Date32Type>(values, |v| v as u64)
                .map(|(a, b)| Extent::Days(a.into(), b.into())),
            T::Timestamp(_, _) => self
                .numbers::<TimestampMicrosecondType>(values, |v| v as u64)
                .map(|(a, b)| Extent::Micros(a, b)),
            T::Decimal128(_, scale) => {
                let scale = u8::try_from(*scale).unwrap_or(0);
                let decimal = |unscaled| Decimal { unscaled, scale };
                self.numbers::<Decimal128Type>(values, |v| v as u64 ^ (v >> 64) as u64)
                    .map(|(a, b)| Extent::Decimals(decimal(a), decimal(b)))
            }
            T::Utf8 => self.texts(values),
            T::Boolean => {
                values.as_boolean().iter().flatten().for_each(|value| self.sketch.add_number(value.into()));
                None
            }
            T::Binary => {
                values
                    .as_binary::<i32>()
                    .iter()
                    .flatten()
                    .for_each(|value| self.sketch.add(hash_bytes(value)));
                None
            }
            T::FixedSizeBinary(_) => {
                let values = values.as_fixed_size_binary();
                values.iter().flatten().for_each(|value| self.sketch.add(hash_bytes(value)));
                None
            }
            _ => None,
        };
        self.widen(found);
    }

    /// Adds the statistics of other rows.
    pub fn merge(&mut self, other: Self) {
        self.nulls += other.nulls;
        self.widen(other.extent);
        self.sketch.merge(&other.sketch);
    }

    fn widen(&mut self, other: Option<Extent>) {
        self.extent = match (self.extent.take(), other) {
            (Some(a), Some(b)) => Some(a.with(b)),
            (a, b) => a.or(b),
        };
    }

    /// Least and greatest; a NaN (from a foreign file) is neither.
    fn numbers<T: ArrowPrimitiveType>(
        &mut self,
        values: &ArrayRef,
        bits: fn(T::Native) -> u64,
    ) -> Option<(T::Native, T::Native)> {
        let mut bounds = None;
        for value in values.as_primitive_opt::<T>()?.iter().flatten() {
            self.sketch.add_number(bits(value));
            let (low, high) = bounds.get_or_insert((value, value));
            if value < *low {
                *low = value;
            } else if value > *high {
                *high = value;
            }
        }
        bounds
    }

    fn texts(&mut self, values: &ArrayRef) -> Option<Extent> {
        let mut bounds = None;
        for value in values.as_string::<i32>().iter().flatten() {
            self.sketch.add(hash_bytes(value.as_bytes()));
            let (low, high) = bounds.get_or_insert((value, value));
            if value < *low {
                *low = value;
            } else if value > *high {
                *high = value;
            }
        }
        let short = |text: &str| text.chars().take(EXTENT_LETTERS).collect();
        bounds.map(|(low, high)| Extent::Texts(short(low), short(high)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{BooleanArray, Decimal128Array, Float64Array, StringArray, UInt64Array};

    use super::*;

    fn check(batches: &[ArrayRef], nulls: u64, distinct: u64, extent: Option<(&str, &str)>) {
        let (mut one, mut other) = (ColumnStats::default(), ColumnStats::default());
        one.add(&batches[0]);
        batches[1..].iter().for_each(|batch| other.add(batch));
        one.merge(other);
        let shown = one.extent.as_ref().map(Extent::texts);
        let extent = extent.map(|(low, high)| (low.to_owned(), high.to_owned()));
        assert_eq!((one.nulls, one.sketch.estimate(), shown), (nulls, distinct, extent));
    }

    #[test]
    fn values_are_counted_and_bounded_over_batches() {
        let numbers = |values: Vec<Option<f64>>| Arc::new(Float64Array::from(values)) as ArrayRef;
        check(
            &[numbers(vec![Some(1.5), None]), numbers(vec![]), numbers(vec![Some(-1.0), Some(1.5)])],
            1,
            2,
            Some(("-1", "1.5")),
        );
        check(&[numbers(vec![None, None])], 2, 0, None);
        let texts = |values: Vec<&str>| Arc::new(StringArray::from(values)) as ArrayRef;
        check(&[texts(vec!["b", "a"]), texts(vec!["c"])], 0, 3, Some(("a", "c")));
        check(&[Arc::new(BooleanArray::from(vec![true, true]))], 0, 1, None);
        let most = u64::MAX.to_string();
        check(&[Arc::new(UInt64Array::from(vec![7, u64::MAX]))], 0, 2, Some(("7", &most)));
        let decimals = Decimal128Array::from(vec![-5, 120]).with_precision_and_scale(5, 2).unwrap();
        check(&[Arc::new(decimals)], 0, 2, Some(("-0.05", "1.20")));
    }
}
