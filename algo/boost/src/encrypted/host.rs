//! The host's part: it adds up encrypted gradients by node and bin, which is nearly all the work of a training.
//!
//! Rows of nodes that are not added up are passed over before anything is decoded. Ciphertexts are decoded some at a time, so that they
//! stay in the cache while each column adds them to its sums: one product in place for each row and column, in the form that the
//! arithmetic uses.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, FixedSizeBinaryArray, RecordBatch, UInt32Array, UInt64Array};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::{Error, Field, KeyType, Result, TableSchema};
use tributary_paillier::{Additive, Ciphertext, PublicKey, Sums};

use super::{Sharing, ciphertexts, corrupt, public_key};
use crate::columns::{Binned, nodes};

/// Rows whose ciphertexts are decoded together: a third of a megabyte.
const AT_ONCE: usize = 512;

/// Sums emitted together: half a megabyte.
const EMITTED: usize = 1_024;

/// Parameters of [`AddEncrypted`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddParams {
    /// The columns.
    pub columns: Binned,
    /// Nodes that are added up, 0 to this.
    pub nodes: u16,
    /// How many sums there are.
    pub sums: u32,
    /// The key that gradients are under.
    pub public_key: Vec<u8>,
    /// How they share plaintexts.
    pub sharing: Sharing,
}

/// Which sum each bin belongs to, node by node, column by column: the blob of [`AddEncrypted`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cells(Vec<u32>);

impl Cells {
    /// A bin that is not added up.
    pub const NONE: u32 = u32::MAX;

    /// For each bin of each node the number of its sum, or [`Cells::NONE`].
    pub fn new(sums: Vec<u32>) -> Self {
        Self(sums)
    }

    /// As a blob.
    pub fn to_blob(&self) -> Blob {
        let bytes: Vec<u8> = self.0.iter().flat_map(|sum| sum.to_le_bytes()).collect();
        Blob::Plain(bytes.into())
    }

    fn of_blob(blobs: &[Blob], cells: usize, sums: u32) -> Result<Self> {
        let [Blob::Plain(bytes)] = blobs else {
            return Err(Error::invalid(format!("{} blobs, expected the cells alone", blobs.len())));
        };
        let numbers =
            bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        let numbers: Vec<u32> = numbers.collect();
        let fits = numbers.iter().all(|sum| *sum < sums || *sum == Self::NONE);
        match bytes.len() == 4 * cells && fits {
            true => Ok(Self(numbers)),
            false => Err(Error::invalid(format!(
                "{} bytes of cells, expected {cells} cells of {sums} sums",
                bytes.len()
            ))),
        }
    }
}

/// Rows of sums before they are packed: (pack; `slot`, ciphertexts).
pub(super) fn part_schema(key: &PublicKey, sharing: Sharing) -> Result<TableSchema> {
    let slot = Field::new("slot", DataType::UInt32);
    TableSchema::keyed(
        "pack",
        KeyType::UInt64,
        std::iter::once(slot).chain(ciphertexts(key, sharing)).collect(),
    )
}

/// Kernel `boost.add_encrypted`: a partition becomes a row for each sum that has rows there.
///
/// Shape: columns of bins, the node (`UInt16`), and encrypted gradients become rows (pack; `slot`, ciphertexts). Errors: `Corrupt` for
/// bytes that are no ciphertext under the key. Cost: a product modulo n² for each row and column.
#[derive(Debug)]
pub struct AddEncrypted {
    columns: Binned,
    /// For each node the place of its first cell; none for nodes that are not added up.
    nodes: Vec<Option<usize>>,
    sums: usize,
    cells: Cells,
    key: PublicKey,
    sharing: Sharing,
    output: TableSchema,
}

impl AddEncrypted {
    /// Adds some rows, each with the place of its node's first cell.
    fn add(&self, sums: &mut [Sums<PublicKey>], rows: &RecordBatch, taken: &[(usize, usize)]) -> Result<()> {
        let first = self.columns.bins.len() + 1;
        let decoded = (0..sums.len()).map(|i| self.decode(rows, first + i, taken));
        let decoded: Vec<Vec<Ciphertext>> = decoded.collect::<Result<_>>()?;
        for (column, (place, _)) in self.columns.places().enumerate() {
            let bins = self.columns.of(rows, column)?;
            for (i, (row, node)) in taken.iter().enumerate() {
                let sum = self.cells.0[node + place + usize::from(bins[*row])];
                if sum == Cells::NONE {
                    continue;
                }
                for (sums, decoded) in sums.iter_mut().zip(&decoded) {
                    sums.add(sum as usize, &decoded[i]);
                }
            }
        }
        Ok(())
    }

    fn decode(&self, rows: &RecordBatch, column: usize, taken: &[(usize, usize)]) -> Result<Vec<Ciphertext>> {
        let column = rows.column(column).as_fixed_size_binary();
        let bytes: Vec<u8> = taken.iter().flat_map(|(row, _)| column.value(*row)).copied().collect();
        self.key.decode_rows(&bytes).map_err(|e| corrupt("encrypted gradients are not usable", e))
    }
}

impl FoldKernel for AddEncrypted {
    type Params = AddParams;
    type State = Vec<Sums<PublicKey>>;
    const NAME: &'static str = "boost.add_encrypted";

    fn output(params: &AddParams, input: &TableSchema) -> Result<TableSchema> {
        let key = public_key(&params.public_key)?;
        let gradients = vec![DataType::FixedSizeBinary(key.row_bytes() as i32); params.sharing.ciphertexts()];
        params.columns.expect(input, &[vec![DataType::UInt16], gradients].concat())?;
        part_schema(&key, params.sharing)
    }

    fn open(params: AddParams, _: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        let key = public_key(&params.public_key)?;
        let AddParams { columns, nodes, sums, sharing, .. } = params;
        let (total, nodes) = (columns.total(), usize::from(nodes));
        let cells = Cells::of_blob(blobs, total * nodes, sums)?;
        let is_added = |first: usize| cells.0[first..first + total].iter().any(|sum| *sum != Cells::NONE);
        let nodes = (0..nodes).map(|node| Some(node * total).filter(|first| is_added(*first))).collect();
        let output = part_schema(&key, sharing)?;
        Ok(Self { columns, nodes, sums: sums as usize, cells, key, sharing, output })
    }

    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok((0..self.sharing.ciphertexts()).map(|_| Sums::new(self.key.clone(), self.sums)).collect())
    }

    fn fold(&self, sums: &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let first = |node: &u16| self.nodes.get(usize::from(*node)).copied().flatten();
        let nodes = nodes(rows, self.columns.bins.len()).iter().enumerate();
        let taken: Vec<(usize, usize)> = nodes.filter_map(|(row, node)| Some((row, first(node)?))).collect();
        taken.chunks(AT_ONCE).try_for_each(|taken| self.add(sums, rows, taken))
    }

    fn finish(&self, sums: Self::State, out: &mut dyn Emit) -> Result<()> {
        let (per_pack, width) = (self.sharing.per_pack(), self.key.row_bytes());
        let sums: Vec<Vec<Option<Ciphertext>>> = sums.into_iter().map(Sums::into_parts).collect();
        let present: Vec<usize> = (0..self.sums).filter(|sum| sums[0][*sum].is_some()).collect();
        for some in present.chunks(EMITTED) {
            let packs = UInt64Array::from_iter_values(some.iter().map(|sum| (sum / per_pack) as u64));
            let slots = UInt32Array::from_iter_values(some.iter().map(|sum| (sum % per_pack) as u32));
            let mut columns: Vec<ArrayRef> = vec![Arc::new(packs), Arc::new(slots)];
            for sums in &sums {
                let mut bytes = vec![0; some.len() * width];
                for (row, sum) in bytes.chunks_exact_mut(width).zip(some) {
                    let sum =
                        sums[*sum].as_ref().ok_or_else(|| Error::bug("a sum of one derivative alone"))?;
                    self.key.encode_into(sum, row);
                }
                columns.push(Arc::new(FixedSizeBinaryArray::try_new(
                    width as i32,
                    Buffer::from_vec(bytes),
                    None,
                )?));
            }
            out.emit(self.output.batch(columns)?)?;
        }
        Ok(())
    }
}
