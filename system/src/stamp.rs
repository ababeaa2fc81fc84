//! The stamp by which a file is recognised when it is opened again.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tributary_core::bytestore::FileState;
use tributary_core::{Error, Result};

/// The name of the piece where the medium itself says that a file was written again.
const TAG: &str = "tag";

/// A file's size, its modification time to the nanosecond, and the digest of a piece that every writing program changes: of its entity tag, where
/// the medium gives one, else of some of its bytes. A change that keeps all three is not made by mistake.
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
    /// The stamp of a file in a state. `digest`: the SHA-256 of its piece of that name (lower case), which is not asked for if the state has an
    /// entity tag.
    pub fn of(state: &FileState, piece: &str, digest: impl FnOnce() -> Result<[u8; 32]>) -> Result<Self> {
        let (piece, sha256) = match &state.tag {
            Some(tag) => (TAG, Sha256::digest(tag).into()),
            None => (piece, digest()?),
        };
        let (bytes, modified) = (state.bytes, since_1970(state.modified));
        Ok(Self { bytes, modified, piece: piece.to_owned(), sha256: HEXLOWER.encode(&sha256) })
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a file may be the same by what its medium says: its size, its time, and its entity tag, if there is one.
    pub fn may_be_of(&self, state: &FileState) -> bool {
        let same_tag = match &state.tag {
            Some(tag) => self.piece == TAG && self.sha256 == HEXLOWER.encode(&Sha256::digest(tag)),
            None => self.piece != TAG,
        };
        same_tag && (self.bytes, self.modified) == (state.bytes, since_1970(state.modified))
    }
}

/// Seconds, negative before 1970, and the nanoseconds after them.
fn since_1970(time: SystemTime) -> (i64, i64) {
    let parts = |time: Duration| (time.as_secs() as i64, i64::from(time.subsec_nanos()));
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => parts(after),
        Err(before) => match parts(before.duration()) {
            (seconds, 0) => (-seconds, 0),
            (seconds, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
        },
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
        let older = SystemTime::UNIX_EPOCH - Duration::from_secs(1_700_000_000) + Duration::from_nanos(1);
        let state = FileState { bytes: 12, modified: older, tag: None };
        assert!(stamp.may_be_of(&state));
        assert_eq!(Stamp::of(&state, "footer", || Ok([10; 32])).unwrap(), stamp);
        for bad in ["", "yesterday", &text[..100], &text.replace("footer", "Foot er"), &text.replace('.', "")]
        {
            assert!(bad.parse::<Stamp>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_entity_tag_takes_the_place_of_bytes() {
        let state = FileState { bytes: 3, modified: SystemTime::UNIX_EPOCH, tag: Some("\"abc\"".into()) };
        let stamp = Stamp::of(&state, "ends", || Err(Error::bug("no bytes are read"))).unwrap();
        assert!(
            stamp.may_be_of(&state)
                && stamp.to_string().starts_with("bytes:3 modified:0.000000000 tag:sha256:")
        );
        let changed = [
            FileState { tag: Some("\"abd\"".into()), ..state.clone() },
            FileState { tag: None, ..state.clone() },
            FileState { bytes: 4, ..state.clone() },
        ];
        assert!(changed.iter().all(|changed| !stamp.may_be_of(changed)));
        assert_eq!(stamp.to_string().parse::<Stamp>().unwrap(), stamp);
    }
}
