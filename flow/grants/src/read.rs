//! `grants.yaml` to grants; every mistake at once, with line and column.
//!
//! A file with a mistake grants nothing: half of what an operator meant could be more than the whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use tributary_core::{Error, PartyId, Result, Role};
use tributary_document::{Collector, Item, Keys, Limits, Problems, parse, quoted};

use crate::grant::{Grant, GrantedComponent, Grants};

/// Roles of jobs.
const ROLES: [&str; 4] = ["guest", "host", "arbiter", "local"];
/// Most rows, cores and entries that are meant seriously.
const MOST_ROWS: u64 = 1 << 40;
const MOST_CORES: u32 = 1 << 20;

/// The components that grants may name, with their stages.
#[derive(Debug, Clone, Default)]
pub struct Known(BTreeMap<String, Vec<String>>);

impl Known {
    /// Of these.
    pub fn new<'a>(components: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) -> Self {
        let owned = |(name, stages): (&str, Vec<&str>)| {
            (name.to_owned(), stages.into_iter().map(str::to_owned).collect())
        };
        Self(components.into_iter().map(owned).collect())
    }
}

impl Grants {
    /// Reads a file; one that does not exist grants nothing. `InvalidInput` because of [`Problems`].
    pub fn read(path: &Path, known: &Known) -> Result<Self> {
        let name = path.display().to_string();
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(e) => return Err(Error::from(e).at(format!("read {name}"))),
        };
        Self::parse(&name, &bytes, known).map_err(|problems| {
            Error::invalid(format!("{name} grants nothing until it is mended")).because(problems)
        })
    }

    /// Reads a file's content; messages call it `file`.
    pub fn parse(file: &str, bytes: &[u8], known: &Known) -> Result<Self, Problems> {
        let report = Collector::new(file);
        let grants = parse(bytes, &Limits::default(), &report).map(|node| {
            Item::root(&node, &report).map(|keys| {
                let list = keys.required("grants");
                Self { list: list.list().iter().filter_map(|item| grant(item, known)).collect() }
            })
        });
        report.finish(grants)
    }
}

/// `None` and a problem if something that it must say is wrong.
fn grant(item: &Item<'_>, known: &Known) -> Option<Grant> {
    if !item.is_given() {
        item.problem("expected a grant, got nothing");
    }
    item.map(|keys| {
        let partners = ids(&keys.required("partner"));
        let components = keys.required("components").non_empty_list();
        let components = components.iter().filter_map(|item| component(item, known)).collect();
        let roles = roles(&keys.required("roles"));
        Some(Grant {
            line: item.at().line,
            partners,
            components,
            tables: texts(&keys.take("tables")),
            models: texts(&keys.take("models")),
            roles,
            partner_roles: self::roles(&keys.take("partner_roles")),
            most_rows: number(keys, "most_rows", 1..=MOST_ROWS),
            least_common_rows: number(keys, "least_common_rows", 1..=MOST_ROWS),
            hours: texts(&keys.take("hours")),
            most_cores: number(keys, "most_cores", 1..=MOST_CORES),
        })
    })
}

fn number<T>(keys: &mut Keys<'_>, key: &'static str, range: std::ops::RangeInclusive<T>) -> Option<T>
where
    T: TryFrom<i128> + PartialOrd + std::fmt::Display + Copy,
{
    keys.take(key).int_in(range)
}

fn ids(item: &Item<'_>) -> Vec<PartyId> {
    let read = |item: &Item<'_>| {
        let id = item.id()?;
        PartyId::new(id).inspect_err(|wrong| item.problem(wrong.to_string())).ok()
    };
    at_least_one(item).iter().filter_map(read).collect()
}

/// An empty list would read as a limit and be none.
fn at_least_one<'a>(item: &Item<'a>) -> Vec<Item<'a>> {
    let many = item.one_or_many();
    if item.is_given() && many.is_empty() {
        item.problem("expected at least one, got an empty list");
    }
    many
}

fn roles(item: &Item<'_>) -> Vec<Role> {
    let read = |item: &Item<'_>| {
        let names: Vec<(&str, &str)> = ROLES.iter().map(|role| (*role, *role)).collect();
        item.choice(&names).and_then(|name| Role::new(name).ok())
    };
    at_least_one(item).iter().filter_map(read).collect()
}

fn texts<T: FromStr<Err = Error>>(item: &Item<'_>) -> Vec<T> {
    let read = |item: &Item<'_>| {
        let text = item.scalar("text", |text| Some(text.to_owned()))?;
        text.parse().inspect_err(|wrong: &Error| item.problem(wrong.to_string())).ok()
    };
    at_least_one(item).iter().filter_map(read).collect()
}

/// A name, or one name with stages: `psi`, `{hetero_feature_binning: [train]}`.
fn component(item: &Item<'_>, known: &Known) -> Option<GrantedComponent> {
    let entries = if item.keys().is_empty() { Vec::new() } else { item.entries() };
    let (name, at, stages) = match &entries[..] {
        [] => (item.text()?, item, None),
        [(name, stages)] => (*name, stages, Some(stages)),
        _ => {
            item.problem_with(
                "expected one component, got several",
                "begin a line with - for each".to_owned(),
            );
            return None;
        }
    };
    let Some(has) = known.0.get(name) else {
        at.unknown("component", name, known.0.keys().map(String::as_str));
        return None;
    };
    let stage = |item: &Item<'_>| {
        let stage = item.text()?;
        if has.iter().any(|known| known == stage) {
            return Some(stage.to_owned());
        }
        let help = item.suggestion(stage, has.iter().map(String::as_str));
        item.problem_with(format!("{name} has no stage {}", quoted(stage)), help);
        None
    };
    let stages = match stages {
        None => Vec::new(),
        Some(stages) if stages.is_given() => at_least_one(stages).iter().filter_map(stage).collect(),
        Some(stages) => {
            stages.problem_with("expected stages, got nothing", format!("write - {name} for all of them"));
            return None;
        }
    };
    Some(GrantedComponent { name: name.to_owned(), stages })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known::new([
            ("reader", vec!["default"]),
            ("psi", vec!["default"]),
            ("binning", vec!["train", "predict"]),
        ])
    }

    fn read(text: &str) -> Result<Grants, Problems> {
        Grants::parse("grants.yaml", text.as_bytes(), &known())
    }

    #[test]
    fn a_file_with_every_key_is_read() {
        let text = "
grants:
- partner: [9999, bank]
  components: [reader, psi, {binning: [train]}]
  tables: [loans, 'fate/breast_*']
  models: ['scores_*']
  roles: host
  partner_roles: [guest]
  most_rows: 1000000
  least_common_rows: 100
  hours: [mon-fri 08:00-18:00 +01:00, sat 08:00-12:00]
  most_cores: 4
- {partner: 1, components: [psi], roles: [guest, host]}
";
        let grants = read(text).unwrap();
        let [first, second] = grants.list() else { panic!("{grants:?}") };
        assert_eq!(first.partners, ["9999".parse().unwrap(), "bank".parse().unwrap()]);
        assert_eq!(first.component("binning").unwrap().stages, ["train"]);
        assert_eq!(
            (first.most_rows, first.least_common_rows, first.most_cores),
            (Some(1_000_000), Some(100), Some(4))
        );
        assert_eq!((first.tables.len(), first.models.len(), first.hours.len(), first.line), (2, 1, 2, 3));
        assert_eq!((second.line, second.roles.len(), second.tables.len()), (13, 2, 0));
        assert!(read("grants: []").unwrap().list().is_empty());
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_place_and_the_nearest_name() {
        let text = "
grants:
- partner: a/b
  components: [pssi, {binning: [trian]}, {psi: }, {psi: [], reader: []}]
  tables: [a b]
  models: [a/b]
  roles: [hots]
  hours: [8-18]
  most_row: 5
- components: []
  roles: []
  most_cores: 0
- 
- partner: 1
  components: psi
  roles: host
  tables: []
";
        let problems = read(text).unwrap_err().to_string();
        for expected in [
            "grants.yaml:3:3: grants[0].partner: party id \"a/b\"",
            "unknown component \"pssi\" (did you mean \"psi\"?)",
            "binning has no stage \"trian\" (did you mean \"train\"?)",
            "expected stages, got nothing (write - psi for all of them)",
            "expected one component, got several",
            "tables \"a b\", expected NAMESPACE/NAME",
            "models \"a/b\", expected the name of models",
            "got \"hots\" (did you mean \"host\"?)",
            "hours \"8-18\", expected [DAYS ]HH:MM-HH:MM",
            "most_row: unknown key (did you mean \"most_rows\"?)",
            "grants[1].partner: required, but not given",
            "grants[1].components: expected a list of at least one",
            "grants[1].roles: expected at least one",
            "most_cores: expected an integer from 1 to 1048576, got 0",
            "grants[2]: expected a grant, got nothing",
            "grants[3].components: expected a list",
            "grants[3].tables: expected at least one, got an empty list",
        ] {
            assert!(problems.contains(expected), "{expected}:\n{problems}");
        }
        assert!(read("").is_err() && read("grant: []").is_err() && read("- a").is_err());
    }

    #[test]
    fn no_file_grants_nothing_and_a_wrong_one_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grants.yaml");
        assert_eq!(Grants::read(&path, &known()).unwrap(), Grants::default());
        fs::write(&path, "grants: 5").unwrap();
        let error = Grants::read(&path, &known()).unwrap_err().chain();
        assert!(
            error.contains("grants nothing until it is mended")
                && error.contains(":1:1: grants: expected a list"),
            "{error}"
        );
    }
}
