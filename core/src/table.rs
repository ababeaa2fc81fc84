//! Tables: the familiar operations, written once over plans, for every engine.
//!
//! Transformations only build a plan; actions (`keep`, `collect`, `count`, `take`, `reduce`, `save`, …) are async and run
//! it. Exchanges are placed here and nowhere else, from layouts: an operation by key moves only what is not yet keyed.
//!
//! Where this departs from FATE's table interface: functions are named kernels and not closures; `map` does not move rows
//! until an operation by key needs it; `sample` takes the same rows for every number of partitions, an exact number
//! included; a `union` needs a merge only where values differ by side; a key twice is an error in operations by key, never
//! "the last one wins"; `destroy` is dropping the last clone.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use futures::{StreamExt, TryStreamExt, stream};

use crate::computing::{Computing, Handle, RowStream};
use crate::error::{Error, ErrorKind, Result, ResultExt};
use crate::ids::Party;
use crate::kernel::{Keeps, KernelCall, Kernels};
use crate::layout::Layout;
use crate::ops::aggregate::{Aggregate, AggregateParams, Combine, Grouping, Measure};
use crate::ops::columns::{Conform, DropKey, NumberRows, Rekey, RekeyParams, Select, SelectParams};
use crate::ops::first::First;
use crate::ops::merge::{Merge, MergeParams, MergeSides};
use crate::ops::rows::{Count, Filter, HashHistogram, Predicate, SampleBelow, Take};
use crate::plan::{EqualKeys, JoinKind, Node, Op, Plan};
use crate::schema::TableSchema;
use crate::storage::{StoredTable, TableUri, WriteOptions};

/// Rows to be computed by a session: a plan, and who runs it. Immutable; cheap to clone.
///
/// A table remembers which parties sent rows that it is computed from: a kernel that finds such rows wrong does not know
/// whose they are, so the action that runs it names the senders.
#[derive(Debug, Clone)]
pub struct Table {
    session: Arc<dyn Computing>,
    plan: Node,
    senders: BTreeSet<Party>,
}

/// How many rows to sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleSize {
    /// Each row with this probability, 0 to 1.
    Fraction(f64),
    /// Exactly this many; `InvalidInput` if the table has fewer.
    Rows(u64),
}

/// Making tables.
impl Table {
    /// The result of a plan.
    pub fn of_plan(session: Arc<dyn Computing>, plan: Node) -> Self {
        Self { session, plan, senders: BTreeSet::new() }
    }

    /// Rows that the session holds.
    pub fn of_handle(session: Arc<dyn Computing>, handle: Arc<Handle>) -> Result<Self> {
        Ok(Self::of_plan(session, Plan::scan(handle)?))
    }

    /// The same rows, which this party sent: it is named where they turn out to be wrong.
    #[must_use]
    pub fn sent_by(mut self, party: &Party) -> Self {
        self.senders.insert(party.clone());
        self
    }

    /// Holds rows from outside in the session; see [`Computing::put`].
    pub async fn parallelize(
        session: &Arc<dyn Computing>,
        schema: &TableSchema,
        rows: Vec<RecordBatch>,
        layout: Layout,
    ) -> Result<Self> {
        let rows = stream::iter(rows.into_iter().map(Ok)).boxed();
        let handle = session.put(schema, rows, layout).await?;
        Self::of_handle(session.clone(), handle)
    }

    /// A stored table, as it is now. Nothing is copied.
    pub async fn load(session: &Arc<dyn Computing>, uri: &TableUri) -> Result<Self> {
        let stored = session.stored(uri).await?;
        Ok(Self::of_plan(session.clone(), Plan::load(Arc::new(stored))?))
    }
}

/// What a table is.
impl Table {
    /// Who runs it.
    pub fn session(&self) -> &Arc<dyn Computing> {
        &self.session
    }

    /// What is to be computed.
    pub fn plan(&self) -> &Node {
        &self.plan
    }

    /// Its columns.
    pub fn schema(&self) -> &TableSchema {
        self.plan.schema()
    }

    /// Where its rows are.
    pub fn layout(&self) -> &Layout {
        self.plan.layout()
    }

    /// Number of partitions.
    pub fn partitions(&self) -> u32 {
        self.layout().partitions()
    }

    fn kernels(&self) -> &Kernels {
        self.session.kernels()
    }

    /// Another plan on these rows.
    fn with(&self, plan: Node) -> Self {
        Self { session: self.session.clone(), plan, senders: self.senders.clone() }
    }

    /// And on those of another table.
    fn and(mut self, other: &Self) -> Self {
        self.senders.extend(other.senders.iter().cloned());
        self
    }

    /// Names the senders in an error that their rows can be the cause of.
    fn blaming(&self) -> impl Fn(Error) -> Error + Send + use<> {
        use ErrorKind as E;
        let senders: Vec<String> = self.senders.iter().map(ToString::to_string).collect();
        let senders = (!senders.is_empty()).then(|| format!("rows that {} sent", senders.join(" and ")));
        move |error| match (error.kind(), &senders) {
            (E::Corrupt | E::InvalidInput | E::AlreadyExists | E::Kernel, Some(senders)) => error.at(senders),
            _ => error,
        }
    }
}

/// Row by row.
impl Table {
    /// Any kernel: rows, keys and their number may change, as the kernel declares. So this is also what FATE calls `flatMap`
    /// (rows of one row), `mapPartitions` and `applyPartitions` (rows of a whole partition, by a fold).
    pub fn map(&self, call: KernelCall) -> Result<Self> {
        Ok(self.with(Plan::map(&self.plan, call, self.kernels())?))
    }

    /// A kernel that keeps every row and its key; `InvalidInput` for another.
    pub fn map_values(&self, call: KernelCall) -> Result<Self> {
        let keeps = self.kernels().get(&call)?.keeps();
        if keeps != Keeps::Both {
            return Err(Error::invalid(format!(
                "map_values with kernel {}, which keeps {keeps:?}, expected one that keeps keys and rows",
                call.name()
            )));
        }
        self.map(call)
    }

    /// The rows that a predicate chooses. For anything it cannot say: [`Table::map`] with a kernel that keeps `Keys`.
    pub fn filter(&self, predicate: &Predicate) -> Result<Self> {
        self.map(KernelCall::map::<Filter>(predicate)?)
    }

    /// The key and some columns.
    pub fn select<S: Into<String>>(&self, columns: impl IntoIterator<Item = S>) -> Result<Self> {
        let columns = columns.into_iter().map(Into::into).collect();
        self.map(KernelCall::map::<Select>(&SelectParams { columns })?)
    }

    /// Another column becomes the key; the old one becomes column `old_key`, or goes.
    pub fn rekey(&self, column: &str, old_key: Option<&str>) -> Result<Self> {
        let params = RekeyParams { column: column.into(), old_key: old_key.map(Into::into) };
        self.map(KernelCall::map::<Rekey>(&params)?)
    }

    /// The same columns in the order and types of another schema; see [`widened`](crate::ops::columns::widened).
    pub fn conform(&self, schema: &TableSchema) -> Result<Self> {
        self.map(KernelCall::map::<Conform>(schema)?)
    }

    /// The columns without ids.
    pub fn drop_key(&self) -> Result<Self> {
        self.map(KernelCall::map::<DropKey>(&DropKey)?)
    }

    /// Adds a column with each row's number. `InvalidInput` unless laid out in `Rows`; see [`Table::keep_rows`].
    pub fn number_rows(&self, column: &str) -> Result<Self> {
        if !matches!(self.layout(), Layout::Rows(_)) {
            return Err(Error::invalid(format!(
                "rows of a {:?} table have no numbers; use keep_rows first",
                self.layout()
            )));
        }
        self.map(KernelCall::map::<NumberRows>(&NumberRows { column: column.into() })?)
    }

    /// Some rows, chosen by a hash of (seed, key): the same for every number of partitions. Runs only for an exact
    /// number, and then only counts hashes.
    pub async fn sample(&self, size: SampleSize, seed: u64) -> Result<Self> {
        let last = match size {
            SampleSize::Fraction(f) if (0.0..=1.0).contains(&f) => fraction_of_hashes(f),
            SampleSize::Fraction(f) => {
                return Err(Error::invalid(format!("a sample of fraction {f}, expected 0 to 1")));
            }
            SampleSize::Rows(0) => None,
            SampleSize::Rows(n) => Some(self.sample_hash(n, seed).await?),
        };
        match last {
            Some(last) => self.map(KernelCall::map::<SampleBelow>(&SampleBelow { seed, last })?),
            None => self.map(KernelCall::fold::<Take>(&Take { rows: 0 })?),
        }
    }

    /// The n-th smallest sample hash, n from 1: four rounds of counting by 16 bits each. `InvalidInput` for fewer rows, or keys
    /// that occur twice just there.
    pub async fn sample_hash(&self, n: u64, seed: u64) -> Result<u64> {
        let (mut prefix, mut wanted) = (0u64, n);
        for prefix_bits in (0..64).step_by(HashHistogram::BITS as usize) {
            let call = KernelCall::fold::<HashHistogram>(&HashHistogram { seed, prefix, prefix_bits })?;
            let counts = self.map(call)?.collect().await?;
            let mut by_bits = vec![0u64; 1 << HashHistogram::BITS];
            for batch in &counts {
                let (bits, rows) = (batch.column(0).as_primitive::<UInt64Type>(), batch.column(1));
                let rows = rows.as_primitive::<UInt64Type>();
                for (bits, rows) in bits.values().iter().zip(rows.values()) {
                    by_bits[*bits as usize] += rows;
                }
            }
            let before = |wanted: &mut u64| {
                by_bits.iter().position(|rows| {
                    let found = *wanted <= *rows;
                    *wanted -= if found { 0 } else { *rows };
                    found
                })
            };
            let bits = before(&mut wanted)
                .ok_or_else(|| Error::invalid(format!("a sample of {n} rows from a table that has fewer")))?;
            prefix = (prefix << HashHistogram::BITS) | bits as u64;
            let alone = wanted == by_bits[bits];
            if alone {
                // Every row that begins with these bits is in: no need to look closer.
                let rest = 64 - prefix_bits - HashHistogram::BITS;
                return Ok(if rest == 0 { prefix } else { (prefix << rest) | (u64::MAX >> (64 - rest)) });
            }
        }
        Err(Error::invalid("an exact sample of a table in which a key occurs twice; make keys unique first"))
    }
}

fn fraction_of_hashes(fraction: f64) -> Option<u64> {
    if fraction <= 0.0 {
        return None;
    }
    // 2⁶⁴ as a float: a fraction of 1 saturates to the largest hash.
    Some((fraction * 18_446_744_073_709_551_616.0) as u64)
}

/// Moving rows, and two tables.
impl Table {
    fn exchange(&self, to: Layout, equal: EqualKeys) -> Result<Self> {
        Ok(self.with(Plan::exchange(&self.plan, to, equal, self.kernels())?))
    }

    /// The same rows by key, in n partitions; itself if it is so already.
    pub fn keyed(&self, partitions: u32) -> Result<Self> {
        if *self.layout() == Layout::Keyed(partitions) && !self.plan.has_equal_keys() {
            return Ok(self.clone());
        }
        self.exchange(Layout::Keyed(partitions), EqualKeys::Refuse)
    }

    /// Rows in the order of their keys, which are row numbers; see [`Plan::exchange`].
    pub fn by_row_number(&self, ranges: crate::layout::RowRanges) -> Result<Self> {
        self.exchange(Layout::Rows(ranges), EqualKeys::Refuse)
    }

    /// The same rows in n partitions: a `Keyed` table stays so, another keeps its order and becomes `Loose`.
    pub fn repartition(&self, partitions: u32) -> Result<Self> {
        match self.layout() {
            Layout::Keyed(_) => self.keyed(partitions),
            Layout::Loose(n) if *n == partitions => Ok(self.clone()),
            _ => self.exchange(Layout::Loose(partitions), EqualKeys::Refuse),
        }
    }

    /// Both by key in the same number of partitions, moving as little as possible: nothing if they agree, the one that
    /// is not keyed, else the one with fewer partitions.
    fn aligned(&self, other: &Self) -> Result<(Self, Self)> {
        let keyed = |t: &Self| match t.layout() {
            Layout::Keyed(n) if !t.plan.has_equal_keys() => Some(*n),
            _ => None,
        };
        let partitions = match (keyed(self), keyed(other)) {
            (Some(a), Some(b)) => a.max(b),
            (Some(n), None) | (None, Some(n)) => n,
            (None, None) => self.partitions().max(other.partitions()),
        };
        Ok((self.keyed(partitions)?, other.keyed(partitions)?))
    }

    fn joined(&self, other: &Self, kind: JoinKind) -> Result<Self> {
        let (left, right) = self.aligned(other)?;
        Ok(self.with(Plan::join(&left.plan, &right.plan, kind, self.kernels())?).and(other))
    }

    /// Keys on both sides, with the columns of both; a right column whose name the left has ends in `:right`.
    pub fn join(&self, other: &Self) -> Result<Self> {
        self.joined(other, JoinKind::Inner)
    }

    /// The rows whose key is in the other table.
    pub fn semi_join(&self, other: &Self) -> Result<Self> {
        self.joined(other, JoinKind::Semi)
    }

    /// The rows whose key is not in the other table.
    pub fn subtract_by_key(&self, other: &Self) -> Result<Self> {
        self.joined(other, JoinKind::Anti)
    }

    /// Keys on either side, columns of both (missing where a side lacks the key) and [`crate::plan::PRESENCE`].
    pub fn full_join(&self, other: &Self) -> Result<Self> {
        self.joined(other, JoinKind::Full)
    }

    /// Keys on either side; both must have the same columns. `merge` decides where both have the key; for a computed
    /// value, [`Table::full_join`] and a kernel.
    pub fn union(&self, other: &Self, merge: Merge) -> Result<Self> {
        let columns = self.schema().fields().to_vec();
        if columns != other.schema().fields() {
            return Err(Error::invalid(format!(
                "union of {:?} and {:?}, expected equal columns",
                self.schema(),
                other.schema()
            )));
        }
        let full = self.full_join(other)?;
        full.map(KernelCall::map::<MergeSides>(&MergeParams { merge, columns })?)
    }

    /// Tables of equal rows, side by side; see [`Plan::zip`].
    pub fn zip(&self, other: &Self) -> Result<Self> {
        Ok(self.with(Plan::zip(&self.plan, &other.plan, self.kernels())?).and(other))
    }

    /// One table after the other; see [`Plan::concat`].
    pub fn concat(tables: &[Self]) -> Result<Self> {
        let first = tables.first().ok_or_else(|| Error::invalid("concat of no tables"))?;
        let plans: Vec<Node> = tables.iter().map(|t| t.plan.clone()).collect();
        let table = first.with(Plan::concat(&plans, first.kernels())?);
        Ok(tables.iter().fold(table, Self::and))
    }

    /// One row a key, `Keyed` in as many partitions as now: sums within partitions first, so that few rows move.
    pub fn reduce_by_key(&self, measures: &[Measure]) -> Result<Self> {
        let partial = AggregateParams { grouping: Grouping::Key, measures: measures.to_vec() };
        let whole = AggregateParams {
            grouping: Grouping::Key,
            measures: measures.iter().map(Measure::combined).collect(),
        };
        self.map(KernelCall::fold::<Aggregate>(&partial)?)?
            .gather_by_key(self.partitions())?
            .map(KernelCall::fold::<Combine>(&whole)?)
    }

    /// One row a key, the first in source order; `Keyed` in as many partitions as now.
    pub fn first_by_key(&self) -> Result<Self> {
        self.gather_by_key(self.partitions())?.map(KernelCall::fold::<First>(&())?)
    }

    /// Rows of one key next to each other, in source order, for a kernel that keeps `Groups`.
    pub fn gather_by_key(&self, partitions: u32) -> Result<Self> {
        self.exchange(Layout::Keyed(partitions), EqualKeys::Adjacent)
    }
}

/// Actions.
impl Table {
    fn refuse_gathered(&self, action: &str) -> Result<()> {
        if self.plan.has_equal_keys() {
            return Err(Error::invalid(format!(
                "{action} of gathered rows with equal keys; combine them with a kernel that keeps groups first"
            )));
        }
        Ok(())
    }

    /// Runs the plan once and holds the rows; itself if they are held already. `InvalidInput` for gathered rows with equal
    /// keys, which no held or stored table may have: combine them first.
    pub async fn keep(&self) -> Result<Self> {
        if matches!(self.plan.op(), Op::Scan(_, None)) {
            return Ok(self.clone());
        }
        self.refuse_gathered("keep")?;
        let handle = self.session.keep(&self.plan).await.map_err(self.blaming())?;
        Ok(self.with(Plan::scan(handle)?))
    }

    /// As [`Table::keep`], with rows numbered in partition order.
    pub async fn keep_rows(&self) -> Result<Self> {
        let kept = self.keep().await?;
        match kept.plan.op() {
            Op::Scan(handle, _) => Ok(self.with(Plan::scan_rows(handle.clone(), None)?)),
            op => Err(Error::bug(format!("a kept table is a scan, got {op:?}"))),
        }
    }

    /// Some of the rows of a kept table, by number.
    pub fn rows(&self, range: std::ops::Range<u64>) -> Result<Self> {
        match self.plan.op() {
            Op::Scan(handle, None) => Ok(self.with(Plan::scan_rows(handle.clone(), Some(range))?)),
            _ => Err(Error::invalid("a range of rows of a table that is not kept; use keep first")),
        }
    }

    /// The rows as they come, partitions in order. `InvalidInput` for rows of fresh randomness: keep them first.
    pub async fn read(&self) -> Result<RowStream> {
        self.plan.refuse_fresh(self.kernels(), "read")?;
        let rows = self.session.read(&self.plan).await.map_err(self.blaming())?;
        Ok(rows.map_err(self.blaming()).boxed())
    }

    /// All rows, partitions in order. They must fit this process.
    pub async fn collect(&self) -> Result<Vec<RecordBatch>> {
        self.read().await?.try_collect().await
    }

    /// Up to n rows, first partitions first. Stops the engine once it has them.
    pub async fn take(&self, rows: u64) -> Result<Vec<RecordBatch>> {
        let limited = self.map(KernelCall::fold::<Take>(&Take { rows })?)?;
        let (mut stream, mut taken, mut left) = (limited.read().await?, Vec::new(), rows);
        while left > 0 {
            let Some(batch) = stream.try_next().await? else {
                break;
            };
            let count = left.min(batch.num_rows() as u64);
            left -= count;
            taken.push(batch.slice(0, count as usize));
        }
        Ok(taken)
    }

    /// The first row; `NotFound` if there is none.
    pub async fn first(&self) -> Result<RecordBatch> {
        let rows = self.take(1).await?;
        rows.into_iter()
            .find(|batch| batch.num_rows() > 0)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "the first row of an empty table"))
    }

    /// Number of rows. Runs nothing where the plan says it.
    pub async fn count(&self) -> Result<u64> {
        match (self.layout(), self.plan.op()) {
            (Layout::Rows(ranges), _) => Ok(ranges.all().end - ranges.all().start),
            (_, Op::Scan(handle, None)) => Ok(handle.rows()),
            (_, Op::Load(table)) => Ok(table.rows()),
            _ => {
                let counts = self.map(KernelCall::fold::<Count>(&Count)?)?;
                Ok(Count::total(&counts.collect().await?))
            }
        }
    }

    /// One row over the whole table; nothing for a table without rows.
    pub async fn reduce(&self, measures: &[Measure]) -> Result<Option<RecordBatch>> {
        let partial = AggregateParams { grouping: Grouping::All, measures: measures.to_vec() };
        let whole = AggregateParams {
            grouping: Grouping::All,
            measures: measures.iter().map(Measure::combined).collect(),
        };
        let rows = self
            .map(KernelCall::fold::<Aggregate>(&partial)?)?
            .exchange(Layout::Loose(1), EqualKeys::Refuse)?
            .map(KernelCall::fold::<Aggregate>(&whole)?)?
            .collect()
            .await?;
        Ok(rows.into_iter().find(|batch| batch.num_rows() > 0))
    }

    /// Stores the rows; the table exists once this returns. `InvalidInput` as for [`Table::keep`] and [`Table::read`].
    pub async fn save(&self, uri: &TableUri, options: WriteOptions) -> Result<StoredTable> {
        self.refuse_gathered("save")?;
        self.plan.refuse_fresh(self.kernels(), "save")?;
        let saved = self.session.save(&self.plan, uri, options).await.map_err(self.blaming());
        saved.at(|| format!("save table {uri}"))
    }

    /// Gives up this clone. What the session holds for it is freed with the last one.
    pub fn destroy(self) {}
}
