//! The keys by which sites know each other. A site has one secret key for all its sessions; it registers the public key of
//! every site it works with, and meets nobody else.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use tributary_core::{Error, ErrorKind, PartyId, Result};
use zeroize::{Zeroize, Zeroizing};

const KEY_BYTES: usize = 32;

/// A site's public key (X25519), as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    pub(crate) fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The first digits: enough for two operators to compare by telephone.
    pub fn fingerprint(&self) -> String {
        crate::hex(&self.0[..8])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hex(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.fingerprint())
    }
}

impl FromStr for PublicKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.as_bytes();
        let wrong = || Error::invalid(format!("public key {text:?}, expected {} hex digits", 2 * KEY_BYTES));
        if digits.len() != 2 * KEY_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(wrong());
        }
        let mut key = [0; KEY_BYTES];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| wrong())?;
        }
        Ok(Self(key))
    }
}

impl TryFrom<String> for PublicKey {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.to_string()
    }
}

/// A site's secret key: wiped when dropped, never printed. (The copies that the Noise crate makes for the time of a
/// handshake are not wiped: it offers no way.)
#[derive(Clone)]
pub struct SecretKey(Zeroizing<[u8; KEY_BYTES]>);

impl SecretKey {
    /// A fresh key from the system's randomness.
    pub fn generate() -> Result<Self> {
        let failed = |e| Error::new(ErrorKind::Unavailable, "generate a site key").because(e);
        let mut pair = crate::handshake::builder()?.generate_keypair().map_err(failed)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(&pair.private);
        pair.private.zeroize();
        Ok(Self(key))
    }

    /// A key that was kept.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// For keeping it, in a file that only this site's user can read.
    pub fn reveal(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What the peers register.
    pub fn public(&self) -> Result<PublicKey> {
        let curve = DefaultResolver.resolve_dh(&DHChoice::Curve25519);
        let mut curve = curve.ok_or_else(|| Error::bug("the Noise crate was built without Curve25519"))?;
        curve.set(self.reveal());
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&curve.pubkey()[..KEY_BYTES]);
        Ok(PublicKey(key))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// A site's own key and those of the sites it works with.
#[derive(Debug, Clone)]
pub struct KeyRing {
    own: SecretKey,
    own_public: PublicKey,
    peers: BTreeMap<PartyId, PublicKey>,
}

impl KeyRing {
    /// A ring that knows nobody yet. One site may have several roles in a job: then register its own key as well.
    pub fn new(own: SecretKey) -> Result<Self> {
        Ok(Self { own_public: own.public()?, own, peers: BTreeMap::new() })
    }

    /// Registers a site.
    #[must_use]
    pub fn with(mut self, site: PartyId, key: PublicKey) -> Self {
        self.peers.insert(site, key);
        self
    }

    /// The key registered for a site; `Denied` if there is none.
    pub fn of(&self, site: &PartyId) -> Result<&PublicKey> {
        self.peers.get(site).ok_or_else(|| {
            let text = format!("no public key of site {site} is registered here; ask its operator for it");
            Error::new(ErrorKind::Denied, text)
        })
    }

    /// This site's public key.
    pub fn own_public(&self) -> &PublicKey {
        &self.own_public
    }

    pub(crate) fn own(&self) -> &SecretKey {
        &self.own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_key_survives_its_text_and_a_wrong_text_is_refused() {
        let key = SecretKey::generate().unwrap().public().unwrap();
        assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        for bad in ["", "ab", &"g".repeat(64), &"ä".repeat(32), &"+f".repeat(32)] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad:?}");
        }
    }

    /// RFC 7748, section 5.2: the first iteration multiplies the base point by its own bytes.
    #[test]
    fn the_public_key_is_that_of_the_standard() {
        let mut nine = [0; KEY_BYTES];
        nine[0] = 9;
        let expected = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
        assert_eq!(SecretKey::from_bytes(nine).public().unwrap().to_string(), expected);
    }

    #[test]
    fn secrets_are_not_printed() {
        let secret = SecretKey::from_bytes([7; 32]);
        assert_eq!(format!("{secret:?}"), "SecretKey(…)");
        let ring = KeyRing::new(secret).unwrap();
        assert!(!format!("{ring:?}").contains("7, 7"));
        assert_eq!(ring.of(&PartyId::new("9999").unwrap()).unwrap_err().kind(), ErrorKind::Denied);
    }
}
