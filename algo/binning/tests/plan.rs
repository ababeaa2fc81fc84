//! The kernels as plans on an engine: layouts, exchanges and fresh randomness fit together.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array};
use arrow_schema::DataType;
use futures::executor::block_on;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use tributary_binning::encrypted::{
    AddEncrypted, AddParams, DecryptCounts, DecryptParams, EncryptLabels, EncryptParams, LABEL, PackParams,
    PackSums, SumEncrypted, SumParams, packing,
};
use tributary_binning::{
    AssignBins, AssignParams, BinColumn, BinCount, CountBins, CountParams, CutColumn, Cuts, Focus,
    MergeParams, MergeSketches, Quantiles, SketchFeatures, SketchParams, kernels,
};
use tributary_core::computing::{Blob, Computing, Engine, SessionSpec};
use tributary_core::kernel::KernelCall;
use tributary_core::storage::Nowhere;
use tributary_core::{Field, Layout, Result, SessionId, Table, TableSchema, ops};
use tributary_paillier::{Encrypt, KeyBits, SecretKey};
use tributary_standalone::Standalone;

async fn session() -> Result<Arc<dyn Computing>> {
    let engine = Standalone::new(ops::kernels().and(kernels()), Arc::new(Nowhere));
    let placement = engine.place(&Default::default())?;
    engine
        .open(SessionSpec { id: "test.binning.0".parse::<SessionId>()?, placement, memory_bytes: 1 << 28 })
        .await
}

/// Columns `x` and `y`, the second 0 or 1.
async fn table(rows: usize, partitions: u32) -> Result<Table> {
    let mut rng = ChaCha12Rng::seed_from_u64(5);
    let x = Float64Array::from_iter_values((0..rows).map(|_| rng.random::<f64>().powi(3)));
    let y = Float64Array::from_iter_values((0..rows).map(|_| f64::from(rng.random_range(0..2u8))));
    let fields = ["x", "y"].map(|name| Field::new(name, DataType::Float64)).to_vec();
    let schema = TableSchema::new(None, fields)?;
    let columns: Vec<ArrayRef> = vec![Arc::new(x), Arc::new(y)];
    let rows = schema.batch(columns)?;
    let table = Table::parallelize(&session().await?, &schema, vec![rows], Layout::Loose(partitions)).await?;
    table.keep_rows().await
}

async fn pass(table: &Table, parts: u32, focus: Option<Focus>) -> Result<Quantiles> {
    let params = SketchParams { features: vec!["x".into()], focus };
    let sketches = table.map(KernelCall::fold::<SketchFeatures>(&params)?)?.gather_by_key(2)?;
    let rows = sketches.map(KernelCall::fold::<MergeSketches>(&MergeParams { parts })?)?.collect().await?;
    Ok(Quantiles::read(&rows, 1)?.remove(0))
}

async fn cuts(table: &Table) -> Result<Cuts> {
    let first = pass(table, 5, None).await?;
    let exact = match Focus::on(std::slice::from_ref(&first)) {
        None => first,
        Some(focus) => pass(table, 5, Some(focus)).await?,
    };
    Cuts::of_quantiles(&exact)
}

#[test]
fn cut_points_do_not_depend_on_partitions() -> Result<()> {
    let expected = block_on(cuts(&block_on(table(60_000, 1))?))?;
    for partitions in [2, 7] {
        assert_eq!(block_on(cuts(&block_on(table(60_000, partitions))?))?, expected);
    }
    Ok(())
}

async fn encrypted_equals_plain() -> Result<()> {
    let key = SecretKey::generate(KeyBits::Bits1024, &mut rand::rng()).unwrap();
    let public_key = key.public().to_bytes();
    let table = table(200, 3).await?;
    let secret = key.to_bytes().expose().to_vec();
    let secret = table.session().put_blob(Blob::secret(secret)).await?;
    let columns = vec![BinColumn { column: "x".into(), bins: 6 }];
    let cut = CutColumn { column: "x".into(), cuts: cuts(&table).await? };
    let binned = table.map(KernelCall::map::<AssignBins>(&AssignParams { columns: vec![cut] })?)?;

    let encrypt = EncryptParams { label: "y".into(), public_key: public_key.clone() };
    let labels = table.map(KernelCall::map::<EncryptLabels>(&encrypt)?.with_blob(secret.clone()))?;
    assert!(binned.zip(&labels).is_err(), "fresh randomness is kept first");
    let labels = labels.keep().await?;

    let sum = SumParams { columns: columns.clone(), label: LABEL.into(), public_key: public_key.clone() };
    let sums = binned.zip(&labels)?.map(KernelCall::fold::<SumEncrypted>(&sum)?)?.gather_by_key(2)?;
    let sums = sums.map(KernelCall::fold::<AddEncrypted>(&AddParams { public_key: public_key.clone() })?)?;
    let packing = packing(200, key.public()).unwrap();
    let pack = PackParams { public_key: public_key.clone(), packing };
    let sums = sums.map(KernelCall::fold::<PackSums>(&pack)?)?;
    assert!(sums.read().await.is_err(), "fresh blinding is kept first");
    let sums = sums.keep().await?;
    let decrypt = DecryptParams { public_key, packing };
    let counts = sums.map(KernelCall::map::<DecryptCounts>(&decrypt)?.with_blob(secret))?;

    let count = CountParams { columns: columns.clone(), label: Some("y".into()) };
    let plain = binned.map(KernelCall::fold::<CountBins>(&count)?)?.collect().await?;
    let (found, expected) = (counts.collect().await?, BinCount::read(&plain, &columns)?);
    assert_eq!(BinCount::read(&found, &columns)?, expected);
    assert_eq!(expected[0].iter().map(|c| c.rows).collect::<Vec<_>>(), [40, 40, 40, 40, 40, 0]);
    Ok(())
}

#[test]
fn counting_under_encryption_runs_as_a_plan() -> Result<()> {
    block_on(encrypted_equals_plain())
}
