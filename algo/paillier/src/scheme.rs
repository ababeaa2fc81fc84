//! The three roles of an additively homomorphic scheme.
//!
//! Roles, not one scheme trait, because the parties differ in what they hold: everyone can compute and
//! encrypt, only the owner decrypts, and the owner encrypts faster than others. Batches are bytes in and
//! bytes out (fixed-width rows, as in an Arrow `FixedSizeBinary`), because that is how kernels and messages
//! carry ciphertexts; between the two, ciphertexts are values in the form that the arithmetic uses.

use std::fmt::Debug;

use rand::CryptoRng;
use rug::Integer;

use crate::error::Result;

/// Computes on ciphertexts of one public key, and encodes them.
///
/// Plaintexts are integers modulo n, read as signed: anything of at most
/// [`plaintext_bits`](Self::plaintext_bits) bits of magnitude comes back as it was. Results that leave that
/// range wrap silently, so the caller keeps the bounds ([`Packing`](crate::Packing) does that arithmetic).
///
/// Mixing ciphertexts of two keys gives garbage or a panic; decode a column under the key it was made for.
pub trait Additive: Debug + Send + Sync {
    /// An encrypted integer. Always a valid one: decoding checks, and operations preserve it.
    type Ciphertext: Clone + Debug + Send + Sync;

    /// The magnitude, in bits, that every signed plaintext may have.
    fn plaintext_bits(&self) -> u32;

    /// The width of an encoded ciphertext.
    fn row_bytes(&self) -> usize;

    /// The encryption of zero without blinding: the neutral element of sums, not a secret.
    fn zero(&self) -> Self::Ciphertext;

    /// Adds `other` into `sum`. Cost: one product modulo n², no allocation.
    fn add(&self, sum: &mut Self::Ciphertext, other: &Self::Ciphertext);

    /// Adds a known number. Errors: `PlaintextRange`.
    fn add_plain(&self, sum: &mut Self::Ciphertext, plain: &Integer) -> Result<()>;

    /// Changes the sign. Cost: one inverse modulo n², 20 µs at 2048 bits.
    fn negate(&self, value: &mut Self::Ciphertext);

    /// Multiplies by a known number, in a time that depends on it. For many of them, see
    /// [`WeightedSum`](crate::WeightedSum), which is several times faster. Cost: up to 63 squarings and 63
    /// products.
    fn scale_vartime(&self, value: &mut Self::Ciphertext, factor: i64);

    /// Multiplies by 2^`bits`. Cost: `bits` squarings.
    fn shift_left(&self, value: &mut Self::Ciphertext, bits: u32);

    /// Writes `value` into `row`, big-endian, canonical. Panics unless `row` has
    /// [`row_bytes`](Self::row_bytes).
    fn encode_into(&self, value: &Self::Ciphertext, row: &mut [u8]);

    /// Reads and checks whole rows of ciphertexts: each in 1..n², each coprime to n.
    ///
    /// Errors: `RowBytes`, `Ciphertext` with the first bad row. Cost: two products a row and one gcd a call.
    fn decode_rows(&self, rows: &[u8]) -> Result<Vec<Self::Ciphertext>>;

    /// Writes `values` as rows of [`row_bytes`](Self::row_bytes) each.
    fn encode_rows(&self, values: &[Self::Ciphertext]) -> Vec<u8> {
        let width = self.row_bytes();
        let mut rows = vec![0; width * values.len()];
        for (row, value) in rows.chunks_exact_mut(width).zip(values) {
            self.encode_into(value, row);
        }
        rows
    }
}

/// Makes ciphertexts, and makes them unrecognizable.
///
/// Implemented by the public key and, faster, by its owner; both give the same ciphertexts from the same
/// randomness.
pub trait Encrypt: Debug + Send + Sync {
    /// The public key's type.
    type Public: Additive;

    /// The key that ciphertexts are made for.
    fn public(&self) -> &Self::Public;

    /// Encrypts one signed integer. Errors: `PlaintextRange`.
    fn encrypt(
        &self,
        plain: &Integer,
        rng: &mut dyn CryptoRng,
    ) -> Result<<Self::Public as Additive>::Ciphertext>;

    /// Replaces the blinding, so that `value` shows nothing about the ciphertexts it was computed from.
    fn rerandomize(&self, value: &mut <Self::Public as Additive>::Ciphertext, rng: &mut dyn CryptoRng);

    /// Encrypts zero.
    fn encrypt_zero(&self, rng: &mut dyn CryptoRng) -> <Self::Public as Additive>::Ciphertext {
        let mut zero = self.public().zero();
        self.rerandomize(&mut zero, rng);
        zero
    }

    /// Encrypts numbers into rows of [`row_bytes`](Additive::row_bytes) each, in order. Errors:
    /// `PlaintextRange`.
    fn encrypt_rows(
        &self,
        plains: &mut dyn Iterator<Item = Integer>,
        rng: &mut dyn CryptoRng,
    ) -> Result<Vec<u8>> {
        let width = self.public().row_bytes();
        let mut rows = Vec::with_capacity(width * plains.size_hint().0);
        for plain in plains {
            let value = self.encrypt(&plain, rng)?;
            let start = rows.len();
            rows.resize(start + width, 0);
            self.public().encode_into(&value, &mut rows[start..]);
        }
        Ok(rows)
    }
}

/// Reads ciphertexts: the owner's part.
pub trait Decrypt: Encrypt {
    /// The signed plaintext, between -n/2 and n/2.
    fn decrypt(&self, value: &<Self::Public as Additive>::Ciphertext) -> Integer;

    /// Decrypts encoded rows, in order. Errors: `RowBytes`, and `Ciphertext` for what no honest party sends.
    fn decrypt_rows(&self, rows: &[u8]) -> Result<Vec<Integer>> {
        let values = self.public().decode_rows(rows)?;
        Ok(values.iter().map(|value| self.decrypt(value)).collect())
    }
}
