//! Frames packed into one message: before each its length, four bytes, lowest first.
//!
//! A broker's cost is by the message. Only what waits anyway is packed: nothing waits for more to come.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};

const LENGTH_BYTES: usize = 4;

/// Some frames, packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What the broker gets.
    pub body: Bytes,
    /// Bytes of the frames alone.
    pub bytes: usize,
    /// How many they are.
    pub frames: usize,
}

/// Takes frames from the front of a queue until a message has this many bytes, at least one.
pub fn pack(frames: &mut VecDeque<Bytes>, most_bytes: usize) -> Option<Bundle> {
    let (mut count, mut bytes) = (0, 0);
    for frame in frames.iter() {
        if count > 0 && bytes + frame.len() + LENGTH_BYTES * (count + 1) > most_bytes {
            break;
        }
        (count, bytes) = (count + 1, bytes + frame.len());
    }
    let mut body = BytesMut::with_capacity(bytes + LENGTH_BYTES * count);
    for frame in frames.drain(..count) {
        body.put_u32_le(u32::try_from(frame.len()).unwrap_or(u32::MAX));
        body.put(frame);
    }
    (count > 0).then(|| Bundle { body: body.freeze(), bytes, frames: count })
}

/// The frames of a message, each of at most so many bytes, without a copy. A message that was not packed here is one frame, cut if it is too long:
/// above it is counted as damaged.
pub fn unpack(body: Bytes, most_frame_bytes: usize) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut rest = body.clone();
    while let Some(length) = rest.first_chunk::<LENGTH_BYTES>() {
        let length = u32::from_le_bytes(*length) as usize;
        if length > most_frame_bytes || length > rest.len() - LENGTH_BYTES {
            break;
        }
        let mut frame = rest.split_to(LENGTH_BYTES + length);
        frames.push(frame.split_off(LENGTH_BYTES));
    }
    match rest.is_empty() && !frames.is_empty() {
        true => frames,
        false => vec![body.slice(..body.len().min(most_frame_bytes))],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 60_000;

    fn frames(lengths: &[usize]) -> VecDeque<Bytes> {
        lengths.iter().map(|length| Bytes::from(vec![7; *length])).collect()
    }

    #[test]
    fn frames_are_packed_up_to_the_limit_and_come_out_as_they_went_in() {
        let lengths = [0, 10, 100, MOST, 5, 5];
        let (mut waiting, mut out, mut counts) = (frames(&lengths), Vec::new(), Vec::new());
        while let Some(bundle) = pack(&mut waiting, 130) {
            assert_eq!(bundle.body.len(), bundle.bytes + LENGTH_BYTES * bundle.frames);
            counts.push(bundle.frames);
            out.extend(unpack(bundle.body, MOST));
        }
        assert_eq!(counts, [3, 1, 2]);
        assert_eq!(out, Vec::from(frames(&lengths)));
    }

    #[test]
    fn what_others_put_there_is_one_frame() {
        for body in [&b""[..], b"abc", &[1, 0, 0, 0], &[1, 0, 0, 0, 9, 9], &[255; 9]] {
            assert_eq!(unpack(Bytes::copy_from_slice(body), MOST), [Bytes::copy_from_slice(body)]);
        }
        assert_eq!(unpack(Bytes::from(vec![255; MOST + 9]), MOST)[0].len(), MOST);
    }
}
