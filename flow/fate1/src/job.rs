//! The two files together: a job of schema 2.x.

use std::collections::{BTreeMap, BTreeSet};

use tributary_document::Item;

use crate::conf::{Conf, Member};
use crate::dsl::{Component, Dsl};
use crate::job_parameters::{JobParameters, of_party};
use crate::origins::Side;
use crate::parameters::{Given, Stage, Taken, add};
use crate::table::{Module, Shape};
use crate::tree::{Content, Tree};
use crate::wiring::Wiring;

/// A job, and what is to be said about it.
pub(crate) struct Converted {
    pub(crate) tree: Tree,
    pub(crate) notes: Vec<String>,
}

/// The job; whole only if nothing was reported.
pub(crate) fn convert(dsl: &Dsl<'_>, conf: &Conf<'_>) -> Converted {
    let job = JobParameters::read(conf);
    let folds = dsl.components.iter().filter(|component| makes_folds(component, conf));
    let wiring =
        Wiring { dsl, predicts: job.predicts, folds: folds.map(|component| component.name).collect() };
    let mut notes = [conf.notes.as_slice(), job.notes.as_slice()].concat();
    check_names(dsl, conf, job.predicts, &mut notes);
    let (mut tasks, mut own) = (Vec::new(), BTreeMap::<usize, Vec<(String, Tree)>>::new());
    for component in &dsl.components {
        let Some(module) = component.module else { continue };
        let stage = wiring.stage(component);
        let mut read = Parameters { component, module, stage, reasons: BTreeMap::new() };
        let common = read.common(conf);
        for (at, member) in conf.members.iter().enumerate() {
            let parameters = read.of_party(conf, member, &common);
            if !parameters.is_empty() && module.shape != Shape::Folded {
                let entry = Tree::map([("parameters", Tree::map(parameters))]);
                own.entry(at).or_default().push((component.name.to_owned(), entry));
            }
        }
        notes.extend(read.notes());
        let inputs = wiring.inputs(component);
        if module.shape != Shape::Folded {
            tasks.push((component.name.to_owned(), task(component, module, stage, inputs, common, conf)));
        }
    }
    let job_stage = if job.predicts { "predict" } else { "train" };
    let mut conf_tree = job.conf;
    if let Some(initiator) = &conf.initiator {
        let id = initiator.id().unwrap_or_default();
        conf_tree.insert(0, ("initiator_party_id".to_owned(), Tree::scalar(id).from(initiator, Side::Conf)));
    }
    let dag = Tree::map([
        ("parties", parties(&conf.members.iter().collect::<Vec<_>>())),
        ("conf", Tree::map(conf_tree)),
        ("stage", Tree::scalar(job_stage)),
        ("party_tasks", Tree::map(party_tasks(conf, own))),
        ("tasks", Tree::map(tasks)),
    ]);
    let tree =
        Tree::map([("dag", dag), ("schema_version", Tree::scalar("2.2.0")), ("kind", Tree::scalar("fate"))]);
    Converted { tree, notes: unique(notes) }
}

fn unique(notes: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    notes.into_iter().filter(|note| seen.insert(note.clone())).collect()
}

/// Components that are given parameters and that the DSL does not have. A predict job may give those of the training, which
/// it does not deploy.
fn check_names(dsl: &Dsl<'_>, conf: &Conf<'_>, predicts: bool, notes: &mut Vec<String>) {
    for (name, item) in conf.component_items().filter(|(name, _)| dsl.get(name).is_none()) {
        match predicts {
            true => notes.push(format!("parameters of {name} have no effect: the DSL has no such component")),
            false => item.unknown("component", name, dsl.names()),
        }
    }
}

fn makes_folds(component: &Component<'_>, conf: &Conf<'_>) -> bool {
    let Some(module) = component.module else { return false };
    let Some(at) = module.rules.iter().position(|rule| rule.name == "cv_param.need_cv") else {
        return false;
    };
    let given = of_all(component, module, conf);
    given.get(&at).and_then(Item::bool).unwrap_or_default()
}

/// What is said to all parties about a component.
fn of_all<'a>(component: &Component<'a>, module: &'static Module, conf: &Conf<'a>) -> Given<'a> {
    let mut given = Given::new();
    for (_, _, entries) in conf.components.common.iter().filter(|(name, ..)| *name == component.name) {
        add(module, entries.iter().cloned(), &mut given);
    }
    given
}

/// Reads the parameters of one component.
struct Parameters<'d, 'a> {
    component: &'d Component<'a>,
    module: &'static Module,
    stage: Stage,
    /// Parameters without effect, by the reason.
    reasons: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

impl<'a> Parameters<'_, 'a> {
    fn common(&mut self, conf: &Conf<'a>) -> Vec<(String, Tree)> {
        self.take(&of_all(self.component, self.module, conf))
    }

    /// Those of a party that differ from those of all.
    fn of_party(
        &mut self,
        conf: &Conf<'a>,
        member: &Member<'a>,
        common: &[(String, Tree)],
    ) -> Vec<(String, Tree)> {
        let mut given = of_all(self.component, self.module, conf);
        let mut said = false;
        for layer in conf.components.some.iter().filter(|layer| layer.is_for(member)) {
            let own = layer.content.iter().filter(|(name, ..)| *name == self.component.name);
            for (_, _, entries) in own {
                add(self.module, entries.iter().cloned(), &mut given);
                said = true;
            }
        }
        if !said {
            return Vec::new();
        }
        let mut parameters = self.take(&given);
        parameters.retain(|(name, tree)| {
            common.iter().find(|(known, _)| known == name).is_none_or(|(_, known)| !known.means(tree))
        });
        parameters
    }

    fn take(&mut self, given: &Given<'a>) -> Vec<(String, Tree)> {
        let taken = Taken::of(self.module, given, self.stage);
        for (name, why) in &taken.no_effect {
            self.reasons.entry(why).or_default().insert(name);
        }
        taken.into_parameters()
    }

    fn notes(self) -> Vec<String> {
        let name = self.component.name;
        let note = |(why, names): (&str, BTreeSet<&str>)| {
            let has = if names.len() == 1 { "has" } else { "have" };
            let names = names.into_iter().collect::<Vec<_>>().join(", ");
            format!("{name}: {names} {has} no effect: {why}")
        };
        self.reasons.into_iter().map(note).collect()
    }
}

fn task(
    component: &Component<'_>,
    module: &Module,
    stage: Stage,
    inputs: Tree,
    parameters: Vec<(String, Tree)>,
    conf: &Conf<'_>,
) -> Tree {
    let mut entries =
        vec![("component_ref", Tree::scalar(module.component)), ("stage", Tree::scalar(stage.as_str()))];
    let guests: Vec<&Member<'_>> = conf.members.iter().filter(|member| member.role == "guest").collect();
    if module.at_guest && guests.len() < conf.members.len() {
        entries.push(("parties", parties(&guests)));
    }
    if !inputs.is_empty() {
        entries.push(("inputs", inputs));
    }
    entries.push(("parameters", Tree::map(parameters)));
    let tree = Tree::map(entries).from(&component.item, Side::Dsl);
    match module.component.replace('_', "").eq_ignore_ascii_case(module.name) {
        true => tree,
        false => tree.comment(format!("module {}", module.name)),
    }
}

/// Groups of parties, one for each role.
fn parties(members: &[&Member<'_>]) -> Tree {
    let mut groups: Vec<(&str, Tree)> = Vec::new();
    for member in members {
        let id = Tree::scalar(member.id.as_str()).from(&member.item, Side::Conf);
        match groups.iter_mut().find(|(role, _)| *role == member.role) {
            Some((_, Tree { content: Content::List(ids), .. })) => ids.push(id),
            _ => groups.push((member.role, Tree::list([id]).from(&member.list, Side::Conf))),
        }
    }
    Tree::list(groups.into_iter().map(|(role, ids)| {
        let origin = ids.origin.clone();
        let mut group = Tree::map([("role", Tree::scalar(role)), ("party_id", ids)]);
        group.origin = origin;
        group
    }))
}

/// What is said to single parties.
fn party_tasks(conf: &Conf<'_>, mut own: BTreeMap<usize, Vec<(String, Tree)>>) -> Vec<(String, Tree)> {
    let mut entries: Vec<(String, Tree)> = Vec::new();
    for (at, member) in conf.members.iter().enumerate() {
        let (tasks, task_conf) = (own.remove(&at).unwrap_or_default(), of_party(conf, member));
        let name = format!("{}_{}", member.role, member.id);
        // A party that is listed twice is reported as such.
        if (tasks.is_empty() && task_conf.is_empty()) || entries.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let mut entry = vec![("parties", parties(&[member]))];
        if !task_conf.is_empty() {
            entry.push(("conf", Tree::map(task_conf)));
        }
        if !tasks.is_empty() {
            entry.push(("tasks", Tree::map(tasks)));
        }
        entries.push((name, Tree::map(entry)));
    }
    entries
}
