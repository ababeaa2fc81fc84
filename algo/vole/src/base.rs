//! The 128 oblivious transfers that everything else grows from: the *giver* gets two random keys for each, the *taker*
//! the one of them that a bit of its own chooses. Neither learns more.
//!
//! Endemic oblivious transfer (Masny and Rindal, CCS 2019, eprint 2019/706, figure 8) on Ristretto255 with SHA-512 to the
//! group: one message each way, secure against malicious parties in the random oracle model under the computational
//! Diffie-Hellman assumption. The taker sends two group elements, one of which it cannot know the logarithm of, since
//! each is shifted by a hash of the other.

use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConditionallySelectable};
use tributary_core::{Error, ErrorKind, Result};
use tributary_system::random;
use zeroize::Zeroizing;

/// How many there are: one for each bit of a field element.
pub(crate) const COUNT: usize = 128;

/// Bytes of an encoded group element.
const POINT_BYTES: usize = 32;

/// Bytes of what the giver sends.
pub const OFFER_BYTES: usize = POINT_BYTES;

/// Bytes of what the taker answers.
pub const CHOICES_BYTES: usize = COUNT * 2 * POINT_BYTES;

const SHIFT_DOMAIN: &[u8] = b"tributary/vole/1/endemic/shift:";
const KEY_DOMAIN: &[u8] = b"tributary/vole/1/endemic/key:";

/// Two keys of each transfer.
pub(crate) type Pairs = Zeroizing<Vec<[u128; 2]>>;

/// One key of each transfer.
pub(crate) type Taken = Zeroizing<Vec<u128>>;

/// The giver, waiting for choices.
pub(crate) struct Giver {
    secret: Zeroizing<Scalar>,
    offer: [u8; OFFER_BYTES],
}

impl Giver {
    /// And what it sends. Errors: `Io` without randomness.
    pub(crate) fn new() -> Result<(Self, [u8; OFFER_BYTES])> {
        let secret = scalar()?;
        let offer = RistrettoPoint::mul_base(&secret).compress().to_bytes();
        Ok((Self { secret, offer }, offer))
    }

    /// Both keys of each transfer. Errors: `Corrupt` unless `choices` are canonical points, in their number.
    pub(crate) fn keys(self, choices: &[u8]) -> Result<Pairs> {
        let (choices, rest) = choices.as_chunks::<POINT_BYTES>();
        if choices.len() != 2 * COUNT || !rest.is_empty() {
            let text = format!("choices of {} points, expected {}", choices.len(), 2 * COUNT);
            return Err(Error::new(ErrorKind::Corrupt, text));
        }
        let (choices, _) = choices.as_chunks::<2>();
        let mut pairs = Pairs::new(Vec::with_capacity(COUNT));
        for (index, sent) in choices.iter().enumerate() {
            let transfer = Transfer { index, offer: &self.offer, sent };
            let mut keys = [0; 2];
            for (bit, key) in keys.iter_mut().enumerate() {
                let shifted = decode(&sent[bit])? + transfer.shift(bit as u8);
                *key = transfer.key(bit as u8, &(shifted * *self.secret));
            }
            pairs.push(keys);
        }
        Ok(pairs)
    }
}

/// The taker's keys, one for each bit of `bits` from the lowest, and what it answers. Errors: `Corrupt` if the offer is no
/// canonical point, or the identity; `Io` without randomness.
pub(crate) fn take(offer: &[u8], bits: u128) -> Result<(Taken, Vec<u8>)> {
    let wrong = |_| Error::new(ErrorKind::Corrupt, format!("an offer of {} bytes", offer.len()));
    let offer: [u8; OFFER_BYTES] = offer.try_into().map_err(wrong)?;
    let point = decode(&offer)?;
    if point.is_identity() {
        return Err(Error::new(ErrorKind::Corrupt, "the offer is the identity, expected a random point"));
    }
    let (mut taken, mut choices) = (Taken::new(Vec::with_capacity(COUNT)), Vec::with_capacity(CHOICES_BYTES));
    for index in 0..COUNT {
        let bit = (bits >> index & 1) as u8;
        let (secret, other) = (scalar()?, element()?);
        let encoded = other.compress().to_bytes();
        let shift = shift(index, bit, &encoded);
        let mut sent = [RistrettoPoint::mul_base(&secret) - shift, other];
        let (first, second) = sent.split_at_mut(1);
        RistrettoPoint::conditional_swap(&mut first[0], &mut second[0], Choice::from(bit));
        let sent = sent.map(|point| point.compress().to_bytes());
        choices.extend_from_slice(sent.as_flattened());
        let transfer = Transfer { index, offer: &offer, sent: &sent };
        taken.push(transfer.key(bit, &(point * *secret)));
    }
    Ok((taken, choices))
}

/// What both sides know of one transfer.
struct Transfer<'a> {
    index: usize,
    offer: &'a [u8; POINT_BYTES],
    sent: &'a [[u8; POINT_BYTES]; 2],
}

impl Transfer<'_> {
    /// What the element of a bit is shifted by.
    fn shift(&self, bit: u8) -> RistrettoPoint {
        shift(self.index, bit, &self.sent[usize::from(1 - bit)])
    }

    fn key(&self, bit: u8, shared: &RistrettoPoint) -> u128 {
        let mut digest = Sha256::new_with_prefix(KEY_DOMAIN);
        digest.update([self.index as u8, bit]);
        digest.update(self.offer);
        digest.update(self.sent.as_flattened());
        digest.update(shared.compress().as_bytes());
        let bytes = Zeroizing::new(<[u8; 32]>::from(digest.finalize()));
        let (halves, _) = bytes.as_chunks::<16>();
        u128::from_le_bytes(halves[0])
    }
}

fn shift(index: usize, bit: u8, other: &[u8; POINT_BYTES]) -> RistrettoPoint {
    let digest = Sha512::new_with_prefix(SHIFT_DOMAIN).chain_update([index as u8, bit]).chain_update(other);
    RistrettoPoint::from_uniform_bytes(&digest.finalize().into())
}

fn decode(point: &[u8; POINT_BYTES]) -> Result<RistrettoPoint> {
    let wrong = || Error::new(ErrorKind::Corrupt, "a point is not a canonical ristretto255 encoding");
    CompressedRistretto(*point).decompress().ok_or_else(wrong)
}

fn scalar() -> Result<Zeroizing<Scalar>> {
    Ok(Zeroizing::new(Scalar::from_bytes_mod_order_wide(&*uniform()?)))
}

fn element() -> Result<RistrettoPoint> {
    Ok(RistrettoPoint::from_uniform_bytes(&*uniform()?))
}

fn uniform() -> Result<Zeroizing<[u8; 64]>> {
    let mut bytes = Zeroizing::new([0; 64]);
    random::fill(bytes.as_mut_slice())?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taker_has_the_chosen_key_and_not_the_other() {
        let bits = 0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6978;
        let (giver, offer) = Giver::new().unwrap();
        let (taken, choices) = take(&offer, bits).unwrap();
        assert_eq!(choices.len(), CHOICES_BYTES);
        let pairs = giver.keys(&choices).unwrap();
        for (index, (taken, pair)) in taken.iter().zip(pairs.iter()).enumerate() {
            let bit = (bits >> index & 1) as usize;
            assert_eq!(*taken, pair[bit]);
            assert_ne!(*taken, pair[1 - bit]);
        }
    }

    #[test]
    fn bytes_that_are_no_points_are_refused() {
        let (giver, offer) = Giver::new().unwrap();
        let (_, mut choices) = take(&offer, 5).unwrap();
        choices[40..64].fill(0xff);
        assert_eq!(giver.keys(&choices).unwrap_err().kind(), ErrorKind::Corrupt);
        for length in [0, CHOICES_BYTES - 1, CHOICES_BYTES + 64] {
            let (giver, _) = Giver::new().unwrap();
            assert_eq!(giver.keys(&vec![0; length]).unwrap_err().kind(), ErrorKind::Corrupt, "{length}");
        }
        for offer in [&[0; 32][..], &[0xff; 32], &[]] {
            assert_eq!(take(offer, 5).err().map(|e| e.kind()), Some(ErrorKind::Corrupt));
        }
    }
}
