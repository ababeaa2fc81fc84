//! Finding cut points of one party's own columns.

use tributary_binning::{CutColumn, Cuts, FindRanges, Range, RangeParams, SketchFeatures, SketchParams};
use tributary_core::kernel::KernelCall;
use tributary_core::{Result, ResultExt, Table};

use super::parameters::{Columns, Method, TrainParameters};
use tributary_component::task::Task;

/// Cut points of every column, those to bin first.
pub(super) async fn find(
    task: &Task,
    table: &Table,
    parameters: &TrainParameters,
    columns: &Columns,
) -> Result<Vec<CutColumn>> {
    task.note(format!("cutting {} columns", columns.binned.len()));
    let cuts = match parameters.method {
        Method::Quantile => quantiles(table, &columns.binned, parameters.n_bins).await?,
        Method::Bucket => equal_widths(table, &columns.binned, parameters.n_bins).await?,
        Method::Manual => {
            let given = columns.binned.iter().map(|column| {
                let points =
                    parameters.points(&task.own, table.schema(), column).cloned().unwrap_or_default();
                Cuts::new(points).at(|| format!("split_pt_dict of {column}"))
            });
            given.collect::<Result<_>>()?
        }
    };
    let categories = categories(table, &columns.categories).await?;
    let names = columns.binned.iter().chain(&columns.categories).cloned();
    Ok(names
        .zip(cuts.into_iter().chain(categories))
        .map(|(column, cuts)| CutColumn { column, cuts })
        .collect())
}

/// Cut points of every column where the job has some and this party takes none: as many bins, of equal numbers of rows.
pub(super) async fn by_itself(
    task: &Task,
    table: &Table,
    parameters: &TrainParameters,
    columns: &Columns,
) -> Result<Vec<CutColumn>> {
    let mut all = Vec::new();
    for column in &columns.binned {
        let given = parameters.points(&task.own, table.schema(), column).map_or(0, Vec::len);
        let bins = given.clamp(2, Cuts::MAX_BINS);
        task.note(format!(
            "limits.cuts_from_job: the job's cut points are not taken; column {column:?} is cut into {bins} bins of equal numbers of rows"
        ));
        let cuts = quantiles(table, std::slice::from_ref(column), bins as u32).await?;
        all.extend(cuts.into_iter().map(|cuts| CutColumn { column: column.clone(), cuts }));
    }
    let categories = categories(table, &columns.categories).await?;
    let named = columns.categories.iter().cloned().zip(categories);
    all.extend(named.map(|(column, cuts)| CutColumn { column, cuts }));
    Ok(all)
}

/// Cut points of bins of nearly equal numbers of rows.
pub(crate) async fn quantiles(table: &Table, features: &[String], bins: u32) -> Result<Vec<Cuts>> {
    tributary_binning::quantiles(table, features, bins).await?.iter().map(Cuts::of_quantiles).collect()
}

async fn equal_widths(table: &Table, features: &[String], bins: u32) -> Result<Vec<Cuts>> {
    let params = RangeParams { features: features.to_vec() };
    let ranges = table.map(KernelCall::fold::<FindRanges>(&params)?)?.collect().await?;
    let ranges = Range::read(&ranges, features.len())?;
    ranges.iter().map(|range| Cuts::equal_width(range, bins as usize)).collect()
}

/// Cut points of a bin for each category.
pub(crate) async fn categories(table: &Table, features: &[String]) -> Result<Vec<Cuts>> {
    if features.is_empty() {
        return Ok(Vec::new());
    }
    let params = SketchParams { features: features.to_vec(), focus: None };
    let sketches = table.map(KernelCall::fold::<SketchFeatures>(&params)?)?;
    Cuts::of_categories(&sketches.collect().await?, features)
}
