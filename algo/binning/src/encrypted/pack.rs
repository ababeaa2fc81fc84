//! The host's last step: counts of many cells in one ciphertext, blinded, for the guest.
//!
//! A blinding that hides from the key's owner which rows went into a sum costs a full power modulo n², a hundred times
//! what one cell's packing costs. So cells share a plaintext first, and one blinding. The guest sees less than it would in
//! a ciphertext for each cell: the packed number is computed from those sums alone, and its blinding is as uniform.
//!
//! No count reaches its neighbour: labels are 0 or 1 and each row adds at most one of them to a cell, so a count is at most
//! the number of rows, which [`packing`] leaves room for. A guest that encrypts other labels mixes its own counts.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, ListArray, RecordBatch, UInt64Array};
use arrow_buffer::{Buffer, OffsetBuffer};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext, Repeats};
use tributary_core::{Error, ErrorKind, Field, Result, TableSchema};
use tributary_paillier::{Additive, Ciphertext, Packing, PublicKey};

use super::host::decode;
use super::{ciphertexts, public_key, sum_schema};

/// How counts of at most `rows` events share a plaintext: 170 of them for 569 rows under a key of 2048 bits, 75 for 10
/// million. Host and guest find it for themselves. Errors: `InvalidInput` for more rows than fit a slot.
pub fn packing(rows: u64, key: &PublicKey) -> Result<Packing> {
    Packing::for_sums(1, rows, key.plaintext_bits())
        .map_err(|e| Error::invalid("counts do not fit the key").because(e))
}

/// The columns of packed counts under a key, a row for each ciphertext: `cells` and their `rows`, lists of equal length, and
/// `events`, the packed counts in the order of the lists.
pub fn packed_schema(key: &PublicKey) -> Result<TableSchema> {
    let list = |name: &str| Field::new(name, DataType::List(Arc::new(item())));
    TableSchema::new(None, vec![list("cells"), list("rows"), ciphertexts("events", key)])
}

fn item() -> arrow_schema::Field {
    arrow_schema::Field::new_list_field(DataType::UInt64, false)
}

fn list(values: Vec<u64>) -> Result<ArrayRef> {
    let offsets = OffsetBuffer::from_lengths([values.len()]);
    let values = UInt64Array::from(values);
    Ok(Arc::new(ListArray::try_new(Arc::new(item()), offsets, Arc::new(values), None)?))
}

/// Parameters of [`PackSums`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PackParams {
    /// The key that sums are under.
    pub public_key: Vec<u8>,
    /// How counts share a plaintext.
    pub packing: Packing,
}

/// Kernel `binning.pack_sums`: encrypted counts of cells become few ciphertexts with fresh, uniform blinding.
///
/// Shape: [`sum_schema`] with each cell once becomes [`packed_schema`]. Its result is what may leave for the guest. Cost: a
/// squaring for each bit of a slot for each cell, and a full power modulo n² for each ciphertext.
#[derive(Debug)]
pub struct PackSums {
    key: PublicKey,
    packing: Packing,
    output: TableSchema,
}

/// Cells that wait for their plaintext to be full.
#[derive(Default)]
pub struct Packed {
    cells: Vec<u64>,
    rows: Vec<u64>,
    sums: Vec<Ciphertext>,
}

impl PackSums {
    fn emit(&self, packed: Packed, out: &mut dyn Emit) -> Result<()> {
        let sums = self.packing.pack_ciphertexts(&self.key, &packed.sums, 1);
        let mut sums = sums.map_err(|e| Error::invalid("counts do not fit the key").because(e))?;
        // Uniform, not short: it goes to the key's owner, who could take logarithms of a short blinding.
        sums.iter_mut().for_each(|sum| self.key.rerandomize_uniform(sum, &mut rand::rng()));
        let sums = Buffer::from_vec(self.key.encode_rows(&sums));
        let sums = FixedSizeBinaryArray::try_new(self.key.row_bytes() as i32, sums, None)?;
        out.emit(self.output.batch(vec![list(packed.cells)?, list(packed.rows)?, Arc::new(sums)])?)
    }
}

impl FoldKernel for PackSums {
    type Params = PackParams;
    type State = Packed;
    const NAME: &'static str = "binning.pack_sums";
    const REPEATS: Repeats = Repeats::Fresh;

    fn output(params: &PackParams, input: &TableSchema) -> Result<TableSchema> {
        let key = public_key(&params.public_key)?;
        let expected = sum_schema(&key)?;
        if *input != expected {
            return Err(Error::invalid(format!("packing {input:?}, expected {expected:?} under this key")));
        }
        packed_schema(&key)
    }

    fn open(params: PackParams, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        let key = public_key(&params.public_key)?;
        Ok(Self { output: packed_schema(&key)?, key, packing: params.packing })
    }

    fn start(&self, _: PartContext) -> Result<Packed> {
        Ok(Packed::default())
    }

    fn fold(&self, packed: &mut Packed, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let [cells, counts] = [0, 1].map(|i| rows.column(i).as_primitive::<UInt64Type>().values());
        let sums = decode(&self.key, rows.column(2).as_fixed_size_binary())?;
        for ((cell, count), sum) in cells.iter().zip(counts).zip(sums) {
            packed.cells.push(*cell);
            packed.rows.push(*count);
            packed.sums.push(sum);
            if packed.sums.len() == self.packing.slots() {
                self.emit(std::mem::take(packed), out)?;
            }
        }
        Ok(())
    }

    fn finish(&self, packed: Packed, out: &mut dyn Emit) -> Result<()> {
        if packed.sums.is_empty() { Ok(()) } else { self.emit(packed, out) }
    }
}

/// What one packed ciphertext says it holds: cells, and how many rows each has. Errors: `Corrupt` unless there is a row
/// count for each cell and a slot for both.
pub(super) fn contents(rows: &RecordBatch, row: usize, packing: Packing) -> Result<(Vec<u64>, Vec<u64>)> {
    let [cells, counts] = [0, 1].map(|i| {
        let list = rows.column(i).as_list::<i32>().value(row);
        list.as_primitive::<UInt64Type>().values().to_vec()
    });
    if cells.len() != counts.len() || cells.is_empty() || cells.len() > packing.slots() {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "a ciphertext for {} cells with {} row counts, expected 1 to {} of both",
                cells.len(),
                counts.len(),
                packing.slots()
            ),
        ));
    }
    Ok((cells, counts))
}
