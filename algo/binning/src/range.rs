//! The smallest and largest value of each feature, for bins of equal width.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{Float64Array, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::numbers::present;
use tributary_core::{Error, Field, Result, TableSchema};

use crate::features::{Features, feature_schema};

/// The range of one feature. Without values, it is from infinity down to minus infinity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Number of values that are not missing.
    pub count: u64,
    /// Number of missing values.
    pub missing: u64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
}

impl Default for Range {
    fn default() -> Self {
        Self { count: 0, missing: 0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Range {
    /// The range of both.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            missing: self.missing + other.missing,
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }

    /// The rows of [`FindRanges`], by feature. Errors: `Bug` for rows of other features.
    pub fn read(rows: &[RecordBatch], features: usize) -> Result<Vec<Self>> {
        let mut all = vec![Self::default(); features];
        for rows in rows {
            range_schema()?.check(rows)?;
            let [feature, count, missing] = [0, 1, 2].map(|i| rows.column(i).as_primitive::<UInt64Type>());
            let [min, max] = [3, 4].map(|i| rows.column(i).as_primitive::<Float64Type>());
            for i in 0..rows.num_rows() {
                let place = all.get_mut(feature.value(i) as usize);
                let place = place.ok_or_else(|| Error::bug("the range of an unexpected feature"))?;
                let (count, missing, min, max) =
                    (count.value(i), missing.value(i), min.value(i), max.value(i));
                *place = place.merge(Self { count, missing, min, max });
            }
        }
        Ok(all)
    }
}

/// Parameters of [`FindRanges`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RangeParams {
    /// Columns of numbers. A feature's number is its place here.
    pub features: Vec<String>,
}

/// Kernel `binning.range`: a partition becomes one row a feature; read them with [`Range::read`], which merges them.
///
/// Errors: `InvalidInput` for infinite values.
#[derive(Debug)]
pub struct FindRanges(Features);

fn range_schema() -> Result<TableSchema> {
    feature_schema(vec![
        Field::new("count", DataType::UInt64),
        Field::new("missing", DataType::UInt64),
        Field::new("min", DataType::Float64),
        Field::new("max", DataType::Float64),
    ])
}

impl FoldKernel for FindRanges {
    type Params = RangeParams;
    type State = Vec<Range>;
    const NAME: &'static str = "binning.range";

    fn output(params: &RangeParams, input: &TableSchema) -> Result<TableSchema> {
        Features::open(&params.features, input)?;
        range_schema()
    }

    fn open(params: RangeParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self(Features::open(&params.features, input)?))
    }

    fn start(&self, _: PartContext) -> Result<Vec<Range>> {
        Ok(vec![Range::default(); self.0.len()])
    }

    fn fold(&self, ranges: &mut Vec<Range>, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        for (range, values) in ranges.iter_mut().zip(self.0.finite(rows)) {
            let values = values?;
            let mut found = Range::default();
            for value in present(&values) {
                found.count += 1;
                found.min = found.min.min(value);
                found.max = found.max.max(value);
            }
            found.missing = values.len() as u64 - found.count;
            *range = range.merge(found);
        }
        Ok(())
    }

    fn finish(&self, ranges: Vec<Range>, out: &mut dyn Emit) -> Result<()> {
        let numbers = |of: fn(&Range) -> u64| Arc::new(ranges.iter().map(of).collect::<UInt64Array>());
        let values = |of: fn(&Range) -> f64| Arc::new(Float64Array::from_iter_values(ranges.iter().map(of)));
        out.emit(range_schema()?.batch(vec![
            Arc::new(UInt64Array::from_iter_values(0..ranges.len() as u64)),
            numbers(|r| r.count),
            numbers(|r| r.missing),
            values(|r| r.min),
            values(|r| r.max),
        ])?)
    }
}
