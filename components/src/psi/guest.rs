//! The guest: matches its ids with those of every host.

use tributary_core::federation::{FederationExt, Slot};
use tributary_core::layout::RowRanges;
use tributary_core::{Layout, Party, Result, Role, Table};
use tributary_psi::{POINT, Secret, points_schema};

use super::{ID, Masked, POSITION, expect_enough, masked_again, row_of};
use tributary_component::task::Task;

/// Gives the guest's own rows: key → final position.
pub(super) async fn run(task: &Task, own: &Masked, secret: &Secret) -> Result<Table> {
    let hosts = task.others(&Role::host());
    task.federation.push_table(&Slot::new("guest_points"), &hosts, &own.points().await?).await?;

    let mut common: Option<Table> = None;
    for (i, host) in hosts.iter().enumerate() {
        let pairs = match_host(task, own, secret, host).await?;
        common = Some(match common {
            None => pairs,
            // From the second host on by the guest's key: points differ from host to host.
            Some(earlier) => {
                let earlier = if i == 1 { earlier.rekey(ID, Some(POINT))? } else { earlier };
                let mut wanted: Vec<String> = vec![POINT.into()];
                wanted.extend(hosts[..=i].iter().map(row_of));
                earlier.join(&pairs.rekey(ID, None)?)?.select(wanted)?
            }
        });
    }
    let common = in_final_order(common, hosts.len()).await?;

    for host in &hosts {
        expect_enough(&task.release("input_data", host), &common).await?;
    }
    for host in &hosts {
        let rows = common.select([row_of(host)])?.drop_key()?.keep().await?;
        task.federation.push_table(&Slot::new("host_rows"), std::slice::from_ref(host), &rows).await?;
    }
    common.select([ID])?.number_rows(POSITION)?.rekey(ID, None)?.keep().await
}

/// Which of the guest's rows one host has: key = point, columns = the guest's key and the position in the host's points.
async fn match_host(task: &Task, own: &Masked, secret: &Secret, host: &Party) -> Result<Table> {
    let (federation, computing, schema) = (&task.federation, &task.computing, points_schema()?);
    let partitions = task.partitions();
    let any = move |rows| Ok(Layout::Rows(RowRanges::even(rows, partitions)));
    let theirs = federation.pull_table(&Slot::new("host_points"), host, computing, &schema, &any).await?;
    // A host asks too: it is told which of its ids are common.
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
    own.ids()?.zip(&back)?.rekey(POINT, Some(ID))?.join(&theirs)?.keep().await
}

/// By the points of the first host, rows numbered.
async fn in_final_order(common: Option<Table>, hosts: usize) -> Result<Table> {
    let common = common.ok_or_else(|| tributary_core::Error::bug("an intersection without hosts"))?;
    if hosts == 1 {
        return common.keep_rows().await;
    }
    let partitions = common.partitions();
    common.rekey(POINT, Some(ID))?.keyed(partitions)?.keep_rows().await
}
