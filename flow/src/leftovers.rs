//! What jobs left whose process was killed: record files that were on their way to their places, and output tables that no record
//! names.
//!
//! A job that ends removes both by itself. What is left does no harm, so it is removed only by a clean-up, and only if no process
//! holds the job and nothing of it was written to for a while.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use tributary_component::Components;
use tributary_core::meta::StorageMeta;
use tributary_core::storage::{InUse, Storage, Sweep, SweepMode, Swept};
use tributary_core::{
    Error, ErrorKind, JobId, PartyId, Result, ResultExt, Role, SessionId, TableName, TaskName,
};

use crate::claim::Claim;
use crate::prepared::PREPARED;
use crate::record::{JobRecord, Records, is_kept};
use crate::spec::{JobSpec, TaskSpec};
use crate::status::Status;

/// One party, and where it keeps what jobs make.
#[derive(Debug, Clone, Copy)]
pub struct Party<'a> {
    /// Its id.
    pub id: &'a PartyId,
    /// Its home folder.
    pub home: &'a Path,
    /// The store of its tables.
    pub storage: &'a Arc<dyn Storage>,
    /// What it knows of them.
    pub meta: &'a Arc<dyn StorageMeta>,
    /// The components of its jobs.
    pub components: &'a Components,
}

/// Removes, or counts, what killed jobs of a party left. What cannot be removed is reported in [`Swept::failed`], and the rest is
/// done.
pub async fn sweep(party: &Party<'_>, what: &Sweep, in_use: &InUse<'_>) -> Result<Swept> {
    let mut swept = Swept::default();
    for folder in folders(&party.home.join("jobs"))? {
        if let Err(error) = of_job(party, &folder, what, in_use, &mut swept).await {
            swept.failed.push(error);
        }
    }
    for folder in
        folders(&party.home.join("models"))?.iter().map(|id| folders(id)).collect::<Result<Vec<_>>>()?
    {
        for models in folder {
            let owner = fs::read(models.join("job.json")).ok();
            let owner = owner.and_then(|bytes| serde_json::from_slice::<JobId>(&bytes).ok());
            if let Err(error) = of_models(party, &models, owner.as_ref(), what, &mut swept) {
                swept.failed.push(error);
            }
        }
    }
    if let Err(error) = of_releases(party, what, &mut swept) {
        swept.failed.push(error);
    }
    Ok(swept)
}

async fn of_job(
    party: &Party<'_>,
    folder: &Path,
    what: &Sweep,
    in_use: &InUse<'_>,
    swept: &mut Swept,
) -> Result<()> {
    let files = files_below(folder)?;
    if is_open(folder, &files)? || files.iter().any(|file| !file.is_idle(what.idle)) {
        return Ok(());
    }
    let records = Records::new(party.home);
    let job = folder.file_name().and_then(|name| JobId::new(name.to_str()?).ok());
    let record = job.map(|job| records.job(&job)).transpose();
    match record {
        Ok(Some(job)) if job.status != Status::Success && job.status != Status::Running => {
            of_tasks(party, &records, &job, what, in_use, swept).await?;
        }
        // It was killed before its record was written: no task of it began.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    remove(&files, what, swept)
}

/// Whether a process holds the job, or it is still to be decided whether outputs that it has prepared count.
fn is_open(folder: &Path, files: &[Found]) -> Result<bool> {
    Ok(files.iter().any(|file| file.name().starts_with(PREPARED)) || Claim::is_held(folder)?)
}

async fn of_tasks(
    party: &Party<'_>,
    records: &Records,
    job: &JobRecord,
    what: &Sweep,
    in_use: &InUse<'_>,
    swept: &mut Swept,
) -> Result<()> {
    let unread = |e| Error::new(ErrorKind::Corrupt, format!("the record of job {}", job.job)).because(e);
    let spec = JobSpec::deserialize(&job.spec).map_err(unread)?;
    for task in spec.tasks.values() {
        let roles = task.parties.iter().map(|part| &part.party).filter(|own| own.id == *party.id);
        for role in roles.map(|own| &own.role) {
            for table in unrecorded(party, records, &job.job, task, role)? {
                if !in_use(&table)
                    && let Err(error) = remove_table(party, job, &table, what, swept).await
                {
                    swept.failed.push(error.at(format!("table {table} of job {}", job.job)));
                }
            }
        }
    }
    Ok(())
}

/// Names that attempts at a task gave their outputs, but for those that its record has.
fn unrecorded(
    party: &Party<'_>,
    records: &Records,
    job: &JobId,
    task: &TaskSpec,
    role: &Role,
) -> Result<Vec<TableName>> {
    let recorded: BTreeSet<String> = match records.data(job, role, &task.name) {
        Ok(data) => data.iter().map(|(_, table)| table.to_string()).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    let Some(component) = party.components.get(&task.component) else { return Ok(Vec::new()) };
    // One more than ended: the one that was killed.
    let attempts = records.attempts(job, role, &task.name)?.last().map_or(0, |last| last.attempt + 1);
    let mut tables = Vec::new();
    for attempt in 0..=attempts {
        let session = SessionId::new(job.clone(), TaskName::new(&task.name)?, attempt);
        for output in &component.definition().outputs {
            let table = TableName::of_output(&session, role, output.name)?;
            if !recorded.contains(&table.to_string()) {
                tables.push(table);
            }
        }
    }
    Ok(tables)
}

async fn remove_table(
    party: &Party<'_>,
    job: &JobRecord,
    table: &TableName,
    what: &Sweep,
    swept: &mut Swept,
) -> Result<()> {
    // A table that a user gave such a name was not made by the job.
    if let Some((_, record)) = party.meta.get(table).await?
        && record.origin.get("job").map(String::as_str) != Some(job.job.as_str())
    {
        return Ok(());
    }
    let place = tributary_catalog::place(party.storage, party.meta, table).await?;
    let stored = match party.storage.open(&place).await {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        stored => Some(stored?),
    };
    if what.mode == SweepMode::Remove {
        match tributary_catalog::delete(party.storage, party.meta, table).await {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            deleted => deleted?,
        }
    }
    if let Some(stored) = stored {
        swept.files += stored.parts.len() as u64 + 1;
        swept.bytes += stored.bytes();
    }
    Ok(())
}

fn of_models(
    party: &Party<'_>,
    folder: &Path,
    owner: Option<&JobId>,
    what: &Sweep,
    swept: &mut Swept,
) -> Result<()> {
    let job = owner.map(|job| Records::new(party.home).job_folder(job));
    let is_open = job.map(|job| is_open(&job, &files_below(&job)?)).transpose()?.unwrap_or_default();
    match is_open || Claim::is_held(folder)? {
        true => Ok(()),
        false => remove(&files_below(folder)?, what, swept),
    }
}

fn of_releases(party: &Party<'_>, what: &Sweep, swept: &mut Swept) -> Result<()> {
    let folder = party.home.join("releases");
    match Claim::is_held(&folder)? {
        true => Ok(()),
        false => remove(&files_below(&folder)?, what, swept),
    }
}

struct Found {
    path: PathBuf,
    bytes: u64,
    idle: Duration,
}

impl Found {
    fn name(&self) -> String {
        self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    fn is_idle(&self, least: Duration) -> bool {
        self.idle >= least
    }
}

/// Removes what has the name of a file on its way, and is old.
fn remove(files: &[Found], what: &Sweep, swept: &mut Swept) -> Result<()> {
    let is_left = |found: &&Found| !is_kept(&found.name()) && found.is_idle(what.idle);
    for found in files.iter().filter(is_left) {
        if what.mode == SweepMode::Remove {
            match fs::remove_file(&found.path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    return Err(e).at(|| format!("remove {}", found.path.display()));
                }
                _ => {}
            }
        }
        swept.files += 1;
        swept.bytes += found.bytes;
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    entries.at(|| format!("list {}", folder.display()))
}

fn folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> =
        entries(folder)?.iter().map(DirEntry::path).filter(|path| path.is_dir()).collect();
    found.sort();
    Ok(found)
}

/// All files in a folder and below it. Links are files.
fn files_below(folder: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in entries(folder)? {
        let about = match entry.metadata() {
            // it has reached its place since
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            about => about.at(|| format!("look at {}", entry.path().display()))?,
        };
        if about.is_dir() {
            found.extend(files_below(&entry.path())?);
            continue;
        }
        // One that seems to be written in the future is young.
        let idle = about.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        found.push(Found { path: entry.path(), bytes: about.len(), idle: idle.unwrap_or_default() });
    }
    Ok(found)
}
