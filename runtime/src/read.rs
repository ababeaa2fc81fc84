//! `service_conf.yaml`, read against the declared keys: all mistakes at once, with places and the nearest right name.
//!
//! A file may hold secrets, so no message repeats a value, except those of keys that are no secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tributary_core::settings::{Key, Kind, Origin, Place, Presence, Section, Value};
use tributary_core::{Error, Result};
use tributary_document::{Collector, Item, Limits, nearest, parse, quoted, suggestion};
use zeroize::Zeroizing;

use crate::choice::{CHOSEN, Contract, Declared, Known};
use crate::fate::{self, Foreign};
use crate::refer;

/// A value that a file sets.
pub(crate) struct Found {
    /// Full name of the section.
    pub section: String,
    pub key: &'static str,
    pub value: Value,
    pub place: Place,
}

/// What a file says that has no effect.
#[derive(Debug, Clone, Default)]
pub(crate) struct PassedOver {
    /// Sections whose engines are not in this binary.
    pub engines: Vec<String>,
    /// Keys that mean something to FATE only.
    pub fate: BTreeSet<String>,
}

impl PassedOver {
    /// Whether all that the file says has an effect.
    pub(crate) fn is_empty(&self) -> bool {
        self.engines.is_empty() && self.fate.is_empty()
    }
}

/// Reads one file to the end of `found`.
pub(crate) fn read(
    known: &'static Known,
    file: &Arc<str>,
    bytes: &[u8],
    found: &mut Vec<Found>,
) -> Result<PassedOver> {
    let is_blank = |line: &[u8]| line.trim_ascii().is_empty() || line.trim_ascii().starts_with(b"#");
    if bytes.split(|byte| *byte == b'\n').all(is_blank) {
        return Ok(PassedOver::default()); // every key is optional
    }
    let report = Collector::new(&**file).hiding_values();
    let mut reader =
        Reader { known, declared: known.declared(), file, found, passed_over: PassedOver::default() };
    if let Some(mut node) = parse(bytes, &Limits::default(), &report) {
        reader.level(&Item::root(&node, &report), "");
        node.wipe();
    }
    let passed_over = reader.passed_over;
    report.finish(Some(passed_over)).map_err(|problems| Error::invalid(problems.to_string()))
}

struct Reader<'a> {
    known: &'static Known,
    declared: Vec<Declared>,
    file: &'a Arc<str>,
    found: &'a mut Vec<Found>,
    passed_over: PassedOver,
}

/// What may be under a name.
enum Below {
    Value(&'static Key),
    Section,
    NotBuiltIn,
    Unknown,
}

impl Reader<'_> {
    /// Reads a section and those below it; `called` is its name in the file.
    fn level(&mut self, item: &Item<'_>, called: &str) {
        let section = self.known.section_of(called);
        let path = section.as_str();
        for (name, value) in item.entries() {
            let full = if called.is_empty() { name.to_owned() } else { format!("{called}.{name}") };
            if full == fate::CHOOSES_META {
                self.choose_meta(&value);
                continue;
            }
            if full == fate::DECRYPTS && value.is_given() && value.if_text() != Some("") {
                value.problem(fate::ENCRYPTED);
                continue;
            }
            match self.below(path, name, &self.known.section_of(&full)) {
                Below::Value(key) => {
                    let read =
                        if path == CHOSEN { self.engine(&value, key) } else { self.value(&value, key) };
                    let place = self.place(&value);
                    let section = path.to_owned();
                    self.found.extend(read.map(|value| Found { section, key: key.name, value, place }));
                }
                Below::Section => self.level(&value, &full),
                Below::NotBuiltIn => self.passed_over.engines.push(full),
                Below::Unknown => match fate::known(&full) {
                    Some(Foreign::Value) => drop(self.passed_over.fate.insert(self.without_effect(&full))),
                    Some(Foreign::Group) => self.level(&value, &full),
                    None => value.problem_with("unknown key", self.suggestion(name, path, called)),
                },
            }
        }
    }

    fn below(&self, path: &str, name: &str, full: &str) -> Below {
        let keys =
            self.declared.iter().filter(|section| section.path == path).filter_map(|s| s.keys.as_ref());
        if let Some(key) = keys.flatten().find(|key| key.name == name) {
            return Below::Value(key);
        }
        match self.declared.iter().find(|section| section.path == full) {
            Some(section) if section.keys.is_none() => Below::NotBuiltIn,
            Some(_) => Below::Section,
            None if self.declared.iter().any(|section| next(&section.path, full).is_some()) => Below::Section,
            None => Below::Unknown,
        }
    }

    /// Names of keys and sections right below a path.
    fn names(&self, path: &str) -> BTreeSet<&str> {
        let keys = self.declared.iter().filter(|s| s.path == path).filter_map(|s| s.keys.as_ref()).flatten();
        let sections = self.declared.iter().filter_map(|section| next(&section.path, path));
        keys.map(|key| key.name).chain(sections).collect()
    }

    /// The nearest name of ours or FATE's, else ours.
    fn suggestion(&self, name: &str, path: &str, called: &str) -> Option<String> {
        let mut names = self.names(path);
        fate::names_below(called).for_each(|name| {
            names.insert(name);
        });
        match nearest(name, names) {
            Some(near) => Some(format!("did you mean {}?", quoted(near))),
            None => suggestion(name, self.names(path)),
        }
    }

    /// The shortest name above a key of FATE's below which nothing has an effect: what a note says in place of twenty names.
    fn without_effect(&self, full: &str) -> String {
        let ends = full.match_indices('.').map(|(at, _)| at).chain([full.len()]);
        let is_ours = |group: &&str| {
            let group = self.known.section_of(group);
            let is_shared = fate::own_section(&format!("{group}.mysql")).is_some();
            is_shared
                || self
                    .declared
                    .iter()
                    .any(|section| section.path == group || next(&section.path, &group).is_some())
        };
        ends.map(|end| &full[..end]).find(|group| !is_ours(group)).unwrap_or(full).to_owned()
    }

    fn place(&self, item: &Item<'_>) -> Place {
        Place { file: self.file.clone(), line: item.at().line, column: item.at().column }
    }

    fn value(&self, item: &Item<'_>, key: &Key) -> Option<Value> {
        if let Some(found) = item.if_text().and_then(|text| refer::follow(text, key.kind, self.file)) {
            return self.referred(item, key, found);
        }
        let shown = item.clone().shown();
        match key.kind {
            Kind::Map(keys) => item.is_given().then(|| Value::Map(self.entries(item, keys))),
            Kind::Secret => item.text().and_then(|_| self.scalar(item, &key.kind)),
            Kind::Text | Kind::Address | Kind::Path => {
                shown.text().and_then(|_| self.scalar(&shown, &key.kind))
            }
            Kind::Id => shown.id().and_then(|id| key.kind.parse(&id)),
            Kind::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
                shown.choice(&words).and_then(|word| key.kind.parse(word))
            }
            Kind::Int { .. } | Kind::Bytes | Kind::Seconds | Kind::Bool => self.scalar(&shown, &key.kind),
        }
    }

    /// A value that is somewhere else. It is not repeated in a problem, whatever its kind.
    fn referred(
        &self,
        item: &Item<'_>,
        key: &Key,
        found: Result<Zeroizing<String>, String>,
    ) -> Option<Value> {
        match found {
            Err(why) => Some(Value::Missing(why)),
            Ok(text) => key.kind.parse(&text).or_else(|| {
                item.problem(format!("expected {} where it refers to", key.kind));
                None
            }),
        }
    }

    fn scalar(&self, item: &Item<'_>, kind: &Kind) -> Option<Value> {
        item.scalar(&kind.to_string(), |text| kind.parse(text))
    }

    /// The entries of a map, each with keys of its own.
    fn entries(&self, item: &Item<'_>, keys: &'static [Key]) -> BTreeMap<String, Section> {
        let entries = item.entries().into_iter();
        entries.filter_map(|(name, entry)| Some((name.to_owned(), self.entry(&entry, keys)?))).collect()
    }

    fn entry(&self, item: &Item<'_>, keys: &'static [Key]) -> Option<Section> {
        let origin = |item: &Item<'_>| Origin::File(self.place(item));
        // A wrong default is a bug that tests of declarations find; here it must not be passed over.
        let section = Section::new(item.path(), keys).inspect_err(|e| item.problem(e.to_string())).ok()?;
        let mut section = section.set_by(origin(item));
        let mut given = BTreeSet::new();
        for (name, value) in item.entries() {
            match keys.iter().find(|key| key.name == name) {
                Some(key) => {
                    if value.is_given() {
                        given.insert(name);
                    }
                    if let Some(read) = self.value(&value, key) {
                        section.set(key.name, read, origin(&value));
                    }
                }
                None => {
                    value.problem_with("unknown key", suggestion(name, keys.iter().map(|key| key.name)));
                }
            }
        }
        let missing = |key: &&Key| key.presence == Presence::Required && !given.contains(key.name);
        for key in keys.iter().filter(missing) {
            item.problem(format!("{} is required, but not given", key.name));
        }
        Some(section)
    }

    /// Before all others, so that `default_engines` counts more.
    fn choose_meta(&mut self, item: &Item<'_>) {
        let name = Contract::StorageMeta.name();
        let declared = self.declared.iter().filter(|section| section.path == CHOSEN);
        let mut keys = declared.filter_map(|section| section.keys.as_ref()).flatten();
        let Some(key) = keys.find(|key| key.name == name).copied() else { return };
        let chosen = self.engine(item, key);
        let (section, place) = (CHOSEN.to_owned(), self.place(item));
        let found = chosen.map(|value| Found { section, key: key.name, value, place });
        drop(self.found.splice(0..0, found));
    }

    fn engine(&self, item: &Item<'_>, key: &Key) -> Option<Value> {
        let item = item.clone().shown();
        let contract = Contract::ALL.into_iter().find(|contract| contract.name() == key.name)?;
        let name = item.text()?;
        match self.known.choose(contract, name) {
            Ok(_) => Some(Value::Text(name.into())),
            Err(none) => {
                item.problem_with(none.message, none.help);
                None
            }
        }
    }
}

/// The name right below `path` on the way to a section.
fn next<'a>(section: &'a str, path: &str) -> Option<&'a str> {
    let rest = match path {
        "" => section,
        path => section.strip_prefix(path)?.strip_prefix('.')?,
    };
    rest.split('.').next().filter(|name| !name.is_empty())
}
