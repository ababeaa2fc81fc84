//! The guest: measures its own columns in the clear, and the hosts' by encrypted sums.

use std::collections::BTreeMap;

use serde_json::json;
use tributary_binning::encrypted::{
    DecryptCounts, DecryptParams, EncryptLabels, EncryptParams, HostFeatures, packed_schema, packing,
};
use tributary_binning::model::{Binned, MetricsSummary};
use tributary_binning::{BinCount, CountBins, CountParams, CutColumn, Cuts, FeatureMetrics};
use tributary_core::computing::{Blob, BlobRef};
use tributary_core::federation::{FederationExt, Slot};
use tributary_core::kernel::KernelCall;
use tributary_core::ops::rows::{Comparison, Predicate, Value};
use tributary_core::{Error, ErrorKind, Layout, Party, Result, ResultExt, Role, Table};
use tributary_paillier::{Encrypt, ProvenKey, SecretKey};

use super::{Binning, Measure, Measuring};
use crate::columns::anonymous;
use tributary_component::Stage;
use tributary_component::output::Metric;
use tributary_component::task::Task;

/// Most bins that a host may have in all its features together; bounds what it can make the guest allocate.
const MAX_HOST_BINS: u64 = 1 << 20;

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub own: Option<MetricsSummary>,
    pub hosts: BTreeMap<String, MetricsSummary>,
    pub metrics: Vec<Metric>,
    /// At a host: its columns with the bins that were shown to the guest.
    pub released: Option<Vec<CutColumn>>,
}

/// Measures all columns that are to be measured.
pub(super) async fn measure(task: &Task, binning: &Binning<'_>) -> Result<Measured> {
    let hosts = match binning.measure {
        Measuring::AllColumns => task.others(&Role::host()),
        _ => Vec::new(),
    };
    // Own columns first: a label that cannot be used is found before anything is sent.
    let assigned = binning.assigned()?;
    let counted = match Counted::of(task, binning, &assigned).await {
        Err(why) if task.stage == Stage::Predict && why.kind() == ErrorKind::InvalidInput => {
            return without_metrics(task, &hosts, &why).await;
        }
        counted => counted?,
    };
    let (mut measured, mut ranking) = (Measured::default(), Vec::new());
    let (own, ranks) = own_columns(task, binning, &counted)?;
    measured.own = Some(own);
    ranking.extend(ranks);
    let key = match hosts.is_empty() {
        true => None,
        false => Some(send_labels(task, binning, counted.label, &hosts).await?),
    };
    for host in &hosts {
        let Some(key) = &key else { continue };
        let (summary, ranks) = host_columns(task, binning, host, key, &counted).await?;
        ranking.extend(ranks);
        measured.hosts.insert(host.to_string(), summary);
    }
    measured.metrics.push(rank(ranking));
    Ok(measured)
}

/// The guest's key of this task: what hosts add up with, and what decrypts their sums.
struct OwnKey {
    public: Vec<u8>,
    secret: BlobRef,
}

/// What the guest's label says about its own columns.
struct Counted<'a> {
    label: &'a str,
    rows: u64,
    events: u64,
    /// By column.
    bins: Vec<Vec<BinCount>>,
}

impl<'a> Counted<'a> {
    /// `InvalidInput` if there is no label, or if it has other values than 0 and 1 or not both.
    async fn of(task: &Task, binning: &'a Binning<'_>, assigned: &Table) -> Result<Self> {
        let label = binning.label().ok_or_else(|| {
            Error::invalid(
                "the guest's table has no label to measure columns by; upload it with --label, or set skip_metrics",
            )
        })?;
        task.note(format!("measuring {} columns", binning.cuts.len()));
        let columns = binning.bin_columns();
        let params = CountParams { columns: columns.clone(), label: Some(label.into()) };
        let counts = assigned.map(KernelCall::fold::<CountBins>(&params)?)?.collect().await?;
        let (rows, events) = (binning.table.count().await?, count_events(binning, label).await?);
        if events == 0 || events == rows {
            let only = if events == 0 { 0 } else { 1 };
            return Err(Error::invalid(format!(
                "the label {label:?} of all {rows} rows is {only}; WOE and IV need rows of both classes, and skip_metrics \
                 leaves them out"
            )));
        }
        Ok(Self { label, rows, events, bins: BinCount::read(&counts, &columns)? })
    }
}

/// A prediction gives its rows, measured or not.
async fn without_metrics(task: &Task, hosts: &[Party], why: &Error) -> Result<Measured> {
    task.warn(format!("metrics are left out: {why}"));
    let nothing = Measure { key: None };
    task.federation.push_message(&Slot::new("measure"), hosts, &nothing).await?;
    Ok(Measured::default())
}

/// Makes a key and sends its public part and the encrypted label to all hosts.
async fn send_labels(task: &Task, binning: &Binning<'_>, label: &str, hosts: &[Party]) -> Result<OwnKey> {
    if binning.key.is_weak() {
        task.warn(format!("a key of {} is weak; use 2048", binning.key));
    }
    task.note(format!("making a key of {}", binning.key));
    let key = SecretKey::generate(binning.key, &mut rand::rng())
        .map_err(|e| Error::bug("make a key").because(e))?;
    let public = key.public().to_bytes();
    let proven = ProvenKey::new(&key, &task.proof_context(&task.own));
    let proven = proven.map_err(|e| Error::bug("prove own key").because(e))?;
    let measure = Measure { key: Some(proven) };
    task.federation.push_message(&Slot::new("measure"), hosts, &measure).await?;

    let secret = Blob::secret(key.to_bytes().expose().to_vec());
    let secret = task.computing.put_blob(secret).await?;
    task.note(format!("encrypting {} labels", binning.table.count().await?));
    let params = EncryptParams { label: label.into(), public_key: public.clone() };
    let call = KernelCall::map::<EncryptLabels>(&params)?.with_blob(secret.clone());
    let labels = binning.table.select([label])?.map(call)?.keep().await?;
    task.federation.push_table(&Slot::new("labels"), hosts, &labels).await?;
    Ok(OwnKey { public, secret })
}

fn own_columns(
    task: &Task,
    binning: &Binning<'_>,
    counted: &Counted<'_>,
) -> Result<(MetricsSummary, Vec<Rank>)> {
    let (mut summary, mut ranks) = (MetricsSummary::default(), Vec::new());
    for (i, (counts, column)) in counted.bins.iter().zip(&binning.cuts).enumerate() {
        let metrics = FeatureMetrics::new(counts, column.cuts.bins(), binning.adjustment_factor)
            .at(|| format!("measure column {:?}", column.column))?;
        let names = binning.coded.names(&column.column, &column.cuts);
        let binned = if i < binning.binned { Binned::Cut } else { Binned::ByCategory(&names) };
        ranks.push(Rank::new(&task.own, &column.column, column.cuts.bins(), &metrics));
        summary.insert(&column.column, &metrics, &column.cuts, binned);
    }
    Ok((summary, ranks))
}

/// Rows and events of all bins; nothing if they exceed 64 bits.
fn total(counts: &[BinCount]) -> Option<(u64, u64)> {
    counts.iter().try_fold((0u64, 0u64), |(rows, events), c| {
        Some((rows.checked_add(c.rows)?, events.checked_add(c.events)?))
    })
}

/// Number of rows with label 1.
async fn count_events(binning: &Binning<'_>, label: &str) -> Result<u64> {
    let ones = Predicate { column: label.into(), comparison: Comparison::Eq, value: Value::Int(1) };
    binning.table.select([label])?.filter(&ones)?.count().await
}

/// Decrypts a host's sums and measures its columns.
async fn host_columns(
    task: &Task,
    binning: &Binning<'_>,
    host: &Party,
    own: &OwnKey,
    counted: &Counted<'_>,
) -> Result<(MetricsSummary, Vec<Rank>)> {
    let federation = &task.federation;
    let features: HostFeatures = federation.pull_message(&Slot::new("features"), host).await?;
    check(host, &features)?;
    let key = tributary_paillier::PublicKey::from_checked_bytes(&own.public)
        .map_err(|e| Error::bug("read own key").because(e))?;
    let partitions = task.partitions();
    let (most, from) = (cells(&features), host.clone());
    let layout = move |rows| match rows <= most {
        true => Ok(Layout::Loose(partitions)),
        false => Err(Error::new(ErrorKind::Corrupt, format!("{from} sent {rows} sums for {most} bins"))),
    };
    let slot = Slot::new("sums");
    let sums = federation.pull_table(&slot, host, &task.computing, &packed_schema(&key)?, &layout).await?;
    task.note(format!("measuring {} columns of {host}", features.columns.len()));
    let params = DecryptParams { public_key: own.public.clone(), packing: packing(counted.rows, &key)? };
    let call = KernelCall::map::<DecryptCounts>(&params)?;
    let counts = sums.map(call.with_blob(own.secret.clone()))?.collect().await?;
    let wrong = |what: &str| Error::new(ErrorKind::Corrupt, format!("{host} sent sums that {what}"));
    let counts = BinCount::read(&counts, &features.columns)
        .map_err(|e| wrong("do not fit its features").because(e))?;

    let (mut summary, mut ranks) = (MetricsSummary::default(), Vec::new());
    for (counts, column) in counts.iter().zip(&features.columns) {
        if total(counts) != Some((counted.rows, counted.events)) {
            return Err(wrong(&format!("do not count every row and every event of {}", column.column)));
        }
        let bins = column.bins as usize - 1;
        let metrics = FeatureMetrics::new(counts, bins, binning.adjustment_factor)
            .at(|| format!("measure column {} of {host}", column.column))?;
        ranks.push(Rank::new(host, &column.column, bins, &metrics));
        // The guest does not know where the host cuts: bins have numbers only.
        let numbers = Cuts::new((0..bins).map(|bin| bin as f64).collect())?;
        summary.insert(&column.column, &metrics, &numbers, Binned::Cut);
    }
    Ok((summary, ranks))
}

fn cells(features: &HostFeatures) -> u64 {
    features.columns.iter().map(|column| u64::from(column.bins)).sum()
}

/// A host's features must be few enough, have bins, and anonymous names in order.
pub(crate) fn check(host: &Party, features: &HostFeatures) -> Result<()> {
    let wrong = |what: String| Err(Error::new(ErrorKind::Corrupt, format!("{host} sent {what}")));
    if cells(features) > MAX_HOST_BINS {
        return wrong(format!(
            "features with {} bins, at most {MAX_HOST_BINS} are possible",
            cells(features)
        ));
    }
    let mut names = std::collections::BTreeSet::new();
    for column in &features.columns {
        let position = column.column.strip_prefix(&anonymous(host, 0)[..anonymous(host, 0).len() - 1]);
        if position.and_then(|p| p.parse::<u32>().ok()).is_none() || !names.insert(&column.column) {
            return wrong("a feature that has no anonymous name of its own".into());
        }
        if column.bins == 0 || column.bins as usize > Cuts::MAX_BINS + 1 {
            return wrong(format!("feature {} with {} bins", column.column, column.bins));
        }
    }
    Ok(())
}

/// One column's place among all.
struct Rank {
    party: String,
    column: String,
    iv: f64,
    is_monotonic: bool,
    bins: usize,
}

impl Rank {
    fn new(party: &Party, column: &str, bins: usize, metrics: &FeatureMetrics) -> Self {
        Self {
            party: party.to_string(),
            column: column.into(),
            iv: metrics.iv,
            is_monotonic: metrics.is_monotonic,
            bins,
        }
    }
}

/// All columns of all parties, the best predictor first.
fn rank(mut ranking: Vec<Rank>) -> Metric {
    ranking.sort_by(|a, b| b.iv.total_cmp(&a.iv).then_with(|| a.column.cmp(&b.column)));
    let record = |(i, r): (usize, &Rank)| {
        json!({
            "rank": i + 1, "party": r.party, "column": r.column, "iv": r.iv,
            "bins": r.bins, "is_monotonic": r.is_monotonic,
        })
    };
    let records: Vec<serde_json::Value> = ranking.iter().enumerate().map(record).collect();
    Metric::one_off("iv_ranking", Some("custom"), records.into())
}
