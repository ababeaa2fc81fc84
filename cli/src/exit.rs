//! Exit codes that a scheduler can act on, and how a failure is shown.

use std::error::Error as _;
use std::process::ExitCode;

use tributary_core::{Error, ErrorKind};
use tributary_document::Problems;
use tributary_service::NotRead;
use tributary_service::fate1::Origins;

use crate::render;

/// What `--help` says about exit codes.
pub(crate) const HELP: &str = "\
Exit codes: 0 done · 1 failed, or a table is damaged · 2 wrong input or arguments · 3 not found · 4 already exists · 5 try again later \
(a party or service was unavailable or too slow; a job reads the table; a file or table changed during the command) · 130 stopped by a signal";

/// Any other failure.
const FAILED: u8 = 1;
/// Stopped by a signal.
pub(crate) const STOPPED: u8 = 130;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something went wrong.
    Error(Error),
    /// A document has mistakes.
    Problems(Problems),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self::Problems(problems)
    }
}

impl From<NotRead> for Failure {
    fn from(why: NotRead) -> Self {
        match why {
            NotRead::Problems(problems) => Self::Problems(problems),
            NotRead::Error(error) => Self::Error(error),
        }
    }
}

impl Failure {
    /// The same; problems of a converted job at the places of the files that it was converted from.
    pub(crate) fn traced(self, origins: Option<&Origins>) -> Self {
        match (self, origins) {
            (Self::Problems(problems), Some(origins)) => Self::Problems(origins.trace(&problems)),
            (Self::Error(error), Some(origins)) => {
                match error.source().and_then(|source| source.downcast_ref::<Problems>()) {
                    Some(problems) => Self::Error(
                        Error::new(error.kind(), error.to_string()).because(origins.trace(problems)),
                    ),
                    None => Self::Error(error),
                }
            }
            (failure, None) => failure,
        }
    }

    /// Shows the failure and returns the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Error(error) => {
                // Several mistakes, each with its place: one line each, without the chain of errors.
                match error.source().and_then(|source| source.downcast_ref::<Problems>()) {
                    Some(problems) => {
                        render::note(format!("{problems}\nerror: {error}"));
                        // A job that no limit or grant allows is to be changed, like one with a mistake.
                        let kind = error.kind();
                        ExitCode::from(code(if kind == ErrorKind::Denied {
                            ErrorKind::InvalidInput
                        } else {
                            kind
                        }))
                    }
                    None => {
                        render::note(format!("error: {}", error.chain()));
                        ExitCode::from(code(error.kind()))
                    }
                }
            }
            Self::Problems(problems) => {
                render::note(problems.to_string());
                let count = problems.list().len();
                render::note(format!("error: {count} problem{} to fix", if count == 1 { "" } else { "s" }));
                ExitCode::from(code(ErrorKind::InvalidInput))
            }
        }
    }
}

/// The exit code of a failure.
pub(crate) fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::InvalidInput | ErrorKind::Unsupported => 2,
        ErrorKind::NotFound => 3,
        ErrorKind::AlreadyExists => 4,
        ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict => 5,
        ErrorKind::Cancelled => STOPPED,
        _ => FAILED,
    }
}
