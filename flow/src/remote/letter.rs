//! What sites write to each other, as JSON: the types of events and reports are not self-describing in a denser form.
//!
//! The transport bounds the length of a letter and proves whose it is; everything else is checked where it is used.

use serde::{Deserialize, Serialize};
use tributary_core::{Error, ErrorKind, JobHash, JobId, PartyId, Result};

use crate::agent::{Answer, Booked, Leaves, Part, PartEnd, Settled, Verdict};
use crate::event::{Event, JobReport};
use crate::scheduler::Outcome;

/// Raised with every change of letters but of their [`Head`].
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

    pub(super) fn decode(bytes: &[u8]) -> Result<Content, Unread> {
        let head: Head = serde_json::from_slice(bytes).map_err(|_| Unread::Nonsense)?;
        if head.version != VERSION {
            let request = head.request.map(|request| request.number);
            return Err(Unread::OtherVersion { theirs: head.version, request });
        }
        serde_json::from_slice::<Self>(bytes).map(|letter| letter.content).map_err(|_| Unread::Nonsense)
    }
}

/// What letters of every version begin with: a later one may change all else.
#[derive(Deserialize)]
struct Head {
    version: u32,
    request: Option<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    number: u64,
}

/// Why a letter cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// Its site has another version; the number is that of a request, which waits for an answer.
    OtherVersion { theirs: u32, request: Option<u64> },
    /// It is none.
    Nonsense,
}

/// That a site has another version.
pub(super) fn other_version(site: &PartyId, theirs: u32) -> Error {
    let newer = if theirs > VERSION { "its version is newer" } else { "this site's is newer" };
    Error::new(
        ErrorKind::Unsupported,
        format!(
            "party {site} writes letters of version {theirs} and this site of version {VERSION}; install the same release of Tributary at \
             both ({newer})"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_as_they_were_written() {
        let contents = [
            Content::Request { number: u64::MAX, request: Request::Begin("j".parse().unwrap()) },
            Content::Reply { number: 0, reply: Reply::Failed(Error::invalid("no")) },
            Content::Beat { job: "j".parse().unwrap() },
        ];
        for content in contents {
            let shown = format!("{content:?}");
            let read = Letter::decode(&Letter::encode(content).unwrap()).unwrap();
            assert_eq!(format!("{read:?}"), shown);
        }
    }

    #[test]
    fn a_request_of_another_version_can_be_answered_and_nonsense_cannot() {
        let later = br#"{"version": 9, "request": {"number": 7, "wish": []}, "more": {}}"#;
        assert_eq!(Letter::decode(later).unwrap_err(), Unread::OtherVersion { theirs: 9, request: Some(7) });
        let other = br#"{"version": 9, "parade": 1}"#;
        assert_eq!(Letter::decode(other).unwrap_err(), Unread::OtherVersion { theirs: 9, request: None });
        for nonsense in [&b""[..], b"7", b"{}", br#"{"version": 1, "request": {"number": 7}}"#] {
            assert_eq!(Letter::decode(nonsense).unwrap_err(), Unread::Nonsense);
        }
    }
}
