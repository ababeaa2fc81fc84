//! How much of a decoded batch becomes a batch of a table at once.
//!
//! A dictionary holds a long text once, and rows of a few bits name it: sixteen thousand of them would become gigabytes. So the
//! decoder is asked for views, which have the bytes of each dictionary and page once, and rows are copied out of them in pieces
//! of bounded size. Values of a fixed width have no views: their width says how many rows a batch may have.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

/// Bytes of text in all columns of a piece, unless one row has more.
pub(crate) const MOST_BYTES: u64 = 32 << 20;

/// The schema with which the decoder gives views in place of texts.
pub(crate) fn with_views(schema: &Schema) -> SchemaRef {
    let field = |field: &Arc<Field>| {
        let viewed = match field.data_type() {
            DataType::Utf8 => DataType::Utf8View,
            DataType::Binary => DataType::BinaryView,
            other => other.clone(),
        };
        Arc::new(field.as_ref().clone().with_data_type(viewed))
    };
    Arc::new(Schema::new(schema.fields().iter().map(field).collect::<Vec<_>>()))
}

/// Bytes of a row in columns of a fixed width of their own choice.
pub(crate) fn fixed_bytes(schema: &Schema) -> u64 {
    let width = |field: &Arc<Field>| match field.data_type() {
        DataType::FixedSizeBinary(width) => u64::from(width.unsigned_abs()),
        _ => 0,
    };
    schema.fields().iter().map(width).sum()
}

/// A decoded batch, of which some rows are still to come.
#[derive(Debug)]
pub(crate) struct Pieces {
    rows: RecordBatch,
    from: usize,
}

impl Pieces {
    pub(crate) fn new(rows: RecordBatch) -> Self {
        Self { rows, from: 0 }
    }

    /// The next rows, at least one; `None` after the last.
    pub(crate) fn next(&mut self) -> Option<(Range<usize>, RecordBatch)> {
        let (from, end) = (self.from, self.rows.num_rows());
        if from == end {
            return None;
        }
        let lengths: Vec<&[u128]> = self.rows.columns().iter().filter_map(views).collect();
        let mut bytes = 0u64;
        let row_bytes = |row: usize| lengths.iter().map(|views| u64::from(views[row] as u32)).sum::<u64>();
        let fits = (from..end).take_while(|row| {
            bytes = bytes.saturating_add(row_bytes(*row));
            bytes <= MOST_BYTES
        });
        let count = fits.count().max(1);
        self.from = from + count;
        Some((from..self.from, self.rows.slice(from, count)))
    }
}

/// The low 32 bits of a view are the length of its value; that of a missing one is 0.
fn views(column: &ArrayRef) -> Option<&[u128]> {
    match column.data_type() {
        DataType::Utf8View => Some(column.as_string_view().views()),
        DataType::BinaryView => Some(column.as_binary_view().views()),
        _ => None,
    }
}

/// The values themselves in place of views.
pub(crate) fn unfolded(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    match column.data_type() {
        DataType::Utf8View => cast(column, &DataType::Utf8),
        DataType::BinaryView => cast(column, &DataType::Binary),
        _ => Ok(column.clone()),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::builder::StringViewBuilder;
    use arrow_array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn pieces_are_bounded_and_together_all_rows() {
        // The views of all rows show the same bytes.
        let long = "x".repeat(1 << 20);
        let mut texts = StringViewBuilder::new().with_deduplicate_strings();
        (0..100).for_each(|row| texts.append_option((row != 50).then_some(&long)));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let columns: Vec<(&str, ArrayRef)> = vec![("text", Arc::new(texts.finish())), ("number", numbers)];
        let mut pieces = Pieces::new(RecordBatch::try_from_iter(columns).unwrap());
        let mut next = 0;
        while let Some((rows, piece)) = pieces.next() {
            assert_eq!((rows.start, rows.len()), (next, piece.num_rows()));
            assert!(rows.len() <= 33, "{rows:?}");
            let values = unfolded(piece.column(0)).unwrap();
            let values: &StringArray = values.as_string();
            assert!(values.value_data().len() as u64 <= MOST_BYTES);
            assert!(
                values.iter().zip(rows.clone()).all(|(value, row)| value == (row != 50).then_some(&*long))
            );
            next = rows.end;
        }
        assert_eq!(next, 100);
    }

    #[test]
    fn a_row_of_more_is_a_piece_of_its_own() {
        let long = "x".repeat(MOST_BYTES as usize + 1);
        let texts: ArrayRef = Arc::new(arrow_array::StringViewArray::from_iter_values([&*long, "", &long]));
        let mut pieces = Pieces::new(RecordBatch::try_from_iter([("text", texts)]).unwrap());
        let rows = std::iter::from_fn(|| pieces.next().map(|(rows, _)| rows)).collect::<Vec<_>>();
        assert_eq!(rows, [0..1, 1..2, 2..3]);
    }
}
