//! Where state lives, and the sites made from it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tributary_component::Components;
use tributary_core::computing::Engine;
use tributary_core::meta::StorageMeta;
use tributary_core::storage::{Nowhere, Storage};
use tributary_core::{Error, ErrorKind, PartyId, Result, ResultExt, Site};
use tributary_memory::Options;

use crate::keys;
use crate::settings::Settings;

/// `TRIBUTARY_HOME`: configuration, and a folder for each party; and the components that jobs here may name.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
    conf: PathBuf,
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
        Ok(Self { folder, conf, components: tributary_components::all() })
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The components that jobs here may name.
    pub fn components(&self) -> &Components {
        &self.components
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

    /// The configuration of this machine, without any party's own.
    pub fn settings(&self) -> Result<Settings> {
        Settings::read(&[&self.conf])
    }

    /// The configuration of one party.
    pub fn party_settings(&self, party: &PartyId) -> Result<Settings> {
        Settings::read(&[&self.conf, &self.party(party).join("service_conf.yaml")])
    }

    /// A party's tables, without its computing engine and its network.
    pub fn tables(&self, party: &PartyId) -> Result<(Arc<dyn Storage>, Arc<dyn StorageMeta>)> {
        let settings = self.party_settings(party)?;
        let home = self.party(party);
        tributary_file::check_case(&self.folder.join("parties"), party.as_str())?;
        Ok((storage(&settings, &home)?, tributary_meta::open(&home.join("meta.db"))?))
    }

    /// A party's computing engine alone; `engine`: another one than its configuration names. It has no
    /// storage, and no folder is made for it.
    pub fn computing(&self, party: &PartyId, engine: Option<&str>) -> Result<Compute> {
        let mut settings = self.party_settings(party)?;
        if let Some(name) = engine {
            // Read like a file, so that a wrong name gets the same answer.
            let key = format!("default_engines: {{computing: {name:?}}}");
            settings.overlay("--engine", key.as_bytes())?;
        }
        self.compute(&settings, &(Arc::new(Nowhere) as Arc<dyn Storage>), 1)
    }

    /// The sites of all parties of a job that run in this process, each with its own storage, metadata and configuration.
    pub fn sites(&self, parties: &[PartyId]) -> Result<BTreeMap<PartyId, Site>> {
        for party in parties {
            match self.party_settings(party)?.text(keys::FEDERATION)? {
                "memory" | "standalone" => {}
                other => {
                    return Err(Error::bug(format!("federation engine {other} is declared, but not built")));
                }
            }
        }
        let spill = self.folder.join("spill");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&spill)
            .at(|| format!("create {}", spill.display()))?;
        let networks = tributary_memory::networks_with(parties, &Options::default().with_folder(spill))?;
        let site = |(id, network)| {
            let settings = self.party_settings(&id)?;
            let (storage, meta) = self.tables(&id)?;
            let compute = self.compute(&settings, &storage, parties.len())?;
            let site = Site {
                engine: compute.engine,
                storage,
                meta,
                network,
                cores: compute.cores,
                memory_bytes: compute.memory_bytes,
                patience: settings.duration(keys::PATIENCE)?,
                home: self.party(&id),
                id: id.clone(),
            };
            Ok((id, site))
        };
        networks.into_iter().map(site).collect()
    }

    #[allow(unused_variables, reason = "a build without engines uses none")]
    fn compute(&self, settings: &Settings, storage: &Arc<dyn Storage>, parties: usize) -> Result<Compute> {
        match settings.text(keys::COMPUTING)? {
            #[cfg(feature = "standalone")]
            "standalone" => Ok(Compute {
                engine: Arc::new(self.standalone(settings, storage)?),
                cores: cores(settings)?,
                memory_bytes: memory(settings, parties)?,
            }),
            #[cfg(feature = "ballista")]
            name @ ("spark" | "eggroll") => self.cluster_engine(name, settings, storage),
            other => Err(Error::new(
                ErrorKind::Unsupported,
                format!("computing engine {other} is not in this binary; name another in service_conf.yaml"),
            )),
        }
    }
}

#[cfg(feature = "standalone")]
impl Home {
    fn standalone(
        &self,
        settings: &Settings,
        storage: &Arc<dyn Storage>,
    ) -> Result<tributary_standalone::Standalone> {
        let folder = self.folder.join(settings.text(keys::SPILL_FOLDER)?);
        let limit = match settings.number(keys::SPILL_LIMIT)? {
            0 => u64::MAX,
            limit => limit,
        };
        let engine = tributary_standalone::Standalone::new(self.components.kernels(), storage.clone());
        Ok(engine.spilling_to(folder, limit))
    }
}

fn storage(settings: &Settings, home: &Path) -> Result<Arc<dyn Storage>> {
    match settings.text(keys::STORAGE)? {
        "file" | "standalone" => Ok(tributary_file::storage(&home.join(settings.text(keys::TABLES)?))?),
        other => Err(Error::bug(format!("storage engine {other} is declared, but not built"))),
    }
}

#[cfg(feature = "standalone")]
fn cores(settings: &Settings) -> Result<u32> {
    let machine = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let given = settings.number(keys::CORES)?;
    Ok(if given == 0 { machine } else { given } as u32)
}

#[cfg(feature = "standalone")]
/// What one task may hold. By default the parties of this process share half of the machine.
fn memory(settings: &Settings, parties: usize) -> Result<u64> {
    const WHEN_UNKNOWN: u64 = 2 << 30;
    let given = settings.number(keys::MEMORY)?;
    let share = |all: u64| all / 2 / parties.max(1) as u64;
    Ok(if given > 0 { given } else { machine_memory().map_or(WHEN_UNKNOWN, share) })
}

#[cfg(feature = "standalone")]
/// Total memory of the machine, as Linux tells it.
fn machine_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}
