//! Additive secret sharing over the integers modulo 2⁶⁴.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, MapKernel, PartContext, Repeats};
use tributary_core::{Error, Field, Result, TableSchema};

/// Name of the column with the share for party i.
pub(super) fn share(party: usize) -> String {
    format!("share_{party}")
}

/// Splits column `value` into random shares that add up to it, one column for each party.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Split {
    /// Number of shares.
    pub parties: u32,
}

impl MapKernel for Split {
    type Params = Split;
    const NAME: &'static str = "toy.split";
    const KEEPS: Keeps = Keeps::Both;
    const REPEATS: Repeats = Repeats::Fresh;

    fn output(params: &Split, input: &TableSchema) -> Result<TableSchema> {
        input.column_index("value")?;
        if params.parties == 0 {
            return Err(Error::invalid("shares for no parties"));
        }
        let fields = (0..params.parties as usize).map(|p| Field::new(share(p), DataType::UInt64));
        input.with_fields(fields.collect())
    }

    fn open(params: Split, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let values = rows.column(rows.num_columns() - 1).as_primitive::<UInt64Type>();
        let mut random = rand::rng();
        let mut rest: Vec<u64> = values.values().to_vec();
        let mut columns: Vec<ArrayRef> = rows.columns()[..rows.num_columns() - 1].to_vec();
        let mut fields: Vec<_> = rows.schema().fields()[..rows.num_columns() - 1].to_vec();
        for party in 0..self.parties as usize {
            let last = party + 1 == self.parties as usize;
            let shares: Vec<u64> = if last {
                std::mem::take(&mut rest)
            } else {
                let shares: Vec<u64> = rest.iter().map(|_| random.next_u64()).collect();
                rest.iter_mut().zip(&shares).for_each(|(rest, s)| *rest = rest.wrapping_sub(*s));
                shares
            };
            fields.push(Arc::new(arrow_schema::Field::new(share(party), DataType::UInt64, false)));
            columns.push(Arc::new(UInt64Array::from(shares)));
        }
        Ok(RecordBatch::try_new(Arc::new(arrow_schema::Schema::new(fields)), columns)?)
    }
}

/// Adds up all values of all columns but the key, modulo 2⁶⁴: one row a partition.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct WrappingSum;

impl WrappingSum {
    fn schema() -> Result<TableSchema> {
        TableSchema::new(None, vec![Field::new("sum", DataType::UInt64)])
    }

    /// Adds up all rows of one-column batches.
    pub(super) fn total(rows: &[RecordBatch]) -> u64 {
        let all = rows.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt64Type>().values().iter());
        all.fold(0, |sum, v| sum.wrapping_add(*v))
    }
}

impl FoldKernel for WrappingSum {
    type Params = WrappingSum;
    type State = u64;
    const NAME: &'static str = "toy.wrapping_sum";

    fn output(_: &WrappingSum, input: &TableSchema) -> Result<TableSchema> {
        match input.fields().iter().find(|f| f.data_type != DataType::UInt64) {
            Some(field) => Err(Error::invalid(format!("column {:?} is not UInt64", field.name))),
            None => Self::schema(),
        }
    }

    fn open(params: WrappingSum, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        if input.key().is_some() {
            return Err(Error::invalid("a sum of shares has no key"));
        }
        Ok(params)
    }

    fn start(&self, _: PartContext) -> Result<u64> {
        Ok(0)
    }

    fn fold(&self, sum: &mut u64, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        for column in rows.columns() {
            let values = column.as_primitive::<UInt64Type>().values();
            *sum = values.iter().fold(*sum, |sum, v| sum.wrapping_add(*v));
        }
        Ok(())
    }

    fn finish(&self, sum: u64, out: &mut dyn Emit) -> Result<()> {
        out.emit(Self::schema()?.batch(vec![Arc::new(UInt64Array::from(vec![sum]))])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_differ_from_run_to_run() {
        let schema = TableSchema::new(None, vec![Field::new("value", DataType::UInt64)]).unwrap();
        let values: Vec<u64> = vec![1, 0, u64::MAX, 77];
        let rows = schema.batch(vec![Arc::new(UInt64Array::from(values.clone()))]).unwrap();
        let split = Split { parties: 3 };
        let (a, b) = (split.map(None, &rows).unwrap(), split.map(None, &rows).unwrap());
        assert_ne!(a, b);
        for (row, value) in values.iter().enumerate() {
            let shares = a.columns().iter().map(|c| c.as_primitive::<UInt64Type>().value(row));
            assert_eq!(shares.fold(0, u64::wrapping_add), *value);
        }
    }
}
