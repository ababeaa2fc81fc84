//! Every key of `service_conf.yaml`, declared once: name, kind, default and what it is for. The reader, the check for
//! unknown keys, `tributary config` and the reference page all come from here.

/// What a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// An id: text, or a number that lost its quotes.
    Id,
    /// A whole number of this range.
    Int(u64, u64),
    /// Bytes: `512MiB`, `4GiB`, or a plain number.
    Bytes,
    /// Seconds.
    Seconds,
    /// The name of an engine of this contract.
    Engine(Contract),
}

/// A contract with engines to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// Computing.
    Computing,
    /// Storage.
    Storage,
    /// Federation.
    Federation,
}

/// An engine that a configuration may name.
#[derive(Debug)]
pub struct Choice {
    /// Name in `default_engines`.
    pub name: &'static str,
    /// Its contract.
    pub contract: Contract,
    /// The cargo feature that brings it; none for those always in.
    pub feature: Option<&'static str>,
    /// Whether it is in this binary.
    pub built_in: bool,
    /// What it is.
    pub description: &'static str,
}

/// The engines, by contract. `standalone` is what FATE calls its local store and its in-process federation.
pub const CHOICES: &[Choice] = &[
    Choice {
        name: "standalone",
        contract: Contract::Computing,
        feature: Some("standalone"),
        built_in: cfg!(feature = "standalone"),
        description: "all cores of this machine, in process",
    },
    Choice {
        name: "spark",
        contract: Contract::Computing,
        feature: Some("ballista"),
        built_in: cfg!(feature = "ballista"),
        description: "a cluster of Apache DataFusion Ballista; cores as FATE counts them on Spark: executors × cores each",
    },
    Choice {
        name: "eggroll",
        contract: Contract::Computing,
        feature: Some("ballista"),
        built_in: cfg!(feature = "ballista"),
        description: "the same cluster; cores as FATE counts them on EggRoll: cores of a node × nodes",
    },
    Choice {
        name: "file",
        contract: Contract::Storage,
        feature: None,
        built_in: true,
        description: "Parquet files in a local folder",
    },
    Choice {
        name: "standalone",
        contract: Contract::Storage,
        feature: None,
        built_in: true,
        description: "another name for file",
    },
    Choice {
        name: "memory",
        contract: Contract::Federation,
        feature: None,
        built_in: true,
        description: "all parties in one process (`tributary run`)",
    },
    Choice {
        name: "standalone",
        contract: Contract::Federation,
        feature: None,
        built_in: true,
        description: "another name for memory",
    },
];

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Full name, dots between levels.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Used when the key is not given, as it would be written.
    pub default: &'static str,
    /// What it is for, a sentence or two.
    pub description: &'static str,
}

/// Id of this site.
pub const PARTY_ID: &str = "party_id";
/// Engine for computing.
pub const COMPUTING: &str = "default_engines.computing";
/// Engine for storage.
pub const STORAGE: &str = "default_engines.storage";
/// Engine for federation.
pub const FEDERATION: &str = "default_engines.federation";
/// Cores for jobs.
pub const CORES: &str = "computing.standalone.cores";
/// Memory of a task.
pub const MEMORY: &str = "computing.standalone.memory";
/// Where rows go that a task's memory has no room for.
pub const SPILL_FOLDER: &str = "computing.standalone.spill_folder";
/// How much of that disk they may take.
pub const SPILL_LIMIT: &str = "computing.standalone.spill_limit";
/// Cores of the cluster, as Spark.
pub const SPARK_CORES: &str = "computing.spark.cores";
/// Executors of the cluster, as Spark.
pub const SPARK_NODES: &str = "computing.spark.nodes";
/// Memory of a task on the cluster, as Spark.
pub const SPARK_MEMORY: &str = "computing.spark.memory";
/// Cores of the cluster, as EggRoll.
pub const EGGROLL_CORES: &str = "computing.eggroll.cores";
/// Executors of the cluster, as EggRoll.
pub const EGGROLL_NODES: &str = "computing.eggroll.nodes";
/// Memory of a task on the cluster, as EggRoll.
pub const EGGROLL_MEMORY: &str = "computing.eggroll.memory";
/// Where the cluster's scheduler is.
pub const SCHEDULER: &str = "cluster.scheduler";
/// Where the cluster's keys are.
pub const CLUSTER_KEYS: &str = "cluster.keys";
/// What driver and executors share.
pub const CLUSTER_STORE: &str = "cluster.store";
/// Folder of tables.
pub const TABLES: &str = "storage.file.path";
/// How long to wait for a silent peer.
pub const PATIENCE: &str = "federation.patience";
/// How slow a peer may be.
pub const LEAST_RATE: &str = "federation.least_rate";
/// How many rows a table from a peer may have.
pub const TABLE_ROWS: &str = "federation.table_rows";
/// How large a table from a peer may be.
pub const TABLE_BYTES: &str = "federation.table_bytes";

/// The keys, in the order of the reference page.
pub const KEYS: &[Key] = &[
    Key {
        name: PARTY_ID,
        kind: Kind::Id,
        default: "9999",
        description: "Id of this site; commands that need a party and are given none use it.",
    },
    Key {
        name: COMPUTING,
        kind: Kind::Engine(Contract::Computing),
        default: "standalone",
        description: "Which engine computes.",
    },
    Key {
        name: STORAGE,
        kind: Kind::Engine(Contract::Storage),
        default: "file",
        description: "Which engine keeps tables.",
    },
    Key {
        name: FEDERATION,
        kind: Kind::Engine(Contract::Federation),
        default: "memory",
        description: "How values reach the other parties.",
    },
    Key {
        name: CORES,
        kind: Kind::Int(0, 4096),
        default: "0",
        description: "Cores that this site gives to jobs on the standalone engine; 0 is all of the machine's.",
    },
    Key {
        name: MEMORY,
        kind: Kind::Bytes,
        default: "0",
        description: "Memory that the tables of one task may take on the standalone engine; 0 is half of the machine's, shared by the parties of a process. \
                      Rows beyond it go to disk; parameters of kernels (keys, models) do not, and a task that has no room for them fails and says so.",
    },
    Key {
        name: SPILL_FOLDER,
        kind: Kind::Text,
        default: "spill",
        description: "Folder for rows that a task's memory has no room for on the standalone engine: on a fast local disk, if there is one. They lie there in files \
                      without a name, readable by their owner only, that are gone when they are not needed or when the process ends. A relative path is \
                      under the home folder.",
    },
    Key {
        name: SPILL_LIMIT,
        kind: Kind::Bytes,
        default: "0",
        description: "Bytes that all tasks of a party in one process may take in that folder; 0 is all that the disk has.",
    },
    Key {
        name: SPARK_CORES,
        kind: Kind::Int(1, 1 << 20),
        default: "2",
        description: "Cores of all executors of the cluster together, where computing is `spark`.",
    },
    Key {
        name: SPARK_NODES,
        kind: Kind::Int(1, 65_536),
        default: "2",
        description: "Executors of the cluster, where computing is `spark`.",
    },
    Key {
        name: SPARK_MEMORY,
        kind: Kind::Bytes,
        default: "2147483648",
        description: "Memory that exchanges of one task may take in all executors together, where computing is `spark`.",
    },
    Key {
        name: EGGROLL_CORES,
        kind: Kind::Int(1, 1 << 20),
        default: "2",
        description: "Cores of all executors of the cluster together, where computing is `eggroll`.",
    },
    Key {
        name: EGGROLL_NODES,
        kind: Kind::Int(1, 65_536),
        default: "2",
        description: "Executors of the cluster, where computing is `eggroll`.",
    },
    Key {
        name: EGGROLL_MEMORY,
        kind: Kind::Bytes,
        default: "2147483648",
        description: "Memory that exchanges of one task may take in all executors together, where computing is `eggroll`.",
    },
    Key {
        name: SCHEDULER,
        kind: Kind::Text,
        default: "127.0.0.1:50050",
        description: "Host and port of the cluster's scheduler.",
    },
    Key {
        name: CLUSTER_KEYS,
        kind: Kind::Text,
        default: "cluster/keys",
        description: "Folder of the cluster's certificates and key, as `tributary cluster keys` makes it; a relative path is under the home folder.",
    },
    Key {
        name: CLUSTER_STORE,
        kind: Kind::Text,
        default: "cluster/store",
        description: "Folder in which driver and executors keep what sessions hold: the same medium at all of them. A relative path is under the home folder.",
    },
    Key {
        name: TABLES,
        kind: Kind::Text,
        default: "tables",
        description: "Folder of the tables; a relative path is under the party's home.",
    },
    Key {
        name: PATIENCE,
        kind: Kind::Seconds,
        default: "3600",
        description: "How long a task waits for a silent party before it fails and names it. A party that computes for longer \
                      between two messages counts as silent.",
    },
    Key {
        name: LEAST_RATE,
        kind: Kind::Int(1, 1 << 40),
        default: "16384",
        description: "Bytes a second that must come on average from a party while a task waits for a value of it: the patience above begins anew whenever \
                      as many bytes have come as this makes in it, and not with every byte. So a party cannot hold a task by sending little at a time.",
    },
    Key {
        name: TABLE_ROWS,
        kind: Kind::Int(1, 1 << 48),
        default: "1000000000",
        description: "Most rows of a table that another party may send. A longer one is refused when it is announced, before any row has come.",
    },
    Key {
        name: TABLE_BYTES,
        kind: Kind::Bytes,
        default: "274877906944",
        description: "Most bytes of a table that another party may send: checked when it is announced, by the least that its columns take, and while it comes.",
    },
];
