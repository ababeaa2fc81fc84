//! Blobs: kernel parameters that are large or secret, which a session holds and a kernel call only refers to.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::handle::Release;

/// Whether a blob may be seen by those who can read the engine's store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlobKind {
    /// Large, but nothing to hide: bin edges.
    Plain,
    /// Keys and masks: sealed wherever it leaves the process, wiped when freed.
    Secret,
}

/// A kernel parameter held by a session. Two clones are one blob.
#[derive(Clone)]
pub struct BlobRef(Arc<BlobHold>);

struct BlobHold {
    number: u64,
    kind: BlobKind,
    owner: Option<Arc<dyn Release>>,
}

impl BlobRef {
    /// For engines: a reference to item `number` of the session.
    pub fn new(number: u64, kind: BlobKind, owner: Arc<dyn Release>) -> Self {
        Self(Arc::new(BlobHold { number, kind, owner: Some(owner) }))
    }

    /// The engine's name for it.
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether it is secret.
    pub fn kind(&self) -> BlobKind {
        self.0.kind
    }
}

impl Drop for BlobHold {
    fn drop(&mut self) {
        if let Some(owner) = &self.owner {
            owner.release(self.number);
        }
    }
}

impl fmt::Debug for BlobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "blob#{}", self.0.number)
    }
}

impl PartialEq for BlobRef {
    fn eq(&self, other: &Self) -> bool {
        self.0.number == other.0.number
    }
}

impl Eq for BlobRef {}

/// A decoded reference owns nothing: it names a blob that the sender keeps alive while the action runs.
impl<'de> Deserialize<'de> for BlobRef {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        let (number, kind) = Deserialize::deserialize(from)?;
        Ok(Self(Arc::new(BlobHold { number, kind, owner: None })))
    }
}

impl Serialize for BlobRef {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        (self.0.number, self.0.kind).serialize(to)
    }
}

/// A kernel parameter's bytes: what a session is given, and what a kernel sees. Clones share them.
#[derive(Clone)]
pub enum Blob {
    /// Nothing to hide.
    Plain(Bytes),
    /// Keys and masks.
    Secret(SecretBytes),
}

impl Blob {
    /// Takes secret bytes as they are; they are overwritten when the last clone of the blob is dropped. A vector that grew
    /// while it was filled has left copies behind: give it its capacity first.
    pub fn secret(bytes: Vec<u8>) -> Self {
        Self::Secret(SecretBytes(Arc::new(Zeroizing::new(bytes))))
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(bytes) => bytes,
            Self::Secret(bytes) => &bytes.0,
        }
    }

    /// Whether it is secret.
    pub fn kind(&self) -> BlobKind {
        match self {
            Self::Plain(_) => BlobKind::Plain,
            Self::Secret(_) => BlobKind::Secret,
        }
    }
}

/// Bytes that nothing prints, and that are overwritten when the last clone is dropped.
#[derive(Clone)]
pub struct SecretBytes(Arc<Zeroizing<Vec<u8>>>);

/// Never the bytes.
impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} blob of {} bytes", self.kind(), self.bytes().len())
    }
}
