//! The `tributary` command: raw arguments in, one module for each group of commands, an exit code out.

mod agent;
mod args;
mod bench;
mod bind;
#[cfg(feature = "ballista")]
mod cluster;
mod columns;
mod component;
mod config;
mod data;
mod doctor;
mod download;
mod exchange;
mod exit;
mod federation;
mod gc;
mod history;
mod init;
mod job;
mod limits;
mod output;
mod peer;
mod reading;
mod render;
mod site;
mod table;
mod upload;
mod watch;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Arguments, Command};
use crate::exit::Failure;

#[cfg(not(feature = "ballista"))]
mod cluster {
    //! Without the cluster engine.

    use std::process::ExitCode;

    use tributary_core::storage::Sweep;
    use tributary_core::{Error, ErrorKind, Result};
    use tributary_runtime::Home;

    use crate::args;
    use crate::exit::Failure;

    fn missing() -> Failure {
        let text = "the cluster engine is not in this binary; build it with `cargo build --release --package \
                    tributary-cli --features ballista`";
        Error::new(ErrorKind::Unsupported, text).into()
    }

    pub(crate) fn run(_: &Home, _: &args::Cluster) -> Result<ExitCode, Failure> {
        Err(missing())
    }

    /// A build without the engine has no sessions to clean up.
    pub(crate) fn sweep(_: &Home, _: &Sweep) -> Result<Option<u64>> {
        Ok(None)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse_from(std::env::args_os().map(args::long_form));
    match run(arguments) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let home = || tributary_runtime::Home::find(arguments.home.clone(), arguments.service_conf.clone());
    match arguments.command {
        Command::Init(init) => init::run(&home()?, &init),
        Command::Run(run) => job::run(&home()?, &run),
        Command::Agent(agent) => agent::run(&home()?, &agent),
        Command::Explain(explain) => job::explain(&home()?, &explain),
        Command::Convert(convert) => job::convert(&home()?, &convert),
        Command::Job(command) => history::run(&home()?, &command),
        Command::Output(command) => output::run(&home()?, &command),
        Command::Data(command) => data::run(&home()?, &command),
        Command::Table(command) => table::run(&home()?, &command),
        Command::Component(command) => component::run(&home()?, &command),
        Command::Config(command) => config::run(&home()?, &command),
        Command::Limits(command) => limits::run(&home()?, &command),
        Command::Site(command) => site::run(&home()?, &command),
        Command::Peer(command) => peer::run(&home()?, &command),
        Command::Doctor(command) => doctor::run(&home()?, &command),
        Command::Federation(command) => federation::run(&home()?, &command),
        Command::Exchange(exchange) => exchange::run(&home()?, &exchange),
        Command::Cluster(command) => cluster::run(&home()?, &command),
        Command::Gc(gc) => gc::run(&home()?, &gc),
        Command::Bench(command) => bench::run(home, &command),
    }
}
