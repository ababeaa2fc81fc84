//! `federation`: what lies in the broker between sites.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::json;
use tributary_core::federation::{Direction, Purpose};
use tributary_core::storage::SweepMode;
use tributary_core::{PartyId, Result};
use tributary_runtime::Home;
use tributary_service::federation::{Channel, Channels};

use crate::args::FederationCommand;
use crate::exit::Failure;
use crate::{job, render};

pub(crate) fn run(home: &Home, command: &FederationCommand) -> Result<ExitCode, Failure> {
    let (party, json, idle) = match command {
        FederationCommand::Status { party, json } => (party, *json, DEFAULT_IDLE),
        FederationCommand::Gc { party, older_than, json, .. } => {
            (party, *json, Duration::from_secs(*older_than))
        }
    };
    let party = tributary_service::party(home, party.party.as_deref())?;
    job::runtime()?.block_on(async {
        let channels = match Channels::of(home, &party)? {
            Ok(channels) => channels,
            Err(transport) => return Ok(nothing(&party, transport, json)?),
        };
        match command {
            FederationCommand::Status { .. } => status(&channels.list(idle).await?, json)?,
            FederationCommand::Gc { dry_run, .. } => return Ok(sweep(&channels, idle, *dry_run, json).await?),
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// As the default of `gc --older-than`.
const DEFAULT_IDLE: Duration = Duration::from_secs(3600);

fn nothing(party: &PartyId, transport: &str, json: bool) -> Result<ExitCode> {
    match json {
        true => render::json(&json!({"transport": transport, "channels": []}))?,
        false => render::line(format!(
            "party {party} uses {transport}, of which nothing outlives the processes of the sites"
        ))?,
    }
    Ok(ExitCode::SUCCESS)
}

fn status(channels: &[Channel], json: bool) -> Result<()> {
    if json {
        return render::json(&json!({"channels": channels}));
    }
    if channels.is_empty() {
        return render::line("nothing of this site lies in the broker");
    }
    let header = ["job", "attempt", "way", "status", "wanted", "messages", "bytes", "readers", "idle"];
    render::table(&header, &channels.iter().map(row).collect::<Vec<_>>())
}

fn row(Channel { held, job, wanted }: &Channel) -> Vec<String> {
    let (name, attempt) = match &held.purpose {
        Purpose::Letters => ("(letters)".to_owned(), String::new()),
        Purpose::Session { job, attempt } => (job.to_string(), attempt.clone()),
    };
    let way = match held.direction {
        Direction::Sent => format!("to {}", held.peer),
        Direction::Received => format!("from {}", held.peer),
    };
    let status = match (job, &held.purpose) {
        (Some(status), _) => status.to_string(),
        (None, Purpose::Letters) => "–".into(),
        (None, Purpose::Session { .. }) => "unknown here".into(),
    };
    let wanted = if *wanted { "yes" } else { "no" }.to_owned();
    let idle = held.idle.map_or_else(|| "–".into(), render::seconds);
    let readers = held.readers.to_string();
    vec![
        name,
        attempt,
        way,
        status,
        wanted,
        render::count(held.frames),
        render::bytes(held.bytes),
        readers,
        idle,
    ]
}

async fn sweep(channels: &Channels, idle: Duration, dry_run: bool, json: bool) -> Result<ExitCode> {
    let swept = channels.sweep(idle, if dry_run { SweepMode::Count } else { SweepMode::Remove }).await?;
    for error in &swept.failed {
        render::note(format!("not removed: {}", error.chain()));
    }
    match json {
        true => {
            let failed: Vec<String> = swept.failed.iter().map(tributary_core::Error::chain).collect();
            render::json(&json!({
                "dry_run": dry_run, "removed": swept.removed, "unlinked": swept.unlinked, "failed": failed,
            }))?;
        }
        false => {
            let count = render::counted(swept.removed.len() as u64, "channel");
            render::line(format!(
                "{} {count} of ended or unknown jobs",
                if dry_run { "would remove" } else { "removed" }
            ))?;
            if swept.unlinked > 0 {
                let count = render::counted(swept.unlinked, "link");
                render::line(format!("removed {count} to partners with whom no channel is left"))?;
            }
        }
    }
    Ok(if swept.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
