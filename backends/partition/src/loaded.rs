//! Stored rows: one partition of a stored table.

use std::sync::Arc;

use arrow_array::RecordBatch;
use futures::StreamExt;
use tributary_core::computing::RowStream;
use tributary_core::error::{Error, ErrorKind, Result, ResultExt};
use tributary_core::storage::{Storage, StoredTable};

use crate::batches::{Batches, fit};
use crate::cancel::Cancel;

/// One partition of a stored table, as many rows as its manifest says. The thread waits for storage: rows are needed here, and now.
pub struct Loaded {
    table: Arc<StoredTable>,
    partition: u32,
    rows: RowStream,
    count: u64,
    cancel: Cancel,
}

impl Loaded {
    pub fn open(
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
