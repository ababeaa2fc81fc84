//! `peer`: the way to a partner.

use std::process::ExitCode;

use tributary_core::{PartyId, Result};
use tributary_runtime::Home;
use tributary_service::peer::{Change, Ping, State, Step};

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
    let mark = match state {
        State::Good { .. } => "ok",
        State::Doubtful { .. } => "!",
        State::Failed { .. } => "FAILED",
        State::Skipped { .. } => "–",
    };
    show_state(mark, what.name(), 14, state)
}

/// A line for what was looked at, and one for each change that helps.
pub(crate) fn show_state(mark: &str, what: &str, width: usize, state: &State) -> Result<()> {
    let (text, changes): (_, &[Change]) = match state {
        State::Good { found } => (found, &[]),
        State::Doubtful { found, changes } | State::Failed { found, changes } => (found, changes),
        State::Skipped { why } => (why, &[]),
    };
    render::line(format!("{mark:<8}{what:<width$}{text}"))?;
    let before = 8 + width;
    let change =
        |Change { at, change }: &Change| render::line(format!("{:<before$}at party {at}: {change}", ""));
    changes.iter().try_for_each(change)
}
