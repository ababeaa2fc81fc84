//! The kernels that make what is sent: `psi.ask` and `psi.answer`. They work on some buckets of a table and leave the others.
//!
//! A bucket is a partition, and its rows are those that an exchange by [`DIGEST`] brings there, in that order. What is made of
//! a bucket comes in pieces, so that no row is large.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{Array, BinaryArray, RecordBatch, UInt32Array};
use arrow_schema::DataType;
use serde::{Deserialize, Serialize};
use tributary_core::computing::Blob;
use tributary_core::kernel::{Emit, FoldKernel, PartContext};
use tributary_core::{Error, ErrorKind, Field, Result, TableSchema};
use tributary_vole::{ReceiverSeed, SenderSeed};

use super::bucket::{self, Order};
use super::digests::{DIGEST, Keys};
use super::plan::Plan;

/// Bytes of a piece, at most.
const PIECE_BYTES: usize = 1 << 20;

/// Column of pieces of what is sent to the peer.
pub const SENT: &str = "sent";

/// Column of pieces of an asking party's own tags.
pub const TAGS: &str = "tags";

/// Column of the bucket of a piece.
pub const BUCKET: &str = "bucket";

/// The columns that are sent: [`SENT`], and no key.
pub fn sent_schema() -> Result<TableSchema> {
    TableSchema::new(None, vec![Field::new(SENT, DataType::Binary)])
}

fn made_schema() -> Result<TableSchema> {
    let column = |name| Field::new(name, DataType::Binary);
    TableSchema::new(None, vec![Field::new(BUCKET, DataType::UInt32), column(SENT), column(TAGS)])
}

/// Which buckets to work on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BucketsParams {
    /// What was agreed.
    pub plan: Plan,
    /// The buckets.
    pub buckets: Range<u32>,
}

/// One bucket's keys so far; nothing for a bucket that is left alone.
pub struct Gathering(Option<(u32, Keys)>);

impl BucketsParams {
    fn start(&self, part: PartContext) -> Result<Gathering> {
        if part.partitions != self.plan.buckets {
            let text = format!("{} partitions for {} buckets", part.partitions, self.plan.buckets);
            return Err(Error::bug(text));
        }
        let wanted = self.buckets.contains(&part.partition);
        Ok(Gathering(wanted.then(|| (part.partition, Keys::default()))))
    }

    fn add(&self, to: &mut Gathering, rows: &RecordBatch, column: usize) -> Result<()> {
        match &mut to.0 {
            Some((bucket, keys)) => keys.add(&self.plan, *bucket, rows, column).map(drop),
            None => Ok(()),
        }
    }

    /// The secret parameters that belong to each bucket. `InvalidInput` unless there are `each` for every bucket.
    fn own<'a>(&self, blobs: &'a [Blob], each: usize, bucket: u32) -> Result<&'a [Blob]> {
        let at = (bucket - self.buckets.start) as usize * each;
        blobs.get(at..at + each).ok_or_else(|| {
            Error::invalid(format!(
                "{} blobs for {} buckets, expected {each} each",
                blobs.len(),
                self.buckets.len()
            ))
        })
    }
}

/// Kernel `psi.ask`. Its blobs are a seed of [`Asking`](super::Asking) for each bucket.
///
/// Shape: column [`DIGEST`] in; pieces of what is sent and of the bucket's own tags out, the other column empty in each row.
/// Cost: half a microsecond an id.
pub struct Ask {
    params: BucketsParams,
    column: usize,
    seeds: Vec<Blob>,
}

impl FoldKernel for Ask {
    type Params = BucketsParams;
    type State = Gathering;
    const NAME: &'static str = "psi.ask";

    fn output(_: &BucketsParams, input: &TableSchema) -> Result<TableSchema> {
        input.column_index(DIGEST)?;
        made_schema()
    }

    fn open(params: BucketsParams, input: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        params.plan.check()?;
        Ok(Self { params, column: input.column_index(DIGEST)?, seeds: blobs.to_vec() })
    }

    fn start(&self, part: PartContext) -> Result<Gathering> {
        self.params.start(part)
    }

    fn fold(&self, to: &mut Gathering, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        self.params.add(to, rows, self.column)
    }

    fn finish(&self, gathered: Gathering, out: &mut dyn Emit) -> Result<()> {
        let Some((bucket, keys)) = gathered.0 else { return Ok(()) };
        let seed = match self.params.own(&self.seeds, 1, bucket)? {
            [seed] => ReceiverSeed::from_bytes(seed.bytes())?,
            _ => return Err(Error::bug("no seed")),
        };
        let asked = bucket::ask(&self.params.plan, bucket, &seed, &keys.keys)?;
        emit(out, bucket, &asked.message, true)?;
        emit(out, bucket, &asked.tags, false)
    }
}

/// Kernel `psi.answer`. Its blobs are the secret key of [the order](super::order_key), and for each bucket a seed of
/// [`Answering`](super::Answering) and what was asked.
///
/// Shape: column [`DIGEST`] in, pieces of what is sent out. Errors: `Corrupt` for what no honest party asks. Cost: half a
/// microsecond an id of either side.
pub struct Answer {
    params: BucketsParams,
    column: usize,
    order: Order,
    blobs: Vec<Blob>,
}

impl FoldKernel for Answer {
    type Params = BucketsParams;
    type State = Gathering;
    const NAME: &'static str = "psi.answer";
    const VERSION: u32 = 2;

    fn output(_: &BucketsParams, input: &TableSchema) -> Result<TableSchema> {
        input.column_index(DIGEST)?;
        made_schema()
    }

    fn open(params: BucketsParams, input: &TableSchema, blobs: &[Blob]) -> Result<Self> {
        params.plan.check()?;
        let (order, blobs) = order(blobs)?;
        Ok(Self { params, column: input.column_index(DIGEST)?, order, blobs: blobs.to_vec() })
    }

    fn start(&self, part: PartContext) -> Result<Gathering> {
        self.params.start(part)
    }

    fn fold(&self, to: &mut Gathering, rows: &RecordBatch, _: &mut dyn Emit) -> Result<()> {
        self.params.add(to, rows, self.column)
    }

    fn finish(&self, gathered: Gathering, out: &mut dyn Emit) -> Result<()> {
        let Some((bucket, keys)) = gathered.0 else { return Ok(()) };
        let (seed, asked) = match self.params.own(&self.blobs, 2, bucket)? {
            [seed, asked] => (SenderSeed::from_bytes(seed.bytes())?, asked),
            _ => return Err(Error::bug("no seed")),
        };
        let tags = bucket::answer(&self.params.plan, bucket, &seed, &self.order, &keys.keys, asked.bytes())?;
        emit(out, bucket, &tags, true)
    }
}

/// The order of the first blob, and the others.
pub(crate) fn order(blobs: &[Blob]) -> Result<(Order, &[Blob])> {
    let wrong = || Error::invalid("the key of the order is not 16 secret bytes");
    let (key, rest) = blobs.split_first().ok_or_else(wrong)?;
    let key: [u8; 16] = key.bytes().try_into().map_err(|_| wrong())?;
    Ok((Order::new(u128::from_le_bytes(key)), rest))
}

fn emit(out: &mut dyn Emit, bucket: u32, bytes: &[u8], sent: bool) -> Result<()> {
    let empty: &[u8] = &[];
    for piece in bytes.chunks(PIECE_BYTES) {
        let (first, second) = if sent { (piece, empty) } else { (empty, piece) };
        let column = |bytes| Arc::new(BinaryArray::from_iter_values([bytes]));
        let bucket = Arc::new(UInt32Array::from(vec![bucket]));
        out.emit(made_schema()?.batch(vec![bucket, column(first), column(second)])?)?;
    }
    Ok(())
}

/// Bytes in pieces, as rows of [`sent_schema`].
pub fn sent(bytes: &[u8]) -> Result<Vec<RecordBatch>> {
    let piece = |piece| sent_schema()?.batch(vec![Arc::new(BinaryArray::from_iter_values([piece]))]);
    bytes.chunks(PIECE_BYTES).map(piece).collect()
}

/// The own tags of each bucket, from what [`Ask`] gave.
pub fn own_tags(buckets: Range<u32>, made: &[RecordBatch]) -> Result<Vec<Vec<u8>>> {
    let mut tags = vec![Vec::new(); buckets.len()];
    for rows in made {
        let numbers = rows.column(0).as_primitive::<UInt32Type>().values();
        let pieces = rows.column(rows.num_columns() - 1).as_binary::<i32>();
        for (row, bucket) in numbers.iter().enumerate() {
            let of = bucket.checked_sub(buckets.start).and_then(|at| tags.get_mut(at as usize));
            of.ok_or_else(|| Error::bug("tags of another bucket"))?.extend_from_slice(pieces.value(row));
        }
    }
    Ok(tags)
}

/// Takes pieces that a peer sent, in order, and cuts them into equal parts, one a bucket.
pub struct Pieces {
    bytes: Vec<u8>,
    part: usize,
    parts: usize,
}

impl Pieces {
    /// Of so many parts, each of so many bytes.
    pub fn of(parts: usize, part: usize) -> Self {
        Self { bytes: Vec::new(), part, parts }
    }

    /// Takes a batch of [`sent_schema`]. `Corrupt` for more bytes than expected.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<()> {
        let pieces = rows.column(0).as_binary::<i32>();
        let more: usize = pieces.value_offsets().windows(2).map(|ends| (ends[1] - ends[0]) as usize).sum();
        if self.bytes.len() + more > self.parts * self.part {
            return Err(self.wrong(self.bytes.len() + more));
        }
        (0..pieces.len()).for_each(|row| self.bytes.extend_from_slice(pieces.value(row)));
        Ok(())
    }

    /// The parts. `Corrupt` for fewer bytes than expected.
    pub fn finish(self) -> Result<Vec<Vec<u8>>> {
        if self.bytes.len() != self.parts * self.part {
            return Err(self.wrong(self.bytes.len()));
        }
        match self.part {
            0 => Ok(vec![Vec::new(); self.parts]),
            part => Ok(self.bytes.chunks_exact(part).map(<[u8]>::to_vec).collect()),
        }
    }

    fn wrong(&self, came: usize) -> Error {
        let text = format!("{came} bytes or more for {} buckets, expected {} each", self.parts, self.part);
        Error::new(ErrorKind::Corrupt, text)
    }
}
