//! Runs a job: performs what the scheduler decides, at the agents of all sites that have a part in it.
//!
//! It knows no site, engine or table; what agents say is all it sees. It writes down what it decides before it tells anyone (see
//! [`store`](crate::store)), so a coordinator that was killed continues from the last settled task.

mod attempt;
mod journal;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{join_all, try_join_all};
use tokio::sync::{mpsc, watch};
use tributary_core::{Error, ErrorKind, Party, PartyId, Result, ResultExt};

use self::attempt::{Attempt, AttemptEnd};
use self::journal::Journal;
use crate::agent::{Agent, Booked, Leaves, Objection, Offer, Part, PartFailure, Verdict, refusal};
use crate::event::{Event, Failure, JobReport, TaskReport, Watcher};
use crate::place::Placed;
use crate::scheduler::{Action, Change, Outcome, Scheduler, TaskNode, TaskState};
use crate::status::Status;
use crate::store::{JobChange, JobState, JobStore};

/// How long to wait before cores are asked for again: at first, and at most.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// How long sites may take to end a job that ended before its coordinator was interrupted.
const FINISHING: Duration = Duration::from_secs(5);

/// A job, and who takes part in it.
#[derive(Debug)]
pub struct Coordinator {
    /// The job.
    pub offer: Offer,
    /// The sites of its parties.
    pub agents: BTreeMap<PartyId, Arc<dyn Agent>>,
    /// Where its changes are kept.
    pub store: Arc<dyn JobStore>,
    /// How long a job waits for cores that other jobs have.
    pub patience: Duration,
}

impl Coordinator {
    /// Offers the job to all sites: where its tasks would run, and what any of them objects.
    async fn offer(&self) -> Result<(Placed, Vec<Objection>, Leaves)> {
        let answers = self.agents.values().map(|agent| async {
            let answer = agent.offer(&self.offer).await;
            let answer = answer.at(|| format!("offer the job to party {}", agent.site()));
            answer.map(|answer| (agent.site(), answer))
        });
        let (mut placed, mut objections, mut leaves) = (Placed::default(), Vec::new(), Leaves::new());
        for (site, answer) in try_join_all(answers).await? {
            placed.add(answer.placed);
            objections.extend(answer.objections);
            leaves.extend(answer.leaf.map(|leaf| (site.clone(), leaf)));
        }
        placed.sort(&self.offer.spec);
        Ok((placed, objections, leaves))
    }

    /// Where the tasks of the job would run, and whether any site objects.
    pub async fn explain(&self) -> Result<(Placed, Result<()>)> {
        let (placed, objections, _) = self.offer().await?;
        Ok((placed, refusal(objections)))
    }

    /// Runs to the end, or until `cancel` is ready. An error means that the job could not begin; a job that failed
    /// is a [`JobReport`].
    pub async fn run(self, watcher: Watcher, cancel: impl Future<Output = ()>) -> Result<JobReport> {
        let mut cancel = std::pin::pin!(cancel);
        let state = JobState::of(&self.store.history(&self.offer.job).await?);
        if let Some((outcome, failure)) = state.ended {
            return self.finish(&watcher, outcome, failure).await;
        }
        let mut runner = tokio::select! {
            runner = self.begin(&watcher) => runner?,
            () = &mut cancel => {
                self.leave(Outcome::Cancelled, None).await;
                return Err(Error::new(ErrorKind::Cancelled, "the job was stopped before it began"));
            }
        };
        let mut change = Change::Begin;
        loop {
            if let Some(outcome) = runner.perform(change).await {
                return runner.end(outcome).await;
            }
            // Only waiting can be interrupted: what follows an end is done in any case.
            change = tokio::select! {
                Some((task, end)) = runner.ends.1.recv() => runner.ended(task, end),
                () = &mut cancel => Change::Cancel,
            };
        }
    }

    /// Ends a job at sites where it was not ended when its coordinator was interrupted. `AlreadyExists` if there are none.
    async fn finish(
        &self,
        watcher: &Watcher,
        outcome: Outcome,
        failure: Option<Failure>,
    ) -> Result<JobReport> {
        let report = JobReport { failure, ..self.report(outcome, Duration::ZERO) };
        let end = |agent: &Arc<dyn Agent>| {
            let (agent, report) = (agent.clone(), report.clone());
            async move {
                let leaf = agent.offer(&self.offer).await?.leaf.map(|leaf| (agent.site().clone(), leaf));
                agent.book(&self.offer.job, &leaf.into_iter().collect()).await?;
                agent.begin(&self.offer.job).await?;
                agent.end(&report).await
            }
        };
        // A site that has ended it, or is away, needs nothing.
        let ends = self.agents.values().map(|agent| tokio::time::timeout(FINISHING, end(agent)));
        match join_all(ends).await.iter().any(|ended| matches!(ended, Ok(Ok(())))) {
            true => {
                watcher(&Event::JobEnded(report.clone()));
                Ok(report)
            }
            false => {
                let (job, status) = (&self.offer.job, Status::from(outcome));
                let text = format!("job {job} exists, and has ended: {status}; choose another id");
                Err(Error::new(ErrorKind::AlreadyExists, text))
            }
        }
    }

    /// Refuses what cannot work while nothing is recorded yet, then takes the job's place at every site.
    async fn begin(&self, watcher: &Watcher) -> Result<Runner<'_>> {
        let (placed, objections, leaves) = self.offer().await?;
        refusal(objections)?;
        let booked = async {
            self.book(&leaves, watcher).await?;
            let runner = Runner::new(self, watcher.clone(), placed).await?;
            let begun = self.agents.values().map(|agent| async {
                let begun = agent.begin(&self.offer.job).await;
                begun.at(|| format!("record the job at party {}", agent.site()))
            });
            try_join_all(begun).await.map(|_| runner)
        };
        let runner = match booked.await {
            Ok(runner) => runner,
            Err(error) => {
                self.leave(Outcome::Failed, Some(&error)).await;
                return Err(error);
            }
        };
        (runner.watcher)(&Event::JobStarted {
            job: self.offer.job.clone(),
            tasks: self.tasks(),
            notes: runner.placed.notes(),
        });
        Ok(runner)
    }

    /// Tasks in order, each with its component and parties.
    fn tasks(&self) -> Vec<(String, String, Vec<Party>)> {
        let task = |name: &String| {
            let spec = &self.offer.spec.tasks[name];
            let parties = spec.parties.iter().map(|p| p.party.clone()).collect();
            (name.clone(), spec.component.clone(), parties)
        };
        self.offer.spec.levels.iter().flatten().map(task).collect()
    }

    /// Books at all sites or at none, again and again while other jobs have the cores.
    async fn book(&self, leaves: &Leaves, watcher: &Watcher) -> Result<()> {
        let (began, mut pause, mut reported) = (Instant::now(), ASK_AGAIN.0, String::new());
        loop {
            let mut waits = None;
            // One after another, in the order of their ids: two jobs that ask for the same sites cannot each hold one of them.
            for agent in self.agents.values() {
                let booked = agent.book(&self.offer.job, leaves).await;
                if let Booked::NotYet(reason) = booked.at(|| format!("party {}", agent.site()))? {
                    waits = Some(format!("waits for cores at party {}: {reason}", agent.site()));
                    break;
                }
            }
            let Some(reason) = waits else { return Ok(()) };
            try_join_all(self.agents.values().map(|agent| agent.unbook(&self.offer.job))).await?;
            if began.elapsed() > self.patience {
                let text = format!("the job {reason}, for {} s", began.elapsed().as_secs());
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            if reported != reason {
                watcher(&Event::JobWaiting { reason: reason.clone() });
                reported = reason;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ASK_AGAIN.1);
        }
    }

    /// Continues a job that was interrupted: what was decided is carried out, and what was not comes to nothing.
    async fn resume(&self, state: &JobState, names: &[String], scheduler: &mut Scheduler) -> Result<()> {
        if state.hash.is_some_and(|hash| hash != self.offer.hash) {
            let text =
                format!("job {} was another one when it was interrupted; choose another id", self.offer.job);
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        let (mut done, mut tried) = (Vec::new(), Vec::new());
        for (at, name) in names.iter().enumerate() {
            let Some((attempt, record)) = state.tasks.get(name) else { continue };
            let verdict = match record {
                Some(true) => Verdict::Record,
                Some(false) | None => Verdict::Discard(None),
            };
            for part in &self.offer.spec.tasks[name].parties {
                let (job, task, party) = (self.offer.job.clone(), name.clone(), part.party.clone());
                let part = Part { job, task, party, attempt: *attempt };
                let settled = self.agent(&part.party.id)?.settle(&part, &verdict).await;
                if let Some(error) = settled.error {
                    return Err(error.at(format!("settle {part}")));
                }
            }
            tried.push((at, *attempt));
            if verdict == Verdict::Record {
                done.push(at);
            }
        }
        scheduler.resume(&done, &tried);
        Ok(())
    }

    /// Gives back what was booked for a job that has not begun, for this reason.
    async fn leave(&self, outcome: Outcome, why: Option<&Error>) {
        let failure = why.map(|error| Failure {
            task: String::new(),
            party: None,
            cause: error.chain(),
            kind: error.kind(),
            log: String::new(),
        });
        // A site that comes back later asks how the job ended.
        if let Ok((journal, state)) = Journal::open(self.store.clone(), &self.offer.job).await
            && state.revision > 0
        {
            drop(journal.append(JobChange::Ended { outcome, failure: failure.clone() }).await);
        }
        let report = JobReport { failure, ..self.report(outcome, Duration::ZERO) };
        // The failure that led here counts more.
        join_all(self.agents.values().map(|agent| agent.end(&report))).await;
    }

    fn report(&self, outcome: Outcome, elapsed: Duration) -> JobReport {
        let (job, model) = (self.offer.job.clone(), self.offer.model());
        JobReport { job, outcome, model, elapsed, tasks: Vec::new(), failure: None }
    }

    fn agent(&self, site: &PartyId) -> Result<Arc<dyn Agent>> {
        let agent = self.agents.get(site).cloned();
        agent.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("party {site} has no agent")))
    }
}

struct Runner<'a> {
    job: &'a Coordinator,
    names: Vec<String>,
    placed: Placed,
    journal: Arc<Journal>,
    scheduler: Scheduler,
    watcher: Watcher,
    /// By task: its attempt, and how to stop it.
    running: HashMap<usize, (u32, watch::Sender<bool>)>,
    ends: Ends<(usize, AttemptEnd)>,
    began: Instant,
    reports: Vec<TaskReport>,
    failure: Option<Failure>,
    /// How often each task has failed.
    failures: HashMap<usize, u32>,
    reported: HashMap<usize, String>,
}

type Ends<T> = (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>);

impl<'a> Runner<'a> {
    async fn new(job: &'a Coordinator, watcher: Watcher, placed: Placed) -> Result<Self> {
        let offer = &job.offer;
        let (journal, state) = Journal::open(job.store.clone(), &offer.job).await?;
        if state.revision == 0 {
            journal.append(JobChange::Begun { hash: offer.hash }).await?;
        }
        let names: Vec<String> = offer.spec.levels.iter().flatten().cloned().collect();
        let mut scheduler = scheduler(offer, &names, &placed)?;
        job.resume(&state, &names, &mut scheduler).await?;
        Ok(Self {
            job,
            names,
            placed,
            journal: Arc::new(journal),
            scheduler,
            watcher,
            running: HashMap::new(),
            ends: mpsc::unbounded_channel(),
            began: Instant::now(),
            reports: Vec::new(),
            failure: None,
            failures: HashMap::new(),
            reported: HashMap::new(),
        })
    }

    /// Lets the scheduler decide and does what it says.
    async fn perform(&mut self, change: Change) -> Option<Outcome> {
        let (mut outcome, mut changes) = (None, vec![change]);
        while let Some(change) = changes.pop() {
            for action in self.scheduler.on(change) {
                match action {
                    Action::Start { task, attempt } => {
                        if let Err(error) = self.start(task, attempt).await {
                            self.fail(task, None, error.into());
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
        self.report_waiting();
        outcome
    }

    /// Reports why tasks wait, each reason once.
    fn report_waiting(&mut self) {
        for (task, state) in self.scheduler.states().iter().enumerate() {
            let TaskState::Waiting(reason) = state else { continue };
            let reason = reason.to_string();
            if self.reported.get(&task) != Some(&reason) {
                (self.watcher)(&Event::TaskWaiting {
                    task: self.names[task].clone(),
                    reason: reason.clone(),
                });
                self.reported.insert(task, reason);
            }
        }
    }

    async fn start(&mut self, task: usize, attempt: u32) -> Result<()> {
        let name = self.names[task].clone();
        self.journal.append(JobChange::Started { task: name.clone(), attempt }).await?;
        let part = |party: &Party| {
            let (job, task) = (self.job.offer.job.clone(), name.clone());
            Ok((self.job.agent(&party.id)?, Part { job, task, party: party.clone(), attempt }))
        };
        let parties = self.job.offer.spec.tasks[&name].parties.iter();
        let parts = parties.map(|spec| part(&spec.party)).collect::<Result<_>>()?;
        let stop = watch::Sender::new(false);
        let (journal, ends) = (self.journal.clone(), self.ends.0.clone());
        let all = Attempt { task: name, attempt, parts, journal, stop: stop.subscribe() };
        tokio::spawn(async move {
            // The runner lives until every attempt has ended.
            drop(ends.send((task, all.run().await)));
        });
        self.running.insert(task, (attempt, stop));
        Ok(())
    }

    /// Takes an attempt's end.
    fn ended(&mut self, task: usize, end: AttemptEnd) -> Change {
        let attempt = self.running.remove(&task).map_or(0, |(attempt, _)| attempt);
        self.reports.extend(end.reports);
        let Some((party, failure)) = end.failure else { return Change::Succeeded(task) };
        if failure.lost {
            let (name, error) = (self.names[task].clone(), failure.error.chain());
            (self.watcher)(&Event::TaskRetried { task: name, attempt: attempt + 1, error });
            return Change::Lost(task);
        }
        let retryable = failure.error.is_retryable() || failure.error.kind() == ErrorKind::Io;
        let failures = self.failures.entry(task).or_default();
        *failures += 1;
        if retryable && *failures <= self.job.offer.spec.conf.auto_retries {
            let name = self.names[task].clone();
            (self.watcher)(&Event::TaskRetried {
                task: name,
                attempt: attempt + 1,
                error: failure.error.chain(),
            });
        } else {
            self.fail(task, Some(party), failure);
        }
        Change::Failed { task, retryable }
    }

    /// Remembers the first failure: it is the one that ends the job.
    fn fail(&mut self, task: usize, party: Option<Party>, failure: PartFailure) {
        let PartFailure { error, log, .. } = failure;
        let failure = || Failure {
            task: self.names[task].clone(),
            party,
            cause: error.chain(),
            kind: error.kind(),
            log,
        };
        self.failure.get_or_insert_with(failure);
    }

    /// Waits until nothing runs any more, then reports.
    async fn end(mut self, outcome: Outcome) -> Result<JobReport> {
        while !self.running.is_empty() {
            let Some((task, end)) = self.ends.1.recv().await else { break };
            self.ended(task, end);
        }
        let failure = self.failure.filter(|_| outcome == Outcome::Failed);
        let ended = self.journal.append(JobChange::Ended { outcome, failure: failure.clone() }).await;
        let position = |report: &TaskReport| self.names.iter().position(|name| *name == report.task);
        self.reports.sort_by_cached_key(|r| (position(r), r.attempt, r.party.clone()));
        let report =
            JobReport { tasks: self.reports, failure, ..self.job.report(outcome, self.began.elapsed()) };
        let recorded = join_all(self.job.agents.values().map(|agent| async {
            let ended = agent.end(&report).await;
            ended.at(|| format!("record the end of the job at party {}", agent.site()))
        }))
        .await;
        (self.watcher)(&Event::JobEnded(report.clone()));
        ended.and(recorded.into_iter().collect::<Result<()>>()).map(|()| report)
    }
}

fn scheduler(offer: &Offer, names: &[String], placed: &Placed) -> Result<Scheduler> {
    let index: HashMap<&String, usize> = names.iter().enumerate().map(|(i, name)| (name, i)).collect();
    let node = |name: &String| {
        let task = &offer.spec.tasks[name];
        let cores = task.parties.iter().map(|part| {
            let placement = placed.get(name, &part.party)?;
            Ok((part.party.clone(), placement.task_booked))
        });
        Ok(TaskNode {
            name: name.clone(),
            needs: task.dependent_tasks.iter().map(|need| index[need]).collect(),
            cores: cores.collect::<Result<_>>()?,
            retries: offer.spec.conf.auto_retries,
        })
    };
    let tasks = names.iter().map(node).collect::<Result<Vec<TaskNode>>>()?;
    let cores = offer.spec.parties.iter().map(|party| {
        let cores = placed.job_cores.get(&party.to_string()).copied().unwrap_or(0);
        (party.clone(), cores)
    });
    Ok(Scheduler::new(tasks, cores.collect()))
}
