//! Vector oblivious linear evaluation: two parties get long random vectors that hang together, for a short exchange.
//!
//! The *sender* gets a number Δ and a vector b, the *receiver* vectors a and c, all over GF(2^128), with c = b + a·Δ. The
//! sender knows nothing of a, the receiver nothing of Δ. The receiver can then turn a into any vector of its own by sending
//! the difference, which is how private set intersection uses it.
//!
//! It is *silent* (Boyle et al., CCS 2019, eprint 2019/1159): for a sparse a the parties need only seeds of [trees] that
//! differ in one leaf each, and a public linear [code] makes long random-looking vectors of sparse ones, keeping the relation.
//! Small messages, then only arithmetic:
//!
//! ```text
//! once      receiver ─ a point ──▶ sender ─ 128 choices ──▶ receiver      128 base transfers, which share Δ's bits
//!           receiver ─ 400·128 numbers ──▶ sender                         a first vector of 400 entries, from the transfers
//! a vector  receiver ─ wish ──▶ sender ─ seeds under pads ──▶ receiver     400 trees; both then `expand`
//! ```
//!
//! Each vector takes 400 entries of an earlier one for the values that are not zero; [`Reserve`] keeps account of them.
//!
//! **Assumption.** Dual learning parity with noise over GF(2^128) for the code, with [regular noise](Shape); AES as an ideal
//! cipher; SHA-256 and SHA-512 as random oracles; computational Diffie-Hellman in Ristretto255. **Security** is against
//! semi-honest parties. No check ties the first vector together: a malicious receiver that sends other sums can learn Δ bit by bit from
//! what the protocol above gives it, and a malicious sender guess where noise is from whether the receiver notices.
//!
//! Which entry of a tree is missing shows in which memory is read: another process on the same core might see it.

#![warn(missing_docs)]

mod field;
mod prg;
mod base;
mod extension;
mod trees;
mod code;
mod shape;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use base::{CHOICES_BYTES, OFFER_BYTES};
pub use code::Code;
pub use field::{Gf128, add_scaled};
pub use prg::{Blocks, Stream};
pub use receiver::{Offered, Planted, Receiver, ReceiverSeed, Shares};
pub use sender::{Sender, SenderSeed};
pub use shape::{Reserve, Shape};
