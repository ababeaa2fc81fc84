//! `run`, `explain` and `convert`.

use std::path::Path;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tributary_core::{Error, PartyId, ResultExt};
use tributary_flow::place::Placed;
use tributary_flow::scheduler::Outcome;
use tributary_flow::spec::OwnPart;
use tributary_runtime::Home;
use tributary_service::Submission;
use tributary_service::fate1::{self, Origins};

use crate::args;
use crate::exit::{Failure, STOPPED, code};
use crate::{render, watch};

/// A job that was read, and how to find the places of a converted one.
struct Read<'a> {
    submission: Submission<'a>,
    origins: Option<Origins>,
}

fn read<'a>(home: &'a Home, job: &args::JobFiles, id: Option<&str>) -> Result<Read<'a>, Failure> {
    let read = match (&job.job, &job.fate1) {
        (_, Some(files)) => {
            let job = converted(home, files)?;
            Read { submission: Submission::of_converted(home, &job, id)?, origins: Some(job.origins) }
        }
        (Some(path), None) => {
            let source = std::fs::read(path).at(|| format!("read job {}", path.display()))?;
            let submission = Submission::read(home, &path.display().to_string(), &source, id)?;
            Read { submission, origins: None }
        }
        (None, None) => return Err(Error::invalid("no job; name a file, or -d and -c").into()),
    };
    read.submission.notes()?.iter().for_each(|note| render::note(format!("note: {note}")));
    Ok(read)
}

/// A job of FATE 1 as one of schema 2.x.
fn converted(home: &Home, files: &args::Fate1) -> Result<fate1::Job, Failure> {
    let read = |what: &str, path: &Path| {
        std::fs::read(path).at(|| format!("read the {what} of a job, {}", path.display()))
    };
    let (dsl, conf) = (read("DSL", &files.dsl)?, read("conf", &files.conf)?);
    let names = [&files.dsl, &files.conf].map(|path| path.display().to_string());
    let dsl = fate1::File { name: &names[0], text: &dsl };
    Ok(tributary_service::converted(home, &dsl, &fate1::File { name: &names[1], text: &conf })?)
}

pub(crate) fn convert(home: &Home, convert: &args::Convert) -> Result<ExitCode, Failure> {
    let job = converted(home, &convert.job)?;
    // What a run would refuse is not printed.
    Submission::of_converted(home, &job, None)?;
    render::line(job.text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn run(home: &Home, run: &args::Run) -> Result<ExitCode, Failure> {
    let Read { submission, origins } = read(home, &run.job, run.job_id.as_deref())?;
    run_read(submission, run).map_err(|failure| failure.traced(origins.as_ref()))
}

fn run_read(submission: Submission<'_>, run: &args::Run) -> Result<ExitCode, Failure> {
    let watcher = watch::watcher(run.json, run.quiet);
    let (party, own) = part(&submission, run.party.as_deref(), run.own.as_deref())?;
    let report = runtime()?.block_on(async {
        let stopped = stop_signal().at(|| "listen to signals")?;
        match &party {
            Some(party) => submission.run_part(party, own, watcher, stopped).await,
            None => submission.all_here(&watcher)?.run(watcher, stopped).await,
        }
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

/// The party whose part alone is meant, if one is, and what it keeps to itself.
fn part(
    submission: &Submission<'_>,
    party: Option<&str>,
    file: Option<&Path>,
) -> Result<(Option<PartyId>, Option<OwnPart>), Failure> {
    let party = party.map(PartyId::new).transpose()?;
    let own = match (file, &party) {
        (Some(path), Some(party)) => Some(own(submission, path, party)?),
        _ => None,
    };
    Ok((party, own))
}

/// What a party keeps to itself, read and checked.
fn own(submission: &Submission<'_>, path: &Path, party: &PartyId) -> Result<OwnPart, Failure> {
    let source = std::fs::read(path).at(|| format!("read {}", path.display()))?;
    let own = OwnPart { file: path.display().to_string(), source, site: party.clone() };
    submission.check_own(&own)?;
    Ok(own)
}

/// What jobs run on, engines aside.
pub(crate) fn runtime() -> tributary_core::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.thread_name("tributary").worker_threads(2).enable_all().build().at(|| "start the runtime")
}

/// Ready at the first Ctrl-C or SIGTERM; the second one ends the program at once. Listens from the call on.
pub(crate) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        render::note("stopping; press Ctrl-C again to end at once");
        tokio::spawn(async move {
            tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
            std::process::exit(i32::from(STOPPED));
        });
    })
}

pub(crate) fn explain(home: &Home, explain: &args::Explain) -> Result<ExitCode, Failure> {
    let Read { submission, origins } = read(home, &explain.job, None)?;
    explain_read(submission, explain).map_err(|failure| failure.traced(origins.as_ref()))
}

fn explain_read(submission: Submission<'_>, explain: &args::Explain) -> Result<ExitCode, Failure> {
    let (party, own) = part(&submission, explain.party.as_deref(), explain.own.as_deref())?;
    let (placed, needs) = runtime()?.block_on(async {
        match &party {
            Some(party) => submission.explain_part(party, own).await,
            None => submission.explain().await,
        }
    })?;
    match explain.json {
        true => render::json(&placed)?,
        false => show(&placed)?,
    }
    needs?;
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
