//! The commit of a write: its parts are compared with what is there, then its manifest is published on the condition of the one that was read.
//!
//! Where the medium compares and replaces in one step, every replacement has that condition, so that manifests form one line: each names the one
//! before it, and only the parts of the one before that are removed. A plain replacement ([`IfExists::Replace`]) that comes second reads again and
//! takes the place of the first.
//!
//! **Whether a manifest was published may remain unknown**, when a store stops answering: then nobody may remove the parts that it names.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use tributary_core::bytestore::{Entry, Revision};
use tributary_core::storage::{IfExists, Part, StoredTable, TableUri, Write};
use tributary_core::{Error, ErrorKind, Result};

use crate::manifest::Manifest;
use crate::place::{Attempt, PartKind, Place};
use crate::sweep::COMMITTING;
use crate::tables::{Tables, already_exists, changed, is_of};

/// How often a plain replacement begins again because another one came first.
const TRIES: usize = 100;

/// Writes whose manifest may have been published, although nothing said so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Undecided(Arc<Mutex<HashSet<String>>>);

impl Undecided {
    fn all(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn has(&self, attempt: &Attempt) -> bool {
        self.all().contains(attempt.as_str())
    }
}

/// Whether a publication is over.
enum Published {
    Yes,
    /// Another write replaced the manifest that was read.
    OthersCameFirst,
}

impl Tables {
    pub(crate) async fn commit_parts(&self, write: Write, parts: Vec<Part>) -> Result<StoredTable> {
        let (place, uri) = (self.place(&write.uri)?, write.uri.clone());
        for _ in 0..TRIES {
            if let Some(table) = self.try_commit(&place, &uri, &write, &parts).await? {
                return Ok(table);
            }
        }
        let text = "others replaced the table again and again while it was committed; try again";
        Err(Error::new(ErrorKind::Conflict, text))
    }

    /// `None` if another write came first, and this one is to replace it.
    async fn try_commit(
        &self,
        place: &Place,
        uri: &TableUri,
        write: &Write,
        parts: &[Part],
    ) -> Result<Option<StoredTable>> {
        let how = &write.options.if_exists;
        let (there, revision) = self.manifest_and_revision(place).await?.unzip();
        let there = match there.transpose() {
            // any existing table is to be replaced
            Err(error) if error.kind() == ErrorKind::Corrupt && *how == IfExists::Replace => None,
            there => there?,
        };
        match (&there, how) {
            (Some(known), _) if known.is_of(&write.attempt) => {
                return known.clone().committed_again(uri.clone(), parts).map(Some);
            }
            // it was committed, and replaced since: its parts are what readers of it read
            (Some(known), _) if known.replaced(&write.attempt) => {
                let was = Manifest::new(write.clone(), parts.to_vec(), None)?;
                return Ok(Some(was.into_table(uri.clone())));
            }
            (Some(_), IfExists::Fail) => return Err(already_exists()),
            (known, IfExists::ReplaceSnapshot(expected)) if !is_of(known.as_ref(), expected) => {
                return Err(changed());
            }
            _ => {}
        }
        let (current, before) = there.map(|m| (m.snapshot, m.previous)).unzip();
        let new = Manifest::new(write.clone(), parts.to_vec(), current)?;
        let late = self.look_late(place, &new.snapshot).await?;
        self.settle_parts(&place.snapshot(&new.snapshot), new.parts(), &late.entries).await?;
        if let Some(before) = before.flatten() {
            self.remove_folder(&place.snapshot(&before)).await?;
        }
        match self.publish(place, &new, how, revision).await? {
            Published::OthersCameFirst => Ok(None),
            Published::Yes => {
                self.tidy(place, &new, late).await;
                Ok(Some(new.into_table(uri.clone())))
            }
        }
    }

    /// The stored parts of the write must match the named ones; other parts of the same write are removed.
    async fn settle_parts(&self, folder: &str, parts: &[Part], entries: &[Entry]) -> Result<()> {
        let mut extra = Vec::new();
        // For a bound part, the size is that of the rows in the bound files.
        let size = |part: &Part| (PartKind::of(&part.file) == PartKind::Rows).then_some(part.size.bytes);
        let mut missing: HashMap<String, Option<u64>> =
            parts.iter().map(|part| (format!("{folder}/{}", part.file), size(part))).collect();
        let inside = |entry: &&Entry| entry.path.starts_with(folder);
        for entry in entries.iter().filter(inside).filter(|entry| !entry.path.ends_with(COMMITTING)) {
            match missing.remove(&entry.path) {
                Some(bytes) if bytes.is_none_or(|bytes| bytes == entry.bytes) => {}
                Some(bytes) => {
                    let bytes = bytes.unwrap_or_default();
                    return Err(Error::new(
                        ErrorKind::Conflict,
                        format!(
                            "part {} has {} bytes, expected {bytes}; write it again",
                            entry.path, entry.bytes
                        ),
                    ));
                }
                None => extra.push(entry.path.clone()),
            }
        }
        if let Some(path) = missing.keys().min() {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!(
                    "part {path} is gone: the write was aborted, or was idle for so long that clean-up removed it"
                ),
            ));
        }
        self.store.delete(&extra).await
    }

    /// `there`: the revision of the manifest that is replaced.
    async fn publish(
        &self,
        place: &Place,
        manifest: &Manifest,
        how: &IfExists,
        there: Option<Revision>,
    ) -> Result<Published> {
        let attempt = manifest.snapshot.as_str();
        self.undecided.all().insert(attempt.to_owned());
        let published = self.put_manifest(place, manifest, how, there).await;
        if published.as_ref().map_or_else(is_decided, |_| true) {
            self.undecided.all().remove(attempt);
        }
        if matches!(published, Ok(Published::Yes)) {
            match manifest.has_rows() {
                true => self.store.link(&place.current(), &place.snapshot(&manifest.snapshot)).await,
                // for users only, so a failure to remove it is no error
                false => drop(self.store.delete(&[place.current()]).await),
            }
        }
        published
    }

    async fn put_manifest(
        &self,
        place: &Place,
        manifest: &Manifest,
        how: &IfExists,
        there: Option<Revision>,
    ) -> Result<Published> {
        let (path, text) = (place.manifest(), Bytes::from(manifest.encode()?));
        let put = match (how, there) {
            (IfExists::Replace, _) if !self.store.info().replaces_snapshots => {
                let mut upload = self.store.put(&path).await?;
                upload.write(text).await?;
                return upload.finish().await.map(|()| Published::Yes);
            }
            (IfExists::ReplaceSnapshot(_), None) => return Err(changed()),
            (IfExists::Fail, _) | (_, None) => self.store.put_if_absent(&path, text).await,
            (_, Some(there)) => self.store.put_if_unchanged(&path, &there, text).await,
        };
        let Err(error) = put else { return Ok(Published::Yes) };
        if !matches!(error.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) {
            return Err(error);
        }
        // A store may lose the result of a successful request and repeat it: then our own manifest is in the way, or one that replaced it.
        match (self.manifest(place).await, how) {
            (Ok(Some(there)), _) if there.knows(&manifest.snapshot) => Ok(Published::Yes),
            (_, IfExists::Replace) => Ok(Published::OthersCameFirst),
            (_, IfExists::Fail) => Err(already_exists()),
            (_, IfExists::ReplaceSnapshot(_)) => Err(changed().because(error)),
        }
    }
}

/// Whether a store that refuses to publish says that it has not.
fn is_decided(error: &Error) -> bool {
    !matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Io | ErrorKind::Cancelled
    )
}
