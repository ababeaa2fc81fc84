//! Showing a running job: bars on a terminal, plain lines otherwise, JSON lines for programs.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tributary_component::Level;
use tributary_core::PartyId;
use tributary_core::placement::Placement;
use tributary_core::shown::printable;
use tributary_flow::event::{Event, JobReport, TaskReport, Watcher};
use tributary_flow::scheduler::Outcome;
use tributary_flow::status::Status;

use crate::render;

/// How to show a job.
pub(crate) fn watcher(json: bool, quiet: bool) -> Watcher {
    match (json, quiet) {
        (true, _) => Arc::new(|event| {
            // Progress that is not read is no reason to stop the job.
            drop(render::json_line(event));
        }),
        (false, true) => Arc::new(|event| match event {
            Event::TaskNote { level: Level::Warning | Level::Error, .. } => plain(event),
            Event::JobStarted { notes, .. } => show_notes(notes),
            Event::JobWaiting { .. } | Event::PartyMissing { .. } | Event::Stopped { .. } => plain(event),
            _ => {}
        }),
        (false, false) if std::io::stderr().is_terminal() => bars(),
        (false, false) => Arc::new(plain),
    }
}

fn plain(event: &Event) {
    match event {
        Event::JobStarted { job, tasks, notes } => {
            show_notes(notes);
            let names: Vec<&str> = tasks.iter().map(|(name, _, _)| name.as_str()).collect();
            render::note(format!("job {job}: {}", names.join(", ")));
        }
        Event::JobWaiting { reason } => render::note(format!("the job {reason}")),
        Event::PartyMissing { party, seconds } => render::note(missing(party, *seconds)),
        Event::Stopped { party } => render::note(format!("the operator of party {party} ends the job")),
        Event::TaskWaiting { task, reason } => render::note(format!("{task} {reason}")),
        Event::TaskStarted { task, party, attempt, placement } => {
            let again = if *attempt > 0 { format!(", attempt {attempt}") } else { String::new() };
            render::note(format!("{task} {party}: started on {}{again}", place(placement)));
        }
        Event::TaskNote { task, party, level, text } => {
            let warning = if *level == Level::Info { "" } else { "warning: " };
            render::note(format!("{task} {party}: {warning}{text}"));
        }
        Event::TaskMetric { .. } => {}
        Event::TaskEnded(report) => {
            render::note(format!("{} {}: {}", report.task, report.party, ending(report)))
        }
        Event::TaskRetried { task, attempt, error } => {
            render::note(format!("{task}: attempt {attempt} follows, because {error}"))
        }
        Event::JobEnded(_) => {}
    }
}

/// Settings of the job without effect. Shown even without progress, like the notes on the job file itself.
fn show_notes(notes: &[String]) {
    notes.iter().for_each(|note| render::note(format!("note: {note}")));
}

/// `4 cores, 1 partition`.
fn place(placement: &Placement) -> String {
    let (cores, partitions) = (u64::from(placement.cores), u64::from(placement.partitions));
    format!("{}, {}", render::counted(cores, "core"), render::counted(partitions, "partition"))
}

fn missing(party: &PartyId, seconds: u64) -> String {
    format!("waits for party {party}: not yet there ({seconds} s)")
}

fn ending(report: &TaskReport) -> String {
    let time = render::seconds(report.elapsed);
    match &report.error {
        Some(error) => format!("failed after {time}: {error}"),
        None => format!("{} in {time}", report.status),
    }
}

/// One line for each task and party: what it does, or how it ended.
fn bars() -> Watcher {
    let all = MultiProgress::new();
    let lines: Mutex<HashMap<String, ProgressBar>> = Mutex::default();
    Arc::new(move |event| {
        let Ok(mut lines) = lines.lock() else { return };
        let mut line = |name: String, text: String| {
            let bar = lines.entry(name.clone()).or_insert_with(|| spinner(&all, name));
            bar.set_message(printable(&text).into_owned());
            bar.clone()
        };
        let of = |task: &str, party: &dyn std::fmt::Display| format!("{task} {party}");
        match event {
            Event::JobWaiting { reason } => drop(line("job".to_owned(), reason.clone())),
            Event::PartyMissing { party, seconds } => drop(line("job".to_owned(), missing(party, *seconds))),
            Event::Stopped { party } => {
                drop(line("job".to_owned(), format!("the operator of party {party} ends it")))
            }
            Event::TaskWaiting { task, reason } => drop(line(task.clone(), reason.clone())),
            Event::TaskStarted { task, party, attempt, placement } => {
                let again = if *attempt > 0 { format!(", attempt {attempt}") } else { String::new() };
                let text = format!("{}{again}", place(placement));
                line(of(task, party), text).reset();
                if let Some(waiting) = lines.remove(task) {
                    waiting.finish_and_clear();
                }
            }
            Event::TaskNote { task, party, text, .. } => drop(line(of(task, party), text.clone())),
            Event::TaskEnded(report) => line(of(&report.task, &report.party), ending(report)).abandon(),
            Event::TaskRetried { task, error, .. } => {
                drop(line(task.clone(), format!("again, because {error}")))
            }
            Event::TaskMetric { .. } => {}
            Event::JobStarted { notes, .. } => {
                if let Some(waiting) = lines.remove("job") {
                    waiting.finish_and_clear();
                }
                show_notes(notes);
            }
            Event::JobEnded(_) => {
                lines.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::finish_and_clear);
                // Bars leave the cursor at the end of the last bar.
                render::note("");
            }
        }
    })
}

fn spinner(all: &MultiProgress, name: String) -> ProgressBar {
    let bar = all.add(ProgressBar::new_spinner());
    let style = ProgressStyle::with_template("{spinner} {prefix:<32} {elapsed:>5} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.set_prefix(printable(&name).into_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The summary at the end.
pub(crate) fn summary(report: &JobReport) -> tributary_core::Result<()> {
    let row = |task: &TaskReport| {
        vec![
            task.task.clone(),
            task.party.to_string(),
            task.status.to_string(),
            format!("{:.3}", task.elapsed.as_secs_f64()),
            render::count(task.rows),
            render::bytes(task.bytes_sent),
            render::bytes(task.bytes_received),
            task.rounds.to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = report.tasks.iter().map(row).collect();
    render::table(&["task", "party", "status", "seconds", "rows", "sent", "received", "rounds"], &rows)?;
    let time = render::seconds(report.elapsed);
    match (&report.outcome, &report.failure) {
        (Outcome::Success, _) => {
            render::line(format!("\njob {} done in {time}", report.job))?;
            match report.tasks.iter().any(|task| !task.models.is_empty()) {
                true => render::line(format!("models: {}", report.model)),
                false => Ok(()),
            }
        }
        (_, Some(failure)) => {
            render::line(format!("\njob {} failed after {time}", report.job))?;
            let party = failure.party.as_ref().map_or(String::new(), |party| format!(" of {party}"));
            let lines = [
                ("task ", format!("{}{party}", failure.task)),
                ("cause", failure.cause.clone()),
                ("log  ", failure.log.clone()),
            ];
            let known = lines.iter().filter(|(_, text)| !text.is_empty());
            known.map(|(name, text)| format!("  {name} {text}")).try_for_each(render::line)
        }
        (_, None) => {
            render::line(format!("\njob {} {} after {time}", report.job, Status::from(report.outcome)))
        }
    }
}
