//! `job`: past and running jobs, and how they ended.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;
use tributary_core::{Error, ErrorKind, ResultExt};
use tributary_flow::record::{JobRecord, Standing, TaskRecord};
use tributary_runtime::Home;
use tributary_service::Jobs;

use crate::args::{JobCommand, PartyArg};
use crate::exit::Failure;
use crate::render;

/// A cause is cut after this many characters where jobs are listed; `job show` shows all of it.
const SHORT: usize = 60;

pub(crate) fn run(home: &Home, command: &JobCommand) -> Result<ExitCode, Failure> {
    match command {
        JobCommand::List { party, json } => {
            let jobs = jobs(home, party)?;
            let all = jobs.list()?;
            match json {
                true => render::json(&all)?,
                false => list(&jobs, &all)?,
            }
        }
        JobCommand::Report { job, party, output, overwrite } => {
            let jobs = jobs(home, party)?;
            let job = jobs.find(job)?;
            let page = tributary_service::report::html(&jobs, &job)?;
            let path = output.clone().unwrap_or_else(|| format!("{}.html", job.job).into());
            write(&path, &page, *overwrite).at(|| format!("write {}", path.display()))?;
            render::line(path.display().to_string())?;
        }
        JobCommand::Show { job_id, party, json } => {
            let jobs = jobs(home, party)?;
            let job = jobs.find(job_id)?;
            let tasks = jobs.tasks(&job)?;
            match json {
                true => render::json(&json!({"job": job, "tasks": tasks}))?,
                false => show(&jobs, &job, &tasks)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a page, for its owner alone: metrics and models are in it.
fn write(path: &Path, page: &str, overwrite: bool) -> tributary_core::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    match overwrite {
        true => options.create(true).truncate(true),
        false => options.create_new(true),
    };
    match options.open(path) {
        Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::new(
            ErrorKind::AlreadyExists,
            "the file exists; choose another name, or allow to replace it (--overwrite)",
        )),
        opened => Ok(opened?.write_all(page.as_bytes())?),
    }
}

/// The jobs of the party that the arguments mean.
pub(crate) fn jobs(home: &Home, arg: &PartyArg) -> tributary_core::Result<Jobs> {
    Ok(Jobs::of(home, &tributary_service::own_or_known_party(home, arg.party.as_deref())?))
}

fn seconds(job: &JobRecord) -> String {
    let elapsed = job.ended_ms.map(|end| end.saturating_sub(job.started_ms));
    elapsed.map_or(String::new(), |ms| format!("{:.3}", ms as f64 / 1000.0))
}

fn list(jobs: &Jobs, all: &[JobRecord]) -> tributary_core::Result<()> {
    let short = |why: &String| match why.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &why[..end]),
        None => why.clone(),
    };
    let row = |job: &JobRecord| {
        let models = jobs.models(job)?.map(|models| models.to_string()).unwrap_or_default();
        let why = job.error.as_ref().map(short).unwrap_or_default();
        Ok(vec![job.job.to_string(), job.status.to_string(), seconds(job), models, why])
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect::<tributary_core::Result<_>>()?;
    render::table(&["job", "status", "seconds", "models", "why"], &rows)
}

fn show(jobs: &Jobs, job: &JobRecord, tasks: &[Standing]) -> tributary_core::Result<()> {
    render::line(format!("job      {}", job.job))?;
    render::line(format!("status   {}", job.status))?;
    if let Some(why) = &job.error {
        render::line(format!("why      {}", why))?;
    }
    if job.ended_ms.is_some() {
        render::line(format!("seconds  {}", seconds(job)))?;
    }
    if let Some(models) = jobs.models(job)? {
        render::line(format!("models   {models}"))?;
    }
    render::line("")?;
    let row = |task: &Standing| {
        let ended = |cell: fn(&TaskRecord) -> String| task.record.as_ref().map(cell).unwrap_or_default();
        vec![
            task.task.clone(),
            task.party.to_string(),
            task.status.to_string(),
            ended(|r| format!("{:.3}", r.ended_ms.saturating_sub(r.started_ms) as f64 / 1000.0)),
            ended(|r| render::count(r.rows)),
        ]
    };
    render::table(&["task", "party", "status", "seconds", "rows"], &tasks.iter().map(row).collect::<Vec<_>>())
}
