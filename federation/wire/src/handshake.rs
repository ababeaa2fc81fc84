//! The handshake: Noise KK, both sides' keys known beforehand. Two messages; the party that sorts first begins.
//!
//! The prologue binds protocol version, job, task, attempt, both parties and the plan's digest, so keys only come out equal when all
//! of these are. The first message could be a replay, so the responder considers the session open only when a sealed frame
//! proves that the initiator has the keys too.

use bytes::Bytes;
use snow::{Builder, HandshakeState};
use tributary_core::{Error, JobHash, Party, Result, SessionId};

use crate::hello::VERSION;
use crate::keys::KeyRing;
use crate::seal::Transport;

const PATTERN: &str = "Noise_KK_25519_AESGCM_BLAKE2s";
/// Room for a message without payload: an ephemeral key and a tag are 48.
const MESSAGE_BYTES: usize = 128;

/// What both sides must agree on.
#[derive(Debug)]
pub(crate) struct Terms {
    pub session: SessionId,
    pub own: Party,
    pub peer: Party,
    pub job_hash: JobHash,
}

impl Terms {
    /// Whether this party begins.
    pub(crate) fn initiates(&self) -> bool {
        self.own < self.peer
    }

    fn prologue(&self) -> Result<Vec<u8>> {
        let (first, second) =
            if self.initiates() { (&self.own, &self.peer) } else { (&self.peer, &self.own) };
        postcard::to_stdvec(&("tributary", VERSION, &self.session, first, second, &self.job_hash))
            .map_err(|e| Error::bug("encode a handshake's prologue").because(e))
    }

    fn state(&self, keys: &KeyRing) -> Result<HandshakeState> {
        let (prologue, peer) = (self.prologue()?, keys.of(&self.peer.id)?);
        let build = || {
            let builder = Builder::new(PATTERN.parse()?)
                .prologue(&prologue)?
                .local_private_key(keys.own().reveal())?
                .remote_public_key(peer.as_bytes())?;
            if self.initiates() { builder.build_initiator() } else { builder.build_responder() }
        };
        build().map_err(failed)
    }
}

fn failed(error: snow::Error) -> Error {
    Error::bug("begin a handshake").because(error)
}

/// The initiator's first message.
pub(crate) fn begin(terms: &Terms, keys: &KeyRing) -> Result<(HandshakeState, Bytes)> {
    let mut state = terms.state(keys)?;
    let message = write(&mut state)?;
    Ok((state, message))
}

/// The responder's second message. `None` if the first was not made by the holder of the peer's key for these terms.
pub(crate) fn answer(terms: &Terms, keys: &KeyRing, first: &[u8]) -> Result<Option<(Transport, Bytes)>> {
    let mut state = terms.state(keys)?;
    if !read(&mut state, first) {
        return Ok(None);
    }
    let message = write(&mut state)?;
    Ok(Some((Transport::new(state)?, message)))
}

fn write(state: &mut HandshakeState) -> Result<Bytes> {
    let mut message = vec![0; MESSAGE_BYTES];
    let length = state.write_message(&[], &mut message).map_err(failed)?;
    message.truncate(length);
    Ok(message.into())
}

/// Whether the message was made by the holder of the peer's key for the same terms; if so, the handshake has gone on.
pub(crate) fn read(state: &mut HandshakeState, message: &[u8]) -> bool {
    message.len() <= MESSAGE_BYTES && state.read_message(message, &mut [0; MESSAGE_BYTES]) == Ok(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use tributary_core::PartyId;

    use super::*;
    use crate::keys::SecretKey;

    pub(crate) fn terms(own: &str, peer: &str, plan: u8) -> Terms {
        let party = |text: &str| {
            let (role, id) = text.split_once('_').unwrap();
            Party::new(role, id).unwrap()
        };
        let session = "job.psi_0.0".parse::<SessionId>().unwrap();
        Terms { session, own: party(own), peer: party(peer), job_hash: JobHash::new([plan; 32]) }
    }

    pub(crate) fn rings() -> (KeyRing, KeyRing) {
        let (a, b) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let id = |text: &str| PartyId::new(text).unwrap();
        let public = (a.public(), b.public());
        let ring = |own| KeyRing::new(own).with(id("1"), public.0).unwrap().with(id("2"), public.1).unwrap();
        (ring(a), ring(b))
    }

    /// Both sides of a handshake that is over, between `guest_1` and `host_2`.
    pub(crate) fn finish(guest: &Terms, host: &Terms) -> (HandshakeState, HandshakeState) {
        let (a, b) = rings();
        let (mut guest, first) = begin(guest, &a).unwrap();
        let mut host = host.state(&b).unwrap();
        assert!(read(&mut host, &first));
        let second = write(&mut host).unwrap();
        assert!(read(&mut guest, &second));
        (guest, host)
    }

    /// A handshake between `guest_1` and `host_2`, each with its own terms.
    pub(crate) fn meet(guest: &Terms, host: &Terms) -> Option<(Transport, Transport)> {
        let (a, b) = rings();
        let (mut state, first) = begin(guest, &a).unwrap();
        let (host, second) = answer(host, &b, &first).unwrap()?;
        read(&mut state, &second).then(|| (Transport::new(state).unwrap(), host))
    }

    #[test]
    fn equal_terms_meet_and_any_difference_does_not() {
        let guest = terms("guest_1", "host_2", 7);
        assert!(guest.initiates());
        assert!(meet(&guest, &terms("host_2", "guest_1", 7)).is_some());
        assert!(meet(&guest, &terms("host_2", "guest_1", 8)).is_none(), "plan");
        assert!(meet(&guest, &terms("host_3", "guest_1", 7)).is_none(), "party");
        let mut other = terms("host_2", "guest_1", 7);
        other.session = "job.psi_0.1".parse().unwrap();
        assert!(meet(&guest, &other).is_none(), "attempt");
        // One text cut at two places.
        let cut = |session: &str| {
            (
                Terms { session: session.parse().unwrap(), ..terms("guest_1", "host_2", 7) },
                Terms { session: session.parse().unwrap(), ..terms("host_2", "guest_1", 7) },
            )
        };
        let ((guest, _), (_, host)) = (cut("x.a_b.0"), cut("x_a.b.0"));
        assert!(meet(&guest, &host).is_none(), "job and task");
    }

    #[test]
    fn one_site_meets_itself_in_two_roles() {
        let (ring, _) = rings();
        let (mut state, first) = begin(&terms("arbiter_1", "guest_1", 0), &ring).unwrap();
        let (_, second) = answer(&terms("guest_1", "arbiter_1", 0), &ring, &first).unwrap().unwrap();
        assert!(read(&mut state, &second));
    }

    #[test]
    fn what_does_not_prove_the_key_changes_nothing() {
        let ((a, b), (_, stranger)) = (rings(), rings());
        let (guest, host) = (terms("guest_1", "host_2", 7), terms("host_2", "guest_1", 7));
        let (mut state, first) = begin(&guest, &a).unwrap();
        let (_, old) = answer(&host, &b, &begin(&guest, &a).unwrap().1).unwrap().unwrap();
        for wrong in [&old[..], &first, &[0; 48], &[], &stranger.own_public().as_bytes()[..]] {
            assert!(!read(&mut state, wrong));
        }
        let (host, second) = answer(&host, &b, &first).unwrap().unwrap();
        assert!(read(&mut state, &second));
        let mut plain = crate::seal::Plain::with_capacity(1);
        plain.extend(b"x");
        assert!(host.open(&Transport::new(state).unwrap().seal(0, plain).unwrap()).is_some());
    }

    #[test]
    fn a_message_from_another_key_is_refused() {
        let ((a, _), (_, b)) = (rings(), rings());
        let (_, first) = begin(&terms("guest_1", "host_2", 7), &a).unwrap();
        assert!(answer(&terms("host_2", "guest_1", 7), &b, &first).unwrap().is_none());
        assert!(answer(&terms("host_2", "guest_1", 7), &b, &[0; 20]).unwrap().is_none());
        assert!(answer(&terms("host_2", "guest_1", 7), &b, &[0; 20_000]).unwrap().is_none());
    }
}
