//! `job`: what ran, and how it ended.

use std::process::ExitCode;

use serde_json::json;
use tributary_core::{Error, ErrorKind, JobId, PartyId};
use tributary_flow::record::{JobRecord, Records, Standing};
use tributary_runtime::Home;

use crate::args::JobCommand;
use crate::exit::Failure;
use crate::{render, table};

/// Stands for the latest job of a party.
pub(crate) const LATEST: &str = "latest";

/// A cause is cut after this many characters where jobs are listed; `job show` has all of it.
const SHORT: usize = 60;

pub(crate) fn run(home: &Home, command: &JobCommand) -> Result<ExitCode, Failure> {
    match command {
        JobCommand::List { party, json } => {
            let records = Records::new(home.party(&table::party(home, party)?));
            let jobs = records.jobs()?;
            match json {
                true => render::json(&jobs)?,
                false => list(&records, &jobs)?,
            }
        }
        JobCommand::Show { job_id, party, json } => {
            let party = table::party(home, party)?;
            let records = Records::new(home.party(&party));
            let job = find(&records, &party, job_id)?;
            let tasks = records.tasks(&job, &party)?;
            match json {
                true => render::json(&json!({"job": job, "tasks": tasks}))?,
                false => show(&records, &job, &tasks)?,
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A recorded job, by its id or as the latest.
pub(crate) fn find(records: &Records, party: &PartyId, job_id: &str) -> Result<JobRecord, Error> {
    match job_id {
        LATEST => {
            let none = || Error::new(ErrorKind::NotFound, format!("party {party} has no jobs"));
            records.jobs()?.into_iter().next().ok_or_else(none)
        }
        id => records.job(&JobId::new(id)?),
    }
}

/// What somebody who looks at results must know of their job; nothing if all is well.
pub(crate) fn warning(job: &JobRecord) -> Option<String> {
    match (job.status.as_str(), &job.error) {
        ("success", _) => None,
        ("running", _) => Some(format!("job {} is still running", job.job)),
        (status, None) => Some(format!("job {}: {status}", job.job)),
        (status, Some(why)) => Some(format!("job {}: {status}, because {why}", job.job)),
    }
}

fn seconds(job: &JobRecord) -> String {
    let elapsed = job.ended_ms.map(|end| end.saturating_sub(job.started_ms));
    elapsed.map_or(String::new(), |ms| format!("{:.3}", ms as f64 / 1000.0))
}

fn list(records: &Records, jobs: &[JobRecord]) -> tributary_core::Result<()> {
    let short = |why: &String| match why.char_indices().nth(SHORT) {
        Some((end, _)) => format!("{}…", &why[..end]),
        None => why.clone(),
    };
    let row = |job: &JobRecord| {
        let models = records.model_name(job)?.unwrap_or_default();
        let why = job.error.as_ref().map(short).unwrap_or_default();
        Ok(vec![job.job.to_string(), job.status.clone(), seconds(job), models, why])
    };
    let rows: Vec<Vec<String>> = jobs.iter().map(row).collect::<tributary_core::Result<_>>()?;
    render::table(&["job", "status", "seconds", "models", "why"], &rows)
}

fn show(records: &Records, job: &JobRecord, tasks: &[Standing]) -> tributary_core::Result<()> {
    render::line(format!("job      {}", job.job))?;
    render::line(format!("status   {}", job.status))?;
    if let Some(why) = &job.error {
        render::line(format!("why      {}", why))?;
    }
    if job.ended_ms.is_some() {
        render::line(format!("seconds  {}", seconds(job)))?;
    }
    if let Some(models) = records.model_name(job)? {
        render::line(format!("models   {models}"))?;
    }
    render::line("")?;
    let row = |task: &Standing| {
        let ended = |cell: fn(&tributary_flow::record::TaskRecord) -> String| {
            task.record.as_ref().map(cell).unwrap_or_default()
        };
        vec![
            task.task.clone(),
            task.party.to_string(),
            task.status.clone(),
            ended(|r| format!("{:.3}", r.ended_ms.saturating_sub(r.started_ms) as f64 / 1000.0)),
            ended(|r| render::count(r.rows)),
        ]
    };
    render::table(&["task", "party", "status", "seconds", "rows"], &tasks.iter().map(row).collect::<Vec<_>>())
}
