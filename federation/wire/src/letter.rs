//! One letter: a whole text from one site to another, sealed to the key of its receiver and proven to come from the holder of its
//! sender's key.
//!
//! A letter needs no session: the pattern is Noise K, one way, both keys known beforehand, so it can be opened by a process that has
//! just started. Its pieces may overtake each other. What a broker repeats or loses is the matter of the layer above, whose
//! requests can be repeated.

use std::collections::VecDeque;

use bytes::Bytes;
use snow::{Builder, HandshakeState};
use tributary_core::{Error, PartyId, Result};
use tributary_system::random;

use crate::keys::KeyRing;
use crate::seal::MAX_PLAIN_BYTES;

/// Longest letter: a job file and what goes with it.
pub const MAX_LETTER_BYTES: usize = 4 << 20;

const PATTERN: &str = "Noise_K_25519_ChaChaPoly_BLAKE2s";
/// Raised with every change of letters.
const VERSION: u16 = 1;
/// The first byte of each piece; [`crate::hello`] and [`crate::seal`] have others.
const MARK: u8 = 2;
/// Mark, version, id, number of this piece, number of pieces.
const HEAD_BYTES: usize = 1 + 2 + 16 + 2 + 2;
/// Of the first piece: an ephemeral key and a tag.
const OPENING_BYTES: usize = 32 + 16;
const PIECE_BYTES: usize = MAX_PLAIN_BYTES - HEAD_BYTES;
const MAX_PIECES: usize = MAX_LETTER_BYTES.div_ceil(PIECE_BYTES) + 1;

/// A letter's own number, random.
pub(crate) type Id = [u8; 16];

/// One frame of a letter, read and not believed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub id: Id,
    pub index: u16,
    pub count: u16,
    pub body: Bytes,
}

impl Piece {
    /// `None` for what is no piece of a letter in this version.
    pub(crate) fn decode(frame: &Bytes) -> Option<Self> {
        let (head, _) = frame.split_first_chunk::<HEAD_BYTES>()?;
        let [mark, v0, v1, id @ .., i0, i1, c0, c1] = *head;
        let (version, index, count) =
            (u16::from_le_bytes([v0, v1]), u16::from_le_bytes([i0, i1]), u16::from_le_bytes([c0, c1]));
        let fits = mark == MARK && version == VERSION && index < count && usize::from(count) <= MAX_PIECES;
        fits.then(|| Self { id, index, count, body: frame.slice(HEAD_BYTES..) })
    }

    fn head(id: &Id, index: u16, count: u16) -> Vec<u8> {
        let mut frame = vec![MARK];
        frame.extend_from_slice(&VERSION.to_le_bytes());
        frame.extend_from_slice(id);
        frame.extend_from_slice(&index.to_le_bytes());
        frame.extend_from_slice(&count.to_le_bytes());
        frame
    }
}

fn prologue(id: &Id, count: u16, from: &PartyId, to: &PartyId) -> Result<Vec<u8>> {
    postcard::to_stdvec(&("tributary letter", VERSION, id, count, from, to))
        .map_err(|e| Error::bug("encode a letter's prologue").because(e))
}

fn failed(error: snow::Error) -> Error {
    Error::bug("seal a letter").because(error)
}

/// The state of a letter from this site to another one, or from that one to this.
fn state(keys: &KeyRing, peer: &PartyId, prologue: &[u8], sends: bool) -> Result<HandshakeState> {
    let key = keys.of(peer)?;
    let build = || {
        let builder = Builder::new(PATTERN.parse()?)
            .prologue(prologue)?
            .local_private_key(keys.own().reveal())?
            .remote_public_key(key.as_bytes())?;
        if sends { builder.build_initiator() } else { builder.build_responder() }
    };
    build().map_err(failed)
}

/// The frames of a letter.
pub(crate) fn seal(keys: &KeyRing, from: &PartyId, to: &PartyId, text: &[u8]) -> Result<Vec<Bytes>> {
    if text.len() > MAX_LETTER_BYTES {
        let length = text.len();
        return Err(Error::invalid(format!("a letter of {length} bytes, at most {MAX_LETTER_BYTES}")));
    }
    let mut id = Id::default();
    random::fill(&mut id)?;
    let chunks: Vec<&[u8]> = text.chunks(PIECE_BYTES).collect();
    let count = chunks.len() as u16 + 1;
    let mut sealed = vec![0; MAX_PLAIN_BYTES];
    let frame = |index: usize, body: &[u8]| {
        let mut frame = Piece::head(&id, index as u16, count);
        frame.extend_from_slice(body);
        Bytes::from(frame)
    };
    let mut state = state(keys, to, &prologue(&id, count, from, to)?, true)?;
    let length = state.write_message(&[], &mut sealed).map_err(failed)?;
    let mut frames = vec![frame(0, &sealed[..length])];
    let state = state.into_stateless_transport_mode().map_err(failed)?;
    for (number, chunk) in chunks.into_iter().enumerate() {
        let length = state.write_message(number as u64, chunk, &mut sealed).map_err(failed)?;
        frames.push(frame(number + 1, &sealed[..length]));
    }
    Ok(frames)
}

/// The text of a letter whose pieces are all there, in order. `None` if `from` did not seal it to `to`.
pub(crate) fn open(keys: &KeyRing, from: &PartyId, to: &PartyId, pieces: &[Piece]) -> Result<Option<Bytes>> {
    let Some((first, rest)) = pieces.split_first() else { return Ok(None) };
    let mut state = state(keys, from, &prologue(&first.id, first.count, from, to)?, false)?;
    if first.body.len() != OPENING_BYTES || state.read_message(&first.body, &mut []).is_err() {
        return Ok(None);
    }
    let state = state.into_stateless_transport_mode().map_err(failed)?;
    let (mut text, mut plain) = (Vec::new(), vec![0; MAX_PLAIN_BYTES]);
    for (number, piece) in rest.iter().enumerate() {
        let Ok(length) = state.read_message(number as u64, &piece.body, &mut plain) else { return Ok(None) };
        text.extend_from_slice(&plain[..length]);
    }
    Ok(Some(text.into()))
}

/// Letters of one site whose pieces are coming in.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    /// The oldest first.
    letters: VecDeque<(Id, Vec<Option<Piece>>)>,
    /// Letters that have come, the oldest first: a broker may bring them again.
    seen: VecDeque<Id>,
}

/// Letters at a time of one site; more come from a site that sends many and finishes none.
const MOST_INCOMING: usize = 8;
/// Letters that are remembered.
const MOST_SEEN: usize = 1024;

impl Incoming {
    /// Takes a piece; all pieces of its letter if it was the last one missing.
    pub(crate) fn add(&mut self, piece: Piece) -> Option<Vec<Piece>> {
        let (id, count, index) = (piece.id, usize::from(piece.count), usize::from(piece.index));
        if self.seen.contains(&id) {
            return None;
        }
        let at = self.letters.iter().position(|(known, _)| *known == id).unwrap_or_else(|| {
            self.letters.push_back((id, std::iter::repeat_with(|| None).take(count).collect()));
            if self.letters.len() > MOST_INCOMING {
                self.letters.pop_front();
            }
            self.letters.len() - 1
        });
        let (_, pieces) = self.letters.get_mut(at)?;
        *pieces.get_mut(index)? = Some(piece);
        if !pieces.iter().all(|piece| piece.is_some()) {
            return None;
        }
        let (_, pieces) = self.letters.remove(at)?;
        Some(pieces.into_iter().flatten().collect())
    }

    /// The letter was opened: what comes of it from now on is a repetition.
    pub(crate) fn opened(&mut self, id: Id) {
        self.seen.push_back(id);
        if self.seen.len() > MOST_SEEN {
            self.seen.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::handshake::tests::rings;

    fn id(text: &str) -> PartyId {
        text.parse().unwrap()
    }

    fn pieces(frames: &[Bytes]) -> Vec<Piece> {
        frames.iter().map(|frame| Piece::decode(frame).unwrap()).collect()
    }

    #[test]
    fn a_letter_opens_at_its_receiver_and_nowhere_else() {
        let ((a, b), (_, stranger)) = (rings(), rings());
        for text in [vec![], b"short".to_vec(), vec![7; PIECE_BYTES], vec![9; 3 * PIECE_BYTES + 1]] {
            let sealed = seal(&a, &id("1"), &id("2"), &text).unwrap();
            let sealed = pieces(&sealed);
            assert_eq!(open(&b, &id("1"), &id("2"), &sealed).unwrap().as_deref(), Some(&*text));
            assert_eq!(open(&b, &id("1"), &id("1"), &sealed).unwrap(), None, "to another");
            assert_eq!(open(&a, &id("2"), &id("1"), &sealed).unwrap(), None, "reflected");
            assert_eq!(open(&stranger, &id("1"), &id("2"), &sealed).unwrap(), None);
        }
        let long = vec![0; MAX_LETTER_BYTES];
        assert!(seal(&a, &id("1"), &id("2"), &long).unwrap().len() <= MAX_PIECES);
        seal(&a, &id("1"), &id("2"), &[long, vec![0]].concat()).unwrap_err();
    }

    #[test]
    fn a_letter_is_whole_or_nothing() {
        let (a, b) = rings();
        let text = vec![9; 2 * PIECE_BYTES];
        let frames = seal(&a, &id("1"), &id("2"), &text).unwrap();
        let opens = |frames: &[Bytes]| open(&b, &id("1"), &id("2"), &pieces(frames)).unwrap();
        assert_eq!(opens(&[frames[0].clone(), frames[2].clone(), frames[1].clone()]), None, "order");
        let other = seal(&a, &id("1"), &id("2"), &text).unwrap();
        assert_eq!(
            opens(&[frames[0].clone(), frames[1].clone(), other[2].clone()]),
            None,
            "another letter's"
        );
        for at in [0, 30, 70] {
            let mut changed = frames[0].to_vec();
            changed[at] ^= 1;
            let piece = Piece::decode(&changed.into());
            assert!(piece.is_none_or(|piece| open(&b, &id("1"), &id("2"), &[piece]).unwrap().is_none()));
        }
    }

    #[test]
    fn pieces_come_in_any_order_and_more_than_once() {
        let (a, b) = rings();
        let text = vec![5; 2 * PIECE_BYTES];
        let frames = seal(&a, &id("1"), &id("2"), &text).unwrap();
        let mut incoming = Incoming::default();
        let order = [2, 2, 0, 1].map(|at| incoming.add(Piece::decode(&frames[at]).unwrap()));
        let [None, None, None, Some(whole)] = order else { panic!("{order:?}") };
        assert_eq!(open(&b, &id("1"), &id("2"), &whole).unwrap().unwrap(), text);
        incoming.opened(whole[0].id);
        assert!(frames.iter().all(|frame| incoming.add(Piece::decode(frame).unwrap()).is_none()));
        assert!(incoming.letters.is_empty());
    }

    #[test]
    fn a_site_that_finishes_no_letter_takes_bounded_memory() {
        let mut incoming = Incoming::default();
        for number in 0..100 {
            let piece = Piece { id: [number; 16], index: 0, count: 60, body: Bytes::new() };
            assert!(incoming.add(piece).is_none());
        }
        assert_eq!(incoming.letters.len(), MOST_INCOMING);
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let (_, b) = rings();
            if let Some(piece) = Piece::decode(&bytes.into()) {
                open(&b, &id("1"), &id("2"), &[piece]).unwrap();
            }
        }
    }
}
