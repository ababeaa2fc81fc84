//! Where state lives, and the sites made from it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tributary_component::Components;
use tributary_core::computing::Engine;
use tributary_core::federation::{Broker, Network};
use tributary_core::media::Media;
use tributary_core::meta::StorageMeta;
use tributary_core::settings::Section;
use tributary_core::storage::{Nowhere, Storage};
use tributary_core::stores::Stores;
use tributary_core::{Error, PartyId, Result, ResultExt, Site};
use tributary_grants::audit::Audit;
use tributary_grants::{Grants, Known as KnownComponents};
use tributary_trust::SiteFolder;

use crate::choice::{Choice, Contract, Ground, Joining, Known, Open, Owner, Store, Transport};
use crate::direct::Way;
use crate::engines::{DIRECT, ENGINES, IN_PROCESS};
use crate::media::PartyMedia;
use crate::settings::Settings;

/// `TRIBUTARY_HOME`: configuration, and a folder for each party; and the components that jobs here may name.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
    conf: PathBuf,
    known: &'static Known,
    components: Components,
}

/// A party's computing engine, and what the site gives to jobs on it.
#[derive(Debug, Clone)]
pub struct Compute {
    /// Computes.
    pub engine: Arc<dyn Engine>,
    /// Cores that the site gives to jobs on it.
    pub cores: u32,
    /// Memory of one task's session.
    pub memory_bytes: u64,
}

impl Home {
    /// The given folder, else `$TRIBUTARY_HOME`, else `~/.tributary`. `conf`: another file than its `service_conf.yaml`, which
    /// then must exist.
    pub fn find(folder: Option<PathBuf>, conf: Option<PathBuf>) -> Result<Self> {
        let from_env =
            || std::env::var_os("TRIBUTARY_HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let default = || std::env::home_dir().map(|home| home.join(".tributary"));
        let folder = folder.or_else(from_env).or_else(default).ok_or_else(|| {
            Error::invalid("no home folder for Tributary's state; set TRIBUTARY_HOME or give --home")
        })?;
        let folder = std::path::absolute(folder).at(|| "find the home folder")?;
        if let Some(file) = conf.as_ref().filter(|file| !file.is_file()) {
            return Err(Error::invalid(format!("configuration file {} does not exist", file.display())));
        }
        let conf = conf.unwrap_or_else(|| folder.join("service_conf.yaml"));
        Ok(Self { folder, conf, known: &ENGINES, components: tributary_components::all() })
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The components that jobs here may name.
    pub fn components(&self) -> &Components {
        &self.components
    }

    /// What its configuration may say.
    pub fn known(&self) -> &'static Known {
        self.known
    }

    /// A party's folder.
    pub fn party(&self, party: &PartyId) -> PathBuf {
        self.folder.join("parties").join(party.as_str())
    }

    /// The parties that have a folder, in order.
    pub fn parties(&self) -> Result<Vec<PartyId>> {
        let folder = self.folder.join("parties");
        let entries = match fs::read_dir(&folder) {
            Err(reason) if reason.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.at(|| format!("list {}", folder.display()))?,
        };
        let name = |entry: std::io::Result<fs::DirEntry>| {
            let entry = entry.ok().filter(|entry| entry.path().is_dir())?;
            PartyId::new(entry.file_name().into_string().ok()?).ok()
        };
        let mut parties: Vec<PartyId> = entries.filter_map(name).collect();
        parties.sort();
        Ok(parties)
    }

    /// The settings of this machine, without any party's own.
    pub fn settings(&self) -> Result<Settings> {
        Settings::new(self.known)?.with_file(&self.conf)
    }

    /// The settings of one party.
    pub fn party_settings(&self, party: &PartyId) -> Result<Settings> {
        self.with_party(self.settings()?, party)
    }

    fn with_party(&self, settings: Settings, party: &PartyId) -> Result<Settings> {
        settings.with_file(&self.party(party).join("service_conf.yaml"))
    }

    /// A party's tables, without its computing engine and its network.
    pub fn tables(&self, party: &PartyId) -> Result<(Arc<dyn Storage>, Arc<dyn StorageMeta>)> {
        tributary_file::check_case(&self.folder.join("parties"), party.as_str())?;
        self.open_tables(&self.party_settings(party)?, party)
    }

    /// Where files of others may lie that a party reads and writes.
    pub fn party_media(&self, party: &PartyId) -> Result<Arc<dyn Media>> {
        Ok(self.media(&self.party_settings(party)?, party))
    }

    pub(crate) fn media(&self, settings: &Settings, party: &PartyId) -> Arc<dyn Media> {
        Arc::new(PartyMedia::new(self.known, settings, party, &self.party(party)))
    }

    /// Where a party's configuration says that a partner is.
    pub fn way(&self, party: &PartyId, partner: &PartyId) -> Result<Way> {
        match self.party_settings(party)?.chosen(Contract::Federation)? {
            (DIRECT, _, section) => crate::direct::way(section, &self.folder, partner),
            (_, Open::Federation(transport), _) => {
                Ok(Way { by_broker: transport.broker.is_some(), ..Way::default() })
            }
            _ => Ok(Way::default()),
        }
    }

    /// The broker that a party's transport uses, beside whatever process of the party runs. Must be called within a tokio runtime. The error is
    /// the transport's name if it has none: then nothing of it outlives the processes of the sites.
    pub fn broker(&self, party: &PartyId) -> Result<Result<Arc<dyn Broker>, &'static str>> {
        let settings = self.party_settings(party)?;
        match settings.chosen(Contract::Federation)? {
            (name, Open::Federation(Transport { broker: None, .. }), _) => Ok(Err(name)),
            (_, Open::Federation(Transport { broker: Some(open), .. }), section) => {
                let joining = Joining { section, settings: &settings, folder: &self.party(party) };
                open(party, &joining, &self.folder).map(Ok)
            }
            (name, ..) => Err(of_another_contract(name)),
        }
    }

    /// A party's keys and the partners that it trusts. Nothing is made.
    pub fn site_folder(&self, party: &PartyId) -> Result<SiteFolder> {
        tributary_file::check_case(&self.folder.join("parties"), party.as_str())?;
        Ok(SiteFolder::of(&self.party(party), party))
    }

    /// Where a party says what its partners may do without asking.
    pub fn grants_path(&self, party: &PartyId) -> PathBuf {
        self.party(party).join("grants.yaml")
    }

    /// What a party's partners may do without asking; nothing without a file. `InvalidInput` because of
    /// [`Problems`](tributary_document::Problems), and then nothing either.
    pub fn grants(&self, party: &PartyId) -> Result<Grants> {
        let components = self.components.iter().map(|component| {
            let definition = component.definition();
            (definition.name, definition.stages.iter().map(|stage| stage.as_str()).collect())
        });
        Grants::read(&self.grants_path(party), &KnownComponents::new(components))
    }

    /// The log of the jobs that a party's partners offered.
    pub fn audit(&self, party: &PartyId) -> Audit {
        Audit::of(&self.party(party))
    }

    /// A party's computing engine alone; `engine`: another one than its configuration names. It has no
    /// storage, and no folder is made for it.
    pub fn computing(&self, party: &PartyId, engine: Option<&str>) -> Result<Compute> {
        let mut settings = self.party_settings(party)?;
        if let Some(name) = engine {
            settings.choose(Contract::Computing, name, "--engine")?;
        }
        self.open_computing(&settings, Arc::new(Nowhere), 1)
    }

    /// The site of one party whose partners are elsewhere. Must be called within a tokio runtime: its network begins to listen.
    pub fn site(&self, party: &PartyId) -> Result<Site> {
        let (name, ..) = self.party_settings(party)?.chosen(Contract::Federation)?;
        if name == IN_PROCESS {
            return Err(Error::invalid(format!(
                "federation of party {party} is {name}, which connects parties of one process only; set default_engines.federation to direct in \
                 service_conf.yaml"
            )));
        }
        let mut sites = self.sites(std::slice::from_ref(party))?;
        sites.remove(party).ok_or_else(|| Error::bug(format!("party {party} was not opened")))
    }

    /// The site of one party for what needs none of its partners: it can reach nobody, needs no keys, and listens nowhere.
    pub fn site_alone(&self, party: &PartyId) -> Result<Site> {
        let settings = self.settings_of(std::slice::from_ref(party))?;
        let mut sites = self.sites_on(&settings, tributary_memory::networks(std::slice::from_ref(party))?)?;
        sites.remove(party).ok_or_else(|| Error::bug(format!("party {party} was not opened")))
    }

    /// The sites of all parties of a job that run in this process, each with its own storage, metadata and configuration. `InvalidInput`
    /// if some of them are elsewhere.
    pub fn sites(&self, parties: &[PartyId]) -> Result<BTreeMap<PartyId, Site>> {
        let settings = self.settings_of(parties)?;
        self.expect_here(&settings)?;
        let networks = self.open_networks(&settings)?;
        self.sites_on(&settings, networks)
    }

    fn settings_of(&self, parties: &[PartyId]) -> Result<BTreeMap<PartyId, Settings>> {
        let machine = self.settings()?;
        parties.iter().map(|id| Ok((id.clone(), self.with_party(machine.clone(), id)?))).collect()
    }

    /// A party without keys, beside one that has some, is at a site of its own: to make keys for it here would be wrong.
    fn expect_here(&self, settings: &BTreeMap<PartyId, Settings>) -> Result<()> {
        let has_keys = |id: &PartyId| self.site_folder(id).is_ok_and(|folder| folder.has_keys());
        let (here, elsewhere): (Vec<&PartyId>, Vec<&PartyId>) = settings.keys().partition(|id| has_keys(id));
        let site = self.settings()?.party_id()?;
        let own = settings.get_key_value(&site).map(|(own, _)| own).or(here.first().copied());
        let Some((own, other)) =
            own.and_then(|own| Some((own, elsewhere.into_iter().find(|id| *id != own)?)))
        else {
            return Ok(());
        };
        let (federation, ..) = settings[own].chosen(Contract::Federation)?;
        if federation == IN_PROCESS || (here.is_empty() && federation != DIRECT) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "this site's federation is {federation}, and party {other} has no keys here: it is at a site of its own; for the part of \
             party {own} alone, add --party {own}"
        )))
    }

    fn sites_on(
        &self,
        settings: &BTreeMap<PartyId, Settings>,
        networks: BTreeMap<PartyId, Arc<dyn Network>>,
    ) -> Result<BTreeMap<PartyId, Site>> {
        let parties = settings.len();
        let site = |(id, network): (PartyId, Arc<dyn Network>)| {
            let settings = settings
                .get(&id)
                .ok_or_else(|| Error::bug(format!("a network of party {id}, which has no part here")))?;
            let (storage, meta) = self.open_tables(settings, &id)?;
            let compute = self.open_computing(settings, storage.clone(), parties)?;
            let site = Site {
                engine: compute.engine,
                storage,
                meta,
                network,
                cores: compute.cores,
                memory_bytes: compute.memory_bytes,
                patience: settings.patience()?,
                limits: settings.limits()?,
                home: self.party(&id),
                id: id.clone(),
            };
            Ok((id, site))
        };
        networks.into_iter().map(site).collect()
    }

    fn open_tables(
        &self,
        settings: &Settings,
        party: &PartyId,
    ) -> Result<(Arc<dyn Storage>, Arc<dyn StorageMeta>)> {
        let (home, media) = (self.party(party), self.media(settings, party));
        let owner = Owner { party, home: &home, media: &media };
        let storage = Arc::new(self.open_stores(settings, &owner)?);
        match settings.chosen(Contract::StorageMeta)? {
            (_, Open::StorageMeta(open), section) => Ok((storage, open(section, &owner)?)),
            (name, ..) => Err(of_another_contract(name)),
        }
    }

    /// The store of new tables, and the others that the party has.
    fn open_stores(&self, settings: &Settings, owner: &Owner<'_>) -> Result<Stores> {
        let (name, store, section) = match settings.chosen(Contract::Storage)? {
            (name, Open::Storage(store), section) => (name, store, section),
            (name, ..) => return Err(of_another_contract(name)),
        };
        let mut stores = Stores::new(store.scheme, (store.open)(section, owner)?);
        for choice in self.known.of(Contract::Storage).filter(|choice| choice.name != name) {
            if let Some((store, section)) = used(settings, choice, owner)? {
                stores = stores.with(store.scheme, (store.open)(section, owner)?)?;
            }
        }
        Ok(stores)
    }

    /// The store of a party whose addresses have this scheme, if the party has one.
    #[cfg(feature = "ballista")]
    pub(crate) fn store(&self, party: &PartyId, scheme: &str) -> Result<Option<Arc<dyn Storage>>> {
        let (settings, home) = (self.party_settings(party)?, self.party(party));
        let media = self.media(&settings, party);
        let owner = Owner { party, home: &home, media: &media };
        for choice in self.known.of(Contract::Storage) {
            if let Some((store, section)) = used(&settings, choice, &owner)?
                && store.scheme == scheme
            {
                return (store.open)(section, &owner).map(Some);
            }
        }
        Ok(None)
    }

    pub(crate) fn open_computing(
        &self,
        settings: &Settings,
        storage: Arc<dyn Storage>,
        parties: usize,
    ) -> Result<Compute> {
        let kernels = self.components.kernels();
        let ground = Ground { settings, home: &self.folder, kernels, storage, parties };
        match settings.chosen(Contract::Computing)? {
            (_, Open::Computing(open), section) => open(section, &ground),
            (name, ..) => Err(of_another_contract(name)),
        }
    }

    /// The networks of all parties in this process, which must agree on an engine.
    fn open_networks(
        &self,
        settings: &BTreeMap<PartyId, Settings>,
    ) -> Result<BTreeMap<PartyId, Arc<dyn Network>>> {
        let folders: BTreeMap<&PartyId, PathBuf> = settings.keys().map(|id| (id, self.party(id))).collect();
        let mut joining = BTreeMap::new();
        let mut agreed: Option<(&PartyId, &str, Open)> = None;
        for (party, settings) in settings {
            let (name, open, section) = settings.chosen(Contract::Federation)?;
            joining.insert(party.clone(), Joining { section, settings, folder: &folders[party] });
            let (first, engine, _) = agreed.get_or_insert((party, name, open));
            if *engine != name {
                return Err(Error::invalid(format!(
                    "federation of party {first} is {engine} and that of party {party} is {name}; parties that run in one process \
                     need the same, in default_engines of service_conf.yaml"
                )));
            }
        }
        match agreed {
            Some((_, _, Open::Federation(transport))) => (transport.networks)(&joining, &self.folder),
            Some((_, name, _)) => Err(of_another_contract(name)),
            None => Ok(BTreeMap::new()),
        }
    }
}

/// A store that is in this binary and that the party has: how it is opened, and its section.
pub(crate) fn used<'a>(
    settings: &'a Settings,
    choice: &Choice,
    owner: &Owner<'_>,
) -> Result<Option<(Store, &'a Section)>> {
    let Some(store) = choice.store() else { return Ok(None) };
    let section = settings.section(&choice.section())?;
    Ok((store.is_used)(section, owner)?.then_some((store, section)))
}

fn of_another_contract(name: &str) -> Error {
    Error::bug(format!("engine {name} is declared for another contract than it has"))
}
