//! What two parties say before they share a key: in clear text, so that a wrong version or plan can be *named*.
//!
//! Nothing here is believed. Everything a hello says is in the handshake's prologue too, so changing one on its way makes
//! the handshake fail; a forged one can end a session that has not begun, which a broker could do anyway. The checksum separates
//! damage (ignored, as if lost) from difference (reported at once). Magic, version and checksum stay as they are in every
//! version of the protocol; the rest is the version's own.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tributary_core::JobHash;

/// Raised with every change of frames, headers or the handshake.
pub(crate) const VERSION: u16 = 4;

/// The first byte of a hello; [`crate::seal`] has the other.
pub(crate) const MARK: u8 = 0;

const MAGIC: [u8; 5] = [MARK, b't', b'r', b'i', b'b'];
const CHECKSUM_BYTES: usize = 8;
const MAX_BYTES: usize = 1024;

/// One hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    pub job_hash: JobHash,
    pub step: Step,
}

/// Where in the handshake its sender is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Step {
    /// The responder needs the initiator.
    Knock,
    /// The handshake's first message, from the initiator.
    First(Bytes),
    /// The handshake's second message, from the responder.
    Second(Bytes),
    /// The sender will not talk to the receiver: another version or plan (which this hello shows), or a wrong key.
    Refused,
    /// The sender left before the handshake was over.
    Left,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Hello(Hello),
    /// A hello in another version of the protocol.
    Foreign(u16),
    /// Damaged, or not a hello.
    Garbled,
}

impl Hello {
    pub(crate) fn encode(&self) -> tributary_core::Result<Bytes> {
        let said =
            postcard::to_stdvec(self).map_err(|e| tributary_core::Error::bug("encode a hello").because(e))?;
        Ok(envelope(VERSION, &said))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Heard {
        Self::parse(bytes).unwrap_or(Heard::Garbled)
    }

    fn parse(bytes: &[u8]) -> Option<Heard> {
        if bytes.len() > MAX_BYTES {
            return None;
        }
        let (said, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
        if checksum(said) != sum {
            return None;
        }
        let (version, rest) = said.strip_prefix(&MAGIC)?.split_first_chunk()?;
        let version = u16::from_le_bytes(*version);
        if version != VERSION {
            return Some(Heard::Foreign(version));
        }
        let (hello, rest) = postcard::take_from_bytes(rest).ok()?;
        rest.is_empty().then_some(Heard::Hello(hello))
    }
}

/// What stays in every version of the protocol.
pub(crate) fn envelope(version: u16, said: &[u8]) -> Bytes {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(said);
    let checksum = checksum(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes.into()
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&Sha256::digest(bytes)[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(step: Step) -> Hello {
        Hello { job_hash: JobHash::new([7; 32]), step }
    }

    #[test]
    fn every_step_survives_its_encoding() {
        let noise = Bytes::from(vec![3; 48]);
        for step in [Step::Knock, Step::First(noise.clone()), Step::Second(noise), Step::Refused, Step::Left]
        {
            let hello = hello(step);
            assert_eq!(Hello::decode(&hello.encode().unwrap()), Heard::Hello(hello));
        }
    }

    #[test]
    fn another_version_is_recognised_whatever_follows() {
        let bytes = envelope(7, b"what version 7 says");
        assert_eq!(Hello::decode(&bytes), Heard::Foreign(7));
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let bytes = hello(Step::First(Bytes::from(vec![3; 48]))).encode().unwrap();
        for i in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[i] ^= 4;
            assert_eq!(Hello::decode(&damaged), Heard::Garbled, "byte {i}");
            assert_eq!(Hello::decode(&bytes[..i]), Heard::Garbled, "cut at {i}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(said in proptest::collection::vec(any::<u8>(), 0..200)) {
            Hello::decode(&said);
            Hello::decode(&envelope(VERSION, &said));
        }
    }
}
