//! The one error of the contract: what was attempted on what, what was wrong, and whether trying again can help.
//!
//! One type for every contract rather than one per trait: callers match on [`ErrorKind`], and an error crosses three
//! contracts (storage inside computing inside a task) without being wrapped three times. The message never holds rows,
//! keys or shares: it is logged and shown to peers' operators.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `Result` with the contract's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The caller gave something that can never work: fix the input.
    InvalidInput,
    /// The thing named does not exist.
    NotFound,
    /// The thing named exists already, and replacing it was not allowed.
    AlreadyExists,
    /// It was changed by another writer in between: read again and decide.
    Conflict,
    /// The engine declares that it cannot do this.
    Unsupported,
    /// A peer, broker or file broke the rules of a protocol or format.
    Corrupt,
    /// A peer or user may not do this, or is not who it says.
    Denied,
    /// A service or peer cannot be reached now.
    Unavailable,
    /// It took longer than allowed.
    Timeout,
    /// The caller went away, or the session was closed.
    Cancelled,
    /// A limit on memory, disk, cores or size was reached.
    Exhausted,
    /// A kernel failed or panicked.
    Kernel,
    /// Reading or writing a medium failed.
    Io,
    /// A bug in this program.
    Bug,
}

/// Whether the same call may succeed later without any change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Retry {
    /// The same call fails again.
    Useless,
    /// Worth another try.
    Useful,
}

/// An error of any contract; see the module.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    operations: Vec<String>,
    message: String,
    retry: Retry,
    private: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// `message`: lower case, no full stop, expected versus got, how to mend it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let retry = match kind {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict => Retry::Useful,
            _ => Retry::Useless,
        };
        let (message, operations) = (message.into(), Vec::new());
        Self(Box::new(Inner { kind, operations, message, retry, private: None, source: None }))
    }

    /// Shorthand for [`ErrorKind::InvalidInput`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Shorthand for [`ErrorKind::Bug`]: an invariant of this program does not hold.
    pub fn bug(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Bug, message)
    }

    /// Adds the operation that failed, outermost last: `read table psi/ids`.
    #[must_use]
    pub fn at(mut self, operation: impl Into<String>) -> Self {
        self.0.operations.push(operation.into());
        self
    }

    /// Adds the underlying reason, which says *why* and is not repeated in the message.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Adds what only this site's people may read beside the message, which is written for other sites too: a column's name, a number of rows.
    #[must_use]
    pub fn with_private(mut self, detail: impl Into<String>) -> Self {
        self.0.private = Some(detail.into());
        self
    }

    /// The same for another site: without private detail, and without reasons below.
    #[must_use]
    pub fn told(&self) -> Self {
        Self::new(self.kind(), self.to_string()).retry(self.0.retry)
    }

    /// Overrides whether another try is useful.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// The kind, for matching.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.0.retry == Retry::Useful
    }

    /// The message, private detail and every reason below it on one line, for logs and command lines.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        if let Some(detail) = &self.0.private {
            text.push_str(&format!(" [known here only: {detail}]"));
        }
        with_reasons(text, self.source())
    }
}

fn with_reasons(mut text: String, mut reason: Option<&(dyn StdError + 'static)>) -> String {
    while let Some(error) = reason {
        let next = error.to_string();
        // Some libraries end a message like a sentence.
        let next = next.trim_end_matches(['.', ';', ':', ',', ' ']);
        if !text.ends_with(next) {
            text.push_str(": ");
            text.push_str(next);
        }
        reason = error.source();
    }
    text
}

/// What crosses from one process to another: reasons below the message become one text.
#[derive(Serialize, Deserialize)]
struct Portable {
    kind: ErrorKind,
    operations: Vec<String>,
    message: String,
    retry: Retry,
    private: Option<String>,
    reason: Option<String>,
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let Inner { kind, operations, message, retry, private, source } = &*self.0;
        let reason = source.as_ref().map(|source| with_reasons(source.to_string(), source.source()));
        let (operations, message, private) = (operations.clone(), message.clone(), private.clone());
        Portable { kind: *kind, operations, message, retry: *retry, private, reason }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let Portable { kind, operations, message, retry, private, reason } = Deserialize::deserialize(from)?;
        Ok(Self(Box::new(Inner {
            kind,
            operations,
            message,
            retry,
            private,
            source: reason.map(Into::into),
        })))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for operation in self.0.operations.iter().rev() {
            write!(f, "{operation}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.0.kind, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_ref().map(|s| s.as_ref() as _)
    }
}

impl From<arrow_schema::ArrowError> for Error {
    fn from(error: arrow_schema::ArrowError) -> Self {
        Self::new(ErrorKind::InvalidInput, "columns do not fit together").because(error)
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::AlreadyExists => ErrorKind::AlreadyExists,
            Io::PermissionDenied => ErrorKind::Denied,
            Io::StorageFull | Io::OutOfMemory | Io::QuotaExceeded => ErrorKind::Exhausted,
            Io::TimedOut => ErrorKind::Timeout,
            _ => ErrorKind::Io,
        };
        // Which file it is says the operation that callers add; these need no word of the system beside ours.
        match (error.raw_os_error(), error.kind()) {
            (Some(_), Io::NotFound) => Self::new(kind, "there is no such file or folder"),
            (Some(_), Io::IsADirectory) => Self::new(kind, "it is a folder, not a file"),
            (Some(_), Io::NotADirectory) => Self::new(kind, "a part of its path is a file, not a folder"),
            _ => Self::new(kind, "input or output failed").because(error),
        }
    }
}

/// Adds the operation to an error on its way up.
pub trait ResultExt<T> {
    /// As [`Error::at`]; the text is built only on failure.
    fn at<S: Into<String>>(self, operation: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> ResultExt<T> for std::result::Result<T, E> {
    fn at<S: Into<String>>(self, operation: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| error.into().at(operation()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_read_from_the_outside_in_and_the_chain_ends_with_the_reason() {
        let error = Error::invalid("partition 7 has 3 columns, expected 2")
            .at("read table psi/ids")
            .at("task psi_0")
            .because(std::io::Error::other("short read"));
        assert_eq!(
            error.to_string(),
            "task psi_0: read table psi/ids: partition 7 has 3 columns, expected 2"
        );
        assert!(error.chain().ends_with("expected 2: short read"));
    }

    #[test]
    fn private_detail_is_for_this_site_only() {
        let error =
            Error::new(ErrorKind::Denied, "too few rows").at("bin").with_private("43 of column \"salary\"");
        let same: Error = postcard::from_bytes(&postcard::to_stdvec(&error).unwrap()).unwrap();
        assert!(error.chain().contains("salary") && same.chain() == error.chain());
        assert!(!error.to_string().contains("salary") && !error.told().chain().contains("salary"));
        assert_eq!(
            (error.told().kind(), error.told().to_string()),
            (ErrorKind::Denied, "bin: too few rows".into())
        );
    }

    #[test]
    fn a_path_that_is_not_there_or_no_file_is_said_in_our_words() {
        let said = |path: &str| std::fs::read(path).at(|| "read it").unwrap_err().chain();
        assert_eq!(said("/none/of/this"), "read it: there is no such file or folder");
        assert_eq!(said("/"), "read it: it is a folder, not a file");
    }

    #[test]
    fn an_error_from_another_process_says_the_same() {
        let error = Error::new(ErrorKind::Unavailable, "the store is full")
            .at("write partition 3")
            .retry(Retry::Useless)
            .because(Error::invalid("no room").because(std::io::Error::other("quota")));
        let bytes = postcard::to_stdvec(&error).unwrap();
        let other: Error = postcard::from_bytes(&bytes).unwrap();
        assert_eq!((other.kind(), other.is_retryable()), (ErrorKind::Unavailable, false));
        assert_eq!(other.to_string(), error.to_string());
        assert_eq!(other.chain(), "write partition 3: the store is full: no room: quota");
    }
}
