//! Probes of contracts: something small is made, read back, compared and removed.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arrow_array::{Float64Array, RecordBatch, StringArray};
use arrow_schema::DataType;
use futures::{StreamExt, TryStreamExt, stream};

use crate::check::{Finding, Steps, milliseconds, rate, timed};
use crate::computing::{End, Engine, SessionSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::ids::{JobId, SessionId, TableName, TaskName};
use crate::layout::Layout;
use crate::meta::{Expect, StorageMeta, TableRecord, Version};
use crate::placement::CoreRequest;
use crate::schema::{Field, KeyType, TableSchema};
use crate::storage::{IfExists, Storage, StoredTable, TableUri, WriteOptions};
use crate::table::Table;

/// Rows of a probe.
const ROWS: usize = 1000;
/// Rows by which a rate is measured.
const MEASURED_ROWS: usize = 50_000;
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

/// A table in a store, where no other is: written, read, compared, replaced at its snapshot and at no other, and removed.
pub async fn storage<S: Storage + ?Sized>(store: &S) -> Vec<Finding> {
    let mut steps = Steps::default();
    match Probe::new(store) {
        Err(error) => steps.add(Finding::of_error("writes", &error)),
        Ok(probe) => {
            probe.look(&mut steps).await;
            match probe.remove().await {
                Ok(()) => steps.add(Finding::good("removes", "nothing is left")),
                Err(error) => steps.add(Finding::of_error("removes", &error)),
            }
        }
    }
    steps.findings()
}

struct Probe<'a, S: ?Sized> {
    store: &'a S,
    uri: TableUri,
    schema: TableSchema,
}

impl<'a, S: Storage + ?Sized> Probe<'a, S> {
    fn new(store: &'a S) -> Result<Self> {
        let uri = store.locate(&TableName::new("doctor", fresh("probe"))?)?;
        let numbers = ["a", "b", "c"].map(|name| Field::new(name, DataType::Float64));
        Ok(Self { store, uri, schema: TableSchema::keyed("id", KeyType::Utf8, numbers.into())? })
    }

    async fn look(&self, steps: &mut Steps) {
        let written = async {
            let (table, took) = timed(self.write(0..ROWS, IfExists::Fail)).await?;
            Ok((table, format!("a table of {ROWS} rows at {}, in {}", self.uri, milliseconds(took))))
        };
        let Some(first) = steps.step("writes", written).await else { return };
        let read = async {
            let ((), took) = timed(self.read(&first, 0..ROWS)).await?;
            Ok(((), format!("the same rows, in {}", milliseconds(took))))
        };
        steps.step("reads", read).await;
        steps.step("conditions", self.conditions(&first)).await;
        steps.step("throughput", self.throughput()).await;
    }

    fn rows(&self, rows: Range<usize>) -> Result<RecordBatch> {
        let ids = StringArray::from_iter_values(rows.clone().map(|row| row.to_string()));
        let mut columns: Vec<arrow_array::ArrayRef> = vec![Arc::new(ids)];
        for divisor in [3.0, 5.0, 7.0] {
            let numbers = rows.clone().map(|row| row as f64 / divisor);
            columns.push(Arc::new(Float64Array::from_iter_values(numbers)));
        }
        self.schema.batch(columns)
    }

    async fn write(&self, rows: Range<usize>, how: IfExists) -> Result<StoredTable> {
        let options = WriteOptions::default().with_if_exists(how);
        let rows = self.rows(rows)?;
        let write = self.store.begin(&self.uri, &self.schema, &Layout::Loose(1), options).await?;
        let written = async {
            let part = self.store.write_part(&write, 0, stream::iter([Ok(rows)]).boxed()).await?;
            self.store.commit(write.clone(), vec![part]).await
        };
        match written.await {
            Ok(table) => Ok(table),
            Err(error) => {
                // the first error is reported; clean-up finds the leftovers
                drop(self.store.abort(write).await);
                Err(error)
            }
        }
    }

    async fn read(&self, table: &StoredTable, expected: Range<usize>) -> Result<()> {
        let (expected, mut at) = (self.rows(expected)?, 0);
        let mut rows = self.store.scan(table, 0).await?;
        while let Some(batch) = rows.try_next().await? {
            let count = batch.num_rows();
            same(at + count <= expected.num_rows() && batch == expected.slice(at, count))?;
            at += count;
        }
        same(at == expected.num_rows())
    }

    /// A table that is there is not overwritten, and one is replaced by whoever knows its state, and by nobody else.
    async fn conditions(&self, first: &StoredTable) -> Result<((), String)> {
        expect_refused(self.write(1..2, IfExists::Fail).await, ErrorKind::AlreadyExists)?;
        if !self.store.info_of(&self.uri)?.replaces_snapshots {
            return Ok(((), "a table that is there is not overwritten".into()));
        }
        let known = || IfExists::ReplaceSnapshot(first.snapshot.clone());
        let second = self.write(2..ROWS, known()).await?;
        expect_refused(self.write(1..2, known()).await, ErrorKind::Conflict)?;
        self.read(&second, 2..ROWS).await?;
        Ok(((), "a table is replaced in the state that was read, and in no other".into()))
    }

    async fn throughput(&self) -> Result<((), String)> {
        let (table, there) = timed(self.write(0..MEASURED_ROWS, IfExists::Replace)).await?;
        let ((), back) = timed(self.read(&table, 0..MEASURED_ROWS)).await?;
        let bytes = self.rows(0..MEASURED_ROWS)?.get_array_memory_size() as u64;
        Ok(((), format!("{} there, {} back", rate(bytes, there), rate(bytes, back))))
    }

    /// What was never written is no error.
    async fn remove(&self) -> Result<()> {
        match self.store.delete(&self.uri).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        match self.store.open(&self.uri).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(ErrorKind::Corrupt, "what was removed is still there")),
        }
    }
}

fn expect_refused<T>(done: Result<T>, expected: ErrorKind) -> Result<()> {
    match done {
        Err(error) if error.kind() == expected => Ok(()),
        Err(error) => Err(error),
        Ok(_) => {
            let text = "a write on a condition that does not hold was done, so that writers overwrite each other unseen";
            Err(Error::new(ErrorKind::Corrupt, text))
        }
    }
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
