//! The guest's part: it encrypts labels, and decrypts sums.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow_buffer::Buffer;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, MapKernel, Repeats};
use tributary_core::numbers::number_column;
use tributary_core::{Error, ErrorKind, Result, TableSchema};
use tributary_paillier::{Additive, Decrypt, Encrypt, Integer, Packing, SecretKey};

use super::pack::contents;
use super::{corrupt, label_schema, packed_schema, public_key};
use crate::cells::cell_of;
use crate::count::{count_schema, events};

fn secret_key(blobs: &[Blob], public: &[u8]) -> Result<SecretKey> {
    let [secret @ Blob::Secret(_)] = blobs else {
        return Err(Error::invalid(format!(
            "{} blobs, expected the secret key alone, as a secret one",
            blobs.len()
        )));
    };
    let key = SecretKey::from_checked_bytes(secret.bytes())
        .map_err(|e| corrupt("the secret key is not usable", e))?;
    if key.public().to_bytes() != public {
        return Err(Error::invalid("the secret key does not belong to the public one"));
    }
    Ok(key)
}

/// Parameters of [`EncryptLabels`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EncryptParams {
    /// The column with label 0 or 1.
    pub label: String,
    /// The guest's key.
    pub public_key: Vec<u8>,
}

/// Kernel `binning.encrypt_labels`: labels become ciphertexts. Its blob is the secret key, which encrypts faster.
///
/// Shape: [`label_schema`], a row for each. Errors: `InvalidInput` for a label that is neither 0 nor 1, or missing.
#[derive(Debug)]
pub struct EncryptLabels {
    label: usize,
    key: SecretKey,
    output: TableSchema,
}

impl MapKernel for EncryptLabels {
    type Params = EncryptParams;
    const NAME: &'static str = "binning.encrypt_labels";
    const KEEPS: Keeps = Keeps::Rows;
    const REPEATS: Repeats = Repeats::Fresh;

    fn output(params: &EncryptParams, input: &TableSchema) -> Result<TableSchema> {
        number_column(&params.label, input)?;
        label_schema(&public_key(&params.public_key)?)
    }

    fn open(params: EncryptParams, input: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        let key = secret_key(blobs, &params.public_key)?;
        let output = label_schema(key.public())?;
        Ok(Self { label: number_column(&params.label, input)?, key, output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let events = events(rows, self.label)?;
        let mut plains = events.iter().map(|event| Integer::from(u8::from(*event)));
        let encrypted = self.key.encrypt_rows(&mut plains, &mut rand::rng());
        let encrypted = encrypted.map_err(|e| Error::bug("a label does not fit the key").because(e))?;
        let width = self.key.public().row_bytes() as i32;
        let column = FixedSizeBinaryArray::try_new(width, Buffer::from_vec(encrypted), None)?;
        self.output.batch(vec![Arc::new(column)])
    }
}

/// Parameters of [`DecryptCounts`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DecryptParams {
    /// The guest's key.
    pub public_key: Vec<u8>,
    /// How counts share a plaintext.
    pub packing: Packing,
}

/// Kernel `binning.decrypt_counts`: packed, encrypted events of cells become numbers. Its blob is the secret key.
///
/// Shape: [`packed_schema`] becomes what [`CountBins`](crate::CountBins) gives, a row for each cell. Errors: `Corrupt` for
/// a ciphertext that holds other cells than it says, and for events that are not between 0 and the cell's rows.
#[derive(Debug)]
pub struct DecryptCounts {
    key: SecretKey,
    packing: Packing,
}

impl DecryptCounts {
    fn events(&self, packed: &Integer, cells: &[u64], rows: &[u64]) -> Result<Vec<u64>> {
        let events = self.packing.unpack(packed, cells.len());
        let events = events.map_err(|e| corrupt("encrypted counts hold more than their cells", e))?;
        let checked = |((cell, rows), events): ((&u64, &u64), i128)| match u64::try_from(events) {
            Ok(events) if events <= *rows => Ok(events),
            _ => {
                let (feature, bin) = cell_of(*cell);
                let text = format!(
                    "the events of bin {bin} of feature {feature} are not between 0 and its {rows} rows"
                );
                Err(Error::new(ErrorKind::Corrupt, text))
            }
        };
        cells.iter().zip(rows).zip(events).map(checked).collect()
    }
}

impl MapKernel for DecryptCounts {
    type Params = DecryptParams;
    const NAME: &'static str = "binning.decrypt_counts";
    const VERSION: u32 = 2;
    const KEEPS: Keeps = Keeps::Nothing;

    fn output(params: &DecryptParams, input: &TableSchema) -> Result<TableSchema> {
        let expected = packed_schema(&public_key(&params.public_key)?)?;
        if *input != expected {
            return Err(Error::invalid(format!(
                "decryption of {input:?}, expected {expected:?} under this key"
            )));
        }
        count_schema()
    }

    fn open(params: DecryptParams, _: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        Ok(Self { key: secret_key(blobs, &params.public_key)?, packing: params.packing })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let sums = self.key.decrypt_rows(rows.column(2).as_fixed_size_binary().value_data());
        let sums = sums.map_err(|e| corrupt("encrypted counts cannot be decrypted", e))?;
        let (mut cells, mut counts, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for (row, packed) in sums.iter().enumerate() {
            let (packed_cells, packed_rows) = contents(rows, row, self.packing)?;
            events.extend(self.events(packed, &packed_cells, &packed_rows)?);
            cells.extend(packed_cells);
            counts.extend(packed_rows);
        }
        let column = |values: Vec<u64>| Arc::new(UInt64Array::from(values));
        count_schema()?.batch(vec![column(cells), column(counts), column(events)])
    }
}
