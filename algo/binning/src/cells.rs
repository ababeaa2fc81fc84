//! Cells of a histogram: one for each feature and bin, and the columns of bin numbers that assign rows to them.

use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt16Type;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::{Error, ErrorKind, Field, KeyType, Result, TableSchema};

use crate::cuts::Cuts;

/// A column of bin numbers, as [`AssignBins`](crate::AssignBins) makes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BinColumn {
    /// A column of `UInt16`.
    pub column: String,
    /// Number of bins, the one of missing values included.
    pub bins: u32,
}

/// The key of a feature's bin: both numbers in one.
pub fn cell_key(feature: u32, bin: u32) -> u64 {
    (u64::from(feature) << 32) | u64::from(bin)
}

/// Feature and bin of a key.
pub fn cell_of(key: u64) -> (u32, u32) {
    ((key >> 32) as u32, key as u32)
}

/// The columns of rows that represent cells.
pub(crate) fn cell_schema(fields: Vec<Field>) -> Result<TableSchema> {
    TableSchema::keyed("cell", KeyType::UInt64, fields)
}

/// Number of cells of all columns. Errors: `InvalidInput` for a number of bins that no cut points have, `Exhausted` beyond
/// 16 million in all: both bound what a peer can ask for.
pub(crate) fn total_cells(columns: &[BinColumn]) -> Result<u64> {
    const MOST: u64 = 1 << 24;
    let possible = 1..=Cuts::MAX_BINS as u32 + 1;
    if let Some(BinColumn { column, bins }) = columns.iter().find(|c| !possible.contains(&c.bins)) {
        return Err(Error::invalid(format!("column {column:?} has {bins} bins, expected {possible:?}")));
    }
    let total = columns.iter().map(|c| u64::from(c.bins)).sum();
    if total > MOST {
        let text = format!("{total} bins in all features together, at most {MOST}; use fewer");
        return Err(Error::new(ErrorKind::Exhausted, text));
    }
    Ok(total)
}

/// Opened columns of bin numbers; their cells follow one another, feature by feature.
#[derive(Debug)]
pub(crate) struct Cells(Vec<(String, usize, Range<usize>)>);

impl Cells {
    pub fn open(columns: &[BinColumn], input: &TableSchema) -> Result<Self> {
        total_cells(columns)?;
        let mut next = 0;
        let mut open = |BinColumn { column, bins }: &BinColumn| {
            let index = input.column_index(column)?;
            let field = input.arrow().field(index);
            if field.data_type() != &DataType::UInt16 || field.is_nullable() {
                return Err(Error::invalid(format!(
                    "column {column:?} has type {}, expected bin numbers (UInt16)",
                    field.data_type()
                )));
            }
            let start = next;
            next += *bins as usize;
            Ok((column.clone(), index, start..next))
        };
        Ok(Self(columns.iter().map(&mut open).collect::<Result<_>>()?))
    }

    /// Number of cells.
    pub fn len(&self) -> usize {
        self.0.last().map_or(0, |(_, _, cells)| cells.end)
    }

    /// For each feature: its cells, and the bin of each row. Errors: `InvalidInput` for a bin that does not exist.
    pub fn bins<'a>(
        &'a self,
        rows: &'a RecordBatch,
    ) -> impl Iterator<Item = Result<(Range<usize>, &'a [u16])>> + 'a {
        self.0.iter().map(|(name, column, cells)| {
            let bins = rows.column(*column).as_primitive::<UInt16Type>().values().as_ref();
            match bins.iter().max() {
                Some(most) if usize::from(*most) >= cells.len() => Err(Error::invalid(format!(
                    "column {name:?} has bin {most}, expected bins below {}",
                    cells.len()
                ))),
                _ => Ok((cells.clone(), bins)),
            }
        })
    }

    /// The key of each cell, in order.
    pub fn keys(&self) -> impl Iterator<Item = u64> + '_ {
        (0u32..).zip(&self.0).flat_map(|(feature, (_, _, cells))| {
            (0..cells.len() as u32).map(move |bin| cell_key(feature, bin))
        })
    }
}
