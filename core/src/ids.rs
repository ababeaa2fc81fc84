//! Who and what: parties, sites' tables, sessions. All are checked on the way in, because they end up in paths,
//! queue names and URIs, and some of them come from a peer.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Longest name accepted anywhere, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Letters, digits, `_`, `-`, `.`; neither empty nor a path's `.` or `..`.
fn check_name(what: &str, text: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '#');
    if text.is_empty() || text.len() > MAX_NAME_BYTES || text.starts_with('.') || !text.chars().all(fits) {
        return Err(Error::invalid(format!(
            "{what} {text:?} must be 1 to {MAX_NAME_BYTES} letters, digits, '_', '-', '.' or '#', not starting with '.'"
        )));
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Checks and takes a name; `InvalidInput` when it does not fit.
            pub fn new(text: impl Into<String>) -> Result<Self> {
                let text = text.into();
                check_name($what, &text)?;
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
    Role, "role"
);
name!(
    /// A site's id, text even when it looks like a number: `9999`.
    PartyId, "party id"
);
name!(
    /// One run of a job.
    JobId, "job id"
);
name!(
    /// One task attempt's session: everything it makes carries this name, so that leftovers can be found.
    SessionId, "session id"
);

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
        let table = Self { namespace: namespace.into(), name: name.into() };
        check_name("table namespace", &table.namespace)?;
        check_name("table name", &table.name)?;
        Ok(table)
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for bad in ["", ".", "..", "a/b", "a\\b", "a\0", ".hidden", "ä", &"x".repeat(129)] {
            assert!(PartyId::new(bad).is_err(), "{bad:?}");
            assert!(TableName::new("ok", bad).is_err(), "{bad:?}");
        }
        assert_eq!(Party::new("guest", "9999").unwrap().to_string(), "guest_9999");
    }

    #[test]
    fn a_decoded_name_is_checked_too() {
        let bytes = postcard::to_stdvec("../etc").unwrap();
        assert!(postcard::from_bytes::<PartyId>(&bytes).is_err());
    }
}
