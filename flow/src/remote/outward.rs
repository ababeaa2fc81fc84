//! What other sites learn of a failure at this one.
//!
//! Errors that were written for others go as they are. Of any other they learn the kind: its text may name tables, columns and files of
//! this site, and stays in its own log.

use tributary_core::error::Retry;
use tributary_core::{Error, PartyId};

use crate::agent::{Booked, PartEnd, PartFailure, Settled, is_public};
use crate::event::{Event, Failure, JobReport, TaskReport};

/// An error, as others learn it.
pub(super) fn outward_error(own: &PartyId, error: Error) -> Error {
    if is_public(&error) {
        return error.told();
    }
    let retry = if error.is_retryable() { Retry::Useful } else { Retry::Useless };
    Error::new(error.kind(), private(own)).retry(retry)
}

fn private(own: &PartyId) -> String {
    format!("failed at party {own}; its own log says why")
}

fn log(own: &PartyId, task: &str) -> String {
    format!("the log of {task} at party {own}")
}

/// A report on a part of this site.
fn outward_report(own: &PartyId, report: TaskReport) -> TaskReport {
    let error = match &report.error {
        Some(_) if report.party.id == *own => report.told.clone().or_else(|| Some(private(own))),
        error => error.clone(),
    };
    TaskReport { error, ..report }
}

/// The end of a part of this site.
pub(super) fn outward_end(own: &PartyId, end: PartEnd) -> PartEnd {
    let failure = end.failure.map(|failure| PartFailure {
        error: outward_error(own, failure.error),
        log: log(own, &end.report.task),
        lost: failure.lost,
    });
    PartEnd { report: outward_report(own, end.report), failure }
}

/// A part of this site after its end was settled.
pub(super) fn outward_settled(own: &PartyId, settled: Settled) -> Settled {
    let error = settled.error.map(|error| outward_error(own, error));
    Settled { report: outward_report(own, settled.report), error }
}

/// What came of a booking; which other jobs have the cores does not concern others.
pub(super) fn outward_booked(booked: Booked) -> Booked {
    match booked {
        Booked::NotYet(reason) => Booked::NotYet(reason.split(';').next().unwrap_or_default().to_owned()),
        Booked::Yes => Booked::Yes,
    }
}

/// A job as its coordinator's site reports it.
pub(super) fn outward_job(own: &PartyId, report: &JobReport) -> JobReport {
    let failure = report.failure.clone().map(|failure| outward_failure(own, report, failure));
    let tasks = report.tasks.iter().cloned().map(|task| outward_report(own, task)).collect();
    JobReport { failure, tasks, ..report.clone() }
}

fn outward_failure(own: &PartyId, report: &JobReport, failure: Failure) -> Failure {
    if failure.party.as_ref().is_some_and(|party| party.id != *own) {
        return failure;
    }
    let same = |task: &&TaskReport| task.task == failure.task && Some(&task.party) == failure.party.as_ref();
    if let Some(cause) = report.tasks.iter().rev().find(same).and_then(|task| task.told.clone()) {
        return Failure { cause, log: log(own, &failure.task), ..failure };
    }
    let log = if failure.task.is_empty() { String::new() } else { log(own, &failure.task) };
    Failure { cause: private(own), log, ..failure }
}

/// An event of a job that is coordinated here; none if it does not concern others.
pub(super) fn outward_event(own: &PartyId, event: &Event) -> Option<Event> {
    Some(match event {
        Event::TaskNote { .. } | Event::TaskMetric { .. } => return None,
        Event::TaskEnded(report) => Event::TaskEnded(outward_report(own, report.clone())),
        Event::TaskRetried { task, attempt, .. } => {
            let error = "the attempt before failed".to_owned();
            Event::TaskRetried { task: task.clone(), attempt: *attempt, error }
        }
        Event::JobEnded(report) => Event::JobEnded(outward_job(own, report)),
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use tributary_core::{ErrorKind, JobId, Party};

    use super::*;
    use crate::agent::Part;

    fn part() -> Part {
        let (job, party) = (JobId::new("j").unwrap(), Party::new("host", "2").unwrap());
        Part { job, task: "t".into(), party, attempt: 0 }
    }

    fn told(error: Error) -> String {
        let report = TaskReport::of(&part(), "c", std::time::Duration::ZERO);
        let end = outward_end(&part().party.id, PartEnd::failed(report, error, "/home/log".into()));
        serde_json::to_string(&end).unwrap()
    }

    #[test]
    fn others_learn_of_limits_and_nothing_of_tables_and_files() {
        let limits = told(Error::new(ErrorKind::Denied, "no more than 200 numbers"));
        assert!(limits.contains("200 numbers") && !limits.contains("/home"), "{limits}");
        let detail = Error::new(ErrorKind::Denied, "too few rows").with_private("43 of salary");
        let text = told(detail);
        assert!(text.contains("too few rows") && !text.contains("salary"), "{text}");
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        for error in [
            Error::invalid("no feature \"salary\""),
            Error::from(io).at("write /secret/salary"),
            Error::new(ErrorKind::NotFound, "no table private/salary"),
        ] {
            let text = told(error);
            assert!(!text.contains("salary") && text.contains("own log says why"), "{text}");
        }
    }
}
