//! A host: masks its ids and the guest's, and learns which of its rows are common.

use arrow_schema::DataType;
use tributary_core::federation::{FederationExt, Slot};
use tributary_core::layout::RowRanges;
use tributary_core::{Error, ErrorKind, Field, Layout, Result, Table, TableSchema};
use tributary_psi::{Secret, points_schema};

use super::{ID, Masked, POSITION, ROW, expect_enough, grouped, masked_again, row_of};
use tributary_component::task::Task;

/// Gives the host's own rows: key → final positions, several where the guest has several rows of the id.
pub(super) async fn run(task: &Task, own: &Masked, secret: &Secret) -> Result<Table> {
    let (federation, guest) = (&task.federation, task.guest()?);
    let to_guest = std::slice::from_ref(&guest);
    federation.push_table(&Slot::new("host_points"), to_guest, &own.points().await?).await?;

    let partitions = task.partitions();
    let any = move |rows| Ok(Layout::Rows(RowRanges::even(rows, partitions)));
    let slot = Slot::new("guest_points");
    let theirs = federation.pull_table(&slot, &guest, &task.computing, &points_schema()?, &any).await?;
    let sent = theirs.count().await?;
    // Before its answer leaves: with that the guest knows which of them are here.
    let release = task.release("input_data", &guest);
    release.expect_common_rows(&format!("ids of {guest}"), sent)?;
    release.book_ids(sent, own.count)?;
    let theirs = masked_again(task, &theirs, secret).await?;
    federation.push_table(&Slot::new("guest_points_masked"), to_guest, &theirs).await?;
    drop(theirs);

    let schema = TableSchema::new(None, vec![Field::new(row_of(&task.own), DataType::UInt64)])?;
    let chosen =
        federation.pull_table(&Slot::new("host_rows"), &guest, &task.computing, &schema, &any).await?;
    let common = own_rows(task, own, &chosen, &row_of(&task.own)).await;
    let common = common.map_err(|e| e.at(format!("rows chosen by {guest}")))?;
    // Rows that the guest has several times count once.
    expect_enough(&release, &common).await?;
    Ok(common)
}

/// Turns positions in the points into keys; refuses one beyond them.
async fn own_rows(task: &Task, own: &Masked, chosen: &Table, row: &str) -> Result<Table> {
    let chosen = chosen.number_rows(POSITION)?.rekey(row, None)?;
    let chosen = chosen.gather_by_key(task.partitions())?.map(grouped(POSITION)?)?.keep().await?;
    let points = own.table.number_rows(row)?.rekey(row, None)?;
    let rows = chosen.join(&points)?.rekey(ROW, None)?.select([POSITION])?.keep().await?;
    let (asked, found) = (chosen.count().await?, rows.count().await?);
    if found != asked {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("{asked} rows were asked for, and {found} exist"),
        ));
    }
    rows.join(&own.keys()?)?.rekey(ID, None)?.keep().await
}
