//! From ids to salted digests: `psi.digest_ids`; how many there are: `psi.count_digests`; and digests to keys of a bucket.

use std::fmt::{Display, Write};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{Array, ArrayRef, BinaryArray, RecordBatch, UInt64Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, Keeps, MapKernel, PartContext};
use tributary_core::{Error, Field, Result, TableSchema};

use super::okvs::Key;
use super::plan::{Digest128, Plan, Salt};
use crate::kernels::{MaskIdsParams, expect_ids, id_column};

/// Name of the column of digests. The colon keeps it apart from users' columns.
pub const DIGEST: &str = ":digest";

/// 32 bytes, so that with the salt it is one block of SHA-256, which is worked out once, and an id of usual length another.
const ID_DOMAIN: &[u8; 32] = b"tributary/psi/rr22/2/salted ids:";

/// Which ids to hash, and with what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DigestIdsParams {
    /// Where ids are.
    pub ids: MaskIdsParams,
    /// Common to all parties.
    pub salt: Salt,
}

/// Kernel `psi.digest_ids`: adds the digest of each row's id.
///
/// Shape: column [`DIGEST`] is added, 16 bytes in a `Binary`. Ids are as in [`MaskIds`](crate::MaskIds), with the same errors; numbers
/// are hashed as their decimal text.
#[derive(Debug)]
pub struct DigestIds {
    column: usize,
    salted: Sha256,
    output: TableSchema,
}

impl MapKernel for DigestIds {
    type Params = DigestIdsParams;
    const NAME: &'static str = "psi.digest_ids";
    const VERSION: u32 = 2;
    const KEEPS: Keeps = Keeps::Both;

    fn output(params: &DigestIdsParams, input: &TableSchema) -> Result<TableSchema> {
        id_column(&params.ids, input)?;
        let digest = Field::new(DIGEST, DataType::Binary);
        input.with_fields(input.fields().iter().cloned().chain([digest]).collect())
    }

    fn open(params: DigestIdsParams, input: &TableSchema, _: &[Blob]) -> Result<Self> {
        let salted = Sha256::new_with_prefix(ID_DOMAIN).chain_update(params.salt);
        Ok(Self { column: id_column(&params.ids, input)?, salted, output: Self::output(&params, input)? })
    }

    fn map(&self, _: Option<u64>, rows: &RecordBatch) -> Result<RecordBatch> {
        let ids = rows.column(self.column);
        expect_ids(ids)?;
        let digests: BinaryArray = match ids.data_type() {
            DataType::Utf8 => {
                let ids = ids.as_string::<i32>();
                BinaryArray::from_iter_values((0..ids.len()).map(|i| self.digest(ids.value(i).as_bytes())))
            }
            DataType::Binary => {
                let ids = ids.as_binary::<i32>();
                BinaryArray::from_iter_values((0..ids.len()).map(|i| self.digest(ids.value(i))))
            }
            DataType::Int32 => self.numbers::<Int32Type>(ids),
            DataType::Int64 => self.numbers::<Int64Type>(ids),
            DataType::UInt32 => self.numbers::<UInt32Type>(ids),
            DataType::UInt64 => self.numbers::<UInt64Type>(ids),
            other => return Err(Error::bug(format!("a batch has ids of type {other}"))),
        };
        let mut columns = rows.columns().to_vec();
        columns.push(Arc::new(digests));
        self.output.batch(columns)
    }
}

impl DigestIds {
    fn digest(&self, id: &[u8]) -> Digest128 {
        cut(self.salted.clone().chain_update(id))
    }

    fn numbers<T: ArrowPrimitiveType<Native: Display>>(&self, ids: &ArrayRef) -> BinaryArray {
        let mut text = String::new();
        let number = |id: &T::Native| {
            text.clear();
            // Writing into a string cannot fail, and integers display without failing.
            let _infallible = write!(text, "{id}");
            self.digest(text.as_bytes())
        };
        let digests = ids.as_primitive::<T>().values().iter().map(number);
        BinaryArray::from_iter_values(digests)
    }
}

fn cut(digest: Sha256) -> Digest128 {
    let digest: [u8; 32] = digest.finalize().into();
    std::array::from_fn(|i| digest[i])
}

/// Kernel `psi.count_digests`: how many different digests each partition has, of rows in which equal ones are adjacent.
///
/// Shape: column [`DIGEST`] in, column `digests` of `UInt64` out, a row a partition.
#[derive(Debug)]
pub struct CountDigests {
    column: usize,
}

/// Name of the column of [`CountDigests`].
const COUNT: &str = "digests";

impl CountDigests {
    /// Of all partitions.
    pub fn total(counts: &[RecordBatch]) -> u64 {
        counts.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt64Type>().values()).sum()
    }
}

impl FoldKernel for CountDigests {
    type Params = ();
    type State = (u64, Option<Digest128>);
    const NAME: &'static str = "psi.count_digests";

    fn output((): &(), _: &TableSchema) -> Result<TableSchema> {
        TableSchema::new(None, vec![Field::new(COUNT, DataType::UInt64)])
    }

    fn open((): (), input: &TableSchema, _: &[Blob]) -> Result<Self> {
        Ok(Self { column: input.column_index(DIGEST)? })
    }

    fn start(&self, _: PartContext) -> Result<Self::State> {
        Ok((0, None))
    }

    fn fold(&self, (count, last): &mut Self::State, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        for digest in digests(rows, self.column) {
            let digest = digest?;
            *count += u64::from(last.replace(digest) != Some(digest));
        }
        Ok(())
    }

    fn finish(&self, (count, _): Self::State, out: &mut dyn Emit) -> Result<()> {
        let schema = Self::output(&(), &TableSchema::new(None, vec![])?)?;
        out.emit(schema.batch(vec![Arc::new(UInt64Array::from(vec![count]))])?)
    }
}

/// The digests of a batch.
fn digests(rows: &RecordBatch, column: usize) -> impl Iterator<Item = Result<Digest128>> + '_ {
    let digests = rows.column(column).as_binary::<i32>();
    let wrong = |e| Error::invalid("a digest does not have 16 bytes").because(e);
    (0..digests.len()).map(move |i| Digest128::try_from(digests.value(i)).map_err(wrong))
}

/// The keys of a bucket, as its rows come: each digest once, in the order of places.
#[derive(Default)]
pub(crate) struct Keys {
    pub keys: Vec<Key>,
}

impl Keys {
    /// Adds those of a batch; for each of its rows, the number of its key. `Bug` for rows that are not in the order of a bucket.
    pub fn add(&mut self, plan: &Plan, bucket: u32, rows: &RecordBatch, column: usize) -> Result<Vec<u32>> {
        let mut numbers = Vec::with_capacity(rows.num_rows());
        for digest in digests(rows, column) {
            let key = plan.key(&digest?, bucket)?;
            match self.keys.last() {
                Some(last) if *last == key => {}
                Some(last) if last.place > key.place => {
                    return Err(Error::bug(format!(
                        "ids of bucket {bucket} are not in the order of their hashes"
                    )));
                }
                _ => self.keys.push(key),
            }
            numbers.push(self.keys.len() as u32 - 1);
        }
        Ok(numbers)
    }
}
