//! `gc`: removes what crashes and replacements left behind, for all parties of this home and for the cluster that it takes
//! part in.

use std::process::ExitCode;
use std::time::Duration;

use futures::executor::block_on;
use serde_json::{Value, json};
use tributary_core::storage::{Sweep, SweepMode, Swept};
use tributary_core::{PartyId, Result, ResultExt, TableName};
use tributary_flow::leftovers;
use tributary_flow::record::{JobRecord, Records};
use tributary_runtime::Home;

use crate::exit::Failure;
use crate::{args, cluster, render};

pub(crate) fn run(home: &Home, gc: &args::Gc) -> Result<ExitCode, Failure> {
    let mode = if gc.dry_run { SweepMode::Count } else { SweepMode::Remove };
    let what = Sweep { idle: Duration::from_secs(gc.older_than), mode };
    let parties = home.parties()?;
    let running = running(home, &parties)?;
    let mut swept = Vec::new();
    for party in parties {
        let one = sweep(home, &party, &what, &running).at(|| format!("clean up party {party}"))?;
        swept.push((party, one));
    }
    let sessions = cluster::sweep(home, &Sweep { idle: Duration::from_secs(gc.sessions_older_than), mode })?;
    match gc.json {
        true => render::json(&report(gc.dry_run, &swept, sessions))?,
        false => show(gc.dry_run, &swept, sessions)?,
    }
    let whole = swept.iter().all(|(_, swept)| swept.failed.is_empty());
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The running jobs of all parties, because two parties may keep their tables in one folder.
fn running(home: &Home, parties: &[PartyId]) -> Result<Vec<JobRecord>> {
    let mut running = Vec::new();
    for party in parties {
        running.extend(Records::new(home.party(party)).running()?);
    }
    Ok(running)
}

fn sweep(home: &Home, party: &PartyId, what: &Sweep, running: &[JobRecord]) -> Result<Swept> {
    let (storage, meta) = home.tables(party)?;
    let in_use = |table: &TableName| running.iter().any(|job| job.uses(table));
    let left = leftovers::Party {
        id: party,
        home: &home.party(party),
        storage: &storage,
        meta: &meta,
        components: home.components(),
    };
    // First: what becomes of a table's files is the store's part.
    let mut swept = block_on(leftovers::sweep(&left, what, &in_use))?;
    let of_tables = block_on(storage.sweep(what, &in_use))?;
    swept.files += of_tables.files;
    swept.bytes += of_tables.bytes;
    swept.failed.extend(of_tables.failed);
    Ok(swept)
}

fn report(dry_run: bool, swept: &[(PartyId, Swept)], sessions: Option<u64>) -> Value {
    let party = |(party, swept): &(PartyId, Swept)| {
        let failed: Vec<String> = swept.failed.iter().map(tributary_core::Error::chain).collect();
        json!({"party": party, "files": swept.files, "bytes": swept.bytes, "failed": failed})
    };
    let parties: Vec<Value> = swept.iter().map(party).collect();
    json!({"dry_run": dry_run, "parties": parties, "sessions": sessions})
}

fn show(dry_run: bool, swept: &[(PartyId, Swept)], sessions: Option<u64>) -> Result<()> {
    let removed = if dry_run { "would remove" } else { "removed" };
    for (party, swept) in swept {
        let files = render::counted(swept.files, "file");
        render::line(format!("party {party}: {removed} {files} ({})", render::bytes(swept.bytes)))?;
        for error in &swept.failed {
            render::note(format!("party {party}: not cleaned up: {}", error.chain()));
        }
    }
    if let Some(sessions) = sessions {
        let sessions = render::counted(sessions, "session");
        render::line(format!("cluster: {removed} files of {sessions}"))?;
    }
    if swept.is_empty() && sessions.is_none() {
        render::line("nothing to clean up: this home has no party")?;
    }
    Ok(())
}
