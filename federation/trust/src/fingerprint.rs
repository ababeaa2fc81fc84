//! What two operators read to each other: 128 bits that stand for a whole card.

use std::fmt;
use std::str::FromStr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tributary_core::{Error, Result, Shown};

const BYTES: usize = 16;
/// Hexadecimal digits of a group: what one says in one breath.
const GROUP: usize = 4;

/// The first half of a SHA-256: whoever wants another card with the fingerprint of a given one tries 2^128 times.
///
/// As text: eight groups of four hexadecimal digits with `-` between them. Reading also takes spaces and colons there, nothing,
/// and capital letters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub struct Fingerprint([u8; BYTES]);

impl Fingerprint {
    /// Of some parts in order, each with its length, so that no two lists of parts are one text.
    pub(crate) fn of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(&hash.finalize()[..BYTES]);
        Self(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.0.chunks(GROUP / 2).enumerate() {
            let dash = if index == 0 { "" } else { "-" };
            write!(f, "{dash}{}", HEXLOWER.encode(group))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'-' | b':' | b' ')).collect();
        let bytes = HEXLOWER_PERMISSIVE.decode(&digits).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| {
            let (text, digits) = (Shown::new(text), 2 * BYTES);
            Error::invalid(format!(
                "fingerprint {text:?}, expected {digits} hexadecimal digits, in groups or not"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_in_every_way_that_people_write_it() {
        let fingerprint = Fingerprint::of([&b"a"[..]]);
        let text = fingerprint.to_string();
        assert_eq!((text.len(), text.matches('-').count()), (39, 7));
        for written in [
            text.clone(),
            text.replace('-', ""),
            text.replace('-', ":"),
            text.replace('-', " ").to_uppercase(),
        ] {
            assert_eq!(written.parse::<Fingerprint>().unwrap(), fingerprint);
        }
        for wrong in ["", &text[1..], &format!("{text}0"), &text.replace('-', "_")] {
            wrong.parse::<Fingerprint>().unwrap_err();
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Fingerprint::of([&b"ab"[..], b"c"]), Fingerprint::of([&b"a"[..], b"bc"]));
        assert_ne!(Fingerprint::of([&b"a"[..], b""]), Fingerprint::of([&b"a"[..]]));
    }
}
