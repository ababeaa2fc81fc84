//! Values of a file as values of a table. Exact or refused: nothing is rounded, cut or wrapped.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, TimestampMicrosecondType, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, PrimitiveArray, StringArray};
use arrow_cast::cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, TimeUnit};

/// A value that its new type cannot hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Which, from 0 in the array.
    pub(crate) row: usize,
    /// Why.
    pub(crate) reason: String,
}

/// Whether values of a column's type may be had as another one; single values may still not fit.
pub(crate) fn can_become(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    let is_integer = |t: &T| t.is_integer();
    match (from, to) {
        _ if from == to => true,
        // a label of 0.0 and 1.0 is one of 0 and 1
        (T::Boolean, to) => is_integer(to),
        (from, T::Utf8) => is_integer(from) || *from == T::Date32,
        (from, T::Float64) => *from == T::Float32 || is_integer(from),
        (from, to) if is_integer(to) => is_integer(from) || matches!(from, T::Float32 | T::Float64),
        _ => false,
    }
}

/// The values as `to`: first what the type of the file becomes in any table, then what this table wants.
pub(crate) fn convert(values: &ArrayRef, is_uuid: bool, to: &DataType) -> Result<ArrayRef, Misfit> {
    use DataType as T;
    match (values.data_type(), to) {
        (from, to) if from == to => Ok(values.clone()),
        (T::Timestamp(TimeUnit::Nanosecond, _), T::Timestamp(TimeUnit::Microsecond, _)) => micros(values, to),
        (T::FixedSizeBinary(_), T::Utf8) if is_uuid => Ok(uuids(values.as_fixed_size_binary())),
        (T::Float32 | T::Float64, to) if to.is_integer() => whole(values).and_then(|()| cast(values, to)),
        (from, T::Float64) if from.is_integer() => {
            let numbers = cast(values, to)?;
            let back = cast(&numbers, values.data_type())?;
            match (0..values.len()).find(|i| values.slice(*i, 1) != back.slice(*i, 1)) {
                Some(row) if values.to_data() != back.to_data() => {
                    Err(Misfit { row, reason: "it has more digits than a Float64 holds".into() })
                }
                _ => Ok(numbers),
            }
        }
        _ => cast(values, to),
    }
}

fn cast(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, Misfit> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let refused = |reason: String| Misfit { row: 0, reason };
    let cast = cast_with_options(values, to, &options).map_err(|e| refused(e.to_string()))?;
    if *values.data_type() != DataType::Null && cast.null_count() > values.null_count() {
        let lost = (0..values.len()).find(|i| cast.is_null(*i) && values.is_valid(*i));
        return Err(Misfit { row: lost.unwrap_or(0), reason: format!("it does not fit {to}") });
    }
    Ok(cast)
}

fn micros(values: &ArrayRef, to: &DataType) -> Result<ArrayRef, Misfit> {
    let nanos = values.as_primitive::<TimestampNanosecondType>();
    let cut = |i: &usize| nanos.is_valid(*i) && nanos.value(*i) % 1000 != 0;
    if let Some(row) = (0..nanos.len()).find(cut) {
        return Err(Misfit {
            row,
            reason: "it has nanoseconds, and a table keeps microseconds; round it first".into(),
        });
    }
    let micros: PrimitiveArray<TimestampMicrosecondType> = nanos.unary(|nanos| nanos.div_euclid(1000));
    Ok(Arc::new(micros.with_data_type(to.clone())))
}

fn whole(values: &ArrayRef) -> Result<(), Misfit> {
    let broken = |value: f64| value.fract() != 0.0 || value.is_nan();
    let found = match values.data_type() {
        DataType::Float32 => {
            let values = values.as_primitive::<Float32Type>();
            (0..values.len()).find(|i| values.is_valid(*i) && broken(f64::from(values.value(*i))))
        }
        _ => {
            let values = values.as_primitive::<Float64Type>();
            (0..values.len()).find(|i| values.is_valid(*i) && broken(values.value(*i)))
        }
    };
    found.map_or(Ok(()), |row| Err(Misfit { row, reason: "it is not a whole number".into() }))
}

fn uuids(values: &FixedSizeBinaryArray) -> ArrayRef {
    let text = |bytes: &[u8]| {
        let mut text = String::with_capacity(36);
        for (i, byte) in bytes.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            text.push_str(&format!("{byte:02x}"));
        }
        text
    };
    Arc::new(values.iter().map(|value| value.map(text)).collect::<StringArray>())
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        BooleanArray, Float64Array, Int16Array, Int64Array, TimestampNanosecondArray, UInt64Array,
    };

    use super::*;

    fn check(
        values: impl Array + 'static,
        to: DataType,
        expected: Result<impl Array + 'static, (usize, &str)>,
    ) {
        let values: ArrayRef = Arc::new(values);
        match (convert(&values, false, &to), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found.to_data(), expected.to_data()),
            (Err(found), Err((row, reason))) => {
                assert!(found.row == row && found.reason.contains(reason), "{found:?}");
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    const NONE: Result<Int64Array, (usize, &str)> = Err((0, ""));

    #[test]
    fn values_are_kept_exactly_or_refused_by_row() {
        let micro = DataType::Timestamp(TimeUnit::Microsecond, None);
        let wanted = PrimitiveArray::<TimestampMicrosecondType>::from(vec![Some(-1), None]);
        check(TimestampNanosecondArray::from(vec![Some(-1000), None]), micro.clone(), Ok(wanted));
        let refused = |row, reason| NONE.map_err(|_| (row, reason));
        check(TimestampNanosecondArray::from(vec![1000, 1001]), micro, refused(1, "nanoseconds"));
        check(UInt64Array::from(vec![1, u64::MAX]), DataType::Int64, refused(1, "does not fit Int64"));
        check(Float64Array::from(vec![1.0, 0.5]), DataType::Int32, refused(1, "not a whole number"));
        check(Float64Array::from(vec![1.0, 1e10]), DataType::Int32, refused(1, "does not fit Int32"));
        check(Float64Array::from(vec![f64::NAN]), DataType::Int32, refused(0, "not a whole number"));
        check(Int64Array::from(vec![0, (1 << 53) + 1]), DataType::Float64, refused(1, "more digits"));
    }

    #[test]
    fn ids_and_labels_may_be_of_other_types() {
        check(Int16Array::from(vec![-7]), DataType::Utf8, Ok(StringArray::from(vec!["-7"])));
        check(BooleanArray::from(vec![true]), DataType::Int64, Ok(Int64Array::from(vec![1])));
        check(
            Float64Array::from(vec![Some(1.0), None]),
            DataType::Int64,
            Ok(Int64Array::from(vec![Some(1), None])),
        );
        assert!(!can_become(&DataType::Float64, &DataType::Utf8), "1 and 1.0 would be two ids");
        let uuid = FixedSizeBinaryArray::try_from_iter([[0xAB; 16]].into_iter()).unwrap();
        let text = convert(&(Arc::new(uuid) as ArrayRef), true, &DataType::Utf8).unwrap();
        assert_eq!(text.as_string::<i32>().value(0), "abababab-abab-abab-abab-abababababab");
    }
}
