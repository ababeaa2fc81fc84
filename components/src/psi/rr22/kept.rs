//! What an attempt leaves, so that another goes on after the last buckets that were compared.
//!
//! The guest keeps which of its rows are common so far, by number within their bucket, and their places at each host; a host
//! only the key of the order it answers in, from which places follow. With the same salt rows are in the same buckets, in the
//! same order. An attempt goes on if all parties have what one earlier attempt left, and the same numbers of rows.

use std::ops::Range;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tributary_component::release::Source;
use tributary_component::task::Task;
use tributary_core::computing::Blob;
use tributary_core::kernel::KernelCall;
use tributary_core::{Error, Party, Result, Table};
use tributary_psi::rr22::{Restore, RestoreParams, Salt, order_key};
use zeroize::{Zeroize, Zeroizing};

use super::guest::{ROW, place_of};
use super::{Bucketed, keep_round, put, rounds, with_blobs};
use crate::psi::choice::Agreed;

/// Raised with every change of what is kept, and of what it means.
const VERSION: u32 = 2;

/// Keeping takes at most this part of the time.
const SHARE: u32 = 20;

/// What an attempt left.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    version: u32,
    /// The attempt's salt.
    pub salt: Salt,
    /// Its buckets.
    pub buckets: u32,
    /// How many of them were compared; at a host, what the guest says.
    pub done: u32,
    /// Of this party.
    rows: u64,
    /// Where its rows are from, and what they were.
    sources: Vec<Source>,
    /// At the guest: of each host.
    pub held: Vec<u64>,
    /// At the guest: of each bucket that was compared, for each common row its number and its places, as numbers of eight bytes.
    found: Vec<Vec<u8>>,
    /// At a host: the key of its order.
    order: Vec<u8>,
}

impl Kept {
    /// What an earlier attempt at this task left, if it is of the same rows.
    pub(crate) fn of(task: &Task, rows: u64) -> Option<Self> {
        let (kept, rest) = postcard::take_from_bytes::<Self>(task.checkpoint.as_ref()?).ok()?;
        let same = kept.rows == rows && kept.sources == sources(task);
        let whole = rest.is_empty() && kept.version == VERSION && same;
        (whole && kept.found.len() == kept.done as usize).then_some(kept)
    }

    /// At a host: with what the guest says.
    pub(crate) fn after(mut self, done: u32) -> Self {
        self.done = done;
        self
    }

    fn new(task: &Task, agreed: &Agreed, rows: u64) -> Self {
        let Agreed { salt, buckets, ref held, .. } = *agreed;
        let (held, sources, found, order) = (held.clone(), sources(task), Vec::new(), Vec::new());
        Self { version: VERSION, salt, buckets, done: 0, rows, sources, held, found, order }
    }

    fn write(&self, task: &Task) -> Result<()> {
        let bytes = postcard::to_stdvec(self).map_err(|e| Error::bug("encode a checkpoint").because(e))?;
        task.progress.checkpoint(&Zeroizing::new(bytes))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.order.zeroize();
    }
}

fn sources(task: &Task) -> Vec<Source> {
    task.releases.sources.get("input_data").cloned().unwrap_or_default()
}

/// The key of a host's order: that of the attempt that goes on, or a new one, which is kept before it is used.
pub(super) fn order(task: &Task, own: &Bucketed, agreed: &Agreed) -> Result<Blob> {
    if let Some(kept) = &agreed.kept {
        return Ok(Blob::secret(kept.order.clone()));
    }
    let (key, mut kept) = (order_key()?, Kept::new(task, agreed, own.all_rows()));
    kept.order = key.bytes().to_vec();
    kept.write(task)?;
    Ok(key)
}

/// What the guest keeps as it goes on.
pub(super) struct Keeping {
    kept: Kept,
    last: Instant,
    took: Duration,
}

impl Keeping {
    /// From where an earlier attempt ended, or from the start.
    pub(super) fn of(task: &Task, own: &Bucketed, agreed: &Agreed) -> Self {
        let kept = agreed.kept.clone().unwrap_or_else(|| Kept::new(task, agreed, own.all_rows()));
        Self { kept, last: Instant::now(), took: Duration::ZERO }
    }

    /// Buckets that are done.
    pub(super) fn done(&self) -> u32 {
        self.kept.done
    }

    /// The common rows that were found before, some buckets at a time.
    pub(super) async fn rows(
        &self,
        task: &Task,
        own: &Bucketed,
        hosts: &[Party],
        agreed: &Agreed,
    ) -> Result<Vec<(Range<u32>, Table)>> {
        let mut tables = Vec::new();
        let places: Vec<String> = hosts.iter().map(place_of).collect();
        for round in rounds(agreed, 0..self.kept.done) {
            let found = &self.kept.found[round.start as usize..round.end as usize];
            let blobs: Vec<Blob> = found.iter().map(|found| Blob::Plain(found.clone().into())).collect();
            let blobs = put(task, blobs).await?;
            let params = RestoreParams { buckets: round.clone(), row: ROW.into(), places: places.clone() };
            let call = with_blobs(KernelCall::fold::<Restore>(&params)?, blobs);
            let rows = keep_round(&own.rows(&round)?.map(call)?, &round).await?;
            tables.push((round, rows));
        }
        Ok(tables)
    }

    /// Adds what a round found, and hands it over unless that was done just before.
    pub(super) async fn add(
        &mut self,
        task: &Task,
        round: &Range<u32>,
        found: &Table,
        hosts: &[Party],
    ) -> Result<()> {
        if round.end == self.kept.buckets {
            return Ok(());
        }
        self.gather(round, found, hosts).await?;
        self.kept.done = round.end;
        if self.last.elapsed() >= self.took * SHARE {
            let began = Instant::now();
            self.kept.write(task)?;
            (self.took, self.last) = (began.elapsed(), Instant::now());
        }
        Ok(())
    }

    async fn gather(&mut self, round: &Range<u32>, found: &Table, hosts: &[Party]) -> Result<()> {
        let columns = std::iter::once(ROW.to_string()).chain(hosts.iter().map(place_of));
        let mut rows = found.select(columns)?.drop_key()?.read().await?;
        let first = self.kept.found.len();
        self.kept.found.resize(first + round.len(), Vec::new());
        while let Some(batch) = rows.try_next().await? {
            let columns: Vec<&[u64]> = batch
                .columns()
                .iter()
                .map(|column| &column.as_primitive::<UInt64Type>().values()[..])
                .collect();
            for row in 0..batch.num_rows() {
                // The number of a row has its bucket in its upper half.
                let bucket = (columns[0][row] >> 32) as usize;
                let to =
                    self.kept.found.get_mut(bucket).ok_or_else(|| Error::bug("a row of another bucket"))?;
                columns.iter().for_each(|column| to.extend_from_slice(&column[row].to_le_bytes()));
            }
        }
        Ok(())
    }
}
