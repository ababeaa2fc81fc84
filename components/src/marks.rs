//! What the guest decides about rows, told to hosts whose rows are in the same order.
//!
//! Marks travel beside row numbers, not ids: rows that parties share have the same number at all of them, and may have
//! different ids. A host that gets marks sees which rows the guest treats alike.

use rand::RngCore;
use tributary_core::federation::{FederationExt, Slot};
use tributary_core::layout::RowRanges;
use tributary_core::ops::rows::{Comparison, Predicate, Value};
use tributary_core::{Layout, Result, Role, Table};
use tributary_sampling::{MARK, mark_schema};

use tributary_component::task::Task;

/// The rows of a table by number, and their ranges.
pub(crate) async fn numbered(table: &Table) -> Result<(Table, RowRanges)> {
    let kept = match table.layout() {
        Layout::Rows(_) => table.clone(),
        _ => table.keep_rows().await?,
    };
    match kept.layout().clone() {
        Layout::Rows(ranges) => Ok((kept, ranges)),
        other => Err(tributary_core::Error::bug(format!("rows by number, got {other:?}"))),
    }
}

/// The seed of a draw: the one given, or a fresh one.
pub(crate) fn seed(given: Option<u64>) -> u64 {
    given.unwrap_or_else(|| rand::rng().next_u64())
}

/// Whether this party takes marks from the guest and draws none.
pub(crate) fn are_told(task: &Task, hetero_sync: bool) -> bool {
    hetero_sync && !task.is_guest()
}

/// Sends marks to all hosts.
pub(crate) async fn tell(task: &Task, marks: &Table) -> Result<()> {
    let hosts = task.others(&Role::host());
    if hosts.is_empty() {
        return Ok(());
    }
    task.federation.push_table(&Slot::new("marks"), &hosts, marks).await
}

/// The guest's marks of this party's rows.
pub(crate) async fn pulled(task: &Task, ranges: &RowRanges) -> Result<Table> {
    let guest = task.guest()?;
    let layout = task.exactly(&guest, ranges.clone());
    task.federation.pull_table(&Slot::new("marks"), &guest, &task.computing, &mark_schema()?, &layout).await
}

/// The rows with this mark, numbered again.
pub(crate) async fn marked(rows: &Table, marks: &Table, mark: u32) -> Result<Table> {
    let columns: Vec<String> = rows.schema().fields().iter().map(|field| field.name.clone()).collect();
    let wanted =
        Predicate { column: MARK.into(), comparison: Comparison::Eq, value: Value::Int(i64::from(mark)) };
    rows.zip(marks)?.filter(&wanted)?.select(columns)?.keep_rows().await
}
