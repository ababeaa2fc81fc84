//! A host: adds up the guest's encrypted label by the bins of its own columns.

use tributary_binning::encrypted::{
    AddEncrypted, AddParams, HostFeatures, LABEL, PackParams, PackSums, SumEncrypted, SumParams,
    label_schema, packing,
};
use tributary_binning::{BinColumn, CutColumn};
use tributary_core::federation::{FederationExt, Slot};
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, ErrorKind, Layout, Result};

use super::{Binning, Measure, anonymous_name, release};
use crate::columns::features;
use tributary_component::task::Task;

/// Sends the guest what it needs to measure this host's columns, if it wants to, and returns them with the bins that were
/// shown to it.
pub(super) async fn contribute(task: &Task, binning: &Binning<'_>) -> Result<Option<Vec<CutColumn>>> {
    let (federation, guest) = (&task.federation, task.guest()?);
    let measure: Measure = federation.pull_message(&Slot::new("measure"), &guest).await?;
    let Some(proven) = measure.key else { return Ok(None) };
    let unusable =
        |e| Error::new(ErrorKind::Corrupt, format!("{guest} sent a key that is not usable")).because(e);
    let key = proven.open(&task.proof_context(&guest)).map_err(unusable)?;
    let public_key = key.to_bytes();
    if key.size() != binning.key {
        let text = format!("{guest} sent a key of {}, the job says {}", key.size(), binning.key);
        return Err(Error::new(ErrorKind::Denied, text));
    }
    let Layout::Rows(rows) = binning.table.layout().clone() else {
        return Err(Error::invalid("columns are measured on aligned rows; take them from psi"));
    };
    let packing = packing(rows.all().end - rows.all().start, &key)?;
    let layout = task.exactly(&guest, rows);
    let slot = Slot::new("labels");
    let labels = federation.pull_table(&slot, &guest, &task.computing, &label_schema(&key)?, &layout).await?;

    let released = release::book(task, binning, &guest).await?;

    // By position: any other order would show something of names, or which columns are categories.
    let position =
        |name: &str| features(binning.table.schema()).position(|f| f.name == name).unwrap_or_default();
    let mut columns = released.bin_columns();
    columns.sort_by_key(|column| position(&column.column));
    task.note(format!("adding up labels of {} columns", columns.len()));
    let names: Vec<&str> = columns.iter().map(|c| c.column.as_str()).collect();
    let params = SumParams { columns: columns.clone(), label: LABEL.into(), public_key: public_key.clone() };
    // A partition fills ciphertexts of its own, so no more partitions than ciphertexts.
    let bins: usize = columns.iter().map(|c| c.bins as usize).sum();
    let partitions = task.partitions().min(bins.div_ceil(packing.slots()).max(1) as u32);
    let sums = released
        .assigned(&binning.coded.table)?
        .select(names)?
        .zip(&labels)?
        .map(KernelCall::fold::<SumEncrypted>(&params)?)?
        .gather_by_key(partitions)?
        .map(KernelCall::fold::<AddEncrypted>(&AddParams { public_key: public_key.clone() })?)?
        .map(KernelCall::fold::<PackSums>(&PackParams { public_key, packing })?)?
        .keep()
        .await?;
    let to = [guest];
    let anonymized = columns
        .iter()
        .map(|c| BinColumn { column: anonymous_name(task, binning.table, &c.column), bins: c.bins })
        .collect();
    federation.push_message(&Slot::new("features"), &to, &HostFeatures { columns: anonymized }).await?;
    federation.push_table(&Slot::new("sums"), &to, &sums).await?;
    Ok(Some(released.cuts))
}
