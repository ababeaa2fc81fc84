//! The messages before buckets are worked on: base transfers, and the seeds of a vector for each bucket.
//!
//! ```text
//! asking                            answering
//! offer            ── 32 B ──▶
//!                  ◀── 8 KB ──      choices
//! opening          ── 0.9 MB ──▶    the first vector, and a wish for one whose entries are the noise of all others
//!                  ◀── 150 KB ──    its seeds
//! for some buckets at a time
//! wishes           ── 70 KB ──▶     each
//!                  ◀── 150 KB ──    seeds, each
//! ```
//!
//! All arithmetic of buckets follows from these seeds: it is done wherever the rows are.

use tributary_core::computing::Blob;
use tributary_core::{Error, ErrorKind, Result};
use tributary_vole::{Gf128, Offered, Planted, Receiver, Reserve, Sender};

use super::plan::Plan;

/// The asking party has made its offer.
pub struct Offer(Offered);

impl Offer {
    /// Begins; what to send. Errors, here and below: `Io` if the system has no randomness, `Corrupt` for what no honest party
    /// sends.
    pub fn new() -> Result<(Self, Vec<u8>)> {
        let (offered, offer) = Receiver::offer()?;
        Ok((Self(offered), offer.to_vec()))
    }

    /// With the other's choices; what to send next.
    pub fn open(self, plan: Plan, choices: &[u8]) -> Result<(Opening, Vec<u8>)> {
        plan.check()?;
        let mut receiver = self.0.accept(choices)?;
        let (first, mut message) = receiver.first()?;
        let mut reserve = Reserve::default();
        reserve.add(&first);
        let setup = match plan.setup_shape()? {
            None => None,
            Some(shape) => {
                let (planted, wish) = receiver.plant(shape, plan.number(b"setup", 0))?;
                message.extend_from_slice(&wish);
                Some(planted)
            }
        };
        Ok((Opening { plan, receiver, reserve, setup }, message))
    }
}

/// The asking party waits for the seeds of the vector that is to be noise.
pub struct Opening {
    plan: Plan,
    receiver: Receiver,
    reserve: Reserve<[Gf128; 2]>,
    setup: Option<Planted>,
}

impl Opening {
    /// With those seeds, which are empty for one bucket.
    pub fn finish(mut self, seeds: &[u8]) -> Result<Asking> {
        match self.setup {
            Some(planted) => {
                let seed = planted.grow(seeds, &self.reserve.take()?)?;
                self.reserve.add(&seed.expand(self.plan.code()));
            }
            None if seeds.is_empty() => {}
            None => return Err(Error::new(ErrorKind::Corrupt, "seeds for no vector")),
        }
        Ok(Asking { plan: self.plan, receiver: self.receiver, reserve: self.reserve })
    }
}

/// The asking party, ready for buckets.
pub struct Asking {
    plan: Plan,
    receiver: Receiver,
    reserve: Reserve<[Gf128; 2]>,
}

/// Buckets whose seeds the asking party waits for.
pub struct Wished(Vec<Planted>);

impl Asking {
    /// What was agreed.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Asks for the seeds of some buckets, in the order in which the other answers.
    pub fn wish(&mut self, buckets: std::ops::Range<u32>) -> Result<(Wished, Vec<u8>)> {
        let shape = self.plan.shape()?;
        let (mut planted, mut message) = (Vec::new(), Vec::new());
        for bucket in buckets {
            let (one, wish) = self.receiver.plant(shape, self.plan.number(b"bucket", bucket.into()))?;
            planted.push(one);
            message.extend_from_slice(&wish);
        }
        Ok((Wished(planted), message))
    }

    /// The seeds of those buckets, as secret parameters of [`Ask`](super::Ask).
    pub fn seeds(&mut self, wished: Wished, message: &[u8]) -> Result<Vec<Blob>> {
        let parts = parts(message, wished.0.len())?;
        let grow = |(planted, seeds): (Planted, &[u8])| {
            let seed = planted.grow(seeds, &self.reserve.take()?)?;
            Ok(Blob::secret(seed.to_bytes().to_vec()))
        };
        wished.0.into_iter().zip(parts).map(grow).collect()
    }
}

/// The answering party.
pub struct Answering {
    plan: Plan,
    sender: Sender,
    reserve: Reserve<Gf128>,
}

impl Answering {
    /// With the other's offer; what to send.
    pub fn new(plan: Plan, offer: &[u8]) -> Result<(Self, Vec<u8>)> {
        plan.check()?;
        let (sender, choices) = Sender::answer(offer)?;
        Ok((Self { plan, sender, reserve: Reserve::default() }, choices))
    }

    /// What was agreed.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// With the other's opening; what to send.
    pub fn open(&mut self, opening: &[u8]) -> Result<Vec<u8>> {
        let (first, wish) = opening.split_at_checked(Receiver::FIRST_BYTES).ok_or_else(|| {
            let text = format!("an opening of {} bytes, at least {}", opening.len(), Receiver::FIRST_BYTES);
            Error::new(ErrorKind::Corrupt, text)
        })?;
        self.reserve.add(&self.sender.first(first)?);
        match self.plan.setup_shape()? {
            None if wish.is_empty() => Ok(Vec::new()),
            None => Err(Error::new(ErrorKind::Corrupt, "a wish for a vector that is not needed")),
            Some(shape) => {
                let (public, noise) = (self.plan.number(b"setup", 0), self.reserve.take()?);
                let (seed, message) = self.sender.plant(shape, public, &noise, wish)?;
                self.reserve.add(seed.expand(self.plan.code()).as_flattened());
                Ok(message)
            }
        }
    }

    /// Answers the wish for some buckets: their seeds, as secret parameters of [`Answer`](super::Answer), and what to send.
    pub fn seeds(&mut self, buckets: std::ops::Range<u32>, wishes: &[u8]) -> Result<(Vec<Blob>, Vec<u8>)> {
        let (shape, parts) = (self.plan.shape()?, parts(wishes, buckets.len())?);
        let (mut seeds, mut message) = (Vec::new(), Vec::new());
        for (bucket, wish) in buckets.zip(parts) {
            let (public, noise) = (self.plan.number(b"bucket", bucket.into()), self.reserve.take()?);
            let (seed, sent) = self.sender.plant(shape, public, &noise, wish)?;
            seeds.push(Blob::secret(seed.to_bytes().to_vec()));
            message.extend_from_slice(&sent);
        }
        Ok((seeds, message))
    }
}

/// Equal parts of a message.
fn parts(message: &[u8], count: usize) -> Result<std::slice::ChunksExact<'_, u8>> {
    if count == 0 || message.is_empty() || !message.len().is_multiple_of(count) {
        let text = format!("{} bytes for {count} buckets, expected equal parts", message.len());
        return Err(Error::new(ErrorKind::Corrupt, text));
    }
    Ok(message.chunks_exact(message.len() / count))
}
