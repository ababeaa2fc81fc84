//! What sites write to each other, as JSON: the types of events and reports are not self-describing in a denser form.
//!
//! The transport bounds the length of a letter and proves whose it is; everything else is checked where it is used.

use serde::{Deserialize, Serialize};
use tributary_core::{Error, ErrorKind, JobHash, JobId, Result};

use crate::agent::{Answer, Booked, Leaves, Part, PartEnd, Settled, Verdict};
use crate::event::{Event, JobReport};
use crate::scheduler::Outcome;

/// Raised with every change of letters.
pub(super) const VERSION: u32 = 1;

/// One letter.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Letter {
    pub version: u32,
    #[serde(flatten)]
    pub content: Content,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Content {
    /// Random, so that no answer of an earlier process is taken for one to this.
    Request {
        number: u64,
        request: Request,
    },
    Reply {
        number: u64,
        reply: Reply,
    },
    /// Something happened in a job; lost ones are not missed.
    Event {
        job: JobId,
        event: Box<Event>,
    },
    /// The coordinator of a job is there.
    Beat {
        job: JobId,
    },
}

/// What a coordinator asks of an agent, or an agent of a coordinator.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    Offer(Box<OfferLetter>),
    Book(JobId, Leaves),
    Unbook(JobId),
    Begin(JobId),
    Run(Part),
    Stop(Part),
    Settle(Part, Verdict),
    End(Box<JobReport>),
    /// An agent that was away asks how a job stands, and what was decided about what it has prepared.
    Standing(JobId, Vec<Part>),
    /// An agent's operator ends the job.
    Quit(JobId),
    /// Whether anybody is there; with bytes that mean nothing, and how many of them to send back.
    Ping {
        there: String,
        back: u64,
    },
}

/// A job as it is offered to another site, which reads the file by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfferLetter {
    /// Its id.
    pub job: JobId,
    /// The job file, as messages call it.
    pub file: String,
    /// Its text.
    pub source: String,
    /// What all must agree on.
    pub hash: JobHash,
    /// The version of the product at the coordinator.
    pub product: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// It is being done.
    Working,
    /// The site does not have this job: it was not offered, or the site has started again since.
    Unknown,
    Failed(Error),
    Answer(Answer),
    Booked(Booked),
    Done,
    Ended(Box<PartEnd>),
    Settled(Box<Settled>),
    /// How the job ended, if it has; and whether the outputs of each part count, if that is decided.
    Standing(Option<Outcome>, Vec<Option<bool>>),
    Pong {
        back: String,
        product: String,
        kernels: String,
        now_ms: u64,
    },
}

/// The answer to a request, as a letter.
pub(super) fn reply(number: u64, reply: Reply) -> Result<Vec<u8>> {
    Letter::encode(Content::Reply { number, reply })
}

impl Letter {
    pub(super) fn encode(content: Content) -> Result<Vec<u8>> {
        let letter = Self { version: VERSION, content };
        serde_json::to_vec(&letter).map_err(|e| Error::bug("encode a letter").because(e))
    }

    /// `Corrupt` for what is no letter; `Unsupported` for one of another version.
    pub(super) fn decode(bytes: &[u8]) -> Result<Content> {
        #[derive(Deserialize)]
        struct Any {
            version: u32,
        }
        let wrong = |e| Error::new(ErrorKind::Corrupt, "a letter that does not decode").because(e);
        let Any { version } = serde_json::from_slice(bytes).map_err(wrong)?;
        if version != VERSION {
            let text = format!(
                "a letter of version {version}, expected {VERSION}; both sites need the same version of Tributary"
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        serde_json::from_slice::<Self>(bytes).map(|letter| letter.content).map_err(wrong)
    }
}
