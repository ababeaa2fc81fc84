//! Sketches of one feature, from all partitions, become its quantiles.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, UInt64Type};
use arrow_array::{RecordBatch, UInt64Array};
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, PartContext};
use tributary_core::numbers::list_of_one;
use tributary_core::{Error, Result, TableSchema};

use crate::cuts::Cuts;
use crate::quantiles::quantile_schema;
use crate::sketch::sketch_schema;
use crate::summary::Summary;

/// Parameters of [`MergeSketches`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct MergeParams {
    /// Into how many parts of equal size to cut: 10 gives deciles.
    pub parts: u32,
}

/// Kernel `binning.quantiles`: the summaries of a feature, which are adjacent, become its quantiles.
///
/// Shape: rows (feature; `count`, `missing`, `lo`, `hi`) with `parts` brackets each, none if all values are missing;
/// read them with [`Quantiles::read`](crate::Quantiles::read).
#[derive(Debug)]
pub struct MergeSketches {
    parts: u32,
}

/// The feature being merged.
#[derive(Debug, Default)]
pub struct Merging {
    feature: Option<u64>,
    missing: u64,
    error: u64,
    entries: Vec<(f64, u64)>,
}

impl FoldKernel for MergeSketches {
    type Params = MergeParams;
    type State = Merging;
    const NAME: &'static str = "binning.quantiles";
    const KEEPS: Keeps = Keeps::Groups;

    fn output(_: &MergeParams, input: &TableSchema) -> Result<TableSchema> {
        if *input != sketch_schema()? {
            return Err(Error::invalid(format!("quantiles of {input:?}, expected rows of binning.sketch")));
        }
        quantile_schema()
    }

    fn open(params: MergeParams, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Cuts::check_bins(params.parts as usize)?;
        Ok(Self { parts: params.parts })
    }

    fn start(&self, _: PartContext) -> Result<Merging> {
        Ok(Merging::default())
    }

    fn fold(&self, merging: &mut Merging, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let [features, missing, errors] = [0, 1, 2].map(|i| rows.column(i).as_primitive::<UInt64Type>());
        let (values, counts) = (rows.column(3).as_list::<i32>(), rows.column(4).as_list::<i32>());
        for i in 0..rows.num_rows() {
            if merging.feature.is_some_and(|feature| feature != features.value(i)) {
                self.finish(std::mem::take(merging), out)?;
            }
            merging.feature = Some(features.value(i));
            merging.missing += missing.value(i);
            merging.error += errors.value(i);
            let (values, counts) = (values.value(i), counts.value(i));
            let values = values.as_primitive::<Float64Type>().values().iter().copied();
            merging.entries.extend(values.zip(counts.as_primitive::<UInt64Type>().values().iter().copied()));
        }
        Ok(())
    }

    fn finish(&self, merging: Merging, out: &mut dyn Emit) -> Result<()> {
        let Some(feature) = merging.feature else { return Ok(()) };
        let summary = Summary::new(merging.entries, merging.error);
        let (lo, hi) = summary.brackets(self.parts).iter().map(|b| (b.lo, b.hi)).unzip();
        let number = |n: u64| Arc::new(UInt64Array::from(vec![n]));
        out.emit(quantile_schema()?.batch(vec![
            number(feature),
            number(summary.count()),
            number(merging.missing),
            Arc::new(list_of_one::<Float64Type>(lo)?),
            Arc::new(list_of_one::<Float64Type>(hi)?),
        ])?)
    }
}
