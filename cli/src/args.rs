//! The command-line arguments as given. They are resolved where they are used.

mod init;
mod reading;
mod site;
mod table;
mod upload;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use init::Init;
pub(crate) use reading::Reading;
pub(crate) use site::{Doctor, FederationCommand, PeerCommand, SiteCard, SiteCommand, SiteInit, SiteTrust};
pub(crate) use table::{Bind, Download, Format, Selected, TableArg, TableCommand};
pub(crate) use upload::{Duplicates, Existing, IfExists, Upload};

/// Heading of the options that every command has.
const GLOBAL: &str = "Options of all commands";

/// Federated data jobs: several parties compute on the join of their tables, and no party's rows leave its site.
#[derive(Debug, Parser)]
#[command(name = "tributary", version, after_help = crate::exit::HELP)]
pub(crate) struct Arguments {
    /// Folder of state and configuration [default: $TRIBUTARY_HOME, else ~/.tributary].
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub home: Option<PathBuf>,
    /// Configuration file to use instead of service_conf.yaml in the home folder.
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub service_conf: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a first job of CSV files: tables, and a job file that trains and measures a model on them.
    #[command(long_about = init::ABOUT, after_long_help = init::EXAMPLES)]
    Init(Init),
    /// Run a job: one party's part of it, or all parties in this process.
    #[command(long_about = RUN, override_usage = RUN_USAGE)]
    Run(Run),
    /// Take part in the jobs that partners offer, as far as this site's grants allow, until stopped.
    #[command(long_about = AGENT)]
    Agent(Agent),
    /// Show which resources a job's tasks get on each party's engine, and why, without running the job.
    #[command(override_usage = EXPLAIN_USAGE)]
    Explain(Explain),
    /// Print a job of FATE 1 as one file of schema 2.x, with comments where something is not as it was.
    Convert(Convert),
    /// List jobs and how their tasks ended.
    #[command(subcommand)]
    Job(JobCommand),
    /// Show the outputs of a task of a finished job.
    #[command(subcommand)]
    Output(Output),
    /// Upload and download tables.
    #[command(subcommand)]
    Data(Data),
    /// List, inspect, bind, copy, rename, verify and delete tables.
    #[command(subcommand)]
    Table(TableCommand),
    /// List and describe the components that jobs can use.
    #[command(subcommand)]
    Component(Component),
    /// Show the effective configuration.
    #[command(subcommand)]
    Config(Config),
    /// Show what a party may release to its partners, and what it has released.
    #[command(subcommand)]
    Limits(LimitsCommand),
    /// Make this site's keys and card, trust partners, see what they may do and what they asked for.
    #[command(subcommand, after_help = site::STEPS)]
    Site(SiteCommand),
    /// Look at the way to a partner.
    #[command(subcommand)]
    Peer(PeerCommand),
    /// Look at everything that a party's configuration names: stores, metadata, computing, keys, brokers, and the ways to partners.
    #[command(long_about = site::DOCTOR)]
    Doctor(Doctor),
    /// Show or remove what lies in the broker between sites.
    #[command(subcommand)]
    Federation(FederationCommand),
    /// Relay between sites that cannot reach each other, until stopped; see docs/direct.md.
    Exchange(Exchange),
    /// Join a cluster, start one on this machine for a trial, show its state.
    #[command(subcommand)]
    Cluster(Cluster),
    /// Remove files that crashed writes, replaced tables and dead cluster sessions left behind.
    Gc(Gc),
    /// Run benchmarks on this site.
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Debug, Args)]
pub(crate) struct Exchange {
    /// Id of the exchange, as its card has it and as sites configure it.
    #[arg(long, short, default_value = "exchange", value_name = "ID")]
    pub party: String,
    /// End with standard input.
    #[arg(long, hide = true)]
    pub attached: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// Create the certificates and the key of a new cluster; copy the folder to every machine of the cluster.
    Keys,
    /// Run the cluster's scheduler.
    Scheduler {
        /// Address and port to listen on; port 0 picks a free one.
        #[arg(long, default_value = "127.0.0.1:50050", value_name = "IP:PORT")]
        listen: String,
        /// Host name under which executors reach this scheduler [default: the address].
        #[arg(long, value_name = "HOST")]
        advertise: Option<String>,
        /// End with standard input.
        #[arg(long, hide = true)]
        attached: bool,
    },
    /// Run an executor, which computes the tasks that the scheduler assigns.
    Executor {
        /// Address of the scheduler [default: cluster.scheduler of service_conf.yaml].
        #[arg(long, value_name = "HOST:PORT")]
        scheduler: Option<String>,
        /// Address on which to listen for the scheduler and other executors.
        #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
        listen: std::net::IpAddr,
        /// Host name under which they reach this executor [default: the address].
        #[arg(long, value_name = "HOST")]
        advertise: Option<String>,
        /// Number of tasks at the same time [default: the machine's cores].
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=4096))]
        cores: Option<u32>,
        /// Memory for shuffles in MiB; larger shuffles spill to disk [default: most of the machine's memory].
        #[arg(long, value_name = "MIB")]
        memory: Option<u64>,
        /// End with standard input.
        #[arg(long, hide = true)]
        attached: bool,
    },
    /// Run a scheduler and executors on this machine, until Ctrl-C.
    Up {
        /// Number of executors.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
        executors: u32,
        /// Cores of each executor.
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
        cores: u32,
        /// Port of the scheduler on 127.0.0.1; 0 picks a free one.
        #[arg(long, default_value_t = 50050)]
        port: u16,
    },
    /// Show executors, cores, jobs, stages and rows.
    Status {
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Gc {
    /// For tables and records: remove only what has not been written to for this many seconds; see docs/configure.md.
    #[arg(long, default_value_t = 86_400, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(300..=31_536_000))]
    pub older_than: u64,
    /// For a cluster: remove only sessions without a sign of life for this many seconds; living ones give one every 30.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    pub sessions_older_than: u64,
    /// Remove nothing, only show what would be removed.
    #[arg(long)]
    pub dry_run: bool,
    /// Show the output as JSON.
    #[arg(long)]
    pub json: bool,
}

const RUN_USAGE: &str = "\
tributary run JOB [OPTIONS]
       tributary run --dsl FILE --conf FILE [OPTIONS]";

const EXPLAIN_USAGE: &str = "\
tributary explain JOB [OPTIONS]
       tributary explain --dsl FILE --conf FILE [OPTIONS]";

const RUN: &str = "\
Run a job: one party's part of it, or all parties in this process.

Without --party all parties run here, each with its own folder: to try a job out.
With --party this site runs its part, and the partners run theirs at their sites with the same job file: `tributary run job.yaml --party 9999` at \
one site and `tributary run job.yaml --party 10000`, or `tributary agent --party 10000`, at the other. The job begins once all of them are there. \
The site that the job names in scheduler_party_id, else initiator_party_id, else the first guest coordinates it. Ctrl-C at any site ends the job at every site.

A job whose process was killed is continued by the same command with --job-id and the id of the job.";

const AGENT: &str = "\
Take part in the jobs that partners offer, as far as this site's grants allow, until stopped.

What partners may do is in grants.yaml in the party's folder (`tributary site grants` checks it); without that file every offer is refused. Every offer, accepted \
or refused, goes to the audit log (`tributary site audit`). Stop it with Ctrl-C; jobs that run then end at every site.";

#[derive(Debug, Args)]
pub(crate) struct Agent {
    /// Which party's site this is [default: party_id of service_conf.yaml, else 9999].
    #[arg(long, short, value_name = "ID")]
    pub party: Option<String>,
}

/// The job of a command.
#[derive(Debug, Args)]
pub(crate) struct JobFiles {
    /// The job: a DAG in YAML or JSON.
    #[arg(value_name = "JOB", required_unless_present_any = ["dsl", "conf"], conflicts_with_all = ["dsl", "conf"])]
    pub job: Option<PathBuf>,
    #[command(flatten)]
    pub fate1: Option<Fate1>,
}

/// A job of FATE 1; see docs/fate1.md.
#[derive(Debug, Args)]
pub(crate) struct Fate1 {
    /// The DSL of a job of FATE 1, in place of JOB; see docs/fate1.md.
    #[arg(long, short, value_name = "FILE", requires = "conf")]
    pub dsl: PathBuf,
    /// The runtime conf of a job of FATE 1.
    #[arg(long, short, value_name = "FILE", requires = "dsl")]
    pub conf: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Convert {
    #[command(flatten)]
    pub job: Fate1,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub job: JobFiles,
    /// Run this party's part only; the others run at their own sites.
    #[arg(long, short, value_name = "ID")]
    pub party: Option<String>,
    /// What this party keeps to itself about its part: a YAML file with `tasks: {NAME: {parameters: {...}}}`, laid over the job for this
    /// party alone. It never leaves this site.
    #[arg(long, value_name = "FILE", requires = "party")]
    pub own: Option<PathBuf>,
    /// Show events as JSON, one per line, and the summary as the last line.
    #[arg(long)]
    pub json: bool,
    /// Show no progress, only the summary.
    #[arg(long, short)]
    pub quiet: bool,
    /// Id of the job, given by the site that coordinates it [default: date and time]. That of a job that was interrupted
    /// continues it.
    #[arg(long, value_name = "ID")]
    pub job_id: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    pub job: JobFiles,
    /// Explain this party's part only, by this site's configuration.
    #[arg(long, short, value_name = "ID")]
    pub party: Option<String>,
    /// What this party keeps to itself about its part; as for `run`.
    #[arg(long, value_name = "FILE", requires = "party")]
    pub own: Option<PathBuf>,
    /// Show the output as JSON.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// List all jobs of a party, latest first.
    List {
        #[command(flatten)]
        party: PartyArg,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write a job as one HTML page: its graph, times, traffic, metrics with pictures, and models.
    Report {
        /// Id of the job; `latest` is the party's latest.
        #[arg(default_value = "latest")]
        job: String,
        #[command(flatten)]
        party: PartyArg,
        /// File to write [default: the job's id and .html].
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Replace an existing file.
        #[arg(long)]
        overwrite: bool,
    },
    /// Show the status of a job and its tasks, and why it failed.
    Show {
        /// Id of the job; `latest` is the party's latest.
        #[arg(long, short, default_value = "latest")]
        job_id: String,
        #[command(flatten)]
        party: PartyArg,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
}

/// The party whose tables and records are used.
#[derive(Debug, Args)]
pub(crate) struct PartyArg {
    /// Id of the party [default: party_id of service_conf.yaml, else 9999].
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
    /// Show metrics, as JSON or as a table.
    Metric {
        #[command(flatten)]
        task: TaskArg,
        /// Show metrics that are lists of records as tables.
        #[arg(long)]
        table: bool,
    },
    /// Show models as JSON.
    Model {
        #[command(flatten)]
        task: TaskArg,
    },
    /// Show the first rows of the output tables.
    Data {
        #[command(flatten)]
        task: TaskArg,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the names of the output tables as JSON.
    DataTable {
        #[command(flatten)]
        task: TaskArg,
    },
    /// Show what the task cost: time, rows, bytes by slot, as JSON.
    Cost {
        #[command(flatten)]
        task: TaskArg,
    },
    /// Show the task's log.
    Log {
        #[command(flatten)]
        task: TaskArg,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Store files as a table of a party.
    #[command(override_usage = upload::USAGE, long_about = upload::ABOUT, after_long_help = upload::EXAMPLES)]
    Upload(Box<Upload>),
    /// Write a table to a file or to standard output. The file is written completely or not at all.
    Download(Box<Download>),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Component {
    /// List all components of this binary.
    List {
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show parameters, inputs and outputs of a component.
    Describe {
        /// Name of the component, as in `component list`.
        name: String,
        /// In FATE's JSON form.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show every key with its value and the file that sets it.
    Show {
        #[command(flatten)]
        party: PartyArg,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the reference of all keys.
    Reference,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LimitsCommand {
    /// Show a party's limits, the file that sets each, and what each partner got about each table.
    Show {
        #[command(flatten)]
        party: PartyArg,
        /// Show the output as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Reset the count of what partners got, so that they may get as much again. Partners can still subtract old numbers from new ones.
    Reset {
        #[command(flatten)]
        party: PartyArg,
        /// Only about this table [default: all].
        #[arg(long, value_name = "NAMESPACE/NAME")]
        table: Option<String>,
        /// Only to this partner [default: all].
        #[arg(long, value_name = "ID")]
        partner: Option<String>,
        /// Confirm the reset; without this option, only show what would be reset.
        #[arg(long)]
        yes: bool,
        /// Show the output as JSON.
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

Runs each operation with each number of cores and each number of partitions, on rows that it generates, and shows the times, the \
fastest setting of each operation, and the best one for all together as lines for a job. Nothing is stored.

Operations: every job consists of map, exchange, join and reduce. binning is the component hetero_feature_binning on a party's own \
columns. mask is the operation in which psi with elliptic curves spends its time; it uses one row in a hundred, because it is slow.

More cores than the site has are shown as – with the reason. Ctrl-C ends the measurement and shows the results so far.";

const TUNE_EXAMPLES: &str = "\
Examples:
  tributary bench tune
  tributary bench tune --cores 1,2,4,8 --partitions 4,8,16,32 --rows 5000000 --picture tune.png
  tributary bench tune --operations join,exchange --repeat 15 --json before.json
  tributary bench tune --compare before.json after.json

Run nothing else on the machine during the measurement. Set --rows to the size of your tables: small tables gain nothing from many partitions.";

#[derive(Debug, Args)]
pub(crate) struct Tune {
    #[command(flatten)]
    pub party: PartyArg,
    /// Computing engine to use instead of the one in service_conf.yaml.
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
    /// Number of measurements; the median counts.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// Some of map, exchange, join, reduce, binning, mask [default: all].
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    pub operations: Vec<String>,
    /// Write the measurements to a file as JSON, one per line; - is standard output. Replaces the file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Draw heat maps into a file, SVG or PNG by its extension. Replaces the file.
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

/// A number of rows; `_` may separate digits.
fn rows(text: &str) -> Result<u64, String> {
    let number = text.replace('_', "").parse::<u64>().ok().filter(|rows| *rows > 0);
    number.ok_or_else(|| "expected a number of rows from 1, such as 1000000 or 1_000_000".into())
}

/// FATE's client has two-letter options with one dash, which clap does not support.
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
    fn every_command_and_option_says_what_it_is_for() {
        fn check(command: &clap::Command, name: &str) {
            assert!(command.get_about().is_some(), "{name}");
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name}: {}", argument.get_id());
            }
            command.get_subcommands().for_each(|below| check(below, &format!("{name} {}", below.get_name())));
        }
        let mut command = Arguments::command();
        command.build();
        check(&command, command.get_name());
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
