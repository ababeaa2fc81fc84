//! `job_parameters`: what of it becomes `dag.conf`, and what of it is said otherwise here.

use serde_json::Value;
use tributary_document::{Item, Keys};

use crate::conf::{Conf, Member};
use crate::origins::Side;
use crate::tree::Tree;

/// What each becomes, for the documentation: the reader below is the same, which a test sees to.
pub(crate) const TABLE: [(&str, &str); 25] = [
    ("job_type", "`train`, `predict`: the stage of the tasks; see [prediction](#prediction)"),
    ("work_mode", "no effect: each site's service_conf.yaml names its engines"),
    ("backend", "no effect, the same; told with the engines that it means in FATE 1.5"),
    (
        "task_cores",
        "kept; if neither it nor `eggroll_run` nor `spark_run` is given, FATE's 4, or what a smaller site has",
    ),
    ("task_parallelism", "kept"),
    ("computing_partitions", "kept"),
    ("eggroll_run", "kept; under `role`, becomes `engine_run` of that party"),
    ("spark_run", "kept; under `role`, becomes `engine_run` of that party"),
    ("rabbitmq_run", "kept: no effect, told"),
    ("pulsar_run", "kept: no effect, told"),
    ("federated_status_collect_type", "`sync_type`: `callback` for PUSH, `poll` for PULL"),
    ("timeout", "`task.timeout`: of each task, not of the job; under `role`, of that party's tasks"),
    ("auto_retries", "kept"),
    ("auto_retry_delay", "no effect: an attempt follows at once"),
    ("model_id", "kept; of a predict job `model_warehouse.model_id`"),
    ("model_version", "kept; of a predict job `model_warehouse.model_version`"),
    ("inheritance_info", "refused: all tasks run again"),
    ("computing_engine", ENGINES_OF_SITES),
    ("storage_engine", ENGINES_OF_SITES),
    ("federation_engine", ENGINES_OF_SITES),
    ("federated_mode", ENGINES_OF_SITES),
    ("engines_address", ENGINES_OF_SITES),
    ("federation_info", ENGINES_OF_SITES),
    ("adaptation_parameters", ENGINES_OF_SITES),
    ("task_conf", "refused: give components their parameters in component_parameters"),
];

const ENGINES_OF_SITES: &str = "no effect: each site's service_conf.yaml names its engines";
/// Names that mean the same here.
const KEPT: [&str; 7] = [
    "task_cores",
    "task_parallelism",
    "computing_partitions",
    "eggroll_run",
    "spark_run",
    "rabbitmq_run",
    "pulsar_run",
];
const OF_SITES: [&str; 7] = [
    "computing_engine",
    "storage_engine",
    "federation_engine",
    "federated_mode",
    "engines_address",
    "federation_info",
    "adaptation_parameters",
];

/// What the job as a whole is told.
pub(crate) struct JobParameters {
    pub(crate) predicts: bool,
    /// `dag.conf`.
    pub(crate) conf: Vec<(String, Tree)>,
    pub(crate) notes: Vec<String>,
}

impl JobParameters {
    pub(crate) fn read(conf: &Conf<'_>) -> Self {
        conf.job.common.map(|keys| {
            let job_type = keys.take("job_type").choice(&[("train", false), ("predict", true)]);
            let mut read =
                Self { predicts: job_type.unwrap_or_default(), conf: Vec::new(), notes: Vec::new() };
            read.engines(keys);
            read.cores(keys);
            let timeout = keys.take("timeout");
            if timeout.is_given() {
                let tree = Tree::of(&timeout, Side::Conf).comment("in FATE 1 of the job, here of each task");
                read.conf.push(("task".to_owned(), Tree::map([("timeout", tree)])));
            }
            let push = [("PUSH", "callback"), ("PULL", "poll")];
            let collect = keys.take("federated_status_collect_type");
            if let Some(sync_type) = collect.choice(&push) {
                read.conf.push(("sync_type".to_owned(), Tree::scalar(sync_type).from(&collect, Side::Conf)));
            }
            let retries = keys.take("auto_retries");
            if retries.is_given() {
                read.conf.push(("auto_retries".to_owned(), Tree::of(&retries, Side::Conf)));
            }
            if keys.take("auto_retry_delay").is_given() {
                read.notes.push(
                    "job parameter auto_retry_delay has no effect: an attempt follows at once".to_owned(),
                );
            }
            read.model(keys);
            refuse(&keys.take("inheritance_info"), "all tasks run again; leave it out");
            refuse(&keys.take("task_conf"), "give components their parameters in component_parameters");
            read
        })
    }

    fn engines(&mut self, keys: &mut Keys<'_>) {
        let mode = keys.take("work_mode").int_in(0..=1);
        let backend = keys.take("backend").int_in(0..=2);
        let meant = match (mode, backend) {
            (None, None) => None,
            (_, Some(1)) => Some("SPARK, HDFS and RABBITMQ"),
            (_, Some(2)) => Some("SPARK, HDFS and PULSAR"),
            (Some(1), _) => Some("EGGROLL for all three"),
            (Some(_), _) => Some("STANDALONE for all three"),
            (None, _) => Some("STANDALONE or EGGROLL for all three"),
        };
        if let Some(meant) = meant {
            let given = [("work_mode", mode), ("backend", backend)];
            let given = given.iter().filter_map(|(name, value)| Some(format!("{name} {}", (*value)?)));
            self.notes.push(format!(
                "{} has no effect: in FATE 1.5 it means {meant}; here each site's service_conf.yaml names its engines",
                given.collect::<Vec<_>>().join(" with ")
            ));
        }
        for name in OF_SITES {
            if keys.take(name).is_given() {
                self.notes.push(format!(
                    "job parameter {name} has no effect: each site's service_conf.yaml names its engines"
                ));
            }
        }
    }

    fn cores(&mut self, keys: &mut Keys<'_>) {
        let mut counted = false;
        for name in KEPT {
            let item = keys.take(name);
            if item.is_given() {
                counted |= ["task_cores", "eggroll_run", "spark_run"].contains(&name);
                self.conf.push((name.to_owned(), Tree::of(&item, Side::Conf)));
            }
        }
        if !counted {
            // An empty wish: counted by FATE 1's rules, and a site with fewer cores than the default refuses nothing.
            let tree = Tree::map::<String>([])
                .comment("no cores are asked for: as in FATE 1, 4 for a task, or what a smaller site has");
            self.conf.push(("eggroll_run".to_owned(), tree));
        }
    }

    fn model(&mut self, keys: &mut Keys<'_>) {
        let names = ["model_id", "model_version"];
        let items = names.map(|name| keys.take(name));
        let given = names.iter().zip(&items).filter(|(_, item)| item.is_given());
        let named: Vec<(&str, Tree)> =
            given.map(|(name, item)| (*name, Tree::of(item, Side::Conf))).collect();
        if !self.predicts {
            self.conf.extend(named.into_iter().map(|(name, tree)| (name.to_owned(), tree)));
            return;
        }
        if named.len() < names.len() {
            let help = "`tributary job show` of the job that trained shows both".to_owned();
            keys.item().problem_with("a predict job names its model by model_id and model_version", help);
        }
        let place = keys.item().clone();
        self.conf.push(("model_warehouse".to_owned(), Tree::map(named).from(&place, Side::Conf)));
    }
}

fn refuse(item: &Item<'_>, help: &str) {
    let is_empty = item.json().is_none_or(|value| value == Value::Object(serde_json::Map::new()));
    if item.is_given() && !is_empty {
        item.problem_with("not supported", help.to_owned());
    }
}

/// What is said to one party alone: the `conf` of its tasks.
pub(crate) fn of_party(conf: &Conf<'_>, member: &Member<'_>) -> Vec<(String, Tree)> {
    let mut engine_run: Vec<(String, Tree)> = Vec::new();
    let mut timeout = None;
    for layer in conf.job.some.iter().filter(|layer| layer.is_for(member)) {
        for (name, item) in layer.content.entries() {
            match name {
                "eggroll_run" | "spark_run" => {
                    for (option, value) in item.entries() {
                        engine_run.retain(|(known, _)| known != option);
                        engine_run.push((option.to_owned(), Tree::of(&value, Side::Conf)));
                    }
                }
                "timeout" => timeout = Some(Tree::of(&item, Side::Conf)),
                _ if TABLE.iter().any(|(known, _)| *known == name) => item.problem_with(
                    "cannot differ between parties",
                    "put it into job_parameters.common; a party may have eggroll_run, spark_run and timeout of its own"
                        .to_owned(),
                ),
                _ => item.unknown("job parameter", name, TABLE.iter().map(|(known, _)| *known)),
            }
        }
    }
    let engine_run = (!engine_run.is_empty()).then(|| ("engine_run".to_owned(), Tree::map(engine_run)));
    engine_run.into_iter().chain(timeout.map(|tree| ("timeout".to_owned(), tree))).collect()
}
