//! Events of the bins of a party that has no label: the guest sends its label encrypted, the host adds up ciphertexts bin
//! by bin, the guest decrypts the sums.
//!
//! | party | plan |
//! |---|---|
//! | guest | Map([`EncryptLabels`]) → keep → push |
//! | host | Zip(bins, labels) → Map([`SumEncrypted`]) → Exchange `Keyed` `Adjacent` → Map([`AddEncrypted`]) → Map([`PackSums`]) → keep → push |
//! | guest | pull → put → Map([`DecryptCounts`]) → read with [`BinCount::read`](crate::BinCount::read) |
//!
//! The guest learns, for each of the host's features under an anonymous name, how many rows and events each bin has: what
//! its metrics are made of. The host learns the number of rows. Sums are packed and get fresh blinding before they leave, so
//! that the guest cannot test from a sum's randomness which of its rows went into it.

mod guest;
mod host;
mod pack;

pub use guest::{DecryptCounts, DecryptParams, EncryptLabels, EncryptParams};
pub use host::{AddEncrypted, AddParams, SumEncrypted, SumParams};
pub use pack::{PackParams, PackSums, packed_schema, packing};

use serde::{Deserialize, Serialize};
use tributary_core::federation::Message;
use tributary_core::schema::CipherKeyId;
use tributary_core::{Error, ErrorKind, Field, Purpose, Result, TableSchema};
use tributary_paillier::{Additive, PublicKey};

use crate::cells::{BinColumn, cell_schema};

/// Name of the column of encrypted labels.
pub const LABEL: &str = "encrypted_label";

/// Host to guest: the features that sums come for, under anonymous names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostFeatures {
    /// In the order of their numbers.
    pub columns: Vec<BinColumn>,
}

impl Message for HostFeatures {
    const NAME: &'static str = "binning.host_features";
    const MAX_BYTES: usize = 8 << 20;
}

/// The columns of encrypted labels under a key: [`LABEL`], and no key column.
pub fn label_schema(key: &PublicKey) -> Result<TableSchema> {
    TableSchema::new(None, vec![ciphertexts(LABEL, key)])
}

/// The columns of encrypted counts under a key, before they are packed: rows (cell; `rows`, `events`).
pub fn sum_schema(key: &PublicKey) -> Result<TableSchema> {
    let rows = Field::new("rows", arrow_schema::DataType::UInt64);
    cell_schema(vec![rows, ciphertexts("events", key)])
}

fn ciphertexts(name: &str, key: &PublicKey) -> Field {
    Field::new(name, arrow_schema::DataType::FixedSizeBinary(key.row_bytes() as i32))
        .purpose(Purpose::Ciphertext(CipherKeyId(key.id().as_str().into())))
}

/// The key in a kernel's parameters, which come from this party: its receiver has checked it.
fn public_key(bytes: &[u8]) -> Result<PublicKey> {
    PublicKey::from_checked_bytes(bytes).map_err(|e| corrupt("the key of the labels is not usable", e))
}

fn corrupt(what: &str, source: tributary_paillier::Error) -> Error {
    Error::new(ErrorKind::Corrupt, what).because(source)
}
