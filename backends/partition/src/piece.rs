//! Rows of a held table: here, or away on disk until they are read.
//!
//! Code that cuts, counts and passes on rows looks at pieces and reads nothing, so that a table on disk is treated like one
//! in memory.

use std::ops::Range;

use arrow_array::RecordBatch;
use tributary_core::error::Result;

use crate::disk::Away;
use crate::memory::batch_bytes;

/// Some rows of one partition.
#[derive(Clone)]
pub enum Piece {
    Here(RecordBatch),
    Away(Away),
}

impl Piece {
    pub fn rows(&self) -> usize {
        match self {
            Self::Here(batch) => batch.num_rows(),
            Self::Away(away) => away.rows(),
        }
    }

    /// Bytes of the rows in memory, or what they would take there.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Here(batch) => batch_bytes(batch),
            Self::Away(away) => away.bytes(),
        }
    }

    /// Bytes of the rows, if they are in memory.
    pub fn bytes_here(&self) -> u64 {
        match self {
            Self::Here(batch) => batch_bytes(batch),
            Self::Away(_) => 0,
        }
    }

    /// So many rows from the first one on. Nothing is copied or read.
    #[must_use]
    pub fn slice(&self, first: usize, rows: usize) -> Self {
        match self {
            Self::Here(batch) => Self::Here(batch.slice(first, rows)),
            Self::Away(away) => Self::Away(away.slice(first, rows)),
        }
    }

    /// The rows, read if they are away.
    pub fn load(&self) -> Result<RecordBatch> {
        match self {
            Self::Here(batch) => Ok(batch.clone()),
            Self::Away(away) => away.load(),
        }
    }
}

/// Rows `wanted` of these pieces, which are numbered from 0.
pub fn slice_rows(pieces: &[Piece], wanted: Range<u64>) -> Vec<Piece> {
    let mut first = 0u64;
    let mut found = Vec::new();
    for piece in pieces {
        let end = first + piece.rows() as u64;
        let (from, to) = (wanted.start.max(first), wanted.end.min(end));
        if from < to {
            found.push(piece.slice((from - first) as usize, (to - from) as usize));
        }
        if end >= wanted.end {
            break;
        }
        first = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, UInt64Array};
    use tributary_core::schema::{KeyType, TableSchema};

    use super::*;

    #[test]
    fn rows_are_found_across_pieces() {
        let schema = TableSchema::keyed("k", KeyType::UInt64, vec![]).unwrap();
        let numbers = |rows: Range<u64>| {
            let keys: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows));
            Piece::Here(schema.batch(vec![keys]).unwrap())
        };
        let pieces = [numbers(0..5), numbers(5..6), numbers(6..10)];
        let found = |rows| slice_rows(&pieces, rows).iter().map(Piece::rows).collect::<Vec<_>>();
        assert_eq!(found(3..8), [2, 1, 2]);
        assert_eq!(found(5..6), [1]);
        assert_eq!(found(4..4), [0; 0]);
        assert_eq!(found(20..30), [0; 0]);
    }
}
