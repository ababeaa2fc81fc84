//! The host's part: it adds up encrypted labels by bin.
//!
//! Ciphertexts are decoded once a batch and added in place, one product a row and feature; features are the outer loop,
//! so that the sums of one stay in the cache.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{FixedSizeBinaryArray, RecordBatch, UInt64Array};
use arrow_buffer::Buffer;
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, PartContext};
use tributary_core::schema::CipherKeyId;
use tributary_core::{Error, Purpose, Result, TableSchema};
use tributary_paillier::{Additive, Ciphertext, PublicKey, Sums};

use super::{corrupt, public_key, sum_schema};
use crate::cells::{BinColumn, Cells};

/// Rows emitted together: half a megabyte of ciphertexts.
const ROWS: usize = 1_024;

/// Rows of [`sum_schema`] on their way out.
struct Output<'a> {
    key: &'a PublicKey,
    cells: Vec<u64>,
    rows: Vec<u64>,
    sums: Vec<u8>,
}

impl<'a> Output<'a> {
    fn new(key: &'a PublicKey) -> Self {
        Self { key, cells: Vec::new(), rows: Vec::new(), sums: Vec::new() }
    }

    fn push(&mut self, cell: u64, rows: u64, sum: &Ciphertext, out: &mut dyn Emit) -> Result<()> {
        let start = self.sums.len();
        self.sums.resize(start + self.key.row_bytes(), 0);
        self.key.encode_into(sum, &mut self.sums[start..]);
        self.cells.push(cell);
        self.rows.push(rows);
        if self.cells.len() == ROWS { self.emit(out) } else { Ok(()) }
    }

    fn emit(&mut self, out: &mut dyn Emit) -> Result<()> {
        let sums = Buffer::from_vec(std::mem::take(&mut self.sums));
        out.emit(sum_schema(self.key)?.batch(vec![
            Arc::new(UInt64Array::from(std::mem::take(&mut self.cells))),
            Arc::new(UInt64Array::from(std::mem::take(&mut self.rows))),
            Arc::new(FixedSizeBinaryArray::try_new(self.key.row_bytes() as i32, sums, None)?),
        ])?)
    }
}

pub(super) fn decode(key: &PublicKey, column: &FixedSizeBinaryArray) -> Result<Vec<Ciphertext>> {
    key.decode_rows(column.value_data()).map_err(|e| corrupt("encrypted labels are not usable", e))
}

/// Parameters of [`SumEncrypted`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SumParams {
    /// Columns of bin numbers. A feature's number is its place here.
    pub columns: Vec<BinColumn>,
    /// The column of encrypted labels.
    pub label: String,
    /// The key they are under.
    pub public_key: Vec<u8>,
}

/// Kernel `binning.sum_encrypted`: a partition becomes one row for each cell that occurs.
///
/// Shape: [`sum_schema`]. Errors: `Corrupt` for bytes that are no ciphertext under the key. Cost: a product modulo n² for
/// each row and feature.
#[derive(Debug)]
pub struct SumEncrypted {
    cells: Cells,
    label: usize,
    key: PublicKey,
}

/// What a partition gathers.
pub struct PartSums {
    rows: Vec<u64>,
    sums: Sums<PublicKey>,
}

impl FoldKernel for SumEncrypted {
    type Params = SumParams;
    type State = PartSums;
    const NAME: &'static str = "binning.sum_encrypted";

    fn output(params: &SumParams, input: &TableSchema) -> Result<TableSchema> {
        let key = public_key(&params.public_key)?;
        Cells::open(&params.columns, input)?;
        input.column_index(&params.label)?;
        let expected = Purpose::Ciphertext(CipherKeyId(key.id().as_str().into()));
        let width = DataType::FixedSizeBinary(key.row_bytes() as i32);
        let fits = |f: &&tributary_core::Field| f.data_type == width && f.purpose == expected && !f.nullable;
        match input.field(&params.label).filter(fits) {
            Some(_) => sum_schema(&key),
            None => Err(Error::invalid(format!(
                "column {:?} has no ciphertexts under key {:?}",
                params.label,
                key.id()
            ))),
        }
    }

    fn open(params: SumParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self {
            cells: Cells::open(&params.columns, input)?,
            label: input.column_index(&params.label)?,
            key: public_key(&params.public_key)?,
        })
    }

    fn start(&self, _: PartContext) -> Result<PartSums> {
        let cells = self.cells.len();
        Ok(PartSums { rows: vec![0; cells], sums: Sums::new(self.key.clone(), cells) })
    }

    fn fold(&self, state: &mut PartSums, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        let labels = decode(&self.key, rows.column(self.label).as_fixed_size_binary())?;
        for feature in self.cells.bins(rows) {
            let (cells, bins) = feature?;
            for (bin, label) in bins.iter().zip(&labels) {
                let cell = cells.start + usize::from(*bin);
                state.rows[cell] += 1;
                state.sums.add(cell, label);
            }
        }
        Ok(())
    }

    fn finish(&self, state: PartSums, out: &mut dyn Emit) -> Result<()> {
        let mut output = Output::new(&self.key);
        let cells = self.cells.keys().zip(state.rows).zip(state.sums.into_inner());
        for ((cell, rows), sum) in cells.filter(|((_, rows), _)| *rows > 0) {
            output.push(cell, rows, &sum, out)?;
        }
        output.emit(out)
    }
}

/// Parameters of [`AddEncrypted`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddParams {
    /// The key that sums are under.
    pub public_key: Vec<u8>,
}

/// Kernel `binning.add_encrypted`: rows of one cell, which are adjacent, become one.
///
/// Shape: [`sum_schema`] stays. Its result may not leave: only [`PackSums`](super::PackSums) blinds.
#[derive(Debug)]
pub struct AddEncrypted {
    key: PublicKey,
}

/// The cell being added up.
#[derive(Default)]
pub struct Adding(Option<(u64, u64, Ciphertext)>);

impl AddEncrypted {
    fn close(&self, adding: &mut Adding, output: &mut Output<'_>, out: &mut dyn Emit) -> Result<()> {
        let Some((cell, rows, sum)) = adding.0.take() else { return Ok(()) };
        output.push(cell, rows, &sum, out)
    }
}

impl FoldKernel for AddEncrypted {
    type Params = AddParams;
    type State = Adding;
    const NAME: &'static str = "binning.add_encrypted";
    const VERSION: u32 = 2;
    const KEEPS: Keeps = Keeps::Groups;

    fn output(params: &AddParams, input: &TableSchema) -> Result<TableSchema> {
        let expected = sum_schema(&public_key(&params.public_key)?)?;
        if *input != expected {
            return Err(Error::invalid(format!("adding up {input:?}, expected {expected:?} under this key")));
        }
        Ok(expected)
    }

    fn open(params: AddParams, _: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self { key: public_key(&params.public_key)? })
    }

    fn start(&self, _: PartContext) -> Result<Adding> {
        Ok(Adding::default())
    }

    fn fold(&self, adding: &mut Adding, rows: &RecordBatch, out: &mut dyn Emit) -> Result<()> {
        let [cells, counts] = [0, 1].map(|i| rows.column(i).as_primitive::<UInt64Type>().values());
        let sums = decode(&self.key, rows.column(2).as_fixed_size_binary())?;
        let mut output = Output::new(&self.key);
        for ((cell, count), sum) in cells.iter().zip(counts).zip(sums) {
            match &mut adding.0 {
                Some((current, rows, total)) if current == cell => {
                    *rows += count;
                    self.key.add(total, &sum);
                }
                _ => {
                    self.close(adding, &mut output, out)?;
                    adding.0 = Some((*cell, *count, sum));
                }
            }
        }
        output.emit(out)
    }

    fn finish(&self, mut adding: Adding, out: &mut dyn Emit) -> Result<()> {
        let mut output = Output::new(&self.key);
        self.close(&mut adding, &mut output, out)?;
        output.emit(out)
    }
}
