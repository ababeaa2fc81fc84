//! Names on the medium: the addresses of tables and the names of their files. Every component of a path is checked here,
//! because addresses, attempts and part names come from callers, from other processes and from files.

use serde::{Deserialize, Serialize};

use tributary_core::bytestore::UNFINISHED;
use tributary_core::storage::TableUri;
use tributary_core::{Error, Result, TableName};
use tributary_system::random;

/// The folder of a table, relative to the store's base.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    name: TableName,
    folder: String,
}

impl Place {
    /// The place of a table by its name, which is checked again because its fields are public.
    pub(crate) fn of_name(name: &TableName) -> Result<Self> {
        let name = TableName::new(name.namespace.as_str(), name.name.as_str())?;
        Ok(Self { folder: name.to_string(), name })
    }

    /// The place of an address below `base`.
    pub(crate) fn of_uri(base: &str, uri: &TableUri) -> Result<Self> {
        Self::of_name(&uri.name_below(base)?)
    }

    pub(crate) fn uri(&self, base: &str) -> Result<TableUri> {
        TableUri::below(base, &self.name)
    }

    pub(crate) fn name(&self) -> &TableName {
        &self.name
    }

    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    pub(crate) fn manifest(&self) -> String {
        format!("{}/_manifest.json", self.folder)
    }

    pub(crate) fn current(&self) -> String {
        format!("{}/current", self.folder)
    }

    pub(crate) fn snapshot(&self, attempt: &Attempt) -> String {
        format!("{}/_snapshots/{}", self.folder, attempt.0)
    }

    pub(crate) fn part(&self, attempt: &Attempt, file: &str) -> String {
        format!("{}/{file}", self.snapshot(attempt))
    }
}

/// The role of a path below the base.
pub(crate) enum Found {
    /// The manifest of a table.
    Manifest,
    /// A file in the folder of a write.
    InAttempt(Place, Attempt),
    /// An unfinished upload.
    Unfinished(Place),
    /// An unfinished upload beside all tables.
    Stray,
    /// A foreign file: never touched.
    Other,
}

impl Found {
    pub(crate) fn of(path: &str) -> Self {
        let components: Vec<&str> = path.split('/').collect();
        if matches!(components.as_slice(), [file] if file.starts_with(UNFINISHED)) {
            return Self::Stray;
        }
        let [namespace, name, rest @ ..] = components.as_slice() else { return Self::Other };
        let Ok(place) = TableName::new(*namespace, *name).and_then(|name| Place::of_name(&name)) else {
            return Self::Other;
        };
        match rest {
            ["_manifest.json"] => Self::Manifest,
            [file] if file.starts_with(UNFINISHED) => Self::Unfinished(place),
            ["_snapshots", attempt, _] => match Attempt::parse(attempt) {
                Ok(attempt) => Self::InAttempt(place, attempt),
                Err(_) => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

/// One write of a table, and the snapshot that it becomes: 32 hex digits drawn at random.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Attempt(String);

impl Attempt {
    pub(crate) fn fresh() -> Result<Self> {
        Ok(Self(format!("{:016x}{:016x}", random::u64()?, random::u64()?)))
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.len() != 32 || !is_hex(text) {
            return Err(Error::invalid(format!(
                "write attempt or snapshot {text:?}, expected 32 hex digits"
            )));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Attempt {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<Attempt> for String {
    fn from(attempt: Attempt) -> Self {
        attempt.0
    }
}

/// The content of a part's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// Rows, as Parquet.
    Rows,
    /// The place of the rows.
    Bound,
}

impl PartKind {
    /// The content by a name that [`check_part_file`] accepted.
    pub(crate) fn of(file: &str) -> Self {
        if file.ends_with(Self::Bound.ending()) { Self::Bound } else { Self::Rows }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Rows => ".parquet",
            Self::Bound => ".bound",
        }
    }
}

/// A name for a file of a partition, new each time: a repeated write must not touch the file that an earlier one returned.
/// Sorts by partition.
pub(crate) fn fresh_part_file(partition: u32, kind: PartKind) -> Result<String> {
    Ok(format!("part-{partition:05}-{:016x}{}", random::u64()?, kind.ending()))
}

/// A new name for a temporary file.
pub(crate) fn fresh_passing(what: &str) -> Result<String> {
    Ok(format!("{UNFINISHED}{what}-{:016x}", random::u64()?))
}

/// `InvalidInput` unless [`fresh_part_file`] could have made it.
pub(crate) fn check_part_file(file: &str, partition: u32) -> Result<()> {
    let nonce = file
        .strip_prefix("part-")
        .and_then(|rest| rest.strip_prefix(&format!("{partition:05}-")))
        .and_then(|rest| rest.strip_suffix(PartKind::of(file).ending()));
    match nonce {
        Some(nonce) if nonce.len() == 16 && is_hex(nonce) => Ok(()),
        _ => Err(Error::invalid(format!("{file:?} is not the name of a part of partition {partition}"))),
    }
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_leaves_the_base_is_refused() {
        let base = "file:///srv/tables";
        let check = |text: &str| Place::of_uri(base, &TableUri::new(text).unwrap());
        assert_eq!(check("file:///srv/tables/n/t").unwrap().folder(), "n/t");
        for bad in [
            "s3:///srv/tables/n/t",
            "file:///srv/tables",
            "file:///srv/tables/n",
            "file:///srv/tables/n/t/x",
            "file:///srv/tables/../t",
            "file:///srv/tables/n/..",
            "file:///srv/tables//t",
            "file:///srv/tablesn/t",
            "file:///srv/n/t",
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.to_string().contains("expected file:///srv/tables/namespace/name"), "{error}");
        }
    }

    #[test]
    fn only_generated_part_names_are_accepted() {
        for kind in [PartKind::Rows, PartKind::Bound] {
            let name = fresh_part_file(65_535, kind).unwrap();
            check_part_file(&name, 65_535).unwrap();
            assert!(check_part_file(&name, 1).is_err());
            assert_eq!(PartKind::of(&name), kind);
        }
        for bad in ["", "part-00001-../../../../etc/x.parquet", "part-00001-0123456789abcde/.parquet"] {
            assert!(check_part_file(bad, 1).is_err(), "{bad}");
        }
    }

    #[test]
    fn attempts_differ_and_are_checked() {
        let attempt = Attempt::fresh().unwrap();
        assert_ne!(attempt, Attempt::fresh().unwrap());
        assert_eq!(Attempt::parse(&attempt.0).unwrap(), attempt);
        assert!(Attempt::parse("../../../../../../../../../../../").is_err());
    }
}
