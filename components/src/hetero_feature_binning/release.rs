//! What of a host's columns leaves it: bins that its limits allow.

use tributary_binning::{
    AssignBins, AssignParams, BinColumn, BinCount, CountBins, CountParams, CutColumn, JoinBins, JoinParams,
    JoinedBin, Pieces,
};
use tributary_core::kernel::KernelCall;
use tributary_core::limits::{JobCuts, SmallBins};
use tributary_core::{ErrorKind, Party, Result, Role, Table};

use super::parameters::{Method, TrainParameters};
use super::{Binning, Measuring};
use tributary_component::release::Numbers;
use tributary_component::task::Task;

/// What is done with the cut points of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CutsOfJob {
    Use,
    Replace,
}

/// Whether this party cuts by itself, whatever points the job gives. `Denied` if its limits refuse such a job.
pub(super) fn cuts_of_job(task: &Task, parameters: &TrainParameters) -> Result<CutsOfJob> {
    let measure = Measuring::of(parameters.skip_metrics, parameters.local_only);
    if parameters.method != Method::Manual
        || measure != Measuring::AllColumns
        || task.own.role != Role::host()
    {
        return Ok(CutsOfJob::Use);
    }
    let guest = task.guest()?;
    let release = task.release("train_data", &guest);
    release.expect_no_cuts()?;
    Ok(if release.limits().cuts_from_job == JobCuts::Use { CutsOfJob::Use } else { CutsOfJob::Replace })
}

/// A host's columns with the bins that are shown to the guest.
pub(super) struct Released {
    /// In the order of [`Binning::cuts`].
    pub cuts: Vec<CutColumn>,
    /// Columns whose missing values are counted in another bin.
    joined: Vec<JoinedBin>,
    numbers: Vec<Numbers>,
}

/// How often bins are merged again because another task has booked cuts of the same column in between.
const TRIES: usize = 16;

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

/// Merges bins until all may be released, by rows that are counted here in the clear.
async fn prepare(task: &Task, binning: &Binning<'_>, guest: &Party) -> Result<Released> {
    let release = task.release(binning.input, guest);
    let (least, refuse) = (release.limits().min_rows, release.limits().small_bins == SmallBins::Refuse);
    let shown = binning.cuts.iter().map(|c| release.cuts(&c.column)).collect::<Result<Vec<_>>>()?;
    let pieces = binning.cuts.iter().zip(&shown).map(|(c, shown)| Pieces::new(&c.cuts, shown));
    let pieces = pieces.collect::<Result<Vec<_>>>()?;
    let counted = count(binning, &pieces).await?;

    let mut released = Released { cuts: Vec::new(), joined: Vec::new(), numbers: Vec::new() };
    for (((column, pieces), rows), after) in binning.cuts.iter().zip(&pieces).zip(counted).zip(shown) {
        let coarse = pieces.coarsen(&rows, least)?;
        let merged = coarse.cuts.bins() < column.cuts.bins() || coarse.missing_in.is_some();
        if merged && refuse {
            let fewest = rows.iter().filter(|rows| **rows > 0).min().copied().unwrap_or_default();
            return Err(release.small_bin(&column.column, fewest));
        }
        if merged {
            let (had, has) = (column.cuts.bins(), coarse.cuts.bins());
            let missing = if coarse.missing_in.is_some() { ", missing values with others" } else { "" };
            task.note(format!(
                "limits.min_rows: column {:?} is measured in {has} of its {had} bins{missing}",
                column.column
            ));
        }
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

/// Rows by column and piece, that of missing values last.
async fn count(binning: &Binning<'_>, pieces: &[Pieces]) -> Result<Vec<Vec<u64>>> {
    let cut = |(c, pieces): (&CutColumn, &Pieces)| CutColumn {
        column: c.column.clone(),
        cuts: pieces.cuts().clone(),
    };
    let cuts: Vec<CutColumn> = binning.cuts.iter().zip(pieces).map(cut).collect();
    let columns = bin_columns(&cuts);
    let count = CountParams { columns: columns.clone(), label: None };
    let assigned =
        binning.coded.table.map(KernelCall::map::<AssignBins>(&AssignParams { columns: cuts })?)?;
    // A guest that has an id several times repeats this party's row, which is still one row behind a number.
    let names = columns.iter().map(|c| c.column.as_str());
    let distinct = assigned.select(names)?.first_by_key()?;
    let counts = distinct.map(KernelCall::fold::<CountBins>(&count)?)?.collect().await?;
    let counts = BinCount::read(&counts, &columns)?;
    Ok(counts.iter().map(|bins| bins.iter().map(|bin| bin.rows).collect()).collect())
}

fn bin_columns(cuts: &[CutColumn]) -> Vec<BinColumn> {
    let column = |c: &CutColumn| BinColumn { column: c.column.clone(), bins: c.cuts.bins() as u32 + 1 };
    cuts.iter().map(column).collect()
}

impl Released {
    /// Columns of bin numbers as [`Released::assigned`] has them.
    pub(super) fn bin_columns(&self) -> Vec<BinColumn> {
        bin_columns(&self.cuts)
    }

    /// The table with bin numbers in place of values.
    pub(super) fn assigned(&self, table: &Table) -> Result<Table> {
        let assigned =
            table.map(KernelCall::map::<AssignBins>(&AssignParams { columns: self.cuts.clone() })?)?;
        match self.joined.is_empty() {
            true => Ok(assigned),
            false => assigned.map(KernelCall::map::<JoinBins>(&JoinParams { columns: self.joined.clone() })?),
        }
    }
}
