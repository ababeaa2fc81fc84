//! Rows on their way, and how many of them a partition has.

use arrow_array::RecordBatch;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Batches on their way; dropping it stops the source.
pub type RowStream = BoxStream<'static, Result<RecordBatch>>;

/// Size of one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSize {
    /// Number of rows.
    pub rows: u64,
    /// Bytes in memory or on the medium.
    pub bytes: u64,
}
