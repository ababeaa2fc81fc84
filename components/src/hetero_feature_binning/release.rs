//! What of a host's columns leaves it: bins that its limits allow.

use tributary_binning::{
    AssignBins, AssignParams, BinColumn, BinCount, Coarse, CountBins, CountParams, CutColumn, JoinBins,
    JoinParams, JoinedBin, Pieces,
};
use tributary_core::kernel::KernelCall;
use tributary_core::limits::{JobCuts, SmallBins};
use tributary_core::{ErrorKind, Party, Result, Role, Table};

use super::parameters::{Columns, Method, TrainParameters};
use super::{Binning, Measuring, Meta, Model, ModelMethod};
use tributary_component::release::{Numbers, Release, different_ids};
use tributary_component::task::Task;

/// What is done with the cut points of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutsOfJob {
    Use,
    Replace,
}

/// Whether this party cuts by itself, whatever points the job gives. `Denied` if its limits refuse such a job.
pub(super) fn cuts_of_job(task: &Task, parameters: &TrainParameters, columns: &Columns) -> Result<CutsOfJob> {
    let measure = Measuring::of(parameters.skip_metrics, parameters.local_only);
    let measured = measure == Measuring::AllColumns && task.own.role == Role::host();
    // Points may be given once for all parties: those of the guest's own columns ask this party for nothing.
    if parameters.method != Method::Manual || !measured || columns.binned.is_empty() {
        return Ok(CutsOfJob::Use);
    }
    let guest = task.guest()?;
    let release = task.release("train_data", &guest);
    release.expect_no_cuts(&columns.binned)?;
    Ok(if release.limits().cuts_from_job == JobCuts::Use { CutsOfJob::Use } else { CutsOfJob::Replace })
}

/// `Denied` if a prediction would measure this party's columns by cut points that its limits do not take: those of a job, or
/// some that were found in fewer rows than a number needs. A guest chooses the rows of an intersection, and so could have a
/// column cut at a row of its choice.
pub(super) fn expect_cuts(task: &Task, binning: &Binning<'_>, model: &Model, meta: &Meta) -> Result<()> {
    if binning.measure != Measuring::AllColumns || task.own.role != Role::host() || binning.binned == 0 {
        return Ok(());
    }
    let guest = task.guest()?;
    let release = task.release(binning.input, &guest);
    if model.parts().method == ModelMethod::Manual {
        release.expect_own_cuts("input_model")?;
    }
    release.expect_rows_behind_cuts("input_model", meta.least_rows)
}

/// Whether others may get numbers about this party's columns by the cut points of this task: now, or by its model.
pub(super) fn is_shared(task: &Task, local_only: bool) -> bool {
    let has_partners = task.parties.iter().any(|party| party.id != task.own.id);
    task.own.role == Role::host() && !local_only && has_partners
}

/// What cut points are found in, and bins are counted in, where they are shared: one row of each id. A guest that has an id
/// several times repeats this party's row, which is still one row behind a number, and no reason to cut at it.
pub(crate) async fn one_row_an_id(table: &Table, columns: &Columns) -> Result<Table> {
    let ids = different_ids(table).await?;
    if ids == table.count().await? {
        return Ok(table.clone());
    }
    let columns = columns.binned.iter().chain(&columns.categories);
    table.select(columns)?.first_by_key()?.keep().await
}

/// The columns of a model that is learned without metrics, with bins merged like those that are shown: a prediction may measure
/// by them. And the rows that are in each of them at least.
pub(super) async fn unmeasured(
    task: &Task,
    binning: &Binning<'_>,
    method: Method,
) -> Result<(Vec<CutColumn>, u64)> {
    let guests = task.others(&Role::guest());
    let ([guest], true) = (&guests[..], binning.is_shared) else { return Ok((binning.cuts.clone(), 0)) };
    let release = task.release(binning.input, guest);
    // Cuts of a job that are never measured stay as the job has them.
    if method == Method::Manual && release.limits().cuts_from_job != JobCuts::Use {
        return Ok((binning.cuts.clone(), 0));
    }
    let (binned, categories) = binning.cuts.split_at(binning.binned);
    let pieces = binned.iter().map(|c| Pieces::new(&c.cuts, &[])).collect::<Result<Vec<_>>>()?;
    let counted = count(&binning.distinct, binned, &pieces).await?;
    let mut cuts = Vec::new();
    for ((column, pieces), rows) in binned.iter().zip(&pieces).zip(counted) {
        let cut = coarsened(task, &release, column, pieces, &rows)?.cuts;
        cuts.push(CutColumn { column: column.column.clone(), cuts: cut });
    }
    cuts.extend_from_slice(categories);
    Ok((cuts, release.limits().min_rows))
}

/// A host's columns with the bins that are shown to the guest.
pub(crate) struct Released {
    /// In the order of the columns that were given.
    pub cuts: Vec<CutColumn>,
    /// Columns whose missing values are counted in another bin.
    pub joined: Vec<JoinedBin>,
    /// What the guest gets about each of them.
    pub numbers: Vec<Numbers>,
}

/// How often bins are merged again because another task has booked cuts of the same column in between.
pub(crate) const TRIES: usize = 16;

/// The bins that are shown to the guest, booked.
pub(super) async fn book(task: &Task, binning: &Binning<'_>, guest: &Party) -> Result<Released> {
    let mut tries = 0..TRIES;
    loop {
        let mut released = prepare(task, binning, guest).await?;
        let numbers = std::mem::take(&mut released.numbers);
        match task.release(binning.input, guest).book_numbers(numbers) {
            Err(error) if error.kind() == ErrorKind::Conflict && tries.next().is_some() => {}
            booked => return booked.map(|()| released),
        }
    }
}

/// Merges bins until all may be released.
async fn prepare(task: &Task, binning: &Binning<'_>, guest: &Party) -> Result<Released> {
    let weight = weight(binning.table.count().await?, binning.distinct.count().await?);
    if weight > 1 {
        task.note(format!("the guest repeats rows: a number about a bin counts as {weight}"));
    }
    let mut released = merged(task, binning.input, guest, &binning.distinct, &binning.cuts).await?;
    released.numbers.iter_mut().for_each(|numbers| numbers.count *= weight);
    Ok(released)
}

/// Columns of an input with their bins merged until all may be released, by rows that are counted here in the clear. `distinct`: one row of
/// each id. Nothing is booked: [`Released::numbers`] are what is to be.
pub(crate) async fn merged(
    task: &Task,
    input: &str,
    guest: &Party,
    distinct: &Table,
    columns: &[CutColumn],
) -> Result<Released> {
    let release = task.release(input, guest);
    let names: Vec<&str> = columns.iter().map(|c| c.column.as_str()).collect();
    let shown = release.cuts(&names)?;
    let pieces = columns.iter().zip(&shown).map(|(c, shown)| Pieces::new(&c.cuts, shown));
    let pieces = pieces.collect::<Result<Vec<_>>>()?;
    let counted = count(distinct, columns, &pieces).await?;

    let mut released = Released { cuts: Vec::new(), joined: Vec::new(), numbers: Vec::new() };
    for (((column, pieces), rows), after) in columns.iter().zip(&pieces).zip(counted).zip(shown) {
        let coarse = coarsened(task, &release, column, pieces, &rows)?;
        release.expect_bins(&column.column, coarse.cuts.bins() as u64)?;
        let has_missing = rows.last().is_some_and(|rows| *rows > 0) && coarse.missing_in.is_none();
        if let Some(to) = coarse.missing_in {
            let from = coarse.cuts.bins() as u16;
            released.joined.push(JoinedBin { column: column.column.clone(), from, to });
        }
        released.numbers.push(Numbers {
            column: column.column.clone(),
            count: coarse.cuts.bins() as u64 + u64::from(has_missing),
            cuts: Pieces::inner(&coarse.cuts).to_vec(),
            after,
        });
        released.cuts.push(CutColumn { column: column.column.clone(), cuts: coarse.cuts });
    }
    Ok(released)
}

/// A column's bins merged until each has enough rows. `Denied` if it has a bin of fewer, and the party wants that refused.
fn coarsened(
    task: &Task,
    release: &Release<'_>,
    column: &CutColumn,
    pieces: &Pieces,
    rows: &[u64],
) -> Result<Coarse> {
    let limits = release.limits();
    let coarse = pieces.coarsen(rows, limits.min_rows)?;
    let (had, has) = (column.cuts.bins(), coarse.cuts.bins());
    if has == had && coarse.missing_in.is_none() {
        return Ok(coarse);
    }
    if limits.small_bins == SmallBins::Refuse {
        let fewest = rows.iter().filter(|rows| **rows > 0).min().copied().unwrap_or_default();
        return Err(release.small_bin(&column.column, fewest));
    }
    let missing = if coarse.missing_in.is_some() { ", missing values with others" } else { "" };
    let name = &column.column;
    task.note(format!("limits.min_rows: column {name:?} has {has} of its {had} bins{missing}"));
    Ok(coarse)
}

/// How many numbers one about a bin counts as. A guest that repeats rows makes sums larger, and so reads more from one: how often
/// each of its rows is in it, from the count of rows and from that of events. It counts by the digits that both can have.
pub(crate) fn weight(rows: u64, distinct: u64) -> u64 {
    let digits = |number: u64| u64::from(u64::BITS - number.leading_zeros()).max(1);
    match rows > distinct {
        true => (2 * digits(rows)).div_ceil(digits(distinct)),
        false => 1,
    }
}

/// Rows by column and piece, that of missing values last.
async fn count(rows: &Table, columns: &[CutColumn], pieces: &[Pieces]) -> Result<Vec<Vec<u64>>> {
    let cut = |(c, pieces): (&CutColumn, &Pieces)| CutColumn {
        column: c.column.clone(),
        cuts: pieces.cuts().clone(),
    };
    let cuts: Vec<CutColumn> = columns.iter().zip(pieces).map(cut).collect();
    let columns = bin_columns(&cuts);
    let count = CountParams { columns: columns.clone(), label: None };
    let assigned = rows.map(KernelCall::map::<AssignBins>(&AssignParams { columns: cuts })?)?;
    let counts = assigned.map(KernelCall::fold::<CountBins>(&count)?)?.collect().await?;
    let counts = BinCount::read(&counts, &columns)?;
    Ok(counts.iter().map(|bins| bins.iter().map(|bin| bin.rows).collect()).collect())
}

fn bin_columns(cuts: &[CutColumn]) -> Vec<BinColumn> {
    let column = |c: &CutColumn| BinColumn { column: c.column.clone(), bins: c.cuts.bins() as u32 + 1 };
    cuts.iter().map(column).collect()
}

impl Released {
    /// Columns of bin numbers as [`Released::assigned`] has them.
    pub(crate) fn bin_columns(&self) -> Vec<BinColumn> {
        bin_columns(&self.cuts)
    }

    /// The table with bin numbers in place of values.
    pub(crate) fn assigned(&self, table: &Table) -> Result<Table> {
        let assigned =
            table.map(KernelCall::map::<AssignBins>(&AssignParams { columns: self.cuts.clone() })?)?;
        match self.joined.is_empty() {
            true => Ok(assigned),
            false => assigned.map(KernelCall::map::<JoinBins>(&JoinParams { columns: self.joined.clone() })?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::weight;

    #[test]
    fn rows_that_a_guest_repeats_make_numbers_count_more() {
        for (rows, distinct, expected) in
            [(0, 0, 1), (431, 431, 1), (862, 431, 3), (12_190, 431, 4), (1 << 20, 431, 5), (1 << 40, 1, 82)]
        {
            assert_eq!(weight(rows, distinct), expected, "{rows} rows of {distinct}");
        }
    }
}
