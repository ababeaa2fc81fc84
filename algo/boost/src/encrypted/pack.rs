//! The host's last step: sums of all partitions, many in one ciphertext, blinded for the guest.
//!
//! A blinding that hides from the key's owner which rows went into a sum costs a full power modulo n², a hundred times what packing one
//! sum costs. So sums share a plaintext first, and one blinding. No sum reaches its neighbour: a quantised gradient has bits that the
//! packing knows. A guest that encrypts larger numbers mixes its own sums.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{UInt32Type, UInt64Type};
use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow_buffer::Buffer;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, PartContext, Repeats};
use tributary_core::{Error, KeyType, Result, TableSchema};
use tributary_paillier::{Additive, Ciphertext, PublicKey, Sums};

use super::host::part_schema;
use super::{Sharing, ciphertexts, corrupt, public_key};

/// Packs emitted together.
const EMITTED: usize = 256;

/// The columns of packs as they travel: (pack; ciphertexts).
pub fn pack_schema(key: &PublicKey, sharing: Sharing) -> Result<TableSchema> {
    TableSchema::keyed("pack", KeyType::UInt64, ciphertexts(key, sharing))
}

/// Parameters of [`PackSums`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackParams {
    /// The key that sums are under.
    pub public_key: Vec<u8>,
    /// How they share a plaintext.
    pub sharing: Sharing,
}

/// Kernel `boost.pack`: sums of parts of the rows become packs, with fresh, uniform blinding. Its result is what may leave for the guest.
///
/// Shape: rows (pack; `slot`, ciphertexts), equal packs adjacent, become [`pack_schema`]. Cost: a squaring for each bit of a slot for each
/// sum, and a full power modulo n² for each pack.
#[derive(Debug)]
pub struct PackSums {
    key: PublicKey,
    sharing: Sharing,
    output: TableSchema,
}

/// A pack that is being filled, and those that are full.
#[derive(Default)]
pub struct Filling {
    open: Option<(u64, Vec<Sums<PublicKey>>)>,
    packs: Vec<u64>,
    /// By column.
    bytes: Vec<Vec<u8>>,
}

impl PackSums {
    fn close(&self, filling: &mut Filling, out: &mut dyn Emit) -> Result<()> {
        let Some((pack, sums)) = filling.open.take() else { return Ok(()) };
        filling.bytes.resize(self.sharing.ciphertexts(), Vec::new());
        for (bytes, sums) in filling.bytes.iter_mut().zip(sums) {
            let mut packed = self.packed(sums.into_inner())?;
            // Uniform, not short: it goes to the key's owner, who could take logarithms of a short blinding.
            self.key.rerandomize_uniform(&mut packed, &mut rand::rng());
            bytes.extend(self.key.encode_rows(&[packed]));
        }
        filling.packs.push(pack);
        if filling.packs.len() == EMITTED { self.emit(filling, out) } else { Ok(()) }
    }

    fn packed(&self, sums: Vec<Ciphertext>) -> Result<Ciphertext> {
        let mut packed = match self.sharing.packs {
            true => self
                .sharing
                .packing
                .pack_ciphertexts(&self.key, &sums, self.sharing.width())
                .map_err(|e| Error::invalid("sums do not fit the key").because(e))?,
            false => sums,
        };
        match (packed.pop(), packed.is_empty()) {
            (Some(one), true) => Ok(one),
            _ => Err(Error::bug("a pack that is not one ciphertext")),
        }
    }

    fn emit(&self, filling: &mut Filling, out: &mut dyn Emit) -> Result<()> {
        let width = self.key.row_bytes() as i32;
        let mut columns: Vec<ArrayRef> =
            vec![Arc::new(UInt64Array::from(std::mem::take(&mut filling.packs)))];
        for bytes in std::mem::take(&mut filling.bytes) {
            columns.push(Arc::new(FixedSizeBinaryArray::try_new(width, Buffer::from_vec(bytes), None)?));
        }
        out.emit(self.output.batch(columns)?)
    }
}

impl FoldKernel for PackSums {
    type Params = PackParams;
    type State = Filling;
    const NAME: &'static str = "boost.pack";
    const KEEPS: Keeps = Keeps::Groups;
    const REPEATS: Repeats = Repeats::Fresh;

    fn output(params: &PackParams, input: &TableSchema) -> Result<TableSchema> {
        let key = public_key(&params.public_key)?;
        let expected = part_schema(&key, params.sharing)?;
        match *input == expected {
            true => pack_schema(&key, params.sharing),
            false => Err(Error::invalid(format!("packing {input:?}, expected {expected:?} under this key"))),
        }
    }

    fn open(params: PackParams, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        let key = public_key(&params.public_key)?;
        Ok(Self { output: pack_schema(&key, params.sharing)?, key, sharing: params.sharing })
    }

    fn start(&self, _: PartContext) -> Result<Filling> {
        Ok(Filling::default())
    }

    fn fold(&self, filling: &mut Filling, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let packs = rows.column(0).as_primitive::<UInt64Type>().values();
        let slots = rows.column(1).as_primitive::<UInt32Type>().values();
        let (count, per_pack) = (self.sharing.ciphertexts(), self.sharing.per_pack());
        let decode = |i: usize| {
            let bytes = rows.column(2 + i).as_fixed_size_binary().value_data();
            self.key.decode_rows(bytes).map_err(|e| corrupt("sums are not usable", e))
        };
        let decoded: Vec<Vec<Ciphertext>> = (0..count).map(decode).collect::<Result<_>>()?;
        for (row, (pack, slot)) in packs.iter().zip(slots).enumerate() {
            if filling.open.as_ref().is_none_or(|(open, _)| open != pack) {
                self.close(filling, out)?;
                let empty = || Sums::new(self.key.clone(), per_pack);
                filling.open = Some((*pack, (0..count).map(|_| empty()).collect()));
            }
            let Some((_, sums)) = &mut filling.open else { continue };
            if *slot as usize >= per_pack {
                return Err(Error::bug("a slot beyond its pack"));
            }
            sums.iter_mut().zip(&decoded).for_each(|(sums, decoded)| sums.add(*slot as usize, &decoded[row]));
        }
        Ok(())
    }

    fn finish(&self, mut filling: Filling, out: &mut dyn Emit) -> Result<()> {
        self.close(&mut filling, out)?;
        if filling.packs.is_empty() { Ok(()) } else { self.emit(&mut filling, out) }
    }
}
