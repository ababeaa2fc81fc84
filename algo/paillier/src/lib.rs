//! Additively homomorphic encryption: sums, products with known numbers and packed results on ciphertexts.
//!
//! The scheme is Paillier's (EUROCRYPT 1999) with generator `n + 1` and the short-exponent blinding of
//! Damgård, Jurik and Nielsen ("A generalization of Paillier's public-key system with applications to
//! electronic voting", 2010). Algorithms see it through three roles, [`Additive`], [`Encrypt`] and
//! [`Decrypt`]; what is built on those alone ([`Sums`], [`WeightedSum`], [`Packing`]) works with any scheme
//! that implements them.
//!
//! GMP does number theory (key generation, inverses, recombination). The products modulo n², which are nearly
//! all the work, are our own: see the `ring` module for why, and what it gains.
//!
//! A reader should know four things before using it:
//!
//! - **A party that computes on another's ciphertexts re-randomises what it returns** ([`Encrypt::rerandomize`]).
//!   A product of ciphertexts otherwise carries the product of their blindings, by which the key's owner can
//!   test which rows went into a sum.
//! - **A party that reads another's key asks for a [`ProvenKey`]**: a modulus can be made that passes every check
//!   on its shape, and hides nothing.
//! - **Timing.** The exponent of a decryption is worked through by a fixed sequence of operations with
//!   lookups that read the whole table. The blinding of an encryption looks its table up by parts of a fresh
//!   secret exponent, so another process on the same core could learn them through the cache. That is
//!   accepted: parties are semi-honest and run this on machines of their own, and reading the whole table
//!   instead costs forty times the encryption. Functions whose running time depends on values a party may
//!   want to hide end in `_vartime`.
//! - **Wiping.** What a secret key holds, tables included, is overwritten when its last clone is dropped, and
//!   so are encoded keys and the exponents of blindings. Intermediate values are not: most live in memory
//!   that GMP takes and gives back on its own.
//!
//! ```
//! use tributary_paillier::{Additive, Decrypt, Encrypt, Integer, KeyBits, PublicKey, SecretKey};
//!
//! # fn main() -> Result<(), tributary_paillier::Error> {
//! let mut rng = rand::rng();
//! let owner = SecretKey::generate(KeyBits::Bits1024, &mut rng)?; // 1024 bits only to keep the example quick
//! let rows = owner.encrypt_rows(&mut [30, -12].map(Integer::from).into_iter(), &mut rng)?;
//!
//! // elsewhere, with the public key alone
//! let host = PublicKey::from_bytes(&owner.public().to_bytes())?;
//! let mut sum = host.zero();
//! for row in host.decode_rows(&rows)? {
//!     host.add(&mut sum, &row);
//! }
//! host.rerandomize(&mut sum, &mut rng);
//! let answer = host.encode_rows(&[sum]);
//!
//! assert_eq!(owner.decrypt_rows(&answer)?, [18]);
//! # Ok(())
//! # }
//! ```

#![warn(missing_docs)]

mod error;
mod scheme;

mod key;
mod prime;
mod proof;
mod public;
mod secret;
mod wiped;

mod blinding;
mod ring;

mod fixed_point;
mod packing;
mod sums;
mod weighted;

pub use rug::Integer;

/// The arithmetic that keys of this process use: `portable`, `adx` or `avx512`, the fastest that the processor has
/// and the environment variable `TRIBUTARY_ARITHMETIC` allows. All give the same numbers. Errors: `Parameters` if
/// the variable has another value.
pub fn arithmetic() -> Result<&'static str> {
    ring::arithmetic()
}

pub use error::{Error, Result};
pub use fixed_point::FixedPoint;
pub use key::{KeyBits, KeyId};
pub use packing::Packing;
pub use proof::ProvenKey;
pub use public::{Ciphertext, PublicKey};
pub use scheme::{Additive, Decrypt, Encrypt};
pub use secret::{SecretBytes, SecretKey};
pub use sums::Sums;
pub use weighted::WeightedSum;
