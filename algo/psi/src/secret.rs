//! A party's secret number of one run.
//!
//! It is held as its half, because points are encoded in batches by doubling (see [`crate::group`]): masking with half
//! the number and encoding the double saves an inversion a point.

use std::fmt;

use curve25519_dalek::Scalar;
use tributary_core::computing::{Blob, BlobKind};
use tributary_core::{Error, Result};
use tributary_system::random;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::group::{self, Point};

/// A random number between 1 and the group's order, wiped when dropped. Never prints.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Secret {
    half: Scalar,
}

impl Secret {
    /// From the operating system's randomness. Errors: `Io` if there is none.
    pub fn random() -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 64]);
        random::fill(bytes.as_mut_slice())?;
        Self::from_uniform_bytes(&bytes)
    }

    /// From 64 uniformly random bytes, reduced modulo the group's order. Errors: `InvalidInput` if that is zero.
    pub fn from_uniform_bytes(bytes: &[u8; 64]) -> Result<Self> {
        Self::of(Zeroizing::new(Scalar::from_bytes_mod_order_wide(bytes)))
    }

    /// The secret as a secret blob of 32 bytes.
    pub fn to_blob(&self) -> Blob {
        let whole = Zeroizing::new(self.half + self.half);
        Blob::secret(Zeroizing::new(whole.to_bytes()).to_vec())
    }

    /// From a blob. Errors: `InvalidInput` unless it is of the secret kind and holds 32 canonical bytes, not zero.
    pub fn from_blob(blob: &Blob) -> Result<Self> {
        if blob.kind() != BlobKind::Secret {
            return Err(Error::invalid(
                "the number that masks ids came as a plain blob, expected a secret one",
            ));
        }
        let bytes: Zeroizing<[u8; 32]> = match blob.bytes().try_into() {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(_) => {
                let text = format!("the number that masks ids has {} bytes, expected 32", blob.bytes().len());
                return Err(Error::invalid(text));
            }
        };
        let scalar = Option::<Scalar>::from(Scalar::from_canonical_bytes(*bytes))
            .ok_or_else(|| Error::invalid("the number that masks ids is not below the group's order"))?;
        Self::of(Zeroizing::new(scalar))
    }

    fn of(scalar: Zeroizing<Scalar>) -> Result<Self> {
        if *scalar == Scalar::ZERO {
            return Err(Error::invalid("the number that masks ids is zero, expected a random one"));
        }
        Ok(Self { half: *scalar * Scalar::from(2u64).invert() })
    }

    pub(crate) fn half(&self) -> &Scalar {
        &self.half
    }

    /// Hashes each id to the group and masks it, in order. Cost: one hash to the group and one product a point.
    pub fn mask_ids<'a>(&self, ids: impl Iterator<Item = &'a [u8]>) -> Vec<Point> {
        group::mask(&self.half, ids.map(group::hash))
    }

    /// Masks points that a peer masked, in order. Cost: one decoding and one product a point.
    ///
    /// Errors: `Corrupt` for the first that no honest peer sends, naming its row counted from `first_row`.
    pub fn mask_points(&self, points: &[Point], first_row: u64) -> Result<Vec<Point>> {
        let points = points.iter().zip(first_row..).map(|(point, row)| group::decode(point, row));
        group::try_mask(&self.half, points)
    }
}

/// Never the number.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use tributary_core::ErrorKind;

    use super::*;

    #[test]
    fn a_secret_survives_its_blob() {
        let secret = Secret::random().unwrap();
        let again = Secret::from_blob(&secret.to_blob()).unwrap();
        assert_eq!(secret.half, again.half);
    }

    #[test]
    fn two_secrets_differ() {
        assert_ne!(Secret::random().unwrap().half, Secret::random().unwrap().half);
    }

    #[test]
    fn blobs_that_are_no_secret_are_refused() {
        let order = Scalar::ZERO - Scalar::ONE; // the largest number; one more is not canonical
        let mut too_large = order.to_bytes();
        too_large[0] += 1;
        let good = Secret::random().unwrap().to_blob().bytes().to_vec();
        for bad in [
            Blob::Plain(good.into()),
            Blob::secret(vec![1; 31]),
            Blob::secret(vec![0; 32]),
            Blob::secret(too_large.to_vec()),
        ] {
            assert_eq!(Secret::from_blob(&bad).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad:?}");
        }
        assert!(Secret::from_uniform_bytes(&[0; 64]).is_err());
    }

    #[test]
    fn debug_shows_nothing() {
        let secret = Secret::from_uniform_bytes(&[7; 64]).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(<redacted>)");
    }
}
