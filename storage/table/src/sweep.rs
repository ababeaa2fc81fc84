//! Clean-up of files that crashes left, and of replaced snapshots. By age, because the files of an active write or of a
//! reader in another process look just like leftovers.
//!
//! **Age is measured by the medium's clock**, which stamps its files: a full clean-up writes a small file and reads its
//! time, a commit uses the time of its own parts. The clocks of machines are not used.
//!
//! The snapshot that a manifest names is never removed. This must also hold for a concurrent commit of a write that was idle
//! for a long time. So both sides announce themselves before they check: a clean-up creates [`SWEPT`] in the write's folder,
//! then lists the folder and reads the manifest; a late commit creates [`COMMITTING`], then lists the folder. At least one
//! of them sees the other. Either the write stays, or its commit fails and the table does not change.
//!
//! A commit also removes what is older than [`Sweep::IDLE`] in the folder of its own table, which it lists anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use tributary_core::bytestore::{Entry, UNFINISHED, list_with_time};
use tributary_core::storage::{InUse, Sweep, SweepMode, Swept};
use tributary_core::{Error, ErrorKind, Result, ResultExt};

use crate::manifest::Manifest;
use crate::place::{Attempt, Found, Place, fresh_passing};
use crate::tables::Tables;

/// Part of a temporary file's name in the folder of a write: a clean-up removes the write.
const SWEPT: &str = "swept";
/// A file in the folder of a write: the write is being committed after it was idle for a long time.
pub(crate) const COMMITTING: &str = ".unfinished-commit";
/// From this age on, the commit of a write announces itself. Less than the age for a clean-up, with a margin for clocks that
/// differ.
const LATE: Duration = Duration::from_secs(60);

impl Tables {
    pub(crate) async fn sweep_all(&self, what: &Sweep, in_use: &InUse<'_>) -> Result<Swept> {
        let (now, entries) =
            list_with_time(&*self.store, "", &fresh_passing("clock")?).await.at(|| "clean up tables")?;
        let before = now.checked_sub(what.idle).unwrap_or(SystemTime::UNIX_EPOCH);
        let (mut places, mut stray) = (BTreeSet::new(), Vec::new());
        for entry in entries {
            match Found::of(&entry.path) {
                Found::InAttempt(place, _) | Found::Unfinished(place) => drop(places.insert(place)),
                Found::Stray if entry.modified < before => stray.push(entry),
                Found::Manifest | Found::Stray | Found::Other => {}
            }
        }
        let mut swept = Swept::default();
        swept.add(sizes(&stray));
        if what.mode == SweepMode::Remove {
            self.store.delete(&paths(&stray)).await.at(|| "clean up tables")?;
        }
        for place in places.into_iter().filter(|place| !in_use(place.name())) {
            match self.sweep_table(&place, before, what.mode).await {
                Ok(removed) => swept.add(sizes(&removed)),
                Err(error) => swept.failed.push(error.at(format!("clean up table {}", place.folder()))),
            }
        }
        Ok(swept)
    }

    /// Removes files that have been idle since `before` in the folder of one table. The manifest is read first and the
    /// folder listed after it, so that a manifest older than `before` in the list is the one that was read.
    pub(crate) async fn sweep_table(
        &self,
        place: &Place,
        before: SystemTime,
        mode: SweepMode,
    ) -> Result<Vec<Entry>> {
        let manifest = self.manifest(place).await?;
        let found = Leftovers::of(self.store.list(place.folder()).await?, before);
        let (attempts, mut removed) = found.except(manifest.as_ref());
        if mode == SweepMode::Count {
            removed.extend(attempts.into_values().flatten());
            return Ok(removed);
        }
        self.store.delete(&paths(&removed)).await?;
        for (attempt, entries) in attempts {
            if self.remove_attempt(place, &attempt, before).await? {
                removed.extend(entries);
            }
        }
        match manifest.filter(Manifest::has_rows) {
            Some(manifest) => self.store.link(&place.current(), &place.snapshot(&manifest.snapshot)).await,
            None => self.store.delete(&[place.current()]).await?,
        }
        Ok(removed)
    }

    /// `false` if it is being committed.
    async fn remove_attempt(&self, place: &Place, attempt: &Attempt, before: SystemTime) -> Result<bool> {
        // A unique name, because another clean-up may withdraw its own announcement.
        let swept = place.part(attempt, &fresh_passing(SWEPT)?);
        self.store.put_if_absent(&swept, Bytes::from_static(b"removed\n")).await?;
        let entries = self.store.list(&place.snapshot(attempt)).await?;
        let alive = entries.iter().any(|entry| entry.path != swept && entry.modified >= before);
        let known = self.manifest(place).await?.is_some_and(|manifest| manifest.is_of(attempt.as_str()));
        if alive || known {
            return self.store.delete(&[swept]).await.map(|()| false);
        }
        let mut paths = paths(&entries);
        // last, so that a concurrent commit sees it
        paths.sort_by_key(|path| *path == swept);
        self.store.delete(&paths).await.map(|()| true)
    }
}

fn sizes(entries: &[Entry]) -> impl Iterator<Item = u64> {
    entries.iter().map(|entry| entry.bytes)
}

fn paths(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.path.clone()).collect()
}

/// The entries of a table's folder that are old enough to be removed.
struct Leftovers {
    attempts: BTreeMap<Attempt, Vec<Entry>>,
    unfinished: Vec<Entry>,
    replaced_lately: bool,
}

impl Leftovers {
    fn of(entries: Vec<Entry>, before: SystemTime) -> Self {
        let mut found = Self { attempts: BTreeMap::new(), unfinished: Vec::new(), replaced_lately: false };
        for entry in entries {
            match Found::of(&entry.path) {
                Found::Manifest => found.replaced_lately = entry.modified >= before,
                Found::InAttempt(_, attempt) => found.attempts.entry(attempt).or_default().push(entry),
                Found::Unfinished(_) if entry.modified < before => found.unfinished.push(entry),
                Found::Unfinished(_) | Found::Stray | Found::Other => {}
            }
        }
        found.attempts.retain(|_, entries| entries.iter().all(|entry| entry.modified < before));
        found
    }

    /// Writes and single files that may be removed. The table's snapshot stays, without its unfinished files; so does the
    /// previous snapshot if it was replaced recently, because it may have readers.
    fn except(self, manifest: Option<&Manifest>) -> (BTreeMap<Attempt, Vec<Entry>>, Vec<Entry>) {
        let Self { mut attempts, mut unfinished, replaced_lately } = self;
        if let Some(manifest) = manifest {
            let entries = attempts.remove(&manifest.snapshot).unwrap_or_default();
            unfinished.extend(entries.into_iter().filter(|entry| is_unfinished(&entry.path)));
            if let Some(previous) = manifest.previous.as_ref().filter(|_| replaced_lately) {
                attempts.remove(previous);
            }
        }
        (attempts, unfinished)
    }
}

fn is_unfinished(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|file| file.starts_with(UNFINISHED))
}

/// The part of a commit that concerns clean-up.
#[derive(Debug)]
pub(crate) struct Late {
    /// The entries of the table's folder.
    pub(crate) entries: Vec<Entry>,
    announced: bool,
}

impl Tables {
    /// The folder of a table whose write is about to be committed. Announces the commit if a clean-up might treat the write
    /// as a leftover. `NotFound` if one did.
    pub(crate) async fn look_late(&self, place: &Place, attempt: &Attempt) -> Result<Late> {
        let mut entries = self.store.list(place.folder()).await?;
        let age = newest(&entries, place, attempt).and_then(|n| SystemTime::now().duration_since(n).ok());
        let announced = age.is_some_and(|age| age >= LATE);
        if announced {
            let mut upload = self.store.put(&place.part(attempt, COMMITTING)).await?;
            upload.write(Bytes::from_static(b"being committed\n")).await?;
            upload.finish().await?;
            entries = self.store.list(place.folder()).await?;
        }
        let swept = place.part(attempt, &format!("{UNFINISHED}{SWEPT}"));
        match entries.iter().any(|entry| entry.path.starts_with(&swept)) {
            true => Err(Error::new(
                ErrorKind::NotFound,
                "the write was idle for so long that clean-up removed it; write it again",
            )),
            false => Ok(Late { entries, announced }),
        }
    }

    /// After a commit: removes old files from the table's folder. The next clean-up finds those that cannot be removed.
    pub(crate) async fn tidy(&self, place: &Place, manifest: &Manifest, late: Late) {
        if late.announced {
            drop(self.store.delete(&[place.part(&manifest.snapshot, COMMITTING)]).await);
        }
        let newest = newest(&late.entries, place, &manifest.snapshot);
        let Some(before) = newest.and_then(|newest| newest.checked_sub(Sweep::IDLE)) else { return };
        let mut found = Leftovers::of(late.entries, before);
        found.replaced_lately = true;
        let (attempts, files) = found.except(Some(manifest));
        if !attempts.is_empty() || !files.is_empty() {
            drop(self.sweep_table(place, before, SweepMode::Remove).await);
        }
    }
}

/// The time of the last file of a write.
fn newest(entries: &[Entry], place: &Place, attempt: &Attempt) -> Option<SystemTime> {
    let folder = place.part(attempt, "");
    entries.iter().filter(|entry| entry.path.starts_with(&folder)).map(|entry| entry.modified).max()
}
