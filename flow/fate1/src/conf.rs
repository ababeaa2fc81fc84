//! The runtime conf as written: who takes part, and what is said to all of them or to some.

use std::collections::BTreeSet;

use tributary_document::{Item, quoted};

use crate::dsl::Dsl;

/// Roles of FATE 1; those that have a part in what the table knows, first.
const ROLES: [&str; 4] = ["guest", "host", "arbiter", "local"];
/// What has no part here: no component needs a helper without data.
const IDLE: [&str; 2] = ["arbiter", "local"];

/// As many as a job of schema 2.x has at most.
const MOST_PARTIES: usize = 256;

/// See the module.
pub(crate) struct Conf<'a> {
    pub(crate) members: Vec<Member<'a>>,
    /// Item of its party id, if it can be read.
    pub(crate) initiator: Option<Item<'a>>,
    pub(crate) job: Layers<'a, Item<'a>>,
    pub(crate) components: Layers<'a, Entries<'a>>,
    pub(crate) notes: Vec<String>,
}

/// A party of the job: one place in the list of its role.
pub(crate) struct Member<'a> {
    pub(crate) role: &'a str,
    pub(crate) index: usize,
    pub(crate) id: String,
    pub(crate) item: Item<'a>,
    pub(crate) list: Item<'a>,
}

/// What is said to all, and what to some, in the order written.
pub(crate) struct Layers<'a, T> {
    pub(crate) common: T,
    pub(crate) some: Vec<Layer<'a, T>>,
}

/// What is said to the parties at some places of a role.
pub(crate) struct Layer<'a, T> {
    role: &'a str,
    indexes: BTreeSet<usize>,
    pub(crate) content: T,
}

impl<T> Layer<'_, T> {
    pub(crate) fn is_for(&self, member: &Member<'_>) -> bool {
        self.role == member.role && self.indexes.contains(&member.index)
    }
}

/// Parameters by component: its item, and each of them.
pub(crate) type Entries<'a> = Vec<(&'a str, Item<'a>, Vec<(&'a str, Item<'a>)>)>;

/// Roles with the number of their parties.
type Sizes<'a> = Vec<(&'a str, usize)>;

impl<'a> Conf<'a> {
    /// Nothing for a conf of version 1, which is reported; except for the connectivity test, whose published conf is of that version.
    pub(crate) fn read(root: &Item<'a>, dsl: &Dsl<'a>) -> Option<Self> {
        root.map(|keys| {
            let version = keys.take("dsl_version");
            let older = is_version_1(&version)?;
            let only_toys = dsl
                .components
                .iter()
                .all(|component| component.module.is_some_and(|module| module.component == "toy_example"));
            let (initiator, role) = (keys.required("initiator"), keys.required("role"));
            let (job, current) = (keys.take("job_parameters"), keys.take("component_parameters"));
            let (algorithms, roles) = (keys.take("algorithm_parameters"), keys.take("role_parameters"));
            for informational in ["job_name", "notes", "description"] {
                keys.take(informational);
            }
            if older && !only_toys {
                refuse(&version, &keys.item().clone());
                return None;
            }
            let mut notes = Vec::new();
            let members = members(&role, &mut notes);
            let sizes = sizes(&role);
            let initiator = read_initiator(&initiator, &members, &role);
            if older {
                let some = by_lists(&roles, &sizes);
                let components = Layers { common: entries(&algorithms), some };
                let job = Layers { common: job, some: Vec::new() };
                return Some(Self { members, initiator, job, components, notes });
            }
            for (item, place) in [
                (&algorithms, "component_parameters.common"),
                (&roles, "component_parameters.role.<role>.<index>"),
            ] {
                if item.is_given() {
                    item.problem_with("unknown key in version 2", format!("put it under {place}"));
                }
            }
            Some(Self {
                members,
                initiator,
                job: layers(&job, &sizes, Item::clone),
                components: layers(&current, &sizes, entries),
                notes,
            })
        })
    }

    /// Whether anything is said about a component, to report those that the DSL does not have.
    pub(crate) fn component_items(&self) -> impl Iterator<Item = (&'a str, &Item<'a>)> {
        let layers = self.components.some.iter().map(|layer| &layer.content);
        [&self.components.common].into_iter().chain(layers).flatten().map(|(name, item, _)| (*name, item))
    }
}

/// Whether a job is of version 1, which is what FATE takes if it does not say; nothing if it is of none that there is.
fn is_version_1(item: &Item<'_>) -> Option<bool> {
    if !item.is_given() {
        return Some(true);
    }
    match item.id()?.as_str() {
        "1" => Some(true),
        "2" => Some(false),
        other => {
            item.problem(format!("expected 2, got {}", quoted(other)));
            None
        }
    }
}

fn refuse(version: &Item<'_>, root: &Item<'_>) {
    let (item, message) = match version.is_given() {
        true => (version, "a job of dsl_version 1 is not supported"),
        false => (root, "dsl_version is not given, so this is a job of version 1, which is not supported"),
    };
    item.problem_with(
        message,
        "for version 2 write \"dsl_version\": 2; put job_parameters and algorithm_parameters under common, role_parameters under \
         role.<role>.<index>, with one value instead of lists; and begin the DSL with a Reader instead of args: docs/fate1.md"
            .to_owned(),
    );
}

fn members<'a>(role: &Item<'a>, notes: &mut Vec<String>) -> Vec<Member<'a>> {
    let mut members = Vec::new();
    for (role, list) in role.entries() {
        if !ROLES.contains(&role) {
            list.unknown("role", role, ROLES);
            continue;
        }
        let ids: Vec<_> = list.non_empty_list().into_iter().enumerate().collect();
        if IDLE.contains(&role) {
            if !ids.is_empty() {
                notes.push(format!("role {role} has no part in the job: no component here needs one"));
            }
            continue;
        }
        let member = |(index, item): (usize, Item<'a>)| {
            Some(Member { role, index, id: item.id()?, item, list: list.clone() })
        };
        members.extend(ids.into_iter().filter_map(member));
    }
    if members.len() > MOST_PARTIES {
        role.problem(format!("expected at most {MOST_PARTIES} parties, got {}", members.len()));
        members.truncate(MOST_PARTIES);
    }
    members
}

fn sizes<'a>(role: &Item<'a>) -> Sizes<'a> {
    let entries = role.entries().into_iter().filter(|(role, _)| ROLES.contains(role));
    entries.map(|(role, list)| (role, list.list().len())).collect()
}

fn read_initiator<'a>(item: &Item<'a>, members: &[Member<'a>], role: &Item<'a>) -> Option<Item<'a>> {
    let (of_role, id_item) = item.map(|keys| (keys.required("role").text(), keys.required("party_id")));
    let (of_role, id) = (of_role?, id_item.id()?);
    let is_member = members.iter().any(|member| member.role == of_role && member.id == id);
    if !is_member && role.is_given() {
        id_item.problem(format!("party {} is not in the list of role {}", quoted(&id), quoted(of_role)));
    }
    is_member.then_some(id_item)
}

/// `common`, and `role.<role>.<index>`.
fn layers<'a, T>(item: &Item<'a>, sizes: &Sizes<'a>, read: impl Fn(&Item<'a>) -> T) -> Layers<'a, T> {
    let (common, role) = item.map(|keys| (keys.take("common"), keys.take("role")));
    let mut some = Vec::new();
    for (role, item) in role.entries() {
        let Some((_, size)) = sizes.iter().find(|(known, _)| *known == role) else {
            item.unknown("role", role, sizes.iter().map(|(known, _)| *known));
            continue;
        };
        for (key, item) in item.entries() {
            some.extend(indexes(key, *size, role, &item).map(|indexes| Layer {
                role,
                indexes,
                content: read(&item),
            }));
        }
    }
    Layers { common: read(&common), some }
}

/// `"0"`, `"0|2"` or `all`.
fn indexes(key: &str, size: usize, role: &str, item: &Item<'_>) -> Option<BTreeSet<usize>> {
    if key == "all" {
        return Some((0..size).collect());
    }
    let parts = key.split('|').map(|part| part.trim().parse::<usize>().ok().filter(|index| *index < size));
    let found: Option<BTreeSet<usize>> = parts.collect();
    if found.is_none() {
        let last = size.saturating_sub(1);
        let known = if last == 0 { "0".to_owned() } else { format!("0 to {last}") };
        item.problem(format!(
            "expected places in the list of role {role} ({known}), some of them as in \"0|1\", or all, got {}",
            quoted(key)
        ));
    }
    found
}

fn entries<'a>(item: &Item<'a>) -> Entries<'a> {
    item.entries().into_iter().map(|(name, item)| (name, item.clone(), item.entries())).collect()
}

/// `role_parameters` of version 1: a list of values for each parameter, one for each party of the role.
fn by_lists<'a>(item: &Item<'a>, sizes: &Sizes<'a>) -> Vec<Layer<'a, Entries<'a>>> {
    let mut some = Vec::new();
    for (role, item) in item.entries() {
        let Some((_, size)) = sizes.iter().find(|(known, _)| *known == role) else {
            item.unknown("role", role, sizes.iter().map(|(known, _)| *known));
            continue;
        };
        for (name, component) in item.entries() {
            for (parameter, item) in component.entries() {
                let values = item.list();
                if values.len() != *size {
                    item.problem(format!(
                        "expected {size} values, one for each {role}, got {}",
                        values.len()
                    ));
                }
                some.extend(values.into_iter().take(*size).enumerate().map(|(index, value)| Layer {
                    role,
                    indexes: BTreeSet::from([index]),
                    content: vec![(name, component.clone(), vec![(parameter, value)])],
                }));
            }
        }
    }
    some
}
