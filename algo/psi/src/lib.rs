//! Private set intersection by Diffie-Hellman in the group ristretto255 (RFC 9496).
//!
//! An id becomes a group element by hashing, H(id), and is masked with a party's secret number s: H(id)·s. Masks commute, so
//! an id held by two parties with secrets a and b ends as the same point H(id)·a·b on both ways, while a point masked
//! once shows nothing about its id to a party without the secret (the decisional Diffie-Hellman assumption, and SHA-512
//! as a random oracle). The scheme is Meadows' (IEEE S&P 1986) and Huberman, Franklin and Hogg's (EC 1999), secure
//! against semi-honest parties. Secrets are for one run: a second run with the same secret would link its points.
//!
//! **Equal ids are equal text.** An id is its UTF-8 or its bytes as they are, without trimming, case folding or Unicode
//! normalization; an integer is its decimal text. So ids stored as numbers match ids stored as text, unless that text has
//! leading zeros, a plus sign or spaces.
//!
//! **The order of points is information.** A table is often in the order of its ids, or of their hashes, and the guest learns at
//! which of a host's points each common id is: it would learn how many of the host's other ids are between two ids it knows. A
//! host therefore sends its points in the order of the points themselves, which is random: rekey by point, exchange to `Keyed`,
//! keep, then [`PointsOfKeys`]. A guest's points may go in any order, since only the guest learns which of them matched.
//!
//! **Repeated ids.** [`Group`] makes one row of the rows of an id before points leave, and [`Ungroup`] takes them apart when the
//! common ones are known: points that repeat would show a host how often each id occurs.
//!
//! What a party learns: each the number of the other's ids; the guest which of its ids every host has, and the hosts
//! which of their ids the guest (and, with several hosts, every host) has. A malicious party can do no worse with a
//! point than leave out or add ids of its own choice: points are checked to be canonical and not the identity, and the group
//! has prime order, so there is no small subgroup to probe a secret with. Nothing stops it from asking for guessed ids.
//!
//! The kernels [`MaskIds`] and [`MaskPoints`] are nearly the whole cost; everything else is joins. [`Secret`] offers the
//! same on slices:
//!
//! ```
//! use tributary_psi::Secret;
//!
//! # fn main() -> tributary_core::Result<()> {
//! let (guest, host) = (Secret::random()?, Secret::random()?);
//! let ids = |ids: [&'static str; 3]| ids.into_iter().map(str::as_bytes);
//!
//! let from_guest = guest.mask_ids(ids(["ann", "bob", "eve"]));
//! let from_host = host.mask_ids(ids(["bob", "dan", "ann"]));
//!
//! let own = host.mask_points(&from_guest, 0)?; // the host sends these back, in order
//! let other = guest.mask_points(&from_host, 0)?;
//! let common: Vec<usize> = (0..3).filter(|i| other.contains(&own[*i])).collect();
//! assert_eq!(common, [0, 1]);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod secret;
mod group;
mod kernels;
mod groups;
pub mod rr22;
#[cfg(test)]
mod rfc9496;

pub use group::Point;
pub use groups::{Group, GroupNumbers, Ungroup, UngroupNumbers};
pub use kernels::{MaskIds, MaskIdsParams, MaskPoints, POINT, PointsOfKeys, kernels, points_schema};
pub use secret::Secret;
