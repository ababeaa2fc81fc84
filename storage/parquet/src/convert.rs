//! Values of a file as values of a table. Exact or refused: nothing is rounded, truncated or wrapped.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, TimestampMicrosecondType, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef, FixedSizeBinaryArray, PrimitiveArray, StringArray};
use arrow_cast::cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, TimeUnit};
use data_encoding::HEXLOWER;

/// A value that its new type cannot hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Its row, from 0 in the array.
    pub(crate) row: usize,
    /// The reason.
    pub(crate) reason: String,
}

/// Why a time does not fit.
const TOO_FINE: &str = "it has nanoseconds, and a table keeps microseconds; round it first";

/// Whether values of a column's type can be converted to another one; single values may still not fit.
pub(crate) fn can_become(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    let is_integer = |t: &T| t.is_integer();
    match (from, to) {
        _ if from == to => true,
        // labels 0.0 and 1.0 are labels 0 and 1
        (T::Boolean, to) => is_integer(to),
        (from, T::Utf8) => is_integer(from) || *from == T::Date32,
        (from, T::Float64) => *from == T::Float32 || is_integer(from),
        (from, to) if is_integer(to) => is_integer(from) || matches!(from, T::Float32 | T::Float64),
        _ => false,
    }
}

/// The values as `to`: first converted to the type that any table uses, then to this table's type. Also returns the values
/// that do not fit, by row; their places in the array are meaningless.
pub(crate) fn convert(values: &ArrayRef, is_uuid: bool, to: &DataType) -> Result<Converted, ArrowError> {
    use DataType as T;
    match (values.data_type(), to) {
        (from, to) if from == to => Ok((values.clone(), Vec::new())),
        (T::Timestamp(TimeUnit::Nanosecond, _), T::Timestamp(TimeUnit::Microsecond, _)) => {
            Ok(micros(values, to))
        }
        (T::FixedSizeBinary(_), T::Utf8) if is_uuid => Ok((uuids(values.as_fixed_size_binary()), Vec::new())),
        (T::Float32 | T::Float64, to) if to.is_integer() => {
            let (whole, mut lost) = cast(values, to)?;
            let broken = not_whole(values);
            lost.retain(|misfit| broken.binary_search(&misfit.row).is_err());
            let reason = "it is not a whole number";
            lost.extend(broken.into_iter().map(|row| Misfit { row, reason: reason.into() }));
            lost.sort_by_key(|misfit| misfit.row);
            Ok((whole, lost))
        }
        (from, T::Float64) if from.is_integer() => {
            let (numbers, _) = cast(values, to)?;
            let (back, _) = cast(&numbers, values.data_type())?;
            if values.to_data() == back.to_data() {
                return Ok((numbers, Vec::new()));
            }
            let reason = "it has more digits than a Float64 holds";
            let rounded = (0..values.len()).filter(|i| values.slice(*i, 1) != back.slice(*i, 1));
            Ok((numbers, rounded.map(|row| Misfit { row, reason: reason.into() }).collect()))
        }
        _ => cast(values, to),
    }
}

type Converted = (ArrayRef, Vec<Misfit>);

fn cast(values: &ArrayRef, to: &DataType) -> Result<Converted, ArrowError> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    let cast = cast_with_options(values, to, &options)?;
    if *values.data_type() == DataType::Null || cast.null_count() == values.null_count() {
        return Ok((cast, Vec::new()));
    }
    let lost = (0..values.len()).filter(|i| cast.is_null(*i) && values.is_valid(*i));
    let lost = lost.map(|row| Misfit { row, reason: format!("it does not fit {to}") }).collect();
    Ok((cast, lost))
}

fn micros(values: &ArrayRef, to: &DataType) -> Converted {
    let nanos = values.as_primitive::<TimestampNanosecondType>();
    let cut = (0..nanos.len()).filter(|i| nanos.is_valid(*i) && nanos.value(*i) % 1000 != 0);
    let cut = cut.map(|row| Misfit { row, reason: TOO_FINE.into() }).collect();
    let micros: PrimitiveArray<TimestampMicrosecondType> = nanos.unary(|nanos| nanos.div_euclid(1000));
    (Arc::new(micros.with_data_type(to.clone())), cut)
}

/// Times of 96 bits that were truncated to `micros`; `nanos` are the same times, modulo 2^64.
pub(crate) fn cut(micros: &ArrayRef, nanos: &ArrayRef) -> Vec<Misfit> {
    let micros = micros.as_primitive_opt::<TimestampMicrosecondType>();
    let nanos = nanos.as_primitive_opt::<TimestampNanosecondType>();
    let (Some(micros), Some(nanos)) = (micros, nanos) else { return Vec::new() };
    let is_cut = |i: &usize| {
        micros.is_valid(*i) && nanos.value(*i).wrapping_sub(micros.value(*i).wrapping_mul(1000)) != 0
    };
    let rows = 0..micros.len().min(nanos.len());
    rows.filter(is_cut).map(|row| Misfit { row, reason: TOO_FINE.into() }).collect()
}

/// Rows whose number is not whole, in order.
fn not_whole(values: &ArrayRef) -> Vec<usize> {
    let broken = |value: f64| value.fract() != 0.0 || value.is_nan();
    match values.data_type() {
        DataType::Float32 => {
            let values = values.as_primitive::<Float32Type>();
            let is_broken = |i: &usize| values.is_valid(*i) && broken(f64::from(values.value(*i)));
            (0..values.len()).filter(is_broken).collect()
        }
        _ => {
            let values = values.as_primitive::<Float64Type>();
            (0..values.len()).filter(|i| values.is_valid(*i) && broken(values.value(*i))).collect()
        }
    }
}

fn uuids(values: &FixedSizeBinaryArray) -> ArrayRef {
    let text = |bytes: &[u8]| {
        let mut text = HEXLOWER.encode(bytes);
        // From the last on, so that earlier insertions keep their place.
        for place in [20, 16, 12, 8] {
            text.insert(place.min(text.len()), '-');
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

    fn check(values: impl Array + 'static, to: DataType, expected: impl Array + 'static) {
        let values: ArrayRef = Arc::new(values);
        let (found, misfits) = convert(&values, false, &to).unwrap();
        assert_eq!((found.to_data(), misfits), (expected.to_data(), Vec::new()));
    }

    /// All rows that do not fit, in order, and why.
    fn refused(values: impl Array + 'static, to: DataType, expected: &[(usize, &str)]) {
        let values: ArrayRef = Arc::new(values);
        let (found, misfits) = convert(&values, false, &to).unwrap();
        assert_eq!(found.len(), values.len());
        assert_eq!(misfits.len(), expected.len(), "{misfits:?}");
        for (misfit, (row, reason)) in misfits.iter().zip(expected) {
            assert!(misfit.row == *row && misfit.reason.contains(reason), "{misfit:?}");
        }
    }

    #[test]
    fn values_are_kept_exactly_or_refused_by_row() {
        let micro = DataType::Timestamp(TimeUnit::Microsecond, None);
        let wanted = PrimitiveArray::<TimestampMicrosecondType>::from(vec![Some(-1), None]);
        check(TimestampNanosecondArray::from(vec![Some(-1000), None]), micro.clone(), wanted);
        let (cut, whole) = ("nanoseconds", "not a whole number");
        refused(TimestampNanosecondArray::from(vec![1000, 1001, 1]), micro, &[(1, cut), (2, cut)]);
        refused(UInt64Array::from(vec![1, u64::MAX]), DataType::Int64, &[(1, "does not fit Int64")]);
        let mixed = Float64Array::from(vec![1e10, 1.0, 0.5, f64::NAN]);
        refused(mixed, DataType::Int32, &[(0, "does not fit Int32"), (2, whole), (3, whole)]);
        let long = (1 << 53) + 1;
        let digits = "more digits";
        refused(Int64Array::from(vec![0, long, 1, -long]), DataType::Float64, &[(1, digits), (3, digits)]);
        refused(UInt64Array::from(vec![u64::MAX]), DataType::Float64, &[(0, digits)]);
    }

    #[test]
    fn ids_and_labels_may_be_of_other_types() {
        check(Int16Array::from(vec![-7]), DataType::Utf8, StringArray::from(vec!["-7"]));
        check(BooleanArray::from(vec![true]), DataType::Int64, Int64Array::from(vec![1]));
        check(
            Float64Array::from(vec![Some(1.0), None]),
            DataType::Int64,
            Int64Array::from(vec![Some(1), None]),
        );
        assert!(!can_become(&DataType::Float64, &DataType::Utf8), "1 and 1.0 would be two ids");
        let uuid = FixedSizeBinaryArray::try_from_iter([[0xAB; 16]].into_iter()).unwrap();
        let (text, _) = convert(&(Arc::new(uuid) as ArrayRef), true, &DataType::Utf8).unwrap();
        assert_eq!(text.as_string::<i32>().value(0), "abababab-abab-abab-abab-abababababab");
    }
}
