//! Each row into one of several parts of given sizes: by the order of a hash of seed and id, as [`Table::sample`] draws.

use std::sync::Arc;

use arrow_array::{RecordBatch, UInt32Array};
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, KernelCall, MapKernel};
use tributary_core::ops::rows::sample_hashes;
use tributary_core::{Error, Result, Table, TableSchema};

use crate::mark_schema;
use crate::strata::{Stratum, only, texts};

/// How many rows of a stratum get each mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The stratum; the whole table if its value is empty and no column tells strata apart.
    pub of: Stratum,
    /// Rows by mark, from 0. What is left gets the next mark.
    pub sizes: Vec<u64>,
}

/// Marks of all rows. `strata`: the column of the shares' values. The table is laid out in `Rows`, and so are its marks.
///
/// Cost: counts of hashes, four for each size at most. Errors: `InvalidInput` for sizes beyond a stratum's rows.
pub async fn deal(table: &Table, strata: Option<&str>, shares: &[Share], seed: u64) -> Result<Table> {
    let mut ends = Vec::new();
    for share in shares {
        let rows = match strata {
            None => table.select::<&str>([])?,
            Some(column) => only(&table.select([column])?, column, &share.of.value)?,
        };
        let mut dealt = 0u64;
        let mut of_share = Vec::new();
        for size in &share.sizes {
            dealt = dealt.saturating_add(*size);
            of_share.push(match dealt {
                0 => None,
                all if all == share.of.rows => Some(u64::MAX),
                more if more > share.of.rows => {
                    return Err(Error::invalid(format!("{more} rows to be drawn of {}", share.of.rows)));
                }
                some => Some(rows.sample_hash(some, seed).await?),
            });
        }
        ends.push((share.of.value.clone(), of_share));
    }
    let params = DealParams { seed, strata: strata.map(str::to_owned), ends };
    table.map(KernelCall::map::<Deal>(&params)?)
}

/// Parameters of [`Deal`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DealParams {
    seed: u64,
    strata: Option<String>,
    /// By stratum: the greatest hash of each mark, nothing if no row has it.
    ends: Vec<(String, Vec<Option<u64>>)>,
}

/// Kernel `sampling.deal`: marks in place of rows.
#[derive(Debug)]
pub(crate) struct Deal {
    params: DealParams,
    column: Option<(usize, String)>,
}

impl MapKernel for Deal {
    type Params = DealParams;
    const NAME: &'static str = "sampling.deal";
    const KEEPS: Keeps = Keeps::Rows;

    fn output(params: &DealParams, input: &TableSchema) -> Result<TableSchema> {
        input.expect_key("a draw of rows")?;
        params.strata.as_ref().map(|column| input.column_index(column)).transpose()?;
        mark_schema()
    }

    fn open(params: DealParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let column = params.strata.clone();
        let column = column.map(|name| Ok::<_, Error>((input.column_index(&name)?, name))).transpose()?;
        Ok(Self { params, column })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let hashes = sample_hashes(self.params.seed, rows)?;
        let strata = self.column.as_ref().map(|(index, name)| texts(rows, *index, name)).transpose()?;
        let mark = |(row, hash): (usize, &u64)| {
            let value = strata.as_ref().map_or("", |strata| strata.value(row));
            let ends = self.params.ends.iter().find(|(stratum, _)| stratum == value);
            let (_, ends) = ends.ok_or_else(|| Error::bug("a row of no stratum"))?;
            let mark = ends.iter().position(|end| end.is_some_and(|end| *hash <= end));
            Ok(mark.unwrap_or(ends.len()) as u32)
        };
        let marks: Vec<u32> = hashes.iter().enumerate().map(mark).collect::<Result<_>>()?;
        mark_schema()?.batch(vec![Arc::new(UInt32Array::from(marks))])
    }
}
