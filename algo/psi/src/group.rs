//! From ids to points and back to bytes: the arithmetic that all the time goes into.
//!
//! One design question: encoding a point costs an inverse square root, nearly as much as decoding it. Encoding the
//! *double* of many points at once needs one inversion for all of them (Montgomery's trick), so points are multiplied
//! by half the secret and their doubles encoded. The product itself is constant-time in the secret. The curve library
//! takes AVX2 for it where the processor has it; built with `--cfg curve25519_dalek_backend="avx512"`, also AVX-512 IFMA,
//! which makes the product twice as fast. That all points share one secret offers no shortcut that keeps it: only the
//! recoding of the secret could be shared, which is less than a hundredth of the work.

use std::fmt::{self, Display, Write};

use curve25519_dalek::Scalar;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::traits::IsIdentity;
use sha2::{Digest, Sha512};
use tributary_core::{Error, ErrorKind, Result};

/// A canonically encoded point (RFC 9496, section 4.3.2).
pub type Point = [u8; 32];

/// Points encoded together: one inversion is spread thin, and the work stays in the second-level cache.
const CHUNK: usize = 256;

/// Separates these hashes from any other use of SHA-512 on ids. Part of the protocol: parties with another one find
/// nothing in common.
const DOMAIN: &[u8] = b"tributary/psi/1/ristretto255/sha512:";

/// H(id): the one-way map of RFC 9496, section 4.3.4, on SHA-512 of the domain and the id.
pub(crate) fn hash(id: &[u8]) -> RistrettoPoint {
    let mut hasher = Hasher::new();
    hasher.0.update(id);
    hasher.point()
}

/// H of a number's decimal text.
pub(crate) fn hash_number(id: impl Display) -> RistrettoPoint {
    let mut hasher = Hasher::new();
    // Writing into the hasher cannot fail, and integers display without failing.
    let _infallible = write!(hasher, "{id}");
    hasher.point()
}

struct Hasher(Sha512);

impl Hasher {
    fn new() -> Self {
        Self(Sha512::new().chain_update(DOMAIN))
    }

    fn point(self) -> RistrettoPoint {
        RistrettoPoint::from_uniform_bytes(&self.0.finalize().into())
    }
}

impl Write for Hasher {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// Decodes a peer's point. Errors: `Corrupt` unless it is canonical and not the identity, whose product is the identity
/// under every secret.
pub(crate) fn decode(point: &Point, row: u64) -> Result<RistrettoPoint> {
    let wrong = |what| Error::new(ErrorKind::Corrupt, format!("the point in row {row} is {what}"));
    let decoded = CompressedRistretto(*point)
        .decompress()
        .ok_or_else(|| wrong("not a canonical ristretto255 encoding"))?;
    if decoded.is_identity() {
        return Err(wrong("the identity, expected a masked id"));
    }
    Ok(decoded)
}

/// Multiplies each point by twice `half`, and encodes the products, in order.
pub(crate) fn mask(half: &Scalar, points: impl Iterator<Item = RistrettoPoint>) -> Vec<Point> {
    let mut products = Products::with_capacity(points.size_hint().0);
    points.for_each(|point| products.push(point * half));
    products.finish()
}

/// As [`mask`], up to the first error.
pub(crate) fn try_mask(
    half: &Scalar,
    mut points: impl Iterator<Item = Result<RistrettoPoint>>,
) -> Result<Vec<Point>> {
    let mut products = Products::with_capacity(points.size_hint().1.unwrap_or(0));
    points.try_for_each(|point| {
        products.push(point? * half);
        Ok::<_, Error>(())
    })?;
    Ok(products.finish())
}

/// Points whose doubles are being encoded, a chunk at a time.
struct Products {
    waiting: Vec<RistrettoPoint>,
    encoded: Vec<Point>,
}

impl Products {
    fn with_capacity(points: usize) -> Self {
        Self { waiting: Vec::with_capacity(CHUNK), encoded: Vec::with_capacity(points) }
    }

    fn push(&mut self, point: RistrettoPoint) {
        self.waiting.push(point);
        if self.waiting.len() == CHUNK {
            self.encode();
        }
    }

    fn encode(&mut self) {
        let doubles = RistrettoPoint::double_and_compress_batch(&self.waiting);
        self.encoded.extend(doubles.iter().map(CompressedRistretto::to_bytes));
        self.waiting.clear();
    }

    fn finish(mut self) -> Vec<Point> {
        self.encode();
        self.encoded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoding_in_batches_equals_encoding_one_by_one() {
        let secret = Scalar::from(0x0123_4567_89ab_cdef_u64);
        let half = secret * Scalar::from(2u64).invert();
        for count in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let points = || (0..count).map(hash_number);
            let expected: Vec<Point> = points().map(|p| (p * secret).compress().to_bytes()).collect();
            assert_eq!(mask(&half, points()), expected);
        }
    }

    #[test]
    fn a_number_hashes_as_its_decimal_text() {
        assert_eq!(hash_number(u64::MAX), hash(b"18446744073709551615"));
        assert_eq!(hash_number(i64::MIN), hash(b"-9223372036854775808"));
        assert_ne!(hash_number(7), hash(b"07"));
    }

    /// Parties of different releases must agree, so this may never change without a new domain. The bytes were computed
    /// with this code; that the map itself is right is checked in [`crate::rfc9496`].
    #[test]
    fn the_hash_to_the_group_is_fixed() {
        let encoded = hash(b"ann").compress().to_bytes();
        assert_eq!(
            data_encoding::HEXLOWER.encode(&encoded),
            "1493ee6d1b589854065c41dca8a46dba76086d9e534babdd47f53e1f6984e148"
        );
    }
}
