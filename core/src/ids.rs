//! Who and what: parties, jobs and their tasks, sites' tables, sessions. All are checked on the way in, because they end up in
//! paths, queue names and URIs, and some of them come from a peer.
//!
//! Names that are put together from others must not collide: job `x` with task `a_b` is not job `x_a` with task `b`. So the
//! separator `.` stands in no part, lengths are such that what is put together is a name again, and it is put together here and
//! nowhere else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::shown::Shown;

/// Stands between the parts of a name that is put together from others, and in none of them.
const SEPARATOR: char = '.';

/// Longest name accepted anywhere, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// What a kind of name may hold besides letters and digits, and how long it may be, in bytes.
struct Rule {
    what: &'static str,
    marks: &'static str,
    bytes: usize,
}

impl Rule {
    /// Of names that stand alone.
    const fn free(what: &'static str) -> Self {
        Self { what, marks: "_-.#", bytes: MAX_NAME_BYTES }
    }

    /// Not empty, and neither a path's `.` or `..` nor a hidden file.
    fn check(&self, text: &str) -> Result<()> {
        let fits = |c: char| c.is_ascii_alphanumeric() || self.marks.contains(c);
        if !text.is_empty() && text.len() <= self.bytes && !text.starts_with('.') && text.chars().all(fits) {
            return Ok(());
        }
        let Self { what, marks, bytes } = self;
        let dot = if marks.contains('.') { ", not starting with '.'" } else { "" };
        let marks: Vec<String> = marks.chars().map(|mark| format!("'{mark}'")).collect();
        let (text, marks) = (Shown::new(text), marks.join(" or "));
        Err(Error::invalid(format!(
            "{what} {text:?} must be 1 to {bytes} ASCII letters, digits or {marks}{dot}"
        )))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $rule:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks and takes a name; `InvalidInput` when it does not fit.
            pub fn new(text: impl Into<String>) -> Result<Self> {
                const RULE: Rule = $rule;
                let text = text.into();
                RULE.check(&text)?;
                Ok(Self(text))
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = Error;
            fn try_from(text: String) -> Result<Self> {
                Self::new(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> String {
                name.0
            }
        }

        impl FromStr for $type {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self> {
                Self::new(text)
            }
        }
    };
}

name!(
    /// What a party does in a job: `guest` (asks, has the label), `host` (contributes), `arbiter` (helps), `local`.
    Role, Rule { what: "role", marks: "-", bytes: 32 }
);
name!(
    /// A site's id, text even when it looks like a number: `9999`.
    PartyId, Rule::free("party id")
);
name!(
    /// One run of a job.
    JobId, Rule { what: "job id", marks: "_-", bytes: 64 }
);
name!(
    /// Half of what models are stored under: an id, or a version.
    ModelName, Rule::free("model name")
);
name!(
    /// A task, by its name in the job.
    TaskName, Rule { what: "task name", marks: "_-", bytes: 63 }
);

/// One attempt at one task of one job. All parties of the attempt have the same; everything that a session makes carries this
/// name, so that leftovers can be found. Text: `<job>.<task>.<attempt>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionId {
    /// The job.
    pub job: JobId,
    /// Its task.
    pub task: TaskName,
    /// From 0.
    pub attempt: u32,
}

impl SessionId {
    /// An attempt's session.
    pub fn new(job: JobId, task: TaskName, attempt: u32) -> Self {
        Self { job, task, attempt }
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { job, task, attempt } = self;
        write!(f, "{job}{SEPARATOR}{task}{SEPARATOR}{attempt}")
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for SessionId {
    type Err = Error;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self> {
        let wrong =
            || Error::invalid(format!("session id {:?}, expected job.task.attempt", Shown::new(text)));
        let (job, rest) = text.split_once(SEPARATOR).ok_or_else(wrong)?;
        let (task, attempt) = rest.split_once(SEPARATOR).ok_or_else(wrong)?;
        let session = Self::new(job.parse()?, task.parse()?, attempt.parse().map_err(|_| wrong())?);
        if session.to_string() == text { Ok(session) } else { Err(wrong()) }
    }
}

/// What all parties of a job must agree on before they exchange anything: a digest of the job, and of the kernels that
/// compute it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobHash([u8; 32]);

impl JobHash {
    /// Of these bytes.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

/// 128 bits of it: enough to compare by eye.
impl fmt::Display for JobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..16].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for JobHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Role {
    /// Has the label and asks the question.
    pub fn guest() -> Self {
        Self("guest".into())
    }

    /// Contributes columns.
    pub fn host() -> Self {
        Self("host".into())
    }

    /// Helps without data of its own.
    pub fn arbiter() -> Self {
        Self("arbiter".into())
    }

    /// Works alone: upload, download.
    pub fn local() -> Self {
        Self("local".into())
    }
}

/// A role and the site that has it; one site may have several roles in a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Party {
    /// What it does.
    pub role: Role,
    /// Which site.
    #[serde(rename = "party_id")]
    pub id: PartyId,
}

impl Party {
    /// Checks both names.
    pub fn new(role: impl Into<String>, id: impl Into<String>) -> Result<Self> {
        Ok(Self { role: Role::new(role)?, id: PartyId::new(id)? })
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.role, self.id)
    }
}

/// A table as users name it. Unique within a site.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct TableName {
    /// Groups tables: `experiment`.
    pub namespace: String,
    /// Within the namespace: `breast_guest`.
    pub name: String,
}

#[derive(Deserialize)]
struct Unchecked {
    namespace: String,
    name: String,
}

impl TryFrom<Unchecked> for TableName {
    type Error = Error;
    fn try_from(table: Unchecked) -> Result<Self> {
        Self::new(table.namespace, table.name)
    }
}

impl TableName {
    /// Checks both parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Result<Self> {
        const NAMESPACE: Rule = Rule::free("table namespace");
        const NAME: Rule = Rule::free("table name");
        let table = Self { namespace: namespace.into(), name: name.into() };
        NAMESPACE.check(&table.namespace)?;
        NAME.check(&table.name)?;
        Ok(table)
    }

    /// The namespace of all outputs of a task: `<job>.<task>`.
    pub fn namespace_of(job: &JobId, task: &TaskName) -> String {
        format!("{job}{SEPARATOR}{task}")
    }

    /// An output of one party's part of an attempt: `<job>.<task>/<role>.<output>.<attempt>`. The role is in it because a site may
    /// have two in a job.
    pub fn of_output(session: &SessionId, role: &Role, output: &str) -> Result<Self> {
        const OUTPUT: Rule = Rule { what: "output", marks: "_-", bytes: 64 };
        OUTPUT.check(output)?;
        let SessionId { job, task, attempt } = session;
        Self::new(Self::namespace_of(job, task), format!("{role}{SEPARATOR}{output}{SEPARATOR}{attempt}"))
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a\0", ".hidden", "ä", &"x".repeat(129)] {
            assert!(PartyId::new(bad).is_err(), "{bad:?}");
            assert!(JobId::new(bad).is_err(), "{bad:?}");
            assert!(TableName::new("ok", bad).is_err(), "{bad:?}");
        }
        assert_eq!(Party::new("guest", "9999").unwrap().to_string(), "guest_9999");
    }

    #[test]
    fn a_decoded_name_is_checked_too() {
        let bytes = postcard::to_stdvec("../etc").unwrap();
        assert!(postcard::from_bytes::<PartyId>(&bytes).is_err());
        let bytes = postcard::to_stdvec(&("a.b", "c", 0u32)).unwrap();
        assert!(postcard::from_bytes::<SessionId>(&bytes).is_err());
    }

    #[test]
    fn the_longest_names_make_names() {
        let (job, task) = ("j".repeat(64), "t".repeat(63));
        let session = SessionId::new(job.parse().unwrap(), task.parse().unwrap(), u32::MAX);
        assert_eq!(session.to_string().parse::<SessionId>().unwrap(), session);
        let role = Role::new("r".repeat(32)).unwrap();
        TableName::of_output(&session, &role, &"o".repeat(64)).unwrap();
        assert!(JobId::new(job + "j").is_err() && TaskName::new(task + "t").is_err());
    }

    #[test]
    fn a_session_id_is_read_as_it_is_written_and_in_no_other_way() {
        for bad in ["", "a", "a.b", "a.b.c", "a.b.01", "a.b.+1", "a.b.1.2", "a..1", "a.b.4294967296"] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?}");
        }
        assert_eq!("x.a_b.1".parse::<SessionId>().unwrap().task.as_str(), "a_b");
    }

    fn session() -> impl Strategy<Value = SessionId> {
        // Few letters, so that texts which only differ in where they are cut are often drawn together.
        ("[a_-]{1,4}", "[a_-]{1,4}", 0..3u32).prop_map(|(job, task, attempt)| {
            SessionId::new(job.parse().unwrap(), task.parse().unwrap(), attempt)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn different_attempts_share_no_name(a in session(), b in session(), keys in ("[a_-]{1,3}", "[a_-]{1,3}")) {
            prop_assert_eq!(&a.to_string().parse::<SessionId>().unwrap(), &a);
            prop_assert_eq!(a == b, a.to_string() == b.to_string());
            let (own, other) = ((&a.job, &a.task), (&b.job, &b.task));
            prop_assert_eq!(own == other, TableName::namespace_of(own.0, own.1) == TableName::namespace_of(other.0, other.1));
            let table = |of: &SessionId, key: &str| TableName::of_output(of, &Role::guest(), key).unwrap();
            prop_assert_eq!((&a, &keys.0) == (&b, &keys.1), table(&a, &keys.0) == table(&b, &keys.1));
        }
    }
}
