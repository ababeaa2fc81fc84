//! One site's side of jobs: an [`Agent`] in this process, with that site's engine, tables, limits and records.
//!
//! It believes a coordinator nothing that the job file and the site's own configuration do not say: placements, tables and limits are
//! looked up here, and only parts of tasks that the job gives to this site are run.

mod part;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tributary_component::Components;
use tributary_core::{Error, ErrorKind, JobHash, JobId, Limits, Party, PartyId, Result, Site};
use tributary_document::Problem;
use tributary_system::clock::now_ms;

use crate::agent::{Agent, Answer, Booked, Leaves, Objection, Offer, Part, PartEnd, Settled, Verdict, bound};
use crate::claim::Claim;
use crate::cores::Cores;
use crate::event::{Failure, JobReport, Watcher};
use crate::fault;
use crate::limits;
use crate::lookup::{look_up, tables};
use crate::place::{Placed, place};
use crate::record::{JobRecord, Records};
use crate::scheduler::Outcome;
use crate::spec::{JobSpec, OwnPart};
use crate::status::Status;

/// How often it is looked whether a part that was stopped has ended.
const ENDING: Duration = Duration::from_millis(20);
/// How long parts may take to end once their job has.
const STOPPING: Duration = Duration::from_secs(15);

/// Parts of one job that are stopped: more than these are no job, but a coordinator that wants memory.
const MOST_STOPPED: usize = 10_000;

/// See the module.
pub struct SiteAgent {
    site: Site,
    components: Components,
    records: Records,
    watcher: Watcher,
    own: Option<OwnPart>,
    jobs: Mutex<BTreeMap<JobId, Held>>,
}

/// A job that was offered, from then until it ends.
struct Held {
    offer: Offer,
    /// The job as this site runs it: as offered, with what the site's own file says laid over it.
    spec: Arc<JobSpec>,
    /// Stands for what the own file says.
    leaf: Option<JobHash>,
    /// What this site's tasks and those of the others are bound to; known once it is booked.
    bound: JobHash,
    /// Since when it has cores; nothing of it runs before.
    booked: Option<Instant>,
    /// The site, with the limits that hold in this job.
    site: Site,
    placed: Arc<Placed>,
    /// Shows to others that this process runs the job; released only after its end is recorded.
    claim: Option<Claim>,
    began_ms: Option<u64>,
    /// Parts that run, each with how to stop it.
    running: HashMap<Part, watch::Sender<bool>>,
    /// Parts that were stopped, perhaps before they were started.
    stopped: HashSet<Part>,
}

impl Held {
    /// Whether the job gives a part to its party.
    fn has(&self, part: &Part) -> bool {
        let task = self.spec.tasks.get(&part.task);
        part.party.id == self.site.id && task.is_some_and(|task| task.party(&part.party).is_some())
    }
}

impl SiteAgent {
    /// An agent of a site. `watcher` sees what happens at it.
    pub fn new(site: Site, components: Components, watcher: Watcher) -> Self {
        let records = Records::new(&site.home);
        Self { site, components, records, watcher, own: None, jobs: Mutex::default() }
    }

    /// With what this site keeps to itself about its part of the one job that it is for.
    #[must_use]
    pub fn with_own(self, own: Option<OwnPart>) -> Self {
        Self { own, ..self }
    }

    /// Looks at an offer, and takes part in the job, if it can, under these limits on what it releases.
    pub(crate) async fn offer_under(&self, offer: &Offer, limits: Limits) -> Result<Answer> {
        // A job that has ended, or another one of the same name, is not taken up again.
        match self.records.job(&offer.job) {
            Ok(record) if record.ended_ms.is_some() || record.hash != Some(offer.hash) => {
                return Err(self.taken(&offer.job));
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let site = Site { limits, ..self.site.clone() };
        let (spec, leaf) = match &self.own {
            None => (offer.spec.clone(), None),
            Some(own) => match JobSpec::parse_own(&offer.file, &offer.source, own, &self.components) {
                Ok(spec) => {
                    let leaf = self.leaf(&offer.job, &spec)?;
                    (Arc::new(spec), Some(leaf))
                }
                Err(problems) => return Err(Error::invalid(problems.to_string())),
            },
        };
        let (placed, mut objections) = place(&spec, &site);
        objections.extend(limits::compare(&spec, &site).await?);
        objections.extend(look_up(&spec, &site).await?);
        objections.extend(self.taken_models(offer)?);
        if objections.is_empty() {
            let held = Held {
                offer: offer.clone(),
                spec,
                leaf,
                bound: offer.hash,
                booked: None,
                site,
                placed: Arc::new(placed.clone()),
                claim: None,
                began_ms: None,
                running: HashMap::new(),
                stopped: HashSet::new(),
            };
            let mut jobs = self.jobs();
            if jobs.entry(offer.job.clone()).or_insert(held).offer.hash != offer.hash {
                return Err(self.taken(&offer.job));
            }
        }
        Ok(Answer { placed, objections, leaf })
    }

    fn taken(&self, job: &JobId) -> Error {
        Error::new(ErrorKind::AlreadyExists, format!("job {job} exists; choose another id"))
    }

    /// Whether this site keeps something to itself about its part.
    pub(crate) fn has_own(&self) -> bool {
        self.own.is_some()
    }

    /// Gives back the cores of a job that has had them for this long and has not begun.
    pub(crate) fn unbook_idle(&self, job: &JobId, after: Duration) {
        let idle = |held: &mut Held| {
            let idle = held.began_ms.is_none() && held.booked.is_some_and(|since| since.elapsed() > after);
            idle.then(|| held.booked = None).is_some()
        };
        if self.held(job, idle).unwrap_or(false) {
            // What cannot be given back now goes with the job's claim.
            drop(self.cores().release(job));
        }
    }

    /// Stands for this site's own part: it changes with it, and tells nothing about it to those who do not have this site's salt.
    fn leaf(&self, job: &JobId, spec: &JobSpec) -> Result<JobHash> {
        let canonical = spec.canonical().map_err(|e| Error::bug("encode the job").because(e))?;
        let salt = self.records.salt()?;
        let digest = Sha256::new().chain_update("tributary leaf").chain_update(salt.as_slice());
        let digest = digest.chain_update(job.as_str()).chain_update([0]).chain_update(canonical);
        Ok(JobHash::new(digest.finalize().into()))
    }

    /// The objection to models under the name of another job's. Without a name of their own they have the job's.
    fn taken_models(&self, offer: &Offer) -> Result<Option<Objection>> {
        let Some(at) = offer.spec.needs.models else { return Ok(None) };
        match self.records.expect_free(&offer.model(), Some(&offer.job)) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let (file, message) = (&offer.spec.needs.file, format!("party {}: {error}", self.site.id));
                let problem = Problem::new(file, at, "dag.conf.model_id", message, None);
                Ok(Some(Objection { kind: ErrorKind::AlreadyExists, problem }))
            }
            free => free.map(|()| None),
        }
    }

    /// The cores that a job would take here at a time.
    pub(crate) fn cores_of(&self, offer: &Offer) -> u32 {
        let cores: u32 = place(&offer.spec, &self.site).0.job_cores.values().sum();
        cores.min(self.site.cores)
    }

    fn jobs(&self) -> MutexGuard<'_, BTreeMap<JobId, Held>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held<T>(&self, job: &JobId, take: impl FnOnce(&mut Held) -> T) -> Result<T> {
        self.jobs().get_mut(job).map(take).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("job {job} was not offered to party {}", self.site.id))
        })
    }

    /// What a coordinator at another site reports, which was told little of why something failed here, with all that is known here.
    pub(crate) fn in_own_words(&self, mut report: JobReport) -> JobReport {
        let own = |party: &Party| party.id == self.site.id;
        let job = report.job.clone();
        let known = |party: &Party, task: &str| self.records.task(&job, &party.role, task).ok()?.error;
        for task in report.tasks.iter_mut().filter(|task| own(&task.party) && task.error.is_some()) {
            task.error = known(&task.party, &task.task).or(task.error.take());
        }
        if let Some(failure) = &mut report.failure
            && let Some(party) = failure.party.as_ref().filter(|party| own(party))
        {
            if let Some(cause) = known(party, &failure.task) {
                failure.cause = cause;
            }
            if let Ok(log) = self.records.log(&job, &party.role, &failure.task) {
                failure.log = log.display().to_string();
            }
        }
        report
    }

    /// The sites that have a part in a job of this site's records.
    pub(crate) fn sites_of(&self, job: &JobId) -> Result<Vec<PartyId>> {
        Ok(self.records.job(job)?.read_spec()?.sites())
    }

    /// Jobs that were interrupted here, or have outputs that are not settled, each with its coordinator.
    pub(crate) fn interrupted(&self) -> Result<Vec<(JobId, PartyId)>> {
        let mut jobs = Vec::new();
        for record in self.records.jobs()? {
            let open = record.status != Status::Running && record.ended_ms.is_none();
            if open || !self.records.all_prepared(&record.job)?.is_empty() {
                jobs.push((record.job.clone(), record.read_spec()?.coordinator()));
            }
        }
        Ok(jobs)
    }

    /// What a job has prepared here and is not settled.
    pub(crate) fn prepared(&self, job: &JobId) -> Result<Vec<Part>> {
        self.records.all_prepared(job)
    }

    /// Records the end of a job that ended while this site was away.
    pub(crate) fn ended_away(&self, job: &JobId, outcome: Outcome, coordinator: &PartyId) -> Result<()> {
        let record = self.records.job(job)?;
        let error = (outcome != Outcome::Success).then(|| {
            format!(
                "it ended while this site was away; party {coordinator}, which coordinated it, has the reason"
            )
        });
        self.records.write_job(&JobRecord {
            status: outcome.into(),
            ended_ms: Some(now_ms()),
            error: error.or_else(|| record.error.clone()).filter(|_| outcome != Outcome::Success),
            ..record
        })
    }

    /// Makes all running parts of a job end soon.
    pub(crate) fn stop_all(&self, job: &JobId) {
        let stops = |held: &mut Held| held.running.values().cloned().collect::<Vec<_>>();
        for stop in self.held(job, stops).unwrap_or_default() {
            stop.send_replace(true);
        }
    }

    fn cores(&self) -> Cores {
        Cores::of(&self.records, self.site.cores)
    }

    /// Binds the job's tasks to what all sites agreed on.
    fn bind(&self, job: &JobId, leaves: &Leaves) -> Result<()> {
        let bind = |held: &mut Held| {
            let bound = bound(held.offer.hash, leaves)?;
            let same = held.booked.is_none() || held.bound == bound;
            held.bound = bound;
            Ok(same && leaves.get(&self.site.id) == held.leaf.as_ref())
        };
        if self.held(job, bind).flatten()? {
            return Ok(());
        }
        let text = format!("what party {} keeps to itself about job {job} is not bound to it", self.site.id);
        Err(Error::new(ErrorKind::Denied, text))
    }

    /// Takes the names of a job, unless they are taken for it already.
    fn claim(&self, job: &JobId) -> Result<()> {
        let (offer, claimed) = self.held(job, |held| (held.offer.clone(), held.claim.is_some()))?;
        if claimed {
            return Ok(());
        }
        let claim = self.records.claim(job, &offer.model(), Some(&offer.hash))?;
        let names: Vec<String> = offer.spec.levels.iter().flatten().cloned().collect();
        self.records.check_case(job, &names)?;
        self.held(job, |held| held.claim = Some(claim))
    }

    fn record(&self, offer: &Offer, spec: &JobSpec, began_ms: u64, report: Option<&JobReport>) -> Result<()> {
        let value = serde_json::to_value(spec).map_err(|e| Error::bug("encode the job").because(e))?;
        self.records.write_job(&JobRecord {
            job: offer.job.clone(),
            model: offer.model(),
            status: report.map_or(Status::Running, |report| report.outcome.into()),
            started_ms: began_ms,
            ended_ms: report.map(|_| now_ms()),
            error: report.and_then(|report| report.failure.as_ref()).map(Failure::to_string),
            tables: tables(spec, &self.site.id, &self.records)?,
            hash: Some(offer.hash),
            spec: value,
        })
    }
}

#[async_trait]
impl Agent for SiteAgent {
    fn site(&self) -> &PartyId {
        &self.site.id
    }

    async fn offer(&self, offer: &Offer) -> Result<Answer> {
        self.offer_under(offer, self.site.limits.clone()).await
    }

    async fn book(&self, job: &JobId, leaves: &Leaves) -> Result<Booked> {
        self.bind(job, leaves)?;
        fault::point("agent: before a booking");
        self.claim(job)?;
        fault::point("agent: after a claim");
        let wanted = self.held(job, |held| held.placed.job_cores.values().sum())?;
        let booked = self.cores().book(job, wanted)?;
        if booked == Booked::Yes {
            self.held(job, |held| held.booked = held.booked.or_else(|| Some(Instant::now())))?;
        }
        Ok(booked)
    }

    async fn unbook(&self, job: &JobId) -> Result<()> {
        let unbook = |held: &mut Held| {
            let begun = held.began_ms.is_some();
            held.booked = held.booked.filter(|_| begun);
            begun
        };
        match self.held(job, unbook)? {
            false => self.cores().release(job),
            true => Err(Error::new(ErrorKind::Conflict, format!("job {job} has begun and keeps its cores"))),
        }
    }

    async fn begin(&self, job: &JobId) -> Result<()> {
        if self.held(job, |held| held.booked.is_none())? {
            let text = format!("job {job} has no cores at party {}", self.site.id);
            return Err(Error::new(ErrorKind::Conflict, text));
        }
        // One that is continued began when it was first recorded.
        let before = self.records.job(job).ok().map(|record| record.started_ms);
        let begin = |held: &mut Held| *held.began_ms.get_or_insert_with(|| before.unwrap_or_else(now_ms));
        let (offer, spec, began_ms) =
            self.held(job, |held| (held.offer.clone(), held.spec.clone(), begin(held)))?;
        fault::point("agent: before it begins");
        self.record(&offer, &spec, began_ms, None)?;
        fault::point("agent: after it began");
        Ok(())
    }

    async fn run(&self, part: &Part) -> PartEnd {
        self.run_part(part).await
    }

    async fn stop(&self, part: &Part) {
        let stop = |held: &mut Held| {
            if held.has(part) && held.stopped.len() < MOST_STOPPED {
                held.stopped.insert(part.clone());
            }
            held.running.get(part).cloned()
        };
        if let Ok(Some(stop)) = self.held(&part.job, stop) {
            stop.send_replace(true);
        }
    }

    async fn settle(&self, part: &Part, verdict: &Verdict) -> Settled {
        match self.held(&part.job, |held| held.claim.is_some() && held.has(part)) {
            Ok(true) => {}
            Ok(false) => {
                let text = format!("party {} has not booked {part}", self.site.id);
                return Settled::failed(part, Error::new(ErrorKind::Denied, text));
            }
            Err(error) => return Settled::failed(part, error),
        }
        // A coordinator that has started again settles what it no longer knows to be running.
        while matches!(self.held(&part.job, |held| held.running.contains_key(part)), Ok(true)) {
            self.stop(part).await;
            tokio::time::sleep(ENDING).await;
        }
        self.settle_part(part, verdict).await
    }

    async fn end(&self, report: &JobReport) -> Result<()> {
        let job = &report.job;
        let Ok((offer, spec, began_ms, claimed)) = self
            .held(job, |held| (held.offer.clone(), held.spec.clone(), held.began_ms, held.claim.is_some()))
        else {
            return Ok(());
        };
        // Nothing of it runs once its end is recorded.
        self.stop_all(job);
        let waited = Instant::now();
        while waited.elapsed() < STOPPING
            && matches!(self.held(job, |held| held.running.is_empty()), Ok(false))
        {
            tokio::time::sleep(ENDING).await;
        }
        fault::point("agent: before the end");
        let recorded = match began_ms {
            Some(began_ms) => self.record(&offer, &spec, began_ms, Some(report)),
            None if claimed => self.records.leave(job),
            None => Ok(()),
        };
        fault::point("agent: after the end");
        let released = self.cores().release(job);
        // The claim goes last, whatever could not be recorded.
        drop(self.jobs().remove(job));
        recorded.and(released)
    }
}

impl fmt::Debug for SiteAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "agent of party {}", self.site.id)
    }
}
