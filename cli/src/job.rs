//! `run` and `explain`.

use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tributary_component::Component;
use tributary_core::{Error, JobId, PartyId, ResultExt};
use tributary_flow::Job;
use tributary_flow::lookup::look_up;
use tributary_flow::place::{Placed, place};
use tributary_flow::scheduler::Outcome;
use tributary_flow::spec::{JobSpec, SyncType};
use tributary_runtime::Home;

use crate::args;
use crate::exit::{Failure, STOPPED, code};
use crate::history::LATEST;
use crate::{render, watch};

fn read(home: &Home, path: &Path) -> Result<JobSpec, Failure> {
    let source = std::fs::read(path).at(|| format!("read job {}", path.display()))?;
    let spec = JobSpec::parse(&path.display().to_string(), &source, home.components())?;
    spec.notes.iter().for_each(|note| render::note(format!("note: {note}")));
    for key in ["priority", "sync_type", "scheduler_party_id"].iter().filter(|key| is_set(&spec, key)) {
        render::note(format!("note: dag.conf.{key} has no effect where all parties run in one process"));
    }
    Ok(spec)
}

/// Whether the job says something else than the default of a key that only a server heeds.
fn is_set(spec: &JobSpec, key: &str) -> bool {
    match key {
        "priority" => spec.conf.priority != 0,
        "sync_type" => spec.conf.sync_type != SyncType::default(),
        _ => spec.conf.scheduler_party_id.is_some(),
    }
}

fn parties(spec: &JobSpec) -> Vec<PartyId> {
    let mut ids: Vec<PartyId> = spec.parties.iter().map(|p| p.id.clone()).collect();
    ids.sort();
    ids.dedup();
    ids
}

pub(crate) fn run(home: &Home, run: &args::Run) -> Result<ExitCode, Failure> {
    let spec = read(home, &run.job)?;
    let id = match &run.job_id {
        Some(id) if id.as_str() == LATEST => {
            let text = format!("--job-id {id:?} stands for the latest job of a party; choose another");
            return Err(Error::invalid(text).into());
        }
        Some(id) => JobId::new(id.as_str())?,
        None => tributary_flow::new_job_id()?,
    };
    let sites = home.sites(&parties(&spec))?;
    let job = Job { id, spec, sites, components: home.components().clone() };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("tributary")
        .worker_threads(2)
        .enable_all()
        .build()
        .at(|| "start the runtime")?;
    let report = runtime.block_on(async {
        let stopped = stop_signal().at(|| "listen to signals")?;
        job.run(watch::watcher(run.json, run.quiet), stopped).await
    })?;
    if !run.json {
        watch::summary(&report)?;
    }
    Ok(match report.outcome {
        Outcome::Success => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::from(report.failure.map_or(1, |failure| code(failure.kind))),
        Outcome::Cancelled => ExitCode::from(STOPPED),
    })
}

/// Ready at the first Ctrl-C or SIGTERM; at the second the program ends at once. Listens from now on.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        render::note("stopping; once more to end at once");
        tokio::spawn(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            std::process::exit(i32::from(STOPPED));
        });
    })
}

pub(crate) fn explain(home: &Home, explain: &args::Explain) -> Result<ExitCode, Failure> {
    let spec = read(home, &explain.job)?;
    let sites = home.sites(&parties(&spec))?;
    let placed = place(&spec, &sites)?;
    match explain.json {
        true => render::json(&placed)?,
        false => show(&placed)?,
    }
    // Placements do not depend on tables: whoever plans a job sees them, and then what `run` would refuse it for.
    futures::executor::block_on(look_up(&spec, &sites))?;
    Ok(ExitCode::SUCCESS)
}

fn show(placed: &Placed) -> tributary_core::Result<()> {
    let row = |p: &tributary_flow::place::PlacedTask| {
        let settings = p.placement.settings.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>();
        vec![
            p.task.clone(),
            p.party.to_string(),
            p.engine.clone(),
            p.placement.cores.to_string(),
            p.placement.partitions.to_string(),
            p.placement.task_booked.to_string(),
            settings.join(" "),
        ]
    };
    let rows: Vec<Vec<String>> = placed.tasks.iter().map(row).collect();
    render::table(&["task", "party", "engine", "cores", "partitions", "booked", "settings"], &rows)?;
    render::line("")?;
    for (party, cores) in &placed.job_cores {
        render::line(format!("{party}: {cores} cores booked for the job"))?;
    }
    render::line("")?;
    for p in &placed.tasks {
        for reason in &p.placement.reasons {
            render::line(format!("{} {}: {reason}", p.task, p.party))?;
        }
        for note in &p.placement.notes {
            render::line(format!("{} {}: note: {note}", p.task, p.party))?;
        }
    }
    Ok(())
}

/// A component by name; the error suggests the nearest.
pub(crate) fn component<'a>(home: &'a Home, name: &str) -> Result<&'a dyn Component, Error> {
    home.components().get(name).map(|found| &**found).ok_or_else(|| {
        let known = home.components().names();
        let help =
            tributary_document::suggestion(name, known).map_or(String::new(), |help| format!(" ({help})"));
        Error::new(tributary_core::ErrorKind::NotFound, format!("no component {name:?}{help}"))
    })
}
