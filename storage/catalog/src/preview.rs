//! Rows as a record keeps them for display.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use tributary_core::Result;
use tributary_core::meta::TableRecord;

/// The first rows of some batches as text; a missing value is `None`, bytes are hex.
pub fn preview(rows: &[RecordBatch]) -> Result<Vec<Vec<Option<String>>>> {
    let options = FormatOptions::default().with_null("");
    let mut shown = Vec::new();
    for batch in rows {
        let columns: Vec<(ArrayRef, &str)> = batch.columns().iter().map(in_utc).collect();
        let cells: Vec<ArrayFormatter> =
            columns.iter().map(|(c, _)| ArrayFormatter::try_new(c, &options)).collect::<Result<_, _>>()?;
        for row in 0..batch.num_rows().min(TableRecord::MAX_PREVIEW_ROWS - shown.len()) {
            let text = |(cell, (column, zone)): (&ArrayFormatter, &(ArrayRef, &str))| {
                column.is_valid(row).then(|| format!("{}{zone}", cell.value(row)))
            };
            shown.push(cells.iter().zip(&columns).map(text).collect());
        }
    }
    Ok(shown)
}

/// Times with a zone as UTC, and what to write behind them: names of zones need a database of them.
fn in_utc(column: &ArrayRef) -> (ArrayRef, &'static str) {
    match column.as_primitive_opt::<TimestampMicrosecondType>() {
        Some(times) if times.timezone().is_some() => {
            let utc = times.clone().with_timezone_opt(None::<&str>);
            (Arc::new(utc), "Z")
        }
        _ => (column.clone(), ""),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::TimestampMicrosecondArray;

    use super::*;

    #[test]
    fn times_of_any_zone_are_shown_in_utc() {
        for (zone, expected) in [
            (None, "1970-01-01T00:00:01"),
            (Some("UTC"), "1970-01-01T00:00:01Z"),
            (Some("Europe/Berlin"), "1970-01-01T00:00:01Z"),
        ] {
            let times = TimestampMicrosecondArray::from(vec![Some(1_000_000), None]).with_timezone_opt(zone);
            let batch = RecordBatch::try_from_iter([("t", Arc::new(times) as ArrayRef)]).unwrap();
            assert_eq!(preview(&[batch]).unwrap(), [[Some(expected.to_owned())], [None]]);
        }
    }
}
