//! What goes over a line, as gRPC messages: a small head, and behind that of a frame the frame as it came.
//!
//! A channel has a name of up to 200 bytes, said once; after that it has the number that its sender gave it. Those numbers begin at a random
//! place in each process, so that what is left of an earlier process never means another channel.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use tributary_core::{Error, PartyId, Result};
use tributary_wire::{Channel, MAX_FRAME_BYTES};

/// Before each gRPC message: whether it is compressed, and its length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Longest head: two sites, the name of a channel, a few numbers.
pub(crate) const MAX_HEAD_BYTES: usize = 64 + 2 * 160 + Channel::MAX_BYTES;

/// Longest gRPC message on a line.
pub(crate) const MAX_MESSAGE_BYTES: usize = MAX_HEAD_BYTES + MAX_FRAME_BYTES;

/// One message between two sites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// From a channel's sender: make it, unless it exists. From now on it has this number. The next frame is that of number `first`; if it is
    /// not 0, the channel was there before. `process` is that of the sender: behind an exchange nothing else tells of a new one in time.
    Open { id: u64, name: String, first: u64, process: u64 },
    /// The frame that follows is that of this number; they begin at 0.
    Frame { id: u64, number: u64 },
    /// From its receiver: frames below `have` are in its process; frames may be sent while all from the first on cost no more than `room`.
    Taken { id: u64, have: u64, room: u64 },
    /// From its receiver: there is no such channel.
    Absent { id: u64, why: Why },
    /// From its sender: remove it.
    Remove { id: u64 },
    /// From its receiver: that was done.
    Removed { id: u64 },
    /// Say at once what you have taken.
    Ask,
    /// The line is in use, by this process of the sender.
    Alive { process: u64 },
    /// From an exchange: something may not have arrived there; say again what is not confirmed.
    Again,
}

/// Why a channel is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Why {
    /// It was removed, or made at an earlier process.
    Removed,
    /// The receiver has as many as it takes from one site.
    Full,
    /// The exchange knows no way to the receiver.
    NoWay,
    /// A frame came of a number that no `Open` told: that was lost at an exchange. It is to be said again.
    Unannounced,
}

/// From which site to which.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Way {
    pub from: PartyId,
    pub to: PartyId,
}

impl Way {
    pub(crate) fn back(&self) -> Self {
        Self { from: self.to.clone(), to: self.from.clone() }
    }
}

/// A message on its way. On the line with an exchange it says its way, except for what the two say to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub way: Option<Way>,
    pub message: Message,
    /// Empty unless the message is `Frame`.
    pub frame: Bytes,
}

impl Packet {
    /// A message without a frame.
    pub(crate) fn new(way: Option<Way>, message: Message) -> Self {
        Self { way, message, frame: Bytes::new() }
    }

    /// Bytes that it takes, about.
    pub(crate) fn cost(&self) -> usize {
        self.frame.len() + MAX_HEAD_BYTES
    }

    /// Puts it behind what `heads` holds, and returns the bytes of the head with its gRPC prefix. The frame follows as it is.
    pub(crate) fn head(&self, heads: &mut BytesMut) -> Result<Bytes> {
        heads.extend_from_slice(&[0; PREFIX_BYTES]);
        let head = postcard::to_extend(&(&self.way, &self.message), std::mem::take(heads));
        *heads = head.map_err(|e| Error::bug("encode a message of a line").because(e))?;
        let mut head = heads.split();
        let length = (head.len() - PREFIX_BYTES + self.frame.len()) as u32;
        head[1..PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
        Ok(head.freeze())
    }

    /// `None` for what no version of this program sends.
    pub(crate) fn decode(bytes: &Bytes) -> Option<Self> {
        let ((way, message), rest) = postcard::take_from_bytes::<(Option<Way>, Message)>(bytes).ok()?;
        let frame = bytes.slice(bytes.len() - rest.len()..);
        let fits = match &message {
            Message::Frame { .. } => (1..=MAX_FRAME_BYTES).contains(&frame.len()),
            Message::Open { name, .. } => frame.is_empty() && name.len() <= Channel::MAX_BYTES,
            _ => frame.is_empty(),
        };
        fits.then_some(Self { way, message, frame })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(message: Message, way: Option<&str>, frame: &'static [u8]) {
        let id = |id: &str| id.parse::<PartyId>().unwrap();
        let way = way.map(|site| Way { from: id(site), to: id(site) });
        let packet = Packet { way, message, frame: Bytes::from_static(frame) };
        let head = packet.head(&mut BytesMut::new()).unwrap();
        assert!(head.len() <= PREFIX_BYTES + MAX_HEAD_BYTES);
        let all = Bytes::from([&head[PREFIX_BYTES..], frame].concat());
        assert_eq!(head[..PREFIX_BYTES], [&[0], &(all.len() as u32).to_be_bytes()[..]].concat());
        assert_eq!(Packet::decode(&all), Some(packet));
    }

    #[test]
    fn every_message_survives_its_encoding() {
        let (id, long) = (u64::MAX, "x".repeat(128));
        for way in [None, Some("10000"), Some(long.as_str())] {
            round_trip(
                Message::Open { id, name: "n".repeat(Channel::MAX_BYTES), first: id, process: id },
                way,
                b"",
            );
            round_trip(Message::Frame { id, number: id }, way, b"sealed");
            round_trip(Message::Taken { id, have: id, room: id }, way, b"");
            round_trip(Message::Absent { id, why: Why::Full }, way, b"");
            round_trip(Message::Remove { id }, way, b"");
            round_trip(Message::Removed { id }, way, b"");
            round_trip(Message::Ask, way, b"");
            round_trip(Message::Alive { process: id }, way, b"");
            round_trip(Message::Again, way, b"");
        }
    }

    #[test]
    fn heads_of_a_batch_share_memory_and_do_not_mix() {
        let (mut heads, packet) = (BytesMut::new(), |id| Packet::new(None, Message::Remove { id }));
        let made: Vec<Bytes> = (0..3).map(|id| packet(id).head(&mut heads).unwrap()).collect();
        for (id, head) in made.iter().enumerate() {
            assert_eq!(Packet::decode(&head.slice(PREFIX_BYTES..)), Some(packet(id as u64)));
        }
    }

    #[test]
    fn frames_without_content_content_without_frame_and_long_names_are_refused() {
        let bytes = |message: Message, rest: &[u8]| {
            Bytes::from([&postcard::to_stdvec(&(None::<Way>, message)).unwrap(), rest].concat())
        };
        assert_eq!(Packet::decode(&bytes(Message::Frame { id: 1, number: 0 }, b"")), None);
        assert_eq!(
            Packet::decode(&bytes(Message::Frame { id: 1, number: 0 }, &vec![1; MAX_FRAME_BYTES + 1])),
            None
        );
        assert_eq!(Packet::decode(&bytes(Message::Ask, b"x")), None);
        assert_eq!(
            Packet::decode(&bytes(Message::Open { id: 1, name: "x".repeat(201), first: 0, process: 0 }, b"")),
            None
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            Packet::decode(&Bytes::from(bytes));
        }
    }
}
