//! The values of one section, with where each comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Key, Presence, Secret, Value};
use crate::error::{Error, Result};

/// A value for every key of one engine, or of one entry of a map.
#[derive(Debug, Clone)]
pub struct Section {
    path: String,
    origin: Origin,
    settings: BTreeMap<&'static str, Setting>,
}

/// A key's value, and where it comes from.
#[derive(Debug, Clone)]
pub struct Setting {
    /// None where the key is not given and has no default.
    pub value: Option<Value>,
    /// Who says so.
    pub origin: Origin,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The key was not given.
    Default,
    /// A file.
    File(Place),
    /// An option of the command line, by its name.
    Option(&'static str),
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as its reader names it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// A type that a section gives values as.
pub trait FromValue<'a>: Sized {
    /// The value as this type, if it is one.
    fn from_value(value: &'a Value) -> Option<Self>;
}

impl Section {
    /// The defaults. `path` is the section's full name, as in `computing.standalone`; empty at the top. `Bug` if a default is
    /// not what its key may hold.
    pub fn new(path: impl Into<String>, keys: &[Key]) -> Result<Self> {
        let mut section = Self { path: path.into(), origin: Origin::Default, settings: BTreeMap::new() };
        for key in keys {
            let value = match key.presence {
                Presence::Default(text) => Some(key.kind.parse(text).ok_or_else(|| {
                    let full = section.full_name(key.name);
                    Error::bug(format!("the default of {full} is {text:?}, expected {}", key.kind))
                })?),
                Presence::Optional | Presence::Required => None,
            };
            section.settings.insert(key.name, Setting { value, origin: Origin::Default });
        }
        Ok(section)
    }

    /// The same, for an entry of a map that a file sets.
    #[must_use]
    pub fn set_by(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Sets a key. The entries of a map replace those of the same name, and leave the others.
    pub fn set(&mut self, name: &'static str, mut value: Value, origin: Origin) {
        if let (Value::Map(new), Some(Value::Map(old))) = (&mut value, self.value(name)) {
            for (name, entry) in old {
                new.entry(name.clone()).or_insert_with(|| entry.clone());
            }
        }
        self.settings.insert(name, Setting { value: Some(value), origin });
    }

    /// A value. `InvalidInput` if it is not set, which a key with a default always is. `&str`, `u64`, `u32`, `u16`, `usize`,
    /// `bool`, `Duration`, `&Path`, `&Secret`.
    pub fn get<'a, T: FromValue<'a>>(&'a self, name: &str) -> Result<T> {
        self.find(name)?.ok_or_else(|| self.problem(name, "required here; set it in service_conf.yaml"))
    }

    /// A path; a relative one is under `home`.
    pub fn path_under(&self, name: &str, home: &Path) -> Result<PathBuf> {
        Ok(home.join(self.get::<&Path>(name)?))
    }

    /// The same as [`Section::get`], of a key that may be left out.
    pub fn find<'a, T: FromValue<'a>>(&'a self, name: &str) -> Result<Option<T>> {
        let declared = self.settings.get(name);
        let setting =
            declared.ok_or_else(|| Error::bug(format!("key {} is not declared", self.full_name(name))))?;
        let typed = |value: &'a Value| {
            if let Value::Missing(why) = value {
                return Err(self.problem(name, why));
            }
            let wrong = || Error::bug(format!("key {} is not of this type", self.full_name(name)));
            T::from_value(value).ok_or_else(wrong)
        };
        setting.value.as_ref().map(typed).transpose()
    }

    /// The entries of a map, by name; none if it is not given.
    pub fn entries<'a>(
        &'a self,
        name: &str,
    ) -> Result<impl Iterator<Item = (&'a str, &'a Section)> + use<'a>> {
        let map: Option<&BTreeMap<String, Section>> = self.find(name)?;
        Ok(map.into_iter().flatten().map(|(name, entry)| (name.as_str(), entry)))
    }

    /// Every key with its value, in alphabetic order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.settings.iter().map(|(name, setting)| (*name, setting))
    }

    /// Where a key was set, and its full name, as errors begin: `service_conf.yaml:4:5: computing.standalone.cores`.
    pub fn place(&self, name: &str) -> String {
        let full = self.full_name(name);
        match self.settings.get(name) {
            Some(Setting { value: None, .. }) | None => format!("{full} (not set)"),
            Some(Setting { origin, .. }) => placed(&full, origin),
        }
    }

    /// Where an entry of a map was set, and its full name.
    pub fn entry_place(&self) -> String {
        placed(&self.path, &self.origin)
    }

    /// An error about a key's value: what is wrong and how to mend it. `InvalidInput`.
    pub fn problem(&self, name: &str, message: impl Into<String>) -> Error {
        Error::invalid(message).at(self.place(name))
    }

    /// The section's full name; empty at the top.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// A key's full name.
    pub fn full_name(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.settings.get(name)?.value.as_ref()
    }
}

fn placed(full_name: &str, origin: &Origin) -> String {
    match origin {
        Origin::Default => format!("{full_name} (default)"),
        origin => format!("{origin}: {full_name}"),
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(place) => place.fmt(f),
            Self::Option(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column } = self;
        write!(f, "{file}:{line}:{column}")
    }
}

macro_rules! from_value {
    ($($type:ty: $pattern:pat => $value:expr,)*) => {
        $(impl<'a> FromValue<'a> for $type {
            fn from_value(value: &'a Value) -> Option<Self> {
                match value {
                    $pattern => $value,
                    _ => None,
                }
            }
        })*
    };
}

from_value! {
    &'a str: Value::Text(text) => Some(text),
    &'a Path: Value::Path(path) => Some(path),
    u64: Value::Int(number) => Some(*number),
    u32: Value::Int(number) => (*number).try_into().ok(),
    u16: Value::Int(number) => (*number).try_into().ok(),
    usize: Value::Int(number) => (*number).try_into().ok(),
    Duration: Value::Duration(duration) => Some(*duration),
    bool: Value::Bool(value) => Some(*value),
    &'a Secret: Value::Secret(secret) => Some(secret),
    &'a BTreeMap<String, Section>: Value::Map(entries) => Some(entries),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Kind;

    const PEER: &[Key] = &[
        Key::required("address", Kind::Text, "Where it is."),
        Key::optional("password", Kind::Secret, "What it wants to hear."),
    ];

    const KEYS: &[Key] = &[
        Key::new("cores", Kind::Int { least: 0, most: 16 }, "2", "Cores."),
        Key::new("folder", Kind::Path, "tables", "Folder."),
        Key::optional("password", Kind::Secret, "Password."),
        Key::optional("peers", Kind::Map(PEER), "Peers."),
    ];

    fn place(line: usize) -> Origin {
        Origin::File(Place { file: "conf.yaml".into(), line, column: 3 })
    }

    fn section() -> Section {
        let mut section = Section::new("federation.broker", KEYS).unwrap();
        section.set("password", Kind::Secret.parse("hunter2").unwrap(), place(2));
        for (name, line) in [("10000", 4), ("9999", 7)] {
            let mut peer =
                Section::new(format!("federation.broker.peers.{name}"), PEER).unwrap().set_by(place(line));
            peer.set("password", Kind::Secret.parse("hunter3").unwrap(), place(line + 1));
            section.set("peers", Value::Map([(name.to_owned(), peer)].into()), place(3));
        }
        section
    }

    #[test]
    fn values_have_types_and_places() {
        let mut section = section();
        assert_eq!(section.get::<u32>("cores").unwrap(), 2);
        assert_eq!(section.get::<&Path>("folder").unwrap(), Path::new("tables"));
        assert_eq!(section.get::<&Secret>("password").unwrap().expose(), "hunter2");
        assert_eq!(section.place("cores"), "federation.broker.cores (default)");
        section.set("cores", Value::Int(3), place(9));
        let error = section.problem("cores", "expected an even number, got 3");
        assert_eq!(
            error.to_string(),
            "conf.yaml:9:3: federation.broker.cores: expected an even number, got 3"
        );
    }

    #[test]
    fn entries_of_a_map_add_up_and_know_their_places() {
        let section = section();
        let peers: Vec<(&str, &Section)> = section.entries("peers").unwrap().collect();
        assert_eq!(peers.len(), 2);
        let (name, peer) = peers[0];
        assert_eq!((name, peer.path()), ("10000", "federation.broker.peers.10000"));
        assert_eq!(peer.entry_place(), "conf.yaml:4:3: federation.broker.peers.10000");
        assert_eq!(peer.place("password"), "conf.yaml:5:3: federation.broker.peers.10000.password");
        let missing = peer.get::<&str>("address").unwrap_err().to_string();
        assert!(
            missing.starts_with("federation.broker.peers.10000.address (not set): required"),
            "{missing}"
        );
    }

    #[test]
    fn a_secret_is_shown_nowhere() {
        let section = section();
        let mut shown = format!("{section:?} {section:#?}");
        for (name, setting) in section.iter() {
            shown.push_str(&setting.value.as_ref().map(Value::to_string).unwrap_or_default());
            shown.push_str(&section.place(name));
            shown.push_str(&section.problem(name, "is wrong").chain());
        }
        shown.push_str(&section.get::<u32>("password").unwrap_err().chain());
        assert!(shown.contains("(set)") && !shown.contains("hunter"), "{shown}");
    }

    #[test]
    fn what_is_not_declared_or_of_another_type_is_a_bug_and_no_value() {
        use crate::error::ErrorKind;
        let section = section();
        assert_eq!(section.get::<u32>("core").unwrap_err().kind(), ErrorKind::Bug);
        assert_eq!(section.get::<bool>("cores").unwrap_err().kind(), ErrorKind::Bug);
        const WRONG: &[Key] = &[Key::new("cores", Kind::Int { least: 1, most: 2 }, "0", "Cores.")];
        let error = Section::new("computing.fake", WRONG).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Bug);
        assert!(error.to_string().contains("computing.fake.cores"), "{error}");
    }
}
