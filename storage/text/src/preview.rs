//! The first rows of a table, for display.

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::DataType;
use tributary_core::Result;
use tributary_core::meta::TableRecord;

use crate::column::Column;

/// The first rows of some batches, at most [`TableRecord::MAX_PREVIEW_ROWS`], as text, in the form of a download. A missing
/// value is `None`; lists are `[1, 2]`.
pub fn preview(batches: &[RecordBatch]) -> Result<Vec<Vec<Option<String>>>> {
    let mut rows = Vec::new();
    for batch in batches {
        let count = batch.num_rows().min(TableRecord::MAX_PREVIEW_ROWS - rows.len());
        let columns = batch.columns().iter().map(|column| cells(column, count));
        let columns: Vec<Vec<Option<String>>> = columns.collect::<Result<_>>()?;
        rows.extend((0..count).map(|row| columns.iter().map(|column| column[row].clone()).collect()));
    }
    Ok(rows)
}

fn cells(column: &ArrayRef, count: usize) -> Result<Vec<Option<String>>> {
    if let DataType::List(_) = column.data_type() {
        let cells = ArrayFormatter::try_new(column, &FormatOptions::default().with_null(""))?;
        return Ok((0..count)
            .map(|row| column.is_valid(row).then(|| cells.value(row).to_string()))
            .collect());
    }
    let values = Column::of(column)?;
    let cell = |row| {
        let mut text = Vec::new();
        values.write(row, &mut text);
        (!values.is_missing(row)).then(|| String::from_utf8_lossy(&text).into_owned())
    };
    Ok((0..count).map(cell).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::types::Int32Type;
    use arrow_array::{Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn check(column: impl Array + 'static, expected: &[Option<&str>]) {
        let batch = RecordBatch::try_from_iter([("x", Arc::new(column) as ArrayRef)]).unwrap();
        let found: Vec<Option<String>> = preview(&[batch]).unwrap().concat();
        assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn values_are_shown_as_a_download_writes_them() {
        check(Float64Array::from(vec![Some(0.1), Some(1e300), None]), &[Some("0.1"), Some("1e+300"), None]);
        check(Int64Array::from(vec![9_007_199_254_740_993]), &[Some("9007199254740993")]);
        check(StringArray::from(vec!["007", ""]), &[Some("007"), Some("")]);
        let list =
            ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), Some(2)]), None]);
        check(list, &[Some("[1, 2]"), None]);
    }

    #[test]
    fn times_of_any_zone_are_shown_in_utc() {
        for (zone, expected) in [
            (None, "1970-01-01T00:00:01.5"),
            (Some("UTC"), "1970-01-01T00:00:01.5Z"),
            (Some("Europe/Berlin"), "1970-01-01T00:00:01.5Z"),
        ] {
            let times = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]);
            check(times.with_timezone_opt(zone), &[Some(expected), None]);
        }
    }

    #[test]
    fn a_preview_has_at_most_the_kept_number_of_rows() {
        let batch = |n: i64| {
            RecordBatch::try_from_iter([("x", Arc::new(Int64Array::from_iter_values(0..n)) as ArrayRef)])
                .unwrap()
        };
        assert_eq!(preview(&[batch(70), batch(70), batch(70)]).unwrap().len(), TableRecord::MAX_PREVIEW_ROWS);
    }
}
