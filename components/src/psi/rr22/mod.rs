//! `rr22`: vector oblivious linear evaluation (see [`tributary_psi::rr22`]).
//!
//! Each party sorts its rows into buckets by a salted digest of their ids, once, with all their columns; from then on a bucket
//! is a partition and everything about it is done where it is. Some buckets at a time go through the protocol, as many as
//! cores work at once, so memory does not grow with the number of rows.
//!
//! ```text
//! guest                                      host h
//! offer, number of different ids   ──▶       may they be looked up?
//!                                  ◀──       choices
//! opening                          ──▶
//!                                  ◀──       setup
//! for each round of buckets
//!   wishes                         ──▶
//!                                  ◀──       seeds
//!   asked                          ──▶
//!                                  ◀──       answers
//! when all are done, and enough rows are common
//!   host_rows, for each round      ──▶
//! ```

pub(crate) mod chosen;
mod guest;
mod host;
mod kept;

use std::ops::Range;
use std::time::Instant;

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tributary_component::task::Task;
use tributary_core::computing::{Blob, BlobRef, RowStream};
use tributary_core::federation::{Body, FederationExt, Message, Slot};
use tributary_core::kernel::KernelCall;
use tributary_core::layout::RowRanges;
use tributary_core::schema::Purpose;
use tributary_core::{Error, ErrorKind, Layout, Party, Result, Table};
use tributary_psi::MaskIdsParams;
use tributary_psi::rr22::{CountDigests, DIGEST, DigestIds, DigestIdsParams, Pieces, sent_schema};

pub(super) use kept::Kept;

use super::choice::Agreed;

/// Partitions of a round's table up to which they stay as they are.
const MOST_PARTITIONS: u32 = 128;

/// The common rows of the input, in their final order.
pub(super) async fn run(task: &Task, input: &Table, agreed: &Agreed) -> Result<Table> {
    let rounds = match task.is_guest() {
        true => guest::run(task, &Bucketed::of(task, input, agreed).await?, agreed).await?,
        false => host::run(task, input, agreed).await?,
    };
    let columns: Vec<String> = input.schema().fields().iter().map(|field| field.name.clone()).collect();
    Table::concat(&rounds)?.select(columns)?.repartition(task.partitions())?.keep_rows().await
}

/// A party's rows, a bucket a partition, in the order of their digests' hashes.
struct Bucketed {
    /// All columns of the input, and [`DIGEST`].
    table: Table,
    ranges: RowRanges,
    /// Number of different ids.
    count: u64,
}

impl Bucketed {
    async fn of(task: &Task, input: &Table, agreed: &Agreed) -> Result<Self> {
        let key = input.schema().expect_key("an intersection")?.name.clone();
        let column = input.schema().with_purpose(&Purpose::MatchId).map(|field| field.name.clone());
        let params = DigestIdsParams { ids: MaskIdsParams { column }, salt: agreed.salt };
        let digested = input.map(KernelCall::map::<DigestIds>(&params)?)?.rekey(DIGEST, Some(&key))?;
        let sorted = match task.is_guest() {
            true => digested.gather_by_key(agreed.buckets)?,
            false => digested.keyed(agreed.buckets)?,
        };
        // No longer by key, so that equal ones may stay next to each other.
        let table = sorted.rekey(&key, Some(DIGEST))?.keep().await.map_err(|e| match task.is_guest() {
            true => e,
            false => e.at(super::HOSTS_IDS_ARE_UNIQUE),
        })?;
        let ranges = match table.keep_rows().await?.layout() {
            Layout::Rows(ranges) => ranges.clone(),
            other => return Err(Error::bug(format!("rows in {other:?}"))),
        };
        let count = match task.is_guest() {
            true => {
                let digests = table.select([DIGEST])?.map(KernelCall::fold::<CountDigests>(&())?)?;
                CountDigests::total(&digests.collect().await?)
            }
            false => table.count().await?,
        };
        Ok(Self { table, ranges, count })
    }

    /// Number of rows.
    fn all_rows(&self) -> u64 {
        self.ranges.all().end
    }

    /// The rows of some buckets, where they are.
    fn rows(&self, buckets: &Range<u32>) -> Result<Table> {
        let last = buckets.end.checked_sub(1).ok_or_else(|| Error::bug("a round without buckets"))?;
        self.table.rows(self.ranges.range(buckets.start).start..self.ranges.range(last).end)
    }
}

/// Some buckets, as many as are worked on together.
fn rounds(agreed: &Agreed, buckets: Range<u32>) -> impl Iterator<Item = Range<u32>> + use<> {
    let at_once = agreed.at_once.max(1);
    buckets.clone().step_by(at_once as usize).map(move |first| first..buckets.end.min(first + at_once))
}

/// What a round gives, held. Its other partitions are empty, and many rounds would have too many of them.
async fn keep_round(rows: &Table, round: &Range<u32>) -> Result<Table> {
    match rows.partitions() {
        ..=MOST_PARTITIONS => rows.keep().await,
        _ => rows.repartition(round.len() as u32)?.keep().await,
    }
}

/// The number of the guest's different ids, and its offer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Offered {
    pub asked: u64,
    pub offer: Vec<u8>,
}

impl Message for Offered {
    const NAME: &'static str = "psi.offered";
}

/// Any of the messages about seeds.
#[derive(Serialize, Deserialize)]
pub(crate) struct Seeds(pub Vec<u8>);

impl Message for Seeds {
    const NAME: &'static str = "psi.seeds";
    /// Those of a round of the most buckets, of the largest size.
    const MAX_BYTES: usize = 12 << 20;
}

async fn push_seeds(task: &Task, slot: &Slot, to: &Party, bytes: Vec<u8>) -> Result<()> {
    task.federation.push_message(slot, std::slice::from_ref(to), &Seeds(bytes)).await
}

async fn pull_seeds(task: &Task, slot: &Slot, from: &Party) -> Result<Vec<u8>> {
    Ok(task.federation.pull_message::<Seeds>(slot, from).await?.0)
}

/// A slot of a round.
fn slot(name: &str, round: &Range<u32>) -> Slot {
    Slot::new(name).tagged(format!("bucket.{}", round.start))
}

/// What a peer sent about some buckets: so many bytes about each.
async fn pull_parts(
    task: &Task,
    slot: &Slot,
    from: &Party,
    parts: usize,
    bytes: usize,
) -> Result<Vec<Vec<u8>>> {
    let mut rows = pull_pieces(task, slot, from).await?;
    let mut pieces = Pieces::of(parts, bytes);
    while let Some(batch) = rows.try_next().await? {
        pieces.add(&batch).map_err(|e| e.at(format!("what {from} sent in slot {slot}")))?;
    }
    pieces.finish().map_err(|e| e.at(format!("what {from} sent in slot {slot}")))
}

/// Pieces that a peer sends.
async fn pull_pieces(task: &Task, slot: &Slot, from: &Party) -> Result<RowStream> {
    match task.federation.pull(slot, from).await? {
        Body::Table(body) if body.schema == sent_schema()? => body.source.open().await,
        other => {
            let text = format!("{from} sent a {other:?} in slot {slot}, expected pieces");
            Err(Error::new(ErrorKind::Corrupt, text))
        }
    }
}

/// Holds kernel parameters.
async fn put(task: &Task, blobs: impl IntoIterator<Item = Blob>) -> Result<Vec<BlobRef>> {
    let mut held = Vec::new();
    for blob in blobs {
        held.push(task.computing.put_blob(blob).await?);
    }
    Ok(held)
}

fn with_blobs(call: KernelCall, blobs: Vec<BlobRef>) -> KernelCall {
    blobs.into_iter().fold(call, KernelCall::with_blob)
}

/// Reports how far the task is.
struct Pace {
    began: Instant,
    ids: u64,
    from: u32,
    buckets: u32,
}

impl Pace {
    fn new(ids: u64, from: u32, buckets: u32) -> Self {
        Self { began: Instant::now(), ids, from, buckets }
    }

    /// After a round. `bytes`: that went either way about one bucket.
    fn done(&self, task: &Task, round: &Range<u32>, bytes: usize) {
        let (done, all, now) = (u64::from(round.end), u64::from(self.buckets), round.end - self.from);
        let left = self.began.elapsed().mul_f64((all - done) as f64 / f64::from(now));
        let mib = (u64::from(now) * bytes as u64) as f64 / f64::from(1 << 20);
        let ids = self.ids * done / all;
        let rest = if done < all {
            format!(", about {:.0} s left", left.as_secs_f64().ceil())
        } else {
            String::new()
        };
        task.note(format!("{ids} of {} ids compared, {mib:.1} MiB exchanged{rest}", self.ids));
    }
}
