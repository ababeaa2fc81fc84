//! Settings of a job and of its tasks: `dag.conf`, and `conf` wherever a task has one.
//!
//! Absent settings stay absent: a site fills them from its own defaults when it places the tasks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tributary_core::federation::Carriage;
use tributary_core::{JobId, ModelName, PartyId};
use tributary_document::{Item, quoted};

use super::carriage;
use super::parties::party_id;
use super::runtime_conf::RuntimeConf;

/// Cores, executors, partitions: more than this is a typing error.
pub(super) const MOST: u32 = 1_000_000;
/// A year.
const LONGEST_SECONDS: u32 = 31_536_000;

/// Settings of a job (`dag.conf`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobConf {
    /// Higher is scheduled first.
    pub priority: i32,
    /// Who schedules; the submitting site if absent.
    pub scheduler_party_id: Option<PartyId>,
    /// Who submits.
    pub initiator_party_id: Option<PartyId>,
    /// Cores of the job at each party.
    pub cores: Option<u32>,
    /// What the job says about cores by the names of FATE 1; then `cores` is absent.
    pub runtime_conf: Option<RuntimeConf>,
    /// How values are to be carried, by the name of the transport.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub carriage: BTreeMap<String, Carriage>,
    /// Partitions of tables as they are loaded.
    pub computing_partitions: Option<u32>,
    /// How states of tasks reach the scheduler.
    pub sync_type: SyncType,
    /// How often a failed task is tried again.
    pub auto_retries: u32,
    /// Name under which models are stored; the job's id if absent.
    pub model_id: Option<String>,
    /// Version under which models are stored; `0` if absent.
    pub model_version: Option<String>,
    /// Where inputs from the model warehouse come from if they do not say.
    pub model_warehouse: Option<ModelRef>,
    /// Free.
    pub extra: Map<String, Value>,
}

/// The models of one job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ModelRef {
    /// Name under which they are stored.
    pub model_id: String,
    /// And version.
    pub model_version: String,
}

impl ModelRef {
    /// The models of this name and version.
    pub fn new(model_id: impl Into<String>, model_version: impl Into<String>) -> Self {
        Self { model_id: model_id.into(), model_version: model_version.into() }
    }
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.model_id, self.model_version)
    }
}

/// How states of tasks reach the scheduler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncType {
    /// Parties report.
    #[default]
    Callback,
    /// The scheduler asks.
    Poll,
}

/// Who provides a component, as far as the job says: `name:version@device`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub struct Provider {
    /// Its name; the site's default if absent.
    pub name: Option<String>,
    /// Its version; the installed one if absent.
    pub version: Option<String>,
    /// Where it runs; the site's default if absent.
    pub device: Option<String>,
}

/// Settings of a task at one party.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskConf {
    /// Resources, by the engines' own names; `cores`, `num-executors` and `executor-cores` are integers from 1.
    /// Shared: thousands of tasks may have those of the job.
    pub engine_run: Option<Arc<Map<String, Value>>>,
    /// Who provides the component.
    pub provider: Option<Provider>,
    /// The task is killed after this long.
    pub timeout_seconds: Option<u32>,
}

/// One `conf` as written. The outer `None` is a key that is not written and does not change what is below; a key
/// written as null restores the site's default.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskConfLayer {
    engine_run: Option<Option<Arc<Map<String, Value>>>>,
    provider: Option<Option<Provider>>,
    timeout_seconds: Option<Option<u32>>,
    /// Number of values as written.
    pub(super) weight: usize,
}

impl JobConf {
    /// Keys that name a site with a duty of its own.
    pub(super) const SITES: [&str; 2] = ["scheduler_party_id", "initiator_party_id"];

    /// What the keys [`JobConf::SITES`] say.
    pub(super) fn named_sites(&self) -> [Option<&PartyId>; 2] {
        [self.scheduler_party_id.as_ref(), self.initiator_party_id.as_ref()]
    }

    /// Reads `dag.conf`; keys that are accepted without effect go to `notes`.
    pub(super) fn read(conf: &Item<'_>, notes: &mut Vec<String>) -> (Self, TaskConfLayer) {
        conf.map(|keys| {
            for name in ["federated_status_collect_type", "engine"] {
                if keys.take(name).is_given() {
                    notes.push(format!("dag.conf.{name} has no effect"));
                }
            }
            let inheritance = keys.take("inheritance");
            if inheritance.is_given() {
                let help = "leave it out; all tasks run again".to_owned();
                inheritance.problem_with("a job cannot take over results of another one yet", help);
            }
            let cores = keys.take("cores");
            let sync_types = [("callback", SyncType::Callback), ("poll", SyncType::Poll)];
            let conf = Self {
                priority: keys.take("priority").int_in(i32::MIN..=i32::MAX).unwrap_or_default(),
                scheduler_party_id: party_id(&keys.take("scheduler_party_id")),
                initiator_party_id: party_id(&keys.take("initiator_party_id")),
                cores: cores.int_in(1..=MOST),
                runtime_conf: RuntimeConf::read(keys, &cores, notes),
                carriage: carriage::read(keys, notes),
                computing_partitions: keys.take("computing_partitions").int_in(1..=MOST),
                sync_type: keys.take("sync_type").choice(&sync_types).unwrap_or_default(),
                auto_retries: keys.take("auto_retries").int_in(0..=100).unwrap_or_default(),
                model_id: stored_name(&keys.take("model_id")),
                model_version: stored_name(&keys.take("model_version")),
                model_warehouse: keys.take("model_warehouse").map(|keys| {
                    let model_id = stored_name(&keys.required("model_id"));
                    let model_version = stored_name(&keys.required("model_version"));
                    Some(ModelRef { model_id: model_id?, model_version: model_version? })
                }),
                extra: free_map(&keys.take("extra")).unwrap_or_default(),
            };
            (conf, TaskConfLayer::read(&keys.take("task")))
        })
    }
}

impl TaskConfLayer {
    pub(super) fn read(conf: &Item<'_>) -> Self {
        fn written<T>(item: Item<'_>, read: impl FnOnce(&Item<'_>) -> Option<T>) -> Option<Option<T>> {
            item.is_written().then(|| read(&item))
        }
        conf.map(|keys| {
            launcher(&keys.take("launcher_name"));
            Self {
                engine_run: written(keys.take("engine_run"), |item| engine_run(item).map(Arc::new)),
                provider: written(keys.take("provider"), provider),
                timeout_seconds: written(keys.take("timeout"), |item| item.int_in(1..=LONGEST_SECONDS)),
                weight: conf.weight(),
            }
        })
    }
}

impl TaskConf {
    /// Later layers replace key by key what earlier ones say, whole values at a time.
    pub(super) fn of<'a>(layers: impl IntoIterator<Item = &'a TaskConfLayer>) -> Self {
        let mut conf = Self::default();
        for layer in layers {
            if let Some(engine_run) = &layer.engine_run {
                conf.engine_run.clone_from(engine_run);
            }
            if let Some(provider) = &layer.provider {
                conf.provider.clone_from(provider);
            }
            if let Some(timeout_seconds) = layer.timeout_seconds {
                conf.timeout_seconds = timeout_seconds;
            }
        }
        conf
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "*".to_owned());
        write!(out, "{}:{}@{}", part(&self.name), part(&self.version), part(&self.device))
    }
}

impl From<Provider> for String {
    fn from(provider: Provider) -> String {
        provider.to_string()
    }
}

impl TryFrom<String> for Provider {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (rest, device) = text.split_once('@').unwrap_or((&text, "*"));
        let (name, version) = rest.split_once(':').unwrap_or((rest, "*"));
        let fits = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.+*".contains(c));
        if text.is_empty() || ![name, version, device].into_iter().all(fits) {
            return Err(format!("expected a provider (name:version@device), got {}", quoted(&text)));
        }
        let part = |part: &str| (!matches!(part, "" | "*")).then(|| part.to_owned());
        Ok(Self { name: part(name), version: part(version), device: part(device) })
    }
}

/// Half of what models are stored under.
pub(super) fn stored_name(item: &Item<'_>) -> Option<String> {
    let name = item.id()?;
    let fits = ModelName::new(name.as_str()).is_ok();
    if !fits && name.contains("${") {
        let help = "`tributary job show` of the job that trained shows the name of its models";
        item.problem_with(format!("replace the placeholder {}", quoted(&name)), help.to_owned());
    } else if !fits {
        let message = "expected 1 to 128 letters, digits, '_', '-', '.' or '#', not beginning with '.'";
        item.problem(format!("{message}, got {}", quoted(&name)));
    }
    fits.then_some(name)
}

/// An id of a job.
pub(super) fn job_id(item: &Item<'_>) -> Option<JobId> {
    let id = item.id()?;
    JobId::new(id).inspect_err(|error| item.problem(error.to_string())).ok()
}

/// What starts a task's process: here always this one.
fn launcher(item: &Item<'_>) {
    if item.choice(&[("default", true), ("deepspeed", false)]) == Some(false) {
        item.problem_with("launcher deepspeed is not supported", "leave it out".to_owned());
    }
}

fn provider(item: &Item<'_>) -> Option<Provider> {
    let provider = Provider::try_from(item.text()?.to_owned());
    provider.inspect_err(|message| item.problem(message.as_str())).ok()
}

fn engine_run(item: &Item<'_>) -> Option<Map<String, Value>> {
    for (name, value) in item.entries() {
        if matches!(name, "cores" | "num-executors" | "executor-cores") {
            value.int_in(1..=MOST);
        }
    }
    free_map(item)
}

/// A map whose content is checked elsewhere.
pub(super) fn free_map(item: &Item<'_>) -> Option<Map<String, Value>> {
    let mut map = Map::new();
    for (name, value) in item.entries() {
        map.insert(name.to_owned(), value.json()?);
    }
    item.is_given().then_some(map)
}
