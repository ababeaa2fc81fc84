//! What the client library reports, as this program's errors: which kind, and what to change.

use pulsar::Error as Failure;
use pulsar::error::{
    AuthenticationError, ConnectionError, ConsumerError, ProducerError, ServiceDiscoveryError,
};
use pulsar::proto::ServerError;
use tributary_core::{Error, ErrorKind, Shown};

/// An error of the library while something was attempted at a place.
pub(crate) fn error(what: &str, place: &str, failure: &Failure) -> Error {
    let (kind, help) = match cause(failure) {
        Cause::Server(server) => of_server(server),
        Cause::Connection => {
            (ErrorKind::Unavailable, "see whether the cluster runs there, and the keys host, port and tls")
        }
        Cause::Login => (ErrorKind::Denied, "see the keys token, user and password"),
        Cause::Other => (ErrorKind::Unavailable, "the cluster's log may say more"),
    };
    let text = failure.to_string();
    Error::new(kind, format!("{what} at {place}: {}; {help}", Shown::new(&text)))
}

enum Cause {
    Server(ServerError),
    Connection,
    Login,
    Other,
}

fn cause(failure: &Failure) -> Cause {
    match failure {
        Failure::Connection(e)
        | Failure::Consumer(ConsumerError::Connection(e))
        | Failure::Producer(ProducerError::Connection(e))
        | Failure::ServiceDiscovery(ServiceDiscoveryError::Connection(e)) => of_connection(e),
        Failure::ServiceDiscovery(ServiceDiscoveryError::Query(Some(server), _)) => Cause::Server(*server),
        Failure::Authentication(_) => Cause::Login,
        _ => Cause::Other,
    }
}

fn of_connection(error: &ConnectionError) -> Cause {
    match error {
        ConnectionError::PulsarError(Some(server), _) => Cause::Server(*server),
        ConnectionError::Authentication(AuthenticationError::Retriable(_)) => Cause::Connection,
        ConnectionError::Authentication(_) => Cause::Login,
        ConnectionError::Io(_)
        | ConnectionError::Disconnected
        | ConnectionError::SocketAddr(_)
        | ConnectionError::NotFound
        | ConnectionError::Canceled
        | ConnectionError::Shutdown => Cause::Connection,
        _ => Cause::Other,
    }
}

fn of_server(server: ServerError) -> (ErrorKind, &'static str) {
    use ServerError as S;
    match server {
        S::TopicNotFound | S::SubscriptionNotFound | S::TopicTerminatedError => {
            (ErrorKind::NotFound, "it was removed")
        }
        S::AuthenticationError => (ErrorKind::Denied, "see the keys token, user and password"),
        S::AuthorizationError => (
            ErrorKind::Denied,
            "grant this login to produce and consume in the namespace (`pulsar-admin namespaces grant-permission`)",
        ),
        S::ConsumerBusy => (
            ErrorKind::Unavailable,
            "somebody else reads this topic: another process of this site, or another user of the cluster",
        ),
        S::ProducerBlockedQuotaExceededError | S::ProducerBlockedQuotaExceededException => (
            ErrorKind::Unavailable,
            "the other site does not take what was sent; the namespace's backlog quota is used up",
        ),
        _ => (ErrorKind::Unavailable, "the cluster's log may say more"),
    }
}
