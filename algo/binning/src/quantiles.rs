//! Quantiles of a feature, as the kernel that merges sketches gives them.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_schema::DataType;
use tributary_core::kernel::KernelCall;
use tributary_core::numbers::list_field;
use tributary_core::{Error, Field, Result, Table, TableSchema};

use crate::features::feature_schema;
use crate::merge::{MergeParams, MergeSketches};
use crate::sketch::{Focus, SketchFeatures, SketchParams};
use crate::summary::Bracket;

/// The exact quantiles of columns: of each the number of rank ⌈k·count/parts⌉ for k from 1 to `parts`, none without values.
///
/// Cost: one pass over the rows, and a second where one did not bring them all.
pub async fn quantiles(table: &Table, features: &[String], parts: u32) -> Result<Vec<Quantiles>> {
    let merge = KernelCall::fold::<MergeSketches>(&MergeParams { parts })?;
    let mut focus = None;
    loop {
        let params = SketchParams { features: features.to_vec(), focus };
        let sketches = table.map(KernelCall::fold::<SketchFeatures>(&params)?)?;
        let merged = sketches.gather_by_key(table.partitions())?.map(merge.clone())?;
        let quantiles = Quantiles::read(&merged.collect().await?, features.len())?;
        focus = Focus::on(&quantiles);
        if focus.is_none() {
            return Ok(quantiles);
        }
    }
}

/// The rows that quantiles are read from: a feature's brackets are the lists `lo` and `hi`.
pub(crate) fn quantile_schema() -> Result<TableSchema> {
    feature_schema(vec![
        Field::new("count", DataType::UInt64),
        Field::new("missing", DataType::UInt64),
        list_field("lo", DataType::Float64),
        list_field("hi", DataType::Float64),
    ])
}

/// The quantiles of one feature.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantiles {
    /// Number of values that are not missing.
    pub count: u64,
    /// Number of missing values.
    pub missing: u64,
    /// The number of rank ⌈k·count/parts⌉ for k from 1 to `parts`; empty without values.
    pub brackets: Vec<Bracket>,
}

impl Quantiles {
    /// The rows of [`MergeSketches`](crate::MergeSketches), by feature. Errors: `Bug` unless each feature is there once.
    pub fn read(rows: &[RecordBatch], features: usize) -> Result<Vec<Self>> {
        let mut all = vec![None; features];
        for rows in rows {
            quantile_schema()?.check(rows)?;
            let [feature, count, missing] = [0, 1, 2].map(|i| rows.column(i).as_primitive::<UInt64Type>());
            let (lo, hi) = (rows.column(3).as_list::<i32>(), rows.column(4).as_list::<i32>());
            for i in 0..rows.num_rows() {
                let (lo, hi) = (lo.value(i), hi.value(i));
                let [lo, hi] = [&lo, &hi].map(|list| list.as_primitive::<Float64Type>().values());
                let brackets = lo.iter().zip(hi).map(|(lo, hi)| Bracket { lo: *lo, hi: *hi }).collect();
                let quantiles = Self { count: count.value(i), missing: missing.value(i), brackets };
                let place = all.get_mut(feature.value(i) as usize).filter(|place| place.is_none());
                *place.ok_or_else(|| Error::bug("quantiles of an unexpected feature"))? = Some(quantiles);
            }
        }
        all.into_iter().collect::<Option<_>>().ok_or_else(|| Error::bug("a feature has no quantiles"))
    }

    /// Whether every quantile is known.
    pub fn are_exact(&self) -> bool {
        self.brackets.iter().all(Bracket::is_exact)
    }
}
