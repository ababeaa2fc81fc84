//! What is inside a sealed frame: pieces of values, and the end of the session.
//!
//! A value is a stream of bytes cut into pieces. The number of its first frame is its name for the pieces that follow, so
//! several values may be on their way at once without any further bookkeeping. A small value is a single frame.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tributary_core::computing::End;
use tributary_core::federation::Slot;
use tributary_core::{Error, Result};

use crate::seal::{MAX_PLAIN_BYTES, Plain};

/// Longest slot, name and tag together.
pub(crate) const MAX_SLOT_BYTES: usize = 1024;

/// What a frame takes besides its piece, if its slot is not long.
const HEAD_BYTES: usize = 64;

/// Most bytes of a value in one frame: what [`MAX_PLAIN_BYTES`] leaves beside a slot and a few numbers.
pub(crate) const MAX_PIECE_BYTES: usize = MAX_PLAIN_BYTES - MAX_SLOT_BYTES - 64;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// The initiator has the keys: its first frame.
    Ready,
    /// The first piece of a value, which follows.
    Begin { slot: Slot, last: Option<Last> },
    /// A further piece of the value whose first frame had that number.
    More { value: u64, last: Option<Last> },
    /// The session is over for the sender; nothing comes after this.
    Ended(Ending),
}

/// Comes with a value's last piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Last {
    /// That was all, of this length in total.
    Whole { bytes: u64 },
    /// The sender could not go on.
    Broken,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Ending {
    Done,
    Failed,
}

impl From<End> for Ending {
    fn from(end: End) -> Self {
        match end {
            End::Done => Self::Done,
            End::Failed => Self::Failed,
        }
    }
}

impl Frame {
    /// With a piece of a value, which comes in parts.
    pub(crate) fn encode<P: AsRef<[u8]>>(&self, piece: &[P]) -> Result<Plain> {
        let bytes: usize = piece.iter().map(|part| part.as_ref().len()).sum();
        let mut plain = Plain::with_capacity(bytes + HEAD_BYTES);
        postcard::to_io(self, plain.inner()).map_err(|e| Error::bug("encode a frame").because(e))?;
        piece.iter().for_each(|part| plain.extend(part.as_ref()));
        Ok(plain)
    }

    /// Without a piece of a value.
    pub(crate) fn alone(&self) -> Result<Plain> {
        self.encode::<&[u8]>(&[])
    }

    /// The frame and its piece of a value; `None` for what no version of this program sends.
    pub(crate) fn decode(plain: &Bytes) -> Option<(Self, Bytes)> {
        let (frame, rest) = postcard::take_from_bytes::<Self>(plain).ok()?;
        let piece = plain.slice(plain.len() - rest.len()..);
        let fits = match &frame {
            // A piece that carries nothing would be free.
            Self::Begin { slot, last } => slot_fits(slot) && (last.is_some() || !piece.is_empty()),
            Self::More { last, .. } => last.is_some() || !piece.is_empty(),
            Self::Ready | Self::Ended(_) => piece.is_empty(),
        };
        fits.then_some((frame, piece))
    }
}

/// Whether a slot is short enough for a frame.
pub(crate) fn slot_fits(slot: &Slot) -> bool {
    slot.name.len().saturating_add(slot.tag.len()) <= MAX_SLOT_BYTES
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_frame_survives_its_encoding() {
        let slot = Slot::new("masked_ids").tagged("tree.3");
        let frames = [
            (Frame::Ready, &b""[..]),
            (Frame::Begin { slot: slot.clone(), last: None }, b"piece"),
            (Frame::Begin { slot, last: Some(Last::Whole { bytes: 5 }) }, b"piece"),
            (Frame::More { value: 300, last: Some(Last::Broken) }, b""),
            (Frame::Ended(Ending::Failed), b""),
        ];
        for (frame, piece) in frames {
            let plain = frame.encode(&[piece]).unwrap().content();
            assert_eq!(Frame::decode(&plain), Some((frame, Bytes::from_static(piece))));
        }
    }

    #[test]
    fn a_full_piece_with_the_longest_slot_fits() {
        let slot = Slot::new("n".repeat(MAX_SLOT_BYTES - 1)).tagged("t");
        let frame = Frame::Begin { slot, last: Some(Last::Whole { bytes: u64::MAX }) };
        assert!(frame.encode(&[vec![0; MAX_PIECE_BYTES]]).unwrap().content().len() <= MAX_PLAIN_BYTES);
    }

    #[test]
    fn a_slot_that_is_too_long_and_bytes_after_the_end_are_refused() {
        let long = Frame::Begin { slot: Slot::new("n".repeat(MAX_SLOT_BYTES)), last: None };
        assert_eq!(Frame::decode(&long.alone().unwrap().content()), None);
        let ended = Frame::Ended(Ending::Done).encode(&[b"x"]).unwrap().content();
        assert_eq!(Frame::decode(&ended), None);
        let empty = Frame::More { value: 1, last: None }.alone().unwrap().content();
        assert_eq!(Frame::decode(&empty), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Frame::decode(&Bytes::from(bytes));
        }
    }
}
