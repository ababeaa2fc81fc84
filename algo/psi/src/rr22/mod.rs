//! Intersection by vector oblivious linear evaluation: `protocol: rr22`, after Raghuraman and Rindal (CCS 2022, eprint 2022/320).
//!
//! One party *asks* (the guest) and learns which of its ids the other, which *answers* (a host), has. About a microsecond and
//! 29 bytes an id for both together, where elliptic curves take 60 µs and 96 bytes.
//!
//! ```text
//! both      digests of ids under a common salt; rows by digest, a bucket a partition       DigestIds, exchange
//! both      seeds for each bucket                                                          Asking, Answering
//! asking    a + P for each bucket                                    ──▶ answering         Ask
//! answering a tag for each id, filled up, in an order of its own     ──▶ asking            Answer
//! asking    which own tags are among them; the common rows                                 Common
//! asking    their places in that order                               ──▶ answering         Pick
//! ```
//!
//! What a party learns is what it learns with curves: each the number of the other's different ids, as far as the number of
//! buckets says something of the sizes of rows, that too; the asking party which of its ids the other has; the other which of
//! its rows it is then told. Nothing is in an order that means something to its receiver.
//!
//! **Security** is against semi-honest parties, under the assumption of [`tributary_vole`]; tags are modelled by a random
//! oracle. A malicious asking party can ask for more ids than it told, up to the entries of a store (a tenth more, and 256 a
//! bucket): equations beyond its ids are free. A malicious answering party can leave ids out, or answer for guesses.

mod okvs;
mod plan;
mod digests;
mod bucket;
mod session;
mod messages;
mod rows;
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod tests;

use tributary_core::Result;
use tributary_core::computing::Blob;
use tributary_core::kernel::Kernels;
use tributary_system::random;
use zeroize::Zeroizing;

pub use digests::{CountDigests, DIGEST, DigestIds, DigestIdsParams};
pub use messages::{Answer, Ask, BUCKET, BucketsParams, Pieces, SENT, TAGS, own_tags, sent, sent_schema};
pub use plan::{MAX_IDS, Plan, Salt, buckets, most_buckets, salt};
pub use rows::{Common, CommonParams, Pick, Restore, RestoreParams};
pub use session::{Answering, Asking, Offer, Opening, Wished};

/// The kernels of this protocol.
pub(crate) fn kernels() -> Kernels {
    Kernels::default()
        .map::<DigestIds>()
        .fold::<CountDigests>()
        .fold::<Ask>()
        .fold::<Answer>()
        .fold::<Common>()
        .fold::<Pick>()
        .fold::<Restore>()
}

/// A party's contribution to the salt. Errors, here and below: `Io` if the system has no randomness.
pub fn nonce() -> Result<Salt> {
    let mut nonce = Salt::default();
    random::fill(&mut nonce)?;
    Ok(nonce)
}

/// A secret key for the order in which a party answers, as a blob of [`Answer`] and [`Pick`].
pub fn order_key() -> Result<Blob> {
    let mut key = Zeroizing::new([0; 16]);
    random::fill(key.as_mut_slice())?;
    Ok(Blob::secret(key.to_vec()))
}
