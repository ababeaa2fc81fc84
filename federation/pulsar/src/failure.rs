//! An error that can be returned more than once.

use tributary_core::{Error, ErrorKind};

#[derive(Debug, Clone)]
pub(crate) struct Failure {
    kind: ErrorKind,
    text: String,
}

impl Failure {
    pub(crate) fn of(error: &Error) -> Self {
        Self { kind: error.kind(), text: error.chain() }
    }

    /// The channel was removed here.
    pub(crate) fn removed() -> Self {
        Self { kind: ErrorKind::NotFound, text: "the channel was removed".into() }
    }

    pub(crate) fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn error(&self) -> Error {
        Error::new(self.kind, self.text.clone())
    }
}
