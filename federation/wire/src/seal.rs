//! Sealed frames: mark, number, ciphertext. The number is the cipher's nonce, so it cannot be changed on its way, and
//! frames open in any order.
//!
//! Keys are those of the Noise handshake, and a frame is what Noise makes of it (AES-256-GCM with the number as the nonce). The cipher is
//! called here and not through the Noise crate, because a frame is then sealed where it stands, without a copy.

use std::fmt;

use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use snow::HandshakeState;
use tributary_core::{Error, Result};
use zeroize::Zeroizing;

/// The first byte of a sealed frame; [`crate::hello`] has the other.
pub(crate) const MARK: u8 = 1;

const PREFIX_BYTES: usize = 1 + 8;
const TAG_BYTES: usize = 16;
/// Noise's own limit.
const MAX_MESSAGE_BYTES: usize = 65_535;

/// Longest frame on a queue.
pub const MAX_FRAME_BYTES: usize = PREFIX_BYTES + MAX_MESSAGE_BYTES;

/// Longest plaintext of one frame.
pub(crate) const MAX_PLAIN_BYTES: usize = MAX_MESSAGE_BYTES - TAG_BYTES;

/// A plaintext with place around it for what sealing adds.
#[derive(Debug)]
pub(crate) struct Plain(Vec<u8>);

impl Plain {
    /// Without content yet, which will be about this long.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut plain = Vec::with_capacity(PREFIX_BYTES + bytes + TAG_BYTES);
        plain.resize(PREFIX_BYTES, 0);
        Self(plain)
    }

    /// For what adds to its end.
    pub(crate) fn inner(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    pub(crate) fn extend(&mut self, content: &[u8]) {
        self.0.extend_from_slice(content);
    }

    #[cfg(test)]
    pub(crate) fn content(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0[PREFIX_BYTES..])
    }
}

/// The keys of both directions, after a handshake.
pub(crate) struct Transport {
    out: LessSafeKey,
    into: LessSafeKey,
}

impl Transport {
    pub(crate) fn new(mut state: HandshakeState) -> Result<Self> {
        let (from_initiator, from_responder) = state.dangerously_get_raw_split();
        let [from_initiator, from_responder] =
            [Zeroizing::new(from_initiator), Zeroizing::new(from_responder)];
        let key = |key: &[u8; 32]| {
            let unbound =
                UnboundKey::new(&AES_256_GCM, key).map_err(|_| Error::bug("a key of another length"));
            unbound.map(LessSafeKey::new)
        };
        let (first, second) = (key(&from_initiator)?, key(&from_responder)?);
        let (out, into) = if state.is_initiator() { (first, second) } else { (second, first) };
        Ok(Self { out, into })
    }

    /// The caller never gives two frames one number.
    pub(crate) fn seal(&self, number: u64, plain: Plain) -> Result<Bytes> {
        let Plain(mut frame) = plain;
        let bytes = frame.len() - PREFIX_BYTES;
        let failed = || Error::bug(format!("seal frame {number} of {bytes} bytes"));
        if bytes > MAX_PLAIN_BYTES {
            return Err(failed());
        }
        frame[0] = MARK;
        frame[1..PREFIX_BYTES].copy_from_slice(&number.to_le_bytes());
        let content = &mut frame[PREFIX_BYTES..];
        let tag = self.out.seal_in_place_separate_tag(nonce(number), Aad::empty(), content);
        frame.extend_from_slice(tag.map_err(|_| failed())?.as_ref());
        Ok(frame.into())
    }

    /// Number and plaintext; `None` if the peer did not seal it like this.
    pub(crate) fn open(&self, frame: &[u8]) -> Option<(u64, Bytes)> {
        let (number, sealed) = frame.strip_prefix(&[MARK])?.split_first_chunk()?;
        let length = sealed.len().checked_sub(TAG_BYTES)?;
        if sealed.len() > MAX_MESSAGE_BYTES {
            return None;
        }
        let number = u64::from_le_bytes(*number);
        let mut plain = sealed.to_vec();
        self.into.open_in_place(nonce(number), Aad::empty(), &mut plain).ok()?;
        Some((number, Bytes::from(plain).slice(..length)))
    }
}

/// As Noise has it for this cipher: 32 bits of zeros, then the number, its highest byte first.
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - 8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport(…)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::handshake::tests::{meet, terms};

    fn plain(content: &[u8]) -> Plain {
        let mut plain = Plain::with_capacity(content.len());
        plain.extend(content);
        plain
    }

    /// What Noise itself makes of a message with these keys.
    #[test]
    fn a_frame_is_what_the_standard_says() {
        let (guest, host) = (terms("guest_1", "host_2", 7), terms("host_2", "guest_1", 7));
        let (a, b) = crate::handshake::tests::finish(&guest, &host);
        let (raw, own) = (b.into_stateless_transport_mode().unwrap(), Transport::new(a).unwrap());
        let frame = own.seal(300, plain(b"content")).unwrap();
        let mut opened = [0; 100];
        assert_eq!(raw.read_message(300, &frame[PREFIX_BYTES..], &mut opened).unwrap(), 7);
        assert_eq!(&opened[..7], b"content");
        let mut made = [0; 100];
        let length = raw.write_message(1 << 40, b"answer", &mut made).unwrap();
        let frame = [&[MARK][..], &(1u64 << 40).to_le_bytes(), &made[..length]].concat();
        assert_eq!(own.open(&frame), Some((1 << 40, Bytes::from_static(b"answer"))));
    }

    fn pair() -> (Transport, Transport) {
        meet(&terms("guest_1", "host_2", 7), &terms("host_2", "guest_1", 7)).unwrap()
    }

    #[test]
    fn frames_open_in_any_order_at_the_peer_and_nowhere_else() {
        let (guest, host) = pair();
        let frames = [(3, &b"later"[..]), (0, b""), (u64::MAX - 1, &[9; MAX_PLAIN_BYTES])];
        for (number, plain) in frames {
            let frame = guest.seal(number, self::plain(plain)).unwrap();
            assert!(frame.len() <= MAX_FRAME_BYTES);
            assert_eq!(host.open(&frame), Some((number, Bytes::copy_from_slice(plain))));
            assert_eq!(guest.open(&frame), None, "a reflected frame");
            assert_eq!(pair().1.open(&frame), None, "another session");
        }
        assert!(guest.seal(1, plain(&[0; MAX_PLAIN_BYTES + 1])).is_err());
    }

    #[test]
    fn a_changed_or_cut_frame_does_not_open() {
        let (guest, host) = pair();
        let frame = guest.seal(5, plain(b"content")).unwrap();
        for i in 0..frame.len() {
            let mut changed = frame.to_vec();
            changed[i] ^= 1;
            assert_eq!(host.open(&changed), None, "byte {i}");
            assert_eq!(host.open(&frame[..i]), None, "cut at {i}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            let (guest, _) = pair();
            prop_assert_eq!(guest.open(&bytes), None);
        }
    }
}
