//! The arguments as given. Resolved where they are used.

mod reading;
mod table;
mod upload;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use reading::Reading;
pub(crate) use table::{Bind, Download, Format, TableArg, TableCommand};
pub(crate) use upload::{Duplicates, Existing, IfExists, Upload};

/// Federated data jobs: several parties compute on the join of their tables, and nobody's rows leave home.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, after_help = crate::exit::HELP)]
pub(crate) struct Arguments {
    /// Folder of state and configuration [default: $TRIBUTARY_HOME, else ~/.tributary].
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Another configuration file than service_conf.yaml in the home folder.
    #[arg(long, global = true, value_name = "FILE")]
    pub service_conf: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run all parties of a job in this process.
    Run(Run),
    /// Show what a job's tasks get on each party's engine, and why, without running it.
    Explain(Explain),
    /// List jobs and how their tasks ended.
    #[command(subcommand)]
    Job(JobCommand),
    /// Show what a task of a finished job gave.
    #[command(subcommand)]
    Output(Output),
    /// Bring tables in, and take them out.
    #[command(subcommand)]
    Data(Data),
    /// Look at tables, bind, rename, check and delete them.
    #[command(subcommand)]
    Table(TableCommand),
    /// What jobs can be made of.
    #[command(subcommand)]
    Component(Component),
    /// The configuration in force.
    #[command(subcommand)]
    Config(Config),
    /// What a party lets go to its partners, and what they got.
    #[command(subcommand)]
    Limits(LimitsCommand),
    /// Take part in a cluster, start one for trying out, see what it does.
    #[command(subcommand)]
    Cluster(Cluster),
    /// Remove what crashed writes, replaced tables and dead sessions of a cluster left.
    Gc(Gc),
    /// Measure this site.
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Make the certificates and the key of a new cluster; copy the folder to every machine of it.
    Keys,
    /// Serve as the cluster's scheduler.
    Scheduler {
        /// Address and port to listen on; port 0 is any free one.
        #[arg(long, default_value = "127.0.0.1:50050", value_name = "IP:PORT")]
        listen: String,
        /// Host under which executors reach this one [default: the address].
        #[arg(long, value_name = "HOST")]
        advertise: Option<String>,
        /// End with standard input.
        #[arg(long, hide = true)]
        attached: bool,
    },
    /// Serve as an executor: compute what the scheduler gives.
    Executor {
        /// Of the scheduler [default: cluster.scheduler of service_conf.yaml].
        #[arg(long, value_name = "HOST:PORT")]
        scheduler: Option<String>,
        /// Address to listen on, for the scheduler and other executors.
        #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
        listen: std::net::IpAddr,
        /// Host under which they reach this one [default: the address].
        #[arg(long, value_name = "HOST")]
        advertise: Option<String>,
        /// Tasks at once [default: the machine's cores].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
        cores: Option<u32>,
        /// Memory for shuffles in MiB, beyond which they spill [default: most of the machine's].
        #[arg(long, value_name = "MIB")]
        memory: Option<u64>,
        /// End with standard input.
        #[arg(long, hide = true)]
        attached: bool,
    },
    /// A scheduler and executors on this machine, until Ctrl-C.
    Up {
        /// How many executors.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
        executors: u32,
        /// Cores of each.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
        cores: u32,
        /// Port of the scheduler on 127.0.0.1; 0 is any free one.
        #[arg(long, default_value_t = 50050)]
        port: u16,
    },
    /// Executors, cores, jobs, stages, rows.
    Status {
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// Of tables, only what nobody has written to for so many seconds; see docs/configure.md.
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(300..))]
    pub older_than: u64,
    /// Of a cluster, only sessions that have not been heard of for so many seconds; living ones are heard of every 30.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub sessions_older_than: u64,
    /// Remove nothing, only say what would go.
    #[arg(long)]
    pub dry_run: bool,
    /// As JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The job: a DAG in YAML or JSON.
    pub job: PathBuf,
    /// Events as JSON, a line each, and the summary as the last one.
    #[arg(long)]
    pub json: bool,
    /// No progress, only the summary.
    #[arg(long, short)]
    pub quiet: bool,
    /// Name of the job [default: date and time].
    #[arg(long, value_name = "ID")]
    pub job_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The job: a DAG in YAML or JSON.
    pub job: PathBuf,
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// All jobs of a party, latest first.
    List {
        #[command(flatten)]
        party: PartyArg,
        #[arg(long)]
        json: bool,
    },
    /// How a job and its tasks stand or ended, and why it failed.
    Show {
        /// Id of the job; `latest` is the party's latest.
        #[arg(long, short, default_value = "latest")]
        job_id: String,
        #[command(flatten)]
        party: PartyArg,
        #[arg(long)]
        json: bool,
    },
}

/// Whose tables and records.
#[derive(Debug, Args)]
pub(crate) struct PartyArg {
    /// Id of the party [default: party_id of service_conf.yaml].
    #[arg(long, short, value_name = "ID")]
    pub party: Option<String>,
}

/// One task of one party of a job.
#[derive(Debug, Args)]
pub(crate) struct TaskArg {
    /// Id of the job; `latest` is the party's latest.
    #[arg(long, short, default_value = "latest")]
    pub job_id: String,
    /// The party's role in it.
    #[arg(long, short, default_value = "guest")]
    pub role: String,
    #[command(flatten)]
    pub party: PartyArg,
    /// Name of the task, also `-tn`.
    #[arg(long, short, value_name = "TASK")]
    pub task_name: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Output {
    /// Metrics, as JSON or as a table.
    Metric {
        #[command(flatten)]
        task: TaskArg,
        /// Metrics that are lists of records, as tables.
        #[arg(long)]
        table: bool,
    },
    /// Models, as JSON.
    Model {
        #[command(flatten)]
        task: TaskArg,
    },
    /// First rows of the output tables.
    Data {
        #[command(flatten)]
        task: TaskArg,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Names of the output tables, as JSON.
    DataTable {
        #[command(flatten)]
        task: TaskArg,
    },
    /// What the task cost: time, rows, bytes by slot, as JSON.
    Cost {
        #[command(flatten)]
        task: TaskArg,
    },
    /// The task's log.
    Log {
        #[command(flatten)]
        task: TaskArg,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Store files as a table.
    #[command(long_about = upload::ABOUT, after_long_help = upload::EXAMPLES)]
    Upload(Box<Upload>),
    /// Write a table to a file, or to standard output. The file is there whole, or not at all.
    Download(Box<Download>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Component {
    /// All components of this binary.
    List {
        #[arg(long)]
        json: bool,
    },
    /// Parameters, inputs and outputs of a component.
    Describe {
        /// As `component list` shows it.
        name: String,
        /// In FATE's JSON form.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Every key with its value and the file that sets it.
    Show {
        #[command(flatten)]
        party: PartyArg,
        #[arg(long)]
        json: bool,
    },
    /// The reference of all keys.
    Reference,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// A party's limits, the file that sets each, and what each partner got about each table.
    Show {
        #[command(flatten)]
        party: PartyArg,
        #[arg(long)]
        json: bool,
    },
    /// Forget what partners got, so that they may get as much again. Subtracting old numbers from new ones stays possible.
    Reset {
        #[command(flatten)]
        party: PartyArg,
        /// Only about this table [default: all].
        #[arg(long, value_name = "NAMESPACE/NAME")]
        table: Option<String>,
        /// Only to this partner [default: all].
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        /// Confirms it; without, what would be forgotten is shown.
        #[arg(long)]
        yes: bool,
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// Find the cores and partitions with which tasks run fastest on this site's computing engine.
    #[command(long_about = TUNE, after_long_help = TUNE_EXAMPLES)]
    Tune(Box<Tune>),
}

const TUNE: &str = "\
Find the cores and partitions with which tasks run fastest on this site's computing engine.

Runs each operation with each number of cores and each number of partitions, on rows that it makes itself, and shows the \
times, the fastest setting of each operation, and the best one for all together as lines for a job. Nothing is stored.

Operations: map, exchange, join and reduce are what every job is made of. binning is the component hetero_feature_binning on \
a party's own columns. mask is what psi spends its time on, with one row in a hundred, because it is dear.

More cores than the site has are shown as – with the reason. Ctrl-C ends it and shows what was measured so far.";

const TUNE_EXAMPLES: &str = "\
Examples:
  tributary bench tune
  tributary bench tune --cores 1,2,4,8 --partitions 4,8,16,32 --rows 5000000 --picture tune.png
  tributary bench tune --operations join,exchange --repeat 15 --json before.json
  tributary bench tune --compare before.json after.json

The machine should do nothing else meanwhile. Choose --rows like your tables: small ones gain nothing from many partitions.";

#[derive(Debug, Args)]
pub(crate) struct Tune {
    #[command(flatten)]
    pub party: PartyArg,
    /// Another computing engine than service_conf.yaml names.
    #[arg(long, value_name = "NAME")]
    pub engine: Option<String>,
    /// Cores of a task, up to 16 numbers [default: 1, 2, 4, … up to the site's].
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = clap::value_parser!(u32).range(1..))]
    pub cores: Vec<u32>,
    /// Partitions of its tables, up to 16 numbers [default: 1,2,4,8,16].
    #[arg(long, value_delimiter = ',', value_name = "LIST", value_parser = clap::value_parser!(u32).range(1..))]
    pub partitions: Vec<u32>,
    /// Rows of each table; a row is a key and a number, 16 bytes.
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = rows)]
    pub rows: u64,
    /// How often to measure; the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Some of map, exchange, join, reduce, binning, mask [default: all].
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub operations: Vec<String>,
    /// Measurements as JSON, a line each, into a file; - is standard output. Replaces the file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Heat maps into a file, SVG or PNG by the end of its name. Replaces the file.
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// Measure nothing: compare two files that --json wrote.
    #[arg(
        long,
        num_args = 2,
        value_names = ["BEFORE", "AFTER"],
        conflicts_with_all = ["party", "engine", "cores", "partitions", "rows", "repeat", "operations", "json", "picture"]
    )]
    pub compare: Vec<PathBuf>,
}

/// A number of rows, `_` between digits as one likes.
fn rows(text: &str) -> Result<u64, String> {
    let number = text.replace('_', "").parse::<u64>().ok().filter(|rows| *rows > 0);
    number.ok_or_else(|| "expected a number of rows from 1, such as 1000000 or 1_000_000".into())
}

/// FATE's client has two-letter options with one dash, which no other tool has.
pub(crate) fn long_form(argument: OsString) -> OsString {
    match argument.to_str() {
        Some("-tn") => "--task-name".into(),
        Some("-ns") => "--namespace".into(),
        _ => argument,
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_options_of_the_flow_client_work() {
        let given = ["tributary", "output", "metric", "-j", "7", "-r", "guest", "-p", "9999", "-tn", "psi_0"];
        let arguments = Arguments::parse_from(given.map(|a| long_form(a.into())));
        let Command::Output(Output::Metric { task, .. }) = arguments.command else {
            panic!("another command")
        };
        assert_eq!((task.job_id.as_str(), task.task_name.as_str()), ("7", "psi_0"));
    }
}
