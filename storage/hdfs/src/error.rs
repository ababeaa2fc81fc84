//! What a cluster or the way to it says, as our errors: which request on which address, and what to change; and whether the request may
//! be repeated.
//!
//! Hadoop says what is wrong by the name of a Java class, and follows its text with where in its sources that was. Of an answer we keep
//! the class and the first line.

use std::io;

use hdfs_native::HdfsError;
use tributary_core::{Error, ErrorKind, Shown};

/// What became of a request that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It was refused for good.
    Refused,
    /// It was surely not carried out, and may be later.
    NotDone,
    /// No answer came, or not all rows: it may have been carried out.
    Unknown,
}

/// What a class means, and what helps.
const CLASSES: &[(&[&str], ErrorKind, &str)] = &[
    (&["FileNotFoundException"], ErrorKind::NotFound, "it does not exist"),
    (&["FileAlreadyExistsException", "AlreadyBeingCreatedException"], ErrorKind::AlreadyExists, "it exists"),
    (
        &["AccessControlException"],
        ErrorKind::Denied,
        "the name node refuses it to this user; who reads and writes tables needs a folder of his own there \
         (hdfs dfs -mkdir -p, hdfs dfs -chown)",
    ),
    (
        &["AuthorizationException", "InvalidToken"],
        ErrorKind::Denied,
        "the name node does not accept this user; check user or principal in service_conf.yaml, and who may use the cluster",
    ),
    (
        &["SafeModeException"],
        ErrorKind::Unavailable,
        "the name node is in safe mode, and changes nothing until it leaves it; see why (hdfs dfsadmin -safemode get), and try again",
    ),
    (
        &["NSQuotaExceededException"],
        ErrorKind::Exhausted,
        "the folder may not have so many files; raise its quota (hdfs dfsadmin -setQuota), or delete tables",
    ),
    (
        &["DSQuotaExceededException", "QuotaByStorageTypeExceededException"],
        ErrorKind::Exhausted,
        "the folder may not have so many bytes; raise its quota (hdfs dfsadmin -setSpaceQuota), or delete tables",
    ),
    (
        &["StandbyException"],
        ErrorKind::Unavailable,
        "this name node stands by, and no other one is active; name the name service in service_conf.yaml, or make a node active \
         (hdfs haadmin)",
    ),
    (
        &["RetriableException", "ServerTooBusyException"],
        ErrorKind::Unavailable,
        "the name node asks to try again later",
    ),
];

const UNPLACED: &str = "could only be written to";
const NEEDS_KERBEROS: &str = "SIMPLE authentication is not enabled";

/// What became of a request with this error.
pub(crate) fn fate(error: &HdfsError) -> Fate {
    use io::ErrorKind as K;
    match error {
        HdfsError::RPCError(class, text) | HdfsError::FatalRPCError(class, text) => {
            let later =
                ["SafeModeException", "StandbyException", "RetriableException", "ServerTooBusyException"];
            match later.iter().any(|name| is_of(class, name)) || text.contains(UNPLACED) {
                true => Fate::NotDone,
                false => Fate::Refused,
            }
        }
        HdfsError::IOError(reason) => match reason.kind() {
            K::ConnectionRefused | K::HostUnreachable | K::NetworkUnreachable | K::AddrNotAvailable => {
                Fate::NotDone
            }
            _ => Fate::Unknown,
        },
        HdfsError::DataTransferError(_)
        | HdfsError::ChecksumError
        | HdfsError::BlocksNotFound(_)
        | HdfsError::OperationFailed(_)
        | HdfsError::InvalidRPCResponse(_) => Fate::Unknown,
        _ => Fate::Refused,
    }
}

/// Whether there is nothing at the name.
pub(crate) fn is_missing(error: &HdfsError) -> bool {
    match error {
        HdfsError::FileNotFound(_) => true,
        HdfsError::RPCError(class, _) => is_of(class, "FileNotFoundException"),
        _ => false,
    }
}

/// Whether there is something at the name: a file, or a folder with something in it.
pub(crate) fn is_taken(error: &HdfsError) -> bool {
    match error {
        HdfsError::AlreadyExists(_) => true,
        HdfsError::RPCError(class, text) => {
            is_of(class, "FileAlreadyExistsException") || text.contains("not empty")
        }
        _ => false,
    }
}

/// No answer in time.
pub(crate) fn too_late() -> HdfsError {
    HdfsError::IOError(io::ErrorKind::TimedOut.into())
}

/// An error of the client, of this operation.
pub(crate) fn failed(operation: &str, address: &str, error: &HdfsError) -> Error {
    let (kind, advice) = meaning(error);
    Error::new(kind, advice).because(said(error)).at(format!("{operation} {address}"))
}

fn meaning(error: &HdfsError) -> (ErrorKind, &'static str) {
    use HdfsError as E;
    match error {
        E::RPCError(_, text) | E::FatalRPCError(_, text) if text.contains(NEEDS_KERBEROS) => (
            ErrorKind::Denied,
            "the cluster asks for Kerberos; set principal and keytab, or ticket_cache, in service_conf.yaml, and conf_dir to its configuration",
        ),
        E::RPCError(_, text) | E::FatalRPCError(_, text) if text.contains(UNPLACED) => (
            ErrorKind::Unavailable,
            "no data node takes it: they are down, full, or not to be reached from the name node; see hdfs dfsadmin -report",
        ),
        E::RPCError(class, _) | E::FatalRPCError(class, _) => of_class(class),
        E::FileNotFound(_) => (ErrorKind::NotFound, "it does not exist"),
        E::AlreadyExists(_) => (ErrorKind::AlreadyExists, "it exists"),
        E::SASLError(_) | E::GSSAPIError(..) | E::NoSASLMechanism => (
            ErrorKind::Denied,
            "Kerberos gives no ticket for the cluster; check principal and keytab, or ticket_cache, in service_conf.yaml, this machine's \
             krb5.conf and its clock",
        ),
        E::OperationFailed(text) if text.contains("gssapi") => (
            ErrorKind::Unsupported,
            "Kerberos is not on this machine; install libgssapi-krb5-2, or krb5-libs",
        ),
        E::UnsupportedFeature(_) | E::UnsupportedErasureCodingPolicy(_) => (
            ErrorKind::Unsupported,
            "the folder is encrypted or coded in a way that is not supported; choose another one",
        ),
        E::DataTransferError(_) | E::ChecksumError | E::BlocksNotFound(_) | E::ErasureCodingError(_) => (
            ErrorKind::Unavailable,
            "the data nodes do not give or take all of it; they are down, or not to be reached from here: see hdfs dfsadmin -report",
        ),
        // A name node closes the connection of one who does not know of Kerberos, and its reason is lost on the way.
        E::IOError(reason) if reason.kind() == io::ErrorKind::ConnectionAborted => (
            ErrorKind::Unavailable,
            "the name node closes the connection: it was stopped, is none of HDFS, or asks for Kerberos; check name_node, and principal or \
             conf_dir, in service_conf.yaml",
        ),
        _ => (
            ErrorKind::Unavailable,
            "the cluster cannot be reached or does not answer; check name_node in service_conf.yaml, and the network",
        ),
    }
}

fn of_class(class: &str) -> (ErrorKind, &'static str) {
    let found = CLASSES.iter().find(|(names, ..)| names.iter().any(|name| is_of(class, name)));
    found.map_or((ErrorKind::Io, "the name node refuses it"), |(_, kind, advice)| (*kind, *advice))
}

fn is_of(class: &str, name: &str) -> bool {
    class.rsplit(['.', '$']).next() == Some(name)
}

/// The class and the first line of an answer, or the reason of the client.
fn said(error: &HdfsError) -> String {
    let first = |text: &str| Shown::new(text.lines().next().unwrap_or_default()).to_string();
    match error {
        HdfsError::RPCError(class, text) | HdfsError::FatalRPCError(class, text) => {
            let name = class.rsplit(['.', '$']).next().unwrap_or_default();
            format!("the name node says {}: {}", Shown::new(name), first(text))
        }
        HdfsError::IOError(reason) => first(&reason.to_string()),
        other => first(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpc(class: &str, text: &str) -> HdfsError {
        HdfsError::RPCError(class.into(), text.into())
    }

    #[test]
    fn an_answer_becomes_what_helps_and_its_first_line() {
        let quota = rpc(
            "org.apache.hadoop.hdfs.protocol.NSQuotaExceededException",
            "The NameSpace quota of /x\u{1b}[31m is exceeded\n\tat org.apache.hadoop.hdfs.X(X.java:1)",
        );
        let error = failed("write", "hdfs://nn/x", &quota);
        assert_eq!(error.kind(), ErrorKind::Exhausted);
        let text = error.chain();
        assert!(text.starts_with("write hdfs://nn/x: the folder may not have so many files"), "{text}");
        assert!(text.contains("the name node says NSQuotaExceededException: The NameSpace quota"), "{text}");
        assert!(!text.contains("X.java") && !text.contains('\u{1b}'), "{text}");
    }

    #[test]
    fn each_fault_has_its_kind_and_what_may_be_repeated_is_told_apart() {
        let ipc = |class: &str| rpc(&format!("org.apache.hadoop.ipc.{class}"), "text");
        let io = |kind: io::ErrorKind| HdfsError::IOError(kind.into());
        for (error, kind, expected) in [
            (ipc("StandbyException"), ErrorKind::Unavailable, Fate::NotDone),
            (ipc("SafeModeException"), ErrorKind::Unavailable, Fate::NotDone),
            (rpc("java.io.FileNotFoundException", "x"), ErrorKind::NotFound, Fate::Refused),
            (
                rpc("java.io.IOException", "x could only be written to 0 of"),
                ErrorKind::Unavailable,
                Fate::NotDone,
            ),
            (rpc("java.io.IOException", "x"), ErrorKind::Io, Fate::Refused),
            (rpc("a.AccessControlException", NEEDS_KERBEROS), ErrorKind::Denied, Fate::Refused),
            (rpc("a.SecretManager$InvalidToken", "x"), ErrorKind::Denied, Fate::Refused),
            (HdfsError::NoSASLMechanism, ErrorKind::Denied, Fate::Refused),
            (io(io::ErrorKind::ConnectionRefused), ErrorKind::Unavailable, Fate::NotDone),
            (io(io::ErrorKind::ConnectionAborted), ErrorKind::Unavailable, Fate::Unknown),
            (HdfsError::DataTransferError("x".into()), ErrorKind::Unavailable, Fate::Unknown),
        ] {
            assert_eq!(failed("read", "hdfs://nn/x", &error).kind(), kind, "{error}");
            assert_eq!(fate(&error), expected, "{error}");
        }
        assert!(
            is_missing(&rpc("java.io.FileNotFoundException", ""))
                && is_missing(&HdfsError::FileNotFound("x".into()))
        );
        assert!(is_taken(&rpc("java.io.IOException", "rename destination directory is not empty: /x")));
        assert!(!is_taken(&rpc("java.io.IOException", "x")));
    }
}
