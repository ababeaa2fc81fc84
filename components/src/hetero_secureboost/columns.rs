//! A party's own columns: where their bins end, and a table's rows in bins.
//!
//! A host's bins are merged until its limits allow sums about each of them, and booked, before anything is said about them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tributary_binning::{
    AssignBins, AssignParams, CodeCategories, CodeParams, CutColumn, Cuts, JoinBins, JoinParams, JoinedBin,
    Pieces, TextCategories,
};
use tributary_boost::columns::Binned;
use tributary_component::release::{Numbers, different_ids};
use tributary_component::task::Task;
use tributary_core::kernel::KernelCall;
use tributary_core::layout::RowRanges;
use tributary_core::ops::aggregate::{Function, Measure};
use tributary_core::schema::Purpose;
use tributary_core::{Error, ErrorKind, Layout, Party, Result, Table};

use crate::columns::features;
use crate::hetero_feature_binning::categories::Coded;
use crate::hetero_feature_binning::cuts::{categories, quantiles};
use crate::hetero_feature_binning::parameters::Columns;
use crate::hetero_feature_binning::release::{self, TRIES};

/// Additions that a sum of one more part costs, doubled.
const SUMS_COST: u64 = 20;

/// One column of a party.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct OwnColumn {
    /// Its name.
    pub name: String,
    /// Its place among the features of the table, which is its anonymous name.
    pub position: u32,
    /// Where its bins end.
    pub cuts: Cuts,
    /// The texts that bins stand for, if it is a column of categories.
    pub categories: Option<Vec<String>>,
    /// The bin that missing values are counted in, if not one of their own.
    pub missing_in: Option<u16>,
}

/// The columns that a party trains on, in the order of its table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct OwnColumns(pub Vec<OwnColumn>);

/// Rows in bins, held, and where they are.
#[derive(Debug, Clone)]
pub(super) struct BinnedRows {
    /// A column of bins each, in order, and no key.
    pub table: Table,
    /// Its layout.
    pub ranges: RowRanges,
}

impl BinnedRows {
    /// Number of rows.
    pub(super) fn count(&self) -> u64 {
        self.ranges.all().end - self.ranges.all().start
    }

    /// The rows of a table as `columns` of a host have them, in as many parts as cores, and fewer where they are few: each part makes sums of
    /// its own, and putting one together with another's costs as much as adding ten rows.
    pub(super) async fn keep_for_sums(task: &Task, columns: &OwnColumns, table: &Table) -> Result<Self> {
        let (rows, binned) = (table.count().await?, columns.binned());
        let additions = rows.saturating_mul(binned.bins.len() as u64);
        let parts = additions / (SUMS_COST * binned.total().max(1) as u64);
        let most = task.partitions().min(task.computing.spec().placement.cores).max(1);
        let parts = u32::try_from(parts).unwrap_or(most).clamp(1, most);
        Self::keep(&columns.assign(table)?.repartition(parts)?).await
    }

    /// A table of columns without a key, held.
    pub(super) async fn keep(table: &Table) -> Result<Self> {
        let table = table.keep_rows().await?;
        match table.layout().clone() {
            Layout::Rows(ranges) => Ok(Self { table, ranges }),
            other => Err(Error::bug(format!("kept rows in {other:?}"))),
        }
    }
}

/// Columns to cut: by what they hold.
fn chosen(task: &Task, table: &Table) -> Columns {
    let mut columns = Columns::default();
    for field in features(table.schema()) {
        match (
            &field.purpose,
            field.data_type.is_numeric() || field.data_type == arrow_schema::DataType::Boolean,
        ) {
            (Purpose::Category, _) => columns.categories.push(field.name.clone()),
            (_, true) => columns.binned.push(field.name.clone()),
            _ => task.warn(format!(
                "column {:?} of {} is left out; upload it as category to train on it",
                field.name, field.data_type
            )),
        }
    }
    columns
}

impl OwnColumns {
    /// Cuts the columns of a table, for nobody else to see.
    pub(super) async fn find(task: &Task, table: &Table, max_bin: u32) -> Result<Self> {
        let columns = chosen(task, table);
        let coded = Coded::of(table, &columns.categories).await?;
        Self::of(table, &coded, &cut(&coded.table, &columns, max_bin).await?)
    }

    /// Cuts the columns of a host's table so that its limits allow sums about them, so many about each bin of a column, and books these.
    pub(super) async fn release(
        task: &Task,
        input: &str,
        table: &Table,
        max_bin: u32,
        sums: &(dyn Fn(u64) -> u64 + Sync),
    ) -> Result<Self> {
        let (columns, guest) = (chosen(task, table), task.guest()?);
        let coded = Coded::of(table, &columns.categories).await?;
        let distinct = release::one_row_an_id(&coded.table, &columns).await?;
        let cuts = cut(&distinct, &columns, max_bin).await?;
        let weight = release::weight(table.count().await?, distinct.count().await?);
        let mut tries = 0..TRIES;
        loop {
            let mut merged = release::merged(task, input, &guest, &distinct, &cuts).await?;
            for (numbers, cut) in merged.numbers.iter_mut().zip(&merged.cuts) {
                numbers.count = weight.saturating_mul(sums(cut.cuts.bins() as u64));
            }
            match task.release(input, &guest).book_sums(std::mem::take(&mut merged.numbers)) {
                Err(error) if error.kind() == ErrorKind::Conflict && tries.next().is_some() => {}
                booked => {
                    booked?;
                    let mut own = Self::of(table, &coded, &merged.cuts)?;
                    for joined in &merged.joined {
                        let column = own.0.iter_mut().find(|column| column.name == joined.column);
                        column.into_iter().for_each(|column| column.missing_in = Some(joined.to));
                    }
                    return Ok(own);
                }
            }
        }
    }

    /// Books more sums about bins that were merged before, so many about each column.
    pub(super) async fn release_again(
        &self,
        task: &Task,
        input: &str,
        table: &Table,
        sums: &(dyn Fn(&OwnColumn) -> u64 + Sync),
    ) -> Result<()> {
        let guest = task.guest()?;
        let release = task.release(input, &guest);
        let weight = release::weight(table.count().await?, different_ids(table).await?);
        let names: Vec<&str> = self.0.iter().map(|column| column.name.as_str()).collect();
        let mut tries = 0..TRIES;
        loop {
            let shown = release.cuts(&names)?;
            let numbers = self.0.iter().zip(shown).map(|(column, after)| Numbers {
                column: column.name.clone(),
                count: weight.saturating_mul(sums(column)),
                cuts: Pieces::inner(&column.cuts).to_vec(),
                after,
            });
            match release.book_sums(numbers) {
                Err(error) if error.kind() == ErrorKind::Conflict && tries.next().is_some() => {}
                booked => return booked,
            }
        }
    }

    fn of(table: &Table, coded: &Coded, cuts: &[CutColumn]) -> Result<Self> {
        let mut found: BTreeMap<&str, &Cuts> = cuts.iter().map(|c| (c.column.as_str(), &c.cuts)).collect();
        let own = (0..).zip(features(table.schema())).filter_map(|(position, field)| {
            let cuts = found.remove(field.name.as_str())?.clone();
            let categories = coded.texts.get(&field.name).cloned();
            Some(OwnColumn { name: field.name.clone(), position, cuts, categories, missing_in: None })
        });
        Ok(Self(own.collect()))
    }

    /// Bins of a column, that of missing values not counted.
    pub(super) fn bins_of(column: &OwnColumn) -> u64 {
        column.cuts.bins() as u64
    }

    /// For kernels.
    pub(super) fn binned(&self) -> Binned {
        Binned { bins: self.0.iter().map(|column| column.cuts.bins() as u32 + 1).collect() }
    }

    /// The rows of a table in bins. `InvalidInput` for a table that lacks a column.
    pub(super) fn assign(&self, table: &Table) -> Result<Table> {
        let coded = self.0.iter().filter_map(|column| {
            let categories = column.categories.clone()?;
            Some(TextCategories { column: column.name.clone(), categories })
        });
        let coded = CodeParams { columns: coded.collect() };
        let cut = |column: &OwnColumn| CutColumn { column: column.name.clone(), cuts: column.cuts.clone() };
        let assign = AssignParams { columns: self.0.iter().map(cut).collect() };
        let joined = self.0.iter().filter_map(|column| {
            let from = column.cuts.bins() as u16;
            Some(JoinedBin { column: column.name.clone(), from, to: column.missing_in? })
        });
        let joined = JoinParams { columns: joined.collect() };
        table
            .map(KernelCall::map::<CodeCategories>(&coded)?)?
            .map(KernelCall::map::<AssignBins>(&assign)?)?
            .map(KernelCall::map::<JoinBins>(&joined)?)?
            .select(self.0.iter().map(|column| column.name.clone()))?
            .drop_key()
    }
}

/// Where the bins of columns end.
async fn cut(table: &Table, columns: &Columns, max_bin: u32) -> Result<Vec<CutColumn>> {
    let numeric = match columns.binned.is_empty() {
        true => Vec::new(),
        false => quantiles(table, &columns.binned, max_bin).await?,
    };
    let cuts = numeric.into_iter().chain(categories(table, &columns.categories).await?);
    let names = columns.binned.iter().chain(&columns.categories).cloned();
    Ok(names.zip(cuts).map(|(column, cuts)| CutColumn { column, cuts }).collect())
}

/// How many rows of a node say as much as so many rows of different ids: a guest may repeat rows.
pub(super) async fn least_rows(task: &Task, input: &str, guest: &Party, table: &Table) -> Result<u64> {
    let least = task.release(input, guest).limits().min_rows;
    if least == 0 || different_ids(table).await? == table.count().await? {
        return Ok(least);
    }
    const ROW: &str = "row";
    let of_ids = table
        .select::<&str>([])?
        .keep_rows()
        .await?
        .number_rows(ROW)?
        .reduce_by_key(&[Measure::of(Function::Count, ROW)])?;
    let most = of_ids.reduce(&[Measure::of(Function::Max, ROW)]).await?;
    let most = most.map_or(1, |row| {
        use arrow_array::cast::AsArray;
        row.column(0).as_primitive::<arrow_array::types::UInt64Type>().values().first().copied().unwrap_or(1)
    });
    Ok(least.saturating_mul(most))
}
