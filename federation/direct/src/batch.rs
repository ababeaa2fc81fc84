//! Bytes on their way: what is written at once, and what came, cut into messages. Frames are never copied here: a batch is a list of
//! pieces, and a message is a slice of what came wherever the network left it in one piece.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes, BytesMut};
use tributary_core::{Error, ErrorKind, Result};

use crate::message::{PREFIX_BYTES, Packet};

/// Bytes after which nothing more is added to a batch. One write of the system, one record of HTTP/2: enough that neither costs,
/// little enough that a short message does not wait long.
const FULL_BYTES: usize = 256 << 10;

/// gRPC messages that are written together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pieces: VecDeque<Bytes>,
    bytes: usize,
    heads: BytesMut,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes
    }

    pub(crate) fn add(&mut self, packet: &Packet) -> Result<()> {
        let head = packet.head(&mut self.heads)?;
        self.push(head);
        self.push(packet.frame.clone());
        Ok(())
    }

    /// A whole gRPC message, without its prefix.
    pub(crate) fn add_message(&mut self, message: &[u8]) {
        let length = (message.len() as u32).to_be_bytes();
        self.push(Bytes::from([&[0], &length[..], message].concat()));
    }

    fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.pieces.push_back(piece);
        }
    }
}

impl Buf for Batch {
    fn remaining(&self) -> usize {
        self.bytes
    }

    fn chunk(&self) -> &[u8] {
        self.pieces.front().map_or(&[], |piece| piece)
    }

    fn chunks_vectored<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        let filled = out.iter_mut().zip(&self.pieces).map(|(slot, piece)| *slot = IoSlice::new(piece));
        filled.count()
    }

    fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(front) = self.pieces.front_mut() {
            if front.len() > count {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.pieces.pop_front();
        }
    }
}

/// Cuts what came into gRPC messages. What is announced is not believed: a longer message than is possible is an error at once, and memory
/// grows with what has come.
#[derive(Debug)]
pub(crate) struct Cutter {
    most: usize,
    /// The rest of what came last.
    last: Bytes,
    /// A message that came in part only, with its prefix.
    part: BytesMut,
}

impl Cutter {
    /// For messages of this length at most.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, last: Bytes::new(), part: BytesMut::new() }
    }

    /// With another bound from now on.
    pub(crate) fn set_most(&mut self, most: usize) {
        self.most = most;
    }

    /// Takes what came. Before it, [`Cutter::next`] gave all there was.
    pub(crate) fn add(&mut self, came: Bytes) {
        self.last = came;
    }

    /// The next whole message. `Corrupt` for one that is too long or compressed.
    pub(crate) fn next(&mut self) -> Result<Option<Bytes>> {
        if self.part.is_empty() {
            if let Some(length) = self.length(&self.last)?
                && self.last.len() >= PREFIX_BYTES + length
            {
                self.last.advance(PREFIX_BYTES);
                return Ok(Some(self.last.split_to(length)));
            }
            self.part.extend_from_slice(&std::mem::take(&mut self.last));
            return Ok(None);
        }
        self.grow(PREFIX_BYTES);
        let Some(length) = self.length(&self.part)? else { return Ok(None) };
        self.grow(PREFIX_BYTES + length);
        if self.part.len() < PREFIX_BYTES + length {
            return Ok(None);
        }
        self.part.advance(PREFIX_BYTES);
        Ok(Some(self.part.split().freeze()))
    }

    /// Moves as much of what came to the part as it lacks.
    fn grow(&mut self, to: usize) {
        let missing = to.saturating_sub(self.part.len()).min(self.last.len());
        self.part.extend_from_slice(&self.last.split_to(missing));
    }

    fn length(&self, bytes: &[u8]) -> Result<Option<usize>> {
        let Some([compressed, length @ ..]) = bytes.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let length = u32::from_be_bytes(*length) as usize;
        if *compressed != 0 || length > self.most {
            let text = format!(
                "a message of {length} bytes was announced, at most {} are possible, uncompressed",
                self.most
            );
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        Ok(Some(length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefixed(messages: &[Vec<u8>]) -> Bytes {
        let mut batch = Batch::default();
        messages.iter().for_each(|message| batch.add_message(message));
        batch.copy_to_bytes(batch.len())
    }

    #[test]
    fn a_message_in_one_piece_is_not_copied() {
        let all = prefixed(&[b"one".to_vec(), b"two".to_vec()]);
        let mut cutter = Cutter::new(10);
        cutter.add(all.clone());
        let one = cutter.next().unwrap().unwrap();
        assert_eq!((&one[..], one.as_ptr()), (&b"one"[..], all[5..].as_ptr()));
        assert_eq!(&cutter.next().unwrap().unwrap()[..], b"two");
        assert_eq!(cutter.next().unwrap(), None);
    }

    #[test]
    fn what_is_too_long_or_compressed_is_refused_when_it_is_announced() {
        for announced in [[0, 0, 0, 0, 11], [0, 255, 255, 255, 255], [1, 0, 0, 0, 1]] {
            let mut cutter = Cutter::new(10);
            cutter.add(Bytes::copy_from_slice(&announced));
            assert_eq!(cutter.next().unwrap_err().kind(), ErrorKind::Corrupt);
            let mut cutter = Cutter::new(10);
            cutter.add(Bytes::copy_from_slice(&announced[..2]));
            assert_eq!(cutter.next().unwrap(), None);
            cutter.add(Bytes::copy_from_slice(&announced[2..]));
            assert_eq!(cutter.next().unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    proptest! {
        #[test]
        fn messages_come_out_however_they_are_cut_and_written(
            messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20),
            cuts in proptest::collection::vec(1..50usize, 1..60),
        ) {
            let mut all = prefixed(&messages);
            let (mut cutter, mut out) = (Cutter::new(40), Vec::new());
            let mut cuts = cuts.iter().cycle();
            while !all.is_empty() {
                cutter.add(all.split_to((*cuts.next().unwrap()).min(all.len())));
                while let Some(message) = cutter.next().unwrap() {
                    out.push(message.to_vec());
                }
            }
            prop_assert_eq!(out, messages);
        }

        #[test]
        fn any_bytes_are_cut_without_a_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..20)) {
            let mut cutter = Cutter::new(40);
            for piece in pieces {
                cutter.add(piece.into());
                while let Ok(Some(_)) = cutter.next() {}
            }
        }
    }
}
