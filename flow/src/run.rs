//! Runs a whole job with all its parties in this process: performs what the scheduler decides, and records what happens.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tributary_components::Component;
use tributary_core::federation::{Direction, Traffic};
use tributary_core::placement::Placement;
use tributary_core::{Error, ErrorKind, JobId, Party, PartyId, Result, ResultExt, Site};

use crate::clock::now_ms;
use crate::event::{Event, Failure, Report, TaskReport, Watcher};
use crate::executor::{Attempt, Given};
use crate::log::TaskLog;
use crate::place::{Placed, place, site};
use crate::record::{JobRecord, Records, TaskRecord};
use crate::scheduler::{Action, Event as Change, Outcome, Scheduler, TaskNode, TaskState};
use crate::spec::{JobSpec, TaskSpec};

/// A task without a time-out of its own is given this long: FATE's default, three days.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(259_200);

/// Once one party has failed, the others hear of it over the federation and end by themselves; a party that is busy, or that
/// never met the one that failed, is stopped after this.
const GRACE: Duration = Duration::from_secs(2);

/// A job ready to run.
#[derive(Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What to run.
    pub spec: JobSpec,
    /// The parties' sites.
    pub sites: BTreeMap<PartyId, Site>,
    /// The components of this binary.
    pub components: Vec<Arc<dyn Component>>,
}

impl Job {
    /// Runs to the end, or until `cancel` is ready. An error means that the job could not begin; a job that failed
    /// is a [`Report`].
    pub async fn run(self, watcher: Watcher, cancel: impl Future<Output = ()>) -> Result<Report> {
        let mut runner = Runner::new(self, watcher)?;
        runner.begin()?;
        let mut cancel = std::pin::pin!(cancel);
        let mut change = Change::Begin;
        loop {
            if let Some(outcome) = runner.perform(change)? {
                return runner.end(outcome);
            }
            change = tokio::select! {
                ended = runner.next() => ended?,
                () = &mut cancel => Change::Cancel,
            };
        }
    }
}

/// One party's end of one attempt.
struct PartyEnd {
    task: usize,
    attempt: u32,
    party: Party,
    outcome: Result<()>,
    given: Given,
    elapsed: Duration,
    log: TaskLog,
}

/// An attempt of all parties that runs.
struct Running {
    waiting: HashMap<Party, (AbortHandle, Instant, TaskLog)>,
    failures: Vec<(Party, Error, TaskLog)>,
    stop_at: Option<Instant>,
}

struct Runner {
    job: Job,
    names: Vec<String>,
    placed: Placed,
    scheduler: Scheduler,
    watcher: Watcher,
    running: HashMap<usize, Running>,
    ends: (mpsc::UnboundedSender<PartyEnd>, mpsc::UnboundedReceiver<PartyEnd>),
    model: (String, String),
    plan_hash: [u8; 32],
    began: Instant,
    began_ms: u64,
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
        let model_id = conf.model_id.clone().unwrap_or_else(|| job.id.to_string());
        let model_version = conf.model_version.clone().unwrap_or_else(|| "0".into());
        Ok(Self {
            plan_hash: Sha256::digest(&canonical).into(),
            model: (model_id, model_version),
            names,
            placed,
            scheduler,
            watcher,
            running: HashMap::new(),
            ends: mpsc::unbounded_channel(),
            began: Instant::now(),
            began_ms: now_ms(),
            reports: Vec::new(),
            failure: None,
            told: HashMap::new(),
            job,
        })
    }

    fn begin(&self) -> Result<()> {
        if self.job.spec.conf.inheritance.is_some() {
            let text = "dag.conf.inheritance is not supported yet; run the job without it";
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        self.record_job("running", None)?;
        let task = |name: &String| {
            let spec = &self.job.spec.tasks[name];
            let parties = spec.parties.iter().map(|p| p.party.clone()).collect();
            (name.clone(), spec.component.clone(), parties)
        };
        let tasks = self.names.iter().map(task).collect();
        (self.watcher)(&Event::JobStarted { job: self.job.id.clone(), tasks });
        Ok(())
    }

    /// Lets the scheduler decide and does what it says.
    fn perform(&mut self, change: Change) -> Result<Option<Outcome>> {
        let mut outcome = None;
        for action in self.scheduler.on(change) {
            match action {
                Action::Start { task, attempt } => self.start(task, attempt)?,
                Action::Stop(task) => self.stop(task),
                Action::End(end) => outcome = Some(end),
            }
        }
        self.tell_waiting();
        Ok(outcome)
    }

    /// Tells why tasks wait, each reason once.
    fn tell_waiting(&mut self) {
        for (task, state) in self.scheduler.states().iter().enumerate() {
            let TaskState::Waiting(reason) = state else { continue };
            let reason = reason.to_string();
            if self.told.get(&task) != Some(&reason) {
                (self.watcher)(&Event::TaskWaiting { task: self.names[task].clone(), reason: reason.clone() });
                self.told.insert(task, reason);
            }
        }
    }

    fn start(&mut self, task: usize, attempt: u32) -> Result<()> {
        let name = self.names[task].clone();
        let spec = self.job.spec.tasks[&name].clone();
        let mut running = Running { waiting: HashMap::new(), failures: Vec::new(), stop_at: None };
        for part in &spec.parties {
            let site = site(&self.job.sites, &part.party.id)?;
            let folder = Records::new(&site.home).task_folder(&self.job.id, &part.party.role, &name)?;
            let log = TaskLog::open(&folder)?;
            let placement = self.placed.get(&name, &part.party)?.clone();
            self.tell_started(&name, &part.party, attempt, &placement, &log);
            let work = self.attempt(&spec, part, attempt, placement, log.clone())?;
            let handle = self.spawn(task, attempt, part.party.clone(), work, log.clone());
            running.waiting.insert(part.party.clone(), (handle, Instant::now(), log));
        }
        self.running.insert(task, running);
        Ok(())
    }

    fn tell_started(&self, task: &str, party: &Party, attempt: u32, placement: &Placement, log: &TaskLog) {
        log.line(&format!("attempt {attempt} of {task} at {party}"));
        placement.reasons.iter().for_each(|reason| log.line(reason));
        (self.watcher)(&Event::TaskStarted {
            task: task.into(),
            party: party.clone(),
            attempt,
            placement: placement.clone(),
        });
    }

    fn attempt(
        &self,
        spec: &TaskSpec,
        part: &crate::spec::PartyTask,
        attempt: u32,
        placement: Placement,
        log: TaskLog,
    ) -> Result<Attempt> {
        let component = self.job.components.iter().find(|c| c.definition().name == spec.component);
        let component = component.ok_or_else(|| Error::bug(format!("no component {}", spec.component)))?;
        let (watcher, name, party) = (self.watcher.clone(), spec.name.clone(), part.party.clone());
        let note = log.clone();
        let progress = Arc::new(move |text: &str| {
            note.line(text);
            watcher(&Event::TaskNote { task: name.clone(), party: party.clone(), text: text.into() });
        });
        let timeout = part.conf.timeout_seconds.map_or(DEFAULT_TIMEOUT, |s| Duration::from_secs(u64::from(s)));
        Ok(Attempt {
            job: self.job.id.clone(),
            model: self.model.clone(),
            name: spec.name.clone(),
            stage: spec.stage,
            task: part.clone(),
            parties: spec.parties.iter().map(|p| p.party.clone()).collect(),
            attempt,
            component: component.clone(),
            site: site(&self.job.sites, &part.party.id)?.clone(),
            placement,
            plan_hash: self.plan_hash,
            timeout,
            progress,
        })
    }

    fn spawn(&self, task: usize, attempt: u32, party: Party, work: Attempt, log: TaskLog) -> AbortHandle {
        let ends = self.ends.0.clone();
        let began = Instant::now();
        let work = tokio::spawn(work.run());
        let handle = work.abort_handle();
        tokio::spawn(async move {
            let (outcome, given) = match work.await {
                Ok(done) => done,
                Err(stopped) if stopped.is_cancelled() => return,
                Err(_) => (Err(Error::bug("the task panicked")), Given::default()),
            };
            let end = PartyEnd { task, attempt, party, outcome, given, elapsed: began.elapsed(), log };
            // Nobody listens any more once the job is over.
            drop(ends.send(end));
        });
        handle
    }

    /// The next change of the job's state: waits for parties until an attempt has ended at all of them.
    async fn next(&mut self) -> Result<Change> {
        loop {
            let first_stop = self.running.iter().filter_map(|(task, r)| Some((r.stop_at?, *task))).min();
            let end = match first_stop {
                None => self.ends.1.recv().await,
                Some((at, task)) => match tokio::time::timeout_at(at.into(), self.ends.1.recv()).await {
                    Ok(end) => end,
                    Err(_) => {
                        self.stop_parties(task);
                        return self.ended(task);
                    }
                },
            };
            let end = end.ok_or_else(|| Error::bug("no task is left to end"))?;
            let Some(running) = self.running.get_mut(&end.task) else { continue };
            running.waiting.remove(&end.party);
            let task = end.task;
            self.report(end)?;
            let done = self.running.get(&task).is_some_and(|r| r.waiting.is_empty());
            if done {
                return self.ended(task);
            }
        }
    }

    fn report(&mut self, end: PartyEnd) -> Result<()> {
        let status = match &end.outcome {
            Ok(()) => "success",
            Err(_) => "failed",
        };
        let error = end.outcome.as_ref().err().map(Error::chain);
        end.log.line(&error.clone().map_or("done".to_string(), |e| format!("failed: {e}")));
        self.record_task(end.task, end.attempt, &end.party, status, end.elapsed, &end.given, error)?;
        if let (Err(error), Some(running)) = (end.outcome, self.running.get_mut(&end.task)) {
            running.failures.push((end.party, error, end.log));
            running.stop_at.get_or_insert_with(|| Instant::now() + GRACE);
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "the columns of one record")]
    fn record_task(
        &mut self,
        task: usize,
        attempt: u32,
        party: &Party,
        status: &'static str,
        elapsed: Duration,
        given: &Given,
        error: Option<String>,
    ) -> Result<()> {
        let name = &self.names[task];
        let component = self.job.spec.tasks[name].component.clone();
        let now = now_ms();
        let record = TaskRecord {
            task: name.clone(),
            component: component.clone(),
            party: party.clone(),
            attempt,
            status: status.into(),
            started_ms: now - (elapsed.as_millis() as u64).min(now),
            ended_ms: now,
            rows: given.rows,
            traffic: given.traffic.clone(),
            error: error.clone(),
        };
        let home = &site(&self.job.sites, &party.id)?.home;
        Records::new(home).write_task(&self.job.id, &record)?;
        let report = TaskReport {
            task: name.clone(),
            component,
            party: party.clone(),
            attempt,
            status,
            elapsed,
            rows: given.rows,
            bytes_sent: given.traffic.bytes(Direction::Sent),
            bytes_received: given.traffic.bytes(Direction::Received),
            rounds: given.traffic.rounds,
            error,
        };
        (self.watcher)(&Event::TaskEnded(report.clone()));
        self.reports.push(report);
        Ok(())
    }

    fn ended(&mut self, task: usize) -> Result<Change> {
        let running = self.running.remove(&task).ok_or_else(|| Error::bug("an attempt ends once"))?;
        let Some((party, error, log)) = first_cause(running.failures) else {
            return Ok(Change::Succeeded(task));
        };
        let retryable = worth_retrying(&error);
        let attempts = self.reports.iter().filter(|r| r.task == self.names[task] && r.party == party).count();
        if retryable && attempts <= self.job.spec.conf.auto_retries as usize {
            let (task, error) = (self.names[task].clone(), error.chain());
            (self.watcher)(&Event::TaskRetried { task, attempt: attempts as u32, error });
        } else {
            let (task, cause) = (self.names[task].clone(), error.chain());
            self.failure = Some(Failure { task, party, cause, log: log.path().display().to_string() });
        }
        Ok(Change::Failed { task, retryable })
    }

    fn stop(&mut self, task: usize) {
        self.stop_parties(task);
        self.running.remove(&task);
    }

    /// Stops what runs of a task: dropping an action cancels it, and engines free what a dropped session held.
    fn stop_parties(&mut self, task: usize) {
        let Some(running) = self.running.get_mut(&task) else { return };
        for (party, (handle, began, log)) in std::mem::take(&mut running.waiting) {
            handle.abort();
            log.line("stopped");
            let nothing = Given { rows: 0, traffic: Traffic::default() };
            let recorded = self.record_task(task, 0, &party, "canceled", began.elapsed(), &nothing, None);
            if let Err(error) = recorded {
                log.line(&format!("not recorded: {}", error.chain()));
            }
        }
    }

    fn record_job(&self, status: &str, ended_ms: Option<u64>) -> Result<()> {
        let spec = serde_json::to_value(&self.job.spec).map_err(|e| Error::bug("encode the job").because(e))?;
        for site in self.job.sites.values() {
            let record = JobRecord {
                job: self.job.id.clone(),
                model_id: self.model.0.clone(),
                model_version: self.model.1.clone(),
                status: status.into(),
                started_ms: self.began_ms,
                ended_ms,
                spec: spec.clone(),
            };
            Records::new(&site.home).write_job(&record).at(|| format!("record the job at party {}", site.id))?;
        }
        Ok(())
    }

    fn end(self, outcome: Outcome) -> Result<Report> {
        self.record_job(outcome.as_str(), Some(now_ms()))?;
        let report = Report {
            job: self.job.id,
            outcome,
            model_id: self.model.0,
            model_version: self.model.1,
            elapsed: self.began.elapsed(),
            tasks: self.reports,
            failure: self.failure,
        };
        (self.watcher)(&Event::JobEnded(report.clone()));
        Ok(report)
    }
}

/// The failure that brought down the others: a party that only says that another failed is not it.
fn first_cause(failures: Vec<(Party, Error, TaskLog)>) -> Option<(Party, Error, TaskLog)> {
    let (caused, own): (Vec<_>, Vec<_>) = failures.into_iter().partition(|f| f.1.kind() == ErrorKind::Cancelled);
    own.into_iter().chain(caused).next()
}

/// Whether the same attempt may go better next time. Wrong input stays wrong.
fn worth_retrying(error: &Error) -> bool {
    use ErrorKind as K;
    !matches!(error.kind(), K::InvalidInput | K::NotFound | K::AlreadyExists | K::Unsupported | K::Denied)
}

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
