//! `service_conf.yaml`, read against the declared keys: all mistakes at once, with places and the nearest right name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use tributary_core::{Error, PartyId, Result, ResultExt};
use tributary_document::{Item, Limits, Report, parse, suggestion};

use crate::keys::{CHOICES, Contract, KEYS, Key, Kind};

/// A value of every key.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings(BTreeMap<&'static str, Setting>);

/// A key's value and where it comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// As text, in canonical form.
    pub value: String,
    /// The file that sets it; none for the default.
    pub file: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let default = |key: &Key| (key.name, Setting { value: key.default.into(), file: None });
        Self(KEYS.iter().map(default).collect())
    }
}

impl Settings {
    /// The defaults, overridden by those files that exist, the later ones first in rank. `InvalidInput` lists everything
    /// that is wrong with a file.
    pub fn read(files: &[&Path]) -> Result<Self> {
        let mut settings = Self::default();
        for file in files {
            match fs::read(file) {
                Ok(bytes) => settings.overlay(&file.display().to_string(), &bytes)?,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::from(e).at(format!("read {}", file.display()))),
            }
        }
        Ok(settings)
    }

    /// Takes over what one file says.
    pub fn overlay(&mut self, file: &str, bytes: &[u8]) -> Result<()> {
        let is_blank = |line: &[u8]| line.trim_ascii().is_empty() || line.trim_ascii().starts_with(b"#");
        if bytes.split(|byte| *byte == b'\n').all(is_blank) {
            return Ok(()); // every key is optional
        }
        let report = Report::new(file);
        let mut found = Vec::new();
        if let Some(node) = parse(bytes, &Limits::default(), &report) {
            let root = Item::root(&node, &report);
            read_level(&root, "", &mut found);
        }
        report.finish(Some(())).map_err(|problems| Error::invalid(problems.to_string()))?;
        for (name, value) in found {
            self.0.insert(name, Setting { value, file: Some(file.into()) });
        }
        Ok(())
    }

    /// Every key with its value, in alphabetic order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.0.iter().map(|(name, setting)| (*name, setting))
    }

    /// A value as text.
    pub fn text(&self, name: &'static str) -> Result<&str> {
        let found = self.0.get(name).map(|s| s.value.as_str());
        found.ok_or_else(|| Error::bug(format!("key {name} is not declared")))
    }

    /// A whole number, bytes included.
    pub fn number(&self, name: &'static str) -> Result<u64> {
        self.text(name)?
            .parse()
            .map_err(|e| Error::bug(format!("key {name} was read as a number")).because(e))
    }

    /// A duration.
    pub fn duration(&self, name: &'static str) -> Result<Duration> {
        Ok(Duration::from_secs(self.number(name)?))
    }

    /// The site's own id.
    pub fn party_id(&self) -> Result<PartyId> {
        PartyId::new(self.text(crate::keys::PARTY_ID)?).at(|| crate::keys::PARTY_ID)
    }
}

/// Reads the keys below `prefix`; each level knows its names, so that a wrong one gets the nearest right one.
fn read_level(item: &Item<'_>, prefix: &str, found: &mut Vec<(&'static str, String)>) {
    let below =
        |key: &&Key| prefix.is_empty() || key.name.strip_prefix(prefix).is_some_and(|r| r.starts_with('.'));
    let rest = |key: &Key| key.name[prefix.len()..].trim_start_matches('.').to_string();
    let known: Vec<(String, &'static Key)> = KEYS.iter().filter(below).map(|key| (rest(key), key)).collect();
    for (name, value) in item.entries() {
        let leaf = known.iter().find(|(rest, _)| rest == name);
        let is_group = known.iter().any(|(rest, _)| rest.split('.').next() == Some(name) && rest != name);
        match leaf {
            Some((_, key)) => found.extend(read_value(&value, key.kind).map(|v| (key.name, v))),
            None if is_group => {
                let inner = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
                read_level(&value, &inner, found);
            }
            None => {
                let names: BTreeSet<&str> =
                    known.iter().filter_map(|(rest, _)| rest.split('.').next()).collect();
                value.problem_with("unknown key", suggestion(name, names));
            }
        }
    }
}

fn read_value(item: &Item<'_>, kind: Kind) -> Option<String> {
    match kind {
        Kind::Text => item.text().map(Into::into),
        Kind::Id => item.id(),
        Kind::Int(low, high) => item.int_in(low..=high).map(|n| n.to_string()),
        Kind::Seconds => item.int_in(1..=31_536_000u64).map(|n| n.to_string()),
        Kind::Bytes => read_bytes(item).map(|n| n.to_string()),
        Kind::Engine(contract) => read_engine(item, contract),
    }
}

fn read_bytes(item: &Item<'_>) -> Option<u64> {
    let text = item.id()?;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1u64 << 30),
        "TiB" => Some(1 << 40),
        _ => None,
    };
    let bytes = text[..digits].parse::<u64>().ok().zip(unit).and_then(|(n, unit)| n.checked_mul(unit));
    if bytes.is_none() {
        item.problem(format!("expected bytes such as 512MiB or 4GiB, got {text:?}"));
    }
    bytes
}

fn read_engine(item: &Item<'_>, contract: Contract) -> Option<String> {
    let name = item.text()?;
    let of_contract = || CHOICES.iter().filter(|c| c.contract == contract);
    match of_contract().find(|c| c.name == name) {
        Some(choice) if choice.built_in => Some(name.into()),
        Some(choice) => {
            let feature = choice.feature.unwrap_or_default();
            item.problem_with(
                format!("engine {name} is not in this binary"),
                Some(format!(
                    "build it with `cargo build --release --package tributary-cli --features {feature}`"
                )),
            );
            None
        }
        None => {
            item.unknown("engine", name, of_contract().map(|c| c.name));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{CORES, MEMORY, PATIENCE, STORAGE};

    fn read(text: &str) -> Result<Settings> {
        let mut settings = Settings::default();
        settings.overlay("service_conf.yaml", text.as_bytes()).map(|()| settings)
    }

    #[test]
    fn given_keys_override_defaults_and_the_rest_stays() {
        let text = "party_id: 10000\ncomputing:\n  standalone: {cores: 3, memory: 2GiB}\n";
        let settings = read(text).unwrap();
        assert_eq!(settings.party_id().unwrap().as_str(), "10000");
        assert_eq!(settings.number(CORES).unwrap(), 3);
        assert_eq!(settings.number(MEMORY).unwrap(), 2 << 30);
        assert_eq!(settings.text(STORAGE).unwrap(), "file");
        assert_eq!(settings.duration(PATIENCE).unwrap(), Duration::from_secs(3600));
    }

    #[test]
    fn all_mistakes_are_reported_with_places_and_suggestions() {
        let text = "partyid: 1\ncomputing:\n  standalone:\n    core: 2\n    memory: much\ndefault_engines:\n  storage: fil\n";
        let message = read(text).unwrap_err().to_string();
        for expected in [
            "service_conf.yaml:1:1: partyid: unknown key (did you mean \"party_id\"?)",
            "service_conf.yaml:4:5: computing.standalone.core: unknown key (did you mean \"cores\"?)",
            "service_conf.yaml:5:5: computing.standalone.memory: expected bytes such as 512MiB or 4GiB, got \"much\"",
            "service_conf.yaml:7:3: default_engines.storage: unknown engine \"fil\" (did you mean \"file\"?)",
        ] {
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    #[cfg(not(feature = "standalone"))]
    fn an_engine_that_is_not_built_in_says_which_feature_builds_it() {
        let message = read("default_engines: {computing: standalone}").unwrap_err().to_string();
        assert!(message.contains("engine standalone is not in this binary"), "{message}");
        assert!(message.contains("--features standalone"), "{message}");
    }

    #[test]
    fn a_file_of_comments_says_nothing() {
        for text in ["", "\n\n", "# all defaults\n  # really\n"] {
            assert_eq!(read(text).unwrap(), Settings::default(), "{text:?}");
        }
    }

    #[test]
    #[cfg(feature = "standalone")]
    fn every_default_is_a_value_that_would_be_accepted() {
        for key in KEYS {
            let text = key.name.split('.').rev().fold(key.default.to_string(), |inner, part| {
                if inner == key.default { format!("{part}: {inner}") } else { format!("{part}: {{{inner}}}") }
            });
            read(&text).unwrap_or_else(|e| panic!("{}: {e}", key.name));
        }
    }
}
