//! The stamp by which a file is recognised when it is opened again.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use tributary_core::{Error, Result};

/// A file's size, its modification time to the nanosecond, and the digest of a piece that every writing program changes. A
/// change that keeps all three is not made by mistake.
///
/// As text: `bytes:12 modified:1700000000.000000001 footer:sha256:…`, where `footer` names the piece.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stamp {
    bytes: u64,
    modified: (i64, i64),
    piece: String,
    sha256: String,
}

impl Stamp {
    /// The stamp of a file, with the SHA-256 of its piece of that name (lower case).
    pub fn new(about: &Metadata, piece: &str, sha256: &[u8]) -> Self {
        let sha256 = HEXLOWER.encode(sha256);
        let modified = (about.mtime(), about.mtime_nsec());
        Self { bytes: about.len(), modified, piece: piece.to_owned(), sha256 }
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the file has this size and time. Cheap enough to check repeatedly while a file is read.
    pub fn is_of(&self, about: &Metadata) -> bool {
        (self.bytes, self.modified) == (about.len(), (about.mtime(), about.mtime_nsec()))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = self.modified;
        write!(f, "bytes:{} modified:{seconds}.{nanos:09} {}:sha256:{}", self.bytes, self.piece, self.sha256)
    }
}

impl FromStr for Stamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (bytes, rest) = text.strip_prefix("bytes:")?.split_once(" modified:")?;
            let (modified, rest) = rest.split_once(' ')?;
            let (piece, sha256) = rest.split_once(":sha256:")?;
            let (seconds, nanos) = modified.split_once('.')?;
            let named = !piece.is_empty() && piece.bytes().all(|b| b.is_ascii_lowercase());
            let is_hex = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
            let modified = (seconds.parse().ok()?, nanos.parse().ok()?);
            let (piece, sha256) = (piece.to_owned(), sha256.to_owned());
            (named && is_hex).then_some(Self { bytes: bytes.parse().ok()?, modified, piece, sha256 })
        };
        parse().ok_or_else(|| Error::invalid(format!("{text:?} is not the stamp of a file")))
    }
}

impl TryFrom<String> for Stamp {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Stamp> for String {
    fn from(stamp: Stamp) -> Self {
        stamp.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_and_another_text_does_not() {
        let text = format!("bytes:12 modified:-1700000000.000000001 footer:sha256:{}", "0a".repeat(32));
        let stamp: Stamp = text.parse().unwrap();
        assert_eq!((stamp.bytes(), stamp.to_string()), (12, text.clone()));
        for bad in ["", "yesterday", &text[..100], &text.replace("footer", "Foot er"), &text.replace('.', "")]
        {
            assert!(bad.parse::<Stamp>().is_err(), "{bad}");
        }
    }
}
