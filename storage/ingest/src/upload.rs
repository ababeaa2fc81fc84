//! An upload from beginning to end.
//!
//! The table is committed first, the site's record of it written after. **The store decides what a table holds, the
//! record only describes it**, so a crash between the two leaves a usable state. After a replacement the old record names
//! the new table, whose columns and rows every reader takes from the store. A new table without a record is found by the
//! next upload of that name, which may replace it, and [`tributary_catalog::delete`] deletes it.
//!
//! An upload runs on its own threads: reading, parsing and compressing take much CPU time, and the caller's executor may
//! have only one thread. Dropping the future stops them within a few thousand rows, and the written parts are removed.

use std::num::NonZero;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use arrow_array::RecordBatch;
use futures::channel::oneshot;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt};
use tributary_catalog::{Entry, place, record};
use tributary_core::layout::{Layout, RowRanges};
use tributary_core::meta::{StorageMeta, TableRecord};
use tributary_core::storage::{IfExists, Part, Storage, StoredTable, TableUri, Write, WriteOptions};
use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::content::{Content, Preview};
use crate::duplicates::Repeated;
use crate::grown::Grown;
use crate::input::{Inputs, Once};
use crate::old::OldTable;
use crate::options::{Existing, UploadOptions};
use crate::progress::{Meter, Pass, Progress};
use crate::stats::ColumnStats;
use crate::summary::{ColumnSummary, DryRun, Merged, Role, Summary};
use crate::{csv, input, old, parquet};

/// Stores files as a table in file order, cut into parts of nearly equal length (`Loose`), and records it; or adds their
/// rows after those of the existing table ([`Existing::Merge`]).
///
/// Errors: `InvalidInput` with file, line and column for anything wrong in the files; `NotFound`; `AlreadyExists`;
/// `Conflict` when a file, or the table that rows are added to, changes during the upload; `Exhausted` when a disk is full.
/// After an error nothing is stored, unless the message says so.
///
/// `progress` is called on the upload's threads, one call at a time.
///
/// Cost: the files, and a table that rows are added to, are read twice (a third time if ids seem to be repeated); compressed
/// files and pipes are copied first. The whole table is written. Memory does not grow with the files, except for a bit per
/// row that is left out and 64 bytes per megabyte.
pub async fn upload(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    options: UploadOptions,
    progress: impl Fn(Progress) + Send + Sync + 'static,
) -> Result<Summary> {
    run("upload", storage, meta, options, progress, Upload::run).await
}

/// Does all steps of an upload before it stores: reads and checks all rows, and reports what would be stored. Errors are
/// those of [`upload`].
pub async fn dry_run(
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    options: UploadOptions,
    progress: impl Fn(Progress) + Send + Sync + 'static,
) -> Result<DryRun> {
    run("upload", storage, meta, options, progress, Upload::dry_run).await
}

/// Runs work on its own thread; `verb` names the operation in errors.
pub(crate) async fn run<T: Send + 'static>(
    verb: &'static str,
    storage: &Arc<dyn Storage>,
    meta: &Arc<dyn StorageMeta>,
    options: UploadOptions,
    progress: impl Fn(Progress) + Send + Sync + 'static,
    work: fn(&Upload) -> Result<T>,
) -> Result<T> {
    let what = format!("{verb} {}", options.table);
    let meter = Arc::new(Meter::new(progress));
    let _stop = StopOnDrop(meter.clone());
    let upload = Upload { storage: storage.clone(), meta: meta.clone(), options, meter };
    let (send, result) = oneshot::channel();
    let work = move || drop(send.send(work(&upload))); // the receiver may be gone
    thread::Builder::new().name(verb.into()).spawn(work).at(|| what.clone())?;
    result.await.map_err(|_| Error::bug("its thread ended without a result")).flatten().at(|| what)
}

struct StopOnDrop(Arc<Meter>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The request, and the services that it needs.
pub(crate) struct Upload {
    pub storage: Arc<dyn Storage>,
    pub meta: Arc<dyn StorageMeta>,
    pub options: UploadOptions,
    pub meter: Arc<Meter>,
}

/// The checked files before anything is stored.
pub(crate) struct Prepared {
    pub content: Arc<dyn Content>,
    /// The schema as inferred before the rows are written.
    pub columns: Vec<ColumnSummary>,
    pub roles: Vec<Role>,
    pub notes: Vec<String>,
    /// Rows with repeated ids.
    pub repeated: Repeated,
    pub rejected: u64,
}

/// The content to store, and how.
struct Plan {
    uri: TableUri,
    if_exists: IfExists,
    content: Arc<dyn Content>,
    ranges: RowRanges,
    columns: Vec<ColumnSummary>,
    roles: Vec<Role>,
    notes: Vec<String>,
    duplicates_dropped: u64,
    rejected: u64,
    merged: Option<Merged>,
}

impl Upload {
    fn run(&self) -> Result<Summary> {
        let plan = self.plan()?;
        let preview = self.preview(&plan.content)?;
        let (stored, stats) = self.store(&plan)?;
        self.record(&plan, &stored, preview)?;
        let mut columns = plan.columns;
        for (column, stats) in columns.iter_mut().zip(stats) {
            column.nulls = Some(stats.nulls);
            column.distinct = Some(stats.sketch.estimate());
            column.extent = stats.extent;
        }
        Ok(Summary {
            table: self.options.table.clone(),
            rows: stored.rows(),
            partitions: stored.layout.partitions(),
            bytes: stored.bytes(),
            uri: stored.uri,
            duplicates_dropped: plan.duplicates_dropped,
            rejected: plan.rejected,
            merged: plan.merged,
            columns,
            roles: plan.roles,
            notes: plan.notes,
        })
    }

    fn dry_run(&self) -> Result<DryRun> {
        let plan = self.plan()?;
        Ok(DryRun {
            table: self.options.table.clone(),
            rows: plan.content.rows(),
            partitions: plan.ranges.partitions(),
            key: plan.content.schema().key().map_or(String::new(), |key| key.name.clone()),
            preview: self.preview(&plan.content)?,
            duplicates_dropped: plan.duplicates_dropped,
            rejected: plan.rejected,
            merged: plan.merged,
            columns: plan.columns,
            roles: plan.roles,
            notes: plan.notes,
        })
    }

    fn plan(&self) -> Result<Plan> {
        let mut uri = self.place()?;
        let (mut if_exists, mut old) = (IfExists::Fail, None);
        match self.options.if_exists {
            Existing::Fail => self.check_absent(&uri)?,
            Existing::Replace => if_exists = IfExists::Replace,
            Existing::Merge => old = OldTable::open(&self.storage, &self.meta, &self.options.table)?,
        }
        if let Some(old) = &old {
            (uri, if_exists) = (old.uri().clone(), old.successor());
        }
        let write = WriteOptions::default().with_if_exists(if_exists.clone());
        self.storage.info_of(&uri)?.expect_writing(&write)?;
        let partitions = old.as_ref().map_or(UploadOptions::PARTITIONS, |old| old.partitions());
        let partitions = self.options.partitions.unwrap_or(partitions);
        Layout::Loose(partitions).check()?;
        let Prepared { content, columns, roles, notes, repeated, rejected } = self.prepare(old.as_ref())?;
        let duplicates_dropped = repeated.dropped;
        let (content, merged) = match old {
            None => (content, None),
            Some(old) => {
                let (replaced, added) = (repeated.replaced.len(), content.rows());
                let grown = Grown::new(old, repeated.replaced, content)?;
                let merged = Merged { kept: grown.kept(), replaced, added };
                (Arc::new(grown) as Arc<dyn Content>, Some(merged))
            }
        };
        let ranges = RowRanges::even(content.rows(), partitions);
        Ok(Plan {
            uri,
            if_exists,
            content,
            ranges,
            columns,
            roles,
            notes,
            duplicates_dropped,
            rejected,
            merged,
        })
    }

    fn prepare(&self, old: Option<&Arc<OldTable>>) -> Result<Prepared> {
        let mut options = self.options.clone();
        if old.is_some() {
            options.sort_bytes /= 2; // ids of both sides are sorted at once
        }
        match input::open_all(&options, Once::Copied, &self.meter)? {
            Inputs::Csv(inputs, keys) => csv::prepare(&options, inputs, keys, old, &self.meter),
            Inputs::Parquet(files) => parquet::prepare(&options, files, old, &self.meter),
        }
    }

    pub fn preview(&self, content: &Arc<dyn Content>) -> Result<Preview> {
        let rows = self.options.preview_rows.min(TableRecord::MAX_PREVIEW_ROWS);
        content.clone().preview(rows, &self.meter)
    }

    /// Where the table is, or would be.
    pub fn place(&self) -> Result<TableUri> {
        block_on(place(&self.storage, &self.meta, &self.options.table))
    }

    /// Refuses before the long reading what the commit would refuse after it.
    pub fn check_absent(&self, uri: &TableUri) -> Result<()> {
        let exists = |what| Err(Error::new(ErrorKind::AlreadyExists, what));
        if block_on(self.meta.get(&self.options.table))?.is_some() {
            return exists(
                "the table exists; replace it (--if-exists replace), add rows to it (--if-exists merge), delete it, or \
                 take another name",
            );
        }
        match block_on(self.storage.open(uri)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => exists(
                "a table without a record, left by an interrupted upload, is in its place; replace it (--if-exists \
                 replace) or delete it",
            ),
        }
    }

    /// The stored table, and the statistics of its columns after the key.
    fn store(&self, plan: &Plan) -> Result<(StoredTable, Vec<ColumnStats>)> {
        self.meter.begin(Pass::Write, plan.content.bytes());
        let layout = Layout::Loose(plan.ranges.partitions());
        let options = WriteOptions::default().with_if_exists(plan.if_exists.clone());
        let begun = block_on(self.storage.begin(&plan.uri, plan.content.schema(), &layout, options));
        let write = begun.map_err(|error| self.explain(error))?;
        let written = self.write_parts(&write, plan);
        let stored = written.and_then(|(parts, stats)| {
            let stored = block_on(self.storage.commit(write.clone(), parts));
            stored.map(|stored| (stored, stats)).map_err(|error| self.explain(error))
        });
        stored.map_err(|error| match block_on(self.storage.abort(write)) {
            Ok(()) => error,
            Err(left) => error.at(format!("the written files stay until the next clean-up ({left})")),
        })
    }

    /// When rows are added, any table other than the one that was read counts as changed; so does a table where there was
    /// none.
    fn explain(&self, error: Error) -> Error {
        match (self.options.if_exists, error.kind()) {
            (Existing::Merge, ErrorKind::Conflict | ErrorKind::AlreadyExists) => {
                old::changed().because(error)
            }
            _ => error,
        }
    }

    /// All parts in order. The first error stops the other workers.
    fn write_parts(&self, write: &Write, plan: &Plan) -> Result<(Vec<Part>, Vec<ColumnStats>)> {
        let partitions = plan.ranges.partitions();
        let workers = thread::available_parallelism().map_or(1, NonZero::get).min(partitions as usize);
        let next = AtomicU32::new(0);
        let done = Mutex::new(Ok((Vec::new(), no_stats(plan))));
        let work = || {
            loop {
                let partition = next.fetch_add(1, Ordering::Relaxed);
                if partition >= partitions {
                    break;
                }
                let part = self.write_part(write, plan, partition);
                let failed = part.is_err();
                keep(&mut done.lock().unwrap_or_else(|poisoned| poisoned.into_inner()), partition, part);
                if failed {
                    self.meter.stop();
                }
            }
        };
        thread::scope(|scope| (0..workers).for_each(|_| drop(scope.spawn(work))));
        let (mut parts, stats) = done.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner())?;
        self.meter.check()?;
        parts.sort_unstable_by_key(|(partition, _)| *partition);
        Ok((parts.into_iter().map(|(_, part)| part).collect(), stats))
    }

    fn write_part(&self, write: &Write, plan: &Plan, partition: u32) -> Result<(Part, Vec<ColumnStats>)> {
        let range = plan.ranges.range(partition);
        let stats = Arc::new(Mutex::new(no_stats(plan)));
        let seen = stats.clone();
        let look = move |batch: &RecordBatch| {
            let mut stats = seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            stats.iter_mut().zip(&batch.columns()[1..]).for_each(|(stats, values)| stats.add(values));
        };
        let rows = plan.content.clone().batches(range.clone(), &self.meter).inspect_ok(look).boxed();
        let part = block_on(self.storage.write_part(write, partition, rows))?;
        if part.size.rows != range.end - range.start {
            let rows = range.end - range.start;
            return Err(Error::bug(format!("part {partition} has {} rows, expected {rows}", part.size.rows)));
        }
        let stats = std::mem::take(&mut *stats.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
        Ok((part, stats))
    }

    fn record(&self, plan: &Plan, stored: &StoredTable, preview: Preview) -> Result<()> {
        let origin = vec![("made_by", "upload".to_owned()), ("file", plan.content.describe())];
        // an old record of a table that did not exist belongs to a deleted table
        let if_exists = match (self.options.if_exists, &plan.if_exists) {
            (Existing::Merge, IfExists::Fail) => IfExists::Replace,
            (_, if_exists) => if_exists.clone(),
        };
        let entry = Entry { preview, origin, if_exists };
        block_on(record(&self.storage, &self.meta, &self.options.table, stored, entry)).map(drop)
    }
}

fn no_stats(plan: &Plan) -> Vec<ColumnStats> {
    vec![ColumnStats::default(); plan.content.schema().fields().len()]
}

type Written = (Vec<(u32, Part)>, Vec<ColumnStats>);

/// Collects parts until the first error, which then stays.
fn keep(done: &mut Result<Written>, partition: u32, part: Result<(Part, Vec<ColumnStats>)>) {
    match (done.as_mut(), part) {
        (Ok((parts, all)), Ok((part, stats))) => {
            parts.push((partition, part));
            all.iter_mut().zip(stats).for_each(|(all, stats)| all.merge(stats));
        }
        (Ok(_), Err(error)) => *done = Err(error),
        (Err(_), _) => {}
    }
}
