//! What the client library reports, as errors that say what to change.

use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::{Error as Lapin, ErrorKind as Kind};
use tributary_core::{Error, ErrorKind, Shown};

use crate::config::Config;

/// While a connection is made.
pub(crate) fn connecting(config: &Config, error: &Lapin) -> Error {
    let (place, user, vhost) = (config.place(), Shown::new(&config.user), Shown::new(&config.vhost));
    let reason = error.to_string();
    let shows = config.tls.as_ref().is_some_and(|tls| tls.identity.is_some());
    if let Kind::ProtocolError(said) = error.kind() {
        let text = said.get_message().as_str();
        return match said.kind() {
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) if text.contains("not found") => Error::new(
                ErrorKind::NotFound,
                format!(
                    "the broker at {place} has no virtual host {vhost}; make it there, or see federation.rabbitmq.vhost"
                ),
            ),
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Error::new(
                ErrorKind::Denied,
                format!(
                    "user {user} may not use virtual host {vhost} of the broker at {place}; give it permissions there ({})",
                    Shown::new(text)
                ),
            ),
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) if config.by_certificate => Error::new(
                ErrorKind::Denied,
                format!(
                    "login refused to the holder of this site's certificate by the broker at {place}; see that it has a user of this name, and \
                     federation.rabbitmq.certificate ({})",
                    Shown::new(text)
                ),
            ),
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Error::new(
                ErrorKind::Denied,
                format!(
                    "login refused to user {user} by the broker at {place}; see federation.rabbitmq.user and password"
                ),
            ),
            _ => Error::new(
                ErrorKind::Unavailable,
                format!("the broker at {place} refused a connection ({})", Shown::new(text)),
            ),
        };
    }
    // What TLS says from there to here. A broker may hang up before it is heard.
    if reason.contains("received fatal alert") {
        let text = format!(
            "the broker at {place} does not accept this site's certificate, or asks for one ({}); see federation.rabbitmq.certificate and key",
            Shown::new(&reason)
        );
        return Error::new(ErrorKind::Denied, text);
    }
    if reason.contains("certificate") {
        let text = format!(
            "the broker at {place} shows a certificate that is not accepted here ({}); see federation.rabbitmq.ca and host",
            Shown::new(&reason)
        );
        return Error::new(ErrorKind::Denied, text);
    }
    let text = format!(
        "the broker at {place} cannot be reached ({}); see federation.rabbitmq.host and port{}",
        Shown::new(&reason),
        if shows { ", and whether the broker knows who signed federation.rabbitmq.certificate" } else { "" }
    );
    Error::new(ErrorKind::Unavailable, text)
}

/// While a queue is used. What ends only the connection is worth another try.
pub(crate) fn using(config: &Config, queue: &str, error: &Lapin) -> Error {
    let place = config.place();
    let Kind::ProtocolError(said) = error.kind() else {
        let text =
            format!("the connection to the broker at {place} broke ({})", Shown::new(&error.to_string()));
        return Error::new(ErrorKind::Unavailable, text);
    };
    let said_text = said.get_message().as_str();
    let text = Shown::new(said_text);
    match said.kind() {
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => absent(queue),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) if said_text.contains("exclusive") => Error::new(
            ErrorKind::Unavailable,
            format!(
                "another program reads queue {queue} at the broker at {place}; see which, in its list of consumers"
            ),
        ),
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Error::new(
            ErrorKind::Denied,
            format!(
                "user {} may not use queue {queue} of the broker at {place}; give it configure, write and read for `^tributary\\..*` there ({text})",
                Shown::new(&config.user)
            ),
        ),
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => {
            Error::new(ErrorKind::Conflict, format!("queue {queue} at the broker at {place}: {text}"))
        }
        _ => Error::new(ErrorKind::Unavailable, format!("the broker at {place} ended a connection ({text})")),
    }
}

/// There is no such queue.
pub(crate) fn absent(queue: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no queue {queue} at the broker"))
}
