//! A job of a party as one page, from what is recorded of it.

use std::collections::BTreeSet;

use serde_json::Value;
use tributary_core::Result;
use tributary_core::federation::Direction;
use tributary_flow::record::{JobRecord, Standing};
use tributary_report::{Page, Task};

use crate::Jobs;

/// The page, as HTML.
pub fn html(jobs: &Jobs, job: &JobRecord) -> Result<String> {
    let mut tasks: Vec<Task> =
        jobs.tasks(job)?.iter().map(|standing| task(jobs, job, standing)).collect::<Result<_>>()?;
    in_order(&mut tasks);
    Page { job: job.job.to_string(), facts: facts(jobs, job)?, tasks }.html()
}

fn facts(jobs: &Jobs, job: &JobRecord) -> Result<Vec<(String, String)>> {
    let mut facts =
        vec![("party".to_owned(), jobs.party().to_string()), ("status".to_owned(), job.status.to_string())];
    let elapsed = job.ended_ms.map(|end| end.saturating_sub(job.started_ms));
    facts.extend(elapsed.map(|ms| ("time".to_owned(), format!("{:.1} s", ms as f64 / 1000.0))));
    facts.extend(job.error.iter().map(|why| ("why".to_owned(), why.clone())));
    facts.extend(jobs.models(job)?.map(|models| ("models".to_owned(), models.to_string())));
    let parties = job.spec["parties"].as_array().into_iter().flatten();
    let shown = |party: &Value| Some(format!("{} {}", party["role"].as_str()?, party["party_id"].as_str()?));
    let parties: Vec<String> = parties.filter_map(shown).collect();
    if !parties.is_empty() {
        facts.push(("parties".into(), parties.join(", ")));
    }
    Ok(facts)
}

fn task(jobs: &Jobs, job: &JobRecord, standing: &Standing) -> Result<Task> {
    let spec = &job.spec["tasks"][standing.task.as_str()];
    let after = spec["dependent_tasks"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut task = Task {
        name: standing.task.clone(),
        component: spec["component"].as_str().unwrap_or_default().to_owned(),
        party: standing.party.to_string(),
        status: standing.status.to_string(),
        after: after.map(str::to_owned).collect(),
        ..Task::default()
    };
    if let Some(record) = &standing.record {
        task.seconds = Some(record.ended_ms.saturating_sub(record.started_ms) as f64 / 1000.0);
        task.rows = record.rows;
        task.sent = record.traffic.bytes(Direction::Sent);
        task.received = record.traffic.bytes(Direction::Received);
        task.rounds = record.traffic.rounds;
        task.error = record.error.clone();
    }
    let results = jobs.results(job.job.as_str(), standing.party.role.as_str(), &standing.task)?;
    // A task that did not end well has none of these.
    task.metrics = results.metrics().unwrap_or_default();
    task.models = results.models().unwrap_or_default();
    Ok(task)
}

/// Each task after those that it waits for, otherwise as they were.
fn in_order(tasks: &mut Vec<Task>) {
    let mut rest = std::mem::take(tasks);
    while !rest.is_empty() {
        let waiting: BTreeSet<String> = rest.iter().map(|task| task.name.clone()).collect();
        let is_ready = |task: &Task| !task.after.iter().any(|before| waiting.contains(before));
        let (mut ready, later): (Vec<Task>, Vec<Task>) = rest.into_iter().partition(is_ready);
        rest = later;
        if ready.is_empty() {
            ready = std::mem::take(&mut rest);
        }
        tasks.append(&mut ready);
    }
}
