//! Every engine of a party, opened one by one, so that one that cannot be opened hides no other.

use std::sync::Arc;

use tributary_core::check::Finding;
use tributary_core::meta::StorageMeta;
use tributary_core::storage::{Nowhere, Storage};
use tributary_core::{PartyId, Result};

use crate::choice::{Contract, Known, Open, Owner};
use crate::home::{Compute, Home, used};
use crate::settings::Settings;

/// An engine as a configuration names it.
#[derive(Debug)]
pub struct Examined {
    /// Its section: `storage.s3`.
    pub section: String,
    /// The engine, or why there is none.
    pub engine: Result<Opened>,
}

/// An engine that was opened.
#[derive(Debug)]
pub enum Opened {
    /// Keeps tables.
    Storage(Arc<dyn Storage>),
    /// Knows tables by name.
    StorageMeta(Arc<dyn StorageMeta>),
    /// Computes.
    Computing(Compute),
}

impl Opened {
    /// What it finds out about itself.
    pub async fn examine(&self) -> Vec<Finding> {
        match self {
            Self::Storage(storage) => storage.examine().await,
            Self::StorageMeta(meta) => meta.examine().await,
            Self::Computing(compute) => compute.engine.examine().await,
        }
    }
}

impl Home {
    /// The engines of a party's configuration that need no partner: all of its stores, its metadata, its computing engine. The error is that of the
    /// configuration itself.
    pub fn examined(&self, party: &PartyId) -> Result<Vec<Examined>> {
        let settings = self.party_settings(party)?;
        let mut examined = self.stores(&settings, party)?;
        let (home, media) = (self.party(party), self.media(&settings, party));
        let owner = Owner { party, home: &home, media: &media };
        for contract in [Contract::StorageMeta, Contract::Computing] {
            let (name, open, section) = settings.chosen(contract)?;
            let engine = match open {
                Open::StorageMeta(open) => open(section, &owner).map(Opened::StorageMeta),
                _ => self.open_computing(&settings, Arc::new(Nowhere), 1).map(Opened::Computing),
            };
            examined.push(Examined { section: format!("{}.{name}", contract.name()), engine });
        }
        Ok(examined)
    }

    fn stores(&self, settings: &Settings, party: &PartyId) -> Result<Vec<Examined>> {
        let known: &'static Known = self.known();
        let (home, media) = (self.party(party), self.media(settings, party));
        let owner = Owner { party, home: &home, media: &media };
        let (chosen, ..) = settings.chosen(Contract::Storage)?;
        let mut examined = Vec::new();
        for choice in known.of(Contract::Storage) {
            let section = choice.section();
            let found = match choice.store() {
                Some(store) if choice.name == chosen => {
                    settings.section(&section).map(|own| Some((store, own)))
                }
                _ => used(settings, choice, &owner),
            };
            let engine = match found {
                Ok(None) => continue,
                Ok(Some((store, own))) => (store.open)(own, &owner).map(Opened::Storage),
                Err(error) => Err(error),
            };
            examined.push(Examined { section, engine });
        }
        Ok(examined)
    }
}
