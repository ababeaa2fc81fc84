//! A site's settings: the sections of all engines, from defaults and files in layers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tributary_core::settings::{Origin, Section, Setting, Value};
use tributary_core::{Error, Limits, PartyId, Result, ResultExt};
use zeroize::Zeroizing;

use crate::choice::{CHOSEN, Contract, Known, Open};
use crate::engines::{LIMITS, PARTY_ID, PATIENCE};
use crate::read;

/// A section for the site and for each engine in this binary, chosen or not.
#[derive(Debug, Clone)]
pub struct Settings {
    known: &'static Known,
    sections: BTreeMap<String, Section>,
    /// By file.
    passed_over: BTreeMap<String, read::PassedOver>,
}

impl Settings {
    /// The defaults.
    pub fn new(known: &'static Known) -> Result<Self> {
        let mut sections = BTreeMap::new();
        for declared in known.declared() {
            if let Some(keys) = declared.keys {
                let keys: Vec<_> = keys.into_iter().copied().collect();
                sections.insert(declared.path.clone(), Section::new(declared.path, &keys)?);
            }
        }
        Ok(Self { known, sections, passed_over: BTreeMap::new() })
    }

    /// The same with a file over these settings, if it exists. `InvalidInput` lists everything that is wrong with it.
    pub fn with_file(mut self, file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        match fs::read(file).map(Zeroizing::new) {
            Ok(bytes) => self.overlay(&name, &bytes)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::from(e).at(format!("read {name}"))),
        }
        Ok(self)
    }

    /// Takes over what one file says, if nothing in it is wrong.
    pub fn overlay(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        let mut found = Vec::new();
        let passed_over = read::read(self.known, &Arc::from(file), bytes, &mut found)?;
        for read::Found { section, key, value, place } in found {
            let section = self.sections.get_mut(&section);
            let section = section.ok_or_else(|| Error::bug("a section that is not declared was read"))?;
            section.set(key, value, Origin::File(place));
        }
        if !passed_over.is_empty() {
            self.passed_over.insert(file.to_owned(), passed_over);
        }
        Ok(())
    }

    /// Another engine than the files name, by an option of the command line.
    pub fn choose(&mut self, contract: Contract, name: &str, option: &'static str) -> Result<()> {
        self.known.choose(contract, name).at(|| option)?;
        let section = self.sections.get_mut(CHOSEN).ok_or_else(|| Error::bug("no engines are declared"))?;
        section.set(contract.name(), Value::Text(name.into()), Origin::Option(option));
        Ok(())
    }

    /// A section by its full name.
    pub fn section(&self, path: &str) -> Result<&Section> {
        self.sections.get(path).ok_or_else(|| Error::bug(format!("section {path} is not declared")))
    }

    /// How the engine of a contract is made, its name, and its section. `Unsupported` if it is not in this binary.
    pub(crate) fn chosen(&self, contract: Contract) -> Result<(&'static str, Open, &Section)> {
        let chosen = self.section(CHOSEN)?;
        let found = self.known.choose(contract, chosen.get(contract.name())?);
        let (choice, engine) = found.at(|| chosen.place(contract.name()))?;
        Ok((choice.name, engine.open, self.section(&choice.section())?))
    }

    /// Every key with its full name, in the order of sections. Those of a map are of each of its entries.
    pub fn list(&self) -> Vec<(String, &Setting)> {
        let mut list = Vec::new();
        self.sections.values().for_each(|section| add(section, &mut list));
        list
    }

    /// What files say that has no effect: a note for each reason and file.
    pub fn notes(&self) -> Vec<String> {
        let of_file = |(file, passed_over): (&String, &read::PassedOver)| {
            let engines = passed_over.engines.join(", ");
            let fate = passed_over.fate.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let engines = (!engines.is_empty()).then(|| {
                format!("{file}: passed over, because their engines are not in this binary: {engines}")
            });
            let fate = (!fate.is_empty()).then(|| {
                format!("{file}: passed over, because these keys of FATE have no effect here: {fate}")
            });
            engines.into_iter().chain(fate)
        };
        self.passed_over.iter().flat_map(of_file).collect()
    }

    /// The site's own id.
    pub fn party_id(&self) -> Result<PartyId> {
        let site = self.section("")?;
        PartyId::new(site.get::<&str>(PARTY_ID)?).at(|| site.place(PARTY_ID))
    }

    /// What the party releases to others.
    pub fn limits(&self) -> Result<Limits> {
        Limits::from_section(self.section(LIMITS)?)
    }

    /// How long a task waits for a silent party.
    pub fn patience(&self) -> Result<Duration> {
        self.section(Contract::Federation.name())?.get(PATIENCE)
    }
}

fn add<'a>(section: &'a Section, list: &mut Vec<(String, &'a Setting)>) {
    for (name, setting) in section.iter() {
        match &setting.value {
            Some(Value::Map(entries)) => entries.values().for_each(|entry| add(entry, list)),
            _ => list.push((section.full_name(name), setting)),
        }
    }
}
