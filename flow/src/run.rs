//! Runs a whole job with all its parties in this process: performs what the scheduler decides, and records what happens.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, watch};
use tributary_component::{Components, Level};
use tributary_core::federation::Direction;
use tributary_core::kernel::Kernels;
use tributary_core::{Error, ErrorKind, JobHash, JobId, Party, PartyId, Result, ResultExt, Site, TableName};
use tributary_system::clock::now_ms;

use crate::attempt::{Attempt, AttemptEnd};
use crate::claim::Claim;
use crate::event::{Event, Failure, JobReport, TaskReport, Watcher};
use crate::executor::{PartyAttempt, PartyEnd, Shared};
use crate::log::TaskLog;
use crate::lookup::look_up;
use crate::place::{Placed, place, site};
use crate::progress::TaskProgress;
use crate::record::{JobRecord, Records, TaskRecord};
use crate::scheduler::{Action, Change, Outcome, Scheduler, TaskNode, TaskState};
use crate::spec::{ArtifactRef, JobSpec, ModelRef, PartyTask, TaskSpec};
use crate::status::Status;

/// A task without a time-out of its own is given this long: FATE's default, three days.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(259_200);

/// A job ready to run.
#[derive(Debug)]
pub struct Job {
    /// Its id; one that a party has a record of already is refused.
    pub id: JobId,
    /// What to run.
    pub spec: JobSpec,
    /// The parties' sites.
    pub sites: BTreeMap<PartyId, Site>,
    /// The components that it may name.
    pub components: Components,
}

impl Job {
    /// Runs to the end, or until `cancel` is ready. An error means that the job could not begin; a job that failed
    /// is a [`JobReport`].
    pub async fn run(self, watcher: Watcher, cancel: impl Future<Output = ()>) -> Result<JobReport> {
        let mut runner = Runner::new(self, watcher)?;
        runner.begin().await?;
        let mut cancel = std::pin::pin!(cancel);
        let mut change = Change::Begin;
        loop {
            if let Some(outcome) = runner.perform(change) {
                return runner.end(outcome).await;
            }
            // Only waiting can be interrupted: what follows an end is done in any case.
            change = tokio::select! {
                Some((task, end)) = runner.ends.1.recv() => runner.ended(task, end),
                () = &mut cancel => Change::Cancel,
            };
        }
    }
}

struct Runner {
    job: Job,
    names: Vec<String>,
    placed: Placed,
    scheduler: Scheduler,
    watcher: Watcher,
    /// By task: its attempt, and how to stop it.
    running: HashMap<usize, (u32, watch::Sender<bool>)>,
    ends: Ends<(usize, AttemptEnd)>,
    model: ModelRef,
    job_hash: JobHash,
    began: Instant,
    began_ms: u64,
    /// Shows to others that this process runs; released only after the end is recorded.
    claims: Vec<Claim>,
    reports: Vec<TaskReport>,
    failure: Option<Failure>,
    told: HashMap<usize, String>,
}

impl Runner {
    fn new(job: Job, watcher: Watcher) -> Result<Self> {
        let placed = place(&job.spec, &job.sites)?;
        let names: Vec<String> = job.spec.levels.iter().flatten().cloned().collect();
        let canonical = job.spec.canonical().map_err(|e| Error::bug("encode the job").because(e))?;
        let scheduler = scheduler(&job.spec, &names, &placed)?;
        let conf = &job.spec.conf;
        let model = ModelRef {
            model_id: conf.model_id.clone().unwrap_or_else(|| job.id.to_string()),
            model_version: conf.model_version.clone().unwrap_or_else(|| "0".into()),
        };
        Ok(Self {
            job_hash: job_hash(&canonical, &job.components.kernels()),
            model,
            names,
            placed,
            scheduler,
            watcher,
            running: HashMap::new(),
            ends: mpsc::unbounded_channel(),
            began: Instant::now(),
            began_ms: now_ms(),
            claims: Vec::new(),
            reports: Vec::new(),
            failure: None,
            told: HashMap::new(),
            job,
        })
    }

    /// Refuses what cannot work while nothing is recorded yet, then takes the job's place in every party's records.
    async fn begin(&mut self) -> Result<()> {
        look_up(&self.job.spec, &self.job.sites).await?;
        for site in self.job.sites.values() {
            let claim = Records::new(&site.home).claim(&self.job.id, &self.model);
            self.claims.push(claim.at(|| format!("party {}", site.id))?);
            Records::new(&site.home).check_case(&self.job.id, &self.names)?;
        }
        self.record_job(Status::Running, None)?;
        let task = |name: &String| {
            let spec = &self.job.spec.tasks[name];
            let parties = spec.parties.iter().map(|p| p.party.clone()).collect();
            (name.clone(), spec.component.clone(), parties)
        };
        let tasks = self.names.iter().map(task).collect();
        let notes = self.placed.notes();
        (self.watcher)(&Event::JobStarted { job: self.job.id.clone(), tasks, notes });
        Ok(())
    }

    /// Lets the scheduler decide and does what it says.
    fn perform(&mut self, change: Change) -> Option<Outcome> {
        let (mut outcome, mut changes) = (None, vec![change]);
        while let Some(change) = changes.pop() {
            for action in self.scheduler.on(change) {
                match action {
                    Action::Start { task, attempt } => {
                        if let Err(error) = self.start(task, attempt) {
                            self.fail(task, None, &error, "");
                            changes.push(Change::Failed { task, retryable: false });
                        }
                    }
                    Action::Stop(task) => {
                        if let Some((_, stop)) = self.running.get(&task) {
                            stop.send_replace(true);
                        }
                    }
                    Action::End(end) => outcome = Some(end),
                }
            }
        }
        self.tell_waiting();
        outcome
    }

    /// Reports why tasks wait, each reason once.
    fn tell_waiting(&mut self) {
        for (task, state) in self.scheduler.states().iter().enumerate() {
            let TaskState::Waiting(reason) = state else { continue };
            let reason = reason.to_string();
            if self.told.get(&task) != Some(&reason) {
                (self.watcher)(&Event::TaskWaiting {
                    task: self.names[task].clone(),
                    reason: reason.clone(),
                });
                self.told.insert(task, reason);
            }
        }
    }

    fn start(&mut self, task: usize, attempt: u32) -> Result<()> {
        let spec = &self.job.spec.tasks[&self.names[task]];
        let component = self.job.components.get(&spec.component);
        let component = component.ok_or_else(|| Error::bug(format!("no component {}", spec.component)))?;
        let shared = Shared {
            job: self.job.id.clone(),
            model: self.model.clone(),
            name: spec.name.clone(),
            stage: spec.stage,
            component: component.clone(),
            parties: spec.parties.iter().map(|p| p.party.clone()).collect(),
            attempt,
            job_hash: self.job_hash,
        };
        let stop = watch::Sender::new(false);
        let parties = spec.parties.iter().map(|part| self.party(spec, part, &shared, stop.subscribe()));
        let attempt_of_all = Attempt { parties: parties.collect::<Result<_>>()?, stop: stop.clone() };
        let ends = self.ends.0.clone();
        tokio::spawn(async move {
            // The runner lives until every attempt has ended.
            drop(ends.send((task, attempt_of_all.run().await)));
        });
        self.running.insert(task, (attempt, stop));
        Ok(())
    }

    fn party(
        &self,
        spec: &TaskSpec,
        part: &PartyTask,
        shared: &Shared,
        stop: watch::Receiver<bool>,
    ) -> Result<PartyAttempt> {
        let site = site(&self.job.sites, &part.party.id)?.clone();
        let folder = Records::new(&site.home).task_folder(&self.job.id, &part.party.role, &spec.name)?;
        let log = TaskLog::open(&folder, &part.party, &spec.name)?;
        let placement = self.placed.get(&spec.name, &part.party)?.clone();
        log.line(Level::Info, &format!("attempt {}", shared.attempt));
        placement.reasons.iter().chain(&placement.notes).for_each(|line| log.line(Level::Info, line));
        (self.watcher)(&Event::TaskStarted {
            task: spec.name.clone(),
            party: part.party.clone(),
            attempt: shared.attempt,
            placement: placement.clone(),
        });
        let progress = TaskProgress {
            job: self.job.id.clone(),
            task: spec.name.clone(),
            party: part.party.clone(),
            records: Records::new(&site.home),
            log,
            watcher: self.watcher.clone(),
            metrics: Mutex::default(),
        };
        let timeout =
            part.conf.timeout_seconds.map_or(DEFAULT_TIMEOUT, |s| Duration::from_secs(u64::from(s)));
        Ok(PartyAttempt {
            shared: shared.clone(),
            task: part.clone(),
            site,
            placement,
            timeout,
            progress: Arc::new(progress),
            stop,
        })
    }

    /// Reports an attempt's end.
    fn ended(&mut self, task: usize, end: AttemptEnd) -> Change {
        let attempt = self.running.remove(&task).map_or(0, |(attempt, _)| attempt);
        for (party, end, elapsed) in &end.parties {
            if let Err(error) = self.report(task, attempt, party, end, *elapsed) {
                self.fail(task, Some(party), &error, "");
            }
        }
        let Some((party, error)) = end.failure else {
            return if self.failure.is_some() {
                Change::Failed { task, retryable: false }
            } else {
                Change::Succeeded(task)
            };
        };
        let retryable = error.is_retryable() || error.kind() == ErrorKind::Io;
        if retryable && attempt < self.job.spec.conf.auto_retries {
            let name = self.names[task].clone();
            (self.watcher)(&Event::TaskRetried { task: name, attempt: attempt + 1, error: error.chain() });
        } else {
            let log = site(&self.job.sites, &party.id)
                .and_then(|site| Records::new(&site.home).log(&self.job.id, &party.role, &self.names[task]))
                .map_or(String::new(), |path| path.display().to_string());
            self.fail(task, Some(&party), &error, &log);
        }
        Change::Failed { task, retryable }
    }

    /// Remembers the first failure: it is the one that ends the job.
    fn fail(&mut self, task: usize, party: Option<&Party>, error: &Error, log: &str) {
        let failure = || Failure {
            task: self.names[task].clone(),
            party: party.cloned(),
            cause: error.chain(),
            kind: error.kind(),
            log: log.into(),
        };
        if self.failure.is_none() {
            self.failure = Some(failure());
        }
    }

    fn report(
        &mut self,
        task: usize,
        attempt: u32,
        party: &Party,
        end: &PartyEnd,
        elapsed: Duration,
    ) -> Result<()> {
        let (task, error) = (self.names[task].clone(), end.outcome.as_ref().err());
        let report = TaskReport {
            component: self.job.spec.tasks[&task].component.clone(),
            task,
            party: party.clone(),
            attempt,
            status: match error.map(Error::kind) {
                None => Status::Success,
                Some(ErrorKind::Cancelled) => Status::Canceled,
                Some(_) => Status::Failed,
            },
            elapsed,
            rows: end.rows,
            actions: end.actions,
            bytes_sent: end.traffic.bytes(Direction::Sent),
            bytes_received: end.traffic.bytes(Direction::Received),
            rounds: end.traffic.rounds,
            models: end.models.iter().filter(|_| error.is_none()).map(|(key, _)| key.clone()).collect(),
            error: error.map(Error::chain),
        };
        (self.watcher)(&Event::TaskEnded(report.clone()));
        let record = TaskRecord::of(&report, end.traffic.clone(), now_ms());
        self.reports.push(report);
        let home = &site(&self.job.sites, &party.id)?.home;
        Records::new(home).write_task(&self.job.id, &record)
    }

    fn record_job(&self, status: Status, ended_ms: Option<u64>) -> Result<()> {
        let error = self.failure.as_ref().filter(|_| status == Status::Failed).map(Failure::to_string);
        let spec =
            serde_json::to_value(&self.job.spec).map_err(|e| Error::bug("encode the job").because(e))?;
        for site in self.job.sites.values() {
            let record = JobRecord {
                job: self.job.id.clone(),
                model: self.model.clone(),
                status,
                started_ms: self.began_ms,
                ended_ms,
                error: error.clone(),
                tables: self.tables(site)?,
                spec: spec.clone(),
            };
            Records::new(&site.home)
                .write_job(&record)
                .at(|| format!("record the job at party {}", site.id))?;
        }
        Ok(())
    }

    /// Tables that the job takes from outside itself at one party.
    fn tables(&self, site: &Site) -> Result<Vec<TableName>> {
        let mut tables = Vec::new();
        for need in self.job.spec.needs.list.iter().filter(|need| need.party.id == site.id) {
            match &need.source {
                ArtifactRef::Table(table) => tables.push(table.clone()),
                ArtifactRef::JobOutput { job_id, producer_task, output_artifact_key } => {
                    let outputs = match Records::new(&site.home).data(job_id, &need.party.role, producer_task)
                    {
                        // gone with its job: the task that needs it reports that
                        Err(error) if error.kind() == ErrorKind::NotFound => continue,
                        outputs => outputs?,
                    };
                    let named = outputs.into_iter().filter(|(key, _)| key == output_artifact_key);
                    tables.extend(named.map(|(_, table)| table));
                }
                ArtifactRef::TaskOutput { .. } | ArtifactRef::ModelWarehouse { .. } => {}
            }
        }
        tables.sort_by_key(TableName::to_string);
        tables.dedup();
        Ok(tables)
    }

    /// Waits until nothing runs any more, then reports.
    async fn end(mut self, outcome: Outcome) -> Result<JobReport> {
        while !self.running.is_empty() {
            let Some((task, end)) = self.ends.1.recv().await else { break };
            self.ended(task, end);
        }
        let recorded = self.record_job(outcome.into(), Some(now_ms()));
        let position = |report: &TaskReport| self.names.iter().position(|name| *name == report.task);
        self.reports.sort_by_cached_key(|r| (position(r), r.attempt, r.party.clone()));
        let report = JobReport {
            job: self.job.id,
            outcome,
            model: self.model,
            elapsed: self.began.elapsed(),
            tasks: self.reports,
            failure: self.failure.filter(|_| outcome == Outcome::Failed),
        };
        (self.watcher)(&Event::JobEnded(report.clone()));
        recorded.map(|()| report)
    }
}

/// What parties must agree on: the job, and the versions of all kernels that compute it.
fn job_hash(canonical: &[u8], kernels: &Kernels) -> JobHash {
    JobHash::new(Sha256::new().chain_update(canonical).chain_update(kernels.fingerprint()).finalize().into())
}

type Ends<T> = (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>);

fn scheduler(spec: &JobSpec, names: &[String], placed: &Placed) -> Result<Scheduler> {
    let index: HashMap<&String, usize> = names.iter().enumerate().map(|(i, name)| (name, i)).collect();
    let node = |name: &String| {
        let task = &spec.tasks[name];
        let cores = task.parties.iter().map(|part| {
            let placement = placed.get(name, &part.party)?;
            Ok((part.party.clone(), placement.task_booked))
        });
        Ok(TaskNode {
            name: name.clone(),
            needs: task.dependent_tasks.iter().map(|need| index[need]).collect(),
            cores: cores.collect::<Result<_>>()?,
            retries: spec.conf.auto_retries,
        })
    };
    let tasks = names.iter().map(node).collect::<Result<Vec<TaskNode>>>()?;
    let cores = spec.parties.iter().map(|party| {
        let cores = placed.job_cores.get(&party.to_string()).copied().unwrap_or(0);
        (party.clone(), cores)
    });
    Ok(Scheduler::new(tasks, cores.collect()))
}
