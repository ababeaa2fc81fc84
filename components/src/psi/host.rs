//! A host: masks its ids and the guest's, and is told which of its rows are common.

use arrow_schema::DataType;
use tributary_core::federation::{FederationExt, Slot};
use tributary_core::layout::RowRanges;
use tributary_core::{Error, ErrorKind, Field, Layout, Result, Table, TableSchema};
use tributary_psi::{Secret, points_schema};

use super::{ID, Ids, POSITION, masked_again, row_of};
use crate::task::Task;

/// Gives the host's own rows: key → final position.
pub(super) async fn run(task: &Task, ids: &Ids) -> Result<Table> {
    let (federation, guest) = (&task.federation, task.guest()?);
    let to_guest = std::slice::from_ref(&guest);
    let secret = Secret::random()?;
    let own = ids.masked(task, &secret).await?;
    federation.push_table(&Slot::new("host_points"), to_guest, &own).await?;
    drop(own);

    let partitions = task.partitions();
    let any = move |rows| Ok(Layout::Rows(RowRanges::even(rows, partitions)));
    let slot = Slot::new("guest_points");
    let theirs = federation.pull_table(&slot, &guest, &task.computing, &points_schema()?, &any).await?;
    let theirs = masked_again(task, &theirs, &secret).await?;
    federation.push_table(&Slot::new("guest_points_masked"), to_guest, &theirs).await?;
    drop(theirs);

    let schema = TableSchema::new(None, vec![Field::new(row_of(&task.own), DataType::UInt64)])?;
    let chosen = federation.pull_table(&Slot::new("host_rows"), &guest, &task.computing, &schema, &any).await?;
    own_rows(ids, &chosen, &row_of(&task.own)).await.map_err(|e| e.at(format!("rows chosen by {guest}")))
}

/// Turns row numbers into keys; refuses a number twice or beyond the table.
async fn own_rows(ids: &Ids, chosen: &Table, row: &str) -> Result<Table> {
    let asked = chosen.count().await?;
    let chosen = chosen.number_rows(POSITION)?.rekey(row, None)?;
    let own = ids.table.select(Vec::<String>::new())?.number_rows(row)?.rekey(row, Some(ID))?;
    let rows = chosen.join(&own)?.rekey(ID, None)?.keep().await?;
    let found = rows.count().await?;
    if found != asked {
        return Err(Error::new(ErrorKind::Corrupt, format!("{asked} rows were asked for, and {found} exist")));
    }
    Ok(rows)
}
