//! What a coordinator may ask of the site of a party: the seam between the two halves of job control.
//!
//! A coordinator decides when what runs; an agent acts for one site, with that site's tables, engine, limits and records. A site may have
//! several roles in a job, so what concerns one role names the [`Party`]. An agent in this process is a
//! [`SiteAgent`](crate::site_agent::SiteAgent); one at another site is reached by messages. Each request may come again, if its
//! answer was lost, and is then answered as before.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tributary_component::Components;
use tributary_core::error::Retry;
use tributary_core::{Error, ErrorKind, JobHash, JobId, Party, PartyId, Result};
use tributary_document::{Problem, Problems};

use crate::event::{JobReport, TaskReport};
use crate::place::Placed;
use crate::spec::{JobSpec, ModelRef};
use crate::status::Status;

/// A job as it is offered to every site that has a part in it.
#[derive(Clone)]
pub struct Offer {
    /// Its id.
    pub job: JobId,
    /// The job file, as messages call it.
    pub file: String,
    /// The text of the job file. A site reads it by itself: it believes nothing else.
    pub source: Arc<[u8]>,
    /// The job as read here.
    pub spec: Arc<JobSpec>,
    /// What parties must agree on: the job, and the versions of all kernels that compute it.
    pub hash: JobHash,
}

impl Offer {
    /// Reads and checks a job file.
    pub fn read(job: JobId, file: &str, source: &[u8], components: &Components) -> Result<Self, Problems> {
        let spec = Arc::new(JobSpec::parse(file, source, components)?);
        // A job that was read is maps of text and numbers, which always have a canonical form.
        let canonical = spec.canonical().unwrap_or_default();
        let hash = Sha256::new().chain_update(canonical).chain_update(components.kernels().fingerprint());
        let hash = JobHash::new(hash.finalize().into());
        Ok(Self { job, file: file.to_owned(), source: source.into(), spec, hash })
    }

    /// The name of the models that the job registers.
    pub fn model(&self) -> ModelRef {
        let conf = &self.spec.conf;
        ModelRef {
            model_id: conf.model_id.clone().unwrap_or_else(|| self.job.to_string()),
            model_version: conf.model_version.clone().unwrap_or_else(|| "0".into()),
        }
    }
}

/// What sites keep to themselves about their parts of a job, each as a digest that tells nothing else: by site.
pub type Leaves = BTreeMap<PartyId, JobHash>;

/// What the parties' tasks are bound to: the job, and the leaves of sites that have a part of their own.
pub(crate) fn bound(hash: JobHash, leaves: &Leaves) -> Result<JobHash> {
    if leaves.is_empty() {
        return Ok(hash);
    }
    let all = serde_json::to_vec(&("tributary job with leaves", hash, leaves));
    let all = all.map_err(|e| Error::bug("encode the leaves of a job").because(e))?;
    Ok(JobHash::new(Sha256::digest(all).into()))
}

impl fmt::Debug for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job {} of {}, {:?}", self.job, self.file, self.hash)
    }
}

/// What a site says to an offer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Answer {
    /// Where its tasks would run.
    pub placed: Placed,
    /// Why it cannot or will not take part; none if it will.
    pub objections: Vec<Objection>,
    /// Stands for what it keeps to itself about its part, if there is such.
    #[serde(default)]
    pub leaf: Option<JobHash>,
}

/// Why a site does not take part in a job, with the place in the job file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objection {
    /// What kind of failure.
    pub kind: ErrorKind,
    /// The objection itself.
    pub problem: Problem,
}

/// What came of an attempt to book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Booked {
    /// The cores are the job's until it ends.
    Yes,
    /// Others have them, for this reason; worth another try later.
    NotYet(String),
}

/// One party's part of one attempt at a task.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// The job.
    pub job: JobId,
    /// Name of the task in it.
    pub task: String,
    /// The party.
    pub party: Party,
    /// From 0.
    pub attempt: u32,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "attempt {} at task {} of {} in job {}", self.attempt, self.task, self.party, self.job)
    }
}

/// How a party's part of an attempt ended. If well, its outputs are prepared: durable, and visible as soon as they are settled.
#[derive(Debug, Serialize, Deserialize)]
pub struct PartEnd {
    /// How it went.
    pub report: TaskReport,
    /// Why it failed.
    pub failure: Option<PartFailure>,
}

/// Why a party's part of an attempt failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct PartFailure {
    /// The reason.
    pub error: Error,
    /// Where more is said about it.
    pub log: String,
    /// Whether the attempt was lost with its process: another one is due, whatever the job says about retries.
    pub lost: bool,
}

/// Whether an error was written for other sites too: about limits, peers and services, and none of a medium or a file below it. All
/// others may name tables, columns and files of this site.
pub(crate) fn is_public(error: &Error) -> bool {
    let kinds = [
        ErrorKind::Denied,
        ErrorKind::Timeout,
        ErrorKind::Cancelled,
        ErrorKind::Unavailable,
        ErrorKind::Unsupported,
        ErrorKind::Exhausted,
    ];
    kinds.contains(&error.kind()) && std::error::Error::source(error).is_none()
}

impl PartEnd {
    /// A part that failed, with what is known of it otherwise.
    pub(crate) fn failed(report: TaskReport, error: Error, log: String) -> Self {
        let status = match error.kind() {
            ErrorKind::Cancelled => Status::Canceled,
            _ => Status::Failed,
        };
        let told = is_public(&error).then(|| error.told().chain());
        let report = TaskReport { status, error: Some(error.chain()), models: Vec::new(), told, ..report };
        Self { report, failure: Some(PartFailure { error, log, lost: false }) }
    }
}

impl Settled {
    /// A part about which a verdict could not be carried out.
    pub(crate) fn failed(part: &Part, error: Error) -> Self {
        let copy = Error::new(error.kind(), error.chain());
        let end = PartEnd::failed(TaskReport::of(part, "", Duration::ZERO), copy, String::new());
        Self { report: end.report, error: Some(error) }
    }
}

impl PartFailure {
    /// The same once more, for a report beside the error.
    pub(crate) fn again(&self) -> Self {
        let error = Error::new(self.error.kind(), self.error.chain());
        let retry = if self.error.is_retryable() { Retry::Useful } else { Retry::Useless };
        Self { error: error.retry(retry), log: self.log.clone(), lost: self.lost }
    }
}

impl From<Error> for PartFailure {
    fn from(error: Error) -> Self {
        Self { error, log: String::new(), lost: false }
    }
}

/// What becomes of prepared outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// They count: all parties have prepared theirs.
    Record,
    /// They are removed, because the part of this party failed, or nobody's did and the attempt was stopped.
    Discard(Option<Party>),
}

/// A part of an attempt after its end is settled.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settled {
    /// How it went, all in all.
    pub report: TaskReport,
    /// Why the verdict could not be carried out.
    pub error: Option<Error>,
}

/// See the module.
#[async_trait]
pub trait Agent: fmt::Debug + Send + Sync + 'static {
    /// Whose site it is.
    fn site(&self) -> &PartyId;
    /// Compares a job with what the site has, allows and can do. Nothing is recorded.
    async fn offer(&self, offer: &Offer) -> Result<Answer>;
    /// Takes the job's name, the name of its models, and cores, all or nothing. `AlreadyExists` if another job has a name; `Denied`
    /// if its own leaf is not among `leaves`, those of all sites.
    async fn book(&self, job: &JobId, leaves: &Leaves) -> Result<Booked>;
    /// Gives cores back, and keeps the names: some other site has no cores now.
    async fn unbook(&self, job: &JobId) -> Result<()>;
    /// Records that the job runs: all sites have booked.
    async fn begin(&self, job: &JobId) -> Result<()>;
    /// Runs a part to its end, and prepares its outputs.
    async fn run(&self, part: &Part) -> PartEnd;
    /// Makes a running part end soon, as cancelled.
    async fn stop(&self, part: &Part);
    /// Carries out what was decided about an attempt that has ended.
    async fn settle(&self, part: &Part, verdict: &Verdict) -> Settled;
    /// The job is over: records it, if it began, and gives back names and cores.
    async fn end(&self, report: &JobReport) -> Result<()>;
}

/// All objections of all sites as one error, in the order of the file; of the kind of the first.
pub(crate) fn refusal(objections: Vec<Objection>) -> Result<()> {
    let Some(worst) = objections.iter().map(|objection| objection.kind).min_by_key(|kind| rank(*kind)) else {
        return Ok(());
    };
    let all_alike = objections.iter().all(|objection| objection.kind == worst);
    // Consent is refused to the job as a whole.
    let whole = objections.iter().any(|objection| objection.problem.path.is_empty());
    let problems = Problems::of(objections.into_iter().map(|objection| objection.problem).collect());
    let count = problems.list().len();
    let message = match (worst, all_alike && !whole, count) {
        (ErrorKind::NotFound, true, 1) => "the job needs something that is not there".to_string(),
        (ErrorKind::NotFound, true, _) => format!("the job needs {count} things that are not there"),
        (ErrorKind::Denied, true, 1) => {
            "the job asks a party to release more than its limits allow".to_string()
        }
        (ErrorKind::Denied, true, _) => {
            format!("the job asks parties {count} times to release more than their limits allow")
        }
        (_, _, 1) => "a party cannot take part in the job".to_string(),
        _ => format!("parties have {count} objections to the job"),
    };
    Err(Error::new(worst, message).because(problems))
}

/// What no later change at a site mends comes first.
fn rank(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Denied => 0,
        ErrorKind::InvalidInput | ErrorKind::Unsupported => 1,
        ErrorKind::NotFound => 2,
        _ => 3,
    }
}
