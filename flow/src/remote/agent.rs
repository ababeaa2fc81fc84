//! An agent at another site, as its coordinator sees it.
//!
//! A site whose process has started again does not know the job any more. Then it is offered once more, and the part that was running
//! is lost: the coordinator starts another attempt.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tributary_core::{Error, ErrorKind, JobId, Party, PartyId, Result};

use super::correspondence::Correspondence;
use super::letter::{OfferLetter, Reply, Request};
use super::outward::outward_job;
use crate::agent::{
    Agent, Answer, Booked, Leaves, Offer, Part, PartEnd, PartFailure, Settled, Verdict, refusal,
};
use crate::event::{Event, JobReport, TaskReport, Watcher};
use crate::place::Placed;

/// A site that starts again more often than this in one job is no use to it.
const MOST_RESTARTS: u32 = 100;
/// Between two requests for cores of a site that has started again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long a site that is away is waited for once its job has ended.
const ENDING: Duration = Duration::from_secs(5);

/// See the module.
pub struct RemoteAgent {
    site: PartyId,
    /// The site where this is.
    coordinator: PartyId,
    letters: Arc<Correspondence>,
    offer: Offer,
    patience: Duration,
    watcher: Watcher,
    placed: Mutex<Placed>,
    leaves: Mutex<Leaves>,
    restarts: AtomicU32,
}

impl RemoteAgent {
    /// The agent of a site, for one job. `patience`: how long the site may be silent. `watcher` sees what becomes of its parts.
    pub fn new(
        site: PartyId,
        letters: Arc<Correspondence>,
        offer: Offer,
        patience: Duration,
        watcher: Watcher,
    ) -> Self {
        let coordinator = offer.spec.coordinator();
        Self {
            site,
            coordinator,
            letters,
            offer,
            patience,
            watcher,
            placed: Mutex::default(),
            leaves: Mutex::default(),
            restarts: AtomicU32::new(0),
        }
    }

    async fn ask(&self, request: Request) -> Result<Reply> {
        let missing = |silent: Duration| {
            (self.watcher)(&Event::PartyMissing { party: self.site.clone(), seconds: silent.as_secs() });
        };
        match self.letters.ask(&self.site, request, self.patience, &missing).await? {
            Reply::Failed(error) => Err(error),
            reply => Ok(reply),
        }
    }

    fn wrong(&self, reply: &Reply) -> Error {
        let text = format!("party {} answered with {reply:?}, which is no answer to that", self.site);
        Error::new(ErrorKind::Corrupt, text.chars().take(500).collect::<String>())
    }

    async fn ask_offer(&self) -> Result<Answer> {
        let Offer { job, file, source, hash, .. } = &self.offer;
        let source = String::from_utf8_lossy(source).into_owned();
        let product = env!("CARGO_PKG_VERSION").to_owned();
        let letter = OfferLetter { job: job.clone(), file: file.clone(), source, hash: *hash, product };
        match self.ask(Request::Offer(Box::new(letter))).await? {
            Reply::Answer(answer) => self.checked(answer),
            other => Err(self.wrong(&other)),
        }
    }

    /// An answer places each part of its own site once, within the cores of its own parties; unless it objects, then it places none.
    fn checked(&self, mut answer: Answer) -> Result<Answer> {
        if !answer.objections.is_empty() {
            answer.placed = Placed::default();
            return Ok(answer);
        }
        let tasks = self.offer.spec.tasks.values();
        let parts = tasks.flat_map(|task| task.parties.iter().map(move |part| (task, &part.party)));
        let own: Vec<_> = parts.filter(|(_, party)| party.id == self.site).collect();
        let cores = |party: &Party| answer.placed.job_cores.get(&party.to_string()).copied().unwrap_or(0);
        let is_placed = |name: &str, party: &Party| {
            let placed = answer.placed.tasks.iter().filter(|p| p.task == name && p.party == *party);
            placed.map(|p| p.placement.task_booked <= cores(party)).collect::<Vec<_>>() == [true]
        };
        let known = |name: &String| own.iter().any(|(_, party)| party.to_string() == *name);
        let fits = answer.placed.tasks.len() == own.len()
            && answer.placed.job_cores.keys().all(known)
            && own.iter().all(|(task, party)| is_placed(&task.name, party));
        if !fits {
            let count = own.len();
            let text = format!("party {} did not say where each of its {count} parts would run", self.site);
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        answer.placed.clone_into(&mut self.placed.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(answer)
    }

    /// Offers the job again to a site that has started again.
    async fn introduce(&self) -> Result<()> {
        let began = Instant::now();
        if self.restarts.fetch_add(1, Ordering::Relaxed) >= MOST_RESTARTS {
            return Err(self.restless());
        }
        let leaves = self.leaves.lock().unwrap_or_else(PoisonError::into_inner).clone();
        while let Booked::NotYet(reason) = self.book(&self.offer.job, &leaves).await? {
            if began.elapsed() > self.patience {
                let text = format!("party {} has other jobs since it started again: {reason}", self.site);
                return Err(Error::new(ErrorKind::Timeout, text));
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
        match self.ask(Request::Begin(self.offer.job.clone())).await? {
            Reply::Done => Ok(()),
            other => Err(self.wrong(&other)),
        }
    }

    fn restless(&self) -> Error {
        Error::new(ErrorKind::Unavailable, format!("party {} starts again and again", self.site))
    }

    /// Asks for something that has no result, of a site that may have started again.
    async fn ask_done(&self, request: impl Fn() -> Request) -> Result<()> {
        for _ in 0..2 {
            match self.ask(request()).await? {
                Reply::Done => return Ok(()),
                Reply::Unknown => self.introduce().await?,
                other => return Err(self.wrong(&other)),
            }
        }
        Err(self.restless())
    }

    async fn try_run(&self, part: &Part) -> Result<PartEnd> {
        match self.ask(Request::Run(part.clone())).await? {
            Reply::Ended(end) => {
                // Only a site that has forgotten the job has lost the part.
                let failure = end.failure.map(|failure| PartFailure { lost: false, ..failure });
                Ok(PartEnd { report: named(end.report, part), failure })
            }
            Reply::Unknown => {
                self.introduce().await?;
                let text = format!("the process of party {} has started again", self.site);
                let error = Error::new(ErrorKind::Unavailable, text);
                let end = PartEnd::failed(TaskReport::of(part, "", Duration::ZERO), error, String::new());
                let failure = end.failure.map(|failure| PartFailure { lost: true, ..failure });
                Ok(PartEnd { report: end.report, failure })
            }
            other => Err(self.wrong(&other)),
        }
    }

    async fn try_settle(&self, part: &Part, verdict: &Verdict) -> Result<Settled> {
        for _ in 0..2 {
            match self.ask(Request::Settle(part.clone(), verdict.clone())).await? {
                Reply::Settled(settled) => {
                    return Ok(Settled { report: named(settled.report, part), error: settled.error });
                }
                Reply::Unknown => self.introduce().await?,
                other => return Err(self.wrong(&other)),
            }
        }
        Err(self.restless())
    }
}

/// A report is about the part that was asked for, whatever it says.
fn named(report: TaskReport, part: &Part) -> TaskReport {
    let Part { task, party, attempt, .. } = part.clone();
    TaskReport { task, party, attempt, ..report }
}

#[async_trait]
impl Agent for RemoteAgent {
    fn site(&self) -> &PartyId {
        &self.site
    }

    async fn offer(&self, _: &Offer) -> Result<Answer> {
        self.ask_offer().await
    }

    async fn book(&self, job: &JobId, leaves: &Leaves) -> Result<Booked> {
        leaves.clone_into(&mut self.leaves.lock().unwrap_or_else(PoisonError::into_inner));
        for _ in 0..2 {
            match self.ask(Request::Book(job.clone(), leaves.clone())).await? {
                Reply::Booked(booked) => return Ok(booked),
                Reply::Unknown => refusal(self.ask_offer().await?.objections)?,
                other => return Err(self.wrong(&other)),
            }
        }
        Err(self.restless())
    }

    async fn unbook(&self, job: &JobId) -> Result<()> {
        self.ask_done(|| Request::Unbook(job.clone())).await
    }

    async fn begin(&self, job: &JobId) -> Result<()> {
        self.ask_done(|| Request::Begin(job.clone())).await
    }

    async fn run(&self, part: &Part) -> PartEnd {
        let began = Instant::now();
        let placed = self.placed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Ok(placement) = placed.get(&part.task, &part.party) {
            let (task, party, attempt) = (part.task.clone(), part.party.clone(), part.attempt);
            (self.watcher)(&Event::TaskStarted { task, party, attempt, placement: placement.clone() });
        }
        let end = self.try_run(part).await.unwrap_or_else(|error| {
            PartEnd::failed(TaskReport::of(part, "", began.elapsed()), error, String::new())
        });
        if end.failure.is_some() {
            (self.watcher)(&Event::TaskEnded(end.report.clone()));
        }
        end
    }

    async fn stop(&self, part: &Part) {
        // A site that cannot be reached stops by itself when it has not heard of its coordinator for long enough.
        drop(tokio::time::timeout(ENDING, self.ask(Request::Stop(part.clone()))).await);
    }

    async fn settle(&self, part: &Part, verdict: &Verdict) -> Settled {
        let settled = self.try_settle(part, verdict).await;
        let settled = settled.unwrap_or_else(|error| Settled::failed(part, error));
        (self.watcher)(&Event::TaskEnded(settled.report.clone()));
        settled
    }

    async fn end(&self, report: &JobReport) -> Result<()> {
        let report = outward_job(&self.coordinator, report);
        let asked = self.ask_done(|| Request::End(Box::new(report.clone())));
        match tokio::time::timeout(self.patience.min(ENDING), asked).await {
            // It has ended the job by itself.
            Ok(Err(error)) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Ok(ended) => ended,
            // It learns how the job ended when it is back, and asks.
            Err(_) => Ok(()),
        }
    }
}

impl fmt::Debug for RemoteAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent of party {} at its own site", self.site)
    }
}
