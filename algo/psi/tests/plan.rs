//! The protocol as plans on an engine: a host's points leave in their own order, and rows are found again.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, StringArray};
use futures::executor::block_on;
use tributary_core::computing::{BlobKind, Computing, Engine, SessionSpec};
use tributary_core::kernel::KernelCall;
use tributary_core::storage::Nowhere;
use tributary_core::{KeyType, Layout, Result, SessionId, Table, TableSchema, ops};
use tributary_psi::{MaskIds, MaskIdsParams, MaskPoints, POINT, PointsOfKeys, Secret, kernels};
use tributary_standalone::Standalone;

struct Party {
    session: Arc<dyn Computing>,
    ids: Table,
    secret: Secret,
}

impl Party {
    async fn new(ids: &[String], partitions: u32) -> Result<Self> {
        let engine = Standalone::new(ops::kernels().and(kernels()), Arc::new(Nowhere));
        let placement = engine.place(&Default::default())?;
        let id = "test.psi.0".parse::<SessionId>()?;
        let session = engine.open(SessionSpec { id, placement, memory_bytes: 1 << 26 }).await?;
        let schema = TableSchema::keyed("id", KeyType::Utf8, vec![])?;
        let rows = schema.batch(vec![Arc::new(StringArray::from(ids.to_vec()))])?;
        let ids = Table::parallelize(&session, &schema, vec![rows], Layout::Loose(partitions)).await?;
        Ok(Self { ids: ids.keep_rows().await?, session, secret: Secret::random()? })
    }

    async fn masking(&self, call: KernelCall) -> Result<KernelCall> {
        Ok(call.with_blob(self.session.put_blob(self.secret.to_blob(), BlobKind::Secret).await?))
    }

    async fn mask_ids(&self) -> Result<Table> {
        self.ids.map(self.masking(KernelCall::map::<MaskIds>(&MaskIdsParams::default())?).await?)
    }

    /// What a peer sent, masked: laid out here as the peer had it.
    async fn mask(&self, sent: &Table) -> Result<Table> {
        let rows = sent.collect().await?;
        let here = Table::parallelize(&self.session, sent.schema(), rows, sent.layout().clone()).await?;
        here.map(self.masking(KernelCall::map::<MaskPoints>(&())?).await?)
    }
}

async fn numbers(table: &Table, column: &str) -> Result<Vec<u64>> {
    let index = table.schema().column_index(column)?;
    let rows = table.collect().await?;
    Ok(rows.iter().flat_map(|b| b.column(index).as_primitive::<UInt64Type>().values().to_vec()).collect())
}

/// Pairs of (guest's row, host's row), found by the guest, who sees the host's rows only in the order of their points.
async fn pairs(guest: &Party, host: &Party) -> Result<BTreeSet<(u64, u64)>> {
    let shuffled = host.mask_ids().await?.keep_rows().await?.number_rows("own")?.rekey(POINT, None)?;
    let shuffled = shuffled.keyed(3)?.keep_rows().await?;
    let to_guest = shuffled.map(KernelCall::map::<PointsOfKeys>(&PointsOfKeys)?)?;
    let to_host = guest.mask_ids().await?.keep_rows().await?;

    let other = guest.mask(&to_guest).await?.number_rows("host")?.rekey(POINT, None)?;
    let back = host.mask(&to_host).await?.keep_rows().await?;
    let back =
        Table::parallelize(&guest.session, back.schema(), back.collect().await?, back.layout().clone());
    let own = back.await?.number_rows("guest")?.rekey(POINT, None)?;
    let matched = own.join(&other)?.keep().await?;

    let own_of_sent = numbers(&shuffled, "own").await?;
    let (rows, sent) = (numbers(&matched, "guest").await?, numbers(&matched, "host").await?);
    Ok(rows.into_iter().zip(sent.iter().map(|i| own_of_sent[*i as usize])).collect())
}

#[test]
fn the_guest_finds_all_pairs_and_not_the_host_s_order() -> Result<()> {
    let ids = |range: std::ops::Range<u32>| range.map(|i| format!("{i:04}")).collect::<Vec<_>>();
    for partitions in [1, 2, 7] {
        let (guest, host) =
            (block_on(Party::new(&ids(0..120), partitions))?, block_on(Party::new(&ids(80..300), 2))?);
        let expected: BTreeSet<(u64, u64)> = (80..120).map(|i| (i, i - 80)).collect();
        assert_eq!(block_on(pairs(&guest, &host))?, expected);
    }
    let host = block_on(Party::new(&ids(0..100), 2))?;
    let shuffled = block_on(host.mask_ids())?;
    let shuffled = block_on(shuffled.keep_rows())?.number_rows("own")?.rekey(POINT, None)?.keyed(2)?;
    assert!(!block_on(numbers(&shuffled, "own"))?.is_sorted());
    Ok(())
}

#[test]
fn an_id_twice_is_found_before_anything_leaves() -> Result<()> {
    let host = block_on(Party::new(&["a", "b", "a"].map(String::from), 1))?;
    let keyed = block_on(host.mask_ids())?.rekey(POINT, None)?.keyed(1)?;
    assert!(block_on(keyed.keep()).is_err());
    Ok(())
}

#[test]
fn keys_that_are_no_points_are_refused() -> Result<()> {
    let host = block_on(Party::new(&["a".into()], 1))?;
    assert!(host.ids.map(KernelCall::map::<PointsOfKeys>(&PointsOfKeys)?).is_err());
    let bytes: ArrayRef = Arc::new(arrow_array::BinaryArray::from(vec![&[1u8; 31][..]]));
    let schema = TableSchema::keyed(POINT, KeyType::Binary, vec![])?;
    let rows = vec![schema.batch(vec![bytes])?];
    let short = block_on(Table::parallelize(&host.session, &schema, rows, Layout::Loose(1)))?;
    assert!(block_on(short.map(KernelCall::map::<PointsOfKeys>(&PointsOfKeys)?)?.collect()).is_err());
    Ok(())
}
