//! `peer`: the way to a partner.

use std::process::ExitCode;

use tributary_core::{PartyId, Result};
use tributary_runtime::Home;
use tributary_service::peer::{Change, Ping, State, Step, What};

use crate::args::PeerCommand;
use crate::exit::Failure;
use crate::{job, render};

pub(crate) fn run(home: &Home, command: &PeerCommand) -> Result<ExitCode, Failure> {
    let PeerCommand::Ping { partner, party, json } = command;
    let party = tributary_service::party(home, party.party.as_deref())?;
    let ping = Ping::look(home, &party, &PartyId::new(partner.as_str())?)?;
    let shown = ping.report().steps.len();
    if !json {
        // Before the partner is asked, which may take a minute.
        ping.report().steps.iter().try_for_each(show)?;
    }
    let report = job::runtime()?.block_on(ping.ask());
    match json {
        true => render::json(&report)?,
        false => report.steps[shown..].iter().try_for_each(show)?,
    }
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(Step { what, state }: &Step) -> Result<()> {
    let (mark, text, changes): (_, _, &[Change]) = match state {
        State::Good { found } => ("ok", found, &[]),
        State::Doubtful { found, changes } => ("!", found, changes),
        State::Failed { found, changes } => ("FAILED", found, changes),
        State::Skipped { why } => ("–", why, &[]),
    };
    render::line(format!("{mark:<8}{:<14}{text}", name(*what)))?;
    let change = |Change { at, change }: &Change| render::line(format!("{:<22}at party {at}: {change}", ""));
    changes.iter().try_for_each(change)
}

fn name(what: What) -> &'static str {
    match what {
        What::OwnKeys => "own keys",
        What::TheirCard => "their card",
        What::Certificates => "certificates",
        What::Addresses => "address",
        What::Port => "port",
        What::Broker => "broker",
        What::Link => "broker link",
        What::Transport => "transport",
        What::Answer => "answer",
        What::Versions => "versions",
        What::Clocks => "clocks",
        What::RoundTrip => "round trip",
        What::Bandwidth => "bandwidth",
    }
}
