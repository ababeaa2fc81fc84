//! What a broker has to offer: named channels of byte frames. An engine of this crate's family implements [`Queue`] and
//! nothing else; meeting, sealing, order, once-only, time-outs and spilling are above it, written once.
//!
//! A queue is trusted with nothing but delivery. Frames come to it sealed, so it need not (and must not try to) look into
//! them; what it loses, repeats or damages is noticed above.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use tributary_core::federation::{Carriage, Direction, Purpose};
use tributary_core::{Error, Party, PartyId, Result, SessionId, Shown};

use crate::keys::ChannelKey;

/// Every name begins with it.
const PREFIX: &str = "tributary";
/// Stands in place of a session, which always has two dots in it, or is too long to be this.
const LETTERS: &str = "letters";

/// One direction between two parties of one session: its name, and the two sites that it joins. Names are made here and nowhere
/// else.
///
/// A name has at most [`Channel::MAX_BYTES`] of letters, digits, `_`, `-` and `.`: RabbitMQ, Pulsar and file systems take it as it is. It
/// begins with what a person looks for (session, from, to, cut to fit) and ends with a digest of all of it under the key of the two
/// sites: it makes the name unique, and only they can compute it. The sites say where the channel goes: a broker has one place
/// for all, a line to another site has two ends. A site may meet itself in two roles; then both sites are the same.
#[derive(Clone)]
pub struct Channel {
    name: String,
    from: PartyId,
    to: PartyId,
    /// No part of what it is: the other site may wish something else.
    carriage: Arc<Carriage>,
}

impl Channel {
    /// Longest name.
    pub const MAX_BYTES: usize = 200;

    /// The channel on which `from` sends to `to`.
    pub fn between(key: &ChannelKey, session: &SessionId, from: &Party, to: &Party) -> Result<Self> {
        // Each part is encoded with its length, or is a number.
        let all = postcard::to_stdvec(&(session, from, to))
            .map_err(|e| Error::bug("encode the name of a channel").because(e))?;
        let digest = HEXLOWER.encode(&key.tag(&all)?);
        let [session, by, at] = [session.to_string().chars().take(64).collect(), end_of(from), end_of(to)];
        let name = format!("{PREFIX}.{session}.{by}.{at}.{digest}");
        Ok(Self::of(name, from.id.clone(), to.id.clone()))
    }

    /// The channel of the letters from one site to another.
    pub(crate) fn of_letters(key: &ChannelKey, from: &PartyId, to: &PartyId) -> Result<Self> {
        // No encoding of a session begins with so long a job id.
        let all = postcard::to_stdvec(&([0xff_u8; 10], from, to))
            .map_err(|e| Error::bug("encode the name of a channel").because(e))?;
        let digest = HEXLOWER.encode(&key.tag(&all)?);
        let name = format!("{PREFIX}.{LETTERS}.{}.{}.{digest}", cut(from), cut(to));
        Ok(Self::of(name, from.clone(), to.clone()))
    }

    /// A channel whose name came from another site. `InvalidInput` for what [`Channel::between`] never makes: the text is safe to show,
    /// to store and to use as a name of a file.
    pub fn named(name: &str, from: PartyId, to: PartyId) -> Result<Self> {
        let safe = |c: u8| c.is_ascii_alphanumeric() || b"_-.".contains(&c);
        if name.is_empty() || name.len() > Self::MAX_BYTES || !name.bytes().all(safe) || name.starts_with('.')
        {
            let shown = Shown::new(name);
            let most = Self::MAX_BYTES;
            return Err(Error::invalid(format!(
                "a channel named {shown:?}, expected 1 to {most} of letters, digits, `_`, `-` and `.`"
            )));
        }
        Ok(Self::of(name.into(), from, to))
    }

    fn of(name: String, from: PartyId, to: PartyId) -> Self {
        Self { name, from, to, carriage: Arc::default() }
    }

    /// The same, carried as a job would like it.
    #[must_use]
    pub fn carried(self, carriage: Arc<Carriage>) -> Self {
        Self { carriage, ..self }
    }

    /// How a job would like it to be carried. What is above the site's own limits counts for nothing.
    pub fn carriage(&self) -> &Carriage {
        &self.carriage
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The site that sends.
    pub fn from(&self) -> &PartyId {
        &self.from
    }

    /// The site that receives.
    pub fn to(&self) -> &PartyId {
        &self.to
    }
}

/// Ids are ASCII and hold `#` besides what every broker takes, and `.`, which stands between the parts of a name.
fn cut(id: &PartyId) -> String {
    id.as_str().chars().take(31).map(|c| if "#.".contains(c) { '-' } else { c }).collect()
}

/// No role has the mark between role and id.
fn end_of(party: &Party) -> String {
    let role: String = party.role.as_str().chars().take(8).collect();
    format!("{role}_{}", cut(&party.id))
}

/// What an operator can read in the name of a channel that lies at a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readable {
    /// What it is for.
    pub purpose: Purpose,
    from: String,
    to: String,
}

impl Readable {
    /// A regular expression for the names of all channels from one site to another, as brokers take it; only an id of more than 31 bytes may share
    /// it with another.
    pub fn pattern(from: &PartyId, to: &PartyId) -> String {
        let end = |id: &PartyId| format!("([A-Za-z0-9-]+_)?{}", cut(id));
        format!(r"^{PREFIX}\..*\.{}\.{}\.[0-9a-f]{{32}}$", end(from), end(to))
    }

    /// `None` for what [`Channel::between`] and the letters never make.
    pub fn of(name: &str) -> Option<Self> {
        let parts: Vec<&str> = name.split('.').collect();
        let (digest, from, to) =
            (parts.last()?, parts.get(parts.len().checked_sub(3)?)?, parts.iter().nth_back(1)?);
        let session = parts.get(1..parts.len() - 3).filter(|session| !session.is_empty())?;
        let is_digest = digest.len() == 32 && digest.bytes().all(|c| c.is_ascii_hexdigit());
        if parts[0] != PREFIX || !is_digest {
            return None;
        }
        let purpose = match session {
            [LETTERS] => Purpose::Letters,
            [job, task @ ..] => Purpose::Session { job: job.parse().ok()?, attempt: task.join(".") },
            [] => return None,
        };
        Some(Self { purpose, from: (*from).into(), to: (*to).into() })
    }

    /// Which way it goes from here, and the other end as it stands in the name: a party, or a site if it is for letters. `None` if the site has
    /// neither end.
    pub fn seen_from(&self, own: &PartyId) -> Option<(Direction, &str)> {
        let is_own = |end: &str| match (&self.purpose, end.split_once('_')) {
            (Purpose::Letters, _) => end == cut(own),
            (_, Some((_, id))) => id == cut(own),
            (_, None) => false,
        };
        match (is_own(&self.to), is_own(&self.from)) {
            (true, _) => Some((Direction::Received, &self.from)),
            (_, true) => Some((Direction::Sent, &self.to)),
            _ => None,
        }
    }
}

impl Channel {
    fn identity(&self) -> (&str, &PartyId, &PartyId) {
        (&self.name, &self.from, &self.to)
    }
}

impl PartialEq for Channel {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for Channel {}

impl Hash for Channel {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A queue's own number for a frame it handed out and that was not acknowledged yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt(pub u64);

/// One frame from a channel.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// As it was sent, if all went well.
    pub frame: Bytes,
    /// For [`Queue::acknowledge`].
    pub receipt: Receipt,
}

/// The transport of one site: a broker, or lines to the other sites.
///
/// - **One site, one queue**: it opens, fills and empties its own ends of channels; a channel says who is at the other end. (A queue that
///   has all ends in one process may serve several sites.)
/// - **Delivery** is at least once, in any order: repeated and overtaking frames are sorted out above. A frame may be as long
///   as [`crate::MAX_FRAME_BYTES`].
/// - **Durable** is a frame once it does not depend on the sender's process any more. `send` may return earlier, if the queue holds the
///   frame, within a bound, and goes on bringing it; then `flush` waits.
/// - **Calls are concurrent**: `send` and `flush` on one channel come from one task at a time, everything else at any time. There is one
///   receiver a channel. All futures may be dropped half-way; a dropped `receive` must lose nothing.
/// - **`receive` waits**, for as long as it takes; `send` while the reader is slow. Everything else that cannot be done in reasonable
///   time, and a `send` to a site that cannot be reached, fails with `Unavailable`; retries inside are welcome.
/// - **Futures may be polled by any executor**, since a receiver's engine may pull rows from its own threads: a queue that
///   needs a runtime's reactor keeps a handle to it.
/// - **Leftovers**: both sides open a channel; its receiver removes it at its close, and its sender too where the receiver
///   is known to be gone or was never heard of. What a crash leaves must expire at the broker by itself: `open` sets that up.
#[async_trait]
pub trait Queue: fmt::Debug + Send + Sync + 'static {
    /// As in `service_conf.yaml`: `memory`.
    fn name(&self) -> &'static str;
    /// Makes the channel unless it exists. Does not wait for the other site.
    async fn open(&self, channel: &Channel) -> Result<()>;
    /// Sends frames. A slice, so that a distant broker confirms many in one round trip.
    /// `NotFound` if there is no such channel, perhaps not before a later `send` or `flush`; it is never made here, else a late frame
    /// would bring back what was removed.
    async fn send(&self, channel: &Channel, frames: &[Bytes]) -> Result<()>;
    /// Waits until all that was sent is durable. `NotFound` as for `send`.
    async fn flush(&self, channel: &Channel) -> Result<()>;
    /// Waits for a frame. `NotFound` if there is no such channel, also when it is removed during the wait.
    async fn receive(&self, channel: &Channel) -> Result<Delivery>;
    /// The frame was taken over and need not be delivered again.
    async fn acknowledge(&self, channel: &Channel, receipt: Receipt) -> Result<()>;
    /// Removes the channel with its frames. No error if there is none.
    async fn remove(&self, channel: &Channel) -> Result<()>;
    /// Nothing more is sent on the channel from here, all of it is durable, and its receiver is there to take it. Called before the channel in the other
    /// direction is removed. A queue that has an end of its own at the sender's site waits a moment for it to be empty, and then sees to it that it
    /// is removed.
    async fn finish(&self, channel: &Channel) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::{KeyRing, SecretKey};

    fn key(own: u8, peer: u8) -> ChannelKey {
        let [own, peer] = [own, peer].map(|byte| SecretKey::from_bytes([byte; 32]));
        let site = "1".parse().unwrap();
        KeyRing::new(own).with(site, peer.public()).unwrap().channel_key(&"1".parse().unwrap()).unwrap()
    }

    fn party(role: &str, id: &str) -> Party {
        Party::new(role, id).unwrap()
    }

    #[test]
    fn names_are_bounded_and_safe() {
        let long = |c: &str, count: usize| c.repeat(count);
        let (a, b) = (party(&long("r", 32), &long("#", 128)), party(&long("r", 32), &long("b", 128)));
        let session =
            SessionId::new(long("j", 64).parse().unwrap(), long("t", 63).parse().unwrap(), u32::MAX);
        let name = Channel::between(&key(1, 2), &session, &a, &b).unwrap();
        assert!(name.as_str().len() <= Channel::MAX_BYTES, "{}", name.as_str().len());
        assert!(name.as_str().chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c)), "{name}");
    }

    #[test]
    fn both_sites_name_a_channel_alike_and_a_stranger_who_knows_all_public_keys_and_ids_cannot() {
        let (session, guest, host) =
            ("job.psi_0.0".parse().unwrap(), party("guest", "1"), party("host", "2"));
        let name = |key: &ChannelKey| Channel::between(key, &session, &guest, &host).unwrap();
        let own = name(&key(1, 2));
        assert_eq!(own, name(&key(2, 1)));
        for stranger in [key(3, 1), key(3, 2), key(3, 3)] {
            let (other, readable) = (name(&stranger), own.as_str().len() - 32);
            assert_eq!(own.as_str()[..readable], other.as_str()[..readable]);
            assert_ne!(own, other);
        }
    }

    #[test]
    fn a_name_from_elsewhere_is_checked() {
        let id = |text: &str| text.parse::<PartyId>().unwrap();
        let made = Channel::between(
            &key(1, 2),
            &"j.t.0".parse().unwrap(),
            &party("guest", "1"),
            &party("host", "2"),
        );
        let made = made.unwrap();
        assert_eq!(Channel::named(made.as_str(), id("1"), id("2")).unwrap(), made);
        for bad in ["", "a/b", "..", "a b", "\u{1b}[2J", "ä", &"x".repeat(Channel::MAX_BYTES + 1)] {
            let error = Channel::named(bad, id("1"), id("2")).unwrap_err().to_string();
            assert!(!error.contains('\u{1b}'), "{error:?}");
        }
    }

    #[test]
    fn letters_have_a_channel_of_their_own_in_each_direction() {
        let (key, a, b): (_, PartyId, PartyId) = (key(1, 2), "1".parse().unwrap(), "2".parse().unwrap());
        let name = Channel::of_letters(&key, &a, &b).unwrap();
        assert_eq!(name.as_str().split('.').take(4).collect::<Vec<_>>(), ["tributary", "letters", "1", "2"]);
        assert_ne!(name, Channel::of_letters(&key, &b, &a).unwrap());
        assert_eq!(Channel::named(name.as_str(), a, b).unwrap(), name);
    }

    #[test]
    fn a_name_tells_its_job_and_both_ends() {
        let job = "j".repeat(64);
        let long = SessionId::new(job.parse().unwrap(), "t".parse().unwrap(), 0);
        let (a, b) = (party("guest", "9.9#9"), party("host", "2"));
        let readable = |session: &SessionId, from: &Party, to: &Party| {
            Readable::of(Channel::between(&key(1, 2), session, from, to).unwrap().as_str()).unwrap()
        };
        let of_job = |job: &str, attempt: &str| Purpose::Session {
            job: job.parse().unwrap(),
            attempt: attempt.into(),
        };
        let read = readable(&"20261129.psi_0.3".parse().unwrap(), &a, &b);
        assert_eq!(read.purpose, of_job("20261129", "psi_0.3"));
        assert_eq!(read.seen_from(&a.id), Some((Direction::Sent, "host_2")));
        assert_eq!(read.seen_from(&b.id), Some((Direction::Received, "guest_9-9-9")));
        assert_eq!(read.seen_from(&"3".parse().unwrap()), None);
        assert_eq!(readable(&long, &a, &b).purpose, of_job(&job, ""));
        let letters = Channel::of_letters(&key(1, 2), &b.id, &a.id).unwrap();
        let letters = Readable::of(letters.as_str()).unwrap();
        assert_eq!(letters.purpose, Purpose::Letters);
        assert_eq!(letters.seen_from(&a.id), Some((Direction::Received, "2")));
        for other in
            ["", "tributary", "tributary.x", "tributary.j.t.0.guest_1.host_2.dead", "orders", "tributary...."]
        {
            assert_eq!(Readable::of(other), None, "{other}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn different_sessions_parties_and_directions_have_different_names(
            a in ("[a_-]{1,3}", "[a_-]{1,3}", 0..2u32), b in ("[a_-]{1,3}", "[a_-]{1,3}", 0..2u32),
            ids in proptest::array::uniform4("[1_]{1,2}"), roles in proptest::array::uniform4("[g-]{1,2}"),
        ) {
            let key = key(1, 2);
            let session = |(job, task, attempt): &(String, String, u32)| {
                SessionId::new(job.parse().unwrap(), task.parse().unwrap(), *attempt)
            };
            let of = |i: usize| party(&roles[i], &ids[i]);
            let one = (session(&a), of(0), of(1));
            let other = (session(&b), of(2), of(3));
            let name = |(s, from, to): &(SessionId, Party, Party)| Channel::between(&key, s, from, to).unwrap();
            prop_assert_eq!(one == other, name(&one) == name(&other));
            let back = (one.0.clone(), one.2.clone(), one.1.clone());
            prop_assert_eq!(one == back, name(&one) == name(&back));
        }
    }
}
