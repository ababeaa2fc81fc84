//! The job as written: every key once, with its type; values keep their places.
//!
//! Nothing here compares one part of the file with another; that is for `resolve`.

use tributary_component::definition::{ArtifactGroup, Stage};
use tributary_core::{JobId, TableName, TaskName};
use tributary_document::{Item, Keys, Position, Step, quoted};

use super::conf::{JobConf, ModelRef, TaskConfLayer, job_id, stored_name};
use super::parties::Parties;

/// More than these are not a job but an attack on the site that resolves it: every task has a view
/// per party.
const MOST_TASKS: usize = 1000;
const MOST_PARTIES: usize = 256;

/// `schema_version` and `dag`.
pub(super) struct Job<'a> {
    pub(super) schema_version: Option<String>,
    pub(super) parties: Parties<'a>,
    pub(super) conf: JobConf,
    /// Whether `conf.model_warehouse` is written, readable or not.
    pub(super) has_warehouse: bool,
    /// Where `conf.model_id` is written.
    pub(super) models: Option<Position>,
    /// Options of `conf` that every task gets.
    pub(super) option_weight: usize,
    /// The least specific first.
    pub(super) task_conf: [TaskConfLayer; 2],
    pub(super) stage_item: Item<'a>,
    pub(super) stage: Option<Stage>,
    pub(super) tasks_item: Item<'a>,
    pub(super) tasks: Vec<Task<'a>>,
    pub(super) party_tasks: Vec<PartyTasks<'a>>,
    pub(super) notes: Vec<String>,
}

/// A name that refers to something, and where.
pub(super) struct Reference<'a> {
    pub(super) name: &'a str,
    pub(super) item: Item<'a>,
}

/// `dag.tasks.<name>`.
pub(super) struct Task<'a> {
    pub(super) item: Item<'a>,
    pub(super) name: &'a str,
    pub(super) component: Option<Reference<'a>>,
    pub(super) dependent_tasks: Vec<Reference<'a>>,
    pub(super) parameters: Item<'a>,
    pub(super) inputs_item: Item<'a>,
    pub(super) inputs: Vec<Input<'a>>,
    /// Those of the job if none are named.
    pub(super) parties: Parties<'a>,
    pub(super) conf: TaskConfLayer,
    pub(super) stage_item: Item<'a>,
    pub(super) stage: Option<Stage>,
}

/// `inputs.<group>.<key>`.
pub(super) struct Input<'a> {
    pub(super) group: ArtifactGroup,
    pub(super) key: &'a str,
    pub(super) item: Item<'a>,
    pub(super) refs: Vec<InputRef<'a>>,
    /// Whether all sources could be read.
    pub(super) complete: bool,
}

/// One source of an input.
pub(super) struct InputRef<'a> {
    pub(super) item: Item<'a>,
    pub(super) producer: Producer<'a>,
    pub(super) parties: Parties<'a>,
}

/// Where from.
pub(super) enum Producer<'a> {
    Task { producer: Reference<'a>, output: Reference<'a> },
    Model { model: Option<ModelRef>, producer: &'a str, output: &'a str },
    JobOutput { job: JobId, producer: &'a str, output: &'a str },
    Table(TableName),
}

impl Producer<'_> {
    /// The key it is written under.
    pub(super) fn key(&self) -> &'static str {
        match self {
            Producer::Task { .. } => "task_output_artifact",
            Producer::Model { .. } => "model_warehouse",
            Producer::JobOutput { .. } | Producer::Table(_) => "data_warehouse",
        }
    }
}

/// `dag.party_tasks.<alias>`.
pub(super) struct PartyTasks<'a> {
    pub(super) parties: Parties<'a>,
    pub(super) conf: TaskConfLayer,
    pub(super) tasks: Vec<PartyTask<'a>>,
}

impl<'a> PartyTasks<'a> {
    /// What the entry says about a task.
    pub(super) fn of(&self, task: &str) -> Option<&PartyTask<'a>> {
        self.tasks.iter().find(|entry| entry.task.name == task)
    }
}

/// `dag.party_tasks.<alias>.tasks.<name>`.
pub(super) struct PartyTask<'a> {
    pub(super) task: Reference<'a>,
    pub(super) parameters: Item<'a>,
    pub(super) conf: TaskConfLayer,
}

pub(super) fn read<'a>(root: &Item<'a>) -> Job<'a> {
    root.map(|keys| {
        let schema_version = schema_version(&keys.required("schema_version"));
        keys.take("kind").choice(&[("fate", ())]);
        Job { schema_version, ..keys.required("dag").map(dag) }
    })
}

/// Files of another version may mean something else by the same keys.
fn schema_version(item: &Item<'_>) -> Option<String> {
    let version = item.id()?;
    let fits = version == "2" || version.starts_with("2.");
    if !fits {
        item.problem(format!("expected a version 2.x of the schema of jobs, got {}", quoted(&version)));
    }
    fits.then_some(version)
}

fn dag<'a>(keys: &mut Keys<'a>) -> Job<'a> {
    let mut notes = Vec::new();
    for name in JobConf::SITES {
        let item = keys.take(name);
        if item.is_written() {
            item.problem_with("unknown key", format!("it belongs into dag.conf: conf: {{{name}: ...}}"));
        }
    }
    let conf_item = keys.take("conf");
    let (conf, conf_task) = JobConf::read(&conf_item, &mut notes);
    let key = |name: &str| Step::Key(name.to_owned());
    let options = ["eggroll_run", "spark_run"].map(|name| conf_item.below(&[key(name)]).weight());
    // published guides put the block here, where the original does not look
    let documented_place = TaskConfLayer::read(&keys.take("task"));
    let tasks_item = keys.required("tasks");
    let stage_item = keys.take("stage");
    let parties = Parties::read(keys.required("parties"));
    if parties.list.len() > MOST_PARTIES {
        parties.item.problem(format!("expected at most {MOST_PARTIES} parties, got {}", parties.list.len()));
    }
    for (item, site) in
        JobConf::SITES.map(|name| conf_item.below(&[key(name)])).iter().zip(conf.named_sites())
    {
        if let Some(site) = site {
            parties.check_site(item, site);
        }
    }
    Job {
        schema_version: None,
        parties,
        conf,
        models: Some(conf_item.below(&[key("model_id")])).filter(Item::is_given).map(|item| item.at()),
        has_warehouse: conf_item.below(&[key("model_warehouse")]).is_given(),
        option_weight: options.iter().sum(),
        task_conf: [documented_place, conf_task],
        stage: stage_item.choice(&Stage::NAMES),
        stage_item,
        tasks: tasks(&tasks_item),
        tasks_item,
        party_tasks: keys
            .take("party_tasks")
            .entries()
            .iter()
            .map(|(_, item)| item.map(party_tasks))
            .collect(),
        notes,
    }
}

fn reference(item: Item<'_>) -> Option<Reference<'_>> {
    Some(Reference { name: item.text()?, item })
}

fn tasks<'a>(item: &Item<'a>) -> Vec<Task<'a>> {
    let entries = item.entries();
    if item.is_given() && !(1..=MOST_TASKS).contains(&entries.len()) {
        item.problem(format!("expected 1 to {MOST_TASKS} tasks, got {}", entries.len()));
    }
    entries.into_iter().take(MOST_TASKS).map(|(name, item)| task(name, item)).collect()
}

fn task<'a>(name: &'a str, item: Item<'a>) -> Task<'a> {
    if let Err(error) = TaskName::new(name) {
        item.problem(error.to_string());
    }
    if !item.is_given() {
        item.problem("expected a task, got null");
    }
    item.map(|keys| {
        read_outputs(&keys.take("outputs"));
        let inputs_item = keys.take("inputs");
        let stage_item = keys.take("stage");
        Task {
            item: item.clone(),
            name,
            component: reference(keys.required("component_ref")),
            dependent_tasks: keys.take("dependent_tasks").list().into_iter().filter_map(reference).collect(),
            parameters: keys.take("parameters"),
            inputs: inputs(&inputs_item),
            inputs_item,
            parties: Parties::read(keys.take("parties")),
            conf: TaskConfLayer::read(&keys.take("conf")),
            stage: stage_item.choice(&Stage::NAMES),
            stage_item,
        }
    })
}

/// Names for other protocols; without effect in this one, but not a place for misspellings either.
fn read_outputs(item: &Item<'_>) {
    item.map(|keys| {
        for (_, alias) in ["data", "model", "metric"].into_iter().flat_map(|group| keys.take(group).entries())
        {
            alias.map(|keys| {
                keys.take("output_artifact_key_alias").text();
                keys.take("output_artifact_type_alias").text();
                Parties::read(keys.take("parties"));
            });
        }
    });
}

fn inputs<'a>(item: &Item<'a>) -> Vec<Input<'a>> {
    item.map(|keys| {
        let groups = [ArtifactGroup::Data, ArtifactGroup::Model];
        let of = |group: ArtifactGroup, item: Item<'a>| {
            let entries = item.entries().into_iter();
            entries.map(|(key, item)| input(group, key, item)).collect::<Vec<_>>()
        };
        groups.into_iter().flat_map(|group| of(group, keys.take(group.as_str()))).collect()
    })
}

fn input<'a>(group: ArtifactGroup, key: &'a str, item: Item<'a>) -> Input<'a> {
    type Read<'a> = fn(&mut Keys<'a>) -> Option<Producer<'a>>;
    let sources: [(&'static str, Read<'a>); 2] = match group {
        ArtifactGroup::Model => [("task_output_artifact", task_output), ("model_warehouse", model_warehouse)],
        _ => [("task_output_artifact", task_output), ("data_warehouse", data_warehouse)],
    };
    item.map(|keys| {
        let mut complete = true;
        let mut refs = Vec::new();
        for (name, read) in sources {
            let source = keys.take(name);
            let written = source.one_or_many();
            let read: Vec<_> = written.iter().filter_map(|item| input_ref(item, read)).collect();
            complete &= read.len() == written.len();
            refs.extend(read);
        }
        Input { group, key, refs, complete, item: item.clone() }
    })
}

fn input_ref<'a>(item: &Item<'a>, read: fn(&mut Keys<'a>) -> Option<Producer<'a>>) -> Option<InputRef<'a>> {
    if !item.is_given() {
        item.problem("expected a source, got null");
    }
    item.map(|keys| {
        let parties = Parties::read(keys.take("parties"));
        Some(InputRef { producer: read(keys)?, parties, item: item.clone() })
    })
}

fn task_output<'a>(keys: &mut Keys<'a>) -> Option<Producer<'a>> {
    let producer = reference(keys.required("producer_task"));
    let output = reference(keys.required("output_artifact_key"));
    keys.take("output_artifact_type_alias").text();
    Some(Producer::Task { producer: producer?, output: output? })
}

fn model_warehouse<'a>(keys: &mut Keys<'a>) -> Option<Producer<'a>> {
    let producer = keys.required("producer_task").text();
    let output = keys.required("output_artifact_key").text();
    let (id, version) = (keys.take("model_id"), keys.take("model_version"));
    let model = match (id.is_given(), version.is_given()) {
        (false, false) => None,
        (true, true) => Some(ModelRef { model_id: stored_name(&id)?, model_version: stored_name(&version)? }),
        _ => {
            keys.item().problem("model_id and model_version go together");
            return None;
        }
    };
    Some(Producer::Model { model, producer: producer?, output: output? })
}

fn data_warehouse<'a>(keys: &mut Keys<'a>) -> Option<Producer<'a>> {
    keys.take("dataset_id").id();
    let job = job_id(&keys.take("job_id"));
    let producer = keys.take("producer_task").text();
    let output = keys.take("output_artifact_key").text();
    let table = keys.take("namespace").text().zip(keys.take("name").text());
    match (job.zip(producer).zip(output), table) {
        (Some(((job, producer), output)), None) => Some(Producer::JobOutput { job, producer, output }),
        (None, Some((namespace, name))) => {
            let table = TableName::new(namespace, name);
            table.map(Producer::Table).inspect_err(|error| keys.item().problem(error.to_string())).ok()
        }
        _ => {
            let wanted = "either namespace and name, or job_id, producer_task and output_artifact_key";
            keys.item().problem(format!("expected {wanted}"));
            None
        }
    }
}

fn party_task<'a>((name, item): (&'a str, Item<'a>)) -> PartyTask<'a> {
    item.map(|keys| PartyTask {
        parameters: keys.take("parameters"),
        conf: TaskConfLayer::read(&keys.take("conf")),
        task: Reference { name, item: item.clone() },
    })
}

fn party_tasks<'a>(keys: &mut Keys<'a>) -> PartyTasks<'a> {
    let (parties, conf, tasks) = (keys.take("parties"), keys.take("conf"), keys.take("tasks"));
    if !parties.is_given() && (conf.is_given() || tasks.is_given()) {
        let help = "the name of the entry has no meaning; write [{role: guest, party_id: ['9999']}]";
        parties.problem_with("required, but not given", help.to_owned());
    }
    PartyTasks {
        parties: Parties::read(parties),
        conf: TaskConfLayer::read(&conf),
        tasks: tasks.entries().into_iter().map(party_task).collect(),
    }
}

/// What a site's own file says about its part: `tasks.<name>.parameters` and `.conf`, as an entry of `party_tasks` for all its parties.
pub(super) fn own<'a>(root: &Item<'a>, parties: Parties<'a>) -> PartyTasks<'a> {
    root.map(|keys| PartyTasks {
        parties,
        conf: TaskConfLayer::default(),
        tasks: keys.required("tasks").entries().into_iter().map(party_task).collect(),
    })
}
