//! Columns whose values are names of folders.
//!
//! A type keeps every value exactly: whole numbers that are written as numbers are, and days; anything else stays text.

use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray, UInt32Array, new_null_array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::DataType;
use arrow_select::take::take;

use tributary_core::{Error, Result};

use crate::column::Column;

/// The column of a key with these values, `None` for a missing one.
pub(crate) fn described(key: &str, values: &[Option<String>]) -> Column {
    let keeps = |data_type: &DataType| values.iter().flatten().all(|value| is_kept(value, data_type));
    let found = values.iter().any(Option::is_some);
    let data_type =
        [DataType::Int64, DataType::Date32].into_iter().find(|data_type| found && keeps(data_type));
    let data_type = data_type.unwrap_or(DataType::Utf8);
    Column {
        name: key.to_owned(),
        stored: format!("{data_type} in names of folders"),
        nullable: values.iter().any(Option::is_none),
        is_category: false,
        is_uuid: false,
        is_int96: false,
        read_as: data_type.clone(),
        becomes: Ok(data_type),
    }
}

fn is_kept(value: &str, data_type: &DataType) -> bool {
    let back = |values: ArrayRef| cast_with_options(&values, &DataType::Utf8, &STRICT);
    let text = one(value, data_type).and_then(|values| Ok(back(values)?));
    text.is_ok_and(|text| *text == StringArray::from(vec![value]))
}

const STRICT: CastOptions<'_> =
    CastOptions { safe: false, format_options: arrow_cast::display::FormatOptions::new() };

fn one(value: &str, data_type: &DataType) -> Result<ArrayRef> {
    let text: ArrayRef = Arc::new(StringArray::from(vec![value]));
    Ok(cast_with_options(&text, data_type, &STRICT)?)
}

/// A value, or a missing one, in every row.
pub(crate) fn column(value: Option<&str>, data_type: &DataType, rows: usize) -> Result<ArrayRef> {
    let Some(value) = value else { return Ok(new_null_array(data_type, rows)) };
    let wrong = |reason| {
        Error::invalid(format!("the name of its folder gives a value that is no {data_type}")).because(reason)
    };
    let value = one(value, data_type).map_err(wrong)?;
    Ok(take(&value, &UInt32Array::from(vec![0; rows]), None)?)
}

#[cfg(test)]
mod tests {
    use arrow_array::Array;

    use super::*;

    #[test]
    fn a_type_keeps_every_value_of_a_key() {
        let of = |values: &[&str]| {
            let values: Vec<_> =
                values.iter().map(|value| (*value != "-").then(|| value.to_string())).collect();
            let column = described("k", &values);
            (column.read_as, column.nullable)
        };
        assert_eq!(of(&["1", "-20", "9223372036854775807"]), (DataType::Int64, false));
        assert_eq!(of(&["2024-01-31", "-"]), (DataType::Date32, true));
        for text in [
            &["01", "2"][..],
            &["+1"],
            &["1.0"],
            &["1", "a"],
            &["2024-1-31"],
            &["-"],
            &["9223372036854775808"],
            &[" 1"],
        ] {
            assert_eq!(of(text).0, DataType::Utf8, "{text:?}");
        }
    }

    #[test]
    fn all_rows_of_a_file_have_its_value() {
        let numbers = column(Some("7"), &DataType::Int32, 3).unwrap();
        assert_eq!(&*numbers, &arrow_array::Int32Array::from(vec![7; 3]) as &dyn Array);
        assert_eq!(column(None, &DataType::Date32, 2).unwrap().null_count(), 2);
        assert_eq!(column(Some("x"), &DataType::Utf8, 0).unwrap().len(), 0);
        assert!(column(Some("x"), &DataType::Int64, 1).is_err());
    }
}
