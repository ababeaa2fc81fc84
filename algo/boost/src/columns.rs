//! How kernels find what they work on: bins first, a column each, then what the kernel is about. By position, since tables of two parties
//! that are put side by side may have the same names.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt16Type};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::{Error, ErrorKind, Field, Result, TableSchema};

/// The number of a node that a row is in which is of no interest: it is in a leaf.
pub const NO_NODE: u16 = u16::MAX;

/// Name of the column of node numbers.
pub const NODE: &str = "node";

/// The columns of bins that begin a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binned {
    /// How many bins each has, that of missing values, which is the last, included.
    pub bins: Vec<u32>,
}

impl Binned {
    /// Bins of all columns.
    pub fn total(&self) -> usize {
        self.bins.iter().map(|bins| *bins as usize).sum()
    }

    /// For each column: the place of its first bin among all, and how many it has.
    pub fn places(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut next = 0;
        self.bins.iter().map(move |bins| {
            let first = next;
            next += *bins as usize;
            (first, *bins as usize)
        })
    }

    /// `InvalidInput` unless a table begins with such columns, and goes on with columns of these types.
    pub(crate) fn expect(&self, input: &TableSchema, then: &[DataType]) -> Result<()> {
        let types: Vec<&DataType> = input.fields().iter().map(|field| &field.data_type).collect();
        let (bins, rest) = types.split_at(self.bins.len().min(types.len()));
        let fits = input.key().is_none()
            && bins.len() == self.bins.len()
            && bins.iter().all(|of| **of == DataType::UInt16)
            && rest.len() == then.len()
            && rest.iter().zip(then).all(|(of, expected)| *of == expected)
            && input.fields().iter().all(|field| !field.nullable);
        let total = self.bins.iter().map(|bins| u64::from(*bins)).sum::<u64>();
        match fits && total <= MAX_BINS && self.bins.iter().all(|bins| (1..=65_536).contains(bins)) {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "{input:?} with {total} bins, expected {} columns of bin numbers and then {then:?}",
                self.bins.len()
            ))),
        }
    }

    /// The bins of a column's rows, each within the column's. `Corrupt` otherwise.
    pub(crate) fn of<'a>(&self, rows: &'a RecordBatch, column: usize) -> Result<&'a [u16]> {
        let bins = &rows.column(column).as_primitive::<UInt16Type>().values()[..];
        let expected = self.bins.get(column).copied().unwrap_or(0);
        match bins.iter().max() {
            Some(most) if u32::from(*most) >= expected => Err(Error::new(
                ErrorKind::Corrupt,
                format!("column {column} has bin {most}, expected bins below {expected}"),
            )),
            _ => Ok(bins),
        }
    }
}

/// Most bins of all columns of a party.
pub const MAX_BINS: u64 = 1 << 22;

/// The nodes of rows, from the column of that place.
pub(crate) fn nodes(rows: &RecordBatch, column: usize) -> &[u16] {
    rows.column(column).as_primitive::<UInt16Type>().values()
}

/// Integers, from the column of that place.
pub(crate) fn integers(rows: &RecordBatch, column: usize) -> &[i64] {
    rows.column(column).as_primitive::<Int64Type>().values()
}

/// The column of nodes as it travels.
pub fn node_schema() -> Result<TableSchema> {
    TableSchema::new(None, vec![Field::new(NODE, DataType::UInt16)])
}
