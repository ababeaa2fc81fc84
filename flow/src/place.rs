//! From what a job asks for to what each engine gives: placements of all tasks at all parties, before anything runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tributary_core::placement::{CoreRequest, Placement, Wish};
use tributary_core::{Error, ErrorKind, Party, Result, Site};
use tributary_document::{Position, Problem};

use crate::agent::Objection;
use crate::spec::{JobSpec, PartyTask};

/// Where everything runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// Cores of the whole job at each party.
    pub job_cores: BTreeMap<String, u32>,
    /// By task and party, in the order of the job.
    pub tasks: Vec<PlacedTask>,
}

/// One task at one party.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlacedTask {
    /// Which task.
    pub task: String,
    /// Which party.
    pub party: Party,
    /// Name of the computing engine there.
    pub engine: String,
    /// What it gives.
    pub placement: Placement,
}

impl Placed {
    /// The placement of a task at a party.
    pub(crate) fn get(&self, task: &str, party: &Party) -> Result<&Placement> {
        let found = self.tasks.iter().find(|p| p.task == task && p.party == *party);
        found.map(|p| &p.placement).ok_or_else(|| Error::bug(format!("task {task} is not placed at {party}")))
    }

    /// Adds the placements of another site.
    pub(crate) fn add(&mut self, other: Self) {
        self.job_cores.extend(other.job_cores);
        self.tasks.extend(other.tasks);
    }

    /// Brings the tasks into the order of the job.
    pub(crate) fn sort(&mut self, spec: &JobSpec) {
        let names: HashMap<&str, usize> =
            spec.levels.iter().flatten().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
        let parties: HashMap<&Party, usize> =
            spec.parties.iter().enumerate().map(|(at, party)| (party, at)).collect();
        self.tasks.sort_by_key(|p| (names.get(p.task.as_str()).copied(), parties.get(&p.party).copied()));
    }

    /// What the job says that has no effect on a party's engine, each once, whatever the number of its tasks.
    pub fn notes(&self) -> Vec<String> {
        let of = |p: &PlacedTask| {
            let party = p.party.to_string();
            p.placement.notes.iter().map(move |note| format!("{party}: {note}")).collect::<Vec<_>>()
        };
        let notes: BTreeSet<String> = self.tasks.iter().flat_map(of).collect();
        notes.into_iter().collect()
    }
}

/// Which options a task has: those that tasks share are one value.
type Options = Option<*const Map<String, Value>>;

/// Tasks that have no place for one cause.
type Misplaced<'a> = (String, Vec<(&'a str, &'a Party)>);

/// Places every task of a site; an objection for each cause, with the tasks whose requests cannot be met.
pub(crate) fn place(spec: &JobSpec, site: &Site) -> (Placed, Vec<Objection>) {
    let mut placed = Placed::default();
    let mut misplaced: Vec<Misplaced<'_>> = Vec::new();
    // Most tasks of a party ask for the same, by options that they share.
    let mut asked: HashMap<(&Party, Options), Result<Placement, String>> = HashMap::new();
    let tasks = spec.levels.iter().flatten().map(|name| (name, &spec.tasks[name]));
    let parts = tasks.flat_map(|(name, task)| task.parties.iter().map(move |part| (name, part)));
    for (name, part) in parts.filter(|(_, part)| part.party.id == site.id) {
        let place = || {
            let request = request(spec, part, site.cores);
            site.engine.place(&request).map_err(|error| error.to_string())
        };
        let options = part.conf.engine_run.as_ref().map(Arc::as_ptr);
        match asked.entry((&part.party, options)).or_insert_with(place).clone() {
            Ok(mut placement) => {
                let foretold = spec.needs.foretold.get(&(name.clone(), part.party.clone()));
                placement.reasons.extend(foretold.into_iter().flatten().cloned());
                let job = placed.job_cores.entry(part.party.to_string()).or_default();
                *job = (*job).max(placement.job_booked);
                let (task, party, engine) =
                    (name.clone(), part.party.clone(), site.engine.info().name.to_owned());
                placed.tasks.push(PlacedTask { task, party, engine, placement });
            }
            Err(cause) => match misplaced.iter_mut().find(|(known, _)| *known == cause) {
                Some((_, places)) => places.push((name, &part.party)),
                None => misplaced.push((cause, vec![(name, &part.party)])),
            },
        }
    }
    (placed, misplaced.into_iter().map(|misplaced| objection(spec, misplaced)).collect())
}

fn objection(spec: &JobSpec, (cause, places): Misplaced<'_>) -> Objection {
    let task = places.first().map_or("", |(task, _)| task);
    let at = spec.needs.tasks.get(task).copied().unwrap_or(Position { line: 1, column: 1 });
    let message = format!("place task {}: {cause}", shown(&places));
    let problem = Problem::new(&spec.needs.file, at, &format!("dag.tasks.{task}"), message, None);
    Objection { kind: ErrorKind::InvalidInput, problem }
}

/// The first few of many places.
fn shown(places: &[(&str, &Party)]) -> String {
    const SHOWN: usize = 4;
    let first: Vec<String> =
        places.iter().take(SHOWN).map(|(task, party)| format!("{task} at {party}")).collect();
    match places.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The one place where what a job says about cores becomes a request. Each task is asked for with its own `engine_run`,
/// so what it books is what it gets; FATE books by the job's and runs by the task's.
fn request(spec: &JobSpec, part: &PartyTask, site_cores: u32) -> CoreRequest {
    let older = spec.conf.runtime_conf.as_ref();
    let wish = match older {
        None => Wish::Dag { job_cores: spec.conf.cores.map(u64::from) },
        Some(older) => Wish::RuntimeConf {
            task_cores: older.task_cores.map(u64::from),
            task_parallelism: older.task_parallelism.map(u64::from),
        },
    };
    // Later entries replace earlier ones: the task's own options are nearer than the job's.
    let options =
        older.map(|older| &older.options).into_iter().chain(part.conf.engine_run.as_deref()).flatten();
    CoreRequest {
        role: Some(part.party.role.clone()),
        wish,
        partitions: spec.conf.computing_partitions.map(u64::from),
        options: options.filter_map(|(name, value)| Some((name.clone(), text(value)?))).collect(),
        site_cores: Some(u64::from(site_cores)),
    }
}

/// An option as text; null is absence.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use tributary_core::{PartyId, Role};

    use super::*;

    /// Two toys between a guest and a host; each of these runs the second toy with another conf.
    fn requests(conf: &str) -> BTreeMap<(String, &'static str), CoreRequest> {
        let toy = "component_ref: toy_example, parameters: {data_num: 1, partition: 1}";
        let source = format!(
            "schema_version: 2\ndag:\n  stage: default\n  conf: {conf}\n  parties:\n  - {{role: guest, party_id: [1]}}\n  - {{role: host, party_id: [2]}}\n  \
             tasks:\n    a: {{{toy}}}\n    b: {{{toy}, conf: {{engine_run: {{cores: 3}}}}}}\n  \
             party_tasks:\n    host: {{parties: [{{role: host, party_id: [2]}}], tasks: {{b: {{conf: {{engine_run: {{num-executors: 5, cores: null}}}}}}}}}}\n"
        );
        let spec = JobSpec::parse("job.yaml", source.as_bytes(), &tributary_components::all()).unwrap();
        let mut requests = BTreeMap::new();
        for (name, task) in &spec.tasks {
            for part in &task.parties {
                let role = if part.party.role.as_str() == "host" { "host" } else { "guest" };
                requests.insert((name.clone(), role), request(&spec, part, 8));
            }
        }
        requests
    }

    fn options(request: &CoreRequest) -> String {
        let shown: Vec<_> = request.options.iter().map(|(name, value)| format!("{name}={value}")).collect();
        shown.join(" ")
    }

    fn of<'a>(
        requests: &'a BTreeMap<(String, &'static str), CoreRequest>,
        task: &str,
        role: &'static str,
    ) -> &'a CoreRequest {
        &requests[&(task.to_owned(), role)]
    }

    #[test]
    fn each_task_of_each_party_asks_with_its_own_engine_run() {
        let requests =
            requests("{cores: 6, computing_partitions: 7, task: {engine_run: {cores: 2, conf: {k: v}}}}");
        let first = of(&requests, "a", "host");
        assert_eq!(first.role, Some(Role::new("host").unwrap()));
        assert_eq!(first.wish, Wish::Dag { job_cores: Some(6) });
        assert_eq!((first.partitions, first.site_cores), (Some(7), Some(8)));
        assert_eq!(options(first), r#"conf={"k":"v"} cores=2"#);
        assert_eq!(options(of(&requests, "a", "guest")), options(first));
        assert_eq!(options(of(&requests, "b", "guest")), "cores=3");
        assert_eq!(options(of(&requests, "b", "host")), "num-executors=5", "null is absence");
        assert_eq!(of(&requests, "b", "host").wish, first.wish);
    }

    #[test]
    fn the_names_of_fate_1_ask_by_its_rules() {
        let wish = |conf| of(&requests(conf), "a", "guest").wish.clone();
        let older = |task_cores, task_parallelism| Wish::RuntimeConf { task_cores, task_parallelism };
        assert_eq!(wish("{task_cores: 4, task_parallelism: 2}"), older(Some(4), Some(2)));
        assert_eq!(wish("{eggroll_run: {eggroll.session.processors.per.node: 2}}"), older(None, None));
        assert_eq!(wish("{spark_run: {num-executors: 2}, task_parallelism: 3}"), older(None, Some(3)));
        assert_eq!(wish("{task_parallelism: 3}"), Wish::Dag { job_cores: None });
        let requests = requests(
            "{eggroll_run: {eggroll.session.processors.per.node: 2}, spark_run: {num-executors: 2, executor-cores: 0}}",
        );
        let shared = "eggroll.session.processors.per.node=2 executor-cores=0 num-executors=";
        assert_eq!(options(of(&requests, "a", "host")), format!("{shared}2"));
        assert_eq!(options(of(&requests, "b", "host")), format!("{shared}5"), "the task's own is nearer");
    }

    #[test]
    fn notes_are_reported_once_for_each_party() {
        let placement = |notes: &[&str]| Placement {
            partitions: 1,
            cores: 1,
            task_booked: 1,
            job_booked: 1,
            settings: BTreeMap::new(),
            reasons: Vec::new(),
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        };
        let task = |task: &str, role: &str, notes: &[&str]| PlacedTask {
            task: task.into(),
            party: Party { role: Role::new(role).unwrap(), id: PartyId::new("9").unwrap() },
            engine: "spark".into(),
            placement: placement(notes),
        };
        let tasks =
            vec![task("a", "host", &["x", "y"]), task("b", "host", &["y"]), task("b", "guest", &["y"])];
        let placed = Placed { job_cores: BTreeMap::new(), tasks };
        assert_eq!(placed.notes(), ["guest_9: y", "host_9: x", "host_9: y"]);
    }
}
