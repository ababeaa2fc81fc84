//! A party's tables by name. Before a table is changed or removed, running jobs are checked for readers of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tributary_catalog::{Shelf, Verified};
use tributary_core::bound::ForeignTable;
use tributary_core::media::Media;
use tributary_core::meta::{StorageMeta, TableRecord, Version};
use tributary_core::storage::{IfExists, Storage};
use tributary_core::stores::OnRows;
use tributary_core::{Error, ErrorKind, JobId, PartyId, Result, ResultExt, TableName};
use tributary_flow::ledger::Releases;
use tributary_flow::record::Records;
use tributary_ingest::{Binding, DryRun, Progress, Summary, UploadOptions};
use tributary_runtime::Home;

/// How often running jobs are checked during a wait for their end.
const LOOK: Duration = Duration::from_millis(100);

/// The tables of one party.
#[derive(Debug, Clone)]
pub struct Tables {
    party: PartyId,
    records: Records,
    releases: Releases,
    /// Folder of temporary files.
    scratch: PathBuf,
    media: Arc<dyn Media>,
    storage: Arc<dyn Storage>,
    meta: Arc<dyn StorageMeta>,
}

/// How long to wait for the end of jobs that read a table.
pub struct Wait<'a> {
    /// The longest wait; zero to refuse at once.
    pub at_most: Duration,
    /// Called once with those jobs, if there are any.
    pub waiting: &'a dyn Fn(&[JobId]),
}

impl Tables {
    /// The tables of a party.
    pub fn of(home: &Home, party: &PartyId) -> Result<Self> {
        let ((storage, meta), media) = (home.tables(party)?, home.party_media(party)?);
        let folder = home.party(party);
        let (records, releases) = (Records::new(&folder), Releases::new(&folder));
        Ok(Self {
            party: party.clone(),
            records,
            releases,
            scratch: folder.join("tmp"),
            media,
            storage,
            meta,
        })
    }

    /// The party.
    pub fn party(&self) -> &PartyId {
        &self.party
    }

    /// The store of their rows.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Their records.
    pub fn meta(&self) -> &Arc<dyn StorageMeta> {
        &self.meta
    }

    /// The records of all tables, or of those in a namespace.
    pub async fn list(&self, namespace: Option<&str>) -> Result<Vec<TableRecord>> {
        Ok(self.meta.list(namespace).await?.into_iter().map(|(_, record)| record).collect())
    }

    /// The record of a table. `NotFound` suggests the nearest name.
    pub async fn find(&self, name: &TableName) -> Result<(Version, TableRecord)> {
        if let Some(found) = self.meta.get(name).await? {
            return Ok(found);
        }
        let known: Vec<String> = self.meta.names(None).await?.iter().map(ToString::to_string).collect();
        let help = match known.is_empty() {
            true => Some("it has none; see `tributary data upload --help`".into()),
            false => tributary_document::suggestion(&name.to_string(), known.iter().map(String::as_str)),
        };
        let help = help.unwrap_or_else(|| "see `tributary table list`".into());
        Err(Error::new(ErrorKind::NotFound, format!("party {} has no table {name} ({help})", self.party)))
    }

    /// Stores files as a table, or adds their rows to one; see [`tributary_ingest::upload`].
    pub async fn upload(
        &self,
        options: UploadOptions,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Summary> {
        let options = self.with_ground(options);
        let summary = tributary_ingest::upload(&self.storage, &self.meta, options, progress).await?;
        self.note_content(&summary.table).await?;
        Ok(summary)
    }

    /// What an upload would store; see [`tributary_ingest::dry_run`].
    pub async fn dry_run(
        &self,
        options: UploadOptions,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<DryRun> {
        tributary_ingest::dry_run(&self.storage, &self.meta, self.with_ground(options), progress).await
    }

    /// Makes a table of files that stay where they are; see [`tributary_ingest::bind`].
    pub async fn bind(
        &self,
        options: UploadOptions,
        progress: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Result<Binding> {
        let options = self.with_ground(options);
        let bound = tributary_ingest::bind(&self.storage, &self.meta, options, progress).await?;
        self.note_content(&bound.record.table).await?;
        Ok(bound)
    }

    /// Makes a table of a table or view in the database of one of the party's stores; see [`tributary_catalog::bind_table`].
    pub async fn bind_table(
        &self,
        table: &TableName,
        store: Option<&str>,
        foreign: &ForeignTable,
        if_exists: IfExists,
    ) -> Result<TableRecord> {
        let uri = match store {
            Some(store) => self.storage.locate_in(store, table)?,
            None => self.storage.locate(table)?,
        };
        let at = (table, &uri);
        let bound = tributary_catalog::bind_table(&self.storage, &self.meta, at, foreign, if_exists).await?;
        self.note_content(table).await?;
        Ok(bound)
    }

    fn with_ground(&self, options: UploadOptions) -> UploadOptions {
        let mut options = options;
        options.scratch.clone_from(&self.scratch);
        options.media = self.media.clone();
        options
    }

    /// What partners got about a name counts for the rows that it has now, wherever they are stored next.
    async fn note_content(&self, table: &TableName) -> Result<()> {
        let at =
            || format!("table {table} is stored, but not noted in the ledger of releases; store it again");
        let Some((_, record)) = self.meta.get(table).await.at(at)? else { return Ok(()) };
        let stored = self.storage.open(&record.uri).await.at(at)?;
        self.releases.stored(table, &stored).at(at)
    }

    /// Renames a table. What partners got about it counts under the new name, and still under the old one.
    pub async fn rename(&self, from: &TableName, to: &TableName, wait: Wait<'_>) -> Result<TableRecord> {
        self.await_readers(from, wait)?;
        if let (Some((_, record)), None) = (self.meta.get(from).await?, self.meta.get(to).await?) {
            let stored =
                self.storage.open(&record.uri).await.at(|| format!("rename table {from} to {to}"))?;
            self.releases.renamed(from, to, &stored)?;
        }
        let renamed = tributary_catalog::rename(&self.storage, &self.meta, from, to).await;
        self.or_nearest(from, renamed).await
    }

    /// Copies a table, also to another party of this site or another of its stores. What partners got about it counts for the copy,
    /// too.
    pub async fn copy(
        &self,
        from: &TableName,
        into: &Self,
        to: &TableName,
        store: Option<&str>,
        on_rows: OnRows,
    ) -> Result<TableRecord> {
        let uri = match store {
            Some(store) => into.storage.locate_in(store, to)?,
            None => into.storage.locate(to)?,
        };
        let mut origin = None;
        if let (Some((_, record)), None) = (self.meta.get(from).await?, into.meta.get(to).await?) {
            let stored = self.storage.open(&record.uri).await.at(|| format!("copy table {from} to {to}"))?;
            if self.party == into.party {
                self.releases.renamed(from, to, &stored)?;
                origin = Some(Releases::origin_of_copy(&record, &stored)?);
            } else {
                into.releases.copied(&self.releases, &record, to, &stored)?;
            }
        }
        let to_there = (to, &uri);
        let copied =
            tributary_catalog::copy(self.shelf(), from, into.shelf(), to_there, origin, on_rows).await?;
        into.note_content(to).await?;
        Ok(copied)
    }

    fn shelf(&self) -> Shelf<'_> {
        Shelf { storage: &self.storage, meta: &self.meta }
    }

    /// Deletes a table.
    pub async fn delete(&self, name: &TableName, wait: Wait<'_>) -> Result<()> {
        self.await_readers(name, wait)?;
        let deleted = tributary_catalog::delete(&self.storage, &self.meta, name).await;
        self.or_nearest(name, deleted).await
    }

    /// Compares a table's rows with its manifest and record.
    pub async fn verify(&self, name: &TableName) -> Result<Verified> {
        let verified = tributary_catalog::verify(&self.storage, &self.meta, name).await;
        self.or_nearest(name, verified).await
    }

    /// A table that was not found is said to be missing with its party and the nearest name.
    async fn or_nearest<T>(&self, name: &TableName, result: Result<T>) -> Result<T> {
        match result {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(self.find(name).await.err().unwrap_or(error))
            }
            other => other,
        }
    }

    /// Returns once no running job reads the table; blocks its thread until then. `Conflict` names the jobs that still read
    /// it after the wait.
    ///
    /// This is a check, not a lock: a job that starts just after it fails to find the table, either when it starts or at the
    /// latest in the task that reads the table. Either way that is reported, and no reader sees half a table.
    fn await_readers(&self, table: &TableName, wait: Wait<'_>) -> Result<()> {
        let (begun, mut reported) = (Instant::now(), false);
        loop {
            let readers = self.records.readers(table)?;
            let Some(first) = readers.first() else { return Ok(()) };
            if begun.elapsed() >= wait.at_most {
                let more = if readers.len() > 1 {
                    format!(" and {} more", readers.len() - 1)
                } else {
                    String::new()
                };
                let text = format!(
                    "job {first}{more} of party {} reads table {table}; wait for its end with --wait SECONDS, or stop it",
                    self.party
                );
                return Err(Error::new(ErrorKind::Conflict, text));
            }
            if !std::mem::replace(&mut reported, true) {
                (wait.waiting)(&readers);
            }
            thread::sleep(LOOK);
        }
    }
}
