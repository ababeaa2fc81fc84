//! What can go wrong: a key, a ciphertext or a number that is not what it must be.
//!
//! No variant holds a plaintext, a key or a piece of one: an error may end in a log that other parties read.

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation was refused. None of these goes away by trying again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key size that is not offered.
    #[error("choose a key size: {bits} bits is not offered, use 2048 (or 3072; 1024 for old jobs only)")]
    KeyBits {
        /// The size asked for.
        bits: u32,
    },
    /// Bytes that are not a usable public key.
    #[error("read public key: {reason}")]
    PublicKey {
        /// What was wrong with it.
        reason: &'static str,
    },
    /// Bytes that are not a usable secret key. Deliberately vague.
    #[error("read secret key: {reason}")]
    SecretKey {
        /// What was wrong with it.
        reason: &'static str,
    },
    /// A ciphertext that no honest party sends.
    #[error("read ciphertext in row {row}: {reason}")]
    Ciphertext {
        /// Its row in the batch.
        row: usize,
        /// What was wrong with it.
        reason: &'static str,
    },
    /// Ciphertext rows whose bytes do not divide into rows of the key's width.
    #[error(
        "read ciphertexts: {bytes} bytes are not whole rows of {row_bytes} bytes; is this another key's column?"
    )]
    RowBytes {
        /// The bytes received.
        bytes: usize,
        /// The bytes of one ciphertext under this key.
        row_bytes: usize,
    },
    /// A plaintext that the key cannot hold.
    #[error(
        "encrypt: the plaintext needs more than the {limit} bits of this key; use a longer key or fewer slots"
    )]
    PlaintextRange {
        /// The bits of magnitude that always fit.
        limit: u32,
    },
    /// A number outside the range that the protocol fixed for it.
    #[error("encode number: {reason}")]
    Number {
        /// What was wrong with it.
        reason: &'static str,
    },
    /// Parameters of an encoding that cannot work.
    #[error("set up {what}: {reason}")]
    Parameters {
        /// The encoding.
        what: &'static str,
        /// Which parameter, and its bound.
        reason: String,
    },
    /// A decrypted plaintext that no allowed computation gives.
    #[error("unpack plaintext: {reason}")]
    Unpack {
        /// What was wrong with it.
        reason: &'static str,
    },
}
