//! What a configuration may choose from: engines by contract, and the sections that it may have.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tributary_core::bytestore::ByteStore;
use tributary_core::federation::{Broker, Network};
use tributary_core::kernel::Kernels;
use tributary_core::media::Media;
use tributary_core::meta::StorageMeta;
use tributary_core::settings::{Key, Section};
use tributary_core::storage::Storage;
use tributary_core::{Error, ErrorKind, PartyId, Result};
use tributary_document::{quoted, suggestion};

use crate::fate;
use crate::home::Compute;
use crate::settings::Settings;

/// The section that names an engine for each contract.
pub(crate) const CHOSEN: &str = "default_engines";

/// A contract with engines to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// Computing.
    Computing,
    /// Storage.
    Storage,
    /// Storage meta.
    StorageMeta,
    /// Federation.
    Federation,
}

impl Contract {
    /// All, in the order of the reference page.
    pub const ALL: [Self; 4] = [Self::Computing, Self::Storage, Self::StorageMeta, Self::Federation];

    /// Its key in `default_engines`, and the section above those of its engines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Computing => "computing",
            Self::Storage => "storage",
            Self::StorageMeta => "storage_meta",
            Self::Federation => "federation",
        }
    }
}

/// An engine that a configuration may name.
#[derive(Debug)]
pub struct Choice {
    /// Its contract.
    pub contract: Contract,
    /// Its name in `default_engines`, and that of its section.
    pub name: &'static str,
    /// Other names in `default_engines`.
    pub aliases: &'static [&'static str],
    /// What it is.
    pub description: &'static str,
    /// The engine.
    pub engine: Comes<Engine>,
}

/// A section beside those of engines.
#[derive(Debug)]
pub struct Part {
    /// Full name; empty at the top.
    pub path: &'static str,
    /// What it is about.
    pub description: &'static str,
    /// Its keys, in one list or several.
    pub keys: Comes<&'static [&'static [Key]]>,
}

/// What is in every build, or in those with a cargo feature.
#[derive(Debug)]
pub enum Comes<T> {
    /// In every build.
    Always(T),
    /// With this feature; none if this binary was built without it.
    With(&'static str, Option<T>),
}

/// An engine that is in this binary.
#[derive(Debug)]
pub struct Engine {
    /// The keys of its section, in one list or several.
    pub keys: &'static [&'static [Key]],
    /// Makes it.
    pub open: Open,
}

/// The networks of all parties in this process.
pub type Networks = BTreeMap<PartyId, Arc<dyn Network>>;

/// How an engine of a contract is made from its section.
#[derive(Debug, Clone, Copy)]
pub enum Open {
    /// Computing.
    Computing(fn(&Section, &Ground<'_>) -> Result<Compute>),
    /// Storage.
    Storage(Store),
    /// Storage meta.
    StorageMeta(fn(&Section, &Owner<'_>) -> Result<Arc<dyn StorageMeta>>),
    /// Federation.
    Federation(Transport),
}

/// How parties of other sites are reached. The paths are the home folder.
#[derive(Debug, Clone, Copy)]
pub struct Transport {
    /// The networks of all parties in this process at once.
    pub networks: fn(&BTreeMap<PartyId, Joining<'_>>, &Path) -> Result<Networks>,
    /// The broker of a party, for its operator; none where nothing outlives the processes of the sites.
    pub broker: Option<OpenBroker>,
}

/// Makes a client of a party's broker, beside whatever process of the party uses it.
pub type OpenBroker = fn(&PartyId, &Joining<'_>, &Path) -> Result<Arc<dyn Broker>>;

/// How a store of a party is made. A party has one for each scheme: where its new tables go, and those that its configuration
/// gives it besides.
#[derive(Debug, Clone, Copy)]
pub struct Store {
    /// What its addresses begin with.
    pub scheme: &'static str,
    /// Whether the party has this store, even if its new tables go to another.
    pub is_used: fn(&Section, &Owner<'_>) -> Result<bool>,
    /// Opens it.
    pub open: fn(&Section, &Owner<'_>) -> Result<Arc<dyn Storage>>,
    /// Opens a place of the same medium, such as a bucket, with all that is in it: files of others. None if it has no files.
    pub files: Option<OpenFiles>,
}

/// Opens a place of a medium by its name.
pub type OpenFiles = fn(&Section, &Owner<'_>, &str) -> Result<Arc<dyn ByteStore>>;

/// Whose store it is.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// The party.
    pub party: &'a PartyId,
    /// Its folder.
    pub home: &'a Path,
    /// What opens files of others for it.
    pub media: &'a Arc<dyn Media>,
}

/// What a party's network is made from.
#[derive(Debug, Clone, Copy)]
pub struct Joining<'a> {
    /// The section of the engine.
    pub section: &'a Section,
    /// The party's other sections.
    pub settings: &'a Settings,
    /// The party's own folder, with its keys.
    pub folder: &'a Path,
}

/// What a computing engine is made from, besides its own section.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The party's other sections.
    pub settings: &'a Settings,
    /// The home folder.
    pub home: &'a Path,
    /// What jobs here may run.
    pub kernels: Kernels,
    /// The party's tables.
    pub storage: Arc<dyn Storage>,
    /// Parties that share this process.
    pub parties: usize,
}

/// All that a configuration may say.
#[derive(Debug)]
pub struct Known {
    /// The engines.
    pub choices: &'static [Choice],
    /// The other sections.
    pub parts: &'static [Part],
}

/// A section that a configuration may have.
#[derive(Debug)]
pub(crate) struct Declared {
    pub path: String,
    pub description: &'static str,
    pub feature: Option<&'static str>,
    /// None if its engine is not in this binary.
    pub keys: Option<Vec<&'static Key>>,
}

/// Why a name of an engine is of no use here, and how to fix it.
#[derive(Debug)]
pub(crate) struct NoEngine {
    pub kind: ErrorKind,
    pub message: String,
    pub help: Option<String>,
}

impl From<NoEngine> for Error {
    fn from(NoEngine { kind, message, help }: NoEngine) -> Self {
        Self::new(kind, help.map_or(message.clone(), |help| format!("{message} ({help})")))
    }
}

impl<T> Comes<T> {
    /// It, if it is in this binary.
    pub fn built_in(&self) -> Option<&T> {
        match self {
            Self::Always(it) => Some(it),
            Self::With(_, it) => it.as_ref(),
        }
    }

    /// The feature that brings it, if not every build does.
    pub fn feature(&self) -> Option<&'static str> {
        match self {
            Self::Always(_) => None,
            Self::With(feature, _) => Some(feature),
        }
    }
}

/// `Comes::With` for a cargo feature of this crate.
macro_rules! with_feature {
    ($feature:literal, $it:expr) => {{
        #[cfg(feature = $feature)]
        let it = Some($it);
        #[cfg(not(feature = $feature))]
        let it = None;
        $crate::choice::Comes::With($feature, it)
    }};
}
pub(crate) use with_feature;

impl Choice {
    /// How it is made, if it is a store that is in this binary.
    pub(crate) fn store(&self) -> Option<Store> {
        match self.engine.built_in().map(|engine| engine.open) {
            Some(Open::Storage(store)) => Some(store),
            _ => None,
        }
    }

    /// The full name of its section.
    pub fn section(&self) -> String {
        format!("{}.{}", self.contract.name(), self.name)
    }
}

impl Known {
    /// The engines of a contract.
    pub fn of(&self, contract: Contract) -> impl Iterator<Item = &'static Choice> + use<> {
        self.choices.iter().filter(move |choice| choice.contract == contract)
    }

    /// The engine of this name that is in this binary.
    pub(crate) fn choose(
        &self,
        contract: Contract,
        name: &str,
    ) -> Result<(&'static Choice, &'static Engine), NoEngine> {
        let names = |choice: &'static Choice| [choice.name].into_iter().chain(choice.aliases.iter().copied());
        let Some(choice) = self.of(contract).find(|choice| names(choice).any(|known| known == name)) else {
            return Err(NoEngine {
                kind: ErrorKind::InvalidInput,
                message: format!("unknown engine {}", quoted(name)),
                help: suggestion(name, self.of(contract).flat_map(names)),
            });
        };
        choice.engine.built_in().map(|engine| (choice, engine)).ok_or_else(|| NoEngine {
            kind: ErrorKind::Unsupported,
            message: format!("engine {name} is not in this binary"),
            help: choice.engine.feature().map(how_to_build),
        })
    }

    /// The full name of a section, which a file may call by another name of its engine, or as FATE does.
    pub(crate) fn section_of(&self, full: &str) -> String {
        let called = |choice: &&Choice| {
            let name = full.strip_prefix(choice.contract.name()).and_then(|rest| rest.strip_prefix('.'));
            name.is_some_and(|name| choice.aliases.contains(&name))
        };
        let own = || fate::own_section(full).unwrap_or_else(|| full.to_owned());
        self.choices.iter().find(called).map_or_else(own, Choice::section)
    }

    /// Every section that a configuration may have, in the order of the reference page.
    pub(crate) fn declared(&self) -> Vec<Declared> {
        let part = |part: &'static Part| Declared {
            path: part.path.into(),
            description: part.description,
            feature: part.keys.feature(),
            keys: part.keys.built_in().map(|keys| keys.iter().copied().flatten().collect()),
        };
        let choice = |choice: &'static Choice| Declared {
            path: choice.section(),
            description: choice.description,
            feature: choice.engine.feature(),
            keys: choice.engine.built_in().map(|engine| engine.keys.iter().copied().flatten().collect()),
        };
        self.parts.iter().map(part).chain(self.choices.iter().map(choice)).collect()
    }
}

/// Which command builds a binary with a feature.
pub(crate) fn how_to_build(feature: &str) -> String {
    format!(
        "build it with `make build-all`, or `cargo build --release --package tributary-cli --features {feature}`"
    )
}
