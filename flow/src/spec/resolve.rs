//! Raw to resolved: names are looked up, defaults and overrides applied, for every party of every task.
//!
//! A mistake is reported where it is made and only there: whatever depends on something already reported is passed
//! over, so a misspelt component does not also appear as ten missing outputs.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value};
use tributary_component::definition::{Definition, Stage};
use tributary_component::{Asked, Assignment, Component, Components, NamedTable, ParameterProblem};
use tributary_core::{Error, Party, Result};
use tributary_document::{Item, Step};

use super::conf::TaskConf;
use super::graph::{Edge, levels};
use super::parties::{Parties, at};
use super::raw;
use super::{ArtifactRef, Asking, Inputs, JobSpec, Need, Needs, PartyTask, TaskSpec, inputs};

/// A task with what its names stand for, as far as they stand for anything.
pub(super) struct Plan<'a, 'c> {
    pub(super) task: &'c raw::Task<'a>,
    pub(super) component: Option<&'c dyn Component>,
    pub(super) stage: Option<Stage>,
    /// Parties it runs at.
    pub(super) parties: Vec<Party>,
    /// Whether those are all.
    pub(super) complete: bool,
}

impl<'c> Plan<'_, 'c> {
    pub(super) fn definition(&self) -> Option<&'c Definition> {
        self.component.map(|component| component.definition())
    }
}

/// Most values of all views together: every party of every task has a view of its parameters and conf.
const MOST_VALUES: usize = 1_000_000;
/// What a view has in addition.
const VIEW: usize = 10;

/// Tasks by name.
pub(super) type Plans<'a, 'c> = BTreeMap<&'a str, Plan<'a, 'c>>;

/// The job; whole only if nothing was reported.
pub(super) fn resolve(mut job: raw::Job<'_>, components: &Components) -> JobSpec {
    let mut found = Found {
        notes: std::mem::take(&mut job.notes).into_iter().collect(),
        needs: Vec::new(),
        asks: Vec::new(),
        foretold: BTreeMap::new(),
    };
    let plans: Plans<'_, '_> =
        job.tasks.iter().map(|task| (task.name, plan(task, &job, components))).collect();
    check_references(&job, &plans);
    let too_many = check_size(&job, &plans);
    let mut edges = Vec::new();
    let mut tasks = BTreeMap::new();
    for task in &job.tasks {
        let Some(plan) = plans.get(task.name) else {
            continue;
        };
        let inputs = inputs::resolve(plan, &plans, &job, &mut edges, &mut found.needs);
        let dependencies = task.dependent_tasks.iter().filter(|reference| plans.contains_key(reference.name));
        edges.extend(dependencies.map(|r| Edge { from: r.name, to: task.name, item: r.item.clone() }));
        let dependent_tasks =
            edges.iter().filter(|edge| edge.to == task.name).map(|edge| edge.from.to_owned());
        if let (Some(component), Some(stage), false) = (plan.component, plan.stage, too_many) {
            let spec = TaskSpec {
                name: task.name.to_owned(),
                component: component.definition().name.to_owned(),
                stage,
                dependent_tasks: dependent_tasks.collect(),
                parties: party_tasks(plan, component, stage, inputs, &job, &mut found),
            };
            tasks.insert(spec.name.clone(), spec);
        }
    }
    let names: Vec<&str> = job.tasks.iter().map(|task| task.name).collect();
    JobSpec {
        levels: levels(&names, &edges),
        schema_version: job.schema_version.unwrap_or_default(),
        parties: job.parties.iter().cloned().collect(),
        conf: job.conf,
        tasks,
        notes: found.notes.into_iter().collect(),
        needs: Needs {
            tasks: job.tasks.iter().map(|task| (task.name.to_owned(), task.item.at())).collect(),
            list: found.needs,
            asks: found.asks,
            foretold: found.foretold,
            models: job.models,
            ..Needs::default()
        },
    }
}

/// What is no part of the plan.
struct Found {
    notes: BTreeSet<String>,
    needs: Vec<Need>,
    asks: Vec<Asking>,
    foretold: BTreeMap<(String, Party), Vec<String>>,
}

fn plan<'a, 'c>(task: &'c raw::Task<'a>, job: &raw::Job<'a>, components: &'c Components) -> Plan<'a, 'c> {
    let component = task.component.as_ref().and_then(|component| {
        let found = components.get(component.name).map(|found| &**found);
        if found.is_none() {
            component.item.unknown("component", component.name, components.names());
        }
        found
    });
    let definition = component.map(|component| component.definition());
    let named = if task.parties.item.is_given() { &task.parties } else { &job.parties };
    task.parties.check_members_of(&job.parties);
    let mut parties: Vec<Party> = named.iter().filter(|party| job.parties.contains(party)).cloned().collect();
    if let Some(definition) = definition {
        let runs = |party: &Party| definition.roles.contains(&party.role.as_str());
        check_roles(task, definition, parties.iter().filter(|party| !runs(party)).cloned().collect());
        parties.retain(runs);
    }
    let stage = definition.and_then(|definition| stage(task, job, definition));
    Plan { task, component, stage, parties, complete: named.complete && job.parties.complete }
}

fn check_roles(task: &raw::Task<'_>, definition: &Definition, others: Vec<Party>) {
    if others.is_empty() {
        return;
    }
    let names = at(&others, usize::MAX);
    let message =
        format!("{} does not run{names}; its roles are {}", definition.name, definition.roles.join(", "));
    let help = (!task.parties.item.is_given()).then(|| "give the task its own list of parties".to_owned());
    task.parties.item.problem_with(message, help);
}

fn stage(task: &raw::Task<'_>, job: &raw::Job<'_>, definition: &Definition) -> Option<Stage> {
    let has = |stage: &Stage| definition.stages.contains(stage);
    let only_default = definition.stages == [Stage::Default];
    let stages = || {
        let names: Vec<_> = definition.stages.iter().map(|stage| stage.as_str()).collect();
        names.join(", ")
    };
    let unread = |item: &Item<'_>, stage: Option<Stage>| item.is_given() && stage.is_none();
    if unread(&task.stage_item, task.stage) {
        return None; // reported when it was read
    }
    match (task.stage, job.stage) {
        (Some(stage), _) | (None, Some(stage)) if has(&stage) => Some(stage),
        (None, _) if only_default => Some(Stage::Default),
        (Some(stage), _) | (None, Some(stage)) => {
            let message = format!("{} has no stage {stage}, only {}", definition.name, stages());
            task.stage_item.problem(message);
            None
        }
        (None, None) if unread(&job.stage_item, job.stage) => None,
        (None, None) => {
            let message =
                format!("neither the task nor the job names a stage; {} has {}", definition.name, stages());
            task.stage_item.problem(message);
            None
        }
    }
}

/// Whether the job is too large to be resolved, which is then reported: a short file can give many options to many
/// tasks and parties.
fn check_size(job: &raw::Job<'_>, plans: &Plans<'_, '_>) -> bool {
    let of_all = VIEW + job.option_weight + job.task_conf.iter().map(|conf| conf.weight).sum::<usize>();
    let mut values = 0usize;
    for (name, plan) in plans {
        let of_task = of_all + plan.task.parameters.weight() + plan.task.conf.weight;
        values = values.saturating_add(plan.parties.len().saturating_mul(of_task));
        for entry in &job.party_tasks {
            let own = entry.of(name).map_or(0, |own| own.parameters.weight() + own.conf.weight);
            let takers = plan.parties.iter().filter(|party| entry.parties.contains(party)).count();
            values = values.saturating_add(takers.saturating_mul(own + entry.conf.weight));
        }
    }
    if values > MOST_VALUES {
        let message = format!(
            "{values} values in the parameters and options of all tasks at all parties, expected at most {MOST_VALUES}"
        );
        job.tasks_item.problem_with(message, "use fewer options, tasks or parties".to_owned());
    }
    values > MOST_VALUES
}

/// Names of tasks and parties outside the tasks' inputs.
fn check_references(job: &raw::Job<'_>, plans: &Plans<'_, '_>) {
    let dependencies = job.tasks.iter().flat_map(|task| &task.dependent_tasks);
    for reference in dependencies {
        check_task(reference, plans);
    }
    for entry in &job.party_tasks {
        entry.parties.check_members_of(&job.parties);
        for task in entry.tasks.iter().filter(|task| check_task(&task.task, plans)) {
            check_use(&entry.parties, task, &job.parties, plans);
        }
    }
}

fn check_task(reference: &raw::Reference<'_>, plans: &Plans<'_, '_>) -> bool {
    let known = plans.contains_key(reference.name);
    if !known {
        reference.item.unknown("task", reference.name, plans.keys().copied());
    }
    known
}

/// An entry may name parties that do not run a task, but not only such.
fn check_use(parties: &Parties<'_>, task: &raw::PartyTask<'_>, job: &Parties<'_>, plans: &Plans<'_, '_>) {
    let Some(plan) = plans.get(task.task.name) else {
        return;
    };
    let idle = !plan.parties.iter().any(|party| parties.contains(party));
    let certain = plan.complete && parties.complete && parties.iter().all(|party| job.contains(party));
    if idle && certain && parties.item.is_given() {
        task.task.item.problem(format!("none of the parties of this entry runs {}", task.task.name));
    }
}

fn party_tasks(
    plan: &Plan<'_, '_>,
    component: &dyn Component,
    stage: Stage,
    mut inputs: BTreeMap<Party, Inputs>,
    job: &raw::Job<'_>,
    found: &mut Found,
) -> Vec<PartyTask> {
    let name = plan.task.name;
    let mut unwritten: BTreeMap<ParameterProblem, Vec<Party>> = BTreeMap::new();
    let mut tasks = Vec::new();
    // Most parties have no entries of their own, and share what is made of the task's parameters.
    let mut by_entries: BTreeMap<Vec<usize>, Rc<Written<'_>>> = BTreeMap::new();
    for party in &plan.parties {
        let entries = job.party_tasks.iter().enumerate().filter(|(_, entry)| entry.parties.contains(party));
        let entries: Vec<_> = entries.collect();
        let layers =
            entries.iter().flat_map(|(_, entry)| [Some(&entry.conf), entry.of(name).map(|own| &own.conf)]);
        let conf = TaskConf::of(job.task_conf.iter().chain([&plan.task.conf]).chain(layers.flatten()));

        let own = entries.iter().filter_map(|(at, entry)| Some((*at, &entry.of(name)?.parameters)));
        let written = by_entries.entry(own.clone().map(|(at, _)| at).collect()).or_insert_with(|| {
            let maps = [&plan.task.parameters].into_iter().chain(own.map(|(_, parameters)| parameters));
            Rc::new(Written::of(maps, component, stage))
        });
        let parameters = match settle(plan, component, stage, party, written) {
            Ok(settled) => {
                found.notes.extend(settled.notes);
                found.needs.extend(settled.needs);
                found.asks.extend(settled.asks);
                found.foretold.insert((name.to_owned(), party.clone()), settled.foretold);
                settled.parameters
            }
            Err(problems) => {
                let of_all = problems.iter().filter(|problem| !report(problem, &written.items));
                of_all.for_each(|problem| unwritten.entry(problem.clone()).or_default().push(party.clone()));
                Arc::default()
            }
        };
        let inputs = inputs.remove(party).unwrap_or_default();
        tasks.push(PartyTask { party: party.clone(), parameters, conf, inputs });
    }
    for (problem, parties) in &unwritten {
        report_unwritten(plan, problem, parties);
    }
    tasks
}

/// Parameters as they are written for some parties, and what the definition makes of them.
struct Written<'a> {
    items: BTreeMap<&'a str, Item<'a>>,
    checked: Result<Taken, Vec<ParameterProblem>>,
}

/// Parameters that a definition takes, defaults filled in, and what it says of them.
struct Taken {
    parameters: Arc<Map<String, Value>>,
    notes: Vec<String>,
}

impl<'a> Written<'a> {
    /// Later maps over earlier ones, whole values at a time.
    fn of<'i>(maps: impl Iterator<Item = &'i Item<'a>>, component: &dyn Component, stage: Stage) -> Self
    where
        'a: 'i,
    {
        let items: BTreeMap<&str, Item<'_>> = maps.flat_map(Item::entries).collect();
        let values = items.iter().filter_map(|(name, item)| Some(((*name).to_owned(), item.json()?)));
        let checked = component.definition().validate_parameters(stage, &values.collect());
        let checked =
            checked.map(|checked| Taken { parameters: Arc::new(checked.values), notes: checked.notes });
        // Reported here, once for all parties; of what is not written, the parties that lack it are named.
        let unwritten =
            |problems: Vec<_>| problems.into_iter().filter(|problem| !report(problem, &items)).collect();
        Self { checked: checked.map_err(unwritten), items }
    }
}

/// Sound parameters of one party, and what follows from them.
struct Settled {
    parameters: Arc<Map<String, Value>>,
    notes: Vec<String>,
    needs: Vec<Need>,
    asks: Vec<Asking>,
    foretold: Vec<String>,
}

/// Parameters that the definition takes, then what the component says about them.
fn settle<'w>(
    plan: &Plan<'_, '_>,
    component: &dyn Component,
    stage: Stage,
    party: &Party,
    written: &'w Written<'_>,
) -> Result<Settled, Cow<'w, [ParameterProblem]>> {
    let Taken { parameters, notes } =
        written.checked.as_ref().map_err(|problems| Cow::Borrowed(problems.as_slice()))?;
    let assignment = Assignment { stage, own: party, parties: &plan.parties, parameters };
    let bug = |error: Error| Cow::Owned(vec![ParameterProblem::of_task(error.chain())]);
    let problems = component.check(&assignment).map_err(bug)?;
    if !problems.is_empty() {
        return Err(Cow::Owned(problems));
    }
    let place = |parameter: &str| {
        let unwritten = || plan.task.parameters.below(&[Step::Key(parameter.to_owned())]);
        written.items.get(parameter).cloned().unwrap_or_else(unwritten)
    };
    let need =
        |NamedTable { table, parameter }| Need::new(party, ArtifactRef::Table(table), &place(parameter));
    let needs = component.tables(&assignment).map_err(bug)?.into_iter().map(need).collect();
    let asking = |asked: Asked| Asking::new(party, asked.clone(), &place(asked.parameter));
    let asks = component.asks(&assignment).map_err(bug)?.into_iter().map(asking).collect();
    let notes = notes.iter().map(|note| format!("task {}: {note}", plan.task.name)).collect();
    let foretold = component.foretells(&assignment);
    Ok(Settled { parameters: parameters.clone(), notes, needs, asks, foretold })
}

/// Reports a problem where the parameter is written; false if it is not written at all.
fn report(problem: &ParameterProblem, written: &BTreeMap<&str, Item<'_>>) -> bool {
    let Some((Step::Key(name), below)) = problem.path.split_first() else {
        return false;
    };
    let Some(item) = written.get(name.as_str()) else {
        return false;
    };
    item.below(below).problem_with(problem.message.clone(), problem.help.clone());
    true
}

/// Reports a problem of what is not written, at the task.
fn report_unwritten(plan: &Plan<'_, '_>, problem: &ParameterProblem, parties: &[Party]) {
    let item = match problem.path.is_empty() {
        // About who takes part, which proves nothing unless it is all known.
        true if !plan.complete => return,
        true => plan.task.item.clone(),
        false => plan.task.parameters.below(&problem.path),
    };
    let message = format!("{}{}", problem.message, at(parties, plan.parties.len()));
    item.problem_with(message, problem.help.clone());
}
