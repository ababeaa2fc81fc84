//! Kernels that choose or count rows.
//!
//! Samples are a threshold on a hash of (seed, key): the same rows for every number of partitions and on every engine.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, Scalar, StringArray, UInt64Array,
};
use arrow_schema::DataType;
use arrow_select::filter::filter_record_batch;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::blob::Blob;
use crate::error::{Error, Result};
use crate::kernel::{Emit, FoldKernel, Keeps, MapKernel, PartContext};
use crate::layout::Keys;
use crate::schema::{Field, TableSchema};

/// A value to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// For integer columns.
    Int(i64),
    /// For float columns.
    Float(f64),
    /// For text columns.
    Text(String),
    /// For boolean columns.
    Bool(bool),
}

/// How to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
}

/// Keeps the rows whose column compares so; a missing value never does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Predicate {
    /// Column name, not the key.
    pub column: String,
    /// How to compare.
    pub comparison: Comparison,
    /// With what; converted to the column's type. `InvalidInput` if it does not fit, as a fraction for an integer column.
    pub value: Value,
}

/// Kernel `table.filter`.
#[derive(Debug)]
pub struct Filter {
    column: usize,
    comparison: Comparison,
    value: Scalar<ArrayRef>,
}

impl MapKernel for Filter {
    type Params = Predicate;
    const NAME: &'static str = "table.filter";
    const KEEPS: Keeps = Keeps::Keys;

    fn output(params: &Predicate, input: &TableSchema) -> Result<TableSchema> {
        input.column_index(&params.column)?;
        Ok(input.clone())
    }

    fn open(params: Predicate, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let column = input.column_index(&params.column)?;
        let target = input.arrow().field(column).data_type();
        let is_fraction = matches!(params.value, Value::Float(v) if v.fract() != 0.0);
        let value: ArrayRef = match params.value {
            Value::Int(v) => Arc::new(Int64Array::from(vec![v])),
            Value::Float(v) => Arc::new(Float64Array::from(vec![v])),
            Value::Text(v) => Arc::new(StringArray::from(vec![v])),
            Value::Bool(v) => Arc::new(BooleanArray::from(vec![v])),
        };
        let value = arrow_cast::cast(&value, target)?;
        // A cast cuts fractions off, and x < 0.5 is not x < 0.
        if value.null_count() > 0 || (is_fraction && target.is_integer()) {
            return Err(Error::invalid(format!("the value to compare with does not fit type {target}")));
        }
        Ok(Self { column, comparison: params.comparison, value: Scalar::new(value) })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        use arrow_ord::cmp;
        let column = rows.column(self.column);
        let chosen = match self.comparison {
            Comparison::Eq => cmp::eq(column, &self.value),
            Comparison::Ne => cmp::neq(column, &self.value),
            Comparison::Lt => cmp::lt(column, &self.value),
            Comparison::Le => cmp::lt_eq(column, &self.value),
            Comparison::Gt => cmp::gt(column, &self.value),
            Comparison::Ge => cmp::gt_eq(column, &self.value),
        }?;
        Ok(filter_record_batch(rows, &chosen)?)
    }
}

/// The hash that orders rows for sampling: of seed and key.
pub fn sample_hashes(seed: u64, rows: &RecordBatch) -> Result<Vec<u64>> {
    let keys = Keys::of(rows.column(0))?;
    Ok(match keys {
        Keys::UInt64(keys) => keys.iter().map(|k| xxh3_64_with_seed(&k.to_le_bytes(), seed)).collect(),
        Keys::Utf8(keys) => {
            (0..keys.len()).map(|i| xxh3_64_with_seed(keys.value(i).as_bytes(), seed)).collect()
        }
        Keys::Binary(keys) => (0..keys.len()).map(|i| xxh3_64_with_seed(keys.value(i), seed)).collect(),
    })
}

/// Keeps the rows whose sample hash is at most `last`.
#[derive(Debug, Serialize, Deserialize)]
pub struct SampleBelow {
    /// Another seed, another sample.
    pub seed: u64,
    /// The largest hash that is in.
    pub last: u64,
}

impl MapKernel for SampleBelow {
    type Params = SampleBelow;
    const NAME: &'static str = "table.sample_below";
    const KEEPS: Keeps = Keeps::Keys;

    fn output(_: &SampleBelow, input: &TableSchema) -> Result<TableSchema> {
        input.expect_key("sample")?;
        Ok(input.clone())
    }

    fn open(params: SampleBelow, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let hashes = sample_hashes(self.seed, rows)?;
        let chosen: BooleanArray = hashes.iter().map(|h| Some(*h <= self.last)).collect();
        Ok(filter_record_batch(rows, &chosen)?)
    }
}

/// Counts rows by the bits of their sample hash that follow a prefix: four rounds of it find the n-th smallest of any
/// number of hashes without moving them.
#[derive(Debug, Serialize, Deserialize)]
pub struct HashHistogram {
    /// As in [`SampleBelow`].
    pub seed: u64,
    /// Only hashes that begin with these bits count.
    pub prefix: u64,
    /// Number of bits of the prefix, at most 48.
    pub prefix_bits: u32,
}

impl HashHistogram {
    /// Bits counted in one round.
    pub const BITS: u32 = 16;
}

impl FoldKernel for HashHistogram {
    type Params = HashHistogram;
    type State = Vec<u64>;
    const NAME: &'static str = "table.hash_histogram";

    fn output(_: &HashHistogram, input: &TableSchema) -> Result<TableSchema> {
        input.expect_key("sample")?;
        TableSchema::new(
            None,
            vec![Field::new("bits", DataType::UInt64), Field::new("rows", DataType::UInt64)],
        )
    }

    fn open(params: HashHistogram, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        if params.prefix_bits > 64 - Self::BITS {
            return Err(Error::invalid(format!("a prefix of {} bits, at most 48", params.prefix_bits)));
        }
        Ok(params)
    }

    fn start(&self, _: PartContext) -> Result<Vec<u64>> {
        Ok(vec![0; 1 << Self::BITS])
    }

    fn fold(&self, counts: &mut Vec<u64>, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        for hash in sample_hashes(self.seed, rows)? {
            let matches = self.prefix_bits == 0 || hash >> (64 - self.prefix_bits) == self.prefix;
            if matches {
                let bits = (hash << self.prefix_bits) >> (64 - Self::BITS);
                counts[bits as usize] += 1;
            }
        }
        Ok(())
    }

    fn finish(&self, counts: Vec<u64>, out: &mut dyn Emit) -> Result<()> {
        let occurring = counts.iter().enumerate().filter(|(_, n)| **n > 0);
        let (bits, rows): (Vec<u64>, Vec<u64>) = occurring.map(|(bits, n)| (bits as u64, *n)).unzip();
        let schema = TableSchema::new(
            None,
            vec![Field::new("bits", DataType::UInt64), Field::new("rows", DataType::UInt64)],
        )?;
        out.emit(schema.batch(vec![Arc::new(UInt64Array::from(bits)), Arc::new(UInt64Array::from(rows))])?)
    }
}

/// The first rows of each partition.
#[derive(Debug, Serialize, Deserialize)]
pub struct Take {
    /// At most this many a partition.
    pub rows: u64,
}

impl FoldKernel for Take {
    type Params = Take;
    type State = u64;
    const NAME: &'static str = "table.take";
    const KEEPS: Keeps = Keeps::Keys;

    fn open(params: Take, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn start(&self, _: PartContext) -> Result<u64> {
        Ok(self.rows)
    }

    fn fold(&self, left: &mut u64, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let taken = (rows.num_rows() as u64).min(*left);
        *left -= taken;
        if taken > 0 { out.emit(rows.slice(0, taken as usize)) } else { Ok(()) }
    }

    fn finish(&self, _: u64, _: &mut dyn Emit) -> Result<()> {
        Ok(())
    }
}

/// Number of rows of each partition, as one row.
#[derive(Debug, Serialize, Deserialize)]
pub struct Count;

impl Count {
    /// Sums what [`Count`] gave for each partition.
    pub(crate) fn total(rows: &[RecordBatch]) -> u64 {
        rows.iter().flat_map(|b| b.column(0).as_primitive::<UInt64Type>().values()).sum()
    }
}

impl FoldKernel for Count {
    type Params = Count;
    type State = u64;
    const NAME: &'static str = "table.count";

    fn output(_: &Count, _: &TableSchema) -> Result<TableSchema> {
        TableSchema::new(None, vec![Field::new("rows", DataType::UInt64)])
    }

    fn open(params: Count, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(params)
    }

    fn start(&self, _: PartContext) -> Result<u64> {
        Ok(0)
    }

    fn fold(&self, count: &mut u64, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        *count += rows.num_rows() as u64;
        Ok(())
    }

    fn finish(&self, count: u64, out: &mut dyn Emit) -> Result<()> {
        let schema = TableSchema::new(None, vec![Field::new("rows", DataType::UInt64)])?;
        out.emit(schema.batch(vec![Arc::new(UInt64Array::from(vec![count]))])?)
    }
}
