//! What an administration interface answers: bounded, and each status an error that says what to change.

use reqwest::{Response, StatusCode};
use tributary_core::{Error, ErrorKind, Result, Shown};

use crate::admin::{Endpoint, Login};

/// Longest answer: a broker with 10,000 queues lists them in less.
pub(crate) const MOST_BYTES: usize = 32 << 20;
/// Most of an error's text.
const MOST_SHOWN: usize = 300;
/// In place of it.
const HIDDEN: &str = "its text may hold a password and is not shown";

/// Nobody answered, or not in time, or not over TLS as expected.
pub(crate) fn unreachable(endpoint: &Endpoint, error: reqwest::Error) -> Error {
    let Endpoint { service, url, settings, .. } = endpoint;
    // The library names the address again in each of its errors.
    let error = error.without_url();
    let mut reason: &dyn std::error::Error = &error;
    while let Some(below) = reason.source() {
        reason = below;
    }
    let reason = reason.to_string();
    if reason.contains("certificate") {
        let text = format!(
            "{service} at {url} shows a certificate that is not accepted here ({reason}); see {settings}"
        );
        return Error::new(ErrorKind::Denied, text);
    }
    Error::new(
        ErrorKind::Unavailable,
        format!("{service} at {url} cannot be reached ({reason}); see {settings}"),
    )
}

/// The body of a good answer. `is_shown`: whether an error may repeat that of a bad one.
pub(crate) async fn read(endpoint: &Endpoint, mut response: Response, is_shown: bool) -> Result<Vec<u8>> {
    let status = response.status();
    let most = if status.is_success() { MOST_BYTES } else { MOST_SHOWN };
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(endpoint, e))? {
        let left = most - body.len();
        if chunk.len() > left && status.is_success() {
            let text = format!("{} answered more than {most} bytes", endpoint.service);
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        body.extend_from_slice(&chunk[..chunk.len().min(left)]);
    }
    if status.is_success() {
        return Ok(body);
    }
    let body = String::from_utf8_lossy(&body);
    let said = if is_shown { Shown::new(&body).to_string() } else { HIDDEN.into() };
    Err(refused(endpoint, status, &said))
}

fn refused(endpoint: &Endpoint, status: StatusCode, said: &str) -> Error {
    let Endpoint { service, url, login, settings, .. } = endpoint;
    let who = match login {
        Login::None => "nobody (no login is configured)".to_owned(),
        Login::Password { user, .. } => format!("user {}", Shown::new(user)),
        Login::Token(_) => "the holder of the configured token".to_owned(),
    };
    let (kind, text) = match status {
        StatusCode::UNAUTHORIZED => (
            ErrorKind::Denied,
            format!("login refused to {who} by {service} at {url}; see user and password beside {settings}"),
        ),
        StatusCode::FORBIDDEN => (
            ErrorKind::Denied,
            format!("not permitted to {who} by {service} at {url}; give it the right there ({said})"),
        ),
        StatusCode::NOT_FOUND => (ErrorKind::NotFound, format!("nothing of this name at {service} ({said})")),
        StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => {
            (ErrorKind::Conflict, format!("something else is there already at {service} ({said})"))
        }
        _ if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            (ErrorKind::Unavailable, format!("{service} at {url} answered {} ({said})", status.as_u16()))
        }
        _ => (ErrorKind::InvalidInput, format!("{service} answered {} ({said})", status.as_u16())),
    };
    Error::new(kind, text)
}
