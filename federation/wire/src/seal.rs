//! Sealed frames: mark, number, ciphertext. The number is the cipher's nonce, so it cannot be changed on its way, and
//! frames open in any order.

use std::fmt;

use bytes::Bytes;
use snow::StatelessTransportState;
use tributary_core::{Error, Result};

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

/// The keys of both directions, after a handshake.
pub(crate) struct Transport(StatelessTransportState);

impl Transport {
    pub(crate) fn new(state: StatelessTransportState) -> Self {
        Self(state)
    }

    /// The caller never gives two frames one number.
    pub(crate) fn seal(&self, number: u64, plain: &[u8]) -> Result<Bytes> {
        let mut frame = vec![0; PREFIX_BYTES + plain.len() + TAG_BYTES];
        frame[0] = MARK;
        frame[1..PREFIX_BYTES].copy_from_slice(&number.to_le_bytes());
        self.0
            .write_message(number, plain, &mut frame[PREFIX_BYTES..])
            .map_err(|e| Error::bug(format!("seal frame {number} of {} bytes", plain.len())).because(e))?;
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
        let mut plain = vec![0; length];
        self.0.read_message(number, sealed, &mut plain).ok()?;
        Some((number, plain.into()))
    }
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

    fn pair() -> (Transport, Transport) {
        meet(&terms("guest_1", "host_2", 7), &terms("host_2", "guest_1", 7)).unwrap()
    }

    #[test]
    fn frames_open_in_any_order_at_the_peer_and_nowhere_else() {
        let (guest, host) = pair();
        let frames = [(3, &b"later"[..]), (0, b""), (u64::MAX - 1, &[9; MAX_PLAIN_BYTES])];
        for (number, plain) in frames {
            let frame = guest.seal(number, plain).unwrap();
            assert!(frame.len() <= MAX_FRAME_BYTES);
            assert_eq!(host.open(&frame), Some((number, Bytes::copy_from_slice(plain))));
            assert_eq!(guest.open(&frame), None, "a reflected frame");
            assert_eq!(pair().1.open(&frame), None, "another session");
        }
        assert!(guest.seal(1, &[0; MAX_PLAIN_BYTES + 1]).is_err());
    }

    #[test]
    fn a_changed_or_cut_frame_does_not_open() {
        let (guest, host) = pair();
        let frame = guest.seal(5, b"content").unwrap();
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
