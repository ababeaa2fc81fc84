//! The guest's part: it encrypts gradients, and decrypts sums.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, ListArray, RecordBatch, UInt64Array};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Keeps, MapKernel, Repeats};
use tributary_core::{Error, ErrorKind, Field, KeyType, Result, TableSchema};
use tributary_paillier::{Decrypt, Encrypt, Integer, SecretKey};

use super::{Sharing, corrupt, gradient_schema, pack_schema, public_key};
use crate::columns::integers;

fn secret_key(blobs: &[Blob], public: &[u8]) -> Result<SecretKey> {
    let [secret @ Blob::Secret(_)] = blobs else {
        return Err(Error::invalid(format!(
            "{} blobs, expected the secret key alone, as a secret one",
            blobs.len()
        )));
    };
    let key = SecretKey::from_checked_bytes(secret.bytes())
        .map_err(|e| corrupt("the secret key is not usable", e))?;
    match key.public().to_bytes() == public {
        true => Ok(key),
        false => Err(Error::invalid("the secret key does not belong to the public one")),
    }
}

/// Parameters of [`EncryptGradients`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EncryptParams {
    /// The guest's key.
    pub public_key: Vec<u8>,
    /// How gradients share a plaintext.
    pub sharing: Sharing,
    /// About how many rows there are.
    pub rows: u64,
}

/// Kernel `boost.encrypt`: `g` and `h` (`Int64`) become ciphertexts. Its blob is the secret key, which encrypts faster.
///
/// Shape: [`gradient_schema`], a row for each. Errors: `Bug` for a number that has more bits than slots have room for.
#[derive(Debug)]
pub struct EncryptGradients {
    key: SecretKey,
    sharing: Sharing,
    output: TableSchema,
}

impl MapKernel for EncryptGradients {
    type Params = EncryptParams;
    const NAME: &'static str = "boost.encrypt";
    const KEEPS: Keeps = Keeps::Rows;
    const REPEATS: Repeats = Repeats::Fresh;

    fn output(params: &EncryptParams, input: &TableSchema) -> Result<TableSchema> {
        let types: Vec<&DataType> = input.fields().iter().map(|field| &field.data_type).collect();
        if input.key().is_some() || types != [&DataType::Int64, &DataType::Int64] {
            return Err(Error::invalid(format!("{input:?}, expected two columns of Int64")));
        }
        gradient_schema(&public_key(&params.public_key)?, params.sharing)
    }

    fn open(params: EncryptParams, input: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        let output = Self::output(&params, input)?;
        let key = secret_key(blobs, &params.public_key)?.for_encryptions(params.rows);
        Ok(Self { key, sharing: params.sharing, output })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let [g, h] = [0, 1].map(|column| integers(rows, column));
        let pack = |values: &[i128]| {
            self.sharing
                .packing
                .pack(values)
                .map_err(|e| Error::bug("a gradient does not fit its slot").because(e))
        };
        let plains: Vec<Vec<Integer>> = match self.sharing.pairs {
            true => {
                let pairs = g.iter().zip(h).map(|(g, h)| pack(&[i128::from(*g), i128::from(*h)]));
                vec![pairs.collect::<Result<_>>()?]
            }
            false => {
                let all = |of: &[i64]| of.iter().map(|one| pack(&[i128::from(*one)])).collect::<Result<_>>();
                vec![all(g)?, all(h)?]
            }
        };
        let width = self.output.fields().first().map(|field| field.data_type.clone());
        let Some(DataType::FixedSizeBinary(width)) = width else {
            return Err(Error::bug("ciphertexts without a width"));
        };
        let column = |plains: Vec<Integer>| {
            let bytes = self.key.encrypt_rows(&mut plains.into_iter(), &mut rand::rng());
            let bytes = bytes.map_err(|e| Error::bug("a gradient does not fit the key").because(e))?;
            Ok(Arc::new(FixedSizeBinaryArray::try_new(width, Buffer::from_vec(bytes), None)?) as ArrayRef)
        };
        self.output.batch(plains.into_iter().map(column).collect::<Result<_>>()?)
    }
}

/// Parameters of [`DecryptSums`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DecryptParams {
    /// The guest's key.
    pub public_key: Vec<u8>,
    /// How sums share a plaintext.
    pub sharing: Sharing,
}

/// Kernel `boost.decrypt`: packs become numbers. Its blob is the secret key.
///
/// Shape: [`pack_schema`] becomes rows (pack; `sums`), a list of both sums of each slot in turn, as 64 bits with a sign. Errors: `Corrupt`
/// for a pack that has more in it than its slots.
#[derive(Debug)]
pub struct DecryptSums {
    key: SecretKey,
    sharing: Sharing,
}

fn sums_schema() -> Result<TableSchema> {
    let item = arrow_schema::Field::new_list_field(DataType::UInt64, false);
    TableSchema::keyed("pack", KeyType::UInt64, vec![Field::new("sums", DataType::List(Arc::new(item)))])
}

impl DecryptSums {
    /// All slots of one pack, sums of first and second derivatives in turn.
    fn slots(&self, ciphertexts: &[&[Integer]], row: usize) -> Result<Vec<u64>> {
        let (per_pack, width) = (self.sharing.per_pack(), self.sharing.width());
        let unpacked = ciphertexts.iter().map(|of| {
            self.sharing
                .packing
                .unpack(&of[row], per_pack * width)
                .map_err(|e| corrupt("encrypted sums hold more than their slots", e))
        });
        let unpacked = unpacked.collect::<Result<Vec<_>>>()?;
        let in_turn = (0..per_pack * width).flat_map(|slot| unpacked.iter().map(move |of| of[slot]));
        in_turn
            .map(|sum| i64::try_from(sum).map(|sum| sum as u64))
            .collect::<Result<_, _>>()
            .map_err(|e| Error::new(ErrorKind::Corrupt, "an encrypted sum has more than 64 bits").because(e))
    }
}

impl MapKernel for DecryptSums {
    type Params = DecryptParams;
    const NAME: &'static str = "boost.decrypt";
    const KEEPS: Keeps = Keeps::Nothing;

    fn output(params: &DecryptParams, input: &TableSchema) -> Result<TableSchema> {
        let expected = pack_schema(&public_key(&params.public_key)?, params.sharing)?;
        match *input == expected {
            true => sums_schema(),
            false => {
                Err(Error::invalid(format!("decryption of {input:?}, expected {expected:?} under this key")))
            }
        }
    }

    fn open(params: DecryptParams, _: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        Ok(Self { key: secret_key(blobs, &params.public_key)?, sharing: params.sharing })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let decrypt = |column: usize| {
            let bytes = rows.column(column).as_fixed_size_binary().value_data();
            self.key.decrypt_rows(bytes).map_err(|e| corrupt("encrypted sums cannot be decrypted", e))
        };
        let columns: Vec<Vec<Integer>> =
            (1..=self.sharing.ciphertexts()).map(decrypt).collect::<Result<_>>()?;
        let columns: Vec<&[Integer]> = columns.iter().map(Vec::as_slice).collect();
        let mut sums = Vec::new();
        for row in 0..rows.num_rows() {
            sums.extend(self.slots(&columns, row)?);
        }
        let lengths = std::iter::repeat_n(2 * self.sharing.per_pack(), rows.num_rows());
        let item = Arc::new(arrow_schema::Field::new_list_field(DataType::UInt64, false));
        let lists = ListArray::try_new(
            item,
            OffsetBuffer::from_lengths(lengths),
            Arc::new(UInt64Array::from(sums)),
            None,
        )?;
        sums_schema()?.batch(vec![rows.column(0).clone(), Arc::new(lists)])
    }
}

/// Sums of first and second derivatives in the order of their numbers, from the kernel's rows of all partitions. `Corrupt` unless there is
/// each pack once, and nothing beyond the last sum.
pub fn read_sums(rows: &[RecordBatch], sharing: Sharing, count: usize) -> Result<Vec<(i64, i64)>> {
    let per_pack = sharing.per_pack();
    let packs = count.div_ceil(per_pack);
    let wrong =
        || Error::new(ErrorKind::Corrupt, format!("packs of sums, expected {packs} with {count} sums"));
    let mut sums = vec![None; packs * per_pack];
    for batch in rows {
        sums_schema()?.check(batch)?;
        let numbers = batch.column(0).as_primitive::<UInt64Type>().values();
        let lists = batch.column(1).as_list::<i32>();
        for (row, pack) in numbers.iter().enumerate() {
            let list = lists.value(row);
            let values = list.as_primitive::<UInt64Type>().values();
            let first =
                usize::try_from(*pack).ok().filter(|pack| *pack < packs).ok_or_else(wrong)? * per_pack;
            let slots = sums.get_mut(first..first + per_pack).ok_or_else(wrong)?;
            if values.len() != 2 * per_pack || slots.iter().any(Option::is_some) {
                return Err(wrong());
            }
            for (slot, pair) in slots.iter_mut().zip(values.chunks_exact(2)) {
                *slot = Some((pair[0] as i64, pair[1] as i64));
            }
        }
    }
    let all: Vec<(i64, i64)> = sums.into_iter().collect::<Option<_>>().ok_or_else(wrong)?;
    let (known, beyond) = all.split_at(count);
    match beyond.iter().all(|sum| *sum == (0, 0)) {
        true => Ok(known.to_vec()),
        false => Err(wrong()),
    }
}
