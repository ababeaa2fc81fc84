//! What a site answers: it lets its own agent do what coordinators of other sites ask, if it consents to their jobs.
//!
//! A request that comes again is not performed again. A coordinator that is not heard of for longer than the site's patience has its
//! job ended here: cores come back, and outputs stay prepared until it is known whether they count.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;
use tributary_component::Components;
use tributary_core::federation::Post;
use tributary_core::{Error, ErrorKind, JobHash, JobId, Limits, PartyId, Result};
use tributary_document::{Position, Problem};

use super::correspondence::{Correspondence, Received};
use super::letter::{self, OfferLetter, Reply, Request};
use super::outward::{outward_booked, outward_end, outward_error, outward_settled};
use super::ping::Pings;
use crate::agent::{Agent, Answer, Objection, Offer, Part, Verdict};
use crate::event::{Event, Failure, JobReport, Watcher};
use crate::scheduler::Outcome;
use crate::site_agent::SiteAgent;
use crate::store::{JobState, JobStore};

/// Answers to one partner that are kept in case they are asked for again.
const MOST_ANSWERS: usize = 64;
/// Requests of one partner that are performed at a time.
const MOST_WORKING: usize = 256;
/// Jobs of one partner at a time.
const MOST_JOBS: usize = 64;
/// Cores that a job has booked are given back if it has not begun after this.
const LEASE: Duration = Duration::from_secs(600);
/// How often jobs are asked about that were interrupted here.
const CATCH_UP: Duration = Duration::from_secs(300);
/// How often silence is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Whether a site takes part in a job that another site offers.
#[async_trait]
pub trait Consent: fmt::Debug + Send + Sync + 'static {
    /// Looks at an offer that was read and compared with its coordinator's, and once more when the job is about to get its cores.
    /// `cores`: what it would take here.
    async fn decide(&self, from: &PartyId, offer: &Offer, cores: u32) -> Result<Consented, Refused>;
    /// Writes down what becomes of an offer, accepted or refused, before it is answered. One that cannot be written is refused.
    fn write(&self, offered: &Offered<'_>, outcome: Result<&Consented, &[String]>) -> Result<(), Refused>;
}

/// A site's consent to a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consented {
    /// What the job may have released here, at most.
    pub limits: Limits,
    /// Number of the rule that allows it, from 1; none if the operator does.
    pub grant: Option<usize>,
}

/// Which job a site offers: as it says, since not every offer can be read.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// The site.
    pub from: &'a PartyId,
    /// Id of the job.
    pub job: &'a JobId,
    /// What all are to agree on.
    pub hash: JobHash,
}

/// Why a site refuses a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// As its coordinator learns it.
    pub reason: String,
    /// What this site's operator can do about it, a line each; stays here.
    pub help: Vec<String>,
}

impl Refused {
    /// For a reason about which this site's operator can do nothing.
    pub fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), help: Vec::new() }
    }
}

/// What happens at a desk, for the process that keeps it.
#[derive(Debug)]
pub enum DeskEvent {
    /// The site takes part in a job.
    Joined(JobId, PartyId),
    /// An offer was refused.
    Refused(JobId, PartyId, Refused),
    /// A job of another coordinator ended.
    Ended(Box<JobReport>),
    /// The operator of another site ends a job that is coordinated here.
    Quit(JobId, PartyId),
    /// A site has another version of letters; the error says what to do.
    OtherVersion(PartyId, Error),
}

/// See the module.
#[derive(Debug)]
pub struct Desk {
    own: PartyId,
    agent: Arc<SiteAgent>,
    components: Components,
    consent: Arc<dyn Consent>,
    store: Arc<dyn JobStore>,
    letters: Arc<Correspondence>,
    patience: Duration,
    watcher: Shown,
    events: mpsc::UnboundedSender<DeskEvent>,
    jobs: Mutex<HashMap<JobId, Joined>>,
    answers: Mutex<HashMap<PartyId, Answers>>,
    pings: Pings,
}

struct Shown(Watcher);

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("watcher")
    }
}

/// A job that another site coordinates.
#[derive(Debug)]
struct Joined {
    coordinator: PartyId,
    offer: Offer,
    heard: Instant,
}

/// To one partner.
#[derive(Debug, Default)]
struct Answers {
    /// None while it is being worked on.
    known: HashMap<u64, Option<Arc<[u8]>>>,
    /// Of those that were answered, the oldest first.
    order: VecDeque<u64>,
}

/// What a desk is made of.
#[derive(Debug)]
pub struct DeskParts {
    /// Acts for the site.
    pub agent: Arc<SiteAgent>,
    /// The components that jobs here may name.
    pub components: Components,
    /// Which jobs it takes part in.
    pub consent: Arc<dyn Consent>,
    /// What was decided about jobs that are coordinated here.
    pub store: Arc<dyn JobStore>,
    /// How long a coordinator may be silent.
    pub patience: Duration,
}

impl Desk {
    /// Opens the letters of a site, and answers until the last handle to the correspondence is dropped. `watcher` sees what happens
    /// at other sites in the jobs of other coordinators.
    pub fn open(
        post: Arc<dyn Post>,
        parts: DeskParts,
        watcher: Watcher,
    ) -> (Arc<Correspondence>, mpsc::UnboundedReceiver<DeskEvent>, impl Drop) {
        let (letters, received) = Correspondence::open(post);
        let (events, happened) = mpsc::unbounded_channel();
        let DeskParts { agent, components, consent, store, patience } = parts;
        let desk = Arc::new(Self {
            own: agent.site().clone(),
            agent,
            pings: Pings::new(&components),
            components,
            consent,
            store,
            letters: letters.clone(),
            patience,
            watcher: Shown(watcher),
            events,
            jobs: Mutex::default(),
            answers: Mutex::default(),
        });
        struct Works(tokio::task::JoinHandle<()>);
        impl Drop for Works {
            fn drop(&mut self) {
                self.0.abort();
            }
        }
        (letters, happened, Works(tokio::spawn(desk.work(received))))
    }

    async fn work(self: Arc<Self>, mut received: mpsc::Receiver<Received>) {
        let (mut look, mut catch_up) = (tokio::time::interval(LOOK), tokio::time::interval(CATCH_UP));
        loop {
            // What has come counts before silence does.
            tokio::select! {
                biased;
                letter = received.recv() => match letter {
                    Some(Received::Request { from, number, request }) => self.take(from, number, request),
                    Some(Received::Event { from, job, event }) => self.show(&from, &job, &event),
                    Some(Received::Beat { from, job }) => { self.hear(&from, &job); }
                    Some(Received::OtherVersion { from, theirs }) => {
                        let error = letter::other_version(&from, theirs);
                        drop(self.events.send(DeskEvent::OtherVersion(from, error)));
                    }
                    None => return,
                },
                _ = look.tick() => self.give_up_silent().await,
                _ = catch_up.tick() => self.catch_up(),
            }
        }
    }

    /// Performs a request, unless it came before. Never waits: a partner whose line is slow delays no other.
    fn take(self: &Arc<Self>, from: PartyId, number: u64, request: Request) {
        if let Request::Ping { back, .. } = request {
            return self.pings.answer(&self.letters, from, number, back);
        }
        let desk = self.clone();
        let known = {
            let mut answers = self.answers();
            let of_partner = answers.entry(from.clone()).or_default();
            match of_partner.known.get(&number) {
                Some(known) => Some(known.clone()),
                // one that is not taken is sent again
                None if of_partner.known.len() - of_partner.order.len() >= MOST_WORKING => return,
                None => {
                    of_partner.known.insert(number, None);
                    None
                }
            }
        };
        tokio::spawn(async move {
            match known {
                Some(Some(answer)) => drop(desk.letters.reply(&from, &answer).await),
                Some(None) => desk.working(&from, number).await,
                None => desk.answer(from, number, request).await,
            }
        });
    }

    async fn answer(&self, from: PartyId, number: u64, request: Request) {
        if matches!(request, Request::Run(_)) {
            self.working(&from, number).await;
        }
        let (reply, event) = self.perform(&from, request).await.unwrap_or_else(|error| {
            // Of an error the partner learns what was written for it.
            (Reply::Failed(outward_error(&self.own, error)), None)
        });
        if let Err(too_long) = self.reply(&from, number, reply).await {
            drop(self.reply(&from, number, Reply::Failed(too_long.at("answer"))).await);
        }
        // Only now, since whoever waits for the event may leave then.
        if let Some(event) = event {
            drop(self.events.send(event));
        }
    }

    /// Sends an answer, and keeps it in case it is asked for again. `InvalidInput` for one that no letter can hold.
    async fn reply(&self, to: &PartyId, number: u64, reply: Reply) -> Result<()> {
        let answer: Arc<[u8]> = letter::reply(number, reply)?.into();
        self.keep(to, number, answer.clone());
        self.letters.reply(to, &answer).await
    }

    async fn working(&self, to: &PartyId, number: u64) {
        if let Ok(answer) = letter::reply(number, Reply::Working) {
            drop(self.letters.reply(to, &answer).await);
        }
    }

    fn keep(&self, from: &PartyId, number: u64, answer: Arc<[u8]>) {
        let mut answers = self.answers();
        let of_partner = answers.entry(from.clone()).or_default();
        if of_partner.known.insert(number, Some(answer)).flatten().is_none() {
            of_partner.order.push_back(number);
        }
        if of_partner.order.len() > MOST_ANSWERS
            && let Some(oldest) = of_partner.order.pop_front()
        {
            of_partner.known.remove(&oldest);
        }
    }

    async fn perform(&self, from: &PartyId, request: Request) -> Result<(Reply, Option<DeskEvent>)> {
        let job = match &request {
            Request::Book(job, _) | Request::Unbook(job) | Request::Begin(job) => job,
            Request::Run(part) | Request::Stop(part) | Request::Settle(part, _) => &part.job,
            Request::End(report) => &report.job,
            Request::Offer(letter) => {
                let (answer, event) = self.offered(from, letter).await?;
                return Ok((Reply::Answer(answer), event));
            }
            Request::Standing(job, parts) => return Ok((self.standing(from, job, parts).await?, None)),
            Request::Quit(job) => {
                return Ok((Reply::Done, Some(DeskEvent::Quit(job.clone(), from.clone()))));
            }
            // Answered where it came.
            Request::Ping { .. } => return Ok((Reply::Unknown, None)),
        };
        if !self.hear(from, job) {
            return Ok((Reply::Unknown, None));
        }
        let reply = match request {
            Request::Book(job, leaves) => {
                self.still_consents(from, &job).await?;
                Reply::Booked(outward_booked(self.agent.book(&job, &leaves).await?))
            }
            Request::Unbook(job) => self.agent.unbook(&job).await.map(|()| Reply::Done)?,
            Request::Begin(job) => self.agent.begin(&job).await.map(|()| Reply::Done)?,
            Request::Run(part) => Reply::Ended(Box::new(outward_end(&self.own, self.agent.run(&part).await))),
            Request::Stop(part) => {
                self.agent.stop(&part).await;
                Reply::Done
            }
            Request::Settle(part, verdict) => {
                let settled = self.agent.settle(&part, &verdict).await;
                Reply::Settled(Box::new(outward_settled(&self.own, settled)))
            }
            Request::End(report) => {
                let report = Box::new(self.agent.in_own_words(*report));
                let ended = self.agent.end(&report).await;
                self.jobs().remove(&report.job);
                let failed = |error| Reply::Failed(outward_error(&self.own, error));
                let reply = ended.map_or_else(failed, |()| Reply::Done);
                return Ok((reply, Some(DeskEvent::Ended(report))));
            }
            Request::Offer(_) | Request::Standing(..) | Request::Quit(_) | Request::Ping { .. } => {
                Reply::Unknown
            }
        };
        Ok((reply, None))
    }

    async fn offered(&self, from: &PartyId, letter: &OfferLetter) -> Result<(Answer, Option<DeskEvent>)> {
        let offered = Offered { from, job: &letter.job, hash: letter.hash };
        let source = letter.source.as_bytes();
        let offer = match Offer::read(letter.job.clone(), &letter.file, source, &self.components) {
            Ok(offer) => offer,
            Err(problems) => {
                let objections = problems.list().iter().map(|problem| self.unread(problem)).collect();
                return Ok(self.object(&offered, &letter.file, objections));
            }
        };
        if let Some(objection) = self.disagrees(from, letter, &offer) {
            return Ok(self.refuse(&offered, &offer.file, Refused::because(objection)));
        }
        let consented = match self.consent.decide(from, &offer, self.agent.cores_of(&offer)).await {
            Ok(consented) => consented,
            Err(refused) => return Ok(self.refuse(&offered, &offer.file, refused)),
        };
        let answer = self.agent.offer_under(&offer, consented.limits.clone()).await?;
        if !answer.objections.is_empty() {
            let objections = match self.agent.has_own() {
                true => own_part(&self.own, &offer.file, answer.objections),
                false => answer.objections,
            };
            return Ok(self.object(&offered, &offer.file, objections));
        }
        if let Err(refused) = self.consent.write(&offered, Ok(&consented)) {
            return Ok(refusal(&self.own, &offered, &offer.file, refused));
        }
        let job = offer.job.clone();
        let mut jobs = self.jobs();
        if let Some(known) = jobs.get_mut(&job) {
            // Offered twice at once: the first one has it.
            if known.coordinator != *from || known.offer.hash != offer.hash {
                return Err(Error::new(ErrorKind::AlreadyExists, format!("another job has the id {job}")));
            }
            known.heard = Instant::now();
            return Ok((answer, None));
        }
        jobs.insert(job.clone(), Joined { coordinator: from.clone(), offer, heard: Instant::now() });
        Ok((answer, Some(DeskEvent::Joined(job, from.clone()))))
    }

    /// A job may have waited for cores for long: what allowed it may have ended since.
    async fn still_consents(&self, from: &PartyId, job: &JobId) -> Result<()> {
        let Some(offer) = self.jobs().get(job).map(|joined| joined.offer.clone()) else { return Ok(()) };
        match self.consent.decide(from, &offer, self.agent.cores_of(&offer)).await {
            Ok(_) => Ok(()),
            Err(refused) => {
                let text = format!("party {} does not allow the job any more: {}", self.own, refused.reason);
                drop(self.events.send(DeskEvent::Refused(job.clone(), from.clone(), refused)));
                Err(Error::new(ErrorKind::Denied, text))
            }
        }
    }

    /// A mistake that this site's build finds in the job file.
    fn unread(&self, problem: &Problem) -> Objection {
        let message = format!("at party {}: {}", self.own, problem.message);
        let at = Position { line: problem.line, column: problem.column };
        let problem = Problem::new(&problem.file, at, &problem.path, message, problem.help.clone());
        Objection { kind: ErrorKind::InvalidInput, problem }
    }

    /// What makes an offer another one here than at the site it comes from.
    fn disagrees(&self, from: &PartyId, letter: &OfferLetter, offer: &Offer) -> Option<String> {
        let coordinator = offer.spec.coordinator();
        let own = env!("CARGO_PKG_VERSION");
        if coordinator != *from {
            return Some(format!(
                "the job is coordinated by party {coordinator}, and party {from} offers it"
            ));
        }
        if !offer.spec.sites().contains(&self.own) {
            return Some("it has no part in the job".into());
        }
        if letter.hash != offer.hash {
            let (here, there) = (offer.hash, letter.hash);
            let why = if letter.product == own {
                "their components or kernels differ"
            } else {
                "their versions differ"
            };
            return Some(format!(
                "the job is {here} here and {there} at party {from}: {why} ({own} here, {} there); both need the same",
                tributary_core::Shown::new(&letter.product)
            ));
        }
        let jobs = self.jobs().values().filter(|job| job.coordinator == *from).count();
        if jobs >= MOST_JOBS {
            return Some(format!("party {from} has {jobs} jobs here that have not ended"));
        }
        let taken = self
            .jobs()
            .get(&offer.job)
            .is_some_and(|job| job.offer.hash != offer.hash || job.coordinator != *from);
        taken.then(|| format!("another job has the id {}", offer.job))
    }

    /// Refuses a job for a reason that has no place in its file.
    fn refuse(&self, offered: &Offered<'_>, file: &str, refused: Refused) -> (Answer, Option<DeskEvent>) {
        let written = self.consent.write(offered, Err(std::slice::from_ref(&refused.reason)));
        refusal(&self.own, offered, file, written.err().unwrap_or(refused))
    }

    /// Refuses a job for what this site has against it, with the places in the file. How to mend it at this site stays here: it may name
    /// other tables.
    fn object(
        &self,
        offered: &Offered<'_>,
        file: &str,
        mut objections: Vec<Objection>,
    ) -> (Answer, Option<DeskEvent>) {
        let reasons: Vec<String> =
            objections.iter().map(|objection| objection.problem.message.clone()).collect();
        if let Err(refused) = self.consent.write(offered, Err(&reasons)) {
            return refusal(&self.own, offered, file, refused);
        }
        let mut help = Vec::new();
        let stays = |objection: &&mut Objection| {
            objection.kind != ErrorKind::InvalidInput || objection.problem.path.is_empty()
        };
        for objection in objections.iter_mut().filter(stays) {
            help.extend(objection.problem.help.take());
        }
        let refused = Refused { reason: reasons.join("; "), help };
        let event = DeskEvent::Refused(offered.job.clone(), offered.from.clone(), refused);
        (Answer { objections, ..Answer::default() }, Some(event))
    }

    /// Whether a site coordinates a job that this one takes part in; then it has been heard of.
    fn hear(&self, from: &PartyId, job: &JobId) -> bool {
        let mut jobs = self.jobs();
        let joined = jobs.get_mut(job).filter(|joined| joined.coordinator == *from);
        joined.map(|joined| joined.heard = Instant::now()).is_some()
    }

    /// Shows what happened at other sites; what happens at this one is shown by its own agent.
    fn show(&self, from: &PartyId, job: &JobId, event: &Event) {
        let own = match event {
            Event::TaskStarted { party, .. }
            | Event::TaskNote { party, .. }
            | Event::TaskMetric { party, .. } => party.id == self.own,
            Event::TaskEnded(report) => report.party.id == self.own,
            Event::PartyMissing { party, .. } => *party == self.own,
            _ => false,
        };
        if !self.hear(from, job) || own {
            return;
        }
        let task = match event {
            Event::TaskStarted { task, .. }
            | Event::TaskWaiting { task, .. }
            | Event::TaskRetried { task, .. } => task,
            Event::TaskEnded(report) => &report.task,
            _ => return (self.watcher.0)(event),
        };
        // Of tasks that the job does not have nothing is shown.
        let known = self.jobs().get(job).is_some_and(|joined| joined.offer.spec.tasks.contains_key(task));
        if known {
            (self.watcher.0)(event);
        }
    }

    /// How a job stands that is or was coordinated here, for a site that was away.
    async fn standing(&self, from: &PartyId, job: &JobId, parts: &[Part]) -> Result<Reply> {
        if !self.agent.sites_of(job)?.contains(from) || parts.iter().any(|part| part.party.id != *from) {
            let text =
                format!("party {from} asks about outputs of other parties, or has no part in job {job}");
            return Err(Error::new(ErrorKind::Denied, text));
        }
        let state = JobState::of(&self.store.history(job).await?);
        let verdicts = parts.iter().map(|part| state.verdict(&part.task, part.attempt)).collect();
        Ok(Reply::Standing(state.ended.map(|(outcome, _)| outcome), verdicts))
    }

    /// Asks how the jobs stand that this site was away from, and does what was decided.
    fn catch_up(self: &Arc<Self>) {
        for (job, coordinator) in self.agent.interrupted().unwrap_or_default() {
            if coordinator == self.own || self.jobs().contains_key(&job) {
                continue;
            }
            let desk = self.clone();
            // A coordinator that is not there now is asked again later.
            tokio::spawn(async move { drop(desk.catch_up_with(&coordinator, &job).await) });
        }
    }

    async fn catch_up_with(&self, coordinator: &PartyId, job: &JobId) -> Result<()> {
        let parts = self.agent.prepared(job)?;
        let request = Request::Standing(job.clone(), parts.clone());
        let Reply::Standing(outcome, verdicts) =
            self.letters.ask(coordinator, request, CATCH_UP.min(self.patience), &|_| {}).await?
        else {
            return Ok(());
        };
        if outcome.is_none() || self.jobs().contains_key(job) {
            return Ok(()); // the job goes on, and is offered again
        }
        for (part, record) in parts.iter().zip(verdicts) {
            let verdict = if record == Some(true) { Verdict::Record } else { Verdict::Discard(None) };
            self.agent.settle_part(part, &verdict).await;
        }
        outcome.map_or(Ok(()), |outcome| self.agent.ended_away(job, outcome, coordinator))
    }

    /// Ends the jobs here whose coordinators have not been heard of for too long.
    async fn give_up_silent(&self) {
        let jobs: Vec<JobId> = self.jobs().keys().cloned().collect();
        jobs.iter().for_each(|job| self.agent.unbook_idle(job, LEASE));
        let silent: Vec<(JobId, PartyId, Offer)> = {
            let jobs = self.jobs();
            let silent = jobs.iter().filter(|(_, joined)| joined.heard.elapsed() > self.patience);
            silent
                .map(|(job, joined)| (job.clone(), joined.coordinator.clone(), joined.offer.clone()))
                .collect()
        };
        for (job, coordinator, offer) in silent {
            let seconds = self.patience.as_secs();
            let failure = Failure {
                task: String::new(),
                party: None,
                cause: format!(
                    "party {coordinator}, which coordinates the job, was not heard of for {seconds} s"
                ),
                kind: ErrorKind::Timeout,
                log: String::new(),
            };
            let report = JobReport {
                job: job.clone(),
                outcome: Outcome::Failed,
                model: offer.model(),
                elapsed: Duration::ZERO,
                tasks: Vec::new(),
                failure: Some(failure),
            };
            // One that cannot be recorded is shown as failed once this process is gone.
            drop(self.agent.end(&report).await);
            self.jobs().remove(&job);
            drop(self.events.send(DeskEvent::Ended(Box::new(report))));
        }
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobId, Joined>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<PartyId, Answers>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a site that keeps something to itself about its part says of objections to it: that there are some. They stay here.
fn own_part(own: &PartyId, file: &str, objections: Vec<Objection>) -> Vec<Objection> {
    let kind = objections.first().map_or(ErrorKind::InvalidInput, |objection| objection.kind);
    let message =
        format!("what party {own} keeps to itself about its part cannot be met; its operator sees why");
    let help: Vec<String> = objections.iter().map(|objection| objection.problem.to_string()).collect();
    vec![Objection { kind, problem: Problem::new(file, Position::WHOLE, "", message, Some(help.join("; "))) }]
}

fn refusal(
    own: &PartyId,
    offered: &Offered<'_>,
    file: &str,
    refused: Refused,
) -> (Answer, Option<DeskEvent>) {
    let message = format!("party {own} refuses the job: {}", refused.reason);
    let problem = Problem::new(file, Position::WHOLE, "", message, None);
    let objections = vec![Objection { kind: ErrorKind::Denied, problem }];
    let event = DeskEvent::Refused(offered.job.clone(), offered.from.clone(), refused);
    (Answer { objections, ..Answer::default() }, Some(event))
}
