//! The guest: matches its ids with those of every host.

use tributary_core::federation::{FederationExt, Slot};
use tributary_core::layout::RowRanges;
use tributary_core::{Layout, Party, Result, Role, Table};
use tributary_psi::{POINT, Secret, points_schema};

use super::{ID, Masked, POSITION, ROW, expect_enough, grouped, masked_again, row_of, ungrouped};
use tributary_component::task::Task;

/// Gives the guest's own rows: key → final positions, one each.
pub(super) async fn run(task: &Task, own: &Masked, secret: &Secret) -> Result<Table> {
    let hosts = task.others(&Role::host());
    task.federation.push_table(&Slot::new("guest_points"), &hosts, &own.points().await?).await?;

    let mut common: Option<Table> = None;
    for (i, host) in hosts.iter().enumerate() {
        let pairs = match_host(task, own, secret, host).await?;
        common = Some(match common {
            None => pairs,
            // From the second host on by the number of the guest's id: points differ from host to host.
            Some(earlier) => {
                let earlier = if i == 1 { earlier.rekey(ID, Some(POINT))? } else { earlier };
                let mut wanted: Vec<String> = vec![POINT.into(), ROW.into()];
                wanted.extend(hosts[..=i].iter().map(row_of));
                earlier.join(&pairs.rekey(ID, None)?.select([row_of(host)])?)?.select(wanted)?
            }
        });
    }
    // One row for each of the guest's: the rows of one id are adjacent.
    let common = in_final_order(common, hosts.len())?.map(ungrouped(ROW)?)?.keep_rows().await?;

    for host in &hosts {
        expect_enough(&task.release("input_data", host), &common).await?;
    }
    for host in &hosts {
        let rows = common.select([row_of(host)])?.drop_key()?.keep().await?;
        task.federation.push_table(&Slot::new("host_rows"), std::slice::from_ref(host), &rows).await?;
    }
    let positions = common.select([ROW])?.number_rows(POSITION)?.rekey(ROW, None)?;
    let by_key = positions.join(&own.keys()?)?.rekey(ID, None)?;
    by_key.gather_by_key(task.partitions())?.map(grouped(POSITION)?)?.keep().await
}

/// Which of the guest's ids one host has. Key: the point. Columns: the numbers of the guest's rows, the number of its id, and
/// the position in the host's points.
async fn match_host(task: &Task, own: &Masked, secret: &Secret, host: &Party) -> Result<Table> {
    let (federation, computing, schema) = (&task.federation, &task.computing, points_schema()?);
    let partitions = task.partitions();
    let any = move |rows| Ok(Layout::Rows(RowRanges::even(rows, partitions)));
    let theirs = federation.pull_table(&Slot::new("host_points"), host, computing, &schema, &any).await?;
    // A host asks too: it learns which of its ids are common.
    let asked = theirs.count().await?;
    let release = task.release("input_data", host);
    release.expect_common_rows(&format!("ids of {host}"), asked)?;
    release.book_ids(asked, own.count)?;
    let theirs = masked_again(task, &theirs, secret).await?.number_rows(&row_of(host))?.rekey(POINT, None)?;

    let ranges = match own.table.layout() {
        Layout::Rows(ranges) => ranges.clone(),
        _ => task.rows(own.count),
    };
    let as_sent = task.exactly(host, ranges);
    let back =
        federation.pull_table(&Slot::new("guest_points_masked"), host, computing, &schema, &as_sent).await?;
    let ids = own.table.number_rows(ID)?.rekey(ID, None)?;
    ids.zip(&back)?.rekey(POINT, Some(ID))?.join(&theirs)?.keep().await
}

/// By the points of the first host.
fn in_final_order(common: Option<Table>, hosts: usize) -> Result<Table> {
    let common = common.ok_or_else(|| tributary_core::Error::bug("an intersection without hosts"))?;
    if hosts == 1 {
        return Ok(common);
    }
    let partitions = common.partitions();
    common.rekey(POINT, Some(ID))?.keyed(partitions)
}
