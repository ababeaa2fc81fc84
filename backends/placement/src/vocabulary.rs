//! Options that FATE's engines know, and why one of them has no effect on an engine that does not read it.
//!
//! Every engine needs the words of the others: a job says `engine_run` once for parties whose engines differ, so a word
//! of another engine is no mistake, while a word that no engine knows is one. The lists are those of spark-submit and of
//! EggRoll's sessions, as far as jobs of FATE can carry them.

/// Why the options of a group have no effect, and the group.
const GROUPS: &[(&str, &[&str])] = &[
    ("it counts on engine standalone or eggroll, and not by the rules of FATE 1", &["cores"]),
    ("it counts on engine standalone or eggroll", &["eggroll.session.processors.per.node"]),
    ("it counts on engine spark", &["num-executors", "executor-cores"]),
    ("a task gets num-executors times executor-cores", &["total-executor-cores"]),
    ("the site's configuration says what memory a task gets", &["executor-memory", "driver-memory"]),
    ("the site's configuration says which cluster computes", &["master", "remote", "deploy-mode", "queue"]),
    ("a task's driver is this process", &["driver-cores", "driver-java-options", "supervise"]),
    ("no code travels: what executors run is built into them", CODE),
    ("it is for Spark itself", &["conf", "properties-file", "load-spark-defaults", "name", "verbose"]),
    ("it is for Spark itself", &["proxy-user", "principal", "keytab"]),
    ("it is for EggRoll itself", EGGROLL),
];

const CODE: &[&str] = &[
    "class",
    "jars",
    "packages",
    "exclude-packages",
    "repositories",
    "py-files",
    "files",
    "archives",
    "driver-library-path",
    "driver-class-path",
    "python.path",
    "python.venv",
];

const EGGROLL: &[&str] = &[
    "eggroll.session.id",
    "eggroll.session.name",
    "eggroll.session.deploy.mode",
    "eggroll.session.start.timeout.ms",
    "eggroll.session.stop.timeout.ms",
    "eggroll.session.use.resource.dispatch",
];

/// Why an option that some engine knows has no effect on one that does not read it; none for an unknown option.
pub(crate) fn why_without_effect(option: &str) -> Option<&'static str> {
    GROUPS.iter().find(|(_, names)| names.contains(&option)).map(|(why, _)| *why)
}

/// Every option that some engine knows.
pub(crate) fn known<'a>() -> impl Iterator<Item = &'a str> {
    GROUPS.iter().flat_map(|(_, names)| names.iter().copied())
}
