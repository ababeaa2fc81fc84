//! What a server or the way to it says, as our errors: which request on which address, and what to change.
//!
//! The client's own texts are not passed on: they hold whole answers, and of a refused signature the text that was signed.
//! Of an answer we keep its code and its message.

use std::error::Error as StdError;

use tributary_core::{Error, ErrorKind, Shown};

/// What an answer with a code means, and what helps.
const CODES: &[(&[&str], ErrorKind, &str)] = &[
    (
        &["NoSuchBucket", "ContainerNotFound"],
        ErrorKind::InvalidInput,
        "there is no such bucket; make it, or name another in service_conf.yaml",
    ),
    (
        &["RequestTimeTooSkewed", "RequestExpired"],
        ErrorKind::Denied,
        "the clock of this machine and that of the server differ by too much; set this machine's clock",
    ),
    (
        &[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "AuthenticationFailed",
            "InvalidToken",
            "ExpiredToken",
        ],
        ErrorKind::Denied,
        "the server refuses the credentials; check the keys in service_conf.yaml, or those of this machine",
    ),
    (
        &["AccessDenied", "AllAccessDisabled", "AuthorizationFailure"],
        ErrorKind::Denied,
        "the credentials do not allow it; they need to read, write, list and delete below this address",
    ),
    (
        &["SlowDown", "TooManyRequests", "ServerBusy", "ServiceUnavailable"],
        ErrorKind::Unavailable,
        "the server asks for fewer requests, and kept asking until patience ended; try again later",
    ),
    (
        &["PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"],
        ErrorKind::InvalidInput,
        "the bucket is in another region; set that one in service_conf.yaml",
    ),
    (&["QuotaExceeded", "StorageFull"], ErrorKind::Exhausted, "the store is full; free space there"),
];

/// The service whose addresses machines of clouds ask for credentials.
const MACHINE_CREDENTIALS: &[&str] = &["169.254.169.254", "169.254.170.2", "metadata.google.internal"];

/// An error of the client, of this operation.
pub(crate) fn failed(operation: &str, address: &str, error: object_store::Error) -> Error {
    let text = error.to_string();
    let at = format!("{operation} {address}");
    let (code, message) = said(&text);
    if let Some((kind, advice)) = code.and_then(of_code) {
        return Error::new(kind, advice).because(answer(code, message)).at(at);
    }
    let made = |kind, advice: &str| match code {
        Some(_) => Error::new(kind, advice).because(answer(code, message)),
        None => Error::new(kind, advice),
    };
    use object_store::Error as E;
    let error = match &error {
        E::NotFound { .. } => made(ErrorKind::NotFound, "it does not exist"),
        E::AlreadyExists { .. } => made(ErrorKind::AlreadyExists, "it exists"),
        E::Precondition { .. } | E::NotModified { .. } => {
            made(ErrorKind::Conflict, "another process changed it")
        }
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            made(ErrorKind::Denied, "the server refuses it; check the keys in service_conf.yaml")
        }
        E::NotSupported { .. } | E::NotImplemented { .. } => {
            made(ErrorKind::Unsupported, "the server cannot do it")
        }
        E::InvalidPath { .. } => made(ErrorKind::InvalidInput, "no object can have this name"),
        _ if MACHINE_CREDENTIALS.iter().any(|place| text.contains(place)) => made(
            ErrorKind::Denied,
            "no keys are given in service_conf.yaml or the environment, and this machine has none of its cloud",
        ),
        _ if code.is_some() => made(ErrorKind::Unavailable, "the server refuses it"),
        other => Error::new(
            ErrorKind::Unavailable,
            "the server cannot be reached or does not answer; check its address in service_conf.yaml, and the network",
        )
        .because(without_body(&root(other))),
    };
    error.at(at)
}

/// Whether it is not known if the server did what it was asked: no answer came, or none that says so.
pub(crate) fn is_undecided(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { .. }) && said(&error.to_string()).0.is_none()
}

/// Whether the server says that what it shall remove is not there. Among many names to remove, the client makes no
/// `NotFound` of it.
pub(crate) fn is_gone(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::NotFound { .. }) || said(&error.to_string()).0 == Some("NoSuchKey")
}

/// Of an answer without a code its first line.
fn without_body(text: &str) -> String {
    Shown::new(text.lines().next().unwrap_or_default()).to_string()
}

/// Whether the server says that a range begins behind the end.
pub(crate) fn is_behind_the_end(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::Generic { .. })
        && (error.to_string().contains("status code: 416") || error.to_string().contains("InvalidRange"))
}

/// The code and the message of an answer: of its document, or of one name among many to remove.
fn said(text: &str) -> (Option<&str>, Option<&str>) {
    let of_one = || {
        let (_, rest) = text.split_once("request failed for key ")?;
        let (message, code) = rest.strip_suffix(')')?.rsplit_once(" (code: ")?;
        Some((code, message.split_once(": ").map_or(message, |(_, message)| message)))
    };
    match of_one() {
        Some((code, message)) => (Some(code), Some(message)),
        None => (between(text, "<Code>", "</Code>"), between(text, "<Message>", "</Message>")),
    }
}

fn of_code(code: &str) -> Option<(ErrorKind, &'static str)> {
    CODES.iter().find(|(codes, ..)| codes.contains(&code)).map(|(_, kind, advice)| (*kind, *advice))
}

fn answer(code: Option<&str>, message: Option<&str>) -> String {
    let (code, message) = (Shown::new(code.unwrap_or_default()), Shown::new(message.unwrap_or_default()));
    format!("the server says {code}: {message}")
}

fn between<'a>(text: &'a str, begin: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(begin)?;
    rest.split_once(end).map(|(found, _)| found)
}

/// The last reason, which names what the operating system or TLS said.
fn root(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(reason) = error.source() {
        error = reason;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic { store: "S3", source: text.to_owned().into() }
    }

    fn denied(text: &str) -> object_store::Error {
        object_store::Error::PermissionDenied { path: "p".into(), source: text.to_owned().into() }
    }

    #[test]
    fn an_answer_becomes_what_helps_and_shows_no_more_than_its_code_and_message() {
        let skew = "status 403: <Error><Code>RequestTimeTooSkewed</Code><Message>too large</Message><StringToSign>AWS4-secret</StringToSign></Error>";
        let error = failed("write", "s3://b/x", denied(skew));
        assert_eq!(error.kind(), ErrorKind::Denied);
        let text = error.chain();
        assert!(text.starts_with("write s3://b/x: the clock of this machine"), "{text}");
        assert!(text.ends_with("the server says RequestTimeTooSkewed: too large"), "{text}");
        assert!(!text.contains("AWS4"), "{text}");
    }

    #[test]
    fn each_fault_has_its_kind() {
        let of = |error| failed("read", "s3://b/x", error);
        let code = |code: &str| generic(&format!("503: <Code>{code}</Code><Message>\u{1b}[31m</Message>"));
        assert_eq!(of(code("NoSuchBucket")).kind(), ErrorKind::InvalidInput);
        let slow = of(code("SlowDown"));
        assert!(slow.kind() == ErrorKind::Unavailable && slow.is_retryable());
        assert!(!slow.chain().contains('\u{1b}'));
        let none = of(generic("error sending request for url (http://169.254.169.254/latest)"));
        assert!(none.kind() == ErrorKind::Denied && none.to_string().contains("no keys are given"), "{none}");
        assert_eq!(of(generic("connection refused")).kind(), ErrorKind::Unavailable);
        assert!(is_behind_the_end(&generic("non-2xx status code: 416 Range Not Satisfiable: ")));
        let removing = |said: &str| generic(&format!("DeleteObjects request failed for key a/b: {said}"));
        assert_eq!(of(removing("Access denied. (code: AccessDenied)")).kind(), ErrorKind::Denied);
        let gone = removing("The specified key does not exist. (code: NoSuchKey)");
        assert!(is_gone(&gone) && !is_undecided(&gone));
        assert!(!is_gone(&removing("Access denied. (code: AccessDenied)")) && !is_gone(&generic("refused")));
    }
}
