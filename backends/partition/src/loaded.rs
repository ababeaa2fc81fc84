//! One partition of a plan as a chain of iterators, for everything that neither moves rows nor runs kernels.

use std::sync::Arc;

use arrow_array::RecordBatch;
use futures::StreamExt;
use tributary_core::computing::RowStream;
use tributary_core::error::{Error, ErrorKind, Result, ResultExt};
use tributary_core::schema::TableSchema;
use tributary_core::storage::{Storage, StoredTable};

use crate::batches::{Batches, Feed, fit, wide_batch};
use crate::cancel::Cancel;

/// Rows in memory.
pub(crate) fn held(batches: Vec<RecordBatch>) -> Batches {
    Box::new(batches.into_iter().map(Ok))
}

/// One partition of a stored table. The thread waits for storage: rows are needed here, and now.
pub(crate) struct Loaded {
    table: Arc<StoredTable>,
    partition: u32,
    rows: RowStream,
    count: u64,
    cancel: Cancel,
}

impl Loaded {
    pub(crate) fn open(
        storage: &dyn Storage,
        table: Arc<StoredTable>,
        partition: u32,
        cancel: Cancel,
    ) -> Result<Batches> {
        let scan = cancel.wait(storage.scan(&table, partition));
        let rows = scan.at(|| format!("load {} partition {partition}", table.uri))?;
        Ok(Box::new(Self { table, partition, rows, count: 0, cancel }))
    }

    fn pull(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let rows = &mut self.rows;
            let Some(batch) = self.cancel.wait(async { rows.next().await.transpose() })? else { break };
            if batch.num_rows() > 0 {
                self.count += batch.num_rows() as u64;
                return fit(&self.table.schema, batch).map(Some);
            }
        }
        let expected = self.table.parts.get(self.partition as usize).map(|part| part.size.rows);
        if expected != Some(self.count) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{} rows were stored, expected {}", self.count, expected.unwrap_or_default()),
            ));
        }
        Ok(None)
    }
}

impl Iterator for Loaded {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let pulled = self.pull();
        pulled.at(|| format!("load {} partition {}", self.table.uri, self.partition)).transpose()
    }
}

/// Equal rows side by side, cut where a batch of either side ends.
pub(crate) struct Zip {
    pub(crate) schema: TableSchema,
    pub(crate) partition: u32,
    pub(crate) left: Feed,
    pub(crate) right: Feed,
    pub(crate) right_has_key: bool,
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
