//! Probes of contracts: something small is made, read back, compared and removed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::StringArray;

use crate::check::{Finding, Steps, milliseconds, timed};
use crate::computing::{End, Engine, SessionSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{JobId, SessionId, TableName, TaskName};
use crate::layout::Layout;
use crate::meta::{Expect, StorageMeta, TableRecord, Version};
use crate::placement::CoreRequest;
use crate::schema::{KeyType, TableSchema};
use crate::storage::TableUri;
use crate::table::Table;

/// Rows of a probe.
const ROWS: usize = 1000;
/// Memory of a probe's session.
const MEMORY_BYTES: u64 = 64 << 20;

/// A name that no other probe has.
fn fresh(what: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{what}-{}-{}", std::process::id(), now.as_nanos())
}

fn same(is_same: bool) -> Result<()> {
    is_same
        .then_some(())
        .ok_or_else(|| Error::new(ErrorKind::Corrupt, "what was read is not what was written"))
}

/// A session on an engine: some rows go in, are laid out by key, and come back.
pub async fn computing<E: Engine + ?Sized>(engine: &E) -> Vec<Finding> {
    let mut steps = Steps::default();
    let placed = async {
        let placement = engine.place(&CoreRequest::default())?;
        let found =
            format!("{} cores, {} partitions without another wish", placement.cores, placement.partitions);
        Ok((placement, found))
    };
    let placement = steps.step("placement", placed).await;
    let opened = async {
        let placement = placement.ok_or_else(|| Error::bug("an engine without a placement"))?;
        let id = SessionId::new(JobId::new(fresh("doctor"))?, TaskName::new("probe")?, 0);
        let (session, took) =
            timed(engine.open(SessionSpec { id, placement, memory_bytes: MEMORY_BYTES })).await?;
        Ok((session, format!("opened in {}", milliseconds(took))))
    };
    let session = steps.step("session", opened).await;
    let computed = async {
        let session = session.as_ref().ok_or_else(|| Error::bug("an engine without a session"))?;
        let schema = TableSchema::keyed("id", KeyType::Utf8, vec![])?;
        let ids = StringArray::from_iter_values((0..ROWS).map(|row| row.to_string()));
        let batch = schema.batch(vec![Arc::new(ids)])?;
        let work = async {
            let table = Table::parallelize(session, &schema, vec![batch], Layout::Loose(2)).await?;
            let rows = table.keyed(2)?.collect().await?;
            Ok(rows.iter().map(|batch| batch.num_rows()).sum::<usize>())
        };
        let (rows, took) = timed(work).await?;
        same(rows == ROWS)?;
        Ok(((), format!("{ROWS} rows laid out by key and read in {}", milliseconds(took))))
    };
    let done = steps.step("computation", computed).await;
    if let Some(session) = session {
        let end = if done.is_some() { End::Done } else { End::Failed };
        if let Err(error) = session.close(end).await {
            steps.add(Finding::of_error("close", &error));
        }
    }
    steps.findings()
}

fn record(table: TableName, rows: u64) -> Result<TableRecord> {
    Ok(TableRecord {
        table,
        engine: "none".into(),
        uri: TableUri::new("probe://nowhere")?,
        schema: TableSchema::keyed("id", KeyType::Utf8, vec![])?,
        layout: Layout::Loose(1),
        rows,
        bytes: 0,
        preview: Vec::new(),
        origin: BTreeMap::from([("made_by".to_owned(), "doctor".to_owned())]),
        created_ms: 0,
        updated_ms: 0,
    })
}

/// A record in a database: written, read, compared, changed at its version and at no other, and removed.
pub async fn storage_meta<M: StorageMeta + ?Sized>(meta: &M) -> Vec<Finding> {
    let mut steps = Steps::default();
    let name = TableName::new("doctor", fresh("probe"));
    let written = async {
        let name = name?;
        let first = record(name.clone(), 1)?;
        let (version, took) = timed(meta.set(&first, Expect::Absent)).await?;
        Ok(((name, version), format!("a record in {}", milliseconds(took))))
    };
    let there = steps.step("writes", written).await;
    let Some((name, version)) = there else { return steps.findings() };
    let mut last = version;
    let read = async {
        let (found, took) = timed(meta.get(&name)).await?;
        same(found == Some((version, record(name.clone(), 1)?)))?;
        Ok(((), format!("the same in {}", milliseconds(took))))
    };
    steps.step("reads", read).await;
    let changed = async {
        let second = record(name.clone(), 2)?;
        last = meta.set(&second, Expect::At(version)).await?;
        let stale = [(Expect::At(version), ErrorKind::Conflict), (Expect::Absent, ErrorKind::AlreadyExists)];
        for (expect, expected) in stale {
            match meta.set(&record(name.clone(), 3)?, expect).await {
                Err(error) if error.kind() == expected => {}
                Err(error) => return Err(error),
                Ok(version) => {
                    last = version;
                    let text = "a change on a condition that does not hold was made, so that writers overwrite each other unseen";
                    return Err(Error::new(ErrorKind::Corrupt, text));
                }
            }
        }
        Ok(((), "changes on a condition are refused where it does not hold".into()))
    };
    steps.step("conditions", changed).await;
    if let Err(error) = removed(meta, &name, last).await {
        steps.add(Finding::of_error("removes", &error));
    } else {
        steps.add(Finding::good("removes", "nothing is left"));
    }
    steps.findings()
}

async fn removed<M: StorageMeta + ?Sized>(meta: &M, name: &TableName, last: Version) -> Result<()> {
    meta.remove(name, last).await?;
    same(meta.get(name).await?.is_none())
}

/// A clock that differs by more makes signatures invalid.
const MOST_SKEW: Duration = Duration::from_secs(300);
/// One that differs by more is worth a word.
const SOME_SKEW: Duration = Duration::from_secs(30);

/// What the clock of a service shows, if something was written there just now, and `within` is how long that took.
pub fn clock(shows: SystemTime, within: Duration) -> Finding {
    let now = SystemTime::now();
    let (apart, way) = match shows.duration_since(now) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let sure = apart.saturating_sub(within).saturating_sub(Duration::from_secs(1));
    let found = format!("{:.1} s {way} this machine's, at most", apart.as_secs_f64());
    let change = "set the clock of this machine or of the service: by NTP";
    match sure {
        sure if sure > MOST_SKEW => Finding::failed("clock", found, change),
        sure if sure > SOME_SKEW => Finding::doubtful("clock", found, change),
        _ => Finding::good("clock", found),
    }
}
