//! `doctor`: everything that a party's configuration names, looked at.

use std::process::ExitCode;

use tributary_core::Result;
use tributary_runtime::Home;
use tributary_service::doctor::{self, Part};
use tributary_service::peer::State;

use crate::args::Doctor;
use crate::exit::Failure;
use crate::{job, peer, render};

/// Columns for what was looked at.
const WIDTH: usize = 22;

pub(crate) fn run(home: &Home, command: &Doctor) -> Result<ExitCode, Failure> {
    let party = tributary_service::party(home, command.party.party.as_deref())?;
    let mut shown = Ok(());
    let each = |part: &Part| {
        if !command.json && shown.is_ok() {
            shown = show(part);
        }
    };
    let diagnosis = job::runtime()?.block_on(doctor::examine(home, &party, each));
    shown?;
    if command.json {
        render::json(&diagnosis)?;
    }
    Ok(if diagnosis.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(part: &Part) -> Result<()> {
    render::line(&part.part)?;
    for found in &part.findings {
        let mark = match found.state {
            State::Good { .. } => "  ✔",
            State::Doubtful { .. } => "  !",
            State::Failed { .. } => "  ✘",
            State::Skipped { .. } => "  –",
        };
        peer::show_state(mark, &found.what, WIDTH, &found.state)?;
    }
    Ok(())
}
