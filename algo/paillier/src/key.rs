//! Key sizes and key names.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// The size of a key: the bits of its modulus n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum KeyBits {
    /// What older job files ask for. Within reach of a well-funded attacker: callers warn, see
    /// [`Self::is_weak`].
    Bits1024,
    /// The default: about 112 bits of security.
    #[default]
    Bits2048,
    /// About 128 bits of security, at a third of the speed.
    Bits3072,
}

impl KeyBits {
    /// The number of bits of n.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits1024 => 1024,
            Self::Bits2048 => 2048,
            Self::Bits3072 => 3072,
        }
    }

    /// The bytes of n. A ciphertext has twice as many.
    pub const fn bytes(self) -> usize {
        self.bits() as usize / 8
    }

    /// Whether a job that uses this size must say so in a warning.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Bits1024)
    }
}

impl TryFrom<u32> for KeyBits {
    type Error = Error;

    fn try_from(bits: u32) -> Result<Self, Error> {
        [Self::Bits1024, Self::Bits2048, Self::Bits3072]
            .into_iter()
            .find(|size| size.bits() == bits)
            .ok_or(Error::KeyBits { bits })
    }
}

impl From<KeyBits> for u32 {
    fn from(size: KeyBits) -> Self {
        size.bits()
    }
}

impl fmt::Display for KeyBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bits", self.bits())
    }
}

/// The name of a public key: the first 16 bytes of the SHA-256 of its encoding, as 32 hexadecimal digits.
///
/// Columns of ciphertexts carry it, so that a column is not read under another key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    pub(crate) fn of(public_key: &[u8]) -> Self {
        let digest = Sha256::digest(public_key);
        Self(data_encoding::HEXLOWER.encode(&digest[..16]))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KeyId {
    type Error = Error;

    fn try_from(id: String) -> Result<Self, Error> {
        if id.len() == 32 && id.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(Self(id));
        }
        Err(Error::Parameters {
            what: "key id",
            reason: "expected 32 hexadecimal digits in lower case".to_owned(),
        })
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({})", self.0)
    }
}
