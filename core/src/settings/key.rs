//! What a key is, and what its value may be.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Secret, Section};

/// Most seconds that a key may hold: a year.
const MOST_SECONDS: u64 = 31_536_000;

/// One key of a section, or of each entry of a map.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name within the section.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// What holds where it is not given.
    pub presence: Presence,
    /// What it is for, a sentence or two. Becomes a paragraph of the reference page, in Markdown.
    pub description: &'static str,
}

/// What holds where a key is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// This value, as it would be written.
    Default(&'static str),
    /// Nothing. A map then has no entries.
    Optional,
    /// It must be given: in a section if its engine is used, in a map in each entry.
    Required,
}

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Any text.
    Text,
    /// An id: text, or a number that lost its quotes.
    Id,
    /// A host and a port.
    Address,
    /// A path of a file or folder.
    Path,
    /// A whole number of a range.
    Int {
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
    /// Bytes: `512MiB`, `4GiB`, or a plain number.
    Bytes,
    /// Whole seconds, from 1.
    Seconds,
    /// `true` or `false`.
    Bool,
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// Text that is never shown.
    Secret,
    /// Entries under names of the site's choice, each with these keys: peers, routes.
    Map(&'static [Key]),
}

/// A value that was read.
#[derive(Debug, Clone)]
pub enum Value {
    /// Of `Text`, `Id`, `Address` and `OneOf`.
    Text(String),
    /// Of `Path`, as it is written.
    Path(PathBuf),
    /// Of `Int` and `Bytes`.
    Int(u64),
    /// Of `Seconds`.
    Duration(Duration),
    /// Of `Bool`.
    Bool(bool),
    /// Of `Secret`.
    Secret(Secret),
    /// Of `Map`: a section for each entry.
    Map(BTreeMap<String, Section>),
    /// Of any kind: what is given says where the value is, and there is none. This is why.
    Missing(String),
}

impl Key {
    /// A key with a default, as it would be written.
    pub const fn new(
        name: &'static str,
        kind: Kind,
        default: &'static str,
        description: &'static str,
    ) -> Self {
        Self { name, kind, presence: Presence::Default(default), description }
    }

    /// A key that may be left out and then has no value.
    pub const fn optional(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { name, kind, presence: Presence::Optional, description }
    }

    /// A key that must be given.
    pub const fn required(name: &'static str, kind: Kind, description: &'static str) -> Self {
        Self { name, kind, presence: Presence::Required, description }
    }
}

impl Kind {
    /// The value that a text stands for, if it is one of this kind. A map is never a text.
    pub fn parse(&self, text: &str) -> Option<Value> {
        Some(match self {
            Self::Text => Value::Text(text.into()),
            Self::Id if !text.is_empty() => Value::Text(text.into()),
            Self::Address if is_address(text) => Value::Text(text.into()),
            Self::Path if !text.is_empty() && !text.contains('\0') => Value::Path(text.into()),
            Self::Int { least, most } => Value::Int(number(text).filter(|n| (*least..=*most).contains(n))?),
            Self::Bytes => Value::Int(bytes(text)?),
            Self::Seconds => {
                let seconds = number(text).filter(|n| (1..=MOST_SECONDS).contains(n))?;
                Value::Duration(Duration::from_secs(seconds))
            }
            Self::Bool => Value::Bool(text.parse().ok()?),
            Self::OneOf(words) if words.contains(&text) => Value::Text(text.into()),
            Self::Secret if !text.is_empty() => Value::Secret(Secret::new(text.into())),
            _ => return None,
        })
    }
}

/// What is expected: `an integer from 1 to 8`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Id => f.write_str("an id"),
            Self::Address => f.write_str("HOST:PORT, such as bank.example:9370"),
            Self::Path => f.write_str("a path"),
            Self::Int { least, most } => write!(f, "an integer from {least} to {most}"),
            Self::Bytes => f.write_str("bytes such as 512MiB or 4GiB"),
            Self::Seconds => write!(f, "seconds, an integer from 1 to {MOST_SECONDS}"),
            Self::Bool => f.write_str("true or false"),
            Self::OneOf(words) => write!(f, "one of {}", words.join(", ")),
            Self::Secret => f.write_str("a secret, as text"),
            Self::Map(_) => f.write_str("a map of entries"),
        }
    }
}

/// The value as a table shows it. Of a secret, that it is set; of a map, how many entries it has.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Path(path) => path.display().fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Duration(duration) => duration.as_secs().fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Secret(secret) => secret.fmt(f),
            Self::Missing(why) => write!(f, "(missing: {why})"),
            Self::Map(entries) if entries.len() == 1 => f.write_str("1 entry"),
            Self::Map(entries) => write!(f, "{} entries", entries.len()),
        }
    }
}

/// Whether it has the form of an address; whether there is such a host shows when it is called.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_bare_v6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    let is_host = !host.is_empty() && !is_bare_v6 && !host.contains(|c: char| c.is_whitespace() || c == '/');
    is_host && number(port).is_some_and(|port| (1..=65_535).contains(&port))
}

fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let unit = match text[digits..].trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1u64 << 40,
        _ => return None,
    };
    number(&text[..digits])?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, text: &str, expected: Option<&str>) {
        let shown = kind.parse(text).map(|value| value.to_string());
        assert_eq!(shown.as_deref(), expected, "{kind} of {text:?}");
    }

    #[test]
    fn each_kind_takes_its_own_and_nothing_else() {
        check(Kind::Text, "", Some(""));
        check(Kind::Id, "9999", Some("9999"));
        check(Kind::Id, "", None);
        check(Kind::Path, "/srv/tables", Some("/srv/tables"));
        check(Kind::Path, "", None);
        check(Kind::Path, "a\0b", None);
        for text in ["shop:9370", "192.0.2.1:1", "[2001:db8::1]:65535"] {
            check(Kind::Address, text, Some(text));
        }
        for text in ["", "shop", "shop:", ":9370", "shop:0", "shop:65536", "http://shop:80", "2001:db8::1"] {
            check(Kind::Address, text, None);
        }
        let small = Kind::Int { least: 1, most: 8 };
        check(small, "8", Some("8"));
        for text in ["0", "9", "-1", "+1", "1.0", "1e0", "", " 1", "٣", "99999999999999999999"] {
            check(small, text, None);
        }
        check(Kind::Seconds, "60", Some("60"));
        check(Kind::Seconds, "0", None);
        check(Kind::Seconds, "31536001", None);
        check(Kind::Bool, "true", Some("true"));
        check(Kind::Bool, "yes", None);
        check(Kind::OneOf(&["stream", "queue"]), "queue", Some("queue"));
        check(Kind::OneOf(&["stream", "queue"]), "Queue", None);
        check(Kind::Secret, "hunter2", Some("(set)"));
        check(Kind::Secret, "", None);
        check(Kind::Map(&[]), "", None);
    }

    #[test]
    fn bytes_have_units_and_do_not_overflow() {
        check(Kind::Bytes, "0", Some("0"));
        check(Kind::Bytes, "12 B", Some("12"));
        check(Kind::Bytes, "512MiB", Some("536870912"));
        check(Kind::Bytes, "3 GiB", Some("3221225472"));
        check(Kind::Bytes, "16777215TiB", Some("18446742974197923840"));
        for text in ["", "GiB", "-1", "1.5GiB", "1GB", "1gib", "16777216TiB", "18446744073709551616", "1KiBs"]
        {
            check(Kind::Bytes, text, None);
        }
    }
}
