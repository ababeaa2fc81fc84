//! Sums of gradients that a host makes without seeing them.
//!
//! | party | plan |
//! |---|---|
//! | guest | Map([`EncryptGradients`]) → keep → push, once a tree |
//! | host | Zip(bins, nodes, gradients) → Map([`AddEncrypted`]) → Exchange `Keyed` `Adjacent` → Map([`PackSums`]) → keep → push, once a level |
//! | guest | pull → Map([`DecryptSums`]) → read |
//!
//! Sums have numbers, in an order that both parties know; so many as fit share a *pack*, one plaintext. A host re-randomises each
//! pack uniformly before it leaves: otherwise the guest could test from a ciphertext which of its rows went into it.

mod guest;
mod host;
mod pack;

pub use guest::{DecryptParams, DecryptSums, EncryptGradients, EncryptParams, read_sums};
pub use host::{AddEncrypted, AddParams, Cells};
pub use pack::{PackParams, PackSums, pack_schema};

use serde::{Deserialize, Serialize};
use tributary_core::schema::CipherKeyId;
use tributary_core::{Error, ErrorKind, Field, Purpose, Result, TableSchema};
use tributary_paillier::{Additive, Packing, PublicKey};

/// How gradients and their sums share plaintexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// Slots of a plaintext.
    pub packing: Packing,
    /// Whether both derivatives of a row share one.
    pub pairs: bool,
    /// Whether sums do.
    pub packs: bool,
}

impl Sharing {
    /// Ciphertexts of one row or sum.
    pub fn ciphertexts(self) -> usize {
        if self.pairs { 1 } else { 2 }
    }

    /// Slots that one ciphertext of a row uses.
    fn width(self) -> usize {
        3 - self.ciphertexts()
    }

    /// Sums of one pack.
    pub fn per_pack(self) -> usize {
        if self.packs { self.packing.group(self.width()).max(1) } else { 1 }
    }
}

/// The columns of encrypted gradients under a key, a row for each.
pub fn gradient_schema(key: &PublicKey, sharing: Sharing) -> Result<TableSchema> {
    TableSchema::new(None, ciphertexts(key, sharing))
}

fn ciphertexts(key: &PublicKey, sharing: Sharing) -> Vec<Field> {
    let data_type = arrow_schema::DataType::FixedSizeBinary(key.row_bytes() as i32);
    let purpose = || Purpose::Ciphertext(CipherKeyId(key.id().as_str().into()));
    ["gh", "h"]
        .into_iter()
        .take(sharing.ciphertexts())
        .map(|name| Field::new(name, data_type.clone()).purpose(purpose()))
        .collect()
}

/// The key in a kernel's parameters, which come from this party: its receiver has checked it.
fn public_key(bytes: &[u8]) -> Result<PublicKey> {
    PublicKey::from_checked_bytes(bytes).map_err(|e| corrupt("the key of the gradients is not usable", e))
}

fn corrupt(what: &str, source: tributary_paillier::Error) -> Error {
    Error::new(ErrorKind::Corrupt, what).because(source)
}
