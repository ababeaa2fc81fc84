//! The cluster's key: what a driver sends to executors through a scheduler, and what it leaves in a store, is for those
//! who have it.
//!
//! Fragments of plans are sealed because they say what is being looked for, and because an executor must know that a
//! fragment was made by a driver of its cluster before it decodes anything in it. Secret blobs are sealed because those who
//! run the store need not see them. XChaCha20-Poly1305: its nonces are long enough to be drawn at random.

use std::fmt;
use std::sync::Arc;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use tributary_core::error::{Error, ErrorKind, Result};
use tributary_system::random;

const NONCE_BYTES: usize = 24;

/// 32 random bytes that all processes of a cluster share, wiped with the last clone.
#[derive(Clone)]
pub struct ClusterKey(Arc<XChaCha20Poly1305>);

impl ClusterKey {
    /// Number of bytes of a key.
    pub const BYTES: usize = 32;

    /// `InvalidInput` unless there are [`ClusterKey::BYTES`].
    pub fn new(bytes: &[u8]) -> Result<Self> {
        let cipher = XChaCha20Poly1305::new_from_slice(bytes).map_err(|_| {
            Error::invalid(format!("a cluster key of {} bytes, expected {}", bytes.len(), Self::BYTES))
        })?;
        Ok(Self(Arc::new(cipher)))
    }

    /// Nonce and ciphertext. `context` is what the bytes are for; it is not in the result, and must be the same to open it.
    pub fn seal(&self, context: &[u8], bytes: &[u8]) -> Result<Vec<u8>> {
        let mut nonce = [0u8; NONCE_BYTES];
        random::fill(&mut nonce)?;
        let payload = Payload { msg: bytes, aad: context };
        let sealed = self.0.encrypt(XNonce::from_slice(&nonce), payload);
        let sealed = sealed.map_err(|_| Error::bug(format!("seal {} bytes", bytes.len())))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// What was sealed for this context. `Denied` for anything else.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>> {
        let opened = sealed.split_at_checked(NONCE_BYTES).and_then(|(nonce, rest)| {
            self.0.decrypt(XNonce::from_slice(nonce), Payload { msg: rest, aad: context }).ok()
        });
        opened.ok_or_else(|| {
            Error::new(
                ErrorKind::Denied,
                "what came was not sealed with this cluster's key; give driver, scheduler and executors the same key",
            )
        })
    }
}

/// Never the key.
impl fmt::Debug for ClusterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cluster key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_context_open_what_was_sealed() {
        let key = ClusterKey::new(&[7; 32]).unwrap();
        let sealed = key.seal(b"blob 1", b"a mask").unwrap();
        assert_eq!(key.open(b"blob 1", &sealed).unwrap(), b"a mask");
        assert_ne!(key.seal(b"blob 1", b"a mask").unwrap(), sealed);
        let other = ClusterKey::new(&[8; 32]).unwrap();
        let mut bent = sealed.clone();
        bent[30] ^= 1;
        for refused in [
            key.open(b"blob 2", &sealed),
            other.open(b"blob 1", &sealed),
            key.open(b"blob 1", &bent),
            key.open(b"blob 1", &sealed[..20]),
            key.open(b"blob 1", b""),
        ] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Denied);
        }
        assert_eq!(format!("{key:?}"), "cluster key");
        assert!(ClusterKey::new(&[1; 31]).is_err());
    }
}
