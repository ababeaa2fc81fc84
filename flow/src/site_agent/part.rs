//! One party's part of one attempt: run, its outputs prepared, then recorded or removed as it is decided.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinError;
use tributary_component::Level;
use tributary_core::federation::{Direction, Traffic};
use tributary_core::{Error, ErrorKind, Party, Result, TableName, TaskName};
use tributary_system::clock::now_ms;

use super::{Held, SiteAgent};
use crate::agent::{Part, PartEnd, Settled, Verdict};
use crate::event::{Event, TaskReport};
use crate::executor::{PartyAttempt, PartyOutputs, Shared};
use crate::fault;
use crate::log::TaskLog;
use crate::prepared::Prepared;
use crate::progress::TaskProgress;
use crate::record::TaskRecord;
use crate::status::Status;

/// A task without a time-out of its own is given this long: FATE's default, three days.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(259_200);

impl SiteAgent {
    /// Runs a part; what failed is recorded, what ended well is prepared.
    pub(super) async fn run_part(&self, part: &Part) -> PartEnd {
        let began = Instant::now();
        if let Some(end) = self.ended_before(part) {
            return end;
        }
        let (attempt, stop) = match self.attempt(part) {
            Ok(attempt) => attempt,
            Err(error) => {
                return self.failed(
                    part,
                    TaskReport::of(part, "", began.elapsed()),
                    Traffic::default(),
                    error,
                );
            }
        };
        let start = |held: &mut Held| match held.stopped.contains(part)
            || held.running.contains_key(part)
            || held.began_ms.is_none()
        {
            true => Err(Error::new(ErrorKind::Cancelled, "stopped before it was started")),
            false => {
                held.running.insert(part.clone(), stop);
                Ok(())
            }
        };
        if let Err(error) = self.held(&part.job, start).flatten() {
            return self.failed(part, TaskReport::of(part, "", began.elapsed()), Traffic::default(), error);
        }
        let component = attempt.shared.component.definition().name;
        fault::point("agent: before a part runs");
        // A thread of its own: stores and record files block, and timers and signals must not wait for them.
        let runtime = Handle::current();
        let ran = tokio::task::spawn_blocking(move || runtime.block_on(attempt.run())).await;
        fault::point("agent: after a part ran");
        let ended = self.held(&part.job, |held| drop(held.running.remove(part)));
        let mut report = TaskReport::of(part, component, began.elapsed());
        let mut outputs = match ran {
            Ok(outputs) => outputs,
            Err(panic) => return self.failed(part, report, Traffic::default(), panicked(panic)),
        };
        report.rows = outputs.rows;
        report.actions = outputs.actions;
        report.bytes_sent = outputs.traffic.bytes(Direction::Sent);
        report.bytes_received = outputs.traffic.bytes(Direction::Received);
        report.rounds = outputs.traffic.rounds;
        report.models = outputs.models.iter().map(|(key, _)| key.clone()).collect();
        let outcome = std::mem::replace(&mut outputs.outcome, Ok(()));
        let prepared = ended.and(outcome).and_then(|()| self.prepare(part, &report, &outputs));
        match prepared {
            Ok(()) => {
                fault::point("agent: after a part was prepared");
                PartEnd { report, failure: None }
            }
            Err(error) => {
                self.remove_tables(part, &outputs.stored).await;
                self.failed(part, report, outputs.traffic, error)
            }
        }
    }

    /// Carries out what was decided about a part that ended well.
    pub(crate) async fn settle_part(&self, part: &Part, verdict: &Verdict) -> Settled {
        match self.try_settle(part, verdict).await {
            Ok(report) => Settled { report, error: None },
            Err(error) => Settled::failed(part, error),
        }
    }

    async fn try_settle(&self, part: &Part, verdict: &Verdict) -> Result<TaskReport> {
        let Some(prepared) = self.records.prepared(part)? else {
            if *verdict != Verdict::Record && !self.succeeded(part)? {
                self.remove_tables(part, &self.tables_of(part).await?).await;
            }
            return self.settled_before(part, verdict);
        };
        let mut report = prepared.report;
        match verdict {
            Verdict::Record => {
                fault::point("agent: before a part is recorded");
                prepared.staged.publish()?;
                fault::point("agent: after outputs are in their places");
                self.records.remove_checkpoint(&part.job, &part.party.role, &part.task)?;
            }
            Verdict::Discard(because) => {
                prepared.staged.discard();
                self.remove_tables(part, &prepared.tables).await;
                report = not_recorded(report, because.as_ref());
            }
        }
        self.report(part, &report, prepared.traffic)?;
        fault::point("agent: after a part is recorded");
        self.records.remove_prepared(part)?;
        Ok(report)
    }

    /// Whether the outputs of an attempt were recorded.
    fn succeeded(&self, part: &Part) -> Result<bool> {
        let attempts = self.records.attempts(&part.job, &part.party.role, &part.task)?;
        Ok(attempts.iter().any(|record| record.attempt == part.attempt && record.status == Status::Success))
    }

    /// How an attempt ended that is asked for again.
    fn ended_before(&self, part: &Part) -> Option<PartEnd> {
        if let Some(prepared) = self.records.prepared(part).ok()? {
            return Some(PartEnd { report: prepared.report, failure: None });
        }
        let attempts = self.records.attempts(&part.job, &part.party.role, &part.task).ok()?;
        let record = attempts.into_iter().find(|record| record.attempt == part.attempt)?;
        let error =
            Error::new(ErrorKind::AlreadyExists, format!("{part} has ended before: {}", record.status));
        Some(PartEnd::failed(record.report(), error, String::new()))
    }

    /// Output tables of a part whose process was killed before it wrote down what it had stored.
    async fn tables_of(&self, part: &Part) -> Result<Vec<TableName>> {
        let namespace = TableName::namespace_of(&part.job, &TaskName::new(part.task.as_str())?);
        let (role, attempt) = (format!("{}.", part.party.role), format!(".{}", part.attempt));
        let tables = self.site.meta.names(Some(&namespace)).await?.into_iter();
        Ok(tables.filter(|table| table.name.starts_with(&role) && table.name.ends_with(&attempt)).collect())
    }

    /// The report of a part that has nothing prepared any more: the verdict has been carried out, or has nothing to act on.
    fn settled_before(&self, part: &Part, verdict: &Verdict) -> Result<TaskReport> {
        let attempts = self.records.attempts(&part.job, &part.party.role, &part.task)?;
        let record = attempts.into_iter().find(|record| record.attempt == part.attempt);
        match (record, verdict) {
            (Some(record), Verdict::Record) if record.status != Status::Success => {
                let text = format!("the outputs of {part} were discarded: {}", record.status);
                Err(Error::new(ErrorKind::Corrupt, text))
            }
            (Some(record), _) => Ok(record.report()),
            (None, Verdict::Discard(because)) => {
                Ok(not_recorded(TaskReport::of(part, "", Duration::ZERO), because.as_ref()))
            }
            (None, Verdict::Record) => {
                let text = format!("party {} has no outputs of {part} that could be recorded", self.site.id);
                Err(Error::new(ErrorKind::Corrupt, text))
            }
        }
    }

    /// All that an attempt needs, and how to stop it.
    fn attempt(&self, part: &Part) -> Result<(PartyAttempt, watch::Sender<bool>)> {
        let held = |held: &mut Held| {
            (held.offer.clone(), held.spec.clone(), held.bound, held.placed.clone(), held.site.clone())
        };
        let (offer, job, bound, placed, site) = self.held(&part.job, held)?;
        let no_part = || {
            let text =
                format!("party {} has no part in task {:?} as {}", self.site.id, part.task, part.party);
            Error::new(ErrorKind::Denied, text)
        };
        let spec = job.tasks.get(&part.task).ok_or_else(no_part)?;
        let own = spec.party(&part.party).filter(|own| own.party.id == self.site.id).ok_or_else(no_part)?;
        let component = self.components.get(&spec.component);
        let component = component.ok_or_else(|| Error::bug(format!("no component {}", spec.component)))?;
        let shared = Shared {
            job: offer.job.clone(),
            model: offer.model(),
            name: spec.name.clone(),
            stage: spec.stage,
            component: component.clone(),
            parties: spec.parties.iter().map(|p| p.party.clone()).collect(),
            attempt: part.attempt,
            job_hash: bound,
            carriage: job.conf.carriage.clone(),
        };
        let placement = placed.get(&spec.name, &part.party)?.clone();
        let log = self.log(part)?;
        log.line(Level::Info, &format!("attempt {}", part.attempt));
        placement.reasons.iter().chain(&placement.notes).for_each(|line| log.line(Level::Info, line));
        (self.watcher)(&Event::TaskStarted {
            task: spec.name.clone(),
            party: part.party.clone(),
            attempt: part.attempt,
            placement: placement.clone(),
        });
        let progress = TaskProgress {
            job: offer.job.clone(),
            task: spec.name.clone(),
            party: part.party.clone(),
            records: self.records.clone(),
            log,
            watcher: self.watcher.clone(),
            metrics: Mutex::default(),
        };
        let timeout = own.conf.timeout_seconds.map_or(DEFAULT_TIMEOUT, |s| Duration::from_secs(u64::from(s)));
        let stop = watch::Sender::new(false);
        let attempt = PartyAttempt {
            shared,
            task: own.clone(),
            site,
            placement,
            timeout,
            progress: Arc::new(progress),
            stop: stop.subscribe(),
        };
        Ok((attempt, stop))
    }

    fn log(&self, part: &Part) -> Result<TaskLog> {
        let folder = self.records.task_folder(&part.job, &part.party.role, &part.task)?;
        TaskLog::open(&folder, &part.party, &part.task)
    }

    /// Stages models, metrics and the names of output tables, and writes down what is staged.
    fn prepare(&self, part: &Part, report: &TaskReport, outputs: &PartyOutputs) -> Result<()> {
        let mut prepared = Prepared {
            report: report.clone(),
            traffic: outputs.traffic.clone(),
            tables: outputs.stored.clone(),
            staged: self.records.staged(),
        };
        let staged = outputs.stage(&self.records, &mut prepared.staged);
        staged.and_then(|()| self.records.write_prepared(part, &prepared)).inspect_err(|_| {
            prepared.staged.discard();
        })
    }

    /// Removes tables that do not count. What cannot be removed is named in the log: the failure itself counts more.
    async fn remove_tables(&self, part: &Part, tables: &[TableName]) {
        for name in tables {
            let removed = tributary_catalog::delete(&self.site.storage, &self.site.meta, name).await;
            if let Err(error) = removed
                && error.kind() != ErrorKind::NotFound
                && let Ok(log) = self.log(part)
            {
                log.line(Level::Warning, &format!("table {name} was not removed: {}", error.chain()));
            }
        }
    }

    fn failed(&self, part: &Part, report: TaskReport, traffic: Traffic, error: Error) -> PartEnd {
        // Nothing is recorded about what the job does not have, or before it begins.
        if !matches!(self.held(&part.job, |held| held.has(part) && held.began_ms.is_some()), Ok(true)) {
            return PartEnd::failed(report, error, String::new());
        }
        let log = self.records.log(&part.job, &part.party.role, &part.task);
        let log = log.map_or(String::new(), |path| path.display().to_string());
        let end = PartEnd::failed(report, error, log);
        match self.report(part, &end.report, traffic) {
            Ok(()) => end,
            // The first failure counts more, and has just been shown.
            Err(_) => end,
        }
    }

    /// Shows and records how a part went, all in all.
    fn report(&self, part: &Part, report: &TaskReport, traffic: Traffic) -> Result<()> {
        (self.watcher)(&Event::TaskEnded(report.clone()));
        self.records.write_task(&part.job, &TaskRecord::of(report, traffic, now_ms()))
    }
}

/// What is not recorded did not succeed.
fn not_recorded(report: TaskReport, because: Option<&Party>) -> TaskReport {
    let error = match because {
        Some(party) => format!("not recorded, because {party} did not succeed"),
        None => "not recorded, because the attempt was stopped".to_owned(),
    };
    TaskReport { status: Status::Canceled, error: Some(error), models: Vec::new(), ..report }
}

fn panicked(error: JoinError) -> Error {
    let text = match error.try_into_panic() {
        Ok(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => {
                payload.downcast::<&str>().map_or("no reason given".into(), |text| text.to_string())
            }
        },
        Err(_) => "its thread was lost".into(),
    };
    Error::bug(format!("the task panicked: {text}"))
}
