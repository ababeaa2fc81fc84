//! Two tables of equal rows, side by side.

use arrow_array::RecordBatch;
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_core::schema::TableSchema;

use crate::batches::{Feed, wide_batch};

/// Equal rows side by side, cut where a batch of either side ends.
pub struct Zip {
    pub schema: TableSchema,
    pub partition: u32,
    pub left: Feed,
    pub right: Feed,
    pub right_has_key: bool,
}

impl Zip {
    fn advance(&mut self) -> Result<Option<RecordBatch>> {
        let (left, right) = (self.left.ready()?, self.right.ready()?);
        if (left == 0) != (right == 0) {
            let text = format!("zip: sides have different numbers of rows in partition {}", self.partition);
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        let rows = left.min(right);
        let (Some(left), Some(right)) = (self.left.pull(rows)?, self.right.pull(rows)?) else {
            return Ok(None);
        };
        let mut columns = left.columns().to_vec();
        columns.extend_from_slice(&right.columns()[usize::from(self.right_has_key)..]);
        wide_batch(&self.schema, columns, rows).map(Some)
    }
}

impl Iterator for Zip {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
