//! Clean-up: what crashes left, and snapshots that were replaced. By age, because a write of another process, or a reader
//! of a replaced snapshot, looks just like a leftover while it lasts.
//!
//! The cut-off is a parameter, a day ago for a site that knows no better. It must lie further back than any pause of a
//! writer (between two chunks of a part, or from the last part to the commit), and than any job that goes on reading a
//! table after it was replaced. What a manifest names as its snapshot is never removed: a table's manifest is read first
//! and the folder listed after it, so that a manifest older than the cut-off in the list is the one that was read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use tributary_core::{Error, Result, ResultExt};

use crate::manifest::Manifest;
use crate::place::{Attempt, Found, Place};
use crate::tables::Tables;
use tributary_core::bytestore::Entry;

/// What a clean-up did.
#[derive(Debug, Default)]
pub struct Swept {
    /// Files removed.
    pub files: u64,
    /// Bytes they had.
    pub bytes: u64,
    /// Tables that were left as they are, and why: above all those whose manifest cannot be read.
    pub failed: Vec<Error>,
}

impl Tables {
    /// Removes the files that no manifest names and that nobody wrote to since `before`; a replaced snapshot also counts
    /// from its replacement. Files that are not ours stay.
    pub async fn sweep(&self, before: SystemTime) -> Result<Swept> {
        let mut places = BTreeSet::new();
        for entry in self.store.list("").await.at(|| "clean up tables")? {
            match Found::of(&entry.path) {
                Found::InAttempt(place, _) | Found::Unfinished(place) => drop(places.insert(place)),
                Found::Manifest | Found::Other => {}
            }
        }
        let mut swept = Swept::default();
        for place in places {
            match self.sweep_table(&place, before).await {
                Ok(removed) => {
                    swept.files += removed.len() as u64;
                    swept.bytes += removed.iter().map(|entry| entry.bytes).sum::<u64>();
                }
                Err(error) => swept.failed.push(error.at(format!("clean up table {}", place.folder()))),
            }
        }
        Ok(swept)
    }

    async fn sweep_table(&self, place: &Place, before: SystemTime) -> Result<Vec<Entry>> {
        let manifest = self.manifest(place).await?;
        let leftovers = Leftovers::of(self.store.list(place.folder()).await?, before);
        let has_rows = manifest.as_ref().is_some_and(Manifest::has_rows);
        let snapshot = manifest.map(|manifest| manifest.snapshot);
        let removed = leftovers.except(snapshot.as_ref());
        let mut paths: Vec<String> = removed.iter().map(|entry| entry.path.clone()).collect();
        match &snapshot {
            Some(snapshot) if has_rows => self.store.link(&place.current(), &place.snapshot(snapshot)).await,
            _ => paths.push(place.current()),
        }
        self.store.delete(&paths).await?;
        Ok(removed)
    }
}

/// What in a table's folder is old enough to go.
struct Leftovers {
    attempts: BTreeMap<Attempt, Vec<Entry>>,
    unfinished: Vec<Entry>,
}

impl Leftovers {
    fn of(entries: Vec<Entry>, before: SystemTime) -> Self {
        let mut found = Self { attempts: BTreeMap::new(), unfinished: Vec::new() };
        let mut replaced_lately = false;
        for entry in entries {
            match Found::of(&entry.path) {
                Found::Manifest => replaced_lately = entry.modified >= before,
                Found::InAttempt(_, attempt) => found.attempts.entry(attempt).or_default().push(entry),
                Found::Unfinished(_) if entry.modified < before => found.unfinished.push(entry),
                Found::Unfinished(_) | Found::Other => {}
            }
        }
        let idle = |entries: &[Entry]| entries.iter().all(|entry| entry.modified < before);
        found.attempts.retain(|_, entries| !replaced_lately && idle(entries));
        found
    }

    fn except(self, snapshot: Option<&Attempt>) -> Vec<Entry> {
        let attempts = self.attempts.into_iter().filter(|(attempt, _)| Some(attempt) != snapshot);
        attempts.flat_map(|(_, entries)| entries).chain(self.unfinished).collect()
    }
}
