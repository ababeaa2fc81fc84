//! What both sides agree on before they begin: sizes, buckets, and the public numbers that follow from a common salt.
//!
//! Rows go to buckets by the hash of their salted digest, as an exchange by key sends them to partitions: **a bucket is a
//! partition**, on every engine, and the same at all parties. Buckets are filled up to a capacity that follows from the
//! sizes alone, so what is sent says nothing of how many ids a bucket has.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tributary_core::layout::{self, Layout};
use tributary_core::{Error, Result};
use tributary_vole::{Code, Shape};

use super::okvs::{Key, Store};

/// Bits of statistical security: no bucket overflows, and no tag is another's by chance, but with 2^-40.
const STATISTICAL_BITS: f64 = 40.0;

/// Ids of the asking side in a bucket. So many take about 40 MB while they are worked on, fit the second-level cache as far as
/// it matters, and pay for the seeds, 220 KB a bucket.
const ASKED_IN_BUCKET: u64 = 1 << 18;

/// Of the answering side, which needs less for each.
const HELD_IN_BUCKET: u64 = 1 << 19;

/// Fewer ids than this are not worth a bucket of their own, even if a core has nothing else to do.
const LEAST_IN_BUCKET: u64 = 1 << 15;

/// Bytes of all columns in a bucket, which a party holds while it picks rows.
const ROW_BYTES_IN_BUCKET: u64 = 128 << 20;

/// Most ids of a bucket, a limit to what a peer can make a party hold. Those that [`buckets`] gives are far below.
const MAX_IN_BUCKET: usize = 1 << 21;

/// Most ids of one side.
pub const MAX_IDS: u64 = 1 << 33;

/// A common random number of a task, from the nonces of all its parties.
pub type Salt = [u8; 32];

/// An id as both sides know it, if they have it: SHA-256 of the salt and the id, cut.
pub type Digest128 = [u8; 16];

/// The salt of nonces, in the order of the parties.
pub fn salt<'a>(nonces: impl IntoIterator<Item = &'a Salt>) -> Salt {
    let digest = Sha256::new_with_prefix(b"tributary/psi/rr22/1/salt:");
    nonces.into_iter().fold(digest, |digest, nonce| digest.chain_update(nonce)).finalize().into()
}

/// One asking party and one that answers. The asking one learns which of its ids the other holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Common to all parties of the task.
    pub salt: Salt,
    /// Of the answering party among all that answer.
    pub pair: u32,
    /// Different ids of the asking party.
    pub asked: u64,
    /// Ids of the answering party.
    pub held: u64,
    /// As [`buckets`] says.
    pub buckets: u32,
}

/// How many buckets a party wants for its rows. `bytes`: of all columns, as far as known. `cores`: that work at once.
pub fn buckets(asked: u64, held: u64, bytes: u64, cores: u32) -> u32 {
    let whole = asked.div_ceil(ASKED_IN_BUCKET).max(held.div_ceil(HELD_IN_BUCKET));
    let wide = bytes.div_ceil(ROW_BYTES_IN_BUCKET).min(asked.max(held) / LEAST_IN_BUCKET);
    let parallel = u64::from(cores).min(asked.max(held) / LEAST_IN_BUCKET);
    whole.max(wide).max(parallel).clamp(1, u64::from(most_buckets(asked.max(held)))) as u32
}

/// Most buckets that the rows of the largest party are a reason for. More would cost a peer memory, and have room for more ids
/// than are there.
pub fn most_buckets(rows: u64) -> u32 {
    (rows / LEAST_IN_BUCKET).clamp(1, u64::from(Layout::MAX_PARTITIONS)) as u32
}

impl Plan {
    /// `InvalidInput` for sizes that are beyond [`MAX_IDS`], or no number of buckets.
    pub fn check(&self) -> Result<()> {
        if self.asked > MAX_IDS || self.held > MAX_IDS {
            let text =
                format!("an intersection of {} and {} ids, at most {MAX_IDS} each", self.asked, self.held);
            return Err(Error::invalid(text));
        }
        Layout::Keyed(self.buckets).check()?;
        let most = self.asked_capacity().max(self.held_capacity());
        if most > MAX_IN_BUCKET {
            let text =
                format!("{} buckets with room for {most} ids each, at most {MAX_IN_BUCKET}", self.buckets);
            return Err(Error::invalid(text));
        }
        self.shape().map(drop)
    }

    /// Ids of the asking party in a bucket, at most.
    pub(crate) fn asked_capacity(&self) -> usize {
        capacity(self.asked, self.buckets)
    }

    /// Ids of the answering party in a bucket, at most; so many tags are sent.
    pub fn held_capacity(&self) -> usize {
        capacity(self.held, self.buckets)
    }

    /// Ids that the asking party can look up, whatever it tells: the entries of all its stores.
    pub fn askable(&self) -> u64 {
        u64::from(self.buckets).saturating_mul(self.store(0, 0).length() as u64)
    }

    /// Ids that the answering party can look up: the tags that it sends.
    pub fn answerable(&self) -> u64 {
        u64::from(self.buckets).saturating_mul(self.held_capacity() as u64)
    }

    /// Bytes of a tag: enough that no two are equal by chance, neither of one party nor of both.
    pub(crate) fn tag_bytes(&self) -> usize {
        let (held, most) = (self.held.max(1) as f64, self.asked.max(self.held).max(1) as f64);
        let pairs = held.log2() + most.log2();
        (((STATISTICAL_BITS + pairs) / 8.0).ceil() as usize).min(16)
    }

    /// Bytes of the tags of a bucket.
    pub fn answer_bytes(&self) -> usize {
        self.held_capacity() * self.tag_bytes()
    }

    /// Bytes of what is asked about a bucket.
    pub fn ask_bytes(&self) -> usize {
        1 + 16 * self.store(0, 0).length()
    }

    /// Of a bucket; another one for each attempt at filling it.
    pub(crate) fn store(&self, bucket: u32, attempt: u8) -> Store {
        let index = u64::from(bucket) << 8 | u64::from(attempt);
        Store::new(self.asked_capacity(), self.number(b"store", index))
    }

    /// Of the vector for a bucket.
    pub(crate) fn shape(&self) -> Result<Shape> {
        Shape::for_length(self.store(0, 0).length())
    }

    /// Of the vector whose entries are the noise of all others; none if one bucket is all.
    pub(crate) fn setup_shape(&self) -> Result<Option<Shape>> {
        match self.buckets {
            1 => Ok(None),
            buckets => Shape::for_length(buckets as usize * Shape::NOISE).map(Some),
        }
    }

    pub(crate) fn code(&self) -> Code {
        Code::new(self.number(b"code", 0))
    }

    /// A public random number that nothing else has.
    pub(crate) fn number(&self, what: &[u8], index: u64) -> u128 {
        let digest = Sha256::new_with_prefix(b"tributary/psi/rr22/1/number:")
            .chain_update(self.salt)
            .chain_update(self.pair.to_le_bytes())
            .chain_update(index.to_le_bytes())
            .chain_update(what)
            .finalize();
        digest.iter().take(16).fold(0, |number, byte| number << 8 | u128::from(*byte))
    }

    /// The key of a digest in its bucket. `Bug` if it belongs to another one.
    pub(crate) fn key(&self, digest: &Digest128, bucket: u32) -> Result<Key> {
        let scaled = u128::from(layout::hash_bytes(digest)) * u128::from(self.buckets);
        if (scaled >> 64) as u32 != bucket {
            return Err(Error::bug(format!("an id of bucket {} came in bucket {bucket}", scaled >> 64)));
        }
        Ok(Key { number: u128::from_le_bytes(*digest), place: scaled as u64 })
    }
}

/// Most of `ids` that fall into one of some buckets, but for a chance of 2^-40 in all: Chernoff's bound
/// exp(−x²/2(μ + x/3)), solved for x.
fn capacity(ids: u64, buckets: u32) -> usize {
    if buckets <= 1 {
        return ids as usize;
    }
    let mean = ids as f64 / f64::from(buckets);
    let nats = (STATISTICAL_BITS + f64::from(buckets).log2()) * std::f64::consts::LN_2;
    let more = nats / 3.0 + (nats * nats / 9.0 + 2.0 * nats * mean).sqrt();
    ((mean + more).ceil() as u64).min(ids) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(asked: u64, held: u64, buckets: u32) -> Plan {
        Plan { salt: [7; 32], pair: 0, asked, held, buckets }
    }

    #[test]
    fn buckets_follow_from_sizes_and_cores() {
        assert_eq!(buckets(0, 0, 0, 8), 1);
        assert_eq!(buckets(10_000, 10_000, 0, 8), 1);
        assert_eq!(buckets(100_000, 100_000, 0, 8), 3);
        assert_eq!(buckets(1 << 20, 1 << 20, 0, 2), 4);
        assert_eq!(buckets(10_000, 5_000_000, 0, 2), 10);
        assert_eq!(buckets(1 << 20, 1 << 20, 2 << 30, 2), 16);
        assert_eq!(buckets(u64::MAX, 1, 0, 2), Layout::MAX_PARTITIONS);
        assert_eq!(buckets(10_000, 0, u64::MAX, 64), 1);
    }

    #[test]
    fn what_is_sent_is_near_the_ideal() {
        let million = plan(1_000_000, 1_000_000, 4);
        assert_eq!(million.tag_bytes(), 10);
        let sent = 4 * (million.ask_bytes() + million.answer_bytes());
        assert!((28.0..28.3).contains(&(sent as f64 / 1e6)), "{sent}");
    }

    #[test]
    fn what_can_be_looked_up_is_near_what_is_told() {
        let million = plan(1_000_000, 500_000, most_buckets(1_000_000));
        assert!((1_100_000..1_200_000).contains(&million.askable()), "{}", million.askable());
        assert!((500_000..540_000).contains(&million.answerable()), "{}", million.answerable());
        assert_eq!(
            (most_buckets(0), most_buckets(65_535), most_buckets(u64::MAX)),
            (1, 1, Layout::MAX_PARTITIONS)
        );
    }

    /// Buckets of random ids never come near their capacity, which is near their mean.
    #[test]
    fn no_bucket_overflows() {
        for (ids, buckets) in [(200u64, 3u32), (5_000, 7), (100_000, 16)] {
            let plan = plan(ids, ids, buckets);
            let mut filled = vec![0; buckets as usize];
            for id in 0..ids {
                let digest: Digest128 = Sha256::digest(id.to_le_bytes())[..16].try_into().unwrap();
                let bucket = layout::partition_of(layout::hash_bytes(&digest), buckets);
                filled[bucket as usize] += 1;
                plan.key(&digest, bucket).unwrap();
                assert!(plan.key(&digest, (bucket + 1) % buckets).is_err());
            }
            let most = filled.into_iter().max().unwrap();
            assert!(most < plan.asked_capacity(), "{most} of {}", plan.asked_capacity());
        }
        assert_eq!(plan(10, 10, 1).asked_capacity(), 10);
    }

    #[test]
    fn public_numbers_differ() {
        let (one, other) = (plan(10, 10, 1), Plan { pair: 1, ..plan(10, 10, 1) });
        let numbers = [
            one.number(b"store", 0),
            one.number(b"store", 1),
            one.number(b"code", 0),
            other.number(b"store", 0),
        ];
        assert!((1..4).all(|i| !numbers[..i].contains(&numbers[i])));
    }

    #[test]
    fn impossible_sizes_are_refused() {
        assert!(plan(MAX_IDS + 1, 1, 1).check().is_err());
        assert!(plan(1, MAX_IDS + 1, 1).check().is_err());
        assert!(plan(1, 1, 0).check().is_err());
        assert!(plan(1 << 22, 1, 1).check().is_err() && plan(1, 1 << 22, 1).check().is_err());
        assert!(plan(MAX_IDS, 1, 1).check().is_err(), "one bucket for all of them");
        plan(MAX_IDS, MAX_IDS, 1 << 15).check().unwrap();
    }
}
