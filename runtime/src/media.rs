//! Files of others, for a party: on this machine, and in every store of its that has files, with the store's own credentials.
//!
//! A store keeps tables below one prefix of one bucket; files of others lie in any bucket that its credentials open. A bucket is opened when a file
//! in it is asked for first, and stays open.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tributary_core::bytestore::{ByteStore, Entry, Upload};
use tributary_core::media::{Distant, Media, Source, parts_of, scheme_of, wait};
use tributary_core::{Error, PartyId, Result, ResultExt};
use tributary_system::LocalMedia;

use crate::choice::{Contract, Known, Owner};
use crate::home::used;
use crate::settings::Settings;

/// The media of a party.
pub(crate) struct PartyMedia {
    known: &'static Known,
    settings: Settings,
    party: PartyId,
    home: PathBuf,
    /// By scheme and place.
    open: Mutex<BTreeMap<(String, String), Arc<dyn ByteStore>>>,
}

impl PartyMedia {
    pub(crate) fn new(known: &'static Known, settings: &Settings, party: &PartyId, home: &Path) -> Self {
        let (settings, party, home) = (settings.clone(), party.clone(), home.to_owned());
        Self { known, settings, party, home, open: Mutex::default() }
    }

    /// The store of an address, and the path within it. `InvalidInput` if the party has none.
    fn store<'a>(&self, address: &'a Path) -> Result<(Arc<dyn ByteStore>, &'a str)> {
        let (scheme, place, path) = parts_of(address)?;
        let mut open = self.open.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let key = (scheme.to_owned(), place.to_owned());
        if let Some(store) = open.get(&key) {
            return Ok((store.clone(), path));
        }
        let store = self.open_place(scheme, place).at(|| format!("open {}", address.display()))?;
        open.insert(key, store.clone());
        Ok((store, path))
    }

    fn open_place(&self, scheme: &str, place: &str) -> Result<Arc<dyn ByteStore>> {
        let local: Arc<dyn Media> = Arc::new(LocalMedia);
        let owner = Owner { party: &self.party, home: &self.home, media: &local };
        let mut unused = None;
        for choice in self.known.of(Contract::Storage) {
            let Some((store, section)) = used(&self.settings, choice, &owner)? else {
                unused = unused.or_else(|| {
                    choice.store().filter(|store| store.scheme == scheme).map(|_| choice.section())
                });
                continue;
            };
            if let Some(files) = store.files.filter(|_| store.scheme == scheme) {
                return files(section, &owner, place);
            }
        }
        Err(Error::invalid(match unused {
            Some(section) => format!(
                "the party has no store for {scheme}://; give it one in service_conf.yaml, in the section {section}"
            ),
            None => format!("no store of this program has files at {scheme}://"),
        }))
    }
}

impl Media for PartyMedia {
    fn open(&self, address: &Path) -> Result<Arc<dyn Source>> {
        if scheme_of(address).is_none() {
            return LocalMedia.open(address);
        }
        let (store, path) = self.store(address)?;
        Ok(Arc::new(Distant::open(store, path, address)?))
    }

    fn list(&self, folder: &Path) -> Result<Vec<PathBuf>> {
        if scheme_of(folder).is_none() {
            return LocalMedia.list(folder);
        }
        let (store, path) = self.store(folder)?;
        let mut found = wait(store.list(path)).at(|| format!("list {}", folder.display()))?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let names: Vec<String> = found.iter().map(|entry| entry.path.clone()).collect();
        // some programs make an empty object for a folder
        let is_folder = |entry: &Entry| {
            let below = format!("{}/", entry.path);
            let next = names.partition_point(|name| *name < below);
            entry.bytes == 0
                && (entry.path == path || names.get(next).is_some_and(|name| name.starts_with(&below)))
        };
        let files = found.iter().filter(|entry| !is_folder(entry));
        Ok(files.map(|entry| PathBuf::from(format!("{}/{}", store.base(), entry.path))).collect())
    }

    fn create(&self, address: &Path) -> Result<Box<dyn Upload>> {
        let (store, path) = self.store(address)?;
        if path.is_empty() {
            return Err(Error::invalid(format!("{}: expected the address of a file", address.display())));
        }
        wait(store.put(path)).at(|| format!("write {}", address.display()))
    }
}

impl fmt::Debug for PartyMedia {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "media of party {}", self.party)
    }
}
